"""HTTP to one system: has the talks of its dialect over a requests.Session, and turns what goes wrong into our errors.

Before a request left, a failure is Transient; after it left, a failure is Ambiguous unless the call is repeatable.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NameResolutionError, NewConnectionError

from integration.errors import Ambiguous, Crm1cError, Held, Misconfigured, Transient, from_fault
from integration.log import current_trace
from integration.steps import boundary
from mappers.dialect import Call, Fault, Reply, Talk
from mappers.verbs import Dialect
from mappers.wire import dump_json

T = TypeVar("T")
D_co = TypeVar("D_co", bound=Dialect, covariant=True)
log = logging.getLogger("crm1c.http")

_REMEMBERED = 600.0  # seconds for which a found catalog object is believed
_SESSION_REST = 15.0  # seconds after which a resting 1C session isn't trusted (a publication's default age is 20)


class Gate(Protocol):
    """The circuit breaker as the transport sees it."""

    def gate(self, system: str) -> bool: ...

    def succeeded(self, system: str, *, probe: bool) -> None: ...

    def failed(self, system: str, reason: str, *, probe: bool, hold: bool = False) -> None: ...


class NoGate:
    """No circuit: for a command whose result a person waits for, and whose failure is nobody else's."""

    def gate(self, system: str) -> bool:  # noqa: ARG002 – the protocol's names
        return False

    def succeeded(self, system: str, *, probe: bool) -> None:
        pass

    def failed(self, system: str, reason: str, *, probe: bool, hold: bool = False) -> None:
        pass


class Slots(Protocol):
    """One of a few named leases; yields the note that its last holder left and a call that leaves one."""

    def __call__(
        self, names: Sequence[str], patience: float
    ) -> AbstractContextManager[tuple[str, Callable[[str], None]]]: ...


