"""Lost calls are made up for, live rows are left alone, and old finished rows go."""

from __future__ import annotations

from typing import Any

import pytest

from integration.errors import Rejected, Transient
from integration.rules.findings import Finding
from integration.store import keys
from integration.store.cleaning import cleanup
from integration.store.reconcile_schema import findings, reconciliations
from integration.store.schema import deliveries, event_duties, inbox, leases, outbox, slots
from integration.work import Outcome
from tests.store.world import DONE, World, arrival, duty_of, event_of, owing, together

MONTHS = 91 * 86400.0


def test_a_call_that_was_never_made_is_made_up_for(world: World) -> None:
    """A worker died between commit and call: after the grace the sweep calls, in the right queue."""
    silent = world.another(wake=lambda *_: None)
    [event_id], _ = silent.receive([arrival()], b"[]", {}, "trace")
    assert world.store.sweep() == 0
    world.clock.forward(world.delivery.sweep_grace)
    assert world.store.sweep() == 1
    assert world.calls == [("inbox", "event", event_id, 0)]


def test_a_call_that_fails_fails_nothing(world: World) -> None:
    """The broker is down: what stands in the database is accepted all the same, and called later."""

    def refuse(*_: Any) -> None:
        raise OSError("connection refused")

    broken = world.another(wake=refuse)
    due, _ = broken.receive([arrival(), arrival("43")], b"[]", {}, "trace")
    assert len(due) == 2
    broken.settle(event_of(broken.claim_event(due[0])), Outcome("done", owes=(owing(),)))
    world.clock.forward(world.delivery.sweep_grace)
    assert world.store.sweep() == 2
    assert {call[0] for call in world.calls} == {"inbox", "onec"}


def test_the_same_row_is_called_after_doubling_pauses(world: World) -> None:
    """Up to half an hour, so that a long queue isn't filled with calls for the same rows."""
    world.event()
    world.clock.forward(world.delivery.sweep_grace)
    pauses: list[float] = []
    since = world.clock()
    while len(pauses) < 8:
        if world.store.sweep():
            pauses.append((world.clock() - since).total_seconds())
            since = world.clock()
        world.clock.forward(30)
    assert pauses == [0, 60, 120, 240, 480, 960, 1800, 1800]


def test_a_claim_and_a_put_off_begin_the_pauses_anew(world: World) -> None:
    """They belong to one wait."""
    event_id = world.event()
    for _ in range(5):
        world.clock.forward(3600)
        world.store.sweep()
    event = event_of(world.store.claim_event(event_id))
    world.store.put_off(event, 10, Transient(), attempt=True)
    world.clock.forward(10 + world.delivery.sweep_grace)
    assert world.store.sweep() == 1


def test_a_live_row_is_never_called(world: World) -> None:
    """Its worker's lease holds; when it runs out, the row is called."""
    duty = world.claimed_duty()
    world.clock.forward(world.delivery.lease - 1)
    assert world.store.sweep() == 0
    world.clock.forward(1)
    assert world.store.sweep() == 1
    assert duty_of(world.store.claim_duty(duty.id)).deaths == 1


def test_what_is_done_or_parked_is_never_called(world: World) -> None:
    """Whatever time passes."""
    world.store.settle(world.claimed_event(), DONE)
    world.store.park(world.claimed_duty(), "rejected", Rejected())
    world.clock.forward(MONTHS)
    assert world.store.sweep() == 0


