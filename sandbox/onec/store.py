"""The objects of a base in memory, with indexes that grow as they are asked for."""

from __future__ import annotations

import bisect
import struct
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sandbox.onec.schema import EMPTY_REF, Entity, Schema

BLOCK = 256


class Record:
    """One stored object. ``data`` is never changed in place: a write makes a new Record."""

    __slots__ = ("data", "texts", "version")

    def __init__(self, data: dict[str, Any], version: int) -> None:
        self.version = version
        self.data = data
        self.texts: dict[str, str] = {}  # rendered forms, by metadata level
        if "DataVersion" in data:
            data["DataVersion"] = data_version(version)


def data_version(count: int) -> str:
    """Eight bytes in base64; ``AAAAAAAAAAA=`` after creation (contract section 2)."""
    return b64encode(struct.pack(">II", count, 0)).decode()


class Texts:
    """Finds objects whose text contains a needle without looking at each: blocks of joined texts."""

    def __init__(self) -> None:
        self._blocks: list[dict[Any, str]] = []
        self._joined: list[str | None] = []
        self._place: dict[Any, int] = {}

    def put(self, key: Any, text: str) -> None:
        """Set or change one object's text."""
        place = self._place.get(key)
        if place is None:
            if not self._blocks or len(self._blocks[-1]) >= BLOCK:
                self._blocks.append({})
                self._joined.append(None)
            place = self._place[key] = len(self._blocks) - 1
        self._blocks[place][key] = text
        self._joined[place] = None

    def drop(self, key: Any) -> None:
        """Forget one object."""
        place = self._place.pop(key, None)
        if place is not None:
            self._blocks[place].pop(key, None)
            self._joined[place] = None

    def find(self, needle: str) -> Iterator[Any]:
        """The keys of objects that may contain the needle."""
        for place, block in enumerate(self._blocks):
            joined = self._joined[place]
            if joined is None:
                joined = self._joined[place] = "\x00".join(block.values())
            if needle in joined:
                yield from [key for key, text in block.items() if needle in text]


class Table:
    """All objects of one entity. Not thread-safe by itself: the base holds one lock around each operation."""

    def __init__(self, entity: Entity) -> None:
        self.entity = entity
        self.records: dict[Any, Record] = {}
        self.counters: dict[str, int] = {}
        self._equal: dict[str, dict[Any, dict[Any, None]]] = {}
        self._texts: dict[str, Texts] = {}
        self._dates: list[tuple[str, Any]] = []

    def key(self, data: dict[str, Any]) -> Any:
        """What identifies an object here."""
        keys = self.entity.keys
        return data[keys[0]] if len(keys) == 1 else tuple(data[name] for name in keys)

    def put(self, record: Record) -> None:
        """Store a new or changed object and keep the indexes right."""
        key = self.key(record.data)
        old = self.records.get(key)
        if old is not None:
            self._unlist(key, old.data)
        self.records[key] = record
        for path, index in self._equal.items():
            for value in values(record.data, path):
                index.setdefault(value, {})[key] = None
        for path, texts in self._texts.items():
            texts.put(key, str(record.data[path]))
        if "Date" in record.data:
            bisect.insort(self._dates, (record.data["Date"], key))

    def drop(self, key: Any) -> None:
        """Remove an object for good."""
        old = self.records.pop(key)
        self._unlist(key, old.data)
        for texts in self._texts.values():
            texts.drop(key)

    def _unlist(self, key: Any, data: dict[str, Any]) -> None:
        for path, index in self._equal.items():
            for value in values(data, path):
                index.get(value, {}).pop(key, None)
        if "Date" in data:
            place = bisect.bisect_left(self._dates, (data["Date"], key))
            if place < len(self._dates) and self._dates[place] == (data["Date"], key):
                del self._dates[place]

    def equal(self, path: str, value: Any) -> dict[Any, None]:
        """The keys of objects with this value; ``Секция/Поле`` looks into rows."""
        index = self._equal.get(path)
        if index is None:
            index = self._equal[path] = {}
            for key, record in self.records.items():
                for found in values(record.data, path):
                    index.setdefault(found, {})[key] = None
        return index.get(value, {})

    def containing(self, path: str, needle: str) -> list[Any]:
        """The keys of objects whose text contains the needle."""
        texts = self._texts.get(path)
        if texts is None:
            texts = self._texts[path] = Texts()
            for key, record in self.records.items():
                texts.put(key, str(record.data[path]))
        return list(texts.find(needle))

    def dated(self, since: str, until: str) -> list[Any]:
        """The keys of documents of a period, both ends included, in order of date."""
        low = bisect.bisect_left(self._dates, (since,))
        high = bisect.bisect_right(self._dates, (until, "\uffff"))
        return [key for _, key in self._dates[low:high]]

    def next_code(self, group: str) -> str:
        """The next automatic code or number; ``group`` is the year for documents."""
        first = self.entity.code
        self.counters[group] = self.counters.get(group, 0) + 1
        head = first.rstrip("0123456789")
        return head + str(self.counters[group]).zfill(len(first) - len(head))

    def seen_code(self, group: str, code: str) -> None:
        """An explicit code of our own pattern moves the counter on."""
        head = self.entity.code.rstrip("0123456789")
        digits = code.removeprefix(head)
        if self.entity.code and code.startswith(head) and digits.isdigit() and len(code) == len(self.entity.code):
            self.counters[group] = max(self.counters.get(group, 0), int(digits))


def values(data: dict[str, Any], path: str) -> Iterable[Any]:
    """The value of a field, or of a field in each row of a section."""
    section, slash, name = path.partition("/")
    return {row[name] for row in data[section]} if slash else (data[path],)


class Store:
    """All tables of a base."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.tables = {name: Table(entity) for name, entity in schema.entities.items()}
        self._hidden: dict[str, Table] = {}

    def find(self, name: str, ref: str) -> dict[str, Any] | None:
        """The object behind a reference; None when the reference is broken or empty."""
        table = self.tables.get(name)
        record = table.records.get(ref) if table is not None and ref != EMPTY_REF else None
        return record.data if record else None

    def rebuild(self, schema: Schema, adapt: Callable[[Entity, dict[str, Any]], dict[str, Any]]) -> None:
        """Carry all objects over to another schema. A set that went out of the composition keeps its objects."""
        kept = self._hidden | self.tables
        self.schema, self.tables, self._hidden = schema, {}, {}
        for name, old in kept.items():
            if name not in schema.entities:
                self._hidden[name] = old
        for name, entity in schema.entities.items():
            table = self.tables[name] = Table(entity)
            if name in kept:
                table.counters = kept[name].counters
                for record in kept[name].records.values():
                    table.put(Record(adapt(entity, record.data), record.version))

    def presentation(self, name: str, data: dict[str, Any] | None) -> str:
        """What 1C shows for an object; also what ordering by a reference goes by (contract 0.2)."""
        if data is None:
            return ""
        if "Number" in data:
            date = data["Date"]
            entity = self.schema.entities[name]
            return f"{entity.presentation} {data['Number']} от {date[8:10]}.{date[5:7]}.{date[:4]} {date[11:]}"
        return str(data.get("Description", ""))

    def order_of(self, name: str, data: dict[str, Any] | None) -> tuple[str, str]:
        """The automatic order of a reference: date and number, or description and code."""
        if data is None:
            return ("", "")
        if name.startswith("Document_"):
            return (data["Date"], data["Number"])
        return (data.get("Description", ""), data.get("Code", ""))
