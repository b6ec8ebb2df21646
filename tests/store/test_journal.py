"""What people see of the inbox, and what they do with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from integration.errors import Conflict, Poison, Rejected, Transient
from integration.store import journal
from integration.store.schema import inbox, outbox
from integration.work import Duty, Outcome
from tests.store.world import DONE, START, World, arrival, duty_of, event_of, owing


def events(world: World, **filters: Any) -> list[journal.EventView]:
    with world.store.reading() as conn:
        return journal.events(conn, **filters)


def detail(world: World, event_id: str) -> journal.EventDetail:
    with world.store.reading() as conn:
        found = journal.event(conn, event_id)
    assert found
    return found


def led_to(world: World, record: str, *keys: str) -> tuple[str, list[Duty]]:
    """An event that is done, and the duties that it led to, claimed."""
    event = world.claimed_event(record)
    world.store.settle(event, Outcome("done", owes=tuple(owing(key) for key in keys)))
    ids = [row.id for row in world.rows(outbox) if row.state == "due"]
    return event.id, [duty_of(world.store.claim_duty(duty_id)) for duty_id in ids]


# -- state and error --------------------------------------------------------------------------------------------------


def test_an_event_is_as_far_as_the_worst_of_its_duties(world: World) -> None:
    """Parked before running before due before done."""
    event_id, (first, second, third) = led_to(world, "42", "a", "b", "c")

    def state() -> str:
        [view] = events(world)
        assert [one.id for one in events(world, state=view.state)] == [event_id]
        others = {"parked", "running", "due", "done"} - {view.state}
        assert not any(events(world, state=other) for other in others)
        return view.state

    assert state() == "running"
    world.store.settle(first, DONE)
    world.store.put_off(second, 5, Transient("закрыта"), attempt=True)
    assert state() == "running"
    world.store.park(third, "rejected", Rejected("нет ИНН", detail="HTTP 400"))
    assert state() == "parked"
    [view] = events(world)
    assert (view.kind, view.error, view.detail, view.attempts) == ("rejected", "нет ИНН", "HTTP 400", 1)
    assert (view.duties, view.outcome) == (3, None)
    assert view.due_at == world.clock() + timedelta(seconds=5)
    journal.discard(world.store, third.id, "не нужно")
    assert state() == "due"
    assert events(world)[0].error == "закрыта"
    world.clock.forward(5)
    world.store.settle(duty_of(world.store.claim_duty(second.id)), Outcome("unchanged"))
    assert state() == "done"
    assert (events(world)[0].outcome, events(world)[0].due_at) == ("done", None)


@pytest.mark.parametrize("ending", ["park", "put_off", "settle"])
def test_an_event_without_duties_shows_its_own_row(world: World, ending: str) -> None:
    """State, error, next try and outcome."""
    event = world.claimed_event()
    assert events(world)[0].state == "running"
    if ending == "park":
        world.store.park(event, "poison", Poison("не читается"))
    elif ending == "put_off":
        world.store.put_off(event, 7, Transient("CRM закрыта"), attempt=True)
    else:
        world.store.settle(event, Outcome("skipped", "не наша стадия"))
    [view] = events(world)
    shown = (view.state, view.kind, view.error, view.outcome, view.outcome_text, view.due_at, view.duties)
    assert (
        shown
        == {
            "park": ("parked", "poison", "не читается", None, None, None, 0),
            "put_off": ("due", "exhausted", "CRM закрыта", None, None, world.clock() + timedelta(seconds=7), 0),
            "settle": ("done", None, None, "skipped", "не наша стадия", None, 0),
        }[ending]
    )


def test_a_parked_event_is_parked_though_someone_is_still_to_be_told(world: World) -> None:
    """The duty that tells about it is due, and shows no event as due."""
    event = world.claimed_event()
    world.store.park(event, "rejected", Rejected("нет ИНН"), owes=(owing("tell:42"),))
    [view] = events(world, state="parked")
    assert (view.state, view.kind, view.duties) == ("parked", "rejected", 1)
    assert events(world, state="due") == []


def test_an_event_whole(world: World) -> None:
    """Its body decoded, and each duty with what became of it."""
    event_id, (duty,) = led_to(world, "42", "deal:42")
    world.store.settle(duty, Outcome("done", "Счёт УТ-1", result={"number": "УТ-1"}))
    found = detail(world, event_id)
    assert found.body == {"id": "42"}
    assert (found.view.id, found.view.received_at, found.view.trace) == (event_id, START, "trace")
    [shown] = found.duties
    assert (shown.kind, shown.system, shown.key, shown.state) == ("invoice", "onec:main", "deal:42", "done")
    assert (shown.outcome, shown.outcome_text, shown.result) == ("done", "Счёт УТ-1", {"number": "УТ-1"})
    assert (shown.created_at, shown.settled_at) == (START, START)
    with world.store.reading() as conn:
        assert journal.event(conn, "0" * 32) is None


def test_a_body_that_is_no_json_is_shown_as_text(world: World) -> None:
    """Whatever its bytes."""
    assert detail(world, world.event(body=b"\xffabc")).body == "\ufffdabc"


# -- filters ----------------------------------------------------------------------------------------------------------


def test_pages_follow_each_other_newest_first(world: World) -> None:
    """None is shown twice or left out."""
    ids = [world.event(str(number)) for number in range(7)]
    pages, before = [], None
    while page := [view.id for view in events(world, limit=3, before=before)]:
        pages.append(page)
        before = page[-1]
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [one for page in pages for one in page] == sorted(ids, reverse=True)


def test_events_are_found_by_what_they_are_about(world: World) -> None:
    """Source, entity, record and time; what is None doesn't narrow."""
    world.event("42")
    world.clock.forward(60)
    world.store.receive([arrival("43", entity="Account")], b"[]", {}, "trace")
    since = START + timedelta(seconds=60)
    for filters, records in (
        ({"source": "espo"}, ["43", "42"]),
        ({"source": "suite"}, []),
        ({"entity": "Account"}, ["43"]),
        ({"record_id": "42", "entity": None}, ["42"]),
        ({"since": since}, ["43"]),
        ({"until": since}, ["42"]),
        ({"state": "due", "record_id": "43"}, ["43"]),
    ):
        assert [view.record_id for view in events(world, **filters)] == records, filters


