"""One simulated base: its objects and what may be done to them (contract section 4)."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.onec.errors import ODataError, internal, no_entity, no_instance
from sandbox.onec.exchange import Exchange
from sandbox.onec.schema import EMPTY_DATE, UNDEFINED, Entity, Field, Schema
from sandbox.onec.store import Record, Store, Table
from sandbox.onec.switches import SCHEMA_SWITCHES, Switches
from sandbox.onec.tables import ALL, ENUMS
from sandbox.onec.values import blank, take

MARKED = "Помеченный на удаление документ не может быть проведен!"


def schema_of(switches: Switches) -> Schema:
    """The schema of the release that the switches describe."""
    return Schema(ALL, ENUMS, without=switches.without, added=switches.added, composite=switches.composite)


class Base:
    """State and operations. ``lock`` is held around each operation, so that each is one transaction."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.release = 0  # counts schema changes: what was compiled for another one is void
        self.clear()

    def clear(self) -> None:
        """Forget everything; default switches."""
        self.switches = Switches()
        self.release += 1
        self.store = Store(schema_of(self.switches))
        self.exchange = Exchange(self)
        self.settle()

    def settle(self) -> None:
        """Forget what was counted and registered so far, but no object."""
        self.deleted: list[dict[str, str]] = []
        self.writes: dict[str, int] = {}
        self.exchange.forget()

    @property
    def schema(self) -> Schema:
        """The present schema."""
        return self.store.schema

    def switch(self, switches: Switches) -> None:
        """Take new switches; another schema carries the objects over."""
        with self.lock:
            if any(getattr(switches, name) != getattr(self.switches, name) for name in SCHEMA_SWITCHES):
                self.store.rebuild(schema_of(switches), adapted)
                self.release += 1
            self.switches = switches

    def now(self) -> str:
        """The server's clock: local and naive (contract 0.9)."""
        if self.switches.now:
            return self.switches.now
        return datetime.now(ZoneInfo(self.switches.timezone)).strftime("%Y-%m-%dT%H:%M:%S")

    def table(self, name: str) -> Table:
        """The objects of a set; an unpublished one is not there."""
        table = self.store.tables.get(name)
        if table is None:
            raise no_entity(name)
        return table

    def record(self, name: str, key: Any) -> Record:
        """One object."""
        record = self.table(name).records.get(key)
        if record is None:
            raise no_instance()
        return record

    # --- writing

    def create(self, name: str, body: Mapping[str, Any], *, trusted: bool = False) -> Record:
        """A new object. Number, date and code come by themselves when absent; ``Posted`` in the body is not obeyed."""
        with self.lock:
            table = self.table(name)
            entity = table.entity
            start = blank(entity)
            if "Ref_Key" in start:
                given = body.get("Ref_Key") if trusted or self.switches.honour_ref_key else None
                start["Ref_Key"] = str(given or uuid.uuid4()).lower()
            if "Date" in start and not body.get("Date"):
                start["Date"] = self.now()
            data = take(self.schema, entity, body, start, trusted=trusted)
            if "Date" in data and data["Date"] == EMPTY_DATE:
                data["Date"] = self.now()
            self._number(table, data)
            if table.key(data) in table.records:
                if entity.kind == "InformationRegister" or not trusted:
                    raise ODataError(15, "Запись с такими ключевыми полями уже существует!")
                raise ValueError(f"{name}: {data['Ref_Key']} is there already")
            return self._put(table, data, 0)

    def _number(self, table: Table, data: dict[str, Any]) -> None:
        entity = table.entity
        name = "Number" if entity.kind == "Document" else "Code"
        if not entity.code or name not in data:
            return
        group = data["Date"][:4] if name == "Number" else ""
        if data[name]:
            table.seen_code(group, data[name])
        else:
            data[name] = table.next_code(group)

    def change(
        self, name: str, key: Any, body: Mapping[str, Any], *, whole: bool = False, if_match: str | None = None
    ) -> Record:
        """PATCH, or PUT when ``whole``. A stale If-Match is ignored unless the switch says otherwise (contract 0.1)."""
        with self.lock:
            table = self.table(name)
            old = self.record(name, key)
            version = old.data.get("DataVersion", "")
            if if_match is not None and self.switches.if_match == "412" and if_match.strip('W/"') not in (version, "*"):
                raise ODataError(-1, "Версия объекта изменилась", 412)
            if whole:
                missing = required(table.entity) - bound_names(body)
                if missing:
                    raise ODataError(5, f"Missing property {min(missing)}")
            data = take(self.schema, table.entity, body, old.data)
            if data.get("Posted") and data.get("DeletionMark"):
                raise internal(MARKED)
            if table.key(data) != key:
                table.drop(key)
            return self._put(table, data, old.version + 1)

    def delete(self, name: str, key: Any) -> None:
        """Physical: no mark, no undo (contract 0.8)."""
        with self.lock:
            self.record(name, key)
            self.table(name).drop(key)
            self.deleted.append({"set": name, "key": str(key), "at": self.now()})
            self._count("DELETE")
            self.exchange.register(name, key)

    def post(self, name: str, key: Any) -> None:
        """Post a document; marked ones and those without needed rows fail in their handler (section 4)."""
        with self.lock:
            table = self.table(name)
            record = self.record(name, key)
            if record.data["DeletionMark"]:
                raise internal(MARKED)
            needed = [section for section in table.entity.needs_rows if section in table.entity.rows]
            if needed and not any(record.data[section] for section in needed):
                raise internal("Error running processor - 'ОбработкаПроведения'")
            self._put(table, record.data | {"Posted": True}, record.version + 1)
            self._count("Post")

    def unpost(self, name: str, key: Any) -> None:
        """Unpost; on a document that is not posted only DataVersion moves."""
        with self.lock:
            record = self.record(name, key)
            self._put(self.table(name), record.data | {"Posted": False}, record.version + 1)
            self._count("Unpost")

    def _put(self, table: Table, data: dict[str, Any], version: int) -> Record:
        record = Record(dict(data), version)
        table.put(record)
        self._count("create" if version == 0 else "change")
        self.exchange.register(table.entity.name, table.key(data))
        return record

    def _count(self, what: str) -> None:
        self.writes[what] = self.writes.get(what, 0) + 1

    def seed(self, objects: Mapping[str, Any]) -> dict[str, list[str]]:
        """Create or change objects without 1C's checks: ``{"Document_X": [{…, "Posted": true}]}`` -> keys.

        System fields are obeyed, rows number themselves, an object whose Ref_Key is there is changed. A name that
        does not exist is a mistake here (ValueError), whereas the interface would pass over it.
        """
        made: dict[str, list[str]] = {}
        with self.lock:
            for name, bodies in objects.items():
                try:
                    table = self.table(name)
                    for given in bodies:
                        check_names(table.entity, given)
                        body = loosened(table.entity, given)
                        key = body.get("Ref_Key", "").lower()
                        old = table.records.get(key)
                        if old is None:
                            record = self.create(name, body, trusted=True)
                        else:
                            data = take(self.schema, table.entity, body, old.data, trusted=True)
                            record = self._put(table, data, old.version + 1)
                        made.setdefault(name, []).append(record.data.get("Ref_Key", str(table.key(record.data))))
                except ODataError as error:
                    raise ValueError(f"{name}: {error.message}") from error
        return made


