"""A contract's payment schedule over its documents: the parts add up, to the kopeck."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from integration.rules.schedule import instalments, with_schedule
from mappers.money import Contract, Instalment, Term
from tests.rules.facts import DAY, act, invoice, sums

RETAINED = (Term(Decimal(95), days=10), Term(Decimal(5), due=date(2026, 6, 1), kind="retention"))


def contract(*terms: Term) -> Contract:
    return Contract("c", "1", None, "RUB", "client", "org", schedule=terms)


def test_stages_are_shares_of_each_document() -> None:
    """By days after its own date, or on a day of the calendar."""
    [done], [bill] = with_schedule([act("a", "1000")], [invoice("i", "200")], contract(*RETAINED))
    assert done.instalments == (
        Instalment(Decimal(950), date(2026, 2, 13)),
        Instalment(Decimal(50), date(2026, 6, 1), "retention"),
    )
    assert [one.amount for one in bill.instalments] == [190, 10]


def test_an_invoices_own_day_beats_a_single_term() -> None:
    """Not a schedule of several terms."""
    own = (Instalment(Decimal(200), date(2026, 2, 5)),)
    bill = invoice("i", "200", instalments=own)
    assert with_schedule([], [bill], contract(Term(Decimal(100), days=30)))[1] == (bill,)
    assert len(with_schedule([], [bill], contract(*RETAINED))[1][0].instalments) == 2


def test_without_a_schedule_nothing_changes() -> None:
    """No contract, or one that has no terms."""
    for one in (None, contract()):
        assert with_schedule([act("a", "1")], [invoice("i", "2")], one) == ((act("a", "1"),), (invoice("i", "2"),))


@given(sums, st.lists(st.integers(1, 99), min_size=1, max_size=6))
def test_shares_of_a_whole_leave_no_kopeck(amount: Decimal, weights: list[int]) -> None:
    """However they divide, and whoever made percents of sums."""
    terms = [Term(Decimal(weight) * 100 / sum(weights)) for weight in weights]
    parts = instalments(amount, "RUB", DAY, terms)
    assert sum(one.amount for one in parts) == amount
    assert all(one.amount > 0 and one.amount == round(one.amount, 2) for one in parts)


@given(sums, st.lists(st.integers(1, 200), min_size=1, max_size=6))
def test_shares_that_are_no_whole_never_exceed_the_document(amount: Decimal, shares: list[int]) -> None:
    """What they leave out is a regular part without a day; what is too much is cut."""
    parts = instalments(amount, "RUB", DAY, [Term(Decimal(share)) for share in shares])
    assert sum(one.amount for one in parts) <= amount
