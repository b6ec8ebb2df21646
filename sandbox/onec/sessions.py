"""Sessions and licences (contract section 6).

A call without a session opens one for its own duration. ``IBSession: start`` opens one that lives on in the cookie
``ibsession`` until ``IBSession: finish`` or until it idles too long; calls in it run one after another.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from wsgiref.types import WSGIEnvironment

from sandbox.answers import Answer, page
from sandbox.onec.switches import Switches


@dataclass
class Session:
    """One kept session."""

    used: float
    busy: int = 0
    turn: threading.Lock = field(default_factory=threading.Lock)


class Sessions:
    """Counts sessions, refuses when licences are used up, remembers the peaks."""

    def __init__(self, switches: Callable[[], Switches]) -> None:
        self._switches = switches
        self._lock = threading.Lock()
        self._kept: dict[str, Session] = {}
        self._passing = 0
        self._calls = 0
        self._last_call = time.monotonic()
        self._warm = False
        self.reset()

    def reset(self) -> None:
        """Forget the counts; kept sessions stay."""
        self.peak_calls = self.peak_sessions = self.started = self.refused = self.lost = self.total = 0

    def expire(self) -> None:
        """End all kept sessions at once, as an administrator does."""
        with self._lock:
            self._kept.clear()

    def told(self) -> dict[str, int]:
        """The counts, for the admin face."""
        return {
            "calls": self.total, "max_concurrency": self.peak_calls, "max_sessions": self.peak_sessions,
            "sessions_started": self.started, "sessions_live": len(self._kept) + self._passing,
            "licence_refusals": self.refused, "dead_session_calls": self.lost,
        }  # fmt: skip

    @contextmanager
    def gate(self, environ: WSGIEnvironment) -> Iterator[Answer | None]:
        """Around one call; yields a refusal, or None. Leaves ``onec.set_session`` for the answer's cookie."""
        switches = self._switches()
        wanted = environ.get("HTTP_IBSESSION", "").lower() if switches.sessions else ""
        jar: SimpleCookie = SimpleCookie(environ.get("HTTP_COOKIE", "")) if switches.sessions else SimpleCookie()
        name = jar["ibsession"].value if "ibsession" in jar else ""
        with self._lock:
            self.total += 1
            self._calls += 1
            self.peak_calls = max(self.peak_calls, self._calls)
            cold = switches.cold_start and (not self._warm or time.monotonic() - self._last_call > switches.cold_after)
            self._warm, self._last_call = True, time.monotonic()
            session, passing, refusal = self._enter(switches, name, wanted, environ)
        try:
            if cold:
                threading.Event().wait(switches.cold_start)
            with session.turn if session else nullcontext():
                yield refusal
        finally:
            with self._lock:
                self._calls -= 1
                self._passing -= passing
                if session:
                    session.busy -= 1
                    session.used = time.monotonic()
                if wanted == "finish":
                    self._kept.pop(name, None)

    def _enter(
        self, switches: Switches, name: str, wanted: str, environ: WSGIEnvironment
    ) -> tuple[Session | None, int, Answer | None]:
        now = time.monotonic()
        for key, kept in list(self._kept.items()):
            if not kept.busy and now - kept.used > switches.session_max_age:
                del self._kept[key]
        if name and wanted != "start":
            session = self._kept.get(name)
            if session is None:
                self.lost += 1
                return None, 0, page(400, "Bad Request", "Сеанс отсутствует или удален")
            session.busy += 1
            return session, 0, None
        live = len(self._kept) + self._passing
        if switches.max_sessions and live >= switches.max_sessions:
            self.refused += 1
            return None, 0, licence_page(switches.licence_status)
        self.started += 1
        self.peak_sessions = max(self.peak_sessions, live + 1)
        if wanted == "start":
            made = self._kept[key := str(uuid.uuid4())] = Session(now, busy=1)
            environ["onec.set_session"] = key
            return made, 0, None
        self._passing += 1
        return None, 1, None


def licence_page(status: int) -> Answer:
    """What comes instead of an answer when licences are used up; its status is unverified (section 6)."""
    return page(status, "1C:Enterprise 8 application error", "по причине:<br>Не обнаружено свободной лицензии!")
