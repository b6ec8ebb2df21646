"""Any order of arriving, working, dying and time passing: nothing is lost, nothing is done that wasn't owed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from sqlalchemy import Table
from sqlalchemy.event import listen

from integration.errors import Rejected, Transient
from integration.store import journal
from integration.store.filters import WORST_FIRST
from integration.store.migrate import upgrade
from integration.store.schema import event_duties, inbox, outbox
from integration.work import Duty, Event, Outcome, Wait
from tests.store.world import World, arrival, owing

RECORDS = st.sampled_from("abc")
DAY = 86400.0


class Machine(RuleBasedStateMachine):
    """One SQLite store with a clock of its own; workers are whoever holds a claim."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
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
            self.world.close()
            self.folder.cleanup()

    # -- what may happen ---------------------------------------------------------------------------------------------

    @rule(record=RECORDS, vendor=st.booleans(), usable=st.integers(0, 9))
    def receive(self, record: str, vendor: bool, usable: int) -> None:
        before = {row.id for row in self.world.rows(inbox)}
        item = arrival(record, event_id=f"e-{record}" if vendor else "", problem="" if usable else "нет id")
        due, parked = self.store.receive([item], b"[]", {}, "trace")
        new = {row.id for row in self.world.rows(inbox)} - before
        assert len(new) == len(due) + parked <= 1
        self.accepted |= new

    @rule(target=held, box=st.sampled_from((inbox, outbox)), choice=st.integers(0, 9))
    def claim(self, box: Table, choice: int) -> Any:
        rows = [row for row in self.world.rows(box) if row.state in ("due", "running")]
        if not rows:
            return multiple()
        row = rows[choice % len(rows)]
        claim = self.store.claim_event if box is inbox else self.store.claim_duty
        claimed = claim(row.id)
        now = self.world.clock()
        free = row.due_at <= now if row.state == "due" else row.lease_until <= now
        if isinstance(claimed, Event | Duty):
            assert free, "claimed before its time"
            assert claimed.deaths == row.deaths + (row.state == "running")
            return claimed
        others = [other for other in rows if box is outbox and other.id != row.id]
        busy = any(other.state == "running" and other.key == row.key for other in others)
        poison = self.world.row(row.id).state == "parked"
        assert not free or busy or poison
        assert isinstance(claimed, Wait) or poison
        return multiple()

    @rule(work=consumes(held), records=st.lists(RECORDS, max_size=2), merge=st.booleans())
    def settle(self, work: Event | Duty, records: list[str], merge: bool) -> None:
        held, before = self.holds(work), {row.id for row in self.world.rows(outbox)}
        owes = tuple(owing(f"deal:{record}", merge=f"m:{record}" if merge else "") for record in records)
        if isinstance(work, Duty) and len(before) > 30:
            owes = ()
        self.store.settle(work, Outcome("done", owes=owes))
        new = {row.id for row in self.world.rows(outbox)} - before
        assert held or not new, "a worker that lost its row wrote duties"
        self.owed |= new
        if held:
            self.settled.add(work.id)

    @rule(work=consumes(held), delay=st.sampled_from((0, 5, 700)), attempt=st.booleans())
    def put_off(self, work: Event | Duty, delay: float, attempt: bool) -> None:
        held = self.holds(work)
        self.store.put_off(work, delay, Transient("закрыта"), attempt=attempt)
        if held:
            row = self.world.row(work.id)
            assert (row.state, row.attempts) == ("due", work.attempts + attempt)

    @rule(work=consumes(held))
    def wait_for_its_system(self, work: Event | Duty) -> None:
        self.store.put_off(work, 60, Transient("закрыта"), attempt=False, waits_for="onec:main")

    @rule()
    def release(self) -> None:
        self.store.release("onec:main")

    @rule(work=consumes(held))
    def park(self, work: Event | Duty) -> None:
        self.store.park(work, "rejected", Rejected("нет ИНН"))

    @rule(work=consumes(held))
    def die(self, work: Event | Duty) -> None:
        """The worker is gone; it says nothing."""

    @rule(work=held)
    def stall(self, work: Event | Duty) -> None:
        """The worker hangs until its lease runs out, and may come back."""
        self.world.clock.forward(self.world.delivery.lease)

    @rule(seconds=st.sampled_from((0.5, 10, 61, 1801)))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.forward(seconds)

    @rule()
    def lose_every_message(self) -> None:
        self.world.calls.clear()

    @rule()
    def sweep(self) -> None:
        live = {row.id for row in self.everything() if row.state == "running" and row.lease_until > self.world.clock()}
        self.world.calls.clear()
        self.store.sweep()
        assert not live & set(self.world.called()), "a living worker's row was called"

    @rule(choice=st.integers(0, 9))
    def replay(self, choice: int) -> None:
        events = self.world.rows(inbox)
        if events:
            journal.replay(self.store, events[choice % len(events)].id)

    @rule()
    def look(self) -> None:
        """Every event is shown in one state alone."""
        with self.store.reading() as conn:
            shown = [view.id for state in WORST_FIRST for view in journal.events(conn, state=state, limit=999)]
        assert sorted(shown) == sorted(self.accepted)

    # -- what always holds -------------------------------------------------------------------------------------------

    def everything(self) -> list[Any]:
        return [*self.world.rows(inbox), *self.world.rows(outbox)]

    def holds(self, work: Event | Duty) -> bool:
        row = self.world.row(work.id)
        return bool(row.state == "running" and row.lease_token == work.token)

    @invariant()
    def nothing_is_lost_or_invented(self) -> None:
        assert {row.id for row in self.world.rows(inbox)} == self.accepted
        assert {row.id for row in self.world.rows(outbox)} == self.owed
        assert {row.state for row in self.everything()} <= {"due", "running", "done", "parked"}
        assert {row.id for row in self.everything() if row.state == "done"} == self.settled

    @invariant()
    def duties_of_one_key_run_alone(self) -> None:
        running = [row.key for row in self.world.rows(outbox) if row.state == "running"]
        assert len(running) == len(set(running))

    @invariant()
    def every_duty_answers_an_event(self) -> None:
        assert {row.duty_id for row in self.world.rows(event_duties)} == self.owed

    @invariant()
    def whatever_is_unfinished_will_be_called(self) -> None:
        """Within a day of sweeps at the latest, even if every message is lost."""
        latest = self.world.clock().timestamp() + DAY
        for row in self.everything():
            if row.state in ("due", "running"):
                assert row.wake_at.timestamp() <= latest

    def finish(self) -> None:
        """Messages get lost, but the sweep runs: everything comes to its end."""
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


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
