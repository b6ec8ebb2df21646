"""The store: events and duties put, claimed, settled, put off, parked and swept; and the locks between workers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Table
from sqlalchemy.exc import IntegrityError

from integration.errors import Poison
from integration.steps import boundary
from integration.store import boxes, sweep
from integration.store.arriving import Arriving, Delivered
from integration.store.engine import reaching
from integration.store.leases import Keeper
from integration.store.schema import inbox, outbox
from integration.store.unit import Delivery, Transactions, Wake
from integration.work import Arrival, Duty, Event, Link, Outcome, Owed, Wait

log = logging.getLogger("crm1c.store")


class _TakenOver(Exception):
    """Another worker took the row over: what this one made of it is rolled back."""


class SqlStore(Transactions):
    """Events, duties and links in SQL."""

    def __init__(self, engine: Engine, now: Callable[[], datetime], delivery: Delivery, wake: Wake) -> None:
        super().__init__(engine, now, delivery, wake)
        self.keeper = Keeper(engine, now, delivery.lease, delivery.heartbeat)
        self._arriving = Arriving(self._receive)

    # -- arriving -------------------------------------------------------------------------------------------------

    def receive(
        self, arrivals: Sequence[Arrival], raw: bytes, headers: Mapping[str, str], trace: str
    ) -> tuple[list[str], int]:
        """Commit a webhook's items; returns (ids of new due events, how many were parked), and wakes a worker each."""
        one = Delivered(arrivals, raw, headers, trace)
        self._arriving.put(one)
        return one.due, one.parked

    def _receive(self, batch: Sequence[Delivered]) -> None:
        with self.unit("receive") as unit:
            boxes.put_deliveries(unit.conn, batch, unit.now, unit.grace)
            unit.calls += [("inbox", "event", event_id, 0) for one in batch for event_id in one.due]

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
            with reaching(), self.engine.begin() as conn:
                row = boxes.claim(conn, box, row_id, now, self.delivery.lease)
                if row is not None and row.deaths >= self.delivery.poison_deaths:
                    work = boxes.as_duty(row) if box is outbox else boxes.as_event(row)
                    reason = f"Обработка обрывалась {row.deaths} раз подряд. Событие отложено; остальные идут дальше."
                    values = _parked(work, "poison", Poison(reason))
                    boxes.change_held(conn, work, {**values, **boxes.RELEASED, "settled_at": now})
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
        with self.keeper.keeping(_box(work), work.id, work.token):
            yield

    # -- settling -------------------------------------------------------------------------------------------------

    def settle(self, work: Duty | Event, outcome: Outcome) -> None:
        """The work is done, and what it owes stands in the same transaction."""
        values: dict[str, Any] = {"state": "done", "outcome": outcome.kind, "outcome_text": outcome.text or None}
        values |= {"error_kind": None, "error": None, "error_detail": None}
        if isinstance(work, Duty):
            values["result"] = boxes.as_json(outcome.result) if outcome.result else None
        self._end("settle", work, values, outcome.owes, outcome.links)

    def park(self, work: Duty | Event, kind: str, error: BaseException, owes: Sequence[Owed] = ()) -> None:
        """Stop here until a person replays it; `owes`: whom to tell."""
        self._end("park", work, _parked(work, kind, error), owes)

    def _end(
        self,
        step: str,
        work: Duty | Event,
        values: Mapping[str, Any],
        owes: Sequence[Owed],
        links: Sequence[Link] = (),
    ) -> None:
        with suppress(_TakenOver), self.unit(step) as unit:
            for link in links:
                unit.links.bind(link)
            # The row itself comes last: as soon as its end is written, one who claims a duty of the same key waits
            # for us, and if that duty is owed here again, we would wait for him.
            unit.owe(*owes, cause=work)
            if not boxes.change_held(unit.conn, work, {**values, **boxes.RELEASED, "settled_at": unit.now}):
                self._lost(work)
                raise _TakenOver  # and nothing of the above is written

    def put_off(
        self,
        work: Duty | Event,
        delay: float,
        error: BaseException,
        *,
        attempt: bool,
        waits_for: str = "",
    ) -> None:
        """Due again after `delay` seconds; `attempt`: this one counts.

        `waits_for`: a held system; the row is called when that system answers again, or by the sweep after `delay`.
        """
        by_call = delay <= self.delivery.countdown_max and not waits_for
        with self.unit("put off") as unit:
            later = unit.now + timedelta(seconds=delay)
            wake_at = later + timedelta(seconds=unit.grace) if by_call else later
            values = {"state": "due", "due_at": unit.now if waits_for else later, "wake_at": wake_at}
            values |= boxes.failure(getattr(error, "kind", "bug"), error) | boxes.RELEASED
            values["attempts"] = work.attempts + attempt
            if isinstance(work, Duty):
                values["waits_for"] = waits_for or None
            if attempt:
                values["deaths"] = 0  # the worker lived through it: only deaths in a row are poison
            if not boxes.change_held(unit.conn, work, values):
                self._lost(work)
            elif by_call:
                unit.calls.append(sweep.call(_box(work), work, delay))

    def _lost(self, work: Duty | Event) -> None:
        log.warning("lease lost: another worker took the row over", extra={"row": work.id})

    # -- sweeping -------------------------------------------------------------------------------------------------

    def sweep(self, limit: int = 1000) -> int:
        """Call every row whose wake-up is overdue (its message was lost, or it was too far off for one)."""
        swept = 0
        for box in (inbox, outbox):
            with self.unit("sweep") as unit:
                calls = sweep.overdue(unit.conn, box, unit.now, unit.grace, limit)
                unit.calls += calls
            swept += len(calls)
        return swept

    def release(self, system: str, limit: int | None = None) -> int:
        """Call the rows that wait for `system`, oldest first: all of them, or `limit` as a probe."""
        with self.unit("release") as unit:
            calls = sweep.waiting(unit.conn, system, unit.now, unit.grace, limit)
            unit.calls += calls
        return len(calls)

    # -- locks ----------------------------------------------------------------------------------------------------

    @contextmanager
    def lock(self, name: str, patience: float = 10.0) -> Iterator[None]:
        """One holder at a time across all workers. Raises Busy when it stays taken for `patience` seconds."""
        with self.holding([f"lock:{name}"], patience):
            yield

    def holding(
        self, names: Sequence[str], patience: float
    ) -> AbstractContextManager[tuple[str, Callable[[str], None]]]:
        """Any one of `names`; gives the note its last holder left, and a call that leaves one. Raises Busy likewise."""
        return self.keeper.holding(names, patience)


def _box(work: Duty | Event) -> Table:
    return outbox if isinstance(work, Duty) else inbox


def _parked(work: Duty | Event, kind: str, error: BaseException) -> dict[str, Any]:
    return {"state": "parked", "attempts": work.attempts + 1, **boxes.failure(kind, error)}
