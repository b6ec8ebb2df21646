"""Wake-up calls: how they get to the broker, whatever state it is in."""

from __future__ import annotations

import json
import logging
import math
import os
import queue
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from amqp.exceptions import PreconditionFailed
from celery import Celery
from kombu import Exchange, Producer
from kombu.transport.native_delayed_delivery import calculate_routing_key

from integration.errors import Misconfigured
from integration.work import new_id
from tasks.app import DEAD_QUEUE, WORK

log = logging.getLogger("crm1c.calls")

Call: TypeAlias = tuple[str, str, str, float]  # queue, kind of work, row id, seconds from now

# Kind of work → the task's name, as an administrator reads it in Flower.
TASKS: dict[str, str] = {
    "event": "crm1c.accept_event",
    "invoice": "crm1c.invoice_into_1c",
    "show_deal": "crm1c.show_deal_in_crm",
    "show_totals": "crm1c.show_contracts_in_crm",
    "tell_deal": "crm1c.tell_manager_in_crm",
    "counterparty": "crm1c.sync_counterparty",
    "tell_account": "crm1c.tell_editor_in_crm",
    "save_requisites": "crm1c.save_requisites",
    "paper": "crm1c.print_paper",
    "letter": "crm1c.mail_paper",
    "attach": "crm1c.attach_paper_in_crm",
    "notice": "crm1c.notify_manager",
    "settle": "crm1c.settle_payments",
    "payments": "crm1c.pull_payments",
    "publish": "crm1c.publish_event",
    "managers": "crm1c.ask_whose_deals",
    "kpi": "crm1c.show_kpi",
    "reconcile": "crm1c.reconcile",
    "compare": "crm1c.compare_sides",
    "report": "crm1c.mail_report",
    "probe": "crm1c.probe_system",
    "release": "crm1c.release_waiting",
    "bonuses": "crm1c.recompute_bonuses",
    "sweep": "crm1c.sweep",
    "poll": "crm1c.poll_crm",
    "canary": "crm1c.canary",
    "cleanup": "crm1c.cleanup",
}

_DELAYED = Exchange("celery_delayed_27", type="topic")
_BACKLOG = 100_000  # calls kept while the broker is away; more of them are left to the sweep
_TOGETHER = 16  # rows that one message calls at most, of kinds whose work is short and reaches no other system
_QUICK = frozenset({"event", "publish"})
_PAUSE = 1.0  # seconds between two tries to reach a broker that is away
_CONFIRM = 10.0  # seconds for the broker's confirmation: a broker out of memory or disk blocks instead of answering


