"""Transactions: everything crm1c writes goes through `unit`, and what it owes is called out after the commit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection, Engine

from integration.steps import boundary
from integration.store import boxes, keys
from integration.store.bonuses import SqlBonuses
from integration.store.engine import READ, alone, reaching
from integration.store.holders import SqlHolders
from integration.store.kpi import SqlKpi
from integration.store.ledger import SqlLedger
from integration.store.links import SqlLinks
from integration.store.papers import SqlPapers
from integration.store.parties import SqlParties
from integration.store.reconciling import SqlReconciling
from integration.store.sweep import Call
from integration.work import Duty, Event, Owed

log = logging.getLogger("crm1c.store")

Wake = Callable[[str, str, str, float], None]  # a Call: queue, kind of work, row id, seconds from now


class Delivery(Protocol):
    """The figures of delivery that the store keeps to, in seconds (settings: [delivery])."""

    @property
    def lease(self) -> float: ...

    @property
    def heartbeat(self) -> float: ...

    @property
    def poison_deaths(self) -> int: ...

    @property
    def countdown_max(self) -> float: ...

    @property
    def sweep_grace(self) -> float: ...


@dataclass
class SqlUnit:
    """One transaction, and the calls to make once it stands."""

    conn: Connection
    now: datetime
    grace: float
    calls: list[Call]

    @property
    def links(self) -> SqlLinks:
        return SqlLinks(self.conn, self.now)

    @property
    def papers(self) -> SqlPapers:
        return SqlPapers(self.conn, self.now)

    @property
    def parties(self) -> SqlParties:
        return SqlParties(self.conn, self.now)

    @property
    def ledger(self) -> SqlLedger:
        return SqlLedger(self.conn, self.now)

    @property
    def reconciling(self) -> SqlReconciling:
        return SqlReconciling(self.conn, self.now)

    @property
    def bonuses(self) -> SqlBonuses:
        return SqlBonuses(self.conn, self.now)

    @property
    def holders(self) -> SqlHolders:
        return SqlHolders(self.conn, self.now)

    @property
    def kpi(self) -> SqlKpi:
        return SqlKpi(self.conn, self.now)

    def owe(self, *owed: Owed, cause: Duty | Event) -> list[str]:
        """Write duties down in this transaction; their workers are woken when it stands."""
        ids = dict.fromkeys(range(len(owed)), "")
        # In one order everywhere, so that two transactions never wait for each other's rows.
        for place, one in sorted(enumerate(owed), key=lambda pair: pair[1].merge):
            ids[place], call = boxes.owe(self.conn, one, cause, self.now, self.grace)
            if call:
                self.calls.append((one.system.partition(":")[0], one.kind, ids[place], one.delay))
        return list(ids.values())


class Transactions:
    """Transactions of one database, and the few values kept in it. `wake` is called after a commit and may fail: the
    sweep makes up for it."""

    def __init__(self, engine: Engine, now: Callable[[], datetime], delivery: Delivery, wake: Wake) -> None:
        self.engine, self.now, self.delivery, self.wake = engine, now, delivery, wake

    @contextmanager
    def unit(self, step: str) -> Iterator[SqlUnit]:
        """A transaction named `step`. Raises Transient when the database is out of reach; a failing wake raises
        nothing."""
        calls: list[Call] = []
        with reaching(), self.engine.begin() as conn:
            yield SqlUnit(conn, self.now(), self.delivery.sweep_grace, calls)
            boundary(f"{step}: before commit")
        boundary(f"{step}: committed")
        try:
            for call in calls:
                self.wake(*call)
        except Exception as error:  # what stands in the database is done, whatever becomes of the call
            log.warning("wake-up calls failed, the sweep will make them: %s", error)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reading alone; every statement sees what stands then."""
        options = READ if self.engine.dialect.name == "sqlite" else {"isolation_level": "AUTOCOMMIT"}
        with reaching(), self.engine.connect().execution_options(**options) as conn:
            yield conn

    @contextmanager
    def looking(self) -> Iterator[SqlLinks]:
        """The links, to look something up."""
        with self.reading() as conn:
            yield SqlLinks(conn, self.now())

    # -- kept values ----------------------------------------------------------------------------------------------

    def webhook_events(self, crm: str) -> dict[str, str]:
        """{webhook id: event} of the webhooks that setup made in this CRM."""
        with self.reading() as conn:
            return keys.webhook_events(conn, crm)

    def webhook_secrets(self, crm: str) -> dict[str, str]:
        """{webhook id: secret}, likewise."""
        with self.reading() as conn:
            return keys.webhook_secrets(conn, crm)

    def model(self, base: str, max_age: float) -> dict[str, Any] | None:
        """The base's reduced $metadata if it was read within `max_age` seconds."""
        with self.reading() as conn:
            return keys.model(conn, base, max_age, self.now())

    def keep_model(self, base: str, model: Mapping[str, Any]) -> None:
        """Keep the base's reduced $metadata, read now."""
        with self.unit("keep model") as unit:
            keys.keep_model(unit.conn, base, model, unit.now)

    def watermark(self, name: str) -> str | None:
        """How far a periodic pull has come; None before the first."""
        with self.reading() as conn:
            return keys.watermark(conn, name)

    def set_watermark(self, name: str, value: str) -> None:
        """Remember how far a periodic pull has come."""
        boundary("watermark: before commit")
        with reaching(), alone(self.engine) as conn:
            keys.set_watermark(conn, name, value, self.now())
        boundary("watermark: committed")
