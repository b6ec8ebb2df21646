"""Faults, the request log and the admin face that every sandbox system shares.

``Sandbox(app, system)`` is WSGI middleware around a simulated system. Calls below ``/_sandbox`` are the admin
face and never reach the system, the log or the faults; every other call is logged and may meet a fault.

=============================== ==========================================================================
``POST /_sandbox/faults``        add a fault (see :class:`Fault`) -> ``{"id": n}``
``GET /_sandbox/faults``         all faults with their ``fired`` counts
``DELETE /_sandbox/faults``      forget all faults, release everything that hangs or waits
``GET /_sandbox/log?since=N``    the calls with ``n > N`` (``since`` may be absent)
``DELETE /_sandbox/log``         forget them; ``n`` goes on counting
``GET /_sandbox/health``         ``{"status": "ok"}``
``GET /_sandbox/state?…``        ``system.state(query)``; ``DELETE``: ``system.reset()``
``GET /_sandbox/stats``          ``system.stats()``
``POST /_sandbox/seed``          ``system.seed(body)``
``GET|POST /_sandbox/switches``  ``system.switches(None | body)``
=============================== ==========================================================================
"""

from __future__ import annotations

import io
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from typing import Any, Protocol
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import simplejson

from sandbox.answers import (
    Answer,
    call,
    decoded_path,
    drop_connection,
    json_answer,
    page,
    raw_query,
    status_line,
)
from sandbox.requestlog import RequestLog, told_headers

KINDS = ("status", "latency", "hang", "lost_answer", "lost_request", "lock", "licence", "html")


class System(Protocol):
    """What a simulated system offers to the admin face. Each answer must be JSON-serialisable.

    ``ValueError`` raised in any of them is answered with 400 and its text.
    """

    def state(self, query: Mapping[str, str]) -> Any:
        """A dump of what the system holds."""

    def stats(self) -> Any:
        """Counts."""

    def seed(self, body: Any) -> Any:
        """Create objects without the system's own checks."""

    def switches(self, body: Any | None) -> Any:
        """Set switches (None: only read) and tell all of them."""

    def reset(self) -> Any:
        """Back to the state at start."""


@dataclass(slots=True)
class Fault:
    """One fault. ``match`` may hold ``method`` (``POST|PATCH``) and regular expressions ``path``, ``query``, ``body``
    (the first two percent-decoded).

    ``times``: how often it fires at most (None: always). ``probability``: of firing, drawn from a generator of its
    own (``seed``). ``seconds``: of ``latency``, and of ``hang`` (None: until released). ``after``: the request is
    carried out first, and only its answer is replaced (``status`` 502 with ``after`` = a proxy that gave up).
    """

    kind: str
    match: dict[str, str] = field(default_factory=dict)
    times: int | None = None
    probability: float = 1.0
    seed: int | None = None
    status: int = 503
    retry_after: int | None = None
    seconds: float | None = None
    body: str | None = None
    content_type: str | None = None
    after: bool = False
    id: int = 0
    fired: int = 0

    def matches(self, facts: Mapping[str, str]) -> bool:
        """Whether the request fits, without drawing lots."""
        for name, wanted in self.match.items():
            if name == "method":
                if facts["method"] not in wanted.upper().split("|"):
                    return False
            elif not re.search(wanted, facts[name], re.DOTALL):
                return False
        return True


class Faults:
    """All active faults; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._dice: dict[int, random.Random] = {}
        self._last = 0
        self._released = threading.Event()

    def add(self, body: Mapping[str, Any]) -> Fault:
        """A fault from its JSON form; ValueError when it makes no sense."""
        try:
            # Decimals as floats: they are settings such as seconds and probabilities
            plain: dict[str, Any] = {k: float(v) if isinstance(v, Decimal) else v for k, v in body.items()}
            fault = Fault(**{k: v for k, v in plain.items() if k not in ("id", "fired")})
        except (TypeError, AttributeError) as error:
            raise ValueError(str(error)) from error
        fault.match = {k: v for k, v in (fault.match or {}).items() if v is not None}
        if fault.kind not in KINDS:
            raise ValueError(f"kind: one of {', '.join(KINDS)}")
        if set(fault.match) - {"method", "path", "query", "body"}:
            raise ValueError("match: only method, path, query, body")
        for name in set(fault.match) - {"method"}:
            try:
                re.compile(fault.match[name])
            except re.error as error:
                raise ValueError(f"match.{name}: {error}") from error
        if fault.kind == "latency" and fault.seconds is None:
            fault.seconds = 1.0
        with self._lock:
            self._last += 1
            fault.id = self._last
            self._dice[fault.id] = random.Random(fault.seed)
            self._faults.append(fault)
        return fault

    def listing(self) -> list[dict[str, Any]]:
        """Their JSON form."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def clear(self) -> None:
        """Forget all; whatever hangs or waits goes on at once."""
        with self._lock:
            self._faults, self._dice = [], {}
            self._released.set()
            self._released = threading.Event()

    def draw(self, facts: Mapping[str, str]) -> tuple[Fault | None, float, threading.Event]:
        """The first fault that fires for this request, the summed latency, and what ends the waiting."""
        chosen: Fault | None = None
        delay = 0.0
        if not self._faults:  # the ordinary case under load: no lock
            return None, 0.0, self._released
        with self._lock:
            for fault in self._faults:
                if fault.kind != "latency" and chosen is not None:
                    continue
                if (fault.times is not None and fault.fired >= fault.times) or not fault.matches(facts):
                    continue
                if fault.probability < 1 and self._dice[fault.id].random() >= fault.probability:
                    continue
                fault.fired += 1
                if fault.kind == "latency":
                    delay += fault.seconds or 0.0
                else:
                    chosen = fault
            return chosen, delay, self._released


