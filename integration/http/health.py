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
from integration.rules.findings import KINDS
from integration.store import journal
from integration.store.reconciling import SqlReconciling
from integration.store.schema import inbox
from integration.store.slots import last_runs
from integration.store.store import SqlStore

log = logging.getLogger("crm1c.http")

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Health:
    """/health/live, /health/ready, /metrics"""

    def __init__(self, parts: Parts) -> None:
        self._store, self._probes = parts.store, parts.probes
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Counts(parts.store))
        self._registry.register(_Clockwork(parts))

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
        more = _reconciled(self._store) if ready else {}
        return answer({"status": "ok" if ready else "unavailable", **told, **more}, 200 if ready else 503)

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


def _reconciled(store: SqlStore) -> dict[str, object]:
    """When all sides were last compared, and what came of it; nothing before the first time."""
    with store.reading() as conn:
        run = SqlReconciling(conn, store.now()).latest()
    if run is None or run.finished_at is None:
        return {}
    found = sum(run.counts.get(kind, 0) for kind in KINDS)
    ended = run.finished_at.isoformat(timespec="seconds")
    return {"reconciliation": {"at": ended, "verdict": run.verdict, "findings": found}}


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


class _Clockwork(Collector):
    """What goes by the clock: when each job last ended, how long each queue is silent, the last reconciliation."""

    def __init__(self, parts: Parts) -> None:
        self._store, self._canaries = parts.store, parts.canaries

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering asks the database for nothing."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        now = self._store.now()
        with self._store.reading() as conn:
            jobs, run = last_runs(conn), SqlReconciling(conn, now).latest()
        ages = GaugeMetricFamily("crm1c_job_age_seconds", "Since a run of the periodic job last ended", labels=("job",))
        for one in jobs:
            if one.ended_at is not None:
                ages.add_metric((one.job,), (now - one.ended_at).total_seconds())
        yield ages
        silent = GaugeMetricFamily(
            "crm1c_canary_age_seconds", "Since a canary last came through the queue", labels=("queue",)
        )
        try:
            heard = self._canaries()
        except Exception:  # a Redis that is away is told by its own probe
            heard = {}
        for name, age in sorted(heard.items()):
            if age is not None:
                silent.add_metric((name,), age)
        yield silent
        if run is None or run.finished_at is None:
            return
        yield GaugeMetricFamily(
            "crm1c_reconciliation_age_seconds", "Since the last reconciliation ended",
            value=(now - run.finished_at).total_seconds(),
        )  # fmt: skip
        verdicts = GaugeMetricFamily(
            "crm1c_reconciliation_verdict", "1 for the verdict of the last reconciliation", labels=("verdict",)
        )
        for verdict in ("ok", "found", "alarm"):
            verdicts.add_metric((verdict,), float(run.verdict == verdict))
        yield verdicts
        found = GaugeMetricFamily(
            "crm1c_reconciliation_findings", "Findings of the last reconciliation by kind", labels=("kind",)
        )
        for kind in KINDS:
            found.add_metric((kind,), run.counts.get(kind, 0))
        yield found
