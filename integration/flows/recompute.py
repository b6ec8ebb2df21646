"""The full recomputation of bonuses from the ledger's accruals: it proves the running figures, mends what stands beside
them, and swaps what Redis shows, a whole period at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from integration.flows.bonus import Rules
from integration.flows.holder import Whose
from integration.flows.kpi import LOCK, forecasts, owed_kpi, show_month, today_of
from integration.rules.accrual import Accrual, Raw, last_day, telling, totals_of
from integration.rules.bonus import Month, month_of, values
from integration.rules.earnings import NO_DEAL, Key, Sums
from integration.rules.kpi import Amounts, Place, Recounted
from integration.services import Services, Unit
from integration.settings.money import BonusRule
from integration.work import Event, new_id

_ZERO = Decimal(0)
CAUSE = "полный пересчёт"


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the running figure was not the recomputed one. `what`: "bonus" (of the month), "received" (of a day),
    "totals" (the sums that the next accrual builds on)."""

    manager: str
    currency: str
    month: Month
    what: str
    incremental: Decimal
    recomputed: Decimal


@dataclass
class Proof:
    """What a recomputation came to."""

    months: list[Month] = field(default_factory=list)
    managers: int = 0
    differences: list[Difference] = field(default_factory=list)

    def __str__(self) -> str:
        return f"месяцев: {len(self.months)}, менеджеров: {self.managers}, расхождений: {len(self.differences)}"


def recompute(services: Services, month: Month | None = None) -> Proof:
    """Recompute a month, or all that there are; differences are told and mended."""
    proof = Proof()
    with services.store.unit("look for months") as unit:
        known = sorted(unit.kpi.months())
    present = month_of(today_of(services))
    for one in [month] if month else sorted({*known, present}):
        settle_rules(services, one)
        _prove(services, one, proof)
        if services.board is not None:
            with services.store.lock(LOCK):
                show_month(services, one)
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
        places = sorted(unit.kpi.rules(month))
    changed = 0
    for manager, currency in places:
        with services.store.unit("rule of a month") as unit:
            keeper = Rules(services, unit, _everybody(services, unit), currency, month_of(day))
            keeper.held(manager, month, day)
            if keeper.changed:
                changed += 1
                unit.owe(owed_kpi(), cause=Event("", "ledger", "", "", "", b"", new_id()))
    return changed


def _everybody(services: Services, unit: Unit) -> Whose:
    return Whose(services, unit, (), (), services.settings.schedule.timezone)


# -- proving ------------------------------------------------------------------------------------------------------


def _prove(services: Services, month: Month, proof: Proof) -> None:
    """Compare every manager's month; what differs is looked at once more while nobody can change it."""
    suspects = []
    with services.store.unit("recount") as unit:
        kept = _Kept.read(unit, month)
        seen: set[Place] = set()
        for one in unit.kpi.recounted(month):
            seen.add(one.place)
            if _differences(one, kept, month):
                suspects.append(one.place)
        others = {*kept.late, *kept.days} - seen
        suspects += [place for place in sorted(others) if _differences(Recounted(place, {}, {}), kept, month)]
        proof.managers += len(seen | others)
    for place in suspects:
        proof.differences += _mend(services, place, month)


def _mend(services: Services, place: Place, month: Month) -> list[Difference]:
    """The same for one manager, holding his month: what still differs is a fault, told and mended by what the accruals
    say."""
    manager, currency = place
    with services.store.unit("recount a manager") as unit:
        rule = unit.bonuses.hold((manager, currency, month), unit.kpi.rules(month, [manager]).get(place))
        kept = _Kept.read(unit, month, manager)
        mine = (one for one in unit.kpi.recounted(month, manager) if one.place == place)
        one = next(mine, Recounted(place, {}, {}))
        found = _differences(one, kept, month)
        if found:
            days = _days(one, kept.late.get(place, {}))
            unit.kpi.repair(place, month, one.raw, days)
            entered = sum((bonus for _, bonus in days.values()), _ZERO)
            lacks = _recomputed(one, kept, month, rule) - entered
            if lacks:
                day = min(last_day(month), today_of(services))
                day = max(day, date.fromisoformat(f"{month}-01"))
                made = Accrual("rule", Key("", manager, "", day, NO_DEAL), month, "", day, Sums(), lacks)
                text = f"Полный пересчёт за {month} исправил бонус на {lacks} {currency}"
                unit.bonuses.enter("", currency, [telling(made, text)], CAUSE)
            unit.owe(owed_kpi(), cause=Event("", "ledger", "", "", "", b"", new_id()))
    return found


