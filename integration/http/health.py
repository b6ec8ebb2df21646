"""Whether the process lives, whether it can take events, and figures for a monitoring system."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from flask import Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from integration.errors import Transient
from integration.http.answers import answer
from integration.http.parts import Parts, once_more
from integration.http.routes import Answer, Route
from integration.store import journal
from integration.store.schema import inbox
from integration.store.store import SqlStore

log = logging.getLogger("crm1c.http")

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Health:
    """/health/live, /health/ready, /metrics"""

    def __init__(self, parts: Parts) -> None:
        self._store, self._probes = parts.store, parts.probes
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Counts(parts.store))

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(
                "GET", "/health/live", self.live, "Процесс жив", "Состояние",
                answers={200: Answer("Жив", "Alive")},
            ),
            Route(
                "GET", "/health/ready", self.ready, "Готов принимать события", "Состояние",
                answers={200: Answer("Готов", "Ready"), 503: Answer("База данных недоступна", "Ready")},
                text="Потеря RabbitMQ или Redis видна здесь, но приёма не останавливает.",
            ),
            Route(
                "GET", "/metrics", self.metrics, "Показатели для Prometheus", "Состояние", "read",
                answers={200: Answer("Текст Prometheus", mimetype="text/plain")}, problems=(401, 403, 503),
            ),
        )  # fmt: skip

    def live(self) -> Response:
        return answer({"status": "ok"})

    def ready(self) -> Response:
        database = _database(self._store)
        told = {"database": database} | {name: _told(name, probe) for name, probe in self._probes.items()}
        ready = database == "ok"
        return answer({"status": "ok" if ready else "unavailable", **told}, 200 if ready else 503)

    def metrics(self) -> Response:
        return Response(generate_latest(self._registry), content_type=_TEXT)


def _database(store: SqlStore) -> str:
    """Can an event be written? The table is asked for, so that a database without our schema isn't ready either."""
    try:
        once_more(lambda: _touch(store))
    except Transient:
        return "away"
    except SQLAlchemyError:
        log.warning("the database answers, but not as crm1c's own", exc_info=True)
        return "unusable"
    return "ok"


def _touch(store: SqlStore) -> None:
    with store.reading() as conn:
        conn.execute(select(inbox.c.id).limit(1)).first()


def _told(name: str, probe: Callable[[], bool]) -> str:
    try:
        return "ok" if probe() else "away"
    except Exception:  # whatever a client library raises, it says one thing
        log.info("probe failed", extra={"system": name}, exc_info=True)
        return "away"


class _Counts(Collector):
    """The rows that are the truth, counted when asked."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering asks the database for nothing."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        with self._store.reading() as conn:
            counts = journal.counts(conn)
        rows = GaugeMetricFamily(
            "crm1c_rows",
            "Unfinished events (inbox, by source) and duties (outbox, by system); kind: of the error, where parked",
            labels=("box", "system", "state", "kind"),
        )
        lag = GaugeMetricFamily(
            "crm1c_oldest_due_seconds", "How long the oldest due row has waited past its time", labels=("box", "system")
        )
        now = self._store.now()
        for one in counts:
            rows.add_metric((one.box, one.system, "due", ""), one.due)
            rows.add_metric((one.box, one.system, "running", ""), one.running)
            for kind, number in sorted(one.parked.items()):
                rows.add_metric((one.box, one.system, "parked", kind), number)
            lag.add_metric((one.box, one.system), one.lag(now))
        return iter((rows, lag))
