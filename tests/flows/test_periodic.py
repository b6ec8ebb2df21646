"""Work by the clock: what stood still is caught up once, the night begins a run that workers carry out, a silent queue
is told."""

from __future__ import annotations

import logging
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import update

from integration.cache import canaries, sing
from integration.flows.origin import mark_start
from integration.flows.perform import FLOWS
from integration.store.bonus_schema import bonus_days
from integration.store.slots import last_runs
from tasks import periodic
from tasks.app import QUEUES
from tasks.calls import TASKS
from tasks.run import made
from tests.flows.books import Books
from tests.flows.test_bonus import manager, ruled
from tests.flows.town import Town

JOBS = ["bonuses", "cleanup", "payments", "poll", "reconcile"]


@pytest.fixture
def process(town: Town) -> Any:
    """The town's world behind periodic work; `calls`: what was called through the broker."""
    mark_start(town.world.services)
    calls: list[tuple[str, str, str]] = []
    return SimpleNamespace(
        world=town.world, settings=town.world.settings, calls=calls,
        caller=lambda queue, job, slot: calls.append((queue, job, slot)),
    )  # fmt: skip


def test_what_was_missed_is_called_once_and_not_once_per_miss(town: Town, process: Any) -> None:
    """Three days without a beat: each job for its last slot alone. When that was run, nothing is missed."""
    assert periodic.catch_up(process) == []
    town.pass_time(3 * 86_400 + 600)
    assert sorted(periodic.catch_up(process)) == JOBS
    ran: list[str] = []
    for queue, job, slot in process.calls * 2:  # delivered twice, as a broker may
        assert queue == "periodic"
        periodic.run_slot(process, job, slot, lambda job=job: ran.append(job))  # type: ignore[misc]
    assert sorted(ran) == JOBS
    assert periodic.catch_up(process) == []


def test_a_job_that_takes_long_is_not_called_missed(town: Town, process: Any) -> None:
    """Neither the slot that it is at nor the next one, until it has ended; then the next one is called."""
    town.pass_time(86_400 + 600)

    def long() -> None:
        town.pass_time(2400)
        keeper = town.world.store.keeper
        keeper._renew(dict(keeper._held))  # as every few seconds meanwhile
        assert "payments" not in periodic.catch_up(process)

    periodic.run_slot(process, "payments", "", long)
    assert "payments" in periodic.catch_up(process)


def test_what_a_beat_sends_and_what_is_caught_up_is_one_slot(town: Town, process: Any) -> None:
    """The beat comes back late and sends its own message too: it names no slot, and finds it taken."""
    town.pass_time(86_400 + 600)
    periodic.catch_up(process)
    ran: list[str] = []
    for _, job, slot in process.calls:
        periodic.run_slot(process, job, slot, lambda job=job: ran.append(job))  # type: ignore[misc]
        periodic.run_slot(process, job, "", lambda job=job: ran.append(job))  # type: ignore[misc]
    assert sorted(ran) == JOBS


def test_the_night_begins_a_run_that_workers_carry_out(town: Town, process: Any) -> None:
    """A worker's time is bounded and it may die: the job itself only owes the work."""
    books = Books(town)
    books.deal(1000)
    books.pull()
    periodic.run_slot(process, "reconcile", "", lambda: periodic.begin_at_night(town.world.services))
    with town.world.store.unit("look") as unit:
        assert unit.reconciling.running() is not None
    town.work()
    with town.world.store.unit("look") as unit:
        run = unit.reconciling.latest()
    assert run is not None
    assert (run.cause, run.verdict) == ("schedule", "ok")
    with town.world.store.reading() as conn:
        assert [one.job for one in last_runs(conn)] == ["reconcile"]


def test_bonuses_that_differed_are_told_in_words(town: Town, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whose, by how much, that it is mended, and where to look."""
    books = ruled(town, tmp_path)
    books.pay(1000, books.bill(books.deal(1000)))
    books.pull()
    with town.world.store.unit("a hand") as unit:
        unit.conn.execute(update(bonus_days).values(bonus=Decimal(1)))
    process: Any = SimpleNamespace(world=town.world)
    periodic._bonuses(process)
    who = manager(town)
    assert (
        f"бонусы разошлись и исправлены: 2026-11 {who}: бонус было 1.00, по учёту 10.00 RUB. "
        f"Откуда они: crm1c bonuses explain {who} 2026-11"
    ) in caplog.messages


def test_a_silent_queue_is_told(town: Town, process: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Every queue but one sings: that one is named as an error, with its silence."""
    redis, now = town.world.redis, town.now()
    for name in QUEUES:
        sing(redis, name, now - timedelta(seconds=200 if name == "onec" else 10))
    assert canaries(redis, QUEUES, now) == {name: 200 if name == "onec" else 10 for name in QUEUES}
    with caplog.at_level(logging.ERROR):
        assert periodic.late_canaries(process) == ["onec"]
    assert "crm1c.onec молчит 200 с" in caplog.text
    redis.flushall()
    assert periodic.late_canaries(process) == []  # nothing was heard yet: a fresh start is no alarm


def test_every_kind_of_work_has_a_task_of_its_own(town: Town) -> None:
    """Two kinds under one name are one task: the later one registered would swallow the other's rows."""
    assert len(set(TASKS.values())) == len(TASKS)
    tasks = made(town.world.settings).app.tasks
    assert {kind: tasks[TASKS[kind]].__name__ for kind in FLOWS} == {kind: kind for kind in FLOWS}
    assert FLOWS.keys().isdisjoint(periodic.jobs_of(town.world.settings))
