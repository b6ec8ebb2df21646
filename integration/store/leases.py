"""Named leases (record locks, 1C sessions) and the keeper that renews whatever this process holds.

A lease that its holder no longer renews runs out by itself: a dead worker holds nothing for longer than one lease.
"""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Engine, Table, bindparam, delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError

from integration.errors import Busy, Transient
from integration.steps import boundary
from integration.store.boxes import insert_for
from integration.store.engine import READ, alone, reaching
from integration.store.schema import Moment, leases

# What every session with 1C needs, built once.
_TAKEN = select(leases.c.name).where(
    leases.c.name.in_(bindparam("names", expanding=True)), leases.c.until > bindparam("now", type_=Moment)
)
_MINE = (leases.c.name == bindparam("mine"), leases.c.token == bindparam("held"))
_FREE, _FORGET = update(leases).where(*_MINE), delete(leases).where(*_MINE)


class Keeper:
    """One thread a process while there is something to renew; forked children start their own."""

    def __init__(self, engine: Engine, now: Callable[[], datetime], lease: float, heartbeat: float) -> None:
        self._engine, self._now, self._lease, self._heartbeat = engine, now, lease, heartbeat
        self._held: dict[str, tuple[Table, str]] = {}  # token → (table, row)
        self._guard = threading.Lock()
        self._pid = 0

    @contextmanager
    def keeping(self, table: Table, row: str, token: str) -> Iterator[None]:
        """Renew the lease with this token every heartbeat while the block runs."""
        with self._guard:
            if self._pid != os.getpid():
                self._held, self._pid = {}, os.getpid()
                threading.Thread(target=self._renew_while_held, name="crm1c-leases", daemon=True).start()
            self._held[token] = (table, row)
        try:
            yield
        finally:
            with self._guard:
                self._held.pop(token, None)

    @contextmanager
    def holding(self, names: Sequence[str], patience: float) -> Iterator[tuple[str, Callable[[str], None]]]:
        """Hold any one of the leases `names` while the block runs; yields the note its last holder left, and a call
        that leaves one. Raises Busy when all stay taken for `patience` seconds."""
        deadline = time.monotonic() + patience
        while (got := self._take_any(names)) is None:
            if time.monotonic() >= deadline:
                raise Busy(retry_after=1.0)
            time.sleep(0.02 + random.random() * 0.03)  # noqa: S311 – spreads the crowd, keeps no secret
        name, token, note = got
        notes = [note]
        boundary(f"lock {name}: taken")
        try:
            with self.keeping(leases, name, token):
                yield note, notes.append
        finally:
            with suppress(Transient), reaching():  # out of reach: the lease runs out by itself
                give_back(self._engine, name, token, self._now(), notes[-1])

    def _take_any(self, names: Sequence[str]) -> tuple[str, str, str] | None:
        with reaching():
            for name in self._free_first(names):
                if (got := take(self._engine, name, self._now(), self._lease)) is not None:
                    return name, *got
        return None

    def _free_first(self, names: Sequence[str]) -> Sequence[str]:
        """The names that seem to be free: one look spares a try for each of the taken ones."""
        if len(names) < 4:
            return names
        with self._engine.connect().execution_options(**READ) as conn:
            held = set(conn.scalars(_TAKEN, {"names": names, "now": self._now()}))
        return [name for name in names if name not in held]

    def _renew_while_held(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._heartbeat):
            with self._guard:
                held = dict(self._held)
                if not held:
                    self._pid = 0  # whoever holds something next starts a new thread
                    return
            self._renew(held)

    def _renew(self, held: dict[str, tuple[Table, str]]) -> None:
        until = self._now() + timedelta(seconds=self._lease)
        try:
            with self._engine.begin() as conn:
                for token, (table, row) in held.items():
                    if table is leases:
                        mine = (leases.c.name == row, leases.c.token == token)
                        conn.execute(update(leases).where(*mine).values(until=until))
                    else:
                        mine = (table.c.id == row, table.c.lease_token == token)
                        conn.execute(update(table).where(*mine).values(lease_until=until, wake_at=until))
        except SQLAlchemyError:
            return  # the database is away: the next heartbeat tries again, and a lost lease is noticed at settling


def take(engine: Engine, name: str, now: datetime, lease: float) -> tuple[str, str] | None:
    """Take the lease if it is free or ran out: (token, the note its last holder left). None: taken."""
    token = secrets.token_hex(16)
    row = {"name": name, "token": token, "until": now + timedelta(seconds=lease), "now": now}
    with alone(engine) as conn:
        taken = conn.execute(_take(conn.dialect.name), row).one_or_none()
    return None if taken is None else (token, taken.note)


@cache
def _take(dialect: str) -> Any:
    put = insert_for(dialect, leases).values({name: bindparam(name) for name in ("name", "token", "until")})
    anew = {"token": put.excluded.token, "until": put.excluded.until}
    ran_out = leases.c.until <= bindparam("now", type_=Moment)
    put = put.on_conflict_do_update(index_elements=["name"], set_=anew, where=ran_out)
    return put.returning(leases.c.note, *_unhurried(dialect))


def _unhurried(dialect: str) -> tuple[Any, ...]:
    """Something to return that lets this transaction's commit not wait for the disk.

    A lease lost with the server that held it is taken anew, and one given back in vain runs out. What is guarded by a
    lease begins with a commit of its own (the note of a create), which brings this one to the disk before it.
    """
    return (func.set_config("synchronous_commit", "off", True),) if dialect == "postgresql" else ()


def give_back(engine: Engine, name: str, token: str, now: datetime, note: str = "") -> None:
    """Free the lease, if it is still ours, and leave `note` for the next holder; without one the row goes too."""
    mine = {"mine": name, "held": token}
    with alone(engine) as conn:
        free, forget = _given_back(conn.dialect.name)
        if note:
            conn.execute(free, {**mine, "token": None, "until": now, "note": note})
        else:
            conn.execute(forget, mine)


@cache
def _given_back(dialect: str) -> tuple[Any, Any]:
    return tuple(one.returning(leases.c.name, *_unhurried(dialect)) for one in (_FREE, _FORGET))  # type: ignore[return-value]
