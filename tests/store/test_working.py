"""Claiming, settling, putting off, parking: one worker at a time, and nothing is written by one that lost its row."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.event import listen, remove

from integration.errors import Held, Rejected, Transient
from integration.store.schema import event_duties, inbox, outbox
from integration.work import Duty, Event, Link, Outcome, Wait
from tests.store.world import DONE, World, duty_of, event_of, owing, together

LINK = Link("espo", "Opportunity", "42", "main", "invoice", "ref")


def bound(world: World) -> set[tuple[str, str]]:
    return {(row.event_id, row.duty_id) for row in world.rows(event_duties)}


# -- claiming ---------------------------------------------------------------------------------------------------------


def test_of_many_who_claim_at_once_one_gets_the_row(world: World) -> None:
    """The others are told when to come back."""
    duty_id = world.duty()
    answers = together(20, lambda _: world.store.claim_duty(duty_id))
    assert sum(isinstance(answer, Duty) for answer in answers) == 1
    assert {answer.seconds for answer in answers if isinstance(answer, Wait)} == {world.delivery.lease}


def test_a_claim_before_its_time_waits(world: World) -> None:
    """A call that comes early is told for how long."""
    duty_id = world.duty(owing(delay=30))
    world.clock.forward(10)
    assert world.store.claim_duty(duty_id) == Wait(20)
    world.clock.forward(20)
    assert isinstance(world.store.claim_duty(duty_id), Duty)


def test_what_is_settled_or_unknown_is_not_claimed(world: World) -> None:
    """A duplicate of a message finds nothing to do."""
    event = world.claimed_event()
    world.store.settle(event, DONE)
    assert world.store.claim_event(event.id) is None
    assert world.store.claim_event("0" * 32) is None
    assert world.store.claim_duty("0" * 32) is None


def test_a_dead_workers_row_is_taken_over_and_its_late_settling_changes_nothing(world: World) -> None:
    """The lease ran out: another carries on, and of the first one nothing is written, neither duties nor links."""
    first = world.claimed_duty()
    world.clock.forward(world.delivery.lease)
    second = duty_of(world.another().claim_duty(first.id))
    assert second.deaths == 1
    late = Outcome("done", owes=(owing("deal:43"),), links=(LINK,))
    world.store.settle(first, late)
    world.store.park(first, "rejected", Rejected(), owes=(owing("deal:44"),))
    world.store.put_off(first, 5, Transient(), attempt=True)
    assert [row.key for row in world.rows(outbox)] == [first.key]
    with world.store.unit("look") as unit:
        assert unit.links.of_record("espo", "Opportunity", "42") == []
    assert world.row(first.id).state == "running"
    world.store.settle(second, DONE)
    assert (world.row(first.id).state, world.row(first.id).outcome) == ("done", "done")


def test_a_lease_that_ran_out_unnoticed_still_settles(world: World) -> None:
    """Nobody took the row over, so the work stands."""
    duty = world.claimed_duty()
    world.clock.forward(10 * world.delivery.lease)
    world.store.settle(duty, DONE)
    assert world.row(duty.id).state == "done"


def test_two_duties_of_one_key_wait_for_each_other(world: World) -> None:
    """The second is claimed when the first is settled, put off or parked; a third of another key doesn't wait."""
    first, second, other = world.claimed_duty(), world.duty(), world.duty(owing("deal:43"))
    assert isinstance(world.store.claim_duty(second), Wait)
    duty_of(world.store.claim_duty(other))
    world.store.put_off(first, 5, Transient(), attempt=True)
    duty_of(world.store.claim_duty(second))


def test_duties_of_one_key_never_run_side_by_side(world: World) -> None:
    """Twenty workers, duties of three keys that owe each other again: no two of a key at once, and no deadlock."""
    running: Counter[str] = Counter()
    overlaps: list[str] = []
    guard = threading.Lock()
    keys = [f"deal:{number}" for number in range(3)]
    for _ in range(3):
        for key in keys:
            world.duty(owing(key))

    def work(number: int) -> int:
        done = 0
        for _ in range(200):
            for row in open_rows(world):
                duty = world.store.claim_duty(row.id)
                if not isinstance(duty, Duty):
                    continue
                with guard:
                    running[duty.key] += 1
                    overlaps.extend([duty.key] if running[duty.key] > 1 else [])
                again = [owing(key, merge=f"push:{key}") for key in (keys if duty.id < middle else ())]
                with guard:
                    running[duty.key] -= 1
                world.store.settle(duty, Outcome("done", owes=tuple(again[:: 1 if number % 2 else -1])))
                done += 1
            if not open_rows(world):
                break
        return done

    middle = max(row.id for row in world.rows(outbox)) + "0"
    assert sum(together(20, work)) == len(world.rows(outbox))
    assert not overlaps
    assert all(row.state == "done" and row.deaths == 0 for row in world.rows(outbox))


