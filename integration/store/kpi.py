"""KPI read from the database within one transaction: sums of days, what is news, how each accrual came about."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, null, or_, select, union_all

from integration.rules.accrual import unpacked
from integration.rules.bonus import Forecast, Month
from integration.rules.earnings import Sums
from integration.rules.kpi import Explained, Figures, Managers, Period, Place, Told
from integration.settings.money import BonusRule
from integration.store.bonus_schema import (
    accruals,
    bonus_days,
    bonus_dues,
    bonus_forecasts,
    bonus_months,
    bonus_totals,
    kpi_news,
)
from integration.store.boxes import upsert
from integration.store.facts import chunks

_ZERO = Decimal(0)


class SqlKpi:
    """KPI within one transaction."""

    def __init__(self, conn: Connection, now: datetime) -> None:
        self._conn, self._now = conn, now

    # -- figures ----------------------------------------------------------------------------------------------------

    def figures(self, period: Period, managers: Managers = None) -> dict[Place, Figures]:
        """Each manager's figures of a period, in each of his currencies."""
        names = ("received", "bonus", "payments")
        columns = [func.sum(bonus_days.c[name]).label(name) for name in names]
        mine = select(bonus_days.c.manager, bonus_days.c.currency, *columns)
        mine = mine.where(bonus_days.c.day.between(period.first.isoformat(), period.last.isoformat()))
        mine = mine.group_by(bonus_days.c.manager, bonus_days.c.currency)
        found = {}
        for row in self._of(mine, bonus_days.c.manager, managers):
            found[row.manager, row.currency] = Figures(row.received, row.bonus, int(row.payments))
        return found

    def days(self, month: Month, managers: Managers = None) -> dict[Place, dict[str, Figures]]:
        """Each manager's days of a month."""
        mine = select(bonus_days).where(bonus_days.c.day.between(f"{month}-01", f"{month}-31"))
        found: dict[Place, dict[str, Figures]] = {}
        for row in self._of(mine, bonus_days.c.manager, managers):
            place = found.setdefault((row.manager, row.currency), {})
            place[row.day] = Figures(row.received, row.bonus, row.payments)
        return found

    def totals(self, month: Month, managers: Managers = None) -> dict[Place, dict[tuple[Month, str], Sums]]:
        """The sums of payments dated in a month, by manager: (taken, group) → sums."""
        mine = select(bonus_totals).where(bonus_totals.c.month == month)
        found: dict[Place, dict[tuple[Month, str], Sums]] = {}
        for row in self._of(mine, bonus_totals.c.manager, managers):
            place = found.setdefault((row.manager, row.currency), {})
            place[row.taken, row.grp] = Sums(row.gross, row.net, row.first)
        return found

    def rules(self, month: Month, managers: Managers = None) -> dict[Place, BonusRule | None]:
        """The rules of a month, by manager."""
        mine = select(bonus_months).where(bonus_months.c.month == month)
        rows = self._of(mine, bonus_months.c.manager, managers)
        texts: dict[str, BonusRule | None] = {}
        return {(row.manager, row.currency): texts.setdefault(row.rule, unpacked(row.rule)) for row in rows}

    def dues(self, since: date, until: date, managers: Managers = None) -> dict[Place, Decimal]:
        """What falls due in these days, by the manager of its deal."""
        mine = select(bonus_dues.c.manager, bonus_dues.c.currency, func.sum(bonus_dues.c.lacks).label("lacks"))
        mine = mine.where(bonus_dues.c.due.between(since.isoformat(), until.isoformat()))
        mine = mine.group_by(bonus_dues.c.manager, bonus_dues.c.currency)
        return {(row.manager, row.currency): row.lacks for row in self._of(mine, bonus_dues.c.manager, managers)}

    def months(self) -> list[Month]:
        """The months that have figures, the latest first."""
        months = func.substr(bonus_days.c.day, 1, 7)
        return list(self._conn.scalars(select(months).distinct().order_by(months.desc())))

    def _of(self, statement: Select[Any], column: Any, managers: Managers) -> Iterator[Any]:
        if managers is None:
            yield from self._conn.execute(statement)
            return
        for some in chunks(sorted(managers)):
            yield from self._conn.execute(statement.where(column.in_(some)))

    # -- news -------------------------------------------------------------------------------------------------------

    def news(self, limit: int) -> list[Told]:
        """Accruals that are not shown yet, the oldest first."""
        mine = select(accruals).join(kpi_news, kpi_news.c.accrual == accruals.c.id).order_by(accruals.c.id)
        return [_told(row) for row in self._conn.execute(mine.limit(limit))]

    def forget_news(self, ids: Sequence[int]) -> None:
        self._conn.execute(delete(kpi_news).where(kpi_news.c.accrual.in_(ids)))

    def latest(self, limit: int) -> list[tuple[datetime, Told]]:
        """The latest accruals that gave or took a bonus and were shown, the oldest first; when each was made."""
        news = select(kpi_news.c.accrual)
        mine = select(accruals).where(accruals.c.bonus != _ZERO, accruals.c.id.not_in(news))
        rows = list(self._conn.execute(mine.order_by(accruals.c.id.desc()).limit(limit)))
        return [(row.created_at, _told(row)) for row in reversed(rows)]

    # -- explaining -------------------------------------------------------------------------------------------------

    def explained(self, manager: str, period: Period, limit: int = 1000) -> list[Explained]:
        """A manager's accruals of a period, in their order."""
        days = accruals.c.given.between(period.first.isoformat(), period.last.isoformat())
        mine = select(accruals).where(accruals.c.manager == manager, days).order_by(accruals.c.given, accruals.c.id)
        return [
            Explained(
                row.id, row.kind, date.fromisoformat(row.given), row.month, row.taken, row.payment, row.crm, row.deal,
                row.grp, row.gross, row.bonus, row.currency, json.loads(row.detail),
            )
            for row in self._conn.execute(mine.limit(limit))
        ]  # fmt: skip

    # -- recounting -------------------------------------------------------------------------------------------------

    def recounted(self, month: Month, managers: Managers = None) -> dict[Place, dict[tuple[Month, str], Sums]]:
        """What `totals` keeps, added up from the accruals themselves."""
        group = [accruals.c[name] for name in ("manager", "currency", "taken", "grp")]
        sums = [func.sum(accruals.c[name]).label(name) for name in ("gross", "net", "first")]
        mine = select(*group, *sums).where(accruals.c.month == month).group_by(*group)
        found: dict[Place, dict[tuple[Month, str], Sums]] = {}
        for row in self._of(mine, accruals.c.manager, managers):
            place = found.setdefault((row.manager, row.currency), {})
            place[row.taken, row.grp] = Sums(row.gross, row.net, row.first)
        return found

    def recounted_days(self, month: Month, managers: Managers = None) -> dict[Place, dict[str, Figures]]:
        """What `days` keeps, added up from the accruals themselves."""
        counted = _counted_days(month)
        found: dict[Place, dict[str, Figures]] = {}
        for row in self._of(select(counted), counted.c.manager, managers):
            day = Figures(row.received, row.bonus, int(row.payments))
            found.setdefault((row.manager, row.currency), {})[row.day] = day
        return found

    def different_days(self, month: Month) -> list[tuple[Place, str, Figures, Figures]]:
        """The days whose kept figures are not those of the accruals: (whose, day, kept, counted). The database
        compares: what agrees is never read."""
        counted, kept = select(_counted_days(month)).cte("counted"), bonus_days
        same_day = (
            (kept.c.manager == counted.c.manager)
            & (kept.c.currency == counted.c.currency)
            & (kept.c.day == counted.c.day)
        )
        names = ("received", "bonus", "payments")
        unlike = or_(kept.c.day.is_(None), *(kept.c[name] != counted.c[name] for name in names))
        before, now = ([table.c[name].label(f"{word}_{name}") for name in names]
                       for table, word in ((kept, "kept"), (counted, "counted")))  # fmt: skip
        wrong = select(counted.c.manager, counted.c.currency, counted.c.day, *before, *now)
        wrong = wrong.select_from(counted.outerjoin(kept, same_day)).where(unlike)
        some = or_(kept.c.received != _ZERO, kept.c.bonus != _ZERO, kept.c.payments != 0)
        extra = select(kept.c.manager, kept.c.currency, kept.c.day, *before, *(null() for _ in names))
        extra = extra.where(kept.c.day.between(f"{month}-01", f"{month}-31"), some)
        extra = extra.where(~select(counted.c.day).where(same_day).exists())
        both = union_all(wrong, extra)  # in one statement the accruals are added up once
        return [
            (_place(row), row.day, _figures(row, "kept_"), _figures(row, "counted_"))
            for row in self._conn.execute(both)
        ]

    def taken_in(self, month: Month, managers: Managers = None) -> dict[Place, set[Month]]:
        """Whose payments of which other months were taken back, or given back, in this one."""
        names = (accruals.c.manager, accruals.c.currency, accruals.c.month)
        mine = select(*names).where(accruals.c.taken == month, accruals.c.month != month).distinct()
        found: dict[Place, set[Month]] = {}
        for row in self._of(mine, accruals.c.manager, managers):
            found.setdefault((row.manager, row.currency), set()).add(row.month)
        return found

    def repair(
        self, place: Place, month: Month, raw: Mapping[tuple[Month, str], Sums], days: Mapping[str, Figures]
    ) -> None:
        """Make the sums beside the accruals what the accruals say; the caller holds the manager's month."""
        manager, currency = place
        mine = (bonus_totals.c.manager == manager, bonus_totals.c.currency == currency, bonus_totals.c.month == month)
        self._conn.execute(delete(bonus_totals).where(*mine))
        rows = [
            {"manager": manager, "currency": currency, "month": month, "taken": taken, "grp": group,
             "gross": sums.gross, "net": sums.net, "first": sums.first}
            for (taken, group), sums in sorted(raw.items()) if sums
        ]  # fmt: skip
        if rows:
            self._conn.execute(insert(bonus_totals), rows)
        same = (bonus_days.c.manager == manager, bonus_days.c.currency == currency)
        self._conn.execute(delete(bonus_days).where(*same, bonus_days.c.day.between(f"{month}-01", f"{month}-31")))
        if days:
            whose = {"manager": manager, "currency": currency}
            made = [{**whose, "day": day, **one._asdict()} for day, one in sorted(days.items())]
            self._conn.execute(insert(bonus_days), made)

    # -- forecasts --------------------------------------------------------------------------------------------------

    def keep_forecasts(self, month: Month, day: date, made: Mapping[Place, Forecast]) -> None:
        """What is foretold on this day, once a day."""
        rows = [
            {"manager": place[0], "currency": place[1], "month": month, "day": day.isoformat(),
             "accrued": one.accrued, "run_rate": one.run_rate, "due": one.due}
            for place, one in sorted(made.items())
        ]  # fmt: skip
        if rows:
            self._conn.execute(upsert(self._conn, bonus_forecasts).on_conflict_do_nothing(), rows)

    def forecasts(self, manager: str, currency: str) -> list[tuple[Month, date, Forecast]]:
        """What was foretold of him, by month and day."""
        mine = select(bonus_forecasts).where(
            bonus_forecasts.c.manager == manager, bonus_forecasts.c.currency == currency
        )
        return [
            (row.month, date.fromisoformat(row.day), Forecast(row.accrued, row.run_rate, row.due))
            for row in self._conn.execute(mine.order_by(bonus_forecasts.c.month, bonus_forecasts.c.day))
        ]


