"""Redis: what may be lost and is made again. Here the circuits, one a system, shared by all workers.

A circuit opens after so many failures in a row; while it is open no call is made and no attempt spent; when its pause
is over one probe goes through, and closes it or doubles the pause. A *hold* is the same with longer pauses, for what
only an administrator can mend (a password). Redis out of reach means that every circuit counts as closed.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import redis

from integration.errors import Held

log = logging.getLogger("crm1c.circuit")

_FRESH = 0.25  # seconds for which a process believes what it last read of a circuit
_PROBE_LEASE = 180  # seconds after which a probe whose worker died may be tried anew


class Figures(Protocol):
    """Settings [delivery], in seconds."""

    @property
    def circuit_failures(self) -> int: ...

    @property
    def probe_first(self) -> float: ...

    @property
    def probe_cap(self) -> float: ...

    @property
    def hold_first(self) -> float: ...

    @property
    def hold_cap(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Circuit:
    """An open circuit: when it may be probed (epoch seconds), its present pause, and why it opened."""

    probe_at: float
    pause: float
    held: bool
    reason: str


class Circuits:
    """The circuits of all systems. `on_open(system, pause)` and `on_close(system)` tell who waits."""

    def __init__(
        self,
        client: redis.Redis,
        figures: Figures,
        clock: Callable[[], float] = time.time,
        on_open: Callable[[str, float], None] = lambda _system, _pause: None,
        on_close: Callable[[str], None] = lambda _system: None,
    ) -> None:
        self._redis, self._figures, self._clock = client, figures, clock
        self.on_open, self.on_close = on_open, on_close
        self._seen: dict[str, tuple[float, bool]] = {}  # system → (read at, failures were counted)

    def gate(self, system: str) -> bool:
        """May `system` be called now? True: this call is its probe. Raises Held while the circuit is open."""
        seen = self._seen.get(system)
        if seen is not None and time.monotonic() - seen[0] < _FRESH:
            return False
        opened, failures = self._read(system)
        if opened is None:
            self._seen[system] = (time.monotonic(), failures > 0)
            return False
        wait = opened.probe_at - self._clock()
        if wait <= 0 and self._take_probe(system):
            return True
        raise Held(opened.reason, system=system, retry_after=max(wait, 1.0))

    def succeeded(self, system: str, *, probe: bool) -> None:
        """A call was answered: failures no longer stand in a row, and a probe closes the circuit."""
        _at, counted = self._seen.get(system, (0.0, False))
        if probe:
            log.info("%s снова отвечает: очередь идёт дальше", system)
            self._quietly(lambda: self._redis.delete(*_keys(system)))
            self.on_close(system)
        elif counted:
            self._quietly(lambda: self._redis.delete(f"circuit:{system}:failures"))
            self._seen[system] = (time.monotonic(), False)

    def failed(self, system: str, reason: str, *, probe: bool, hold: bool = False) -> None:
        """A call failed. Enough of them in a row, a failed probe, or a hold opens the circuit."""
        self._seen.pop(system, None)
        if not (hold or probe):
            failures = self._quietly(lambda: self._count(system))
            if failures is None or failures < self._figures.circuit_failures:
                return
        first, cap = self._figures.probe_first, self._figures.probe_cap
        if hold:
            first, cap = self._figures.hold_first, self._figures.hold_cap
        standing, _failures = self._read(system)
        pause = min(cap, standing.pause * 2) if probe and standing else first
        state = {"probe_at": self._clock() + pause, "pause": pause, "held": hold, "reason": reason}
        if standing is not None and not probe:
            return  # another worker opened it meanwhile
        log.error("%s не отвечает, очередь приостановлена на %.0f с: %s", system, pause, reason, extra={"held": hold})
        self._quietly(lambda: self._redis.set(f"circuit:{system}", json.dumps(state)))
        self._quietly(lambda: self._redis.delete(f"circuit:{system}:probe"))
        self.on_open(system, pause)

    def standing(self, system: str) -> Circuit | None:
        """The open circuit of a system, None when it is closed: for the doctor, the metrics and the sweep."""
        return self._read(system)[0]

    def _count(self, system: str) -> int:
        key = f"circuit:{system}:failures"
        count = int(self._redis.incr(key))
        self._redis.expire(key, 600)
        return count

    def _take_probe(self, system: str) -> bool:
        return bool(self._quietly(lambda: self._redis.set(f"circuit:{system}:probe", "1", nx=True, ex=_PROBE_LEASE)))

    def _read(self, system: str) -> tuple[Circuit | None, int]:
        values = self._quietly(lambda: self._redis.mget(f"circuit:{system}", f"circuit:{system}:failures"))
        opened, failures = values if values else (None, None)
        return (Circuit(**json.loads(opened)) if opened else None), int(failures or 0)

    def _quietly(self, command: Callable[[], Any]) -> Any:
        try:
            return command()
        except redis.RedisError as error:
            log.warning("Redis недоступен, предохранители считаются замкнутыми: %s", type(error).__name__)
            return None


def _keys(system: str) -> tuple[str, str, str]:
    return f"circuit:{system}", f"circuit:{system}:failures", f"circuit:{system}:probe"


class RedisShelf:
    """Answers of registries (services.Shelf); Redis out of reach means that nothing is kept."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def get(self, key: str) -> str | None:
        try:
            found: Any = self._redis.get(key)
        except redis.RedisError:
            return None
        return None if found is None else str(found)

    def put(self, key: str, value: str, seconds: float) -> None:
        try:
            self._redis.set(key, value, px=max(1, int(seconds * 1000)))
        except redis.RedisError as error:
            log.warning("Redis недоступен, ответ реестра не запомнен: %s", type(error).__name__)


def connect(url: str) -> redis.Redis:
    """A client for redis://, rediss://, unix://, or `embedded://`: one that lives and dies with this process."""
    if url.startswith("embedded://"):
        import fakeredis  # only the embedded mode pays for it

        return fakeredis.FakeRedis(decode_responses=True)
    return redis.Redis.from_url(url, decode_responses=True, socket_timeout=2, socket_connect_timeout=2)


# -- canaries ---------------------------------------------------------------------------------------------------------

CANARY_AGE = 180.0  # seconds after which a queue without a canary counts as deaf


def sing(client: redis.Redis, queue: str, now: datetime) -> None:
    """A canary came through this queue: somebody receives from it and works."""
    client.set(f"canary:{queue}", now.isoformat(), ex=86_400)


def canaries(client: redis.Redis, queues: Collection[str], now: datetime) -> dict[str, float | None]:
    """Seconds since the last canary of each queue; None: none came within a day. Raises what Redis raises."""
    heard = client.mget([f"canary:{name}" for name in queues])
    return {
        name: None if at is None else max(0.0, (now - datetime.fromisoformat(str(at))).total_seconds())
        for name, at in zip(queues, heard, strict=True)
    }
