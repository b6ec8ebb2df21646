"""KPI for people and programs: a leaderboard, one manager's figures, and where each rouble of his bonus came from."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from integration.flows.holder import names_of
from integration.flows.kpi import figures_of, today_of
from integration.rules.accrual import spoken
from integration.rules.bonus import month_of
from integration.rules.kpi import Explained, Kpi, Period, plan_of
from integration.services import Services, Unit
from mappers.canonical import User

_MIDDLE = 15  # the day of a month whose forecast is held against what the month came to


def leaderboard(services: Services, period: Period) -> dict[str, Any]:
    """Everybody's figures of a period, the best bonus first; sums are text."""
    with services.store.unit("read figures") as unit:
        users = unit.holders.everybody()
        figures = figures_of(services, unit, period)
    told = [_told(one, rank, users) for rank, one in enumerate(figures, 1)]
    return {"period": period.name, "currency": services.settings.bonus.currency, "managers": told}


def of_manager(services: Services, name: str, period: Period) -> dict[str, Any]:
    """One manager's figures: `name` is his id, user name or name; zeros for whoever has none."""
    with services.store.unit("read figures") as unit:
        users = unit.holders.everybody()
        manager = whom(users, name)
        everybody = figures_of(services, unit, period)
        rank = next((at for at, one in enumerate(everybody, 1) if one.manager == manager), None)
        currency = services.settings.bonus.currency
        mine = next((one for one in everybody if one.manager == manager), None)
        if mine is None:  # his plan stands all the same
            plan = plan_of(services.settings.plan, names_of(users.get(manager, User(manager))), period, currency)
            mine = Kpi(manager, currency, Decimal(0), Decimal(0), 0, plan)
        others = [
            one
            for letters in sorted({place[1] for place in unit.kpi.figures(period, [manager])} - {currency})
            for one in figures_of(services, unit, period, [manager], letters)
        ]
        told = _told(mine, rank, users) | {"period": period.name}
        told["others"] = [_told(one, None, users) for one in others]
        told["accruals"] = [explained(one) for one in unit.kpi.explained(manager, period)]
        told["accuracy"] = _accuracy(services, unit, manager, currency)
    return told


def whom(users: Mapping[str, User], name: str) -> str:
    """The id of whoever is called so; the name itself where nobody is."""
    if name in users:
        return name
    return next((user.id for user in users.values() if name in names_of(user)), name)


def explained(one: Explained) -> dict[str, Any]:
    """One accrual: payment → allocation → rule → sum, field by field and in a sentence."""
    detail = one.detail
    return {
        "id": str(one.id),
        "kind": one.kind,
        "date": one.given.isoformat(),
        "payment": one.payment,
        "payment_number": detail.get("number", ""),
        "crm": one.crm,
        "deal": one.deal,
        "group": one.group,
        "counted": f"{one.counted:.2f}",
        "bonus": f"{one.bonus:.2f}",
        "currency": one.currency,
        "allocations": list(detail.get("allocations", ())),
        "rule": detail.get("rule", ""),
        "before": detail.get("before", ""),
        "after": detail.get("after", ""),
        "text": detail.get("text", ""),
        "explanation": sentence(one),
    }


def sentence(one: Explained) -> str:
    """«Платёж № 5 от 24.11.2026: 6 000 000 ₽ → акт № 1 … → правило … → итог месяца 0 ₽ → 6 000 000 ₽ → +60 000 ₽»"""
    detail, currency = one.detail, one.currency
    steps = []
    if one.payment:
        steps.append(f"{detail.get('label', 'платёж')}: засчитано {spoken(one.counted, currency)}")
    for part in detail.get("allocations", ()):
        why = f" ({part['explanation']})" if part.get("explanation") else ""
        steps.append(f"{part['label']}: {spoken(Decimal(part['amount']), currency)}{why}")
    if one.group:
        steps.append(f"группа «{one.group}»")
    steps.append(detail.get("rule", ""))
    if "before" in detail and "after" in detail and one.payment:
        before, after = (spoken(Decimal(detail[name]), currency) for name in ("before", "after"))
        steps.append(f"засчитано за {one.month}: было {before}, стало {after}")
    sign = "+" if one.bonus > 0 else "−" if one.bonus < 0 else ""
    month = f" за {month_of(one.given)}" if month_of(one.given) != one.month else ""
    steps.append(f"бонус{month} {sign}{spoken(abs(one.bonus), currency)}")
    return " → ".join(step for step in steps if step)


def _told(one: Kpi, rank: int | None, users: Mapping[str, User]) -> dict[str, Any]:
    fields = one.fields()
    forecast = one.forecast
    parts = None
    if forecast is not None:
        parts = {"accrued": f"{one.bonus:.2f}", "run_rate": f"{forecast.run_rate:.2f}", "due": f"{forecast.due:.2f}"}
    return {
        "rank": rank,
        "manager": one.manager,
        "name": users[one.manager].name if one.manager in users else "",
        "received": fields["received"],
        "bonus": fields["bonus"],
        "payments": one.payments,
        "plan": fields["plan"] or None,
        "plan_percent": fields["plan_percent"] or None,
        "forecast": fields["forecast"] or None,
        "forecast_parts": parts,
        "currency": one.currency,
    }


def _accuracy(services: Services, unit: Unit, manager: str, currency: str) -> list[dict[str, Any]]:
    """Of each month that has ended: what was foretold in its middle, and what it came to."""
    middles: dict[str, tuple[str, Decimal]] = {}
    present = month_of(today_of(services))
    for month, day, one in unit.kpi.forecasts(manager, currency):
        if month < present and (day.day <= _MIDDLE or month not in middles):
            middles[month] = (day.isoformat(), one.total)
    told = []
    for month, (text, foretold) in sorted(middles.items()):
        figures = unit.kpi.figures(Period.read(month), [manager]).get((manager, currency))
        came = figures.bonus if figures else Decimal(0)
        error = f"{(foretold - came) * 100 / came:.1f}" if came else None
        told.append(
            {"month": month, "day": text, "foretold": f"{foretold:.2f}", "came": f"{came:.2f}", "error_percent": error}
        )
    return told
