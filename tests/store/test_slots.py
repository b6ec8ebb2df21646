"""Slots: run once however many beats there are, again when the runner died, caught up once."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from integration.store.keys import TRIES
from integration.store.schema import slots
from integration.store.slots import Ran, last_runs, over, run_once, under_way
from tests.store.world import START, World, together

SLOT = "2026-11-24T02:00:00+00:00"


def test_two_beats_at_once_run_a_job_once(world: World) -> None:
    """Ten messages of one slot, each in a thread of its own, twice over: one run; the others leave without a word."""
    ran: list[int] = []

    def run(number: int) -> str | None:
        return run_once(world.store, "payments", SLOT, lambda: ran.append(number) or "готово")

    answers = together(10, run) + together(10, run)
    assert len(ran) == 1
    assert [answer for answer in answers if answer] == ["готово"]
    [row] = world.rows(slots)
    assert (row.outcome, row.tries, row.finished_at is not None) == ("готово", 1, True)


def test_a_slow_run_is_not_run_beside(world: World) -> None:
    """The next slot's message comes while the last one still runs: it leaves, and the slot stays open to be caught
    up."""
    inside, let_go = threading.Event(), threading.Event()

    def slow() -> str:
        inside.set()
        assert let_go.wait(30)
        return "долго"

    def first(_: int) -> str | None:
        return run_once(world.store, "payments", SLOT, slow)

    thread = threading.Thread(target=first, args=(0,))
    thread.start()
    assert inside.wait(30)
    assert run_once(world.store, "payments", "2026-11-24T02:30:00+00:00", lambda: "быстро") is None
    let_go.set()
    thread.join(30)
    assert run_once(world.store, "payments", "2026-11-24T02:30:00+00:00", lambda: "быстро") == "быстро"


def test_a_run_that_failed_is_tried_again_and_not_for_ever(world: World) -> None:
    """So does one whose runner died: the lock is free, the slot was begun and never ended."""

    def fail() -> str:
        raise ValueError("нет")

    for _ in range(TRIES):
        with pytest.raises(ValueError, match="нет"):
            run_once(world.store, "bonuses", SLOT, fail)
    assert run_once(world.store, "bonuses", SLOT, lambda: "поздно") is None
    with world.store.reading() as conn:
        assert over(conn, "bonuses", SLOT)
        assert not over(conn, "poll", SLOT)


def test_what_began_a_moment_ago_is_left_alone(world: World) -> None:
    with pytest.raises(ValueError, match="нет"):
        run_once(world.store, "poll", SLOT, lambda: int("нет"))
    with world.store.reading() as conn:
        assert under_way(conn, "poll", SLOT, world.clock(), timedelta(minutes=2))
        assert not under_way(conn, "poll", SLOT, world.clock() + timedelta(minutes=2), timedelta(minutes=2))
        assert last_runs(conn) == [Ran("poll", START, None)]
