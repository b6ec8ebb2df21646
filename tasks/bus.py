"""Domain events onto the topic exchange, confirmed by the broker: CloudEvents 1.0 in structured mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery import Celery
from kombu import Exchange

from integration.errors import Transient
from mappers.wire import dump_json

CONTENT_TYPE = "application/cloudevents+json"
_CONFIRM = 10.0  # seconds
_ONCE_MORE = {"max_retries": 1, "interval_start": 0}  # a connection of the pool may have died since it was last used


class Publisher:
    """Publishes one event under its kind as the routing key; a broker that is away is a trouble that passes."""

    def __init__(self, app: Celery, exchange: str) -> None:
        self._app = app
        self._exchange = Exchange(exchange, type="topic", durable=True)

    def __call__(self, kind: str, event: Mapping[str, Any]) -> None:
        """Hand the event over. Raises Transient when the broker didn't take it."""
        try:
            with self._app.producer_or_acquire() as producer:
                producer.publish(
                    dump_json(dict(event)),
                    exchange=self._exchange,
                    routing_key=kind,
                    content_type=CONTENT_TYPE,
                    content_encoding="utf-8",
                    delivery_mode=2,
                    message_id=event["id"],
                    declare=[self._exchange],
                    retry=True,
                    retry_policy=_ONCE_MORE,
                    timeout=_CONFIRM,
                    confirm_timeout=_CONFIRM,
                )
        except Exception as error:  # whatever is wrong with the broker, the event is published later
            raise Transient(
                "Шина событий недоступна. Повторим сами.", system="bus", detail=f"{type(error).__name__}: {error}"
            ) from error
