"""Retries wait in RabbitMQ itself (native delayed delivery on quorum queues): none is lost, none is made twice."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter

import pytest
import redis

from tests.delivery.conftest import Planted, Told
from tests.servers.redis import Redis

pytestmark = pytest.mark.slow

TASKS, FAILURES = 500, 5


def test_five_retries_of_each_task_come_by_delayed_messages(planted: Planted, redis_server: Redis, told: Told) -> None:
    """Each of 500 tasks fails five times and is then done, on its sixth attempt, without a sweep."""
    plant = planted(
        # No beat runs: a lost message would leave its row waiting for ever.
        retry={"onec": {"first": 1, "cap": 3}},
        delivery={"circuit_failures": 1000, "sweep_grace": 600},
    )
    plant.worker("--queues", "onec", entry="tests.delivery.flaky")
    began = time.monotonic()
    argv = [sys.executable, "-m", "tests.delivery.flaky", "owe", str(TASKS), str(FAILURES)]
    subprocess.run(argv, env=plant.environment, check=True, timeout=60, cwd=plant.folder)
    plant.settled(240)
    told(f"{TASKS} tasks, {FAILURES} retries each through delayed delivery: {time.monotonic() - began:.0f} s")
    assert plant.counts() == {("outbox", "done"): TASKS}
    assert plant.rows("SELECT DISTINCT attempts, deaths, wakes FROM outbox") == [(FAILURES, 0, 0)]
    with redis.Redis.from_url(redis_server.url) as client:
        attempts = client.mget([f"attempts:{row_id}" for (row_id,) in plant.rows("SELECT id FROM outbox")])
    assert Counter(int(made) for made in attempts) == {FAILURES + 1: TASKS}
