"""The inbox for people: what arrived, what became of it, and bringing back or discarding what was parked.

An event's state is that of its whole work, the duties it led to included: parked if anything of it is parked, else
running, else due, else done.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Unpack

from sqlalchemy import Connection, Table, func, literal, or_, select, update

from integration.store.boxes import ERROR_TEXT_LIMIT, AnyRow, storable
from integration.store.filters import WORST_FIRST, Filters, narrowed
from integration.store.schema import LIVE, event_duties, inbox, outbox
from integration.store.store import SqlStore
from integration.store.sweep import call
from integration.store.unit import SqlUnit
from integration.work import State

PAGE = 200  # events that one transaction brings back


@dataclass(frozen=True, slots=True)
class DutyView:
    """One duty. `kind` is what is to be done, `error_kind` who can help; `due_at` is the next try while it is due."""

    id: str
    kind: str
    system: str
    key: str
    state: State
    attempts: int
    deaths: int
    waits_for: str | None
    error_kind: str | None
    error: str | None
    error_detail: str | None
    outcome: str | None
    outcome_text: str | None
    result: Any
    created_at: datetime
    due_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class EventView:
    """One event with what became of it. `kind`, `error`, `detail`: the error that people should see first.

    `attempts`: the most of any row; `due_at`: the next try, None when nothing is due; `duties`: how many it led to;
    `outcome`: the most that was done, None until all is.
    """

    id: str
    received_at: datetime
    source: str
    entity: str
    event: str
    record_id: str
    state: State
    kind: str | None
    error: str | None
    detail: str | None
    attempts: int
    trace: str
    outcome: str | None
    outcome_text: str | None
    due_at: datetime | None
    duties: int


@dataclass(frozen=True, slots=True)
class EventDetail:
    """One event whole. `body`: decoded JSON, or the text as it came when it is none."""

    view: EventView
    duties: tuple[DutyView, ...]
    body: Any
    webhook_id: str
    delivery_id: str | None


@dataclass(frozen=True, slots=True)
class Count:
    """The unfinished rows of one box (`inbox`, `outbox`) and one system (in the inbox: one source).

    `oldest_due_at`: the earliest time at which one of the due rows may be worked on; far in the past, work lags.
    """

    box: str
    system: str
    due: int
    running: int
    parked: dict[str, int]
    oldest_due_at: datetime | None

    def lag(self, now: datetime) -> float:
        """For how many seconds the oldest due row has been waiting though its time has come."""
        return 0.0 if self.oldest_due_at is None else max(0.0, (now - self.oldest_due_at).total_seconds())


def events(
    conn: Connection, *, limit: int = 50, before: str | None = None, **filters: Unpack[Filters]
) -> list[EventView]:
    """Events, the newest first; `before`: only those older than this event's id (the last one of the page before)."""
    statement = narrowed(select(inbox), filters)
    if before is not None:
        statement = statement.where(inbox.c.id < before)
    rows = conn.execute(statement.order_by(inbox.c.id.desc()).limit(limit)).all()
    duties = _duties(conn, [row.id for row in rows])
    return [_view(row, duties.get(row.id, ())) for row in rows]


def event(conn: Connection, event_id: str) -> EventDetail | None:
    """One event whole; None when there is none of this id."""
    row = conn.execute(select(inbox).where(inbox.c.id == event_id)).one_or_none()
    if row is None:
        return None
    duties = _duties(conn, [event_id]).get(event_id, ())
    return EventDetail(_view(row, duties), tuple(duties), _shown(bytes(row.body)), row.webhook_id, row.delivery_id)


def loose_duties(conn: Connection, *, state: State = "parked", limit: int = 50) -> list[DutyView]:
    """Duties that no event led to (periodic work owes them), the newest first."""
    bound = select(literal(1)).where(event_duties.c.duty_id == outbox.c.id).exists()
    statement = select(*_DUTY).where(outbox.c.state == state, ~bound)
    return [_duty(row) for row in conn.execute(statement.order_by(outbox.c.created_at.desc()).limit(limit))]


def counts(conn: Connection) -> list[Count]:
    """How much is unfinished, per box and system; finished work is not counted."""
    found: dict[tuple[str, str], Count] = {}
    for box, system in ((inbox, inbox.c.source), (outbox, outbox.c.system)):
        due_at = func.min(box.c.due_at).label("due_at")
        columns = (system.label("system"), box.c.state, box.c.error_kind, func.count().label("rows"), due_at)
        for part in (LIVE, box.c.state == "parked"):
            kinds = select(*columns).where(part).group_by(system, box.c.state, box.c.error_kind)
            for row in conn.execute(kinds):
                key = (box.name, row.system)
                found[key] = _counted(found.get(key) or Count(*key, 0, 0, {}, None), row)
    return [found[key] for key in sorted(found)]


def _counted(count: Count, row: AnyRow) -> Count:
    due, running, parked, oldest = count.due, count.running, dict(count.parked), count.oldest_due_at
    if row.state == "parked":
        kind = row.error_kind or "bug"
        parked[kind] = parked.get(kind, 0) + row.rows
    elif row.state == "running":
        running += row.rows
    else:
        due += row.rows
        oldest = row.due_at if oldest is None else min(oldest, row.due_at)
    return Count(count.box, count.system, due, running, parked, oldest)


