"""Redis or PostgreSQL away in the middle of the work: nothing is lost, and it goes on by itself."""

from __future__ import annotations

import time

import pytest
import redis
import requests

from tests.delivery.conftest import Planted, Told
from tests.delivery.evidence import blind_creates, told_wrong
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis
from tests.servers.wait import until

pytestmark = pytest.mark.slow

DEALS = 60


def test_without_redis_circuits_count_as_closed(planted: Planted, redis_server: Redis, told: Told) -> None:
    """Deals become invoices while Redis is away, even when 1C fails now and then; intake and workers don't notice."""
    plant = planted()
    plant.web()
    worker = plant.worker()
    deals = plant.deals(DEALS, accounts=10)
    plant.fault("onec", kind="status", status=503, probability=0.1, seed=1)
    redis_server.stop()
    began = time.monotonic()
    assert set(plant.send(deals)) == {202}
    until(lambda: told_wrong(plant, deals) == [], 180, what="every deal has its invoice", every=0.5)
    told(f"Redis away: {DEALS} deals in {time.monotonic() - began:.0f} s")
    assert plant.parked() == []
    assert worker.running


def test_a_restart_of_postgresql_loses_nothing(planted: Planted, postgres: Postgres, told: Told) -> None:
    """The database ends amid the work: what was answered 202 is done afterwards, what was answered 503 wasn't taken
    and is taken when the sender comes again; one invoice each."""
    plant = planted()
    web, worker = plant.web(), plant.worker()
    beat = plant.beat()
    deals = plant.deals(DEALS, accounts=10)
    first, second = deals[: DEALS // 2], deals[DEALS // 2 :]
    assert set(plant.send(first)) == {202}
    until(lambda: len(plant.invoices()) > len(first) // 4, 60, what="the work is under way")
    postgres.kill()
    assert set(plant.send(second)) == {503}
    assert requests.get(f"{plant.address}/health/ready", timeout=30).status_code == 503
    postgres.start()
    back = time.monotonic()
    until(lambda: set(plant.send(second)) == {202}, 30, what="webhooks are taken again", every=0.5)
    plant.settled(120, events=DEALS)
    told(f"PostgreSQL killed and started: all done {time.monotonic() - back:.0f} s after its return")
    assert plant.parked() == []
    assert told_wrong(plant, deals) == []
    assert blind_creates(plant.calls("onec")) == []
    assert all(part.running for part in (web, worker, beat))


def test_the_beat_outlives_a_redis_that_lost_all_or_went_away(planted: Planted, redis_server: Redis) -> None:
    """Emptied, then restarted: the schedule is written anew, and work by the clock goes on without a person."""
    plant = planted()
    plant.worker()
    beat = plant.beat()

    def goes_on(what: str) -> None:
        before = plant.rows("SELECT count(*) FROM slots WHERE job = 'sweep'")[0][0]
        until(lambda: plant.rows("SELECT count(*) FROM slots WHERE job = 'sweep'")[0][0] > before + 1, 60, what=what)
        assert beat.running

    goes_on("the sweep goes round")
    redis.Redis.from_url(redis_server.url).flushall()
    goes_on("the sweep goes round after Redis lost all")
    redis_server.stop()
    time.sleep(8)  # longer than a tick
    redis_server.start()
    goes_on("the sweep goes round after a restart of Redis")