def open_rows(world: World) -> list[Any]:
    return [row for row in world.rows(outbox) if row.state != "done"]


# -- owing and merging ------------------------------------------------------------------------------------------------


def test_events_that_lead_to_one_duty_are_all_bound_to_it(world: World) -> None:
    """A waiting duty takes in another of its merge; so does what that duty owes in its turn."""
    for record in ("a", "b", "c"):
        world.clock.forward(1)
        world.store.settle(world.claimed_event(record), Outcome("done", owes=(owing(merge="invoice:42"),)))
    [row] = world.rows(outbox)
    assert {event for event, duty in bound(world) if duty == row.id} == {event.id for event in world.rows(inbox)}
    assert world.called().count(row.id) == 1
    world.store.settle(duty_of(world.store.claim_duty(row.id)), Outcome("done", owes=(owing("push:42"),)))
    assert len(bound(world)) == 6


def test_a_claimed_duty_takes_no_other_in(world: World) -> None:
    """It may already have read the record; after a retry it is the same."""
    first = world.claimed_duty(owing(merge="m"))
    second = world.duty(owing(merge="m"))
    assert second != first.id
    world.store.put_off(first, 0, Transient(), attempt=True)
    assert world.duty(owing(merge="m")) == second


def test_a_merged_duty_is_due_at_the_earlier_time(world: World) -> None:
    """A haste is not lost in a waiting duty, nor does a later one delay it."""
    duty_id = world.duty(owing(merge="m", delay=300))
    world.calls.clear()
    assert world.duty(owing(merge="m", delay=600)) == duty_id
    assert not world.called()
    assert world.duty(owing(merge="m")) == duty_id
    assert world.called() == [duty_id]
    duty_of(world.store.claim_duty(duty_id))


def test_events_merged_at_once_are_all_bound(world: World) -> None:
    """Twenty events settle at once into one duty while workers try to claim it: each is bound to a duty."""
    events = [world.claimed_event(str(number)) for number in range(20)]

    def settle(number: int) -> None:
        owes = tuple(owing(f"deal:{name}", merge=name) for name in ("ab" if number % 2 else "ba"))
        world.store.settle(events[number], Outcome("done", owes=owes))
        for row in open_rows(world):
            world.store.claim_duty(row.id)

    together(20, settle)
    assert Counter(event for event, _ in bound(world)) == {event.id: 2 for event in events}


def test_settling_and_claiming_never_wait_for_each_other(world: World) -> None:
    """A duty owed again under its own key is claimed between every two statements of the settling: neither fails."""
    first, second, other = world.claimed_duty(), world.duty(owing(merge="again")), world.another()
    answers: list[Any] = []
    claims: list[threading.Thread] = []

    def claim(*_: Any) -> None:
        claims.append(threading.Thread(target=lambda: answers.append(other.claim_duty(second))))
        claims[-1].start()
        claims[-1].join(0.2)  # it may well wait for us to commit, as long as we don't wait for it

    listen(world.store.engine, "before_cursor_execute", claim)
    try:
        world.store.settle(first, Outcome("done", owes=(owing(merge="again"),)))
    finally:
        remove(world.store.engine, "before_cursor_execute", claim)
    for thread in claims:
        thread.join(30)
    assert len(answers) == len(claims) > 2
    assert [world.row(one).state for one in (first.id, second)] == ["done", "running"]


def test_ids_are_given_in_the_order_of_what_is_owed(world: World) -> None:
    """Whatever order they are written in."""
    with world.store.unit("test") as unit:
        cause = Event("", "test", "", "", "", b"", "trace")
        ids = unit.owe(owing("z", merge="z"), owing("a", merge="a"), owing("m"), cause=cause)
    assert [world.row(one).key for one in ids] == ["z", "a", "m"]


# -- settling ---------------------------------------------------------------------------------------------------------


def test_settling_writes_outcome_links_and_duties_together(world: World) -> None:
    """And wakes a worker for each duty, in the queue of its system."""
    event = world.claimed_event()
    world.calls.clear()
    world.store.settle(event, Outcome("unchanged", "уже так", owes=(owing(system="crm:espo"),), links=(LINK,)))
    row, [duty] = world.row(event.id), world.rows(outbox)
    assert (row.state, row.outcome, row.outcome_text, row.settled_at) == ("done", "unchanged", "уже так", world.clock())
    assert (row.lease_token, row.lease_until) == (None, None)
    assert world.calls == [("crm", "invoice", duty.id, 0)]
    with world.store.unit("look") as unit:
        assert unit.links.find("espo", "Opportunity", "42", "main", "invoice") == LINK


def test_a_unit_that_fails_leaves_nothing_and_calls_nobody(world: World) -> None:
    """Everything in a transaction stands, or nothing does."""

    def fail() -> None:
        with world.store.unit("test") as unit:
            unit.owe(owing(), cause=Event("", "test", "", "", "", b"", "trace"))
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert not world.rows(outbox)
    assert not world.calls


