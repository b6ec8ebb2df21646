"""How each part runs: web, worker, beat; as processes of their own, or all in one (the embedded mode)."""

from __future__ import annotations

import logging
import os
import resource
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery.beat import EmbeddedService, Scheduler
from celery.signals import setup_logging, worker_process_shutdown
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger as GunicornLogger
from waitress.server import create_server

from integration.board import Board
from integration.bootstrap import Clock, World, utc_now
from integration.cache import CANARY_AGE, canaries
from integration.errors import Misconfigured
from integration.flows.answer import Answer
from integration.flows.origin import mark_start
from integration.flows.requisites import requisites
from integration.http.app import create_app
from integration.http.kpi import KpiRoutes
from integration.http.parts import Parts, Sender
from integration.http.requisites import RequisitesRoutes
from integration.http.stream import Stream
from integration.settings import Settings
from mappers.onec.hook import OnecHook
from tasks import inbound, outbound, periodic
from tasks.app import QUEUES, create, unsafe
from tasks.base import Process
from tasks.calls import reachable, wait_for_broker

log = logging.getLogger("crm1c.run")

EMBEDDED_THREADS = 4


def made(settings: Settings, now: Clock = utc_now) -> Process:
    """The application with its tasks. Raises Misconfigured when a setting could lose messages."""
    app = create(settings)
    if found := unsafe(app):
        raise Misconfigured("Настройки небезопасны: " + "; ".join(found))
    process = Process(settings, app, now)
    for module in (inbound, outbound, periodic):
        module.register(app, process)
    app.conf.beat_schedule = periodic.beat_schedule(settings)
    setup_logging.connect(_keep_our_logging, weak=False)
    return process


def _keep_our_logging(**_: Any) -> None:
    """Celery leaves the logging alone when somebody listens to this signal."""


