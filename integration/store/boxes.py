"""Inbox and outbox: rows are put, claimed by compare-and-set with a lease, settled, put off or parked.

Every function takes the connection of the caller's transaction. A row that a worker holds carries the worker's token;
a worker whose lease ran out and was taken over finds its token gone, and changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeAlias

from sqlalchemy import Connection, Row, String, Table, and_, bindparam, case, insert, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from integration.store.arriving import Delivered
from integration.store.schema import Moment, deliveries, event_duties, inbox, outbox
from integration.work import Arrival, Duty, Event, Owed, new_id

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"

ERROR_TEXT_LIMIT = 4000
UNUSABLE = "Идентификатор не читается: слишком длинный или с недопустимыми знаками. Проверьте вебхук в системе."


def upsert(conn: Connection, table: Table) -> Any:
    """INSERT … ON CONFLICT of whichever database this is: both speak it, SQLAlchemy keeps it by dialect."""
    return insert_for(conn.dialect.name, table)


def insert_for(dialect: str, table: Table) -> Any:
    """The same, by the dialect's name: for statements that are built once and executed often."""
    return (sqlite if dialect == "sqlite" else postgresql).insert(table)


def storable(text: str, limit: int) -> str:
    """A text from outside as both databases take it: PostgreSQL knows no NUL, UTF-8 no lone surrogate."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")[:limit]


def as_json(value: Mapping[str, Any]) -> str:
    """JSON as the rows keep it: Russian stays readable."""
    return json.dumps(dict(value), ensure_ascii=False).encode("utf-8", "replace").decode()


def put_deliveries(conn: Connection, batch: Sequence[Delivered], now: datetime, grace: float) -> None:
    """Write webhook requests whole, and their items as events, telling each request what became of it. An item that
    merges into a row still due (or whose vendor id is known) is neither due nor parked."""
    of_event: dict[str, Delivered] = {}
    rows: list[dict[str, Any]] = []
    bodies: list[dict[str, Any]] = []
    for one in batch:
        delivery_id = new_id()
        made = [_event_row(_fitting(arrival), delivery_id, one.trace, now, grace) for arrival in one.arrivals]
        of_event |= {row["id"]: one for row in made}
        rows += made
        bodies.append(_delivery_row(one, delivery_id, now))
    if not rows:
        return
    rows.sort(key=lambda row: row["event_id"] or row["body_key"] or "")  # two batches never wait for each other
    for row in conn.execute(_put_events(conn.dialect.name), rows):
        one = of_event[row.id]
        if row.state == "due":
            one.due.append(row.id)
        else:
            one.parked += 1
    kept = [body for body, one in zip(bodies, batch, strict=True) if one.due or one.parked]
    if kept:
        conn.execute(insert(deliveries), kept)


@cache
def _put_events(dialect: str) -> Any:
    return insert_for(dialect, inbox).on_conflict_do_nothing().returning(inbox.c.id, inbox.c.state)


def _delivery_row(one: Delivered, delivery_id: str, now: datetime) -> dict[str, Any]:
    source, tail = (one.arrivals[0].source, one.arrivals[0].tail) if one.arrivals else ("", "")
    headers = json.dumps(dict(one.headers))
    return {
        "id": delivery_id,
        "source": source,
        "tail": storable(tail, 200),
        "headers": headers,
        "body": one.raw,
        "received_at": now,
    }


def _fitting(arrival: Arrival) -> Arrival:
    """The arrival if its names fit the columns; else cut, and parked: a cut id would be another record's."""
    names = {"entity": 64, "event": 128, "record_id": 64, "webhook_id": 64, "event_id": 128}
    cut: dict[str, Any] = {name: storable(getattr(arrival, name), limit) for name, limit in names.items()}
    tail = storable(arrival.tail, 200)
    if all(getattr(arrival, name) == value for name, value in cut.items()):
        return replace(arrival, tail=tail)
    return replace(arrival, **(cut | {"event_id": "", "tail": tail, "problem": arrival.problem or UNUSABLE}))


def _named(arrival: Arrival) -> tuple[str, ...]:
    return arrival.entity, arrival.event, arrival.record_id, arrival.webhook_id


def _event_row(arrival: Arrival, delivery_id: str, trace: str, now: datetime, grace: float) -> dict[str, Any]:
    digest = hashlib.sha256(b"\x1f".join((*(name.encode() for name in _named(arrival)), arrival.body))).hexdigest()
    parked = bool(arrival.problem)
    return {
        "id": new_id(),
        "delivery_id": delivery_id,
        "source": arrival.source,
        "entity": arrival.entity,
        "event": arrival.event,
        "record_id": arrival.record_id,
        "webhook_id": arrival.webhook_id,
        "tail": arrival.tail,
        "body": arrival.body,
        "event_id": arrival.event_id or None,
        "body_key": None if arrival.event_id or parked else digest,
        "state": "parked" if parked else "due",
        "error_kind": "poison" if parked else None,
        "error": arrival.problem or None,
        "settled_at": now if parked else None,
        "due_at": now,
        "wake_at": now + timedelta(seconds=grace),
        "trace": trace,
        "created_at": now,
    }


