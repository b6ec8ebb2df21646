"""Duties owed to other systems: one task a kind, so that Flower tells them apart; each called with ids of rows."""

from __future__ import annotations

from typing import Any

from celery import Celery

from integration.flows.perform import FLOWS, perform_duty
from integration.steps import boundary
from tasks.base import Process
from tasks.calls import TASKS

# Kind of duty → the queue it is carried out in.
QUEUE = {
    "counterparty": "onec",
    "tell_account": "crm",
    "save_requisites": "onec",
    "invoice": "onec",
    "show_deal": "crm",
    "show_totals": "crm",
    "tell_deal": "crm",
    "paper": "onec",
    "letter": "mail",
    "attach": "crm",
    "notice": "crm",
    "settle": "onec",
    "publish": "periodic",
    "compare": "periodic",
    "report": "mail",
    "managers": "crm",
    "kpi": "periodic",
}


def register(app: Celery, process: Process) -> None:
    """Add a task for each kind of duty that flows know."""
    for kind in FLOWS:
        app.task(name=TASKS[kind])(_carrier(process, kind))


def _carrier(process: Process, kind: str) -> Any:
    def carry_out(*duty_ids: str) -> None:
        for duty_id in duty_ids:
            process.later(perform_duty(process.world.services, duty_id), QUEUE[kind], kind, duty_id)
            boundary(f"acknowledge {kind}")

    carry_out.__name__ = kind
    return carry_out