def test_put_off_comes_back_after_its_delay(world: World) -> None:
    """With the error shown meanwhile, and one attempt counted in the row."""
    duty = world.claimed_duty()
    world.calls.clear()
    world.store.put_off(duty, 30, Transient("закрыта\0", detail="HTTP 503"), attempt=True)
    row = world.row(duty.id)
    assert (row.state, row.attempts, row.error, row.error_detail) == ("due", 1, "закрыта", "HTTP 503")
    assert world.calls == [("onec", "invoice", duty.id, 30)]
    assert world.store.claim_duty(duty.id) == Wait(30)
    world.clock.forward(30)
    again = duty_of(world.store.claim_duty(duty.id))
    assert again.attempts == 1
    world.store.settle(again, DONE)
    assert world.row(duty.id).error is None


def test_a_delay_beyond_the_longest_countdown_is_left_to_the_sweep(world: World) -> None:
    """RabbitMQ holds no message for hours."""
    duty = world.claimed_duty()
    world.calls.clear()
    world.store.put_off(duty, world.delivery.countdown_max + 1, Transient(), attempt=True)
    assert world.store.sweep() == 0
    world.clock.forward(world.delivery.countdown_max + 1)
    assert world.store.sweep() == 1
    assert world.called() == [duty.id]


def test_waiting_for_a_lock_or_a_system_costs_no_attempt(world: World) -> None:
    """However often."""
    duty = world.claimed_duty()
    for _ in range(3):
        world.store.put_off(duty, 0, Held(), attempt=False)
        duty = duty_of(world.store.claim_duty(duty.id))
    assert duty.attempts == 0


def test_a_held_duty_is_called_when_its_system_answers(world: World) -> None:
    """First one as a probe, which leaves it waiting; then all of them, oldest first, and none of another system."""
    waiting = []
    for number, system in enumerate(("onec:main", "onec:main", "onec:other")):
        duty = world.claimed_duty(owing(f"deal:{number}", system=system))
        world.store.put_off(duty, 60, Held(), attempt=False, waits_for=system)
        waiting.append(duty.id)
        world.clock.forward(1)
    world.calls.clear()
    assert world.store.release("onec:main", 1) == 1
    assert world.called() == waiting[:1]
    assert world.store.release("onec:main") == 2
    assert world.called() == waiting[:2]
    assert world.store.release("onec:main") == 0
    duty_of(world.store.claim_duty(waiting[0]))
    world.clock.forward(120)  # what nobody releases the sweep calls
    world.store.sweep()
    assert waiting[2] in world.called()


def test_parking_keeps_the_error_and_tells_whom_it_concerns(world: World) -> None:
    """Until a person looks, the row is nobody's."""
    duty = world.claimed_duty()
    world.calls.clear()
    world.store.park(duty, "rejected", Rejected("нет ИНН", detail="x" * 9000), owes=(owing("tell:42"),))
    row = world.row(duty.id)
    assert (row.state, row.error_kind, row.error, row.attempts) == ("parked", "rejected", "нет ИНН", 1)
    assert len(row.error_detail) == 4000
    assert len(world.calls) == 1
    assert world.store.claim_duty(duty.id) is None


def test_a_row_that_kills_its_workers_is_poison(world: World) -> None:
    """After ten deaths in a row it is parked at the next claim; a try that its worker lived through starts anew."""
    duty_id = world.duty()
    deaths = world.delivery.poison_deaths

    def die(times: int) -> Duty:
        for _ in range(times):
            duty_of(world.store.claim_duty(duty_id))
            world.clock.forward(world.delivery.lease)
        return duty_of(world.store.claim_duty(duty_id))

    survivor = die(deaths - 1)
    assert survivor.deaths == deaths - 1
    world.store.put_off(survivor, 0, Transient(), attempt=True)
    assert die(deaths - 1).deaths == deaths - 1
    world.clock.forward(world.delivery.lease)
    assert world.store.claim_duty(duty_id) is None
    row = world.row(duty_id)
    assert (row.state, row.error_kind, row.deaths) == ("parked", "poison", deaths)


def test_a_result_is_kept_as_it_was_given(world: World) -> None:
    """Russian, and what no database holds, included."""
    duty = world.claimed_duty()
    world.store.settle(duty, replace(DONE, result={"number": "УТ-1", "odd": "a\0\ud800"}))
    assert '"number": "УТ-1"' in world.row(duty.id).result


def test_events_of_one_record_are_routed_side_by_side(world: World) -> None:
    """Only duties exclude each other."""
    first, second = world.event("42"), world.event("42", webhook_id="w2")
    event_of(world.store.claim_event(first))
    event_of(world.store.claim_event(second))
