"""Whom to call: rows whose wake-up was lost or is far off, rows that waited for a system. And clearing up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, and_, literal, or_, select, update

from integration.store.schema import LIVE, outbox

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