def test_events_are_found_by_the_kind_of_their_error(world: World) -> None:
    """Their own or a duty's, with or without a state; one that was discarded is found among what is done."""
    own = world.claimed_event("own")
    world.store.park(own, "poison", Poison())
    dutys, (duty,) = led_to(world, "duty", "deal:42")
    world.store.park(duty, "conflict", Conflict("обе стороны"))
    for state in (None, "parked"):
        assert [view.id for view in events(world, kind="poison", state=state)] == [own.id]
        assert [view.id for view in events(world, kind="conflict", state=state)] == [dutys]
        assert not events(world, kind="rejected", state=state)
    assert not events(world, kind="conflict", state="done")
    journal.discard(world.store, dutys, "решено")
    assert not events(world, kind="conflict")
    [view] = events(world, kind="conflict", state="done")
    assert (view.error, view.outcome, view.outcome_text) == ("обе стороны", "skipped", "решено")


# -- replay and discard -----------------------------------------------------------------------------------------------


def test_a_replay_brings_back_what_is_parked_of_an_event(world: World) -> None:
    """Attempts and deaths begin anew, the error stays until it is settled, and a worker is called."""
    event_id, (first, second) = led_to(world, "42", "a", "b")
    world.store.settle(first, DONE)
    world.store.park(second, "rejected", Rejected("нет ИНН"))
    world.calls.clear()
    world.clock.forward(60)
    assert journal.replay(world.store, event_id) == 1
    assert world.calls == [("onec", "invoice", second.id, 0)]
    row = world.row(second.id)
    assert (row.state, row.attempts, row.deaths, row.error, row.settled_at) == ("due", 0, 0, "нет ИНН", None)
    world.store.settle(duty_of(world.store.claim_duty(second.id)), DONE)
    assert world.row(second.id).error is None
    assert journal.replay(world.store, event_id) == 0


def test_a_poisonous_row_gets_ten_more_lives(world: World) -> None:
    """A replayed event may kill its workers again before it is parked again."""
    event_id = world.event()
    for _ in range(world.delivery.poison_deaths + 1):
        world.store.claim_event(event_id)
        world.clock.forward(world.delivery.lease)
    assert world.row(event_id).state == "parked"
    assert journal.replay(world.store, event_id) == 1
    assert event_of(world.store.claim_event(event_id)).deaths == 0


def test_a_replay_hastens_what_is_due_and_what_lost_its_worker(world: World) -> None:
    """A pause is cut short; a living worker is not disturbed, a dead one's row is called."""
    due, running = world.claimed_event("due"), world.claimed_event("running")
    world.store.put_off(due, 9999, Transient(), attempt=True)
    world.calls.clear()
    assert journal.replay(world.store, due.id) == 1
    assert world.called() == [due.id]
    assert event_of(world.store.claim_event(due.id)).attempts == 1
    assert journal.replay(world.store, running.id) == 0
    world.clock.forward(world.delivery.lease)
    assert journal.replay(world.store, running.id) == 1
    assert world.called() == [running.id]
    assert event_of(world.store.claim_event(running.id)).deaths == 1


