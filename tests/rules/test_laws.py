"""The laws of allocation over generated accounts (tests/rules/laws.py says how to run more of them)."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integration.rules.allocation import Facts
from tests.rules import laws
from tests.rules.facts import accounts

few = settings(max_examples=laws.CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@few
@given(accounts(), st.integers(0, 2**16))
def test_every_account_keeps_every_law(facts: Facts, seed: int) -> None:
    """Payments, acts, invoices, refunds, pins, currencies, dead documents: DOMAIN's laws hold."""
    laws.account(facts, seed)


@few
@given(accounts(refunds=False), st.integers(0, 2**16))
def test_closed_months_stand(facts: Facts, seed: int) -> None:
    """Without refunds in between, positions that are told as closed come back, key by key."""
    laws.account(facts, seed)


@few
@given(accounts())
def test_the_fast_way_is_the_plain_way(facts: Facts) -> None:
    """DOMAIN's passes, written down slowly a second time, give the same to the same."""
    laws.plainly(facts)
