"""Events that arrived: one task, called with the row's id."""

from __future__ import annotations

from celery import Celery

from integration.flows.perform import perform_event
from integration.steps import boundary
from tasks.base import Process
from tasks.calls import TASKS


def register(app: Celery, process: Process) -> None:
    """Add the task of the inbox queue."""

    @app.task(name=TASKS["event"])
    def accept_event(event_id: str) -> None:
        """Разобрать событие: что по нему нужно сделать."""
        process.later(perform_event(process.world.services, event_id), "inbox", "event", event_id)
        boundary("acknowledge event")
