"""Locks exclude, run out with their holder, and are renewed while it lives."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from integration.errors import Busy, Transient
from integration.store.leases import give_back, take
from integration.store.schema import leases
from tests.servers.wait import until
from tests.store.world import World, duty_of, together


def now() -> datetime:
    return datetime.now(UTC)


def test_a_lock_excludes(world: World) -> None:
    """While one holds it, another gets Busy, which tells when to come back; then it is free, and leaves no row."""
    other = world.another()
    with world.store.lock("deal:42"):
        with pytest.raises(Busy) as busy, other.lock("deal:42", patience=0):
            pass
        with other.lock("deal:43", patience=0):
            pass
    assert busy.value.retry_after
    with other.lock("deal:42", patience=0):
        pass
    assert not world.rows(leases)


def test_a_lock_is_freed_when_its_holder_fails(world: World) -> None:
    """Whatever it raises."""
    with pytest.raises(LookupError), world.store.lock("deal:42"):
        raise LookupError
    with world.store.lock("deal:42", patience=0):
        pass


def test_a_lock_that_is_freed_in_time_is_waited_for(world: World) -> None:
    """Within the patience."""
    taken, waiting = threading.Event(), threading.Event()

    def work(number: int) -> None:
        if number == 0:
            with world.store.lock("deal:42"):
                taken.set()
                waiting.wait(10)
        else:
            taken.wait(10)
            waiting.set()
            with world.store.lock("deal:42", patience=10):
                pass

    together(2, work)


def test_one_at_a_time_however_many_want_it(world: World) -> None:
    """Twenty threads add to one number, each looking first."""
    seen: list[int] = []

    def work(number: int) -> None:
        with world.store.lock("deal:42", patience=60):
            before = len(seen)
            seen.append(number)
            assert len(seen) == before + 1

    together(20, work)
    assert sorted(seen) == list(range(20))


def test_a_dead_holders_lock_runs_out(world: World) -> None:
    """After one lease; what it then frees late is no longer its own."""
    lease = world.delivery.lease
    engine = world.store.engine
    got = take(engine, "lock:deal:42", world.clock(), lease)
    assert got
    world.clock.forward(lease - 1)
    with pytest.raises(Busy), world.store.lock("deal:42", patience=0):
        pass
    world.clock.forward(1)
    with world.store.lock("deal:42", patience=0):
        give_back(engine, "lock:deal:42", got[0], world.clock())
        with pytest.raises(Busy), world.another().lock("deal:42", patience=0):
            pass


def test_any_one_of_several_is_taken_with_the_note_its_last_holder_left(world: World) -> None:
    """As 1C sessions are: each with its cookie, no more of them at once than there are names."""
    names = ["session:main:1", "session:main:2"]
    with world.store.holding(names, 0) as (first, leave), world.store.holding(names, 0) as (second, _):
        assert (first, second) == ("", "")
        leave("cookie of 1")
        with pytest.raises(Busy), world.store.holding(names, 0):
            pass
    with world.store.holding(names, 0) as (note, leave):
        assert note == "cookie of 1"
        leave("")
    with world.store.holding(names, 0) as (note, _):
        assert note == ""


def test_a_living_holder_keeps_lock_and_row_past_their_lease(world: World) -> None:
    """Its process renews both every heartbeat, in real time; the sweep leaves the row alone meanwhile."""
    worker = world.another(now=now, lease=1.0, heartbeat=0.1)
    other = world.another(now=now, lease=1.0, heartbeat=0.1)
    duty = duty_of(worker.claim_duty(world.duty()))
    began = now()
    with worker.keeping(duty), worker.lock("deal:42"):
        until(lambda: (now() - began).total_seconds() > 1.5)
        assert other.claim_duty(duty.id) != duty
        assert world.row(duty.id).lease_until > now()
        assert other.sweep() == 0
        with pytest.raises(Busy), other.lock("deal:42", patience=0):
            pass
    again = until(lambda: taken_over(other, duty.id))
    assert again.deaths == 1


def taken_over(store: Any, duty_id: str) -> Any:
    claimed = store.claim_duty(duty_id)
    return claimed if hasattr(claimed, "token") else None


def test_a_renewal_does_not_touch_a_row_that_was_taken_over(world: World) -> None:
    """The lease is renewed by its token, not by the row's id."""
    worker = world.another(now=now, lease=0.2, heartbeat=0.1)
    duty = duty_of(worker.claim_duty(world.duty()))
    thief = world.another(now=now, lease=60.0, heartbeat=30.0)
    stolen = until(lambda: taken_over(thief, duty.id))
    until_then = world.row(duty.id).lease_until
    beats: list[int] = []
    with worker.keeping(duty):
        listen_to_beats(worker, beats)
        until(lambda: len(beats) >= 2)
    row = world.row(duty.id)
    assert (row.lease_until, row.lease_token) == (until_then, stolen.token)


def listen_to_beats(store: Any, beats: list[int]) -> None:
    renew = store.keeper._renew

    def counted(held: Any) -> None:
        renew(held)
        beats.append(len(held))

    store.keeper._renew = counted


def test_the_renewing_thread_ends_with_its_work(world: World) -> None:
    """And starts again with the next; a forked child has its own."""
    worker = world.another(now=now, lease=0.2, heartbeat=0.02)

    def threads() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "crm1c-leases"]

    for _ in range(2):
        with worker.lock("deal:42"):
            assert worker.keeper._pid == os.getpid()
            assert threads()
        until(lambda: worker.keeper._pid == 0)


def test_a_lock_is_let_go_even_when_the_database_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done under it is done: that its row stays until it runs out is no error of the work."""

    def away(*_: Any) -> None:
        raise Transient

    with world.store.lock("deal:42"):
        monkeypatch.setattr("integration.store.leases.give_back", away)
    monkeypatch.undo()
    world.clock.forward(world.delivery.lease)
    with world.store.lock("deal:42", patience=0):
        pass
