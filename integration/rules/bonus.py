"""Bonuses: what a month of paid money gives a manager, and what a reversal in a later month takes back there.

A manager's month is f(net receipts dated in it) − Σ clawbacks. Everything is a pure function of sums per (manager,
month of the payment, later month in which it was taken back), so that a running figure and a full recomputation from
the ledger are equal to the kopeck: single accruals are differences of these functions. Money is in the rule's
currency; the caller gives the amounts that the rule counts (allocated or received, gross or net).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

from integration.rules.exchange import digits
from integration.settings.money import BonusRule
from mappers.wire import rounded

Month = str  # "2026-11", as [[plan]] has it: such texts compare in time's order
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Receipts:
    """A month's sums: by product group ("" for the rest), and how many first payments of clients are among them (a
    part of one where a deal is split).
    """

    groups: Mapping[str, Decimal] = field(default_factory=dict)
    first: Decimal = _ZERO

    def plus(self, other: Receipts) -> Receipts:
        """Both together; groups that come to nothing are left out."""
        groups = dict(self.groups)
        for group, amount in other.groups.items():
            groups[group] = groups.get(group, _ZERO) + amount
        return Receipts({group: amount for group, amount in groups.items() if amount}, self.first + other.first)

    def minus(self, other: Receipts) -> Receipts:
        """What is left without the other."""
        return self.plus(Receipts({group: -amount for group, amount in other.groups.items()}, -other.first))

    @property
    def total(self) -> Decimal:
        """All groups together."""
        return sum(self.groups.values(), _ZERO)


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement of counted money for one manager: positive, or negative for a reversal.

    `month`: of the payment's date. `taken`: "" for the month's own receipts; a later month when this is a reversal
    that became known there, or the giving back of one (`booked` tells which).
    """

    manager: str
    month: Month
    amount: Decimal
    group: str = ""
    first: Decimal = _ZERO
    taken: Month = ""


@dataclass(frozen=True, slots=True)
class Totals:
    """What the payments dated in one month add up to for one manager: `receipts`, and what later months took back."""

    receipts: Receipts = field(default_factory=Receipts)
    taken: Mapping[Month, Receipts] = field(default_factory=dict)

    def with_(self, movement: Movement) -> Totals:
        """These sums and one movement more."""
        if not movement.taken:
            return replace(
                self, receipts=self.receipts.plus(Receipts({movement.group: movement.amount}, movement.first))
            )
        back = self.taken.get(movement.taken, Receipts())
        back = back.plus(Receipts({movement.group: -movement.amount}, -movement.first))
        return replace(self, taken={**self.taken, movement.taken: back})


@dataclass(frozen=True, slots=True)
class Forecast:
    """A month's bonus as it may end: accrued, at the present rate over the working days left, and what falls due."""

    accrued: Decimal
    run_rate: Decimal
    due: Decimal

    @property
    def total(self) -> Decimal:
        """All three."""
        return self.accrued + self.run_rate + self.due


def month_of(day: date) -> Month:
    """The month of a payment's date (1C's zone)."""
    return f"{day:%Y-%m}"


def bonus(receipts: Receipts, rule: BonusRule | None) -> Decimal:
    """f: what a month's receipts give by its rule, half-up to the currency's digits, never less than nothing.

    Groups with a rate of their own earn it; all the rest climbs the tiers, each tier's rate on its own part. First
    payments add their flat sums, the cap bounds the whole.
    """
    if rule is None:
        return _ZERO
    plain = sum((amount for group, amount in receipts.groups.items() if group not in rule.groups), _ZERO)
    earned, below = _ZERO, _ZERO
    for tier in rule.tiers:
        top = plain if tier.up_to is None else min(plain, tier.up_to)
        if top > below:
            earned += (top - below) * tier.rate / 100
            below = top
    for group, rate in rule.groups.items():
        earned += max(_ZERO, receipts.groups.get(group, _ZERO)) * rate / 100
    earned += max(_ZERO, receipts.first) * (rule.first_payment or _ZERO)
    if rule.cap is not None:
        earned = min(earned, rule.cap)
    return rounded(earned, digits(rule.currency))


def rule_for(
    rules: Iterable[BonusRule], month: Month, names: Collection[str], teams: Collection[str], currency: str
) -> BonusRule | None:
    """The rule of a month: in force on its last day; a manager's own (id or user name) before a team's before "*".

    A month that has ended keeps the rule that it had: the caller stores it and asks no more.
    """
    best: tuple[int, date, str] | None = None
    found = None
    for rule in rules:
        rank = 3 if rule.manager in names else 2 if rule.manager in teams else 1 if rule.manager == "*" else 0
        # Of two teams' rules that begin on one day, one has to be it, and always the same.
        order = (rank, rule.since, rule.manager)
        if rank and rule.currency == currency and month_of(rule.since) <= month and (best is None or order > best):
            best, found = order, rule
    return found


