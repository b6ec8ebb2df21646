"""The Celery application: queues, exchanges and the settings that keep messages safe. Settings that lose messages are
refused at start (`unsafe`)."""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu import Connection, Exchange, Queue

from integration.settings import Settings
from integration.work import Queue as QueueName

QUEUES: tuple[QueueName, ...] = ("inbox", "onec", "crm", "mail", "periodic")
WORK = Exchange("crm1c", type="topic", durable=True)
DEAD = Exchange("crm1c.dead", type="direct", durable=True)
DEAD_QUEUE = Queue(
    "crm1c.dead", DEAD, routing_key="dead", durable=True, queue_arguments={"x-queue-type": "quorum"}
)  # what was delivered over its limit; its row is still in the database, and `crm1c events replay` brings it back

# No task runs longer than RabbitMQ's consumer timeout (30 min) lets a message go without an acknowledgement.
TIME_LIMIT, SOFT_TIME_LIMIT = 900, 840
RECONNECT_CAP = 5.0  # seconds between two tries to reach the broker; kombu's own pauses grow to half a minute


class SteadyConnection(Connection):
    """A connection whose lost broker is found again within seconds of its return, however long it was away."""

    def ensure_connection(self, *args: Any, **more: Any) -> Any:
        more.setdefault("interval_max", RECONNECT_CAP)
        return super().ensure_connection(*args, **more)


def work_queue(name: str, delivery_limit: int) -> Queue:
    """A quorum queue with its own limit of deliveries; over it a message goes to crm1c.dead, at least once."""
    return Queue(
        f"crm1c.{name}",
        WORK,
        routing_key=f"crm1c.{name}",
        durable=True,
        queue_arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": delivery_limit,
            "x-dead-letter-exchange": DEAD.name,
            "x-dead-letter-routing-key": "dead",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


def create(settings: Settings) -> Celery:
    """The application for these settings; tasks are added by `tasks.base.register`."""
    app = Celery("crm1c", set_as_current=False)
    app.amqp.Connection = SteadyConnection
    limit = settings.delivery.delivery_limit
    memory = settings.embedded
    app.conf.update(
        broker_url="memory://localhost/" if memory else settings.broker.url,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_heartbeat=30,
        broker_transport_options={"polling_interval": 0.01} if memory else {"confirm_publish": True},
        task_queues=[work_queue(name, limit) for name in QUEUES],
        task_default_queue="crm1c.periodic",
        task_default_exchange=WORK.name,
        task_default_exchange_type="topic",
        task_default_routing_key="crm1c.periodic",
        task_create_missing_queues=False,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_time_limit=TIME_LIMIT,
        task_soft_time_limit=SOFT_TIME_LIMIT,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        event_serializer="json",
        worker_send_task_events=False,  # Flower switches them on while it runs; nobody else listens
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_detect_quorum_queues=True,
        worker_soft_shutdown_timeout=30,
        worker_max_tasks_per_child=settings.worker.max_tasks_per_child,
        worker_max_memory_per_child=settings.worker.max_memory_per_child,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_proc_alive_timeout=30,
        enable_utc=True,
        timezone=settings.schedule.timezone.key,
        beat_cron_starting_deadline=3600,
    )
    return app


# Setting → what it must be, and what is lost otherwise. Checked at start and by the doctor.
_SAFE: tuple[tuple[str, object, str], ...] = (
    ("task_acks_late", True, "задача теряется, если исполнитель умер на ней"),
    ("task_reject_on_worker_lost", True, "задача теряется, если исполнитель убит"),
    ("worker_prefetch_multiplier", 1, "исполнитель держит задачи, которые мог бы делать другой"),
    ("worker_cancel_long_running_tasks_on_connection_loss", True, "после обрыва связи задача идёт дважды сразу"),
    ("accept_content", ["json"], "принимаются сообщения, исполняющие чужой код"),
    ("task_ignore_result", True, "результаты копятся в брокере"),
)


def unsafe(app: Celery) -> list[str]:
    """What in the application's settings could lose or repeat work, in words; empty when nothing does."""
    found = [f"{name}: нужно {value!r}, иначе {loss}" for name, value, loss in _SAFE if app.conf[name] != value]
    if app.conf.broker_url.startswith("memory://"):
        return found
    if not (app.conf.broker_transport_options or {}).get("confirm_publish"):
        found.append("broker_transport_options.confirm_publish: нужно True, иначе сообщения теряются молча")
    for queue in app.conf.task_queues:
        arguments = queue.queue_arguments or {}
        if arguments.get("x-queue-type") != "quorum" or "x-delivery-limit" not in arguments:
            found.append(f"очередь {queue.name}: нужна quorum с явным x-delivery-limit")
        if not arguments.get("x-dead-letter-exchange") or arguments.get("x-overflow") != "reject-publish":
            found.append(f"очередь {queue.name}: без dead-letter и reject-publish сообщение пропадёт молча")
    return found
