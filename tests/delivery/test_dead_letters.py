"""What kills its worker again and again is set aside, kept, and can be brought back; other work goes on."""

from __future__ import annotations

import time

import pytest

from tests.delivery.conftest import Planted, Told
from tests.delivery.evidence import told_wrong
from tests.servers.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.kill]

LIMIT, DEATHS = 5, 10


def test_a_message_that_kills_its_worker_ends_in_the_dead_queue_and_its_event_can_be_replayed(
    planted: Planted, told: Told
) -> None:
    """Delivered over its limit, it goes to crm1c.dead; the row still stands, other events are done meanwhile, and
    `crm1c events replay` brings it back."""
    plant = planted(delivery={"delivery_limit": LIMIT, "sweep_grace": 600})  # no beat: nothing else calls the row
    plant.web()
    first, *others = plant.deals(11)
    assert plant.send([first]) == [202]
    ((event,),) = plant.rows("SELECT id FROM inbox")
    (plant.folder / "deadly").write_text(f"{event}|claim inbox: before")
    plant.worker("--concurrency", "2", entry="tests.delivery.deadly")
    plant.send(others)
    until(lambda: plant.messages("crm1c.dead") == 1, 60, what="the message is in crm1c.dead", every=0.5)
    until(lambda: told_wrong(plant, others) == [], 60, what="the others are done", every=0.5)
    deaths = len((plant.folder / "deaths").read_text().split())
    assert deaths == LIMIT + 1
    assert plant.rows("SELECT state, deaths FROM inbox WHERE id = %s", event) == [("due", 0)]
    (plant.folder / "deadly").unlink()
    assert "1" in plant.crm1c("events", "replay", event)
    plant.settled(60, events=11)
    assert told_wrong(plant, [first]) == []
    told(f"a message that kills its worker: in crm1c.dead after {deaths} deliveries")


def test_a_row_that_kills_its_worker_ten_times_is_parked_as_poison(planted: Planted, told: Told) -> None:
    """Its deaths are counted in the row, whatever messages call it; the tenth parks it, other deals are done."""
    plant = planted(delivery={"poison_deaths": DEATHS, "lease": 1, "heartbeat": 0.4})
    plant.web()
    plant.beat()
    bad, *others = plant.deals(11)
    accepting = plant.worker("--queues", "inbox", "--concurrency", "1")
    assert plant.send([bad]) == [202]
    ((duty,),) = until(lambda: plant.rows("SELECT id FROM outbox"), 30, what="the duty is owed")
    accepting.stop()
    (plant.folder / "deadly").write_text(f"{duty}|чтение сделки: before")
    began = time.monotonic()
    plant.worker("--concurrency", "2", entry="tests.delivery.deadly")
    plant.send(others)
    until(lambda: told_wrong(plant, others) == [], 120, what="the others are done", every=0.5)
    until(lambda: plant.parked(), 180, what="the bad one is parked", every=0.5)
    told(f"a row that kills its worker: parked after {DEATHS} deaths, {time.monotonic() - began:.0f} s")
    assert [kind for _, kind, _ in plant.parked()] == ["poison"]
    assert len((plant.folder / "deaths").read_text().split()) == DEATHS
    assert plant.rows("SELECT id FROM outbox WHERE state = 'parked'") == [(duty,)]
