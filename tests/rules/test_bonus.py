"""Bonuses: tiers, groups, first payments, caps; clawbacks in later months; the running figure is the recomputed one."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integration.rules.bonus import (
    Movement,
    Receipts,
    Totals,
    accruals,
    bonus,
    booked,
    forecast,
    month_of,
    net,
    rule_for,
    split,
    values,
    working_days,
)
from integration.settings.money import BonusRule, Tier
from tests.rules.histories import History, bonus_rules, histories, keep
from tests.rules.laws import CASES


def rule(*tiers: tuple[str | None, str], **more: object) -> BonusRule:
    steps = tuple(Tier(up_to=None if up_to is None else Decimal(up_to), rate=Decimal(rate)) for up_to, rate in tiers)
    return BonusRule(**{"since": date(2026, 1, 1), "tiers": steps} | more)  # type: ignore[arg-type]


TWO = rule(("1000000", "1"), (None, "2"))


@pytest.mark.parametrize(
    ("received", "told"),
    [("0", "0"), ("600000", "6000"), ("1000000", "10000"), ("6000000", "110000"), ("0.50", "0.01"), ("0.49", "0.00")],
)
def test_each_tier_on_its_own_part(received: str, told: str) -> None:
    """1 % up to a million of the month, 2 % on the rest; rounded once, half-up."""
    assert bonus(Receipts({"": Decimal(received)}), TWO) == Decimal(told)


def test_one_percent_of_six_millions() -> None:
    """DOMAIN's notice: 6 000 000 ₽ came, 60 000 ₽ of bonus."""
    assert bonus(Receipts({"": Decimal(6000000)}), rule((None, "1"))) == 60000


def test_groups_first_payments_and_the_cap() -> None:
    """A group with its own rate does not climb the tiers; a first payment adds its flat sum; the cap bounds all."""
    got = Receipts({"": Decimal(900000), "service": Decimal(200000), "hardware": Decimal(100000)}, Decimal("1.5"))
    richer = rule(("1000000", "1"), (None, "2"), groups={"hardware": Decimal(5)}, first_payment=Decimal(1000))
    assert bonus(got, richer) == 10000 + 2000 + 5000 + 1500
    assert bonus(got, rule(("1000000", "1"), (None, "2"), cap=Decimal(7000))) == 7000
    assert bonus(got, None) == 0


def test_a_reversal_in_the_month_lowers_it_and_a_later_one_claws_back() -> None:
    """1.5 million of January, 200 000 reversed in January, 600 000 in March: March bears f(before) − f(after)."""
    first = Movement("anna", "2026-01", Decimal(1500000))
    own = Movement("anna", "2026-01", Decimal(-200000))
    (late,) = (
        Movement("anna", "2026-01", part, taken=taken) for taken, part in booked(Decimal(-600000), "2026-01", "2026-03")
    )
    one = Totals().with_(first)
    assert values(one, TWO, "2026-01") == {"2026-01": Decimal(20000)}
    two = one.with_(own)
    assert accruals(one, two, TWO, "2026-01") == {"2026-01": Decimal(-4000)}
    three = two.with_(late)
    assert values(three, TWO, "2026-01") == {"2026-01": Decimal(16000), "2026-03": Decimal(-9000)}
    assert accruals(two, three, TWO, "2026-01") == {"2026-03": Decimal(-9000)}


def test_what_a_later_month_took_a_later_month_gives_back() -> None:
    """Unposted in March, posted again in April: January and March stay, April gives back."""
    parts = booked(Decimal(500), "2026-01", "2026-04", outstanding=Decimal(300))
    assert parts == (("2026-04", Decimal(300)), ("", Decimal(200)))
    assert booked(Decimal(5), "2026-01", "2026-01") == (("", Decimal(5)),)
    assert booked(Decimal(-5), "2026-01", "2026-01") == (("", Decimal(-5)),)
    got = Totals().with_(Movement("anna", "2026-01", Decimal(300000)))
    for amount, known in ((Decimal(-300000), "2026-03"), (Decimal(300000), "2026-04")):
        got = got.with_(Movement("anna", "2026-01", amount, taken=known))
    assert values(got, TWO, "2026-01") == {"2026-01": 3000, "2026-03": -3000, "2026-04": 3000}


