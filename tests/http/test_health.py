"""Health: what stops intake makes it red, what doesn't is told all the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integration.store.engine import connect
from tests.http import world as made
from tests.http.world import NAME, TOKEN, World, bearer


def _raises() -> bool:
    raise ConnectionError("away")


@pytest.mark.parametrize(
    ("broker", "redis", "told"),
    [
        (lambda: True, lambda: True, {"broker": "ok", "redis": "ok"}),
        (lambda: False, lambda: True, {"broker": "away", "redis": "ok"}),
        (_raises, _raises, {"broker": "away", "redis": "away"}),
    ],
)
def test_a_lost_broker_or_redis_is_told_and_stays_ready(
    world: World, broker: Callable[[], bool], redis: Callable[[], bool], told: dict[str, str]
) -> None:
    answer = made.rebuilt(world, probes={"broker": broker, "redis": redis}).get("/health/ready")
    assert answer.status_code == 200
    assert answer.json == {"status": "ok", "database": "ok", **told}


def test_without_a_database_it_is_alive_but_not_ready(world: World) -> None:
    world.store.engine.dispose()
    world.store.engine = connect("sqlite:////nowhere/at/all.db")
    assert world.client.get("/health/live").status_code == 200
    answer = world.client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json["database"] == "away"


def test_a_database_without_our_tables_is_not_ready(world: World) -> None:
    world.store.engine.dispose()
    world.store.engine = connect(f"sqlite:///{world.path / 'empty.db'}")
    assert world.client.get("/health/ready").status_code == 503


def test_metrics_count_what_is_unfinished(world: World) -> None:
    world.post(b'[{"id":"r1"},{"id":"r2"},{"name":"no id"}]')
    world.store.claim_event(next(row.id for row in world.rows() if row.record_id == "r1"))
    world.clock.seconds += 7
    answer = world.client.get("/metrics", headers=bearer(TOKEN))
    assert answer.mimetype == "text/plain"
    told = set(answer.text.splitlines())
    assert {
        f'crm1c_rows{{box="inbox",kind="",state="due",system="{NAME}"}} 1.0',
        f'crm1c_rows{{box="inbox",kind="",state="running",system="{NAME}"}} 1.0',
        f'crm1c_rows{{box="inbox",kind="poison",state="parked",system="{NAME}"}} 1.0',
        f'crm1c_oldest_due_seconds{{box="inbox",system="{NAME}"}} 7.0',
    } <= told


def test_metrics_need_a_token_that_reads(world: World) -> None:
    assert world.client.get("/metrics").status_code == 401
    assert world.get("/metrics", world.token("read")).status_code == 200
    assert world.get("/metrics", world.token("kpi:m1")).status_code == 403


def test_the_last_reconciliation_is_told(world: World) -> None:
    """Nothing before the first one; then when it ended, what came of it, and how silent the queues are."""
    assert "reconciliation" not in world.client.get("/health/ready").json
    with world.store.unit("test") as unit:
        run = unit.reconciling.begin("test", None, ["bank"], over_limit=False)
        unit.reconciling.end(run, "alarm", {"missing": 2, "stale": 1, "held": 3})
    ended = world.clock.now().isoformat(timespec="seconds")
    world.clock.seconds += 100
    client = made.rebuilt(world, canaries=lambda: {"onec": 12.0, "crm": None})
    told = client.get("/health/ready").json["reconciliation"]
    assert told == {"at": ended, "verdict": "alarm", "findings": 3}
    lines = set(client.get("/metrics", headers=bearer(TOKEN)).text.splitlines())
    assert {
        "crm1c_reconciliation_age_seconds 100.0",
        'crm1c_reconciliation_verdict{verdict="alarm"} 1.0',
        'crm1c_reconciliation_verdict{verdict="ok"} 0.0',
        'crm1c_reconciliation_findings{kind="missing"} 2.0',
        'crm1c_canary_age_seconds{queue="onec"} 12.0',
    } <= lines
    assert not any('crm1c_canary_age_seconds{queue="crm"}' in line for line in lines)
