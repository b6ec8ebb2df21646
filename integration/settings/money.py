"""The tables of money: invoices, allocation of payments, bonuses and plans. Sums and percents are Decimal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal

from integration.settings import checks as c
from integration.settings.checks import Dates, Percent, Rates, Shares, Template, repeated
from integration.settings.values import Wrong

Currency = Annotated[str, c.matching("[A-Z]{3}", "три латинские буквы валюты: RUB")]


@dataclass(frozen=True, kw_only=True)
class Invoicing:
    """`due_days`: None: an invoice names no day of payment."""

    crm_stage: str = "Proposal"
    vat: Literal["auto", "22", "20", "10", "7", "5", "0", "none"] = "auto"
    vat_included: bool = True
    line: Template = "Услуги по договору: {name}"
    due_days: Annotated[int, c.whole(0, 3660)] | None = None


@dataclass(frozen=True, kw_only=True)
class Allocation:
    oldest_first: bool = True
    invoice_days: Annotated[int, c.whole(0, 3660)] = 90
    purpose_months: Annotated[int, c.whole(1, 120)] = 12
    closed_until: date | None = None


@dataclass(frozen=True, kw_only=True)
class Tier:
    """One step of the month's total: `rate` percent on the part up to `up_to`; None: on all the rest."""

    up_to: Decimal | None = None
    rate: Percent


@dataclass(frozen=True, kw_only=True)
class BonusRule:
    since: date
    manager: str = "*"
    base: Literal["gross", "net"] = "gross"
    counts: Literal["allocation", "received"] = "allocation"
    currency: Currency = "RUB"
    tiers: tuple[Tier, ...]
    groups: Rates = field(default_factory=dict)
    first_payment: Decimal | None = None
    cap: Decimal | None = None

    def settled(self) -> BonusRule:
        steps = [tier.up_to for tier in self.tiers]
        if not steps or steps[-1] is not None or any(a is None or (b and b <= a) for a, b in pairwise(steps)):
            raise Wrong(tiers="ступени идут по возрастанию up_to, у последней up_to нет")
        return self


@dataclass(frozen=True, kw_only=True)
class Split:
    """What this manager's deals (or this one `deal`) bring is shared, in payments dated `since` or later."""

    since: date
    manager: str
    deal: str | None = None
    shares: Shares

    def settled(self) -> Split:
        if sum(self.shares.values()) != 100 or min(self.shares.values()) <= 0:
            raise Wrong(shares="доли больше нуля и в сумме дают 100")
        return self


@dataclass(frozen=True, kw_only=True)
class Bonus:
    """`currency`: of the KPI that Redis and the leaderboard show."""

    currency: Currency = "RUB"
    rule: tuple[BonusRule, ...] = ()
    split: tuple[Split, ...] = ()

    def settled(self) -> Bonus:
        wrong = {}
        if repeated((rule.manager, rule.since, rule.currency) for rule in self.rule):
            wrong["rule"] = "у двух правил один manager, одна дата since и одна валюта"
        if repeated((split.manager, split.deal, split.since) for split in self.split):
            wrong["split"] = "у двух делений один manager, одна сделка и одна дата since"
        if wrong:
            raise Wrong(**wrong)
        return self


_MONTH_DAY = c.many(c.matching("(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])", 'день года: "01-31"'))


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """The production calendar: Monday to Friday, less `every_year` and `holidays`, and `workdays` whatever they are."""

    every_year: Annotated[tuple[str, ...], _MONTH_DAY] = (
        *(f"01-0{day}" for day in range(1, 9)),
        *("02-23", "03-08", "05-01", "05-09", "06-12", "11-04"),
    )
    holidays: Dates = (date(2026, 1, 9), date(2026, 3, 9), date(2026, 5, 11), date(2026, 12, 31))
    workdays: Dates = ()

    def off(self, years: Iterable[int]) -> set[date]:
        """The days off that are no weekends, of these years."""
        days = {f"{year}-{one}" for year in years for one in self.every_year}
        return {*self.holidays, *(date.fromisoformat(one) for one in days if not _leap_only(one))}


def _leap_only(day: str) -> bool:
    """A day that this year lacks: the 29th of February, or one that no year has."""
    try:
        date.fromisoformat(day)
    except ValueError:
        return True
    return False


@dataclass(frozen=True, kw_only=True)
class Plan:
    manager: str
    month: Annotated[str, c.matching("20[0-9]{2}-(0[1-9]|1[0-2])", 'месяц: "2026-11"')]
    amount: Decimal
    currency: Currency = "RUB"
