"""Calls and carriers: how a wake-up call gets to the broker, and what each process builds once."""

from __future__ import annotations

import logging
import math
import os
import queue
import threading
from typing import Any

from celery import Celery
from kombu import Exchange
from kombu.transport.native_delayed_delivery import calculate_routing_key

from integration.bootstrap import World, build
from integration.settings import Settings
from integration.work import new_id
from tasks.app import DEAD_QUEUE, WORK

log = logging.getLogger("crm1c.calls")

# Kind of work → the task's name, as an administrator reads it in Flower.
TASKS: dict[str, str] = {
    "event": "crm1c.accept_event",
    "invoice": "crm1c.invoice_into_1c",
    "show_deal": "crm1c.show_deal_in_crm",
    "tell_deal": "crm1c.tell_manager_in_crm",
    "probe": "crm1c.probe_system",
    "release": "crm1c.release_waiting",
    "sweep": "crm1c.sweep",
    "poll": "crm1c.poll_crm",
    "canary": "crm1c.canary",
    "cleanup": "crm1c.cleanup",
}

_DELAYED = Exchange("celery_delayed_27", type="topic")
_BACKLOG = 100_000  # calls kept while the broker is away; more of them are left to the sweep
_PAUSE = 1.0  # seconds between two tries to reach a broker that is away


class Caller:
    """Sends wake-up calls from a thread of its own, so that nobody waits for the broker and none is lost while it is
    away: what cannot be sent now is sent when the broker is back (and the sweep would call it, were this process dead).
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._calls: queue.Queue[tuple[str, str, str, float]] = queue.Queue(_BACKLOG)
        self._guard = threading.Lock()
        self._pid = 0
        self.away = False

    def __call__(self, queue_name: str, kind: str, row_id: str, delay: float = 0) -> None:
        """Call the worker of `queue_name` for a row, `delay` seconds from now. Never raises, never waits."""
        self._start()
        try:
            self._calls.put_nowait((queue_name, kind, row_id, delay))
        except queue.Full:
            log.warning("вызов оставлен обходу: слишком много ждут брокера")

    def flush(self) -> None:
        """Wait until every call so far was sent. For the end of a process."""
        if self._pid == os.getpid() and not self.away:
            self._calls.join()

    def _start(self) -> None:
        if self._pid == os.getpid():
            return
        with self._guard:
            if self._pid != os.getpid():  # a forked child has no thread, and its parent's calls are its parent's
                self._calls = queue.Queue(_BACKLOG)
                self._pid = os.getpid()
                threading.Thread(
                    target=self._send_for_ever, args=(self._calls,), name="crm1c-calls", daemon=True
                ).start()

    def _send_for_ever(self, calls: queue.Queue[tuple[str, str, str, float]]) -> None:
        pause = threading.Event()
        while True:
            call = calls.get()
            while not self._sent(call):
                pause.wait(_PAUSE)
            calls.task_done()

    def _sent(self, call: tuple[str, str, str, float]) -> bool:
        try:
            publish(self._app, *call)
        except Exception as error:  # whatever is wrong with the broker, the call is tried again
            if not self.away:
                log.error("брокер недоступен, вызовы ждут: %s: %s", type(error).__name__, error)
            self.away = True
            return False
        if self.away:
            log.info("брокер снова доступен")
        self.away = False
        return True


def publish(app: Celery, queue_name: str, kind: str, row_id: str, delay: float = 0) -> None:
    """Publish one call, confirmed by the broker. The message carries the row's id and nothing else.

    A delayed one goes through native delayed delivery without an ETA (a worker holds those,
    unacknowledged).
    Raises what the transport raises.
    """
    name = f"crm1c.{queue_name}"
    native = not app.conf.broker_url.startswith("memory://")
    seconds = math.ceil(delay)
    countdown = None if native or not delay else delay
    headers, properties, body, _sent = app.amqp.as_task_v2(new_id(), TASKS[kind], args=(row_id,), countdown=countdown)
    exchange, key = (_DELAYED, calculate_routing_key(seconds, name)) if seconds and native else (WORK, name)
    with app.producer_pool.acquire(block=True, timeout=10) as producer:
        producer.publish(
            body,
            headers=headers,
            exchange=exchange,
            routing_key=key,
            declare=[app.amqp.queues[name]] if exchange is WORK else [],
            serializer="json",
            delivery_mode=2,
            retry=False,
            **properties,
        )


def prepare_broker(app: Celery) -> None:
    """Declare every queue, the dead-letter queue included: nothing is ever published into the void."""
    with app.connection_for_write() as connection, connection.channel() as channel:
        DEAD_QUEUE(channel).declare()
        for one in app.amqp.queues.values():
            one(channel).declare()


class Process:
    """What a process builds once and a forked child builds anew: the world behind the tasks."""

    def __init__(self, settings: Settings, app: Celery) -> None:
        self.settings, self.app, self.caller = settings, app, Caller(app)
        self._world: World | None = None
        self._pid = 0
        self._guard = threading.Lock()

    @property
    def world(self) -> World:
        with self._guard:
            if self._world is None or self._pid != os.getpid():
                self._world, self._pid = build(self.settings, self.caller), os.getpid()
        return self._world

    def later(self, wait: Any, queue_name: str, kind: str, row_id: str) -> None:
        """A row that could not be taken yet is called again when it can be."""
        if wait is not None:
            self.caller(queue_name, kind, row_id, wait.seconds)
