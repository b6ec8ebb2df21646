"""The tables of money: invoices, allocation of payments, bonuses and plans. Sums and percents are Decimal."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal

from integration.settings import checks as c
from integration.settings.checks import Percent, Rates, Template, repeated
from integration.settings.values import Wrong

Currency = Annotated[str, c.matching("[A-Z]{3}", "три латинские буквы валюты: RUB")]


@dataclass(frozen=True, kw_only=True)
class Invoicing:
    crm_stage: str = "Proposal"
    vat: Literal["auto", "22", "20", "10", "7", "5", "0", "none"] = "auto"
    vat_included: bool = True
    line: Template = "Услуги по договору: {name}"
    due_days: Annotated[int, c.whole(0, 3660)] = 5


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
class Bonus:
    rule: tuple[BonusRule, ...] = ()

    def settled(self) -> Bonus:
        if repeated((rule.manager, rule.since, rule.currency) for rule in self.rule):
            raise Wrong(rule="у двух правил один manager, одна дата since и одна валюта")
        return self


@dataclass(frozen=True, kw_only=True)
class Plan:
    manager: str
    month: Annotated[str, c.matching("20[0-9]{2}-(0[1-9]|1[0-2])", 'месяц: "2026-11"')]
    amount: Decimal
    currency: Currency = "RUB"
