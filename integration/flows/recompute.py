"""The full recomputation of bonuses from the ledger's accruals: it proves the running figures, mends what stands beside
them, and swaps what Redis shows, a whole period at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from integration.flows.bonus import Rules
from integration.flows.holder import Whose
from integration.flows.kpi import LOCK, forecasts, owed_kpi, show_month, today_of
from integration.rules.accrual import Accrual, Raw, last_day, packed, telling, totals_of
from integration.rules.bonus import Month, month_of, values
from integration.rules.earnings import NO_DEAL, Key, Sums
from integration.rules.kpi import Figures, Period, Place
from integration.services import Services, Unit
from integration.settings.money import BonusRule
from integration.work import Event, new_id

_ZERO = Decimal(0)
CAUSE = "полный пересчёт"
_WHAT = {"bonus": "бонус", "received": "засчитано за день", "payments": "платежей за день", "totals": "итоги месяца"}


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the running figure was not the recomputed one. `what`: "bonus" (of the month), "received" and
    "payments" (of a day), "totals" (the sums that the next accrual builds on)."""

    manager: str
    currency: str
    month: Month
    what: str
    incremental: Decimal
    recomputed: Decimal

    def __str__(self) -> str:
        told = f"{self.month} {self.manager}: {_WHAT[self.what]} было {self.incremental}"
        return f"{told}, по учёту {self.recomputed} {self.currency}"


@dataclass
class Proof:
    """What a recomputation came to."""

    months: list[Month] = field(default_factory=list)
    managers: int = 0
    differences: list[Difference] = field(default_factory=list)

    def __str__(self) -> str:
        return f"месяцев: {len(self.months)}, менеджеров: {self.managers}, расхождений: {len(self.differences)}"


def recompute(services: Services, month: Month | None = None, *, days: bool = True) -> Proof:
    """Recompute a month, or all that there are; differences are told and mended. Redis gets each month and its quarter
    anew, and the month's days, too, if they are asked for or something differed."""
    proof = Proof()
    with services.store.unit("look for months") as unit:
        known = sorted(unit.kpi.months())
    present = month_of(today_of(services))
    for one in [month] if month else sorted({*known, present}):
        settle_rules(services, one)
        before = len(proof.differences)
        _prove(services, one, proof)
        if services.board is not None:
            with services.store.lock(LOCK):
                show_month(services, one, days=days or len(proof.differences) > before)
        proof.months.append(one)
    if month in (None, present):
        _foretell(services, present)
    return proof


def settle_rules(services: Services, month: Month) -> int:
    """Bring a month that still runs to the rules of the settings; an ended one keeps its own. How many changed."""
    day = today_of(services)
    if month < month_of(day):
        return 0
    with services.store.unit("look for rules") as unit:
        whose = _whose(services, unit, everybody=True)
        old = [
            place
            for place, rule in unit.kpi.rules(month).items()
            if packed(rule) != packed(whose.rule(place[0], month, place[1], ended=False))
        ]
    changed = 0
    for manager, currency in sorted(old):
        with services.store.unit("rule of a month") as unit:
            keeper = Rules(services, unit, _whose(services, unit), currency, month_of(day))
            keeper.held(manager, month, day)
            if keeper.changed:
                changed += 1
                unit.owe(owed_kpi(), cause=Event("", "ledger", "", "", "", b"", new_id()))
    return changed


def _whose(services: Services, unit: Unit, *, everybody: bool = False) -> Whose:
    return Whose(services, unit, (), (), services.settings.schedule.timezone, everybody=everybody)


# -- proving ------------------------------------------------------------------------------------------------------


def _prove(services: Services, month: Month, proof: Proof) -> None:
    """Compare every manager's month; what differs is looked at once more while nobody can change it."""
    with services.store.unit("recount") as unit:
        suspects = {place for place, _, _, _ in unit.kpi.different_days(month)}
        kept = _Kept.read(unit, month)
        everybody = kept.places()
        suspects |= {place for place in everybody if _of_sums(place, kept, month)}
        proof.managers += len(everybody | suspects)
    for place in sorted(suspects):
        proof.differences += prove_one(services, place, month)


