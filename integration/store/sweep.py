"""Whom to call: rows whose wake-up was lost or is far off, rows that waited for a system. And clearing up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, and_, delete, literal, or_, select, update

from integration.store.schema import LIVE, deliveries, event_duties, inbox, leases, outbox, slots

if TYPE_CHECKING:
    from integration.store.unit import SqlStore

Call = tuple[str, str, str, float]  # queue, kind of work, row id, seconds from now

LONGEST_PAUSE = 1800.0


def call(box: Table, row: Any, delay: float = 0) -> Call:
    """The wake-up call of a row with `id` and, in the outbox, `system` and `kind`."""
    return (
        (row.system.partition(":")[0], row.kind, row.id, delay) if box is outbox else ("inbox", "event", row.id, delay)
    )


def overdue(conn: Connection, box: Table, now: datetime, grace: float, limit: int) -> list[Call]:
    """Calls for the rows whose wake-up is overdue, oldest first; rows in another's hands now are left to the next run.

    A called row is called again after a pause that doubles, up to half an hour, so that a long queue isn't filled
    with calls for the same rows.
    """
    expired = or_(box.c.state == "due", and_(box.c.state == "running", box.c.lease_until <= now))
    rows = conn.execute(
        select(box.c.id, box.c.wakes, *_names(box))
        .where(LIVE, expired, box.c.wake_at <= now)
        .order_by(box.c.created_at, box.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    for wakes in {row.wakes for row in rows}:
        pause = timedelta(seconds=min(grace * 2.0 ** min(wakes, 60), LONGEST_PAUSE))
        ids = [row.id for row in rows if row.wakes == wakes]
        conn.execute(update(box).where(box.c.id.in_(ids)).values(wake_at=now + pause, wakes=wakes + 1))
    return [call(box, row) for row in rows]


def waiting(conn: Connection, system: str, now: datetime, grace: float, limit: int | None) -> list[Call]:
    """Calls for the duties that wait for `system`, oldest first: all, or `limit` as a probe that go on waiting."""
    wait = (LIVE, outbox.c.state == "due", outbox.c.waits_for == system)
    rows = conn.execute(
        select(outbox.c.id, outbox.c.system, outbox.c.kind)
        .where(*wait)
        .order_by(outbox.c.created_at, outbox.c.id)
        .limit(limit)
        .with_for_update()
    ).all()
    if limit is None:
        soon = now + timedelta(seconds=grace)
        conn.execute(update(outbox).where(*wait).values(waits_for=None, wake_at=soon, wakes=0))
    return [call(outbox, row) for row in rows]


def _names(box: Table) -> tuple[Any, ...]:
    return (box.c.system, box.c.kind) if box is outbox else (literal("inbox"), literal("event"))


def cleanup(store: SqlStore, older_than_days: int = 90, limit: int = 1000) -> int:
    """Delete what was finished more than `older_than_days` ago: events whose duties are all done, those duties, the
    requests they came in, old leases and slots. Nothing parked or still on its way is touched. Returns how many
    events and duties went; each transaction takes `limit` of them."""
    before = store.now() - timedelta(days=older_than_days)
    gone = 0
    for take in (_old_events, _old_duties):
        while True:
            with store.unit("clean up") as unit:
                taken = take(unit.conn, before, limit)
            gone += taken
            if taken < limit:
                break
    with store.unit("clean up") as unit:
        unit.conn.execute(delete(leases).where(leases.c.until < before))
        unit.conn.execute(delete(slots).where(slots.c.started_at < before))
    return gone


def _old_events(conn: Connection, before: datetime, limit: int) -> int:
    owed = select(literal(1)).join(outbox, outbox.c.id == event_duties.c.duty_id)
    unfinished = owed.where(event_duties.c.event_id == inbox.c.id, outbox.c.state != "done").exists()
    old = (inbox.c.state == "done", inbox.c.created_at < before, inbox.c.settled_at < before)
    rows = conn.execute(
        select(inbox.c.id, inbox.c.delivery_id).where(*old, ~unfinished).order_by(inbox.c.created_at).limit(limit)
    ).all()
    ids = [row.id for row in rows]
    conn.execute(delete(event_duties).where(event_duties.c.event_id.in_(ids)))
    conn.execute(delete(inbox).where(inbox.c.id.in_(ids)))
    kept = select(literal(1)).where(inbox.c.delivery_id == deliveries.c.id).exists()
    emptied = {row.delivery_id for row in rows if row.delivery_id}
    conn.execute(delete(deliveries).where(deliveries.c.id.in_(emptied), ~kept))
    return len(ids)


def _old_duties(conn: Connection, before: datetime, limit: int) -> int:
    bound = select(literal(1)).where(event_duties.c.duty_id == outbox.c.id).exists()
    old = (outbox.c.state == "done", outbox.c.created_at < before, outbox.c.settled_at < before)
    ids = conn.scalars(select(outbox.c.id).where(*old, ~bound).order_by(outbox.c.created_at).limit(limit)).all()
    conn.execute(delete(outbox).where(outbox.c.id.in_(ids)))
    return len(ids)
