"""Objects as an answer: ``$select``, ``$expand``, JSON or Atom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.answers import Answer
from sandbox.onec import atom, wire
from sandbox.onec.base import Base
from sandbox.onec.errors import ODataError
from sandbox.onec.query import Query, Source
from sandbox.onec.schema import Field
from sandbox.onec.store import Record

Headers = tuple[tuple[str, str], ...]
VERSION = ("DataServiceVersion", "3.0")


class Show:
    """Renders what was found, as one request wants it."""

    def __init__(self, base: Base, source: Source, query: Query, *, json: bool, level: str, root: str) -> None:
        self.base, self.source, self.query = base, source, query
        self.json, self.level, self.root = json, level, root
        self.select = query.names("$select")
        self.expand = query.names("$expand")
        self._check()

    def _check(self) -> None:
        """Unknown names are told, with an echo (section 5)."""
        entity = self.source.entity
        for name in self.select:
            first, _, inner = name.partition("/")
            known = first in self.source.known or first in entity.rows or first in entity.navs or first in ("*", "**")
            if first in entity.rows and inner not in ("", "*") and inner not in entity.rows[first]:
                known = False
            if first.endswith("____Presentation"):
                head = first.removesuffix("____Presentation")
                known = head == "*" or head in entity.navs or head in self.source.known
            if not known:
                raise ODataError(6, f"Property {name} is not found")
        for path in self.expand:
            at = entity
            for step in path.split("/"):
                field = at.navs.get(step)
                if field is None or field.targets[0] not in self.base.schema.entities:
                    raise ODataError(6, f"Property {path} is not found")
                at = self.base.schema.entities[field.targets[0]]

    def _object(self, data: Mapping[str, Any]) -> dict[str, Any]:
        if self.source.section:
            whole = wire.wire_row(self.source.known, data)
            return {k: v for k, v in whole.items() if not self.select or {k, "*", "**"} & set(self.select)}
        if self.select:
            return wire.chosen(self.source.entity, data, self.select, self.level, self._present)
        return wire.wire_object(self.source.entity, data, self.level, self.root)

    def _present(self, field: Field, data: Mapping[str, Any]) -> str:
        ref = data[field.name]
        target = field.targets[0]
        if field.kind == "any":
            target = data[f"{field.name}_Type"].rpartition(".")[2]
        found = self.base.store.find(target, ref)
        return self.base.store.presentation(target, found) if found is not None else wire.broken(ref)

    def _expanded(self, source_name: str, data: Mapping[str, Any], made: dict[str, Any], path: list[str]) -> None:
        """Put the referred object in place; None for an empty or broken reference."""
        entity = self.base.schema.entities[source_name]
        field = entity.navs[path[0]]
        target = field.targets[0]
        found = self.base.store.find(target, data[field.name])
        if found is None:
            made[path[0]] = None
            return
        inner = made.get(path[0]) or wire.wire_object(self.base.schema.entities[target], found, self.level, self.root)
        made[path[0]] = inner
        if len(path) > 1:
            self._expanded(target, found, inner, path[1:])

    def _text(self, data: Mapping[str, Any]) -> str:
        source = self.source
        made = self._object(data)
        for path in self.expand:
            steps = path.split("/")
            # Silently not expanded unless the field is selected as well (section 3)
            if not self.select or {"*", "**", steps[0], f"{steps[0]}_Key"} & set(self.select):
                self._expanded(source.entity.name, data, made, steps)
        return wire.dumps(made)

    def listing(self, found: Sequence[Mapping[str, Any]], count: int | None) -> Answer:
        """A set."""
        source, name = self.source, self.source.entity.name
        if not self.json:
            now = f"{self.base.now()}Z"
            return self._xml(200, atom.feed(name, [self._entry(data, now) for data in found], self.root, now, count))
        if self.select or self.expand or source.section:
            texts = [self._text(data) for data in found]
        else:
            records = source.table.records
            texts = [
                wire.object_text(source.entity, records[source.table.key(data)], self.level, self.root)  # type: ignore[arg-type]
                for data in found
            ]
        return self._json(200, wire.listing(name, texts, self.level, self.root, count))

    def single(self, record: Record, status: int, headers: Headers = ()) -> Answer:
        """One object; ``$expand`` has no effect here (section 3)."""
        if not self.json:
            entry = self._entry(record.data, f"{self.base.now()}Z", spaces=atom.SPACES)
            return self._xml(status, atom.HEAD + entry, headers)
        if self.select or self.source.section:
            text = wire.dumps(self._object(record.data))
        else:
            text = wire.object_text(self.source.entity, record, self.level, self.root)
        return self._json(status, wire.single(self.source.entity, text, self.level, self.root), headers)

    def _entry(self, data: Mapping[str, Any], now: str, spaces: str = "") -> str:
        shown = None
        if self.select and not {"*", "**"} & set(self.select):
            names = {name.partition("/")[0] for name in self.select}
            names |= {f"{name}_Key" for name in names}
            shown = {name: value for name, value in data.items() if name in names}
        elif "**" in self.select:
            shown = {name: value for name, value in data.items() if name not in self.source.entity.rows}
        return atom.entry(self.source.entity, data, self.root, now, spaces=spaces, known=self.source.known, shown=shown)

    def _xml(self, status: int, text: str, headers: Headers = ()) -> Answer:
        return Answer(status, text.encode(), "application/atom+xml;charset=utf-8", (VERSION, *headers))

    def _json(self, status: int, text: str, headers: Headers = ()) -> Answer:
        kind = f"application/json;odata={self.level};streaming=true;charset=utf-8"
        return Answer(status, text.encode(), kind, (VERSION, *headers))
