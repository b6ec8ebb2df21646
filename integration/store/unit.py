"""The store: every transaction of crm1c goes through `unit`, and what it owes is called out after the commit."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Table, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from integration.errors import Busy, Poison, Transient
from integration.steps import boundary
from integration.store import boxes
from integration.store.engine import READ
from integration.store.leases import Keeper, give_back, take
from integration.store.links import SqlLinks
from integration.store.schema import inbox, leases, outbox
from integration.work import Arrival, Duty, Event, Outcome, Owed, Wait

log = logging.getLogger("crm1c.store")

Wake = Callable[[str, str, str, float], None]  # queue, kind of work, row id, seconds from now


class Delivery(Protocol):
    """The figures of delivery that the store keeps to, in seconds (settings: [delivery])."""

    lease: float
    heartbeat: float
    poison_deaths: int
    countdown_max: float
    sweep_grace: float


@dataclass
class SqlUnit:
    """One transaction, and the calls to make once it stands."""

    conn: Connection
    now: datetime
    grace: float
    calls: list[tuple[str, str, str, float]]

    @property
    def links(self) -> SqlLinks:
        return SqlLinks(self.conn, self.now)

    def owe(self, *owed: Owed, cause: Duty | Event) -> list[str]:
        """Write duties down in this transaction; their workers are woken when it stands."""
        ids = []
        for one in owed:
            duty_id, new = boxes.owe(self.conn, one, cause, self.now, self.grace)
            ids.append(duty_id)
            if new:
                self.calls.append((one.system.partition(":")[0], one.kind, duty_id, one.delay))
        return ids


class SqlStore:
    """Events, duties and links in SQL. `wake` is called after a commit and may fail: the sweep makes up for it."""

    def __init__(self, engine: Engine, now: Callable[[], datetime], delivery: Delivery, wake: Wake) -> None:
        self.engine, self.now, self.delivery, self.wake = engine, now, delivery, wake
        self.keeper = Keeper(engine, now, delivery.lease, delivery.heartbeat)

    # -- transactions ---------------------------------------------------------------------------------------------

    @contextmanager
    def unit(self, step: str) -> Iterator[SqlUnit]:
        """A transaction named `step`. Raises Transient when the database is out of reach."""
        calls: list[tuple[str, str, str, float]] = []
        with _reaching(), self.engine.begin() as conn:
            yield SqlUnit(conn, self.now(), self.delivery.sweep_grace, calls)
            boundary(f"{step}: before commit")
        boundary(f"{step}: committed")
        for call in calls:
            self.wake(*call)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reading alone."""
        with _reaching(), self.engine.connect().execution_options(**READ) as conn:
            yield conn

    # -- arriving -------------------------------------------------------------------------------------------------

    def receive(
        self, arrivals: Sequence[Arrival], raw: bytes, headers: Mapping[str, str], trace: str
    ) -> tuple[list[str], int]:
        """Commit a webhook's items; returns (ids of new due events, how many were parked), and wakes a worker each."""
        with self.unit("receive") as unit:
            due, parked = boxes.put_delivery(unit.conn, arrivals, raw, headers, trace, unit.now)
            unit.calls += [("inbox", "event", event_id, 0) for event_id in due]
        return due, parked

    # -- claiming -------------------------------------------------------------------------------------------------

    def claim_event(self, event_id: str) -> Event | Wait | None:
        """Take an event; Wait: not yet; None: nothing to do (settled, or unknown)."""
        row = self._claim(inbox, event_id)
        return row if row is None or isinstance(row, Wait) else boxes.as_event(row)

    def claim_duty(self, duty_id: str) -> Duty | Wait | None:
        """Take a duty; Wait while another of the same record runs."""
        row = self._claim(outbox, duty_id)
        return row if row is None or isinstance(row, Wait) else boxes.as_duty(row)

    def _claim(self, box: Table, row_id: str) -> Any:
        now = self.now()
        boundary(f"claim {box.name}: before")
        try:
            with _reaching(), self.engine.begin() as conn:
                row = boxes.claim(conn, box, row_id, now, self.delivery.lease)
                if row is not None and row.deaths >= self.delivery.poison_deaths:
                    work = boxes.as_duty(row) if box is outbox else boxes.as_event(row)
                    reason = f"Обработка обрывалась {row.deaths} раз подряд. Событие отложено; остальные идут дальше."
                    self._park(conn, work, "poison", Poison(reason))
                    return None
        except IntegrityError:  # the record's other duty runs now (uq_outbox_running_key)
            return Wait(1.0)
        boundary(f"claim {box.name}: claimed")
        return row if row is not None else self._why_not(box, row_id, now)

    def _why_not(self, box: Table, row_id: str, now: datetime) -> Wait | None:
        with self.reading() as conn:
            row = boxes.standing(conn, box, row_id)
        if row is None or row.state in ("done", "parked"):
            return None
        free = row.due_at if row.state == "due" else row.lease_until
        return Wait(max(0.1, (free - now).total_seconds()))

    @contextmanager
    def keeping(self, work: Duty | Event) -> Iterator[None]:
        """Keep the claim alive while the block runs."""
        with self.keeper.keeping(outbox if isinstance(work, Duty) else inbox, work.id, work.token):
            yield

    # -- settling -------------------------------------------------------------------------------------------------

    def settle(self, work: Duty | Event, outcome: Outcome) -> None:
        """The work is done, and what it owes stands in the same transaction."""
        values: dict[str, Any] = {"state": "done", "outcome": outcome.kind, "outcome_text": outcome.text or None}
        values |= {"error_kind": None, "error": None, "error_detail": None}
        if isinstance(work, Duty):
            values["result"] = json.dumps(dict(outcome.result), ensure_ascii=False) if outcome.result else None
        with self.unit("settle") as unit:
            if self._change(unit.conn, work, values | boxes.RELEASED | {"settled_at": unit.now}):
                for link in outcome.links:
                    unit.links.bind(link)
                unit.owe(*outcome.owes, cause=work)

    def put_off(
        self,
        work: Duty | Event,
        delay: float,
        error: BaseException,
        *,
        attempt: bool,
        doubt: str = "",
        waits_for: str = "",
    ) -> None:
        """Due again after `delay` seconds; `attempt`: this one counts; `doubt`: what a create lost the answer of.

        `waits_for`: a held system; the row is called when that system answers again, or by the sweep after `delay`.
        """
        by_call = delay <= self.delivery.countdown_max and not waits_for
        with self.unit("put off") as unit:
            due = unit.now if waits_for else unit.now + timedelta(seconds=delay)
            wake_at = due + timedelta(seconds=self.delivery.sweep_grace) if by_call else unit.now
            values = {
                "state": "due",
                "due_at": due,
                "wake_at": wake_at if by_call else unit.now + timedelta(seconds=delay),
            }
            values |= boxes.failure(getattr(error, "kind", "bug"), error) | boxes.RELEASED
            values["attempts"] = work.attempts + attempt
            if isinstance(work, Duty):
                values["waits_for"] = waits_for or None
                if doubt:
                    values |= {"doubt": doubt, "doubt_at": unit.now}
            if self._change(unit.conn, work, values) and by_call:
                unit.calls.append((*_queue_of(work), work.id, delay))

    def park(self, work: Duty | Event, kind: str, error: BaseException, owes: Sequence[Owed] = ()) -> None:
        """Stop here until a person replays it; `owes`: whom to tell."""
        with self.unit("park") as unit:
            if self._park(unit.conn, work, kind, error):
                unit.owe(*owes, cause=work)

    def _park(self, conn: Connection, work: Duty | Event, kind: str, error: BaseException) -> bool:
        values = {"state": "parked", "settled_at": self.now(), "attempts": work.attempts + 1}
        return self._change(conn, work, values | boxes.failure(kind, error) | boxes.RELEASED)

    def _change(self, conn: Connection, work: Duty | Event, values: Mapping[str, Any]) -> bool:
        changed = boxes.change_held(conn, work, values)
        if not changed:
            log.warning("lease lost: another worker took the row over", extra={"row": work.id})
        return changed

    # -- sweeping -------------------------------------------------------------------------------------------------

    def sweep(self, limit: int = 1000) -> int:
        """Call every row whose wake-up is overdue (its message was lost, or it was too far off for one)."""
        swept = 0
        for box in (inbox, outbox):
            with self.unit("sweep") as unit:
                rows = boxes.stale(unit.conn, box, unit.now, limit)
                boxes.woken(unit.conn, box, rows, unit.now, self.delivery.sweep_grace)
                unit.calls += [(row[2].partition(":")[0], row[3], row.id, 0) for row in rows]
            swept += len(rows)
        return swept

    def release(self, system: str, limit: int | None = None) -> int:
        """Call the rows that wait for `system`, oldest first: all of them, or one as a probe."""
        with self.unit("release") as unit:
            waiting = (outbox.c.state == "due", outbox.c.waits_for == system)
            columns = (outbox.c.id, outbox.c.system, outbox.c.kind)
            statement = select(*columns).where(*waiting).order_by(outbox.c.created_at, outbox.c.id).limit(limit)
            rows = unit.conn.execute(statement).all()
            if limit is None:
                soon = unit.now + timedelta(seconds=self.delivery.sweep_grace)
                unit.conn.execute(update(outbox).where(*waiting).values(waits_for=None, wake_at=soon, wakes=0))
            unit.calls += [(row.system.partition(":")[0], row.kind, row.id, 0) for row in rows]
        return len(rows)

    # -- locks ----------------------------------------------------------------------------------------------------

    @contextmanager
    def lock(self, name: str, patience: float = 10.0) -> Iterator[None]:
        """One holder at a time across all workers. Raises Busy when it stays taken for `patience` seconds."""
        with self.holding([f"lock:{name}"], patience) as (_note, _leave):
            yield

    @contextmanager
    def holding(self, names: Sequence[str], patience: float) -> Iterator[tuple[str, Callable[[str], None]]]:
        """Any one of `names`; yields the note its last holder left, and a call that leaves one."""
        deadline = time.monotonic() + patience
        while (got := self._take_any(names)) is None:
            if time.monotonic() >= deadline:
                raise Busy(retry_after=1.0)
            time.sleep(0.02 + random.random() * 0.03)  # noqa: S311 – spreads the crowd, keeps no secret
        name, token, note = got
        notes = [note]
        boundary(f"lock {name}: taken")
        try:
            with self.keeper.keeping(leases, name, token):
                yield note, lambda left: notes.append(left)
        finally:
            with _reaching():
                give_back(self.engine, name, token, self.now(), notes[-1])

    def _take_any(self, names: Sequence[str]) -> tuple[str, str, str] | None:
        with _reaching():
            for name in names:
                if (got := take(self.engine, name, self.now(), self.delivery.lease)) is not None:
                    return name, *got
        return None


def _queue_of(work: Duty | Event) -> tuple[str, str]:
    return (work.system.partition(":")[0], work.kind) if isinstance(work, Duty) else ("inbox", "event")


@contextmanager
def _reaching() -> Iterator[None]:
    """A database out of reach is a trouble that passes; every other database error is a bug."""
    try:
        yield
    except IntegrityError:
        raise
    except (OperationalError, DBAPIError) as error:
        if isinstance(error, OperationalError) or error.connection_invalidated:
            raise Transient(
                "База данных crm1c недоступна. Повторим сами.", system="database", detail=str(error.orig)
            ) from error
        raise
