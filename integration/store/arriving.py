"""Group commit of what arrives: requests that come while one transaction is written down go together into the next.

A webhook is answered after its commit. With many connections each waits for the disk; written together they wait once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from integration.errors import Transient
from integration.work import Arrival

MOST = 64  # requests in one transaction: more would make the first one wait for the last


@dataclass(eq=False)
class Delivered:
    """A webhook request on its way into the inbox. Once written: `due`, the ids of its new due events, and how many
    of its items are `parked`; or the `error` that kept it out."""

    arrivals: Sequence[Arrival]
    raw: bytes
    headers: Mapping[str, str]
    trace: str
    due: list[str] = field(default_factory=list)
    parked: int = 0
    written: bool = False
    error: Exception | None = None


class Arriving:
    """Whoever finds nobody writing writes for all that wait; the others find their request written."""

    def __init__(self, write: Callable[[Sequence[Delivered]], None]) -> None:
        self._write = write
        self._waiting: list[Delivered] = []
        self._guard, self._writing = threading.Lock(), threading.Lock()

    def put(self, delivered: Delivered) -> None:
        """Returns when the request is committed. Raises what kept it out."""
        with self._guard:
            self._waiting.append(delivered)
        with self._writing:
            while not (delivered.written or delivered.error):
                self._write_together()
        if delivered.error:
            raise delivered.error

    def _write_together(self) -> None:
        with self._guard:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            self._write(batch)
            for one in batch:
                one.written = True
        except Exception:
            self._write_apart(batch)
        finally:  # this thread may be ended here; those it writes for shall not wait for ever
            for one in batch:
                if not one.written and not one.error:
                    one.error = Transient("Приём прерван. Отправьте событие ещё раз.")

    def _write_apart(self, batch: Sequence[Delivered]) -> None:
        """One of them may be at fault: each by itself, so that none keeps another out."""
        for one in batch:
            one.due, one.parked = [], 0
            try:
                self._write([one])
                one.written = True
            except Exception as error:
                one.error = error
