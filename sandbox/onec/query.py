"""Reading sets: options, the search with its indexes, order, pages (contract section 3)."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from sandbox.onec.base import Base
from sandbox.onec.errors import UNLIMITED, ODataError, bad_filter, internal, no_method, no_rights
from sandbox.onec.filters import Hint, Parser, Term
from sandbox.onec.schema import EMPTY_DATE, Entity, Field
from sandbox.onec.store import Table

OPTIONS = frozenset(
    {"$filter", "$select", "$expand", "$orderby", "$top", "$skip", "$inlinecount", "$format", "$allowedOnly"}
)


@dataclass
class Query:
    """The query string, parsed. A ``+`` stays a plus: 1C does not take it as a space (section 1)."""

    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: str) -> Query:
        """From the query as it came."""
        options: dict[str, str] = {}
        for part in raw.split("&") if raw else ():
            name, _, value = part.partition("=")
            name = unquote(name)
            if name.startswith("$") and name not in OPTIONS:
                raise ODataError(0, f"The {name} parameter is not supported")
            options[name] = unquote(value)
        return cls(options)

    def get(self, name: str) -> str:
        """One option, or empty."""
        return self.options.get(name, "")

    def names(self, name: str) -> list[str]:
        """A comma-separated option. A plus in it is a parse error."""
        text = self.get(name)
        if "+" in text:
            raise bad_filter(name)
        return [part.strip() for part in text.split(",") if part.strip()]

    def count(self, name: str) -> int | None:
        """``$top`` or ``$skip``."""
        text = self.get(name)
        if not text:
            return None
        if not text.isdigit():
            raise bad_filter(name)
        return int(text)

    @property
    def allowed_only(self) -> bool:
        """Whether restricted rows are to be left out instead of refused."""
        return "true" in (self.get("allowedOnly").lower(), self.get("$allowedOnly").lower())


@dataclass(frozen=True)
class Source:
    """A set to read: an entity, or the rows of one of its sections."""

    entity: Entity  # what the answer's objects are
    table: Table
    section: str = ""

    @property
    def known(self) -> Mapping[str, Field]:
        """The properties."""
        return self.table.entity.rows[self.section] if self.section else self.entity.fields


class Reader:
    """Reads a base. Filters are compiled once and kept."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self._compiled = lru_cache(maxsize=4096)(self._compile)

    def source(self, name: str) -> Source:
        """The set of a name; code 8 when it is not there."""
        if name in self.base.schema.section_sets:
            entity, section = self.base.schema.section_sets[name]
            return Source(entity.section_entity(section), self.base.table(entity.name), section)
        table = self.base.table(name)
        return Source(table.entity, table)

    def _compile(self, name: str, text: str, _release: int) -> Term:
        source = self.source(name)
        rows = {} if source.section else source.entity.rows
        return Parser(self.base.schema, source.known, rows, lambda s, r: self.base.store.find(s, r)).parse(text)

    def compiled(self, name: str, text: str) -> Term:
        """The predicate of a filter about a set."""
        return self._compiled(name, text, self.base.release)

    def select(self, name: str, text: str, *, allowed_only: bool) -> list[Mapping[str, Any]]:
        """The objects that fit, in no promised order. Restricted ones: 401/20 or left out (section 3)."""
        source = self.source(name)
        term = self.compiled(name, text) if text else None
        keys = self._candidates(source, term.hints) if term else None
        records = source.table.records
        found: Iterable[Mapping[str, Any]] = (
            [r.data for r in records.values()] if keys is None else [records[k].data for k in keys if k in records]
        )
        if source.section:
            found = [row for data in found for row in data[source.section]]
        if term:
            fn = term.fn
            found = [data for data in found if fn(data, data)]
        return self._permitted(source, list(found), allowed_only)

    def _permitted(self, source: Source, found: list[Mapping[str, Any]], allowed_only: bool) -> list[Mapping[str, Any]]:
        name = source.table.entity.name
        if name in self.base.switches.forbidden:
            raise no_rights()
        rule = self.base.switches.rls.get(name)
        if not rule:
            return found
        fn = self.compiled(name, rule).fn
        records = source.table.records
        owner: Callable[[Any], Any] = (lambda d: records[d["Ref_Key"]].data) if source.section else (lambda d: d)
        seen = [data for data in found if fn(owner(data), owner(data))]
        if len(seen) < len(found) and not allowed_only:
            raise no_rights()
        return seen

    def permit(self, name: str, data: Mapping[str, Any]) -> None:
        """Refuse an object that the user may not see."""
        self._permitted(self.source(name), [data], allowed_only=False)

    def _candidates(self, source: Source, hints: list[Hint]) -> Iterable[Any] | None:
        """The keys that can fit, by the narrowest index; None when all must be looked at."""
        best: Iterable[Any] | None = None
        size = len(source.table.records) + 1
        period = ["", "\uffff"]
        for hint in hints:
            path = f"{source.section}/{hint.path}" if source.section and hint.path != "Ref_Key" else hint.path
            if hint.op == "eq":
                found = self._equal(source.table, path, hint)
                if len(found) < size:
                    best, size = list(found), len(found)
            elif hint.op == "ge":
                period[0] = max(period[0], hint.value)
            elif hint.op == "le":
                period[1] = min(period[1], hint.value)
        if best is None and not source.section:
            needle = max((h.value for h in hints if h.op == "has"), key=len, default="")
            if needle:
                path = next(h.path for h in hints if h.op == "has" and h.value == needle)
                return source.table.containing(path, needle)
            if period != ["", "\uffff"]:
                return source.table.dated(period[0] or EMPTY_DATE, period[1])
        return best

    def _equal(self, table: Table, path: str, hint: Hint) -> Mapping[Any, None]:
        if hint.target is None:
            return table.equal(path, hint.value) if path != "Ref_Key" else {hint.value: None}
        target, name = hint.target
        keys: dict[Any, None] = {}
        for ref in self.base.store.tables[target].equal(name, hint.value) if name != "Ref_Key" else [hint.value]:
            keys |= table.equal(path, ref)
        return keys

    # --- order and pages

    def page(self, name: str, query: Query) -> tuple[list[Mapping[str, Any]], int | None]:
        """One page and, when asked for, the count of all."""
        found = self.select(name, query.get("$filter"), allowed_only=query.allowed_only)
        skip, top = query.count("$skip") or 0, query.count("$top")
        found = self.ordered(name, found, query.names("$orderby"), skip)
        counting = query.get("$inlinecount")
        if counting not in ("", "none", "allpages"):
            raise bad_filter("$inlinecount")
        count = len(found) if counting == "allpages" else None
        if count is not None and self.base.switches.inlinecount_ignores_top:
            return found, count
        return found[skip : None if top is None else skip + top], count

    def ordered(
        self, name: str, found: list[Mapping[str, Any]], orders: list[str], skip: int
    ) -> list[Mapping[str, Any]]:
        """In the order asked for. What ties changes its order from page to page, unless a switch says otherwise."""
        if not orders:
            return found
        source = self.source(name)
        paths = [order.split()[0] for order in orders]
        if not set(source.entity.keys) <= set(paths) and self.base.switches.unstable_ties:
            salt = str(skip)
            found = sorted(found, key=lambda d: zlib.crc32((salt + str(d.get("Ref_Key", d))).encode()))
        for order in reversed(orders):
            match = re.fullmatch(r"([\w/]+)(?:\s+(asc|desc))?", order)
            if match is None:
                raise bad_filter("$orderby")
            found = sorted(found, key=self._sort_key(source, match[1]), reverse=match[2] == "desc")
        return found

    def _sort_key(self, source: Source, path: str) -> Callable[[Mapping[str, Any]], Any]:
        """By a value; a reference orders by what it shows, never by its guid (contract 0.2)."""
        store = self.base.store
        first, _, rest = path.partition("/")
        if rest:
            step = source.known.get(f"{first}_Key")
            far = self.base.schema.entities.get(step.targets[0]) if step else None
            if step is None or far is None or rest not in far.fields:
                raise no_method()
            target, key, default = far.name, step.name, far.fields[rest].default
            return lambda d: (store.find(target, d[key]) or {rest: default})[rest]
        spec = source.known.get(path)
        if spec is None:
            raise ODataError(6, f"Property {path} is not found")
        if spec.kind == "text":
            raise internal(UNLIMITED)
        if path == "Ref_Key":
            own = source.table.entity.name
            return lambda d: (store.order_of(own, store.find(own, d[path])), d[path])
        if spec.kind == "ref":
            other = spec.targets[0]
            return lambda d: store.order_of(other, store.find(other, d[path]))
        return lambda d: d[path]

    def last_slice(self, name: str, period: str, condition: str, *, first: bool = False) -> list[Mapping[str, Any]]:
        """``SliceLast`` or ``SliceFirst``: for each set of dimensions the record nearest to the moment."""
        found = self.select(name, condition, allowed_only=True)
        keys = [key for key in self.source(name).entity.keys if key != "Period"]
        best: dict[tuple[Any, ...], Mapping[str, Any]] = {}
        for data in sorted(found, key=lambda d: d["Period"], reverse=first):
            if not period or (data["Period"] >= period if first else data["Period"] <= period):
                best[tuple(data[key] for key in keys)] = data
        return list(best.values())
