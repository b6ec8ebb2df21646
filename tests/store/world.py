"""A store to test: a fresh database, a clock that only the test moves, and a list instead of a broker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Engine, Table, select

from integration.settings.technical import Delivery
from integration.store.engine import connect
from integration.store.schema import inbox, outbox
from integration.store.store import SqlStore
from integration.store.sweep import Call
from integration.work import Arrival, Duty, Event, Outcome, Owed, Wait

T = TypeVar("T")

START = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Clock:
    """Stands still until `forward`."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def forward(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass
class World:
    """`store` is one worker process, `another()` one more on the same database; `calls` are their wake-up calls."""

    url: str
    delivery: Delivery = field(default_factory=Delivery)
    clock: Clock = field(default_factory=Clock)
    calls: list[Call] = field(default_factory=list)
    engines: list[Engine] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = self.another()

    def another(
        self, *, now: Callable[[], datetime] | None = None, wake: Callable[..., None] | None = None, **delivery: Any
    ) -> SqlStore:
        self.engines.append(connect(self.url))
        return SqlStore(
            self.engines[-1],
            now or self.clock,
            replace(self.delivery, **delivery),
            wake or (lambda *call: self.calls.append(call)),
        )

    def close(self) -> None:
        for engine in self.engines:
            engine.dispose()

    # -- work on its way ---------------------------------------------------------------------------------------------

    def event(self, record_id: str = "42", **values: Any) -> str:
        """Receive a new event; its id."""
        [event_id], _ = self.store.receive([arrival(record_id, **values)], b"[]", {}, "trace")
        return event_id

    def claimed_event(self, record_id: str = "42") -> Event:
        return event_of(self.store.claim_event(self.event(record_id)))

    def duty(self, owed: Owed | None = None) -> str:
        """Owe a new duty; its id."""
        with self.store.unit("test") as unit:
            [duty_id] = unit.owe(owed or owing(), cause=Event("", "test", "", "", "", b"", "trace"))
        return duty_id

    def claimed_duty(self, owed: Owed | None = None) -> Duty:
        return duty_of(self.store.claim_duty(self.duty(owed)))

    # -- looking -----------------------------------------------------------------------------------------------------

    def rows(self, table: Table) -> list[Any]:
        with self.store.reading() as conn:
            return list(conn.execute(select(table).order_by(*table.primary_key)))

    def row(self, row_id: str) -> Any:
        with self.store.reading() as conn:
            for box in (inbox, outbox):
                if (row := conn.execute(select(box).where(box.c.id == row_id)).one_or_none()) is not None:
                    return row
        raise LookupError(row_id)

    def called(self) -> list[str]:
        """The ids that were called since this was last asked."""
        ids = [call[2] for call in self.calls]
        self.calls.clear()
        return ids


DONE = Outcome("done", "готово")


def arrival(record_id: str = "42", body: bytes | None = None, entity: str = "Opportunity", **values: Any) -> Arrival:
    return Arrival("espo", entity, "update", record_id, body or f'{{"id": "{record_id}"}}'.encode(), **values)


def owing(key: str = "deal:42", merge: str = "", system: str = "onec:main", **values: Any) -> Owed:
    return Owed("invoice", system, key, {"deal": key}, merge=merge, **values)


def event_of(claimed: Event | Wait | None) -> Event:
    assert isinstance(claimed, Event), claimed
    return claimed


def duty_of(claimed: Duty | Wait | None) -> Duty:
    assert isinstance(claimed, Duty), claimed
    return claimed


def together(count: int, work: Callable[[int], T]) -> list[T]:
    """Run `work(0)` … `work(count - 1)` in a thread each, started at once; their answers, or the first error."""
    ready = threading.Barrier(count, timeout=30)

    def run(number: int) -> T:
        ready.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count), timeout=120))


def closing(world: World) -> Iterator[World]:
    try:
        yield world
    finally:
        world.close()