@dataclass(frozen=True)
class _Kept:
    """What stands beside the accruals of a month, and what payments of other months did in it."""

    totals: Mapping[Place, Raw]
    days: Mapping[Place, Mapping[str, Any]]
    rules: Mapping[Place, BonusRule | None]
    late: Mapping[Place, Mapping[tuple[Month, str], Amounts]]
    before: Mapping[Month, tuple[Mapping[Place, Raw], Mapping[Place, BonusRule | None]]]

    @classmethod
    def read(cls, unit: Unit, month: Month, manager: str | None = None) -> _Kept:
        only = None if manager is None else [manager]
        late = unit.kpi.taken_in(month, manager)
        months = sorted({one for rows in late.values() for one, _ in rows})
        whose = sorted({place[0] for place in late})
        before = {one: (unit.kpi.totals(one, whose), unit.kpi.rules(one, whose)) for one in months}
        return cls(unit.kpi.totals(month, only), unit.kpi.days(month, only), unit.kpi.rules(month, only), late, before)


def _differences(one: Recounted, kept: _Kept, month: Month) -> list[Difference]:
    place = one.place

    def different(what: str, was: Decimal, now: Decimal) -> Difference:
        return Difference(*place, month, what, was, now)

    found = []
    standing = {key: sums for key, sums in kept.totals.get(place, {}).items() if sums}
    counted = {key: sums for key, sums in one.raw.items() if sums}
    if standing != counted:
        found.append(different("totals", _gross(standing), _gross(counted)))
    days = _days(one, kept.late.get(place, {}))
    shown = kept.days.get(place, {})
    for day in sorted(days.keys() | shown.keys()):
        was, now = shown[day].received if day in shown else _ZERO, days.get(day, (_ZERO, _ZERO))[0]
        if was != now:
            found.append(different("received", was, now))
    running = sum((figures.bonus for figures in shown.values()), _ZERO)
    whole = _recomputed(one, kept, month, kept.rules.get(place))
    if running != whole:
        found.append(different("bonus", running, whole))
    entered = sum((bonus for _, bonus in days.values()), _ZERO)
    if running == whole and entered != whole:
        found.append(different("bonus", entered, whole))
    return found


def _recomputed(one: Recounted, kept: _Kept, month: Month, rule: BonusRule | None) -> Decimal:
    """The month's bonus as a function of sums: its own payments, and what it took back of earlier ones."""
    whole = values(totals_of(one.raw, rule), rule, month)[month]
    for earlier in {name for name, _ in kept.late.get(one.place, {})}:
        totals, rules = kept.before[earlier]
        its = rules.get(one.place)
        whole += values(totals_of(totals.get(one.place, {}), its), its, earlier).get(month, _ZERO)
    return whole


def _days(one: Recounted, late: Mapping[tuple[Month, str], Amounts]) -> dict[str, Amounts]:
    days = dict(one.days)
    for (_, day), (received, bonus) in late.items():
        was = days.get(day, (_ZERO, _ZERO))
        days[day] = (was[0] + received, was[1] + bonus)
    return days


def _gross(raw: Raw) -> Decimal:
    return sum((sums.gross for sums in raw.values()), _ZERO)


def _foretell(services: Services, month: Month) -> None:
    """Keep today's forecasts, to hold them against what the month comes to."""
    with services.store.unit("keep forecasts") as unit:
        for currency in sorted({place[1] for place in unit.kpi.rules(month)}):
            made = forecasts(services, unit, month, None, currency)
            day = today_of(services)
            unit.kpi.keep_forecasts(month, day, {(manager, currency): one for manager, one in made.items()})