# -- bringing back ----------------------------------------------------------------------------------------------------


def replay(store: SqlStore, row_id: str) -> int:
    """Bring back an event with its duties, or one duty, by id. Returns how many rows were brought back.

    What is parked becomes due, its attempts and deaths forgotten and its error kept until it is settled; what is due
    is called now, whatever its pause; what runs is called if its worker's lease ran out. What is done stays so.
    """
    with store.unit("replay") as unit:
        return _replay(unit, [row_id])


def replay_matching(store: SqlStore, **filters: Unpack[Filters]) -> int:
    """Bring back every event that matches, parked ones unless `state` says otherwise; as `replay`, page by page."""
    filters["state"] = filters.get("state") or "parked"
    brought, before = 0, None
    while True:
        with store.reading() as conn:
            page = [view.id for view in events(conn, limit=PAGE, before=before, **filters)]
        if not page:
            return brought
        with store.unit("replay") as unit:
            brought += _replay(unit, page)
        before = page[-1]


def discard(store: SqlStore, row_id: str, reason: str) -> int:
    """Settle what is parked of an event, or one duty, as skipped: it is not to be done. Returns how many rows.

    The error stays in the row, beside `reason`, for whoever asks later.
    """
    discarded, text = 0, storable(reason, ERROR_TEXT_LIMIT)
    with store.unit("discard") as unit:
        for box in (inbox, outbox):
            parked = [row.id for row in _rows(unit, box, [row_id]) if row.state == "parked"]
            values = {"state": "done", "outcome": "skipped", "outcome_text": text, "settled_at": unit.now}
            unit.conn.execute(update(box).where(box.c.id.in_(parked)).values(**values))
            discarded += len(parked)
    return discarded


def _replay(unit: SqlUnit, row_ids: list[str]) -> int:
    brought = 0
    for box in (inbox, outbox):
        again = {"due_at": unit.now, "wake_at": unit.now + timedelta(seconds=unit.grace), "wakes": 0}
        anew = again | {"state": "due", "attempts": 0, "deaths": 0, "settled_at": None}
        rows = _rows(unit, box, row_ids)
        for values, chosen in (
            (anew, [row for row in rows if row.state == "parked"]),
            (again, [row for row in rows if row.state == "due" or _expired(row, unit.now)]),
        ):
            unit.conn.execute(update(box).where(box.c.id.in_([row.id for row in chosen])).values(**values))
            unit.calls += [call(box, row) for row in chosen]
            brought += len(chosen)
    return brought


def _expired(row: Any, now: datetime) -> bool:
    return bool(row.state == "running" and row.lease_until <= now)


def _rows(unit: SqlUnit, box: Table, row_ids: list[str]) -> list[Any]:
    """The unfinished rows of these events and duties, held until the transaction ends."""
    owed = select(event_duties.c.duty_id).where(event_duties.c.event_id.in_(row_ids))
    mine = box.c.id.in_(row_ids) if box is inbox else or_(box.c.id.in_(row_ids), box.c.id.in_(owed))
    statement = select(*box.c).where(mine, box.c.state != "done").order_by(box.c.id)
    return list(unit.conn.execute(statement.with_for_update()))


# -- showing ----------------------------------------------------------------------------------------------------------

_DUTY = [outbox.c[field.name] for field in fields(DutyView)]


def _duty(row: AnyRow) -> DutyView:
    values = {field.name: getattr(row, field.name) for field in fields(DutyView)}
    values["result"] = None if row.result is None else json.loads(row.result)
    return DutyView(**values)


def _duties(conn: Connection, event_ids: Sequence[str]) -> dict[str, list[DutyView]]:
    """The duties that these events led to, in the order in which they were owed."""
    found: dict[str, list[DutyView]] = {}
    statement = select(event_duties.c.event_id, *_DUTY).join(outbox).where(event_duties.c.event_id.in_(event_ids))
    for row in conn.execute(statement.order_by(outbox.c.id)):
        found.setdefault(row.event_id, []).append(_duty(row))
    return found


def _view(row: AnyRow, duties: Sequence[DutyView]) -> EventView:
    everything: list[Any] = [*duties, row]  # duties first: theirs is the error that stops the work
    state = next(state for state in WORST_FIRST if any(one.state == state for one in everything))
    failed = [one for one in everything if one.error_kind]
    shown = min(failed, key=lambda one: WORST_FIRST.index(one.state), default=None)
    ended = _most(duties or [row]) if state == "done" else None
    return EventView(
        id=row.id,
        received_at=row.created_at,
        source=row.source,
        entity=row.entity,
        event=row.event,
        record_id=row.record_id,
        state=state,
        kind=shown and shown.error_kind,
        error=shown and shown.error,
        detail=shown and shown.error_detail,
        attempts=max(one.attempts for one in everything),
        trace=row.trace,
        outcome=ended and ended.outcome,
        outcome_text=ended and ended.outcome_text,
        due_at=min((one.due_at for one in everything if one.state == "due"), default=None),
        duties=len(duties),
    )


def _most(ended: Iterable[Any]) -> Any:
    """The row with the outcome that says most: what was done, else what was looked at, else what was skipped."""
    words = ("done", "unchanged", "skipped")
    return min(ended, key=lambda one: words.index(one.outcome) if one.outcome in words else len(words))


def _shown(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
