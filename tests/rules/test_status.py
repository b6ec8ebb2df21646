"""Statuses: codes, percent rounded down, flags; a deal with several acts; a contract's totals."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.rules.allocation import allocate
from integration.rules.obligations import with_retention
from integration.rules.status import of_deal, percent, statuses, totals
from mappers.money import Covered, Instalment
from tests.rules.facts import DAY, act, facts, invoice, payment

MONTH = timedelta(days=30)
RETAINED = (Instalment(Decimal("500000.00"), DAY + 3 * MONTH, "retention"),)


@pytest.mark.parametrize(
    ("paid", "signed", "code", "told"),
    [
        ((), False, "issued", "0.0"),
        ((), True, "signed", "0.0"),
        (("6000000",), True, "partially_paid", "60.0"),
        (("6000000", "3500000"), True, "retention_pending", "95.0"),
        (("6000000", "3500000"), False, "retention_pending", "95.0"),
        (("6000000", "3500000", "499999.99"), True, "retention_pending", "99.9"),
        (("6000000", "3500000", "500000"), True, "closed", "100.0"),
        (("6000000", "3500000", "500000"), False, "paid", "100.0"),
    ],
)
def test_ten_millions_with_retention(paid: tuple[str, ...], signed: bool, code: str, told: str) -> None:
    """DOMAIN's example, step by step: 60 %, 95 % and the retention, closed."""
    work = act("a", "10000000.00", signed=signed, instalments=RETAINED)
    found = allocate(facts(work, *(payment(f"p{at}", sum_) for at, sum_ in enumerate(paid))))
    status = statuses(found, DAY)["a"]
    assert (status.code, status.percent, status.flags) == (code, Decimal(told), ())
    assert status.lacks == 10_000_000 - sum(map(Decimal, paid))


def test_flags() -> None:
    """A due date that has passed unpaid; an advance on the account."""
    account = allocate(facts(act("a", "100", instalments=(Instalment(Decimal(100), DAY),)), payment("p", "40")))
    assert statuses(account, DAY)["a"].flags == ()
    assert statuses(account, DAY + timedelta(1))["a"].flags == ("overdue",)
    assert statuses(account, DAY)["a"].due == DAY
    rich = allocate(facts(act("a", "100"), payment("p", "140")))
    assert statuses(rich, DAY)["a"].flags == ("overpaid",)


def test_a_deal_of_several_acts_shows_its_worst() -> None:
    """One advance over three acts: 1 000 000 of 1 250 000 is 80 %, and the last act is half paid."""
    acts = [
        act(f"a{at}", sum_, DAY + at * MONTH, signed=True, covers=(Covered("i", Decimal(sum_)),))
        for at, sum_ in enumerate(("400000", "350000", "500000"))
    ]
    account = allocate(facts(invoice("i", "1250000"), *acts, payment("p", "1000000", DAY - MONTH)))
    codes = {key: status.code for key, status in statuses(account, DAY).items()}
    assert codes == {"a0": "closed", "a1": "closed", "a2": "partially_paid"}
    deal = of_deal(account, ["i"], DAY)
    assert deal is not None
    assert (deal.code, deal.percent, deal.amount, deal.paid) == ("partially_paid", Decimal("80.0"), 1250000, 1000000)
    assert account.advance == 0


def test_a_deal_is_not_closed_while_its_invoice_has_a_rest() -> None:
    """The first act is closed, the invoice is for more: the deal is partially paid, by the larger of both sums."""
    first = act("a", "40", signed=True, covers=(Covered("i", Decimal(40)),))
    account = allocate(facts(invoice("i", "100"), first, payment("p", "40")))
    deal = of_deal(account, ["i"], DAY)
    assert deal is not None
    assert (deal.code, deal.percent) == ("partially_paid", Decimal("40.0"))
    assert of_deal(allocate(facts(invoice("i", "100"))), ["i"], DAY).code == "issued"  # type: ignore[union-attr]
    assert of_deal(account, ["unknown"], DAY) is None


def test_the_retention_sits_on_the_last_act() -> None:
    """A deal's retention goes to the act that is last by date; an act smaller than it is retained whole."""
    acts = with_retention([act("b", "300", DAY + MONTH), act("a", "700")], Decimal(50), DAY + 4 * MONTH)
    assert [one.ref_key for one in acts] == ["a", "b"]
    account = allocate(facts(*acts, payment("p", "950")))
    assert {key: status.code for key, status in statuses(account, DAY).items()} == {
        "a": "paid",
        "b": "retention_pending",
    }
    small = with_retention([act("a", "30")], Decimal(50), DAY)
    assert [(one.amount, one.kind) for one in allocate(facts(*small)).obligations[0].instalments] == [(30, "retention")]


def test_a_contract_s_totals() -> None:
    """Invoiced, owed, paid, advance, debt, overdue, retained: each apart."""
    account = allocate(
        facts(
            invoice("i", "120"),
            act(
                "a",
                "100",
                instalments=(Instalment(Decimal(10), DAY + MONTH, "retention"), Instalment(Decimal(90), DAY)),
            ),
            payment("p", "40"),
        )
    )
    told = totals(account, DAY + timedelta(1))
    assert (told.invoiced, told.owed, told.received, told.allocated, told.advance) == (120, 100, 40, 40, 0)
    assert (told.debt, told.overdue, told.retention) == (60, 50, 10)


@given(st.integers(1, 10**12), st.data())
def test_percent_is_a_hundred_only_when_all_is_paid(amount: int, data: st.DataObject) -> None:
    """Rounded down: one kopeck short is never 100.0."""
    paid = data.draw(st.integers(0, amount))
    told = percent(Decimal(paid) / 100, Decimal(amount) / 100)
    assert (told == 100) == (paid == amount)
    assert told <= Decimal(paid) * 100 / amount < told + Decimal("0.1")
