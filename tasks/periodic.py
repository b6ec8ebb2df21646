"""Work by the clock. Each run is a slot, taken once in SQL: two beats, or a late one, do no harm."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from celery import Celery
from celery.schedules import crontab, schedule
from redis import RedisError

from integration.cache import CANARY_AGE, canaries, sing
from integration.errors import Transient
from integration.flows.changes import poll_accounts, pull_counterparties
from integration.flows.holder import refresh_users
from integration.flows.kpi import heal
from integration.flows.origin import STARTED, mark_start
from integration.flows.poll import poll
from integration.flows.pull import pull_payments
from integration.flows.recompute import recompute
from integration.flows.reconcile.run import begin_at_night
from integration.rules.clockwork import missed, slot_at
from integration.settings import Cron, Every, Settings
from integration.store.cleaning import cleanup
from integration.store.slots import over, run_once, running, under_way
from tasks.app import QUEUES
from tasks.base import Process
from tasks.calls import TASKS

log = logging.getLogger("crm1c.periodic")

CLEANUP = Cron("20", "4", "*", "*", "*")
_GRACE = timedelta(minutes=2)  # for the beat's own message to come and be done


def register(app: Celery, process: Process) -> None:
    """Add the tasks that the beat sends, and those that circuits ask for."""

    def job(kind: str, run: Callable[[], object]) -> None:
        def periodic_job(slot: str = "") -> None:
            run_slot(process, kind, slot, run)

        periodic_job.__name__ = kind
        app.task(name=TASKS[kind])(periodic_job)

    job("sweep", lambda: _sweep(process))
    job("cleanup", lambda: cleanup(process.world.store))
    job("poll", lambda: _poll_all(process))
    job("payments", lambda: _pull_all(process))
    job("bonuses", lambda: _bonuses(process))
    job("reconcile", lambda: _reconcile(process))

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
        sing(world.redis, queue_name, world.services.now())


def run_slot(process: Process, job: str, slot: str, run: Callable[[], object]) -> None:
    """The task of one job. `slot`: the point of the schedule that it is for; the beat doesn't name it, so it is the
    latest one: whatever beat sent it, and however late it comes, it is run once."""
    store = process.world.store
    mark = slot or _present_slot(process.settings, job, store.now())
    outcome = run_once(store, job, mark, run)
    if outcome is not None:
        log.info("%s: %s", job, outcome, extra={"slot": mark})


def _present_slot(settings: Settings, job: str, now: datetime) -> str:
    at = slot_at(jobs_of(settings)[job], now, settings.schedule.timezone)
    return (at or now).isoformat()


def jobs_of(settings: Settings) -> dict[str, Every | Cron]:
    """Every job → when it runs."""
    return {**settings.schedule.jobs, "cleanup": CLEANUP}


def catch_up(process: Process) -> list[str]:
    """Call the jobs whose latest slot nobody ran though its time is over: once each, however many were missed (beats
    and brokers stand still too). One that takes long is waited for. Called by the sweep; returns their names."""
    world, settings, called = process.world, process.settings, list[str]()
    now, started = world.services.now(), world.store.watermark(STARTED)
    if started is None:
        return called
    for job, when in jobs_of(settings).items():
        if job in ("sweep", "canary") or job not in TASKS:
            continue

        def taken(slot: datetime, job: str = job) -> bool:
            with world.store.reading() as conn:
                mark = slot.isoformat()
                return over(conn, job, mark) or under_way(conn, job, mark, now, _GRACE) or running(conn, job, now)

        slot = missed(
            when, now, settings.schedule.timezone,
            started=datetime.fromisoformat(started), grace=_GRACE, taken=taken,
        )  # fmt: skip
        if slot is not None:
            log.warning("пропущено: %s за %s; выполняем сейчас", job, slot.isoformat())
            process.caller("periodic", job, slot.isoformat())
            called.append(job)
    return called


def late_canaries(process: Process) -> list[str]:
    """Queues through which no canary has come lately: told as an error each time the sweep looks, since somebody must
    look after the worker. The sweep itself came through, so the periodic queue lives."""
    world = process.world
    try:
        ages = canaries(world.redis, QUEUES, world.services.now())
    except RedisError:
        return []  # Redis is told by its own probe
    when = process.settings.schedule.canary
    patience = max(CANARY_AGE, 3 * when.seconds) if isinstance(when, Every) else math.inf
    late = sorted(name for name, age in ages.items() if age is not None and age > patience)
    for name in late:
        log.error("очередь crm1c.%s молчит %.0f с: её никто не разбирает", name, ages[name] or 0.0)
    return late


def _sweep(process: Process) -> int:
    """Calls that were lost are made again, jobs that were missed too; a silent queue is told; KPI that a Redis has lost
    is shown again."""
    called = process.world.store.sweep()
    catch_up(process)
    late_canaries(process)
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
        told = f"бонусы разошлись и исправлены: {one}. Откуда они: crm1c bonuses explain {one.manager} {one.month}"
        log.error(told, extra={"manager": one.manager, "month": one.month})
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


def _reconcile(process: Process) -> str:
    """A run is begun; workers carry it out, part by part."""
    mark_start(process.world.services)
    return begin_at_night(process.world.services)


def _pull_all(process: Process) -> int:
    """The money of every base in turn; one that fails doesn't stop the others, and the next slot tries it again."""
    services, found = process.world.services, 0
    mark_start(services)
    for name in services.bases:
        try:
            found += pull_payments(services, name)
        except Exception as error:  # one base never stops the others
            log.warning("payments of 1C %s not pulled: %s", name, error, exc_info=not hasattr(error, "reason"))
    return found


def beat_schedule(settings: Settings) -> dict[str, Any]:
    """What the beat sends when: the configured jobs that have a task, and a canary through every queue."""
    entries: dict[str, Any] = {}
    for job, when in jobs_of(settings).items():
        if job == "canary":
            for name in QUEUES:
                entry = {"task": TASKS["canary"], "schedule": _when(when), "args": (name,)}
                entries[f"canary {name}"] = entry | {"options": {"queue": f"crm1c.{name}", "expires": 120}}
        elif job in TASKS:
            options: dict[str, Any] = {"queue": "crm1c.periodic"}
            if isinstance(when, Every):  # a pile of them says no more than the last; what is missed is caught up
                options["expires"] = max(when.seconds, 60.0)
            entries[job] = {"task": TASKS[job], "schedule": _when(when), "options": options}
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