def test_the_rule_of_a_month() -> None:
    """In force on its last day; a manager's own before a team's before everybody's; each currency has its own."""
    all_, later = rule((None, "1")), rule((None, "2"), since=date(2026, 3, 15))
    team, own = rule((None, "3"), manager="sales"), rule((None, "4"), manager="ivanova", since=date(2026, 2, 1))
    dollars = rule((None, "5"), currency="USD")
    rules = (all_, later, team, own, dollars)
    assert rule_for(rules, "2025-12", ("x",), (), "RUB") is None
    assert rule_for(rules, "2026-02", ("x",), (), "RUB") is all_
    assert rule_for(rules, "2026-03", ("x",), (), "RUB") is later
    assert rule_for(rules, "2026-03", ("x",), ("sales",), "RUB") is team
    assert rule_for(rules, "2026-01", ("17", "ivanova"), ("sales",), "RUB") is team
    assert rule_for(rules, "2026-03", ("17", "ivanova"), ("sales",), "RUB") is own
    assert rule_for(rules, "2026-03", ("17", "ivanova"), (), "USD") is dollars
    assert month_of(date(2026, 3, 15)) == "2026-03"


def test_splits_add_up() -> None:
    """The last by id takes the remainder; percents that are not 100 together are refused."""
    thirds = {"c": Decimal("33.34"), "a": Decimal("33.33"), "b": Decimal("33.33")}
    assert split(Decimal("100.01"), thirds, "RUB") == {
        "a": Decimal("33.33"),
        "b": Decimal("33.34"),
        "c": Decimal("33.34"),
    }
    with pytest.raises(ValueError, match="100 %"):
        split(Decimal(1), {"a": Decimal(99)}, "RUB")


def test_net_of_vat() -> None:
    """122 with 22 of VAT: half of it is 50 net."""
    assert net(Decimal(61), Decimal(122), Decimal(22), "RUB") == 50
    assert net(Decimal(5), Decimal(0), Decimal(0), "RUB") == 5


def test_forecast_parts_are_shown_apart() -> None:
    """800 000 in 8 of 20 days: 1.2 million more at this rate climbs the second tier, as do 500 000 that fall due."""
    told = forecast(Receipts({"": Decimal(800000)}), TWO, 8, 12, Decimal(500000))
    assert (told.accrued, told.run_rate, told.due, told.total) == (8000, 22000, 10000, 40000)
    assert forecast(Receipts({"": Decimal(800000)}), TWO, 0, 20, Decimal(0)).run_rate == 0


def test_working_days() -> None:
    """May 2026 with its holidays, and a Saturday that is worked."""
    holidays = {date(2026, 5, 1), date(2026, 5, 11)}
    assert working_days(date(2026, 5, 1), date(2026, 5, 31)) == 21
    assert working_days(date(2026, 5, 1), date(2026, 5, 31), holidays) == 19
    assert working_days(date(2026, 5, 1), date(2026, 5, 31), holidays, {date(2026, 5, 16)}) == 20
    assert working_days(date(2026, 5, 2), date(2026, 5, 1)) == 0


@settings(max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories())
def test_running_is_recomputed(history: History) -> None:
    """Over histories with reversals, restorations and rules that change: equal to the kopeck, in any order."""
    keep(history)


@given(bonus_rules(), st.integers(0, 10**8), st.integers(0, 10**8))
def test_more_money_never_gives_less(one: BonusRule, some: int, more: int) -> None:
    """f never falls, so that money that comes in never takes a bonus away."""
    before, after = (Receipts({"": Decimal(sum_) / 100}) for sum_ in (some, some + more))
    assert 0 <= bonus(before, one) <= bonus(after, one)


@given(st.integers(-(10**9), 10**9), st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_every_split_adds_up(amount: int, weights: list[int]) -> None:
    """Whatever the shares, they are the sum."""
    percents = {f"m{at}": Decimal(weight) for at, weight in enumerate(weights)}
    percents["z"] = 100 - sum(percents.values(), Decimal(0))
    if percents["z"] >= 0:
        assert sum(split(Decimal(amount) / 100, percents, "RUB").values()) == Decimal(amount) / 100