class System(Generic[D_co]):
    """A CRM, a registry or a 1C base at the other end of HTTP.

    `name` is "crm:NAME" or "onec:NAME". With `slots`, calls belong inside `session()`, and no more sessions than
    `max_sessions` are open at once across all workers. `timeouts`: (connect, read) in seconds.
    """

    def __init__(
        self,
        name: str,
        dialect: D_co,
        base_url: str,
        gate: Gate,
        *,
        timeouts: tuple[float, float],
        slots: Slots | None = None,
        max_sessions: int = 0,
        slot_wait: float = 5.0,
    ) -> None:
        self.name, self._dialect, self._base_url, self._gate = name, dialect, base_url.rstrip("/") + "/", gate
        self._timeouts, self._slots, self._slot_wait = timeouts, slots, slot_wait
        self._slot_names = [f"session:{self._base_url}:{n}" for n in range(max_sessions)]
        self._local = threading.local()
        self._known: dict[str, tuple[float, Any]] = {}

    @property
    def say(self) -> D_co:
        return self._dialect

    def ask(self, talk: Talk[T]) -> T:
        """Have the talk. Raises the errors of the taxonomy; Held while the system's circuit is open."""
        try:
            call = next(talk)
            while True:
                call = self._exchange(talk, call)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        except Fault as fault:
            raise from_fault(fault, self.name) from fault

    @contextmanager
    def session(self, *, fresh: bool = False, patience: float | None = None) -> Iterator[None]:
        """Hold one of the system's sessions while the block runs; `fresh`: begin a new one there. Raises Busy when
        none gets free within `patience` seconds (None: as configured)."""
        if self._slots is None or getattr(self._local, "inside", False):
            yield
            return
        wait = self._slot_wait if patience is None else patience
        with self._slots(self._slot_names, wait) as (note, leave):
            self._open("" if fresh else note)
            try:
                yield
            finally:
                leave(self._close())

    def recall(self, what: str, find: Callable[[], T | None]) -> T | None:
        """What `find` found within the last ten minutes, in this process; None is asked for again."""
        known = self._known.get(what)
        if known is not None and time.monotonic() - known[0] < _REMEMBERED:
            return known[1]  # type: ignore[no-any-return]
        found = find()
        if found is not None:
            self._known[what] = (time.monotonic(), found)
        return found

    # -- one call ------------------------------------------------------------------------------------------------

    def _exchange(self, talk: Talk[T], call: Call) -> Call:
        probe = self._gate.gate(self.name)
        try:
            following = talk.send(self._carry(call))
        except StopIteration:
            self._gate.succeeded(self.name, probe=probe)
            raise
        except (Fault, Crm1cError) as raised:
            error = from_fault(raised, self.name) if isinstance(raised, Fault) else raised
            self._judge(error, probe)
            if probe and isinstance(error, Transient) and not isinstance(error, Ambiguous):
                # A probe costs its piece of work no attempt: it is the oldest one that probes, again and again.
                raise Held(error.reason, system=self.name, detail=error.detail) from raised
            raise
        self._gate.succeeded(self.name, probe=probe)
        return following

    def _judge(self, error: Crm1cError, probe: bool) -> None:
        if isinstance(error, Transient) or error.hold:
            self._gate.failed(self.name, error.reason, probe=probe, hold=error.hold)
        else:
            self._gate.succeeded(self.name, probe=probe)

    def _carry(self, call: Call) -> Reply:
        http = self._http()
        headers = {"Accept": "application/json", **self._dialect.credentials(), **call.headers}
        if current := current_trace():
            headers["X-Correlation-Id"] = current
        had_cookie = bool(http.cookies)
        opening = {} if had_cookie else dict(self._dialect.opening_headers())
        reply = self._send(http, call, headers | opening)
        if had_cookie and self._dialect.session_died(call, reply):
            http.cookies.clear()
            reply = self._send(http, call, headers | dict(self._dialect.opening_headers()))
        return reply

    def _send(self, http: requests.Session, call: Call, headers: dict[str, str]) -> Reply:
        if call.pause:
            time.sleep(call.pause)
        body = call.body
        if call.json is not None:
            body = dump_json(call.json)
            headers = {**headers, "Content-Type": "application/json; charset=utf-8"}
        boundary(f"{call.step}: before")
        started = time.monotonic()
        try:
            answer = http.request(
                call.method, self._url(call), data=body, headers=headers, timeout=self._timeouts, allow_redirects=False
            )
        except requests.RequestException as error:
            self._log(call, type(error).__name__, started)
            raise self._lost(call, error) from error
        self._log(call, answer.status_code, started)
        boundary(f"{call.step}: answered")
        return Reply(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)

    def _lost(self, call: Call, error: requests.RequestException) -> Crm1cError:
        where, detail = self._who(), f"{call.step}: {type(error).__name__}"
        if isinstance(error, requests.exceptions.SSLError):
            reason = f"{where}: сертификат TLS не принят. Проверьте адрес и сертификат сервера."
            return Misconfigured(reason, system=self.name, detail=str(error), hold=True)
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
            return Misconfigured(f"{where}: адрес в настройках неверен.", system=self.name, hold=True)
        if _never_left(error):
            return Transient(f"{where}: нет соединения. Повторим сами.", system=self.name, detail=detail)
        if call.repeatable:
            return Transient(f"{where}: нет ответа. Повторим сами.", system=self.name, detail=detail)
        reason = f"{where}: ответ на запись потерян. Сначала найдём записанное, потом решим."
        return Ambiguous(reason, system=self.name, detail=detail)

    def _who(self) -> str:
        kind, _, name = self.name.partition(":")
        return {"onec": f"1С «{name}»", "crm": f"CRM «{name}»", "registry": f"реестр «{name}»"}.get(kind, name)

    def _url(self, call: Call) -> str:
        path = quote(call.path, safe="/()'=,$:@!*~;")
        query = "&".join(f"{quote(key, safe='$')}={quote(value, safe='')}" for key, value in call.query)
        return f"{self._base_url}{path}?{query}" if query else f"{self._base_url}{path}"

    def _log(self, call: Call, came: int | str, started: float) -> None:
        took = round((time.monotonic() - started) * 1000)
        log.info("%s: %s", call.step, came, extra={"system": self.name, "method": call.method, "ms": took})

    # -- connections and sessions --------------------------------------------------------------------------------

    def _http(self) -> requests.Session:
        http: requests.Session | None = getattr(self._local, "http", None)
        if http is None:
            http = self._local.http = requests.Session()
            http.trust_env = False  # no proxy or .netrc of the machine comes between: nothing leaves the perimeter
            http.mount("http://", _Nowhere())
            http.mount("https://", _Nowhere())
            http.mount(_origin(self._base_url), HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0))
        return http

    def _open(self, note: str) -> None:
        """Go on with the session that the slot's last holder left, when it hasn't rested for too long."""
        self._local.inside = True
        http = self._http()
        http.cookies.clear()
        used, _, cookie = note.partition("|")
        name, _, value = cookie.partition("=")
        if value and time.time() - float(used) < _SESSION_REST:
            http.cookies.set(name, value)

    def _close(self) -> str:
        self._local.inside = False
        cookies = [f"{c.name}={c.value}" for c in self._http().cookies if c.name.lower() == "ibsession"]
        return f"{time.time():.0f}|{cookies[0]}" if cookies else ""


class _Nowhere(BaseAdapter):
    """Every address but the system's own: whatever a path or an answer says, no call goes there."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        raise requests.exceptions.InvalidURL(f"not an address of this system: {urlsplit(request.url or '').netloc}")

    def close(self) -> None:
        pass


def _origin(base_url: str) -> str:
    """Scheme, host and port as requests writes them (a Cyrillic host in its own letters has another form there)."""
    try:
        url = urlsplit(str(requests.Request("GET", base_url).prepare().url))
    except requests.RequestException:  # the call itself will tell what is wrong with it
        url = urlsplit(base_url)
    return f"{url.scheme}://{url.netloc}/"


def _never_left(error: requests.RequestException) -> bool:
    """Was the request surely not sent? (no connection, no name, no route)"""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(reason, NewConnectionError | NameResolutionError | ConnectTimeoutError)
