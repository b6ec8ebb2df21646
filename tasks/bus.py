"""Domain events onto the topic exchange, confirmed by the broker: CloudEvents 1.0 in structured mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery import Celery
from kombu import Exchange, Producer

from integration.errors import Transient
from mappers.wire import dump_json

CONTENT_TYPE = "application/cloudevents+json"
_CONFIRM = 10.0  # seconds


class Publisher:
    """Publishes one event under its kind as the routing key; a broker that is away is a trouble that passes."""

    def __init__(self, app: Celery, exchange: str) -> None:
        self._app = app
        self._exchange = Exchange(exchange, type="topic", durable=True)

    def __call__(self, kind: str, event: Mapping[str, Any]) -> None:
        """Hand the event over. Raises Transient when the broker didn't take it."""
        try:
            with self._app.connection_for_write(connect_timeout=3) as connection:
                Producer(connection, exchange=self._exchange).publish(
                    dump_json(dict(event)),
                    routing_key=kind,
                    content_type=CONTENT_TYPE,
                    content_encoding="utf-8",
                    delivery_mode=2,
                    message_id=event["id"],
                    declare=[self._exchange],
                    timeout=_CONFIRM,
                )
        except Exception as error:  # whatever is wrong with the broker, the event is published later
            raise Transient(
                "Шина событий недоступна. Повторим сами.", system="bus", detail=f"{type(error).__name__}: {error}"
            ) from error
