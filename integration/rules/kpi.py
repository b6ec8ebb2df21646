"""KPI: periods as their addresses have them, a manager's figures, and what a month may come to by the calendar."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any, Literal, NamedTuple

from integration.rules.accrual import last_day
from integration.rules.bonus import Forecast, Month, month_of, working_days
from integration.settings.money import Calendar, Plan

_DAY, _MONTH, _QUARTER = r"\d{4}-\d\d-\d\d", r"\d{4}-(0[1-9]|1[0-2])", r"\d{4}-Q[1-4]"
_TENTH = Decimal("0.1")


Managers = Collection[str] | None  # None: everybody
Place = tuple[str, str]  # manager, currency


class Figures(NamedTuple):
    """Received, bonus, and how many payments."""

    received: Decimal
    bonus: Decimal
    payments: int


@dataclass(frozen=True, slots=True)
class Period:
    """A day, a month or a quarter, first and last day in it; `name` as keys and addresses have it."""

    name: str
    kind: Literal["day", "month", "quarter"]
    first: date
    last: date

    @classmethod
    def read(cls, name: str) -> Period:
        """2026-11-24, 2026-11 or 2026-Q4. Raises ValueError for anything else."""
        if re.fullmatch(_DAY, name):
            day = date.fromisoformat(name)
            return cls(name, "day", day, day)
        if re.fullmatch(_MONTH, name):
            return cls(name, "month", date.fromisoformat(f"{name}-01"), last_day(name))
        if re.fullmatch(_QUARTER, name):
            year, number = name.split("-Q")
            first, last = 3 * int(number) - 2, 3 * int(number)
            return cls(name, "quarter", date(int(year), first, 1), last_day(f"{year}-{last:02}"))
        raise ValueError(name)

    @property
    def months(self) -> tuple[Month, ...]:
        """The months in it; none for a day."""
        if self.kind == "day":
            return ()
        return tuple(f"{self.first.year}-{number:02}" for number in range(self.first.month, self.last.month + 1))


def periods_of(day: date) -> tuple[str, str, str]:
    """The day, the month and the quarter that a day belongs to."""
    return day.isoformat(), month_of(day), f"{day.year}-Q{(day.month + 2) // 3}"


@dataclass(frozen=True, slots=True)
class Kpi:
    """A manager's figures of one period in one currency; `forecast` of a month alone."""

    manager: str
    currency: str
    received: Decimal
    bonus: Decimal
    payments: int
    plan: Decimal | None = None
    forecast: Forecast | None = None

    @property
    def plan_percent(self) -> Decimal | None:
        """Received of the plan, to one decimal, rounded down; None without a plan."""
        if not self.plan:
            return None
        return (self.received * 100 / self.plan).quantize(_TENTH, rounding=ROUND_DOWN)

    @property
    def foretold(self) -> Decimal | None:
        """The bonus that the month may end with."""
        return None if self.forecast is None else self.bonus + self.forecast.run_rate + self.forecast.due

    def fields(self) -> dict[str, str]:
        """As Redis keeps it; "" where there is nothing to tell."""

        def text(value: Decimal | None) -> str:
            return "" if value is None else f"{value:.2f}"

        return {
            "received": text(self.received),
            "bonus": text(self.bonus),
            "payments": str(self.payments),
            "plan": text(self.plan),
            "plan_percent": "" if self.plan_percent is None else str(self.plan_percent),
            "forecast": text(self.foretold),
            "currency": self.currency,
        }

    @property
    def only_planned(self) -> bool:
        """Whether there is nothing but a plan yet."""
        return self.plan is not None and not (self.received or self.bonus or self.payments)

    @property
    def score(self) -> int:
        """The bonus in minor units, by which managers are ranked."""
        return int(self.bonus * 100)


@dataclass(frozen=True, slots=True)
class Told:
    """What the feed says of one accrual; `fields` are texts."""

    accrual: int
    manager: str
    days: tuple[date, ...]
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Explained:
    """One accrual for people: the way from the payment to the sum."""

    id: int
    kind: str
    given: date
    month: Month
    taken: Month
    payment: str
    crm: str
    deal: str
    group: str
    counted: Decimal
    bonus: Decimal
    currency: str
    detail: Mapping[str, Any]


def plan_of(plans: Iterable[Plan], names: Iterable[str], period: Period, currency: str) -> Decimal | None:
    """The plan of a month, or of the months of a quarter together; None where there is none."""
    mine = set(names)
    found = [
        plan.amount
        for plan in plans
        if plan.manager in mine and plan.month in period.months and plan.currency == currency
    ]
    return sum(found, Decimal(0)) if found else None


def worked_and_left(month: Month, today: date, calendar: Calendar) -> tuple[int, int]:
    """The working days of a month up to `today`, that one in, and those after; none left to count by where none of
    them has been worked yet."""
    first, last = date.fromisoformat(f"{month}-01"), last_day(month)
    off = calendar.off({first.year})
    worked = working_days(first, min(today, last), off, calendar.workdays) if today >= first else 0
    left = working_days(max(today + timedelta(days=1), first), last, off, calendar.workdays) if today < last else 0
    return worked, left if worked else 0