def test_a_replayed_row_merges_with_nothing(world: World) -> None:
    """Others of its body or merge may be waiting by then: both are done."""
    event_id, (duty,) = led_to(world, "42")[0], [world.claimed_duty(owing(merge="m"))]
    world.store.park(duty, "rejected", Rejected())
    second = world.event("42")
    third = world.duty(owing(merge="m"))
    journal.replay(world.store, event_id)
    assert journal.replay(world.store, duty.id) == 1
    world.store.settle(duty_of(world.store.claim_duty(duty.id)), DONE)
    duty_of(world.store.claim_duty(third))
    event_of(world.store.claim_event(second))


def test_all_that_match_are_replayed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parked ones only, page by page; what doesn't match stays."""
    monkeypatch.setattr(journal, "PAGE", 2)
    for number in range(5):
        world.store.park(world.claimed_event(str(number)), "rejected", Rejected())
    world.store.park(world.claimed_event("other"), "poison", Poison())
    waiting = world.claimed_event("waiting")
    world.store.put_off(waiting, 9999, Transient(), attempt=True)
    assert journal.replay_matching(world.store, kind="rejected", state=None) == 5
    assert journal.replay_matching(world.store, kind="rejected") == 0
    assert world.row(waiting.id).due_at > world.clock()
    assert journal.replay_matching(world.store, state="due") == 6
    assert [row.state for row in world.rows(inbox)].count("parked") == 1


def test_discarding_settles_what_is_parked_and_nothing_else(world: World) -> None:
    """As skipped, with the reason; the error stays for whoever asks later."""
    event_id, (first, second) = led_to(world, "42", "a", "b")
    world.store.park(first, "rejected", Rejected("нет ИНН"))
    world.calls.clear()
    assert journal.discard(world.store, event_id, "сделано вручную\0") == 1
    row = world.row(first.id)
    assert (row.state, row.outcome, row.outcome_text, row.error) == ("done", "skipped", "сделано вручную", "нет ИНН")
    assert row.settled_at == world.clock()
    assert world.row(second.id).state == "running"
    assert not world.calls
    assert world.store.claim_duty(first.id) is None


def test_duties_of_periodic_work_are_found_and_brought_back_too(world: World) -> None:
    """No event led to them, so no list of events shows them."""
    duty = world.claimed_duty()
    bound = led_to(world, "42", "deal:43")[1][0]
    for one in (duty, bound):
        world.store.park(one, "rejected", Rejected("нет ИНН"))
    with world.store.reading() as conn:
        [loose] = journal.loose_duties(conn)
    assert (loose.id, loose.error) == (duty.id, "нет ИНН")
    assert journal.replay(world.store, duty.id) == 1
    with world.store.reading() as conn:
        assert journal.loose_duties(conn) == []


# -- counts -----------------------------------------------------------------------------------------------------------


def test_counts_tell_what_is_unfinished_where(world: World) -> None:
    """By box and system; parked by kind; finished work is not counted; the lag is of what could be worked on."""
    world.event("due")
    world.claimed_event("running")
    world.store.settle(world.claimed_event("done"), DONE)
    for record, error in (("a", Rejected()), ("b", Rejected()), ("c", Poison())):
        world.store.park(world.claimed_event(record), error.kind, error)
    world.duty(owing("x", system="crm:espo", delay=100))
    world.clock.forward(30)
    world.duty(owing("y", system="crm:espo"))
    with world.store.reading() as conn:
        counts = {(count.box, count.system): count for count in journal.counts(conn)}
    assert set(counts) == {("inbox", "espo"), ("outbox", "crm:espo")}
    arrived, owed = counts["inbox", "espo"], counts["outbox", "crm:espo"]
    assert (arrived.due, arrived.running, arrived.parked) == (1, 1, {"rejected": 2, "poison": 1})
    assert (arrived.oldest_due_at, arrived.lag(world.clock())) == (START, 30)
    assert (owed.due, owed.running, owed.parked, owed.lag(world.clock())) == (2, 0, {}, 0)


def test_an_empty_store_counts_nothing(world: World) -> None:
    """And shows nothing."""
    with world.store.reading() as conn:
        assert journal.counts(conn) == []
    assert events(world) == []


def test_an_event_with_two_parked_duties_is_shown_once(world: World) -> None:
    """However it is found."""
    event_id, duties = led_to(world, "42", "a", "b")
    for duty in duties:
        world.store.park(duty, "rejected", Rejected())
    assert [view.id for view in events(world, state="parked")] == [event_id]
    assert [view.id for view in events(world, kind="rejected")] == [event_id]


def test_an_event_knows_its_duties_duties(world: World) -> None:
    """What a duty owes in its turn belongs to the event as well."""
    event_id, (duty,) = led_to(world, "42", "deal:42")
    world.store.settle(duty, Outcome("done", owes=(owing("push:42", system="crm:espo"),)))
    assert [one.key for one in detail(world, event_id).duties] == ["deal:42", "push:42"]