def prove_one(services: Services, place: Place, month: Month) -> list[Difference]:
    """One manager's month, held meanwhile with all his others: what still differs is a fault, told and mended by what
    the accruals say."""
    manager, currency = place
    with services.store.unit("recount a manager") as unit:
        unit.bonuses.hold_months(manager, currency)
        rule = unit.bonuses.hold((manager, currency, month), unit.kpi.rules(month, [manager]).get(place))
        kept = _Kept.read(unit, month, [manager])
        days = unit.kpi.recounted_days(month, [manager]).get(place, {})
        found = [*_of_days(place, unit.kpi.days(month, [manager]).get(place, {}), days, month)]
        found += _of_sums(place, kept, month)
        if found:
            unit.kpi.repair(place, month, kept.counted.get(place, {}), days)
            entered = sum((one.bonus for one in days.values()), _ZERO)
            whole = _recomputed(place, kept, month, rule)
            if lacks := whole - entered:
                day = max(min(last_day(month), today_of(services)), date.fromisoformat(f"{month}-01"))
                made = Accrual("rule", Key("", manager, "", day, NO_DEAL), month, "", day, Sums(), lacks)
                text = f"Полный пересчёт за {month} исправил бонус на {lacks} {currency}"
                unit.bonuses.enter("", currency, [telling(made, text)], CAUSE)
                if not any(one.what == "bonus" for one in found):
                    found.append(Difference(*place, month, "bonus", entered, whole))
            unit.owe(owed_kpi(), cause=Event("", "ledger", "", "", "", b"", new_id()))
    return found


@dataclass(frozen=True)
class _Kept:
    """What stands beside the accruals of a month, what they add up to, and the months whose payments it took back."""

    totals: Mapping[Place, Raw]
    counted: Mapping[Place, Raw]
    figures: Mapping[Place, Figures]
    rules: Mapping[Place, BonusRule | None]
    late: Mapping[Place, set[Month]]
    before: Mapping[Month, tuple[Mapping[Place, Raw], Mapping[Place, BonusRule | None]]]

    @classmethod
    def read(cls, unit: Unit, month: Month, only: Collection[str] | None = None) -> _Kept:
        late = unit.kpi.taken_in(month, only)
        months = sorted({one for earlier in late.values() for one in earlier})
        whose = sorted({place[0] for place in late})
        before = {one: (unit.kpi.totals(one, whose), unit.kpi.rules(one, whose)) for one in months}
        counted, figures = unit.kpi.recounted(month, only), unit.kpi.figures(Period.read(month), only)
        return cls(unit.kpi.totals(month, only), counted, figures, unit.kpi.rules(month, only), late, before)

    def places(self) -> set[Place]:
        return {*self.totals, *self.counted, *self.figures, *self.late}


def _of_sums(place: Place, kept: _Kept, month: Month) -> list[Difference]:
    """The sums that the next accrual builds on, and the month's bonus."""
    found = []
    standing = {key: sums for key, sums in kept.totals.get(place, {}).items() if sums}
    counted = {key: sums for key, sums in kept.counted.get(place, {}).items() if sums}
    if standing != counted:
        found.append(Difference(*place, month, "totals", _gross(standing), _gross(counted)))
    running = kept.figures[place].bonus if place in kept.figures else _ZERO
    whole = _recomputed(place, kept, month, kept.rules.get(place))
    if running != whole:
        found.append(Difference(*place, month, "bonus", running, whole))
    return found


def _of_days(
    place: Place, kept: Mapping[str, Figures], counted: Mapping[str, Figures], month: Month
) -> Iterable[Difference]:
    """Day by day what was received and how many payments there were; a day's bonus where the month's agrees."""
    nothing = Figures(_ZERO, _ZERO, 0)
    same_bonus = sum((one.bonus for one in kept.values()), _ZERO) == sum((one.bonus for one in counted.values()), _ZERO)
    for day in sorted(kept.keys() | counted.keys()):
        was, now = kept.get(day, nothing), counted.get(day, nothing)
        if was.received != now.received:
            yield Difference(*place, month, "received", was.received, now.received)
        if was.payments != now.payments:
            yield Difference(*place, month, "payments", Decimal(was.payments), Decimal(now.payments))
        if same_bonus and was.bonus != now.bonus:
            yield Difference(*place, month, "bonus", was.bonus, now.bonus)


def _recomputed(place: Place, kept: _Kept, month: Month, rule: BonusRule | None) -> Decimal:
    """The month's bonus as a function of sums: its own payments, and what it took back of earlier ones."""
    whole = values(totals_of(kept.counted.get(place, {}), rule), rule, month)[month]
    for earlier in kept.late.get(place, ()):
        totals, rules = kept.before[earlier]
        its = rules.get(place)
        whole += values(totals_of(totals.get(place, {}), its), its, earlier).get(month, _ZERO)
    return whole


def _gross(raw: Raw) -> Decimal:
    return sum((sums.gross for sums in raw.values()), _ZERO)


def _foretell(services: Services, month: Month) -> None:
    """Keep today's forecasts, to hold them against what the month comes to."""
    with services.store.unit("keep forecasts") as unit:
        for currency in sorted({place[1] for place in unit.kpi.rules(month)}):
            made = forecasts(services, unit, month, None, currency)
            day = today_of(services)
            unit.kpi.keep_forecasts(month, day, {(manager, currency): one for manager, one in made.items()})
