"""What the web needs from the rest, put together by the composition root, by tests with parts of their own; and how
it reaches the store over connections that may have died in the pool."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from integration.errors import Transient
from integration.settings import Settings
from integration.store.store import SqlStore
from mappers.dialect import Delivery, Notice

T = TypeVar("T")


class Sender(Protocol):
    """What intake asks of the dialect of a system that sends webhooks (a CRM or a shop)."""

    def authentic(self, delivery: Delivery, secrets: Sequence[str], by_webhook: Mapping[str, str]) -> str | None: ...

    def notices(self, delivery: Delivery, webhook_id: str, routes: Mapping[str, str]) -> list[Notice]: ...


@dataclass(frozen=True)
class Parts:
    """`senders`: dialect by the NAME of /webhooks/NAME, each a table [crm.NAME] or [shop.NAME]. `probes`: what
    /health/ready tells beside the database ("broker", "redis"), each quick and bounded; False or an exception means
    away. `canaries`: seconds since something last came through each queue (None: never). `clock` and `pause` are
    seconds that only grow."""

    settings: Settings
    store: SqlStore
    senders: Mapping[str, Sender]
    probes: Mapping[str, Callable[[], bool]]
    now: Callable[[], datetime]
    canaries: Callable[[], Mapping[str, float | None]] = dict
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


def once_more(work: Callable[[], T]) -> T:
    """What `work` returns; called a second time if its connection was found dead (the pool then makes a new one).

    For reads, and for writes that merge when repeated: the first try may have been committed after all.
    """
    try:
        return work()
    except Transient as error:
        if not getattr(error.__cause__, "connection_invalidated", False):
            raise
        return work()