class Caller:
    """Sends wake-up calls from a thread of its own, so that nobody waits for the broker and none is lost while it is
    away: what cannot be sent now is sent when the broker is back (and the sweep would call it, were this process dead).
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._calls: queue.Queue[Call] = queue.Queue(_BACKLOG)
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
        """Wait until every call so far was sent, or the broker turns out to be away: then the sweep calls. For the
        end of a process."""
        if self._pid != os.getpid():
            return
        with self._calls.all_tasks_done:
            while self._calls.unfinished_tasks and not self.away:
                self._calls.all_tasks_done.wait(0.1)

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

    def _send_for_ever(self, calls: queue.Queue[Call]) -> None:
        pause, line = threading.Event(), Line(self._app)
        while True:
            taken = [calls.get()]
            with suppress(queue.Empty):
                while len(taken) < _TOGETHER:
                    taken.append(calls.get_nowait())
            for queue_name, kind, row_ids, delay in grouped(taken):
                while not self._sent(line, queue_name, kind, row_ids, delay):
                    pause.wait(_PAUSE)
                for _ in row_ids:
                    calls.task_done()

    def _sent(self, line: Line, queue_name: str, kind: str, row_ids: tuple[str, ...], delay: float) -> bool:
        try:
            line.send(queue_name, kind, row_ids, delay)
        except Exception as error:  # whatever is wrong with the broker, the call is tried again
            if not self.away:
                log.error("брокер недоступен, вызовы ждут: %s: %s", type(error).__name__, error)
            self.away = True
            line.drop()
            return False
        if self.away:
            log.info("брокер снова доступен")
        self.away = False
        return True


def grouped(calls: Sequence[Call]) -> list[tuple[str, str, tuple[str, ...], float]]:
    """The calls as messages: those for work that is quick and ours alone go together, several rows in one."""
    together: dict[tuple[str, str, str, float], list[str]] = {}
    for queue_name, kind, row_id, delay in calls:
        alone = row_id if delay or kind not in _QUICK else ""
        together.setdefault((queue_name, kind, alone, delay), []).append(row_id)
    return [(name, kind, tuple(row_ids), delay) for (name, kind, _, delay), row_ids in together.items()]


class Line:
    """One connection to the broker, of one thread. After any trouble it is made anew, and every queue is declared
    before the first message: nothing is published into the void."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._native = not app.conf.broker_url.startswith("memory://")
        self._connection: Any = None
        self._producer: Producer | None = None
        self._templates: dict[str, tuple[dict[str, Any], dict[str, Any], Any]] = {}

    def send(self, queue_name: str, kind: str, row_ids: tuple[str, ...], delay: float = 0) -> None:
        """Publish one call, confirmed by the broker. The message carries ids of rows and nothing else.

        A delayed one goes through native delayed delivery without an ETA (a worker would hold it, unacknowledged).
        Raises what the transport raises.
        """
        name = f"crm1c.{queue_name}"
        headers, properties, body = self._message(kind, row_ids, 0 if self._native else delay)
        exchange, key = (WORK, name)
        if self._native and delay > 0:
            exchange, key = _DELAYED, calculate_routing_key(math.ceil(delay), name)
        self._ready().publish(
            body,
            headers=headers,
            exchange=exchange,
            routing_key=key,
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=2,
            retry=False,
            timeout=_CONFIRM,
            confirm_timeout=_CONFIRM,
            **properties,
        )

    def drop(self) -> None:
        """Forget the connection; the next call makes a new one."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            with suppress(Exception):  # it is broken already
                connection.collect()

    def _ready(self) -> Producer:
        if self._producer is None:
            self._connection = self._app.connection_for_write()
            channel = self._connection.channel()
            declare(self._app, channel)
            self._producer = Producer(channel, auto_declare=False)
        return self._producer

    def _message(
        self, kind: str, row_ids: tuple[str, ...], countdown: float
    ) -> tuple[dict[str, Any], dict[str, Any], bytes]:
        """Celery's own message (protocol 2), its parts that never change made once a kind."""
        message_id = new_id()
        if countdown:
            late = self._app.amqp.as_task_v2(message_id, TASKS[kind], args=row_ids, countdown=countdown)
            return late.headers, late.properties, json.dumps(late.body).encode()
        if kind not in self._templates:
            made = self._app.amqp.as_task_v2(message_id, TASKS[kind], args=("",))
            self._templates[kind] = made.headers, made.properties, made.body[2]
        headers, properties, embedded = self._templates[kind]
        mine = {"id": message_id, "root_id": message_id, "argsrepr": repr(row_ids)}
        body = json.dumps([list(row_ids), {}, embedded]).encode()
        return headers | mine, properties | {"correlation_id": message_id}, body


def declare(app: Celery, channel: Any) -> None:
    """Declare every queue of work, and the dead-letter queue."""
    DEAD_QUEUE(channel).declare()
    for one in app.amqp.queues.values():
        one(channel).declare()


def prepare_broker(app: Celery) -> None:
    """Reach the broker and declare every queue. Raises Misconfigured when a queue stands there with other properties,
    else what the transport raises."""
    try:
        with app.connection_for_write() as connection, connection.channel() as channel:
            declare(app, channel)
    except PreconditionFailed as error:
        raise Misconfigured(
            "Очереди в RabbitMQ объявлены с другими свойствами (изменили delivery_limit?). Остановите crm1c и "
            "удалите очереди crm1c.*: работа записана в базе и продолжится.",
            system="broker",
            detail=str(error),
        ) from error


def wait_for_broker(app: Celery) -> None:
    """Prepare the broker, however long that takes: a part that starts before RabbitMQ waits for it."""
    pause, told = threading.Event(), False
    while True:
        try:
            return prepare_broker(app)
        except Misconfigured:
            raise
        except Exception as error:  # whatever is wrong with the broker, it is tried again
            if not told:
                log.warning("брокер недоступен, ждём его: %s: %s", type(error).__name__, error)
            told = True
            pause.wait(_PAUSE)


def reachable(app: Celery) -> bool:
    """Does the broker answer now? Within about a second."""
    try:
        with app.connection_for_read(connect_timeout=1) as connection:
            connection.connect()
    except Exception:  # whatever it is, it is not there
        return False
    return True
