"""The whole configuration as one frozen tree. Every key of crm1c.toml is declared once, with its type, check and
default, in `technical`, `systems` and `money`; docs/configuration.md tells the meanings.

Durations are seconds, money and percents Decimal, dates dates, secrets `Secret`. A key without a default is required
wherever its table stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from integration.settings.checks import DERIVED, passwords_in, repeated
from integration.settings.money import Allocation, Bonus, Calendar, Invoicing, Plan
from integration.settings.systems import Crm, Onec, Ownership, Requisites, Shop
from integration.settings.technical import (
    Broker,
    Bus,
    Database,
    Delivery,
    Flower,
    Log,
    Mail,
    Notices,
    Paper,
    Reconcile,
    Redis,
    RetryName,
    RetryOverride,
    Schedule,
    Security,
    Web,
    Worker,
)
from integration.settings.values import Wrong


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole configuration, valid. `origin`: the file; `known_secrets`: every secret value in it, for the log."""

    database: Database
    broker: Broker
    redis: Redis
    web: Web = field(default_factory=Web)
    worker: Worker = field(default_factory=Worker)
    log: Log = field(default_factory=Log)
    flower: Flower = field(default_factory=Flower)
    onec: Mapping[str, Onec] = field(default_factory=dict)
    crm: Mapping[str, Crm] = field(default_factory=dict)
    shop: Mapping[str, Shop] = field(default_factory=dict)
    requisites: Requisites = field(default_factory=Requisites)
    invoicing: Invoicing = field(default_factory=Invoicing)
    mail: Mail | None = None
    paper: Paper | None = None
    notices: Notices = field(default_factory=Notices)
    ownership: Ownership = field(default_factory=Ownership)
    bonus: Bonus = field(default_factory=Bonus)
    plan: tuple[Plan, ...] = ()
    calendar: Calendar = field(default_factory=Calendar)
    allocation: Allocation = field(default_factory=Allocation)
    bus: Bus = field(default_factory=Bus)
    schedule: Schedule = field(default_factory=Schedule)
    reconcile: Reconcile = field(default_factory=Reconcile)
    security: Security = field(default_factory=Security)
    delivery: Delivery = field(default_factory=Delivery)
    retry: Mapping[RetryName, RetryOverride] = field(default_factory=dict)
    origin: Annotated[Path | None, DERIVED] = None
    known_secrets: Annotated[tuple[str, ...], DERIVED] = field(default=(), repr=False)

    @property
    def embedded(self) -> bool:
        """One process holds everything: the broker lives in its memory."""
        return self.broker.url.startswith("memory://")

    @property
    def papers(self) -> bool:
        """Somebody gets a paper: a client by mail, or the CRM."""
        return self.mail is not None or self.paper is not None

    def settled(self) -> Settings:
        wrong = {}
        hooks = [*self.crm, *self.shop]
        if repeated(hooks) or "onec" in hooks:
            wrong["crm"] = "имена таблиц crm и shop различаются, и ни одно не onec: это адреса /webhooks/ИМЯ"
        if repeated((base.base_url, base.organisation) for base in self.onec.values()):
            wrong["onec"] = "у двух таблиц одна база и одна организация"
        if repeated((plan.manager, plan.month, plan.currency) for plan in self.plan):
            wrong["plan"] = "два плана одного менеджера на один месяц"
        if self.mail is None and self.paper is not None and self.paper.acts == "mail":
            wrong["paper"] = 'acts = "mail" отправляет акты почтой: нужна таблица [mail]'
        if "mail" in self.notices.channels and (self.mail is None or not self.mail.host):
            wrong["notices"] = "канал mail – письмо менеджеру: нужна таблица [mail] с host"
        unknown = [name for name, shop in self.shop.items() if shop.onec is not None and shop.onec not in self.onec]
        if unknown:
            wrong["shop"] = f"{', '.join(unknown)}: в onec названа база, таблицы которой нет"
        if wrong:
            raise Wrong(**wrong)
        return self

    def passwords(self) -> Iterator[str]:
        """The passwords that stand in the addresses of database, broker and Redis."""
        for url in (self.database.url, self.broker.url, self.redis.url, self.redis.beat_url or ""):
            yield from passwords_in(url)
