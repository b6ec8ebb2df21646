"""Clearing away what was finished long ago."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, delete, literal, or_, select, update

from integration.store.schema import deliveries, event_duties, inbox, leases, notices, outbox, papers, slots, watermarks
from integration.store.store import SqlStore

_PASSING = ("doubt:", "made:")  # marks that mean something for minutes (flows.once), one for each object created
_UNMAILED_KEPT = timedelta(days=366)  # PDFs that nobody was to get by mail, or whose letter waits for a person
_PAPERS_KEPT = timedelta(days=5 * 366)  # 402-ФЗ, article 29: five years


def cleanup(store: SqlStore, older_than_days: int = 90, limit: int = 1000) -> int:
    """Delete what was finished more than `older_than_days` ago: events whose duties are all done, those duties, the
    requests they came in, old leases, slots, reports and marks of creations. Nothing parked or still on its way is
    touched. Returns how many events and duties went; each transaction takes `limit` of them."""
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
        unit.reconciling.forget(before)
        passing = or_(*(watermarks.c.name.startswith(kind) for kind in _PASSING))
        unit.conn.execute(delete(watermarks).where(passing, watermarks.c.updated_at < before))
        # Which letter went when to whom is kept as accounting papers are; the PDF itself can be made again.
        unmailed = and_(papers.c.state.in_(("made", "void")), papers.c.made_at < store.now() - _UNMAILED_KEPT)
        unit.conn.execute(update(papers).where(or_(papers.c.sent_at < before, unmailed)).values(pdf=b""))
        kept = store.now() - _PAPERS_KEPT
        unit.conn.execute(delete(papers).where(papers.c.made_at < kept))
        unit.conn.execute(delete(notices).where(notices.c.told_at < kept))
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