def web_app(process: Process) -> Flask:
    """The WSGI application of this process."""
    world = process.world
    parts = Parts(
        settings=world.settings,
        store=world.store,
        senders={**world.dialects, **_onec_hook(world.settings)},
        probes={
            "broker": lambda: not process.caller.away and reachable(process.app),
            "redis": lambda: bool(world.redis.ping()),
            "workers": lambda: _canaries_sing(world),
        },
        now=world.services.now,
        canaries=lambda: canaries(world.redis, QUEUES, world.services.now()),
    )

    def ask(inn: str, kpp: str, crm: str | None, onec: str | None, wait: float) -> Answer:
        return requisites(world.services, inn, kpp, crm=crm, onec=onec, patience=wait)

    board = Board(world.redis)
    stream = Stream(board, seats=world.settings.web.threads // 4)
    more = (*RequisitesRoutes(parts, ask).routes(), *KpiRoutes(world.services, stream).routes())
    return create_app(parts, more)


def _onec_hook(settings: Settings) -> dict[str, Sender]:
    """The door of /webhooks/onec, where a base has a secret for it."""
    secrets = {name: [one.reveal() for one in base.webhook_secret] for name, base in settings.onec.items()}
    return {"onec": OnecHook(secrets)} if any(secrets.values()) else {}


def _canaries_sing(world: World) -> bool:
    """Has a canary come through every queue lately? A worker may be connected and deaf."""
    ages = canaries(world.redis, QUEUES, world.services.now())
    return all(age is not None and age < CANARY_AGE for age in ages.values())


class _OurLogging(GunicornLogger):  # type: ignore[misc]
    """gunicorn's own lines through our masked handler, none of its handlers."""

    def setup(self, cfg: Any) -> None:  # noqa: ARG002 – gunicorn's signature
        self.loglevel = logging.INFO
        self.error_log.propagate = True


class _Gunicorn(BaseApplication):  # type: ignore[misc]
    """gunicorn with our settings instead of its command line; each worker process makes its own application."""

    def __init__(self, process: Process) -> None:
        self._process = process
        super().__init__()

    def load_config(self) -> None:
        web = self._process.settings.web
        options = {
            "bind": f"{web.host}:{web.port}",
            "workers": web.processes,
            "worker_class": "gthread",
            "threads": web.threads,
            "timeout": 60,
            "graceful_timeout": 20,
            "keepalive": 15,
            "max_requests": 100_000,
            "max_requests_jitter": 10_000,
            "accesslog": None,
            "logger_class": _OurLogging,
            "worker_exit": lambda _server, _worker: self._process.caller.flush(),
            "control_socket_disable": True,  # newer gunicorns open one in the working directory
        }
        for name, value in options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        return web_app(self._process)


def serve_web(process: Process) -> None:
    """Serve until told to stop. Production: gunicorn's processes."""
    with process.world.store.reading():
        pass  # the database answers, or the reason is told now
    mark_start(process.world.services)
    process.world.close()
    _many_files()
    _Gunicorn(process).run()


def _many_files() -> None:
    """A listener of the feed is an open file: as many of them as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def work(process: Process, queues: Sequence[str] = (), concurrency: int | None = None, pool: str = "prefork") -> int:
    """Run a worker until told to stop; returns its exit code. `queues`: names without the prefix, all by default.
    `pool`: "solo" works in this very process, so that whatever ends the work ends the worker."""
    app = process.app
    wait_for_broker(app)
    mark_start(process.world.services)
    process.world.close()
    worker_process_shutdown.connect(lambda **_: _leave(process), weak=False)
    worker = app.Worker(
        pool_cls=pool,
        # A name of its own: two workers of one name on a host would take each other's (exclusive) control queue.
        hostname=f"crm1c-{os.getpid()}@{socket.gethostname()}",
        concurrency=concurrency or process.settings.worker.concurrency,
        queues=[f"crm1c.{name}" for name in queues or QUEUES],
        optimization="fair",
        quiet=True,  # no banner between the lines of a log
        without_mingle=True,
        without_gossip=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def _leave(process: Process) -> None:
    process.caller.flush()
    process.world.close()


def beat(process: Process, schedule_file: Path | None = None) -> None:
    """Send periodic work by the clock until told to stop: RedBeat over a real Redis, else the file scheduler."""
    settings, app = process.settings, process.app
    wait_for_broker(app)
    if settings.redis.url.startswith("embedded://"):
        app.Beat(scheduler="celery.beat:PersistentScheduler", schedule=str(schedule_file or "crm1c-beat")).run()
        return
    app.conf.redbeat_redis_url = settings.redis.beat_url or settings.redis.url
    app.conf.redbeat_key_prefix = "crm1c:beat:"
    app.conf.beat_max_loop_interval = 5
    app.conf.redbeat_lock_timeout = 60
    app.Beat(scheduler="tasks.clock:RedisClock").run()


@contextmanager
def everything(process: Process) -> Iterator[str]:
    """Web, worker and beat in this one process (the embedded mode); yields the web's address."""
    settings, app = process.settings, process.app
    mark_start(process.world.services)
    server = create_server(
        web_app(process),
        host=settings.web.host,
        port=settings.web.port,
        threads=settings.web.threads,
        max_request_body_size=settings.web.max_body,
    )
    worker = app.WorkController(
        pool_cls="threads",
        concurrency=EMBEDDED_THREADS,
        queues=[f"crm1c.{name}" for name in QUEUES],
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
    )
    service: Any = EmbeddedService(app, thread=True, scheduler_cls=MemoryScheduler, max_interval=1)
    threading.Thread(target=server.run, name="crm1c-web", daemon=True).start()
    threading.Thread(target=worker.start, name="crm1c-worker", daemon=True).start()
    service.start()
    try:
        yield f"http://{settings.web.host}:{server.effective_port}"
    finally:
        service.stop()
        worker.stop(exitcode=0)
        server.close()


class MemoryScheduler(Scheduler):
    """The beat of the embedded mode: what it knows lives as long as the process."""

    def setup_schedule(self) -> None:
        self.merge_inplace(self.app.conf.beat_schedule)
