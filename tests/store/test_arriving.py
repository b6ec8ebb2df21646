"""Events arrive once, whatever is sent how often."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from integration.errors import Transient
from integration.store.arriving import Arriving, Delivered
from integration.store.schema import deliveries, inbox
from tests.servers.wait import until
from tests.store.world import DONE, World, arrival, event_of, together

THREADS = 50


def test_the_same_event_fifty_times_at_once_is_one_row(world: World) -> None:
    """One of fifty simultaneous deliveries is accepted, the others are duplicates; one call is made."""
    answers = together(THREADS, lambda _: world.store.receive([arrival()], b"[]", {}, "trace"))
    assert sorted(len(due) for due, _ in answers) == [0] * (THREADS - 1) + [1]
    assert len(world.rows(inbox)) == len(world.rows(deliveries)) == len(world.calls) == 1


def test_many_deliveries_of_the_same_items_in_any_order_do_not_block_each_other(world: World) -> None:
    """Deliveries that share their items in opposite orders all succeed: none is the victim of a deadlock."""
    items = [arrival(str(number)) for number in range(40)]
    answers = together(20, lambda number: world.store.receive(items[:: 1 if number % 2 else -1], b"[]", {}, "trace"))
    assert sum(len(due) for due, _ in answers) == len(items) == len(world.rows(inbox))


def test_an_identical_body_merges_only_into_a_row_still_due(world: World) -> None:
    """What was claimed may already have read the record, so a notice after that is new work."""
    first = world.event()
    assert world.store.receive([arrival()], b"[]", {}, "trace") == ([], 0)
    claimed = event_of(world.store.claim_event(first))
    second = world.event()
    assert second != first
    world.store.settle(claimed, DONE)
    assert world.store.receive([arrival()], b"[]", {}, "trace") == ([], 0)  # the second one is still due
    assert [row.state for row in world.rows(inbox)] == ["done", "due"]


def test_bodies_that_differ_do_not_merge(world: World) -> None:
    """Neither do the same bytes of another event, or by another webhook."""
    kinds = [arrival(), arrival(body=b"{}"), arrival(webhook_id="w1"), arrival(webhook_id="w2")]
    due, _ = world.store.receive(kinds, b"[]", {}, "trace")
    assert len(due) == 4


def test_a_vendors_event_id_merges_for_ever(world: World) -> None:
    """Done or parked, an event whose id is known is a duplicate, whatever its body; another source's is not."""
    claimed = event_of(world.store.claim_event(world.event(event_id="e1")))
    world.store.settle(claimed, DONE)
    assert world.store.receive([arrival(body=b"other", event_id="e1")], b"[]", {}, "trace") == ([], 0)
    other = arrival(event_id="e1")
    object.__setattr__(other, "source", "suite")
    assert len(world.store.receive([other], b"[]", {}, "trace")[0]) == 1


def test_duplicates_within_one_delivery_count_once(world: World) -> None:
    """The same item twice in one array is one row."""
    due, parked = world.store.receive([arrival(), arrival(), arrival("43")], b"[]", {}, "trace")
    assert (len(due), parked) == (2, 0)


def test_an_empty_delivery_is_nothing(world: World) -> None:
    """No items, no rows, no error."""
    assert world.store.receive([], b"[]", {}, "trace") == ([], 0)
    assert not world.rows(deliveries)


def test_a_large_delivery_is_taken_whole(world: World) -> None:
    """More items than a statement has parameters for."""
    due, _ = world.store.receive([arrival(str(number)) for number in range(5000)], b"[]", {}, "trace")
    assert len(due) == len(set(due)) == 5000


def test_what_cannot_be_used_is_parked_and_the_rest_accepted(world: World) -> None:
    """A problem found by the dialect parks its item as poison, settled at once; nobody is called for it."""
    due, parked = world.store.receive([arrival(), arrival("", problem="нет id")], b"[]", {}, "trace")
    assert (len(due), parked) == (1, 1)
    assert world.called() == due
    [row] = [row for row in world.rows(inbox) if row.state == "parked"]
    assert (row.error_kind, row.error, row.settled_at) == ("poison", "нет id", world.clock())


@pytest.mark.parametrize("record_id", ["x" * 65, "4\x002", "4\ud8002"], ids=["too long", "NUL", "lone surrogate"])
def test_an_id_that_the_database_cannot_hold_is_parked(world: World, record_id: str) -> None:
    """The sender's mistake fails neither the delivery nor the items beside it."""
    due, parked = world.store.receive([arrival(), arrival(record_id, b"{}")], b"[]", {}, "trace")
    assert (len(due), parked) == (1, 1)
    assert "Идентификатор" in next(row.error for row in world.rows(inbox) if row.state == "parked")


def test_the_request_is_kept_whole(world: World) -> None:
    """Body bytes and headers as they came, beside its items."""
    world.store.receive([arrival(tail="a/b\0")], b"\x00\xff[]", {"X-Signature": "s"}, "trace")
    [row] = world.rows(deliveries)
    assert (bytes(row.body), row.headers, row.tail) == (b"\x00\xff[]", '{"X-Signature": "s"}', "a/b")
    assert world.rows(inbox)[0].delivery_id == row.id


def test_whoever_writes_for_others_and_is_ended_leaves_none_waiting() -> None:
    """The others are told to send again: whether theirs were committed, nobody knows."""
    entered, go_on = threading.Event(), threading.Event()

    def write(batch: Sequence[Delivered]) -> None:
        entered.set()
        go_on.wait(10)
        if len(batch) > 1:
            raise SystemExit

    arriving = Arriving(write)
    deliveries = [Delivered([], b"", {}, "trace") for _ in range(4)]

    def put(number: int) -> str:
        if number:
            entered.wait(10)
        try:
            arriving.put(deliveries[number])
        except SystemExit:
            return "ended"
        except Transient:
            return "again"
        return "written"

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(put, number) for number in range(4)]
        until(lambda: len(arriving._waiting) == 3)
        go_on.set()
        assert sorted(answer.result(10) for answer in answers) == ["again", "again", "ended", "written"]