Special = Callable[[WSGIEnvironment, Fault], Answer]
Gate = Callable[[WSGIEnvironment], AbstractContextManager[Answer | None]]


class Sandbox:
    """WSGI middleware: ``Sandbox(app, system)``.

    ``answers`` maps a fault kind (``status``, ``lock``, ``licence``, ``html``) to a function that makes the answer
    in the system's own shape; without one a plain page is sent. ``gate`` is entered around each call, faults included
    (a call that hangs still holds its session), and may refuse the call by yielding an answer.
    """

    def __init__(
        self,
        app: WSGIApplication,
        system: System,
        *,
        answers: Mapping[str, Special] | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.app = app
        self.system = system
        self.faults = Faults()
        self.log = RequestLog()
        self._answers = dict(answers or {})
        self._gate: Gate = gate or (lambda _environ: nullcontext())

    def close(self) -> None:
        """Release what hangs; a server calls it before it ends."""
        self.faults.clear()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = decoded_path(environ)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if path.startswith("/_sandbox/"):
            return self._admin(environ, path.removeprefix("/_sandbox/"), body).send(start_response)
        environ["wsgi.input"] = io.BytesIO(body)
        facts = {"method": environ["REQUEST_METHOD"], "path": path, "query": raw_query(environ)}
        entry = self.log.open(facts, body, told_headers(environ))
        facts["body"] = body.decode("utf-8", "replace")
        began = time.monotonic()
        answer: Answer | None = None
        try:
            with self._gate(environ) as refusal:
                answer = refusal if refusal is not None else self._handle(environ, facts, entry)
        finally:
            entry["seconds"] = round(time.monotonic() - began, 6)
            entry["status"] = answer.status if answer else None
        if answer is None:
            drop_connection(environ)
            start_response("500 Dropped", [("Content-Length", "0")])  # goes nowhere: the socket is shut down
            return []
        return answer.send(start_response)

    def _handle(self, environ: WSGIEnvironment, facts: Mapping[str, str], entry: dict[str, Any]) -> Answer | None:
        """The answer, or None when the client must get none."""
        fault, delay, released = self.faults.draw(facts)
        if delay:
            entry["fault"] = "latency"
            released.wait(delay)
        if fault is None:
            return call(self.app, environ)
        entry["fault"] = fault.kind
        if fault.after or fault.kind == "lost_answer":
            call(self.app, environ)
        if fault.kind in ("lost_answer", "lost_request"):
            return None
        if fault.kind == "hang":
            released.wait(fault.seconds)
            return None
        answer = self._special(environ, fault)
        if fault.retry_after is not None:
            answer = replace(answer, headers=(*answer.headers, ("Retry-After", str(fault.retry_after))))
        return answer

    def _special(self, environ: WSGIEnvironment, fault: Fault) -> Answer:
        """The answer of a fault that answers: its own body, else the system's, else a page."""
        if fault.body is not None:
            status = 200 if fault.kind == "html" else fault.status
            return Answer(status, fault.body.encode(), fault.content_type or "text/html; charset=utf-8")
        if fault.kind in self._answers:
            return self._answers[fault.kind](environ, fault)
        if fault.kind == "html":
            return page(200, "Sign in", "The session has ended.")
        return page(fault.status, status_line(fault.status), fault.kind)

    def _admin(self, environ: WSGIEnvironment, name: str, body: bytes) -> Answer:
        query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        method = environ["REQUEST_METHOD"]
        try:
            command = self._commands(query, simplejson.loads(body, use_decimal=True) if body else None).get(
                (method, name)
            )
            if command is None:
                return json_answer({"error": f"no such admin call: {method} {name}"}, 404)
            value = command()
        except ValueError as error:
            return json_answer({"error": str(error)}, 400)
        return json_answer(value)

    def _commands(self, query: Mapping[str, str], body: Any) -> dict[tuple[str, str], Callable[[], Any]]:
        system = self.system

        def done(act: Callable[[], None] = lambda: None) -> dict[str, str]:
            act()
            return {"status": "ok"}

        return {
            ("GET", "health"): done,
            ("POST", "faults"): lambda: {"id": self.faults.add(body or {}).id},
            ("GET", "faults"): self.faults.listing,
            ("DELETE", "faults"): lambda: done(self.faults.clear),
            ("GET", "log"): lambda: self.log.since(int(query.get("since", "0"))),
            ("DELETE", "log"): lambda: done(self.log.clear),
            ("GET", "state"): lambda: system.state(query),
            ("DELETE", "state"): system.reset,
            ("GET", "stats"): system.stats,
            ("POST", "seed"): lambda: system.seed(body or {}),
            ("GET", "switches"): lambda: system.switches(None),
            ("POST", "switches"): lambda: system.switches(body or {}),
        }
