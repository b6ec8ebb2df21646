"""Histories of paid money for tests of bonuses: months, reversals in and after them, rules that change."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from hypothesis import strategies as st

from integration.rules.bonus import Month, Movement, Totals, accruals, bonus, booked, months, rule_for, totals
from integration.settings.money import BonusRule, Tier

MONTHS = ("2026-01", "2026-02", "2026-03", "2026-04")
GROUPS = ("", "", "hardware", "service")
MANAGERS = ("anna", "boris")
sums = st.integers(1, 10**8).map(lambda kopecks: Decimal(kopecks) / 100)
rates = st.integers(0, 1000).map(lambda tenths: Decimal(tenths) / 100)


@dataclass(frozen=True)
class Event:
    """A payment (or a reversal of an earlier one, wholly or partly) that becomes known in a month."""

    known: Month
    amount: Decimal
    manager: str
    month: Month
    group: str
    first: bool
    undoes: int  # which of the payments so far, when `amount` is negative


@dataclass(frozen=True)
class History:
    rules: tuple[BonusRule, ...]
    movements: tuple[Movement, ...]
    rule_of: dict[tuple[str, Month], BonusRule | None] = field(default_factory=dict)


@st.composite
def bonus_rules(draw: st.DrawFn) -> BonusRule:
    steps = sorted(draw(st.sets(st.integers(1, 10**6), max_size=3)))
    tiers = [Tier(up_to=Decimal(step), rate=draw(rates)) for step in steps]
    return BonusRule(
        since=date(2026, draw(st.integers(1, 4)), draw(st.sampled_from([1, 15])))
        if draw(st.booleans())
        else date(2020, 1, 1),
        manager=draw(st.sampled_from(["*", "anna", "sales"])),
        tiers=(*tiers, Tier(rate=draw(rates))),
        groups={"hardware": draw(rates)} if draw(st.booleans()) else {},
        first_payment=draw(st.none() | sums),
        cap=draw(st.none() | sums),
    )


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Payments, their reversals and restorations in the order in which they become known."""
    rules = tuple(draw(st.lists(bonus_rules(), max_size=4)))
    movements: list[Movement] = []
    live: list[list[object]] = []  # manager, month, group, first, what stands, what later months took
    for known in MONTHS:
        for _ in range(draw(st.integers(0, 4))):
            if live and draw(st.booleans()):
                one = draw(st.sampled_from(live))
                manager, month, group, first, stands, out = one
                assert isinstance(stands, Decimal)
                assert isinstance(out, Decimal)
                part = stands if draw(st.booleans()) else min(stands, draw(sums))
                amount = -part if stands and draw(st.integers(0, 3)) else draw(sums)
                counted = Decimal(1) if first and amount < 0 and -amount == stands else Decimal(0)
                if counted:
                    one[3] = False
            else:
                month = draw(st.sampled_from(MONTHS[: MONTHS.index(known) + 1]))
                one = [
                    draw(st.sampled_from(MANAGERS)),
                    month,
                    draw(st.sampled_from(GROUPS)),
                    draw(st.booleans()),
                    Decimal(0),
                    Decimal(0),
                ]
                live.append(one)
                manager, month, group, first, _, out = one
                amount, counted = draw(sums), Decimal(-1) if first else Decimal(0)
            assert isinstance(out, Decimal)
            for at, (taken, part) in enumerate(booked(amount, str(month), known, out)):
                flat = -counted if at == 0 else Decimal(0)
                movements.append(Movement(str(manager), str(month), part, str(group), flat, taken))
                one[4] = Decimal(str(one[4])) + part
                one[5] = Decimal(str(one[5])) - (part if taken else 0)
    keys = {(movement.manager, movement.month) for movement in movements}
    rule_of = {key: rule_for(rules, key[1], (key[0],), ("sales",), "RUB") for key in keys}
    return History(rules, tuple(movements), rule_of)


def keep(history: History) -> None:
    """The laws of one history: running = recomputed, accruals add up, order does not matter, nothing goes astray."""
    state: dict[tuple[str, Month], Totals] = {}
    running: dict[tuple[str, Month], Decimal] = {}
    for movement in history.movements:
        key = (movement.manager, movement.month)
        before = state.get(key, Totals())
        state[key] = before.with_(movement)
        for month, amount in accruals(before, state[key], history.rule_of[key], movement.month).items():
            running[movement.manager, month] = running.get((movement.manager, month), Decimal(0)) + amount
    whole = months(totals(history.movements), history.rule_of)
    assert {key: amount for key, amount in running.items() if amount} == {k: v for k, v in whole.items() if v}
    assert months(totals(reversed(history.movements)), history.rule_of) == whole
    for (manager, month), one in totals(history.movements).items():
        rule = history.rule_of[manager, month]
        left = one.receipts
        for back in one.taken.values():
            left = left.minus(back)
        given = sum(accruals(Totals(), one, rule, month).values(), Decimal(0))
        assert given == bonus(left, rule)
    assert all(amount == amount.quantize(Decimal("0.01")) for amount in whole.values())
