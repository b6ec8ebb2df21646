"""What each process builds once: the world behind the tasks."""

from __future__ import annotations

import os
import threading

from celery import Celery

from integration.bootstrap import Clock, World, build, utc_now
from integration.settings import Settings
from integration.work import Wait
from tasks.bus import Publisher
from tasks.calls import Caller


class Process:
    """The settings, the application, the caller, and the world that a forked child builds anew. `now`: its clock,
    aware UTC."""

    def __init__(self, settings: Settings, app: Celery, now: Clock = utc_now) -> None:
        self.settings, self.app, self.caller, self.now = settings, app, Caller(app), now
        self._world: World | None = None
        self._pid = 0
        self._guard = threading.Lock()

    @property
    def world(self) -> World:
        with self._guard:
            if self._world is None or self._pid != os.getpid():
                # In one process there is nobody else to listen.
                bus = None if self.settings.embedded else Publisher(self.app, self.settings.bus.exchange)
                self._world, self._pid = build(self.settings, self.caller, now=self.now, bus=bus), os.getpid()
        return self._world

    def later(self, wait: Wait | None, queue_name: str, kind: str, row_id: str) -> None:
        """A row that could not be taken yet is called again when it can be."""
        if wait is not None:
            self.caller(queue_name, kind, row_id, wait.seconds)
