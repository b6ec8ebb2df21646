"""Events that arrived: one task, called with the ids of rows."""

from __future__ import annotations

from celery import Celery

from integration.flows.perform import perform_event
from integration.steps import boundary
from tasks.base import Process
from tasks.calls import TASKS


def register(app: Celery, process: Process) -> None:
    """Add the task of the inbox queue."""

    @app.task(name=TASKS["event"])
    def accept_event(*event_ids: str) -> None:
        """Разобрать события: что по ним нужно сделать."""
        for event_id in event_ids:
            process.later(perform_event(process.world.services, event_id), "inbox", "event", event_id)
            boundary("acknowledge event")
