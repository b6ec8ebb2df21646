"""What commands share: settings read and logging set up once, a world without a broker for those that only look."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from integration import log
from integration.bootstrap import Clock, World, build, utc_now
from integration.settings import Settings, load
from integration.store import migrate
from integration.transport import NoGate
from tasks.base import Process
from tasks.run import made


def settings_ready(*, quiet: bool = False) -> Settings:
    """The settings, with logging as they say; `quiet`: warnings alone, for commands whose answer is on stdout."""
    settings = load()
    log.configure(settings.log)
    if quiet:
        logging.getLogger().setLevel(logging.ERROR)
    log.register_secrets(settings.known_secrets)
    return settings


def running(settings: Settings, now: Clock = utc_now) -> Process:
    """The process of a long-running part. The schema must be up to date: a part never starts on half a database."""
    if settings.embedded:
        migrate.upgrade(settings.database.url)
    else:
        migrate.check(settings.database.url)
    return made(settings, now)


@contextmanager
def looking(settings: Settings, *, any_schema: bool = False) -> Iterator[World]:
    """A world for one command, which asks the systems itself whatever their circuits say. What it wakes is sent
    through the broker before the command ends."""
    if not any_schema:
        migrate.check(settings.database.url)
    process = made(settings)
    world = build(settings, process.caller, gate=NoGate())
    try:
        yield world
    finally:
        process.caller.flush()
        world.close()