def required(entity: Entity) -> set[str]:
    """What a PUT must hold."""
    system = {"Ref_Key", "DataVersion", "DeletionMark", "Posted", "Predefined", "PredefinedDataName", "IsFolder"}
    return {name for name in entity.fields if name not in system} | set(entity.rows)


def bound_names(body: Mapping[str, Any]) -> set[str]:
    """The property names of a body, bindings counted as their keys."""
    return {n.removesuffix("@odata.bind") + "_Key" if n.endswith("@odata.bind") else n for n in body}


def check_names(entity: Entity, body: Mapping[str, Any]) -> None:
    """Refuse names that do not exist."""
    unknown = [name for name in body if name not in entity.fields and name not in entity.rows]
    for section, known in entity.rows.items():
        unknown += [f"{section}.{n}" for row in body.get(section, ()) for n in row if n not in known]
    if unknown:
        raise ValueError(f"{entity.name} has no {', '.join(sorted(set(unknown)))}")


def loosened(entity: Entity, body: Mapping[str, Any]) -> dict[str, Any]:
    """A seed's body with amounts that may be text turned into numbers."""

    def amounts(known: Mapping[str, Field], values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: Decimal(value) if name in known and known[name].kind == "num" and isinstance(value, str) else value
            for name, value in values.items()
        }

    try:
        rows = {
            name: [amounts(known, row) for row in body[name]] for name, known in entity.rows.items() if name in body
        }
        return amounts(entity.fields, body) | rows
    except InvalidOperation as error:
        raise ValueError(f"{entity.name}: an amount is no number") from error


def adapted(entity: Entity, data: Mapping[str, Any]) -> dict[str, Any]:
    """An object carried over to another release's fields."""
    new = {name: carried(entity.fields, data, name) for name in entity.fields}
    for section, known in entity.rows.items():
        new[section] = [{name: carried(known, row, name) for name in known} for row in data.get(section, ())]
    return new


def carried(known: Mapping[str, Any], data: Mapping[str, Any], name: str) -> Any:
    """The value of one field, also when a reference became a composite or the other way round."""
    field = known[name]
    if name in data:
        return data[name]
    base = name.removesuffix("_Type").removesuffix("_Key")
    if field.kind in ("any", "type") and f"{base}_Key" in data:
        ref = data[f"{base}_Key"]
        empty = ref.startswith("00000000-0000")
        if field.kind == "type":
            return UNDEFINED if empty else f"StandardODATA.{field.targets[0]}"
        return "" if empty else ref
    if field.kind == "ref" and data.get(base):
        return data[base]
    return field.default