def _counted_days(month: Month) -> Any:
    """Each manager's days of a month from the accruals."""
    sums = {"received": accruals.c.gross, "bonus": accruals.c.bonus, "payments": accruals.c.payments}
    return (
        select(
            accruals.c.manager,
            accruals.c.currency,
            accruals.c.given.label("day"),
            *(func.sum(column).label(name) for name, column in sums.items()),
        )
        .where(accruals.c.given.between(f"{month}-01", f"{month}-31"))
        .group_by(accruals.c.manager, accruals.c.currency, accruals.c.given)
        .subquery("counted_days")
    )


def _place(row: Any) -> Place:
    return row.manager, row.currency


def _figures(row: Any, prefix: str = "") -> Figures:
    received, bonus, payments = (getattr(row, f"{prefix}{name}") for name in ("received", "bonus", "payments"))
    return Figures(received or _ZERO, bonus or _ZERO, int(payments or 0))


def _told(row: Any) -> Told:
    detail = json.loads(row.detail)
    fields = {
        "manager": row.manager, "text": detail.get("text", ""), "bonus": f"{row.bonus:.2f}",
        "counted": f"{row.gross:.2f}", "currency": row.currency, "payment": row.payment, "crm": row.crm,
        "deal": row.deal, "day": row.given, "month": row.given[:7], "accrual": str(row.id),
    }  # fmt: skip
    return Told(row.id, row.manager, (date.fromisoformat(row.given), date.fromisoformat(row.day)), fields)
