"""Whose paid money it is, how a changed state moves it, what a rule and a period are called."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.rules.accrual import packed, spoken, unpacked, words
from integration.rules.earnings import (
    Counted,
    Holding,
    Key,
    Part,
    Shares,
    Stood,
    Sums,
    counted,
    divided,
    holding,
    movements,
)
from integration.rules.kpi import Kpi, Period, periods_of, worked_and_left
from integration.settings.money import BonusRule, Calendar, Tier
from mappers.money import Payment
from tests.rules.histories import bonus_rules

DAY = date(2026, 10, 20)
DEAL = ("espo", "deal")
PAID = Payment("p", "1", DAY, Decimal(900), "RUB", posted=True, deleted=False)


def key(deal: str = "deal", group: str = "") -> Key:
    return Key("p", "anna", group, DAY, ("espo", deal))


def sums(gross: int, first: int = 0) -> Sums:
    return Sums(Decimal(gross), Decimal(gross), Decimal(first))


@given(st.integers(-(10**9), 10**9), st.dictionaries(st.text("abcd", min_size=1), st.integers(1, 10**6), min_size=1))
def test_shares_add_up_to_the_kopeck(kopecks: int, weights: dict[str, int]) -> None:
    amount = Decimal(kopecks) / 100
    assert sum(divided(amount, {name: Decimal(one) for name, one in weights.items()}, "RUB").values()) == amount


@given(bonus_rules())
def test_a_rule_comes_back_as_it_was_kept(rule: BonusRule) -> None:
    assert unpacked(packed(rule)) == rule
    assert unpacked(packed(None)) is None


def test_a_part_is_shared_by_managers_and_groups() -> None:
    """60 : 40 between two, each by the groups of the deal; a client's first payment is shared alike."""
    part = Part(PAID, DEAL, Decimal(900), Decimal(900), advance=False)
    whose = Shares({"anna": Decimal(60), "boris": Decimal(40)}, {"": Decimal(2), "hardware": Decimal(1)})
    found = counted([part], lambda _: whose, lambda *_: False, "p", "RUB")
    assert {(one.manager, one.group): (what.sums.gross, what.sums.first) for one, what in found.items()} == {
        ("anna", ""): (360, 60), ("anna", "hardware"): (180, 0),
        ("boris", ""): (240, 40), ("boris", "hardware"): (120, 0),
    }  # fmt: skip


@pytest.mark.parametrize(("received", "gross"), [(False, 0), (True, 900)])
def test_advances_count_where_the_rule_says_so(received: bool, gross: int) -> None:
    part = Part(PAID, DEAL, Decimal(900), Decimal(900), advance=True)
    found = counted([part], lambda _: Shares({"anna": Decimal(1)}), lambda *_: received, "", "RUB")
    assert sum(one.sums.gross for one in found.values()) == gross


def test_money_that_goes_from_one_deal_to_another_of_the_same_manager_moves_nothing() -> None:
    """Whether the month still runs or has ended."""
    now, stood = {key("two"): Counted(sums(900))}, {key("one"): Stood(sums(900), Sums())}
    for today in (DAY, date(2026, 12, 1)):
        assert movements(now, stood, today) == []


def test_what_is_taken_back_late_is_given_back_late() -> None:
    """October's payment reversed in November is November's; restored in December, December's; October stays."""
    [back] = movements({}, {key(): Stood(sums(900), Sums())}, date(2026, 11, 3))
    assert (back.month, back.taken, back.given, back.sums.gross) == ("2026-10", "2026-11", date(2026, 11, 3), -900)
    [again] = movements({key(): Counted(sums(900))}, {key(): Stood(Sums(), sums(-900))}, date(2026, 12, 4))
    assert (again.month, again.taken, again.given, again.sums.gross) == ("2026-10", "2026-12", date(2026, 12, 4), 900)


def test_whose_a_deal_was_on_a_day() -> None:
    """At the day's end; before anything is known, its first known holder's."""
    history = [Holding(datetime(2026, 11, day, 9, tzinfo=UTC), name, {}) for day, name in ((10, "anna"), (12, "boris"))]
    told = [holding(history, date(2026, 11, day), UTC).manager for day in (1, 10, 11, 12, 20)]
    assert told == ["anna", "anna", "anna", "boris", "boris"]


@pytest.mark.parametrize(
    ("name", "first", "last", "months"),
    [
        ("2026-11-24", date(2026, 11, 24), date(2026, 11, 24), ()),
        ("2028-02", date(2028, 2, 1), date(2028, 2, 29), ("2028-02",)),
        ("2026-Q4", date(2026, 10, 1), date(2026, 12, 31), ("2026-10", "2026-11", "2026-12")),
    ],
)
def test_periods(name: str, first: date, last: date, months: tuple[str, ...]) -> None:
    period = Period.read(name)
    assert (period.first, period.last, period.months) == (first, last, months)
    assert name in periods_of(first)


@pytest.mark.parametrize("name", ["2026", "2026-13", "2026-Q0", "2026-02-30", "2026-11-24 ", "kpi"])
def test_what_is_no_period(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Period.read(name)


def test_the_production_calendar() -> None:
    """January 2026: 15 working days; what is left is counted from tomorrow; an ended month has none."""
    assert worked_and_left("2026-01", date(2026, 1, 31), Calendar()) == (15, 0)
    assert worked_and_left("2026-01", date(2026, 1, 15), Calendar()) == (4, 11)
    assert worked_and_left("2026-01", date(2026, 1, 5), Calendar()) == (0, 0)
    assert worked_and_left("2026-01", date(2026, 1, 15), Calendar(workdays=(date(2026, 1, 31),)))[1] == 12
    assert worked_and_left("2026-02", date(2026, 4, 1), Calendar()) == (19, 0)


def test_figures_as_redis_keeps_them() -> None:
    one = Kpi("anna", "RUB", Decimal(1999), Decimal("10.5"), 2, plan=Decimal(3000))
    assert one.fields() == {
        "received": "1999.00", "bonus": "10.50", "payments": "2", "plan": "3000.00", "plan_percent": "66.6",
        "forecast": "", "currency": "RUB",
    }  # fmt: skip
    assert one.score == 1050


def test_how_people_are_told() -> None:
    rule = BonusRule(
        since=date(2026, 1, 1), tiers=(Tier(up_to=Decimal(1000000), rate=Decimal(1)), Tier(rate=Decimal(2)))
    )
    assert words(rule) == "правило с 01.01.2026 для *: 1 % до 1\u00a0000\u00a0000, далее 2 %"
    assert [spoken(Decimal(one), "RUB") for one in ("6000000", "1234.5")] == ["6 000 000 ₽", "1 234,50 ₽"]
