"""A town in one process: a sandbox 1C and CRM behind HTTP, crm1c's store in a file, a list of calls for a broker.

`Town.work` performs the calls as workers and beat would, and moves the one clock to the next of them: no waiting.
"""

from __future__ import annotations

import atexit
import heapq
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from integration.bootstrap import World, build
from integration.flows.perform import perform_duty, perform_event
from integration.settings import read
from integration.store import journal, migrate
from integration.work import Arrival, new_id
from mappers.wire import dump_json
from sandbox.crm import API_KEY
from sandbox.onec import PASSWORD, USER
from sandbox.serve import serving
from tests.flows.neighbours import Neighbours

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
ORGANISATION = "7707083893"
SWEEP = 60.0


class Town(Neighbours):
    """`seconds`: how far the clock has come since START; `calls`: (when, number, queue, kind, row id)."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World
        self.secrets: dict[str, str] = {}

    # -- beginning -------------------------------------------------------------------------------------------------

    def reset(self, folder: Path, tables: Mapping[str, Any] | None = None, start: datetime = START) -> None:
        """Everything as new; `tables`: further keys of crm1c.toml, laid over the usual ones."""
        self.as_new()
        self.start, self.seconds, self._number = start, 0.0, count()
        self.calls: list[tuple[float, int, str, str, str]] = []
        self._set_their_clock()
        self.folder = folder
        shutil.copy(_empty_database(), folder / "crm1c.db")
        self.live(tables or {})

    def live(self, tables: Mapping[str, Any]) -> None:
        """A new process with these settings over the same database."""
        self.close()
        told: dict[str, Any] = {
            "database": {"url": f"sqlite:///{self.folder / 'crm1c.db'}"},
            "broker": {"url": "memory://"},
            "redis": {"url": "embedded://"},
            "onec": {"main": {"base_url": f"{self.onec_url}/bp/odata/standard.odata", "username": USER}},
            "crm": {"espo": {"kind": "espocrm", "base_url": self.crm_url, "api_key": "env:KEY"}},
        }
        told["onec"]["main"] |= {"password": "env:PASSWORD", "organisation": ORGANISATION}
        settings = read(_laid_over(told, tables), {"KEY": API_KEY, "PASSWORD": PASSWORD, **self.secrets})
        self.world = build(settings, self.wake, now=self.now, luck=lambda: 0.5)

    def close(self) -> None:
        if hasattr(self, "world"):
            self.world.close()

    # -- time and calls --------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)

    def wake(self, queue: str, kind: str, row_id: str, delay: float) -> None:
        heapq.heappush(self.calls, (self.seconds + delay, next(self._number), queue, kind, row_id))

    def work(self, seconds: float = 86_400) -> None:
        """Perform calls until nothing is due or running, for at most so many seconds of the town's clock."""
        deadline = self.seconds + seconds
        for _ in range(3000):
            if not self.calls:
                if not self.unfinished():
                    return
                self.wake("periodic", "sweep", "", SWEEP)
            if self.calls[0][0] > deadline:
                self.pass_time(deadline - self.seconds)
                return
            at, _number, queue, kind, row_id = heapq.heappop(self.calls)
            self.pass_time(at - self.seconds)
            self._perform(queue, kind, row_id)
        raise AssertionError("the work never ends")

    def pass_time(self, seconds: float) -> None:
        self.seconds += max(0.0, seconds)
        self._set_their_clock()

    def _set_their_clock(self) -> None:
        self.crm.clock.offset = self.now().timestamp() - time.time()

    def _perform(self, queue: str, kind: str, row_id: str) -> None:
        services, store = self.world.services, self.world.store
        if kind == "sweep":
            store.sweep()
        elif kind in ("probe", "release"):
            store.release(row_id, limit=1 if kind == "probe" else None)
        else:
            wait = (perform_event if kind == "event" else perform_duty)(services, row_id)
            if wait is not None:
                self.wake(queue, kind, row_id, wait.seconds)

    # -- events ----------------------------------------------------------------------------------------------------

    def tell(self, deal: str, event: str = "update", entity: str = "Opportunity", **body: Any) -> str:
        """A notice of the CRM arrives; the event's id. `n` in the body keeps equal notices apart."""
        item = dump_json({"id": deal, "n": next(self._number), **body})
        [event_id], _parked = self.world.store.receive([Arrival("espo", entity, event, deal, item)], item, {}, new_id())
        return event_id

    def press(self, deal: str) -> str:
        """The button «выставить счёт»."""
        return self.tell(deal, "invoice.requested")

    def done(self, deal: str, **told: Any) -> journal.EventView:
        """A notice of the deal, and everything that comes of it."""
        event_id = self.tell(deal, **told)
        self.work()
        return self.event(event_id)

    def event(self, event_id: str) -> journal.EventView:
        return self.whole(event_id).view

    def whole(self, event_id: str) -> journal.EventDetail:
        with self.world.store.reading() as conn:
            found = journal.event(conn, event_id)
        assert found is not None
        return found

    def unfinished(self) -> int:
        with self.world.store.reading() as conn:
            return sum(one.due + one.running for one in journal.counts(conn))

    def replay(self, event_id: str) -> journal.EventView:
        journal.replay(self.world.store, event_id)
        self.work()
        return self.event(event_id)


def oldest_first(town: Town, deals: Sequence[str], events: Sequence[str]) -> bool:
    """Were the deals' invoices numbered in the order in which their work was owed?"""
    owed = [min((one.created_at, one.id) for one in town.whole(event).duties) for event in events]
    numbers = [town.invoice(deal)["Number"] for deal in deals]
    return [number for _, number in sorted(zip(owed, numbers, strict=True))] == sorted(numbers)


@cache
def _empty_database() -> Path:
    folder = TemporaryDirectory(prefix="crm1c-")
    atexit.register(folder.cleanup)
    file = Path(folder.name) / "empty.db"
    migrate.upgrade(f"sqlite:///{file}")
    return file


def _laid_over(told: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    made = json.loads(json.dumps(dict(told)))
    for name, value in more.items():
        inside = isinstance(value, Mapping) and isinstance(made.get(name), dict)
        made[name] = _laid_over(made[name], value) if inside else value
    return dict(made)


@contextmanager
def built() -> Iterator[Town]:
    """The town with its systems served; `reset` it before each test."""
    town = Town()
    with serving(town.onec_app) as town.onec_url, serving(town.crm_app) as town.crm_url:
        yield town
    town.close()
