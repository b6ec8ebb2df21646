"""Slots of periodic work: each is run once, however many beats there are; one whose runner died is run again; one that
was missed is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from integration.errors import Busy
from integration.store.keys import TRIES, finish_slot, take_slot
from integration.store.schema import leases, slots
from integration.store.store import SqlStore

_LOCK = "job:"


@dataclass(frozen=True, slots=True)
class Ran:
    """When a job last began, and when one of its runs last ended."""

    job: str
    began_at: datetime
    ended_at: datetime | None


def run_once(store: SqlStore, job: str, slot: str, run: Callable[[], object]) -> str | None:
    """Run the job for this slot, unless another does or did; its outcome as a sentence, or None.

    The lock says whether a runner lives: who holds it and finds the slot begun and not ended knows that its runner
    died, and takes it over. Two runs of one job never go side by side. What `run` raises leaves the slot open: the
    next caller tries it again, so often in all.
    """
    try:
        with store.lock(f"{_LOCK}{job}", patience=0.1):
            with store.unit(f"slot of {job}") as unit:
                if not take_slot(unit.conn, job, slot, unit.now, tries=TRIES):
                    return None
            outcome = _ran(run)
            with store.unit(f"slot of {job} done") as unit:
                finish_slot(unit.conn, job, slot, outcome, unit.now)
            return outcome
    except Busy:
        return None


def _ran(run: Callable[[], object]) -> str:
    """A run that finds its own work in another's hands says so: that is no run of ours that waits."""
    try:
        return str(run())
    except Busy as error:
        return error.reason


def over(conn: Connection, job: str, slot: str) -> bool:
    """Is nothing left to do for this slot: it ended, or was tried often enough?"""
    row = conn.execute(select(slots).where(slots.c.job == job, slots.c.slot == slot)).one_or_none()
    return row is not None and (row.finished_at is not None or row.tries >= TRIES)


def under_way(conn: Connection, job: str, slot: str, now: datetime, since: timedelta) -> bool:
    """Did a run of it begin a moment ago? It is left alone so long."""
    row = conn.execute(select(slots).where(slots.c.job == job, slots.c.slot == slot)).one_or_none()
    return row is not None and row.finished_at is None and row.started_at > now - since


def running(conn: Connection, job: str, now: datetime) -> bool:
    """Does a runner of this job live, whatever slot it is at? Another call would find it at work and leave."""
    mine = (leases.c.name == f"lock:{_LOCK}{job}", leases.c.until > now)
    return conn.scalar(select(leases.c.name).where(*mine)) is not None


def last_runs(conn: Connection) -> list[Ran]:
    """Every job that ever ran."""
    began, ended = func.max(slots.c.started_at).label("began"), func.max(slots.c.finished_at).label("ended")
    latest = select(slots.c.job, began, ended).group_by(slots.c.job).order_by(slots.c.job)
    return [Ran(row.job, row.began, row.ended) for row in conn.execute(latest)]
