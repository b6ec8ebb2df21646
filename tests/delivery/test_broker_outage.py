"""RabbitMQ away in the middle of a stream of webhooks: each is taken, each is carried out, and nobody has to help."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from tests.delivery.conftest import Planted, Told
from tests.delivery.evidence import told_wrong
from tests.delivery.plant import Plant
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.wait import until

pytestmark = pytest.mark.slow

WEBHOOKS, INVOICES = 500, 50  # every tenth deal asks for an invoice, the others are only looked at
OVER, AWAY = 25.0, 20.0  # seconds


@dataclass
class Stream:
    """Webhooks sent evenly over `OVER` seconds, from a thread; `statuses` as they are answered."""

    plant: Plant
    deals: list[str]
    statuses: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        began, pause = time.monotonic(), threading.Event()
        with ThreadPoolExecutor(8) as pool:
            sent = []
            for number, deal in enumerate(self.deals):
                pause.wait(max(0.0, began + number * OVER / len(self.deals) - time.monotonic()))
                stage = "Proposal" if number % (WEBHOOKS // INVOICES) == 0 else "Qualification"
                sent.append(pool.submit(self._one, deal, stage))
        for one in sent:
            one.result()

    def _one(self, deal: str, stage: str) -> None:
        self.statuses.append(self.plant.notify(deal, stage=stage))

    def finished(self) -> list[int]:
        """All answers, once all are sent."""
        self._thread.join()
        return self.statuses


@pytest.fixture
def working(planted: Planted) -> tuple[Plant, list[str]]:
    """A whole crm1c with deals of which every tenth asks for an invoice."""
    plant = planted()
    plant.web()
    plant.worker()
    plant.beat()
    asking, quiet = plant.deals(INVOICES, 10), plant.deals(WEBHOOKS - INVOICES, 10, stage="Qualification")
    deals: list[str] = []
    for number, deal in enumerate(asking):
        share = (WEBHOOKS - INVOICES) // INVOICES
        deals += [deal, *quiet[number * share : (number + 1) * share]]
    return plant, deals


def stop(rabbitmq: RabbitMQ) -> None:
    """An orderly end, as on a reboot."""
    rabbitmq.stop()


def kill(rabbitmq: RabbitMQ) -> None:
    """SIGKILL, as by a power cut."""
    rabbitmq.settle()
    rabbitmq.kill()


@pytest.mark.parametrize("end", [stop, kill])
def test_every_webhook_is_taken_and_done_after_the_broker_was_away(
    working: tuple[Plant, list[str]], rabbitmq: RabbitMQ, told: Told, end: Callable[[RabbitMQ], None]
) -> None:
    """The broker ends amid 500 webhooks and comes back after 20 s: each was answered 202, work goes on within 30 s of
    its return, and everything is done by the same processes."""
    plant, deals = working
    stream = Stream(plant, deals)
    until(lambda: len(stream.statuses) > WEBHOOKS // 10, 60, what="the stream flows")
    gone = time.monotonic()
    end(rabbitmq)
    answered = len(stream.statuses)
    threading.Event().wait(AWAY - (time.monotonic() - gone))
    assert len(stream.statuses) > answered, "nothing was taken while the broker was away"
    before = plant.counts().get(("inbox", "done"), 0)
    rabbitmq.start()
    back = time.monotonic()
    until(lambda: plant.counts().get(("inbox", "done"), 0) > before, 30, what="work goes on", every=0.2)
    again = time.monotonic() - back
    assert set(stream.finished()) == {202}
    plant.settled(180, events=WEBHOOKS)
    told(
        f"broker {end.__name__}: {WEBHOOKS} webhooks, {before} done before its return; work went on {again:.1f} s "
        f"after it, all done after {time.monotonic() - back:.1f} s"
    )
    check(plant, deals)


def test_closed_connections_stop_nobody(working: tuple[Plant, list[str]], rabbitmq: RabbitMQ, told: Told) -> None:
    """The broker closes every connection, three times, amid the work: everything is done by the same processes."""
    plant, deals = working
    stream = Stream(plant, deals)
    for part in (4, 3, 2):
        until(lambda part=part: len(stream.statuses) > WEBHOOKS // part, 60, what="the stream flows")  # type: ignore[misc]
        rabbitmq.ctl("close_all_connections", "-p", plant.vhost, "a test")
    assert set(stream.finished()) == {202}
    closed = time.monotonic()
    plant.settled(180, events=WEBHOOKS)
    told(f"connections closed three times: all done {time.monotonic() - closed:.1f} s after the last webhook")
    check(plant, deals)


def check(plant: Plant, deals: list[str]) -> None:
    """Everything is done, each asking deal has its one invoice, and no process was replaced."""
    assert plant.parked() == []
    assert {state for _, state in plant.counts()} == {"done"}
    assert told_wrong(plant, deals[:: WEBHOOKS // INVOICES]) == []
    assert all(part.running for part in plant.parts)