def booked(
    amount: Decimal, month: Month, known: Month, outstanding: Decimal = _ZERO
) -> tuple[tuple[Month, Decimal], ...]:
    """How a movement of a payment of `month`, known in the month `known`, is counted: pairs for `Movement.taken`.

    In the payment's own month it changes the receipts; a later reversal is taken back in that later month; what comes
    back of it (`outstanding`: what later months have taken of this payment) is given back in the month in which it
    comes, so that no month that has ended changes for it. Movements of one payment that cancel each other within one
    transaction are no movement: net them before.
    """
    if known <= month:
        return (("", amount),) if amount else ()
    if amount < 0:
        return ((known, amount),)
    back = min(amount, max(_ZERO, outstanding))
    return tuple((taken, part) for taken, part in ((known, back), ("", amount - back)) if part)


def values(totals: Totals, rule: BonusRule | None, month: Month) -> dict[Month, Decimal]:
    """What the payments of `month` give: f to the month itself, and to each later month minus its clawback.

    A clawback is f(before) − f(after) by the month's own rule; several follow one another in time's order, so that
    all together they leave f(receipts − all that was taken back).
    """
    given = {month: bonus(totals.receipts, rule)}
    left, before = totals.receipts, given[month]
    for later in sorted(totals.taken):
        left = left.minus(totals.taken[later])
        after = bonus(left, rule)
        given[later] = after - before
        before = after
    return given


def accruals(before: Totals, after: Totals, rule: BonusRule | None, month: Month) -> dict[Month, Decimal]:
    """The accruals that lead from the one to the other: month → its difference, where there is one."""
    old, new = values(before, rule, month), values(after, rule, month)
    changed = {key: new.get(key, _ZERO) - old.get(key, _ZERO) for key in sorted(old.keys() | new.keys())}
    return {key: amount for key, amount in changed.items() if amount}


def totals(movements: Iterable[Movement]) -> dict[tuple[str, Month], Totals]:
    """The sums of all movements, by manager and month of the payment, whatever their order."""
    found: dict[tuple[str, Month], Totals] = {}
    for movement in movements:
        key = (movement.manager, movement.month)
        found[key] = found.get(key, Totals()).with_(movement)
    return found


def months(
    sums: Mapping[tuple[str, Month], Totals], rules: Mapping[tuple[str, Month], BonusRule | None]
) -> dict[tuple[str, Month], Decimal]:
    """The full recomputation: each manager's bonus of each month, clawbacks in it, from the sums and months' rules."""
    found: dict[tuple[str, Month], Decimal] = {}
    for (manager, month), one in sums.items():
        for given, amount in values(one, rules.get((manager, month)), month).items():
            found[manager, given] = found.get((manager, given), _ZERO) + amount
    return found


def split(amount: Decimal, percents: Mapping[str, Decimal], currency: str) -> dict[str, Decimal]:
    """A sum between managers by percents that add up to 100; the last by id takes the remainder.

    A sum that changes is split anew, and the movement is the difference: split(after) − split(before). Raises
    ValueError when the percents are not 100 together.
    """
    if sum(percents.values(), _ZERO) != 100 or min(percents.values()) < 0:
        raise ValueError(f"доли менеджеров в сумме должны дать 100 %: {dict(percents)}")
    told, before, shares = _ZERO, _ZERO, {}
    for manager in sorted(percents):
        told += percents[manager]
        upto = rounded(amount * told / 100, digits(currency))
        shares[manager] = upto - before
        before = upto
    return shares


def net(amount: Decimal, gross: Decimal, vat: Decimal, currency: str) -> Decimal:
    """What `amount` of a document of `gross`, with `vat` within it, is without VAT; movements are differences of it."""
    return rounded(amount * (gross - vat) / gross, digits(currency)) if gross else amount


def forecast(receipts: Receipts, rule: BonusRule | None, worked: int, left: int, due: Decimal) -> Forecast:
    """The month's bonus by its receipts so far over `worked` working days, `left` more to come, and `due` instalments.

    Each part is what it adds to the part before it by the month's own tiers. No day worked yet: no run rate.
    """
    accrued = bonus(receipts, rule)
    more = {group: amount * left / worked for group, amount in receipts.groups.items()} if worked > 0 else {}
    running = receipts.plus(Receipts(more))
    by_rate = bonus(running, rule)
    in_all = bonus(running.plus(Receipts({"": due})), rule)
    return Forecast(accrued, by_rate - accrued, in_all - by_rate)


def working_days(first: date, last: date, holidays: Collection[date] = (), workdays: Collection[date] = ()) -> int:
    """Working days from `first` to `last`, both in: Monday to Friday, less holidays, plus weekends that are worked."""
    days = (date.fromordinal(at) for at in range(first.toordinal(), last.toordinal() + 1))
    return sum(day in workdays or (day.weekday() < 5 and day not in holidays) for day in days)