def test_a_long_queue_is_called_oldest_first_in_portions(world: World) -> None:
    """Each run goes on where the one before it ended."""
    ids = []
    for number in range(5):
        ids.append(world.event(str(number)))
        world.clock.forward(1)
    world.clock.forward(world.delivery.sweep_grace)
    world.calls.clear()
    assert [world.store.sweep(limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert world.called() == ids


def test_sweeps_at_once_call_each_row_once(world: World) -> None:
    """Two beats do no harm, nor do they block each other."""
    for number in range(50):
        world.event(str(number))
    world.calls.clear()
    world.clock.forward(world.delivery.sweep_grace)
    assert sum(together(4, lambda _: world.store.sweep())) == 50
    assert len(set(world.called())) == 50


# -- old rows ---------------------------------------------------------------------------------------------------------


def finished(world: World, record: str) -> None:
    world.store.settle(world.claimed_event(record), Outcome("done", owes=(owing(f"deal:{record}"),)))
    for row in world.rows(outbox):
        if row.state == "due":
            world.store.settle(duty_of(world.store.claim_duty(row.id)), DONE)


@pytest.mark.parametrize("limit", [2, 1000])
def test_finished_work_goes_after_its_time(world: World, limit: int) -> None:
    """Events with their duties and requests, in portions; what was finished since stays."""
    for number in range(5):
        finished(world, str(number))
    world.clock.forward(MONTHS)
    finished(world, "new")
    assert cleanup(world.store, limit=limit) == 10
    assert [row.record_id for row in world.rows(inbox)] == ["new"]
    assert [row.key for row in world.rows(outbox)] == ["deal:new"]
    assert len(world.rows(deliveries)) == len(world.rows(event_duties)) == 1


def test_nothing_unfinished_goes(world: World) -> None:
    """Parked, due or running, and the events that led there with their requests."""
    for record, ending in (("parked", "park"), ("due", ""), ("running", "claim")):
        world.store.settle(world.claimed_event(record), Outcome("done", owes=(owing(f"deal:{record}"),)))
        [row] = [row for row in world.rows(outbox) if row.key == f"deal:{record}"]
        duty = duty_of(world.store.claim_duty(row.id)) if ending else None
        if duty and ending == "park":
            world.store.park(duty, "rejected", Rejected())
    world.store.receive([arrival("poison", problem="нет id")], b"[]", {}, "trace")
    world.clock.forward(MONTHS)
    assert cleanup(world.store) == 0
    assert (len(world.rows(inbox)), len(world.rows(outbox)), len(world.rows(deliveries))) == (4, 3, 4)


def test_a_request_stays_while_one_of_its_items_does(world: World) -> None:
    """It is kept for that item."""
    world.store.receive([arrival(), arrival("poison", problem="нет id")], b"[]", {}, "trace")
    [due] = [row.id for row in world.rows(inbox) if row.state == "due"]
    world.store.settle(event_of(world.store.claim_event(due)), DONE)
    world.clock.forward(MONTHS)
    assert cleanup(world.store) == 1
    assert len(world.rows(deliveries)) == 1


def test_old_leases_and_slots_go_too(world: World) -> None:
    """Those of today stay."""
    with world.store.holding(["session:main:1"], 0) as (_, leave):
        leave("cookie")
    with world.store.unit("test") as unit:
        assert keys.take_slot(unit.conn, "sweep", "1", unit.now)
        run = unit.reconciling.begin("test", None, ["bank"], over_limit=False)
        unit.reconciling.find(run.id, "bank", [Finding("missing", "bank", "№ 57", {"bank": "1.00", "onec": ""})])
        unit.reconciling.end(run, "found", {})
    cleanup(world.store)
    assert len(world.rows(leases)) == len(world.rows(slots)) == len(world.rows(findings)) == 1
    world.clock.forward(MONTHS)
    cleanup(world.store)
    for table in (leases, slots, findings, reconciliations):
        assert not world.rows(table)


def test_old_marks_of_creations_go_and_how_far_a_pull_has_come_stays(world: World) -> None:
    """A mark is made for every object created; what a poll needs is never old."""
    for name in ("doubt:invoice:1", "made:counterparty:1", "poll:espo"):
        world.store.set_watermark(name, "x")
    world.clock.forward(MONTHS)
    world.store.set_watermark("doubt:invoice:2", "x")
    cleanup(world.store)
    kept = ("doubt:invoice:1", "made:counterparty:1", "poll:espo", "doubt:invoice:2")
    assert [world.store.watermark(name) for name in kept] == [None, None, "x", "x"]
