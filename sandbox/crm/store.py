"""Records of the sandbox CRM in memory, its clock, and its ids (contracts/ESPOCRM.md §3.1)."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

Record = dict[str, Any]


class Clock:
    """UTC time that a test may move, so that retries and the lockout need no waiting."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        return time.time() + self.offset

    def text(self, at: float | None = None) -> str:
        """``YYYY-MM-DD HH:MM:SS`` in UTC without a zone mark."""
        return datetime.fromtimestamp(self.now() if at is None else at, UTC).strftime("%Y-%m-%d %H:%M:%S")

    def advance(self, seconds: float) -> None:
        self.offset += seconds


class Relation:
    """One many-to-many relation, readable from both sides; the order of linking is kept."""

    def __init__(self) -> None:
        self._sides: dict[str, dict[str, dict[str, None]]] = {}

    def of(self, entity: str, id_: str) -> list[str]:
        return list(self._sides.get(entity, {}).get(id_, ()))

    def has(self, entity: str, id_: str, other_id: str) -> bool:
        return other_id in self._sides.get(entity, {}).get(id_, ())

    def link(self, entity: str, id_: str, other: str, other_id: str) -> None:
        self._sides.setdefault(entity, {}).setdefault(id_, {})[other_id] = None
        self._sides.setdefault(other, {}).setdefault(other_id, {})[id_] = None

    def unlink(self, entity: str, id_: str, other: str, other_id: str) -> None:
        self._sides.get(entity, {}).get(id_, {}).pop(other_id, None)
        self._sides.get(other, {}).get(other_id, {}).pop(id_, None)


class Store:
    """Tables by entity and id. Holders of :attr:`lock` see a consistent state."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.tables: dict[str, dict[str, Record]] = {}
        self.deleted: dict[str, dict[str, Record]] = {}
        self.relations: dict[str, Relation] = {}
        self.files: dict[str, bytes] = {}
        self.acl_strict = True  # a scope that no role names is closed, as in a fresh install
        self._random = random.Random()

    def new_id(self) -> str:
        """17 hex characters: seconds, microseconds, four random ones, so that ids sort by age."""
        now = self.clock.now()
        return f"{int(now):08x}{int(now % 1 * 1_000_000):05x}{self._random.randrange(0x10000):04x}"

    def table(self, entity: str) -> dict[str, Record]:
        return self.tables.setdefault(entity, {})

    def get(self, entity: str, id_: Any) -> Record | None:
        return self.tables.get(entity, {}).get(id_) if isinstance(id_, str) else None

    def get_any(self, entity: str, id_: str) -> Record | None:
        """A record even if it was deleted."""
        return self.get(entity, id_) or self.deleted.get(entity, {}).get(id_)

    def rows(self, entity: str) -> Iterator[Record]:
        return iter(list(self.tables.get(entity, {}).values()))

    def put(self, entity: str, record: Record) -> None:
        self.table(entity)[record["id"]] = record

    def remove(self, entity: str, id_: str) -> Record | None:
        record = self.table(entity).pop(id_, None)
        if record is not None:
            self.deleted.setdefault(entity, {})[id_] = record
        return record

    def restore(self, entity: str, id_: str) -> Record | None:
        record = self.deleted.get(entity, {}).pop(id_, None)
        if record is not None:
            self.put(entity, record)
        return record

    def relation(self, name: str) -> Relation:
        return self.relations.setdefault(name, Relation())

    def display_name(self, entity: str, id_: Any) -> str | None:
        """What an ``…Name`` attribute shows; None for a record that is gone."""
        record = self.get(entity, id_)
        if record is None:
            return None
        name: str | None = record.get("name")
        return name
