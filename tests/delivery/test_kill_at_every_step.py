"""kill -9 of the worker between every two steps of the main job: one invoice, one line in the deal, whatever died.

The steps are those that the code itself tells while a deal goes its way; a new step of a flow is killed at by itself.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.delivery.conftest import Planted, Told
from tests.delivery.evidence import blind_creates, changes_of, creates, posts_of, told_wrong
from tests.delivery.plant import Plant
from tests.servers.process import Program
from tests.servers.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.kill]

VICTIMS = 4


def deals(plant: Plant, count: int) -> list[str]:
    """Each deal has a client and a line item of its own, so that each creates everything there is to create."""
    found = plant.deals(count, amount=1220)
    for deal in found:
        lines = [{"name": f"Работы {deal}", "quantity": 1, "price": 1220, "amount": 1220}]
        plant.act("PUT", f"Opportunity/{deal}", {"description": json.dumps(lines, ensure_ascii=False)})
    return found


def victims(plant: Plant, count: int = VICTIMS) -> Program:
    """So many workers that die as planned."""
    argv = ["-m", "tests.delivery.victims", str(plant.folder), str(count), "inbox,onec,crm,mail"]
    return plant.part("victims", argv, lambda p: p.log.read_text().count(" ready.") >= count)


def passed(folder: Path, deal: str) -> list[str]:
    """The points that a deal's work passed, in order."""
    file = folder / f"points-{deal}"
    return file.read_text().splitlines() if file.exists() else []


def recorded(plant: Plant) -> tuple[list[str], list[str]]:
    """Points of a deal in a base that crm1c meets for the first time, and of one in a base that it knows."""
    first, second = deals(plant, 2)
    with victims(plant, 1):
        for number, deal in enumerate((first, second), 1):
            assert plant.send([deal]) == [202]
            plant.settled(60, events=number)
    return passed(plant.folder, first), passed(plant.folder, second)


def killed(folder: Path, plan: dict[str, str]) -> int:
    """How many of the planned kills have happened."""
    return sum((folder / f"killed-{deal}").exists() for deal in plan)


def test_one_invoice_whatever_step_the_worker_dies_after(planted: Planted, told: Told) -> None:
    """For each boundary, a deal whose worker is killed at it: exactly one posted invoice, one create of each object,
    one write of the deal and one post in its stream; the event is done."""
    plant = planted(
        crm={"espo": {"lines": {"field": "description"}}},
        onec={"main": {"max_sessions": 12}},  # a dead worker's session stays taken for one lease
        # One message may call several rows, and each of them kills a worker here.
        delivery={"delivery_limit": 1000},
    )
    plant.web()
    plant.worker("--queues", "periodic", "--concurrency", "1")
    plant.beat()
    began = time.monotonic()
    cold, known = recorded(plant)
    assert len(known) > 50, known
    points = list(dict.fromkeys(known))
    only_first = [point for point in dict.fromkeys(cold) if point not in set(points)]
    planned = deals(plant, len(points) + len(only_first))
    plan = dict(zip(planned, points + only_first, strict=True))
    (plant.folder / "plan.json").write_text(json.dumps(plan))
    with victims(plant) as program:
        crowd = [deal for deal, point in plan.items() if point not in only_first]
        plant.send(crowd)
        until(lambda: killed(plant.folder, plan) == len(crowd), 150, what="every planned kill", every=0.2)
        plant.settled(60, events=len(crowd) + 2)
        for number, point in enumerate(only_first):
            deal = planned[len(points) + number]
            plant.rows("DELETE FROM models")  # the base is met for the first time again
            plant.send([deal])
            plant.settled(60, events=len(crowd) + 3 + number)
            assert killed(plant.folder, {deal: point}) == 1, point
        deaths = program.log.read_text().count(" -9\n")
    assert deaths == len(plan)
    check(plant, planned)
    told(f"workers killed at {len(plan)} points, {time.monotonic() - began:.0f} s")


def check(plant: Plant, planned: list[str]) -> None:
    """The invariants of every deal."""
    assert plant.parked() == []
    assert {state for _, state in plant.counts()} == {"done"}
    assert told_wrong(plant, planned) == []
    calls = plant.calls("onec")
    assert blind_creates(calls) == []
    assert [identity for identity, times in creates(calls).items() if times != 1] == []
    written, posts = changes_of(plant), posts_of(plant)
    assert {deal: written[deal] for deal in planned} == dict.fromkeys(planned, 1)
    assert {deal: posts[deal] for deal in planned} == dict.fromkeys(planned, 1)
