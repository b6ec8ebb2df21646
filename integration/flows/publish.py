"""Domain events (CloudEvents 1.0) on their way to the bus: owed in the transaction that made them true, ids stable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integration.services import Services
from integration.work import Duty, Outcome, Owed, own_key

QUEUE = "periodic:bus"  # the queue that publishes, and the system that it is owed to


def owed_event(services: Services, kind: str, subject: tuple[str, ...], data: Mapping[str, Any]) -> tuple[Owed, ...]:
    """The duty to publish that `kind` ("payment.received") happened to `subject`; the same subject, the same id."""
    bus = services.settings.bus
    if not bus.enabled:
        return ()
    event_id = own_key("event", kind, *subject)
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": bus.source,
        "type": kind,
        "subject": "/".join(subject),
        "time": services.now().isoformat(),
        "datacontenttype": "application/json",
        "data": dict(data),
    }
    return (Owed("publish", QUEUE, f"bus:{event_id}", event, merge=f"publish:{event_id}"),)


def publish(services: Services, duty: Duty) -> Outcome:
    """The duty "publish": hand one event to the bus, at least once."""
    if services.bus is None:
        return Outcome("skipped", "Шины событий нет")
    services.bus(duty.payload["type"], duty.payload)
    return Outcome("done", f"Событие {duty.payload['type']} передано в шину")
