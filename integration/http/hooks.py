"""Whose webhook it is: a door for each NAME, with the secrets of the settings and those that `crm1c setup` keeps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from integration.http.parts import Sender, once_more
from integration.store import keys
from integration.store.store import SqlStore
from mappers.dialect import Delivery, Notice

KEEP_SECONDS = 5.0


class Door:
    """One sender. What setup keeps for it is read at most every few seconds, and once more for a signature that
    doesn't fit: the webhook may have been made a moment ago."""

    def __init__(
        self,
        name: str,
        sender: Sender,
        secrets: Sequence[str],
        store: SqlStore,
        clock: Callable[[], float],
        rate: Bucket | None,
    ) -> None:
        self.name, self._sender, self._secrets, self._store, self._clock = name, sender, secrets, store, clock
        self._rate = rate
        self._loaded_at = -math.inf
        self._kept: Mapping[str, str] = {}
        self._routes: Mapping[str, str] = {}

    def signer(self, delivery: Delivery) -> str | None:
        """The id of the webhook that signed, None when no live secret fits. Raises Transient without a database."""
        fresh = self._refresh(KEEP_SECONDS)
        found = self._sender.authentic(delivery, self._secrets, self._kept)
        if found is None and not fresh:
            self._refresh(0)
            found = self._sender.authentic(delivery, self._secrets, self._kept)
        return found

    def notices(self, delivery: Delivery, webhook_id: str) -> list[Notice]:
        """The items of a signed body. Raises ValueError with a Russian reason when it is not the format."""
        return self._sender.notices(delivery, webhook_id, self._routes)

    def full(self) -> int:
        """Seconds to wait, 0 when the rate (where one is set) lets this request in."""
        return self._rate.take() if self._rate else 0

    def _refresh(self, age: float) -> bool:
        now = self._clock()
        if now - self._loaded_at < age:
            return False
        self._kept, self._routes = once_more(self._read)
        self._loaded_at = now
        return True

    def _read(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        with self._store.reading() as conn:
            return keys.webhook_secrets(conn, self.name), keys.webhook_events(conn, self.name)


class Bucket:
    """So many requests a minute, all at once if need be. Threads may race for a token: one more or less is no harm."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._rate, self._size, self._clock = per_minute / 60, float(per_minute), clock
        self._tokens, self._at = self._size, clock()

    def take(self) -> int:
        """0, or the seconds after which there will be a token."""
        now = self._clock()
        self._tokens = min(self._size, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return max(1, math.ceil((1 - self._tokens) / self._rate))
