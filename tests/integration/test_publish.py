"""Domain events: stable ids, CloudEvents 1.0, and a bus that is away is a trouble that passes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue

from integration.errors import Transient
from integration.flows.publish import owed_event, publish
from integration.settings.technical import Bus
from integration.work import Duty
from tasks.bus import CONTENT_TYPE, Publisher
from tests.servers.rabbitmq import RabbitMQ

EVENT = {"id": "e1", "type": "payment.received", "specversion": "1.0", "data": {"amount": "6000000.00"}}


def services(bus: Any = None, **more: Any) -> Any:
    told = SimpleNamespace(bus=Bus(**more))
    return SimpleNamespace(settings=told, bus=bus, now=lambda: datetime(2026, 11, 24, tzinfo=UTC))


def test_the_same_subject_is_the_same_event() -> None:
    """Told twice, it merges while it waits, and bears one id whenever it is published."""
    [first], [second] = (owed_event(services(), "payment.received", ("main", "p1", "1"), {"n": n}) for n in (1, 2))
    [other] = owed_event(services(), "payment.received", ("main", "p1", "2"), {})
    assert first.merge == second.merge != other.merge
    assert first.payload["id"] == second.payload["id"]
    names = {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"}
    assert (set(first.payload), first.payload["source"]) == (names, "/crm1c")


def test_a_bus_that_is_switched_off_is_owed_nothing() -> None:
    """[bus] enabled = false; and in one process, where nobody listens, a duty is settled without it."""
    assert owed_event(services(enabled=False), "payment.received", ("p1",), {}) == ()
    assert publish(services(), Duty("d", "publish", "periodic:bus", "k", EVENT, "t")).kind == "skipped"


def test_an_event_goes_out_under_its_kind() -> None:
    """The flow hands over what the ledger owed, unchanged."""
    told: list[tuple[str, Mapping[str, Any]]] = []
    bus = lambda kind, event: told.append((kind, event))  # noqa: E731
    assert publish(services(bus), Duty("d", "publish", "periodic:bus", "k", EVENT, "t")).kind == "done"
    assert told == [("payment.received", EVENT)]


@pytest.mark.servers
def test_it_arrives_on_the_topic_exchange(rabbitmq: RabbitMQ) -> None:
    """Whoever bound a queue before gets it, persistent, in structured mode."""
    app = Celery("bus", broker=rabbitmq.vhost(), set_as_current=False)
    app.conf.broker_transport_options = {"confirm_publish": True}
    exchange = Exchange("crm1c.events", type="topic", durable=True)
    with app.connection_for_read() as connection:
        queue = Queue("listener", exchange, routing_key="payment.*", durable=True)(connection.channel())
        queue.declare()
        Publisher(app, "crm1c.events")("payment.received", EVENT)
        Publisher(app, "crm1c.events")("obligation.closed", EVENT | {"id": "e2"})
        message = queue.get()
        assert message is not None
        assert (json.loads(message.body), message.content_type) == (EVENT, CONTENT_TYPE)
        assert message.properties["message_id"] == "e1"
        assert queue.get() is None


def test_a_broker_that_is_away_is_tried_again() -> None:
    """Transient, of the bus's own policy."""
    with pytest.raises(Transient, match="Шина") as caught:
        Publisher(Celery("bus", broker="amqp://127.0.0.1:1//", set_as_current=False), "crm1c.events")("x.y", EVENT)
    assert caught.value.system == "bus"
