"""Work by the clock. Each run is a slot, taken once in SQL: two beats, or a late one, do no harm."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.schedules import crontab, schedule

from integration.errors import Transient
from integration.flows.changes import poll_accounts, pull_counterparties
from integration.flows.holder import refresh_users
from integration.flows.kpi import heal
from integration.flows.origin import mark_start
from integration.flows.poll import poll
from integration.flows.pull import pull_payments
from integration.flows.recompute import recompute
from integration.settings import Cron, Every, Settings
from integration.store.cleaning import cleanup
from integration.store.keys import finish_slot, take_slot
from tasks.app import QUEUES
from tasks.base import Process
from tasks.calls import TASKS

log = logging.getLogger("crm1c.periodic")

CLEANUP = Cron("20", "4", "*", "*", "*")


def register(app: Celery, process: Process) -> None:
    """Add the tasks that the beat sends, and those that circuits ask for."""

    def job(kind: str, run: Callable[[], object]) -> None:
        def run_slot(slot: str = "") -> None:
            _once(process, kind, slot, run)

        run_slot.__name__ = kind
        app.task(name=TASKS[kind])(run_slot)

    job("sweep", lambda: _sweep(process))
    job("cleanup", lambda: cleanup(process.world.store))
    job("poll", lambda: _poll_all(process))
    job("payments", lambda: _pull_all(process))
    job("bonuses", lambda: _bonuses(process))
    job("reconcile", lambda: _pull_all(process, nightly=True))

    @app.task(name=TASKS["probe"])
    def probe(system: str) -> None:
        """Пробный вызов: ожила ли система."""
        process.world.store.release(system, limit=1)

    @app.task(name=TASKS["release"])
    def release(system: str) -> None:
        """Система ожила: всё, что её ждало, идёт дальше."""
        process.world.store.release(system)

    @app.task(name=TASKS["canary"])
    def canary(queue_name: str) -> None:
        """Отметка, что очередь живёт: её сообщения доходят до исполнителя."""
        world = process.world
        world.redis.set(f"canary:{queue_name}", world.services.now().isoformat(), ex=86_400)


def _once(process: Process, job: str, slot: str, run: Callable[[], object]) -> None:
    store = process.world.store
    with store.unit(f"slot of {job}") as unit:
        mark = slot or _slot(process.settings, job, unit.now.timestamp())
        if not take_slot(unit.conn, job, mark, unit.now):
            return
    result = run()
    with store.unit(f"slot of {job} done") as unit:
        finish_slot(unit.conn, job, mark, str(result), unit.now)
    log.info("%s: %s", job, result, extra={"slot": mark})


def _slot(settings: Settings, job: str, seconds: float) -> str:
    """The slot that `seconds` (epoch) falls into: one period of an interval, one minute of a cron line."""
    when = settings.schedule.jobs.get(job, CLEANUP)
    period = when.seconds if isinstance(when, Every) else 60.0
    return str(int(seconds // period))


def _sweep(process: Process) -> int:
    """Calls that were lost are made again; KPI that a Redis has lost is shown again."""
    called = process.world.store.sweep()
    try:
        heal(process.world.services)
    except Transient as error:  # the next run tries again
        log.warning("KPI not looked after: %s", error.detail or error)
    return called


def _bonuses(process: Process) -> str:
    """The CRM's users as they are now, then the full recomputation."""
    services = process.world.services
    mark_start(services)
    refresh_users(services)
    proof = recompute(services)
    for one in proof.differences:
        log.error("бонусы разошлись: %s", one, extra={"manager": one.manager, "month": one.month})
    return str(proof)


def _poll_all(process: Process) -> int:
    """Every CRM in turn; one that fails doesn't stop the others, and the next slot tries it again."""
    services, found = process.world.services, 0
    mark_start(services)
    for name in services.crms:
        try:
            found += poll(services, name) + poll_accounts(services, name)
        except Exception as error:  # one CRM never stops the others
            log.warning("poll of %s failed: %s", name, error, exc_info=not hasattr(error, "reason"))
    for name in services.bases:
        try:
            found += pull_counterparties(services, name)
        except Exception as error:  # nor does one base
            log.warning("poll of 1C %s failed: %s", name, error, exc_info=not hasattr(error, "reason"))
    return found


def _pull_all(process: Process, *, nightly: bool = False) -> int:
    """The money of every base in turn; one that fails doesn't stop the others, and the next slot tries it again."""
    services, found = process.world.services, 0
    mark_start(services)
    for name in services.bases:
        try:
            found += pull_payments(services, name, nightly=nightly)
        except Exception as error:  # one base never stops the others
            log.warning("payments of 1C %s not pulled: %s", name, error, exc_info=not hasattr(error, "reason"))
    return found


def beat_schedule(settings: Settings) -> dict[str, Any]:
    """What the beat sends when: the configured jobs that have a task, and a canary through every queue."""
    entries: dict[str, Any] = {}
    jobs = {**settings.schedule.jobs, "cleanup": CLEANUP}
    for job, when in jobs.items():
        if job == "canary":
            for name in QUEUES:
                entry = {"task": TASKS["canary"], "schedule": _when(when), "args": (name,)}
                entries[f"canary {name}"] = entry | {"options": {"queue": f"crm1c.{name}", "expires": 120}}
        elif job in TASKS:
            entries[job] = {
                "task": TASKS[job],
                "schedule": _when(when),
                "options": {"queue": "crm1c.periodic"},
            }
    return entries


def _when(when: Every | Cron) -> Any:
    if isinstance(when, Every):
        return schedule(run_every=when.seconds)
    return crontab(
        minute=when.minute,
        hour=when.hour,
        day_of_month=when.day_of_month,
        month_of_year=when.month_of_year,
        day_of_week=when.day_of_week,
    )