def owe(conn: Connection, owed: Owed, cause: Duty | Event, now: datetime, grace: float) -> tuple[str, bool]:
    """Write a duty down, or find the waiting one that takes it in. Returns its id and whether it is to be called:
    it is new, or due no earlier than this one wants."""
    due = now + timedelta(seconds=owed.delay)
    row = {
        "id": new_id(),
        "kind": owed.kind,
        "system": owed.system,
        "key": owed.key,
        "merge_key": owed.merge or None,
        "payload": as_json(owed.payload),
        "state": "due",
        "due_at": due,
        "wake_at": due + timedelta(seconds=grace),
        "trace": cause.trace,
        "created_at": now,
    }
    duty_id, due_at = conn.execute(_owe(conn.dialect.name), row).one()
    _bind_causes(conn, duty_id, cause)
    return duty_id, duty_id == row["id"] or due_at == due


@cache
def _owe(dialect: str) -> Any:
    put = insert_for(dialect, outbox)
    # The waiting row is written even when nothing in it changes: this locks it, so that it cannot be claimed and
    # settled before the cause that it takes in is bound to it.
    times = ((name, put.excluded[name]) for name in ("due_at", "wake_at"))
    earlier = {name: case((new < outbox.c[name], new), else_=outbox.c[name]) for name, new in times}
    put = put.on_conflict_do_update(index_elements=["merge_key"], set_=earlier)
    return put.returning(outbox.c.id, outbox.c.due_at)


def _bind_causes(conn: Connection, duty_id: str, cause: Duty | Event) -> None:
    if cause.id:
        of_event = isinstance(cause, Event)
        conn.execute(_bind(conn.dialect.name, of_event=of_event), {"cause": cause.id, "duty": duty_id})


@cache
def _bind(dialect: str, *, of_event: bool) -> Any:
    """An event itself is the cause; a duty passes on its own."""
    cause, duty = bindparam("cause", type_=String), bindparam("duty", type_=String)
    own = select(cause, duty) if of_event else select(event_duties.c.event_id, duty)
    causes = own.where(literal(1) == 1) if of_event else own.where(event_duties.c.duty_id == cause)
    return insert_for(dialect, event_duties).from_select(["event_id", "duty_id"], causes).on_conflict_do_nothing()


def claim(conn: Connection, box: Table, row_id: str, now: datetime, lease: float) -> AnyRow | None:
    """Take the row if it is due, or if its holder's lease ran out (then `deaths` counts one more). None: not now."""
    until, token = now + timedelta(seconds=lease), secrets.token_hex(16)
    return conn.execute(_claim(box), {"row": row_id, "now": now, "until": until, "token": token}).one_or_none()


@cache
def _claim(box: Table) -> Any:
    now, until = bindparam("now", type_=Moment), bindparam("until", type_=Moment)
    values: dict[Any, Any] = {
        box.c.state: "running",
        box.c.deaths: box.c.deaths + case((box.c.state == "running", 1), else_=0),
        box.c.lease_until: until,
        box.c.lease_token: bindparam("token"),
        box.c.wake_at: until,
        box.c.wakes: 0,
    }
    if box is outbox:
        values |= {outbox.c.merge_key: None, outbox.c.waits_for: None}
    else:
        values |= {inbox.c.body_key: None}
    due = and_(box.c.state == "due", box.c.due_at <= now)
    left = and_(box.c.state == "running", box.c.lease_until <= now)
    return update(box).where(box.c.id == bindparam("row"), or_(due, left)).values(values).returning(*box.c)


def standing(conn: Connection, box: Table, row_id: str) -> AnyRow | None:
    """Where a row stands that could not be claimed."""
    columns = (box.c.state, box.c.due_at, box.c.lease_until)
    return conn.execute(select(*columns).where(box.c.id == row_id)).one_or_none()


def as_event(row: AnyRow) -> Event:
    return Event(
        id=row.id,
        source=row.source,
        entity=row.entity,
        event=row.event,
        record_id=row.record_id,
        body=bytes(row.body),
        trace=row.trace,
        webhook_id=row.webhook_id,
        tail=row.tail,
        attempts=row.attempts,
        deaths=row.deaths,
        token=row.lease_token,
        received_at=row.created_at,
    )


def as_duty(row: AnyRow) -> Duty:
    return Duty(
        id=row.id,
        kind=row.kind,
        system=row.system,
        key=row.key,
        payload=json.loads(row.payload),
        trace=row.trace,
        attempts=row.attempts,
        deaths=row.deaths,
        token=row.lease_token,
        created_at=row.created_at,
    )


def _held(box: Table) -> tuple[Any, ...]:
    """The row that a worker holds, by the parameters "row" and "token"."""
    return box.c.id == bindparam("row"), box.c.lease_token == bindparam("token"), box.c.state == "running"


def change_held(conn: Connection, work: Duty | Event, values: Mapping[str, Any]) -> bool:
    """Change the row that this worker holds; False when another took it over meanwhile."""
    box = outbox if isinstance(work, Duty) else inbox
    given = {f"new_{name}": value for name, value in values.items()}
    statement = _change(box, tuple(sorted(values)))
    return conn.execute(statement, {**given, "row": work.id, "token": work.token}).rowcount == 1


@cache
def _change(box: Table, names: tuple[str, ...]) -> Any:
    return update(box).where(*_held(box)).values({box.c[name]: bindparam(f"new_{name}") for name in names})


RELEASED: dict[str, Any] = {"lease_until": None, "lease_token": None}


def failure(kind: str, error: BaseException) -> dict[str, Any]:
    """An error as the row keeps it: a sentence for people, and the other side's own words."""
    detail = getattr(error, "detail", "") or ""
    return {
        "error_kind": kind,
        "error": storable(str(error), ERROR_TEXT_LIMIT) or type(error).__name__,
        "error_detail": storable(detail, ERROR_TEXT_LIMIT) or None,
    }
