"""Any order of arriving, working, dying and time passing: nothing is lost, nothing is done that wasn't owed."""

from __future__ import annotations

import itertools
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from sqlalchemy.event import listen

from integration.errors import Rejected, Transient
from integration.store import boxes, journal
from integration.store.filters import WORST_FIRST
from integration.store.migrate import upgrade
from integration.store.schema import event_duties, inbox, outbox
from integration.work import Duty, Event, Outcome, Wait
from tests.store.world import World, arrival, owing

NOTICES = st.sampled_from([f"{record}{version}" for record in "abc" for version in range(9)])
DAY = timedelta(days=1)


class Machine(RuleBasedStateMachine):
    """One SQLite store with a clock of its own; workers are whoever holds a claim."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        numbers = itertools.count()
        self.ids = patch.object(boxes, "new_id", lambda: f"{next(numbers):032x}")  # rows come in the same order again
        self.ids.start()
        self.folder = tempfile.TemporaryDirectory()
        url = f"sqlite:///{Path(self.folder.name) / 'crm1c.db'}"
        upgrade(url)
        self.world = World(url)
        listen(self.world.store.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
        self.store = self.world.store
        self.accepted: set[str] = set()
        self.owed: set[str] = set()
        self.settled: set[str] = set()

    def teardown(self) -> None:
        try:
            self.finish()
        finally:
            self.ids.stop()
            self.world.close()
            self.folder.cleanup()

    # -- what may happen ---------------------------------------------------------------------------------------------

    @rule(records=st.lists(NOTICES, min_size=1, max_size=5), vendor=st.booleans(), usable=st.integers(0, 9))
    def receive(self, records: list[str], vendor: bool, usable: int) -> None:
        before = {row.id for row in self.world.rows(inbox)}
        problem = "" if usable else "нет id"
        items = [arrival(record, event_id=f"e-{record}" if vendor else "", problem=problem) for record in records]
        due, parked = self.store.receive(items, b"[]", {}, "trace")
        new = {row.id for row in self.world.rows(inbox)} - before
        assert len(new) == len(due) + parked
        assert usable == 0 or len(new) <= len(set(records))
        self.accepted |= new

    @rule(target=held, choice=st.integers(0, 99), many=st.integers(1, 6))
    def claim(self, choice: int, many: int) -> Any:
        rows = [row for row in reversed(self.everything()) if row.state in ("due", "running")]
        first = choice % max(1, len(rows))
        return multiple(*filter(None, [self.claim_one(row.id) for row in rows[first : first + many]]))

    @rule(target=held, work=held)
    def overtake(self, work: Event | Duty) -> Any:
        """Its worker hangs, another takes the row over, and the first one may come back later."""
        self.world.clock.forward(self.world.delivery.lease)
        return (self.holds(work) and self.claim_one(work.id)) or multiple()

    def claim_one(self, row_id: str) -> Event | Duty | None:
        row, now, duty = self.world.row(row_id), self.world.clock(), row_id in self.owed
        claimed = self.store.claim_duty(row_id) if duty else self.store.claim_event(row_id)
        free = row.due_at <= now if row.state == "due" else row.lease_until <= now
        if isinstance(claimed, Event | Duty):
            assert free, "claimed before its time"
            assert claimed.deaths == row.deaths + (row.state == "running")
            return claimed
        others = [other for other in self.world.rows(outbox) if duty and other.id != row_id]
        busy = any(other.state == "running" and other.key == row.key for other in others)
        poison = self.world.row(row_id).state == "parked"
        assert not free or busy or poison
        assert isinstance(claimed, Wait) or poison
        return None

    @rule(work=consumes(held), records=st.sampled_from(("abc", "ab", "ba", "c", "")), merge=st.booleans())
    def settle(self, work: Event | Duty, records: str, merge: bool) -> None:
        held, before = self.holds(work), {row.id for row in self.world.rows(outbox)}
        owes = tuple(owing(f"deal:{record}", merge=f"m:{record}" if merge else "") for record in records)
        self.store.settle(work, Outcome("done", owes=owes if len(before) < 30 else ()))
        new = {row.id for row in self.world.rows(outbox)} - before
        assert held or not new, "a worker that lost its row wrote duties"
        for one in owes if held and len(before) < 30 else ():
            waiting = [row for row in self.world.rows(outbox) if (row.key, row.state) == (one.key, "due")]
            assert any(row.merge_key == one.merge for row in waiting) if merge else new, "owed, not written"
        self.owed |= new
        if held:
            self.settled.add(work.id)

    @rule(work=consumes(held), ending=st.sampled_from(("at once", "later", "much later", "held", "park")))
    def fail(self, work: Event | Duty, ending: str) -> None:
        held, error = self.holds(work), Transient("закрыта")
        if ending == "park":
            self.store.park(work, "rejected", Rejected("нет ИНН"))
        elif ending == "held":
            self.store.put_off(work, 60, error, attempt=False, waits_for="onec:main")
        else:
            self.store.put_off(work, {"at once": 0, "later": 5, "much later": 700}[ending], error, attempt=True)
        row = self.world.row(work.id)
        assert not held or row.state == ("parked" if ending == "park" else "due")
        assert not held or row.attempts == work.attempts + (ending != "held")

    @rule(seconds=st.sampled_from((0.5, 15, 15, 61, 1801)))
    def time_passes(self, seconds: float) -> None:
        """After 15 s whoever holds a row has hung or died, though it may come back."""
        self.world.clock.forward(seconds)

    @rule(what=st.sampled_from(("sweep", "release", "replay")), choice=st.integers(0, 99))
    def meanwhile(self, what: str, choice: int) -> None:
        live = {row.id for row in self.everything() if row.state == "running" and row.lease_until > self.world.clock()}
        self.world.calls.clear()
        if what == "sweep":
            self.store.sweep()
        elif what == "release":
            self.store.release("onec:main")
        elif self.accepted:
            journal.replay(self.store, sorted(self.accepted)[choice % len(self.accepted)])
        assert not live & set(self.world.called()), "a living worker's row was called"

    # -- what always holds -------------------------------------------------------------------------------------------

    def everything(self) -> list[Any]:
        return [*self.world.rows(inbox), *self.world.rows(outbox)]

    def holds(self, work: Event | Duty) -> bool:
        row = self.world.row(work.id)
        return bool(row.state == "running" and row.lease_token == work.token)

    @invariant()
    def nothing_is_lost_invented_or_forgotten(self) -> None:
        events, duties, bound = (self.world.rows(table) for table in (inbox, outbox, event_duties))
        assert {row.id for row in events} == self.accepted
        assert {row.id for row in duties} == self.owed == {row.duty_id for row in bound}
        states = {row.id: row.state for row in (*events, *duties)}
        assert set(states.values()) <= {"due", "running", "done", "parked"}
        assert {row_id for row_id, state in states.items() if state == "done"} == self.settled
        running = [row.key for row in duties if row.state == "running"]
        assert len(running) == len(set(running)), "two duties of one key run at once"
        latest = self.world.clock() + DAY  # even if every message is lost
        assert all(row.wake_at <= latest for row in (*events, *duties) if row.state in ("due", "running"))

    def finish(self) -> None:
        """Every message is lost, but the sweep runs: everything comes to its end."""
        with self.store.reading() as conn:  # every event is shown in one state alone
            shown = [view.id for state in WORST_FIRST for view in journal.events(conn, state=state, limit=999)]
        assert sorted(shown) == sorted(self.accepted)
        for _ in range(300):
            self.world.clock.forward(self.world.delivery.sweep_grace)
            self.world.calls.clear()
            self.store.sweep()
            for row_id in self.world.called():
                claimed = self.store.claim_event(row_id) or self.store.claim_duty(row_id)
                if isinstance(claimed, Event | Duty):
                    self.store.settle(claimed, Outcome("done"))
                    self.settled.add(row_id)
            if all(row.state in ("done", "parked") for row in self.everything()):
                return
        raise AssertionError("something was never called")


TestMachine = pytest.mark.slow(Machine.TestCase)
TestMachine.settings = settings(max_examples=50, stateful_step_count=50, deadline=None)
