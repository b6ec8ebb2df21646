"""List requests: search parameters in both forms, order, paging (contracts/ESPOCRM.md §3.2)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from sandbox.crm.auth import Caller
from sandbox.crm.errors import bad_request, forbidden
from sandbox.crm.metadata import Metadata
from sandbox.crm.render import Renderer
from sandbox.crm.store import Record, Store
from sandbox.crm.where import Predicate, Where, fold

MAX_SIZE = 200
_DEFAULT_ORDER = {"User": ("userName", "asc"), "Team": ("name", "asc"), "Role": ("name", "asc")}
_PRIMARY: dict[str, dict[str, Predicate]] = {
    "Opportunity": {
        "open": lambda r: r.get("stage") not in ("Closed Won", "Closed Lost"),
        "won": lambda r: r.get("stage") == "Closed Won",
        "lost": lambda r: r.get("stage") == "Closed Lost",
    },
    "Account": {f"{t.lower()}s": (lambda r, t=t: r.get("type") == t) for t in ("Customer", "Partner", "Reseller")},  # type: ignore[misc]
    "Task": {
        "actual": lambda r: r.get("status") not in ("Completed", "Canceled", "Deferred"),
        "completed": lambda r: r.get("status") == "Completed",
    },
    "User": {"active": lambda r: bool(r.get("isActive"))},
}


@dataclass
class Search:
    """One list request."""

    where: Any
    select: list[str] | None
    order_by: str | None
    order: str
    offset: int
    size: int
    primary: str | None
    bools: list[str]
    text: str | None


def _nested(pairs: list[tuple[str, str]], name: str) -> dict[str, Any]:
    """``where[0][type]=…`` as PHP unfolds it: nested maps by key."""
    out: dict[str, Any] = {}
    for key, value in pairs:
        if not key.startswith(name + "["):
            continue
        path = re.findall(r"\[([^\]]*)\]", key)
        here = out
        for step, part in enumerate(path):
            part = part or str(len(here))
            if step == len(path) - 1:
                here[part] = value
            else:
                here = here.setdefault(part, {})
    return out


def _listed(value: Any) -> Any:
    """Maps with keys 0, 1, 2 … as the arrays that they stand for."""
    if not isinstance(value, dict):
        return value
    inner = {k: _listed(v) for k, v in value.items()}
    if inner and all(k.isdigit() for k in inner):
        return [inner[k] for k in sorted(inner, key=int)]
    return inner


def parse(query: str) -> Search:
    """Search parameters from a query string; bad JSON is 400, more than 200 rows 403."""
    pairs = parse_qsl(query, keep_blank_values=True)
    plain = dict(pairs)
    if "searchParams" in plain:
        try:
            given = json.loads(plain["searchParams"])
        except ValueError as error:
            raise bad_request("Invalid search params JSON.") from error
        if not isinstance(given, dict):
            raise bad_request("Invalid search params JSON.")
        where = given.get("where") or given.get("whereGroup")
        select = given.get("select") or given.get("attributeSelect")
    else:
        given = dict(plain)
        where = _listed(_nested(pairs, "where") or _nested(pairs, "whereGroup"))
        chosen = plain.get("select") or plain.get("attributeSelect")
        select = [s for s in chosen.split(",") if s] if chosen else None
        given["boolFilterList"] = _listed(_nested(pairs, "boolFilterList"))
    if isinstance(select, str):
        select = [s for s in select.split(",") if s]
    size, offset = _whole(given.get("maxSize"), MAX_SIZE), _whole(given.get("offset"), 0)
    if size > MAX_SIZE:
        raise forbidden(f"Max size should not exceed {MAX_SIZE}. Use offset and limit.")
    order = str(given.get("order") or "asc").lower()
    bools = given.get("boolFilterList")
    return Search(
        where or [], select, given.get("orderBy"), "desc" if order in ("desc", "true", "1") else "asc", offset, size,
        given.get("primaryFilter"), bools if isinstance(bools, list) else [], given.get("q"),
    )  # fmt: skip


def _whole(raw: Any, default: int) -> int:
    try:
        return int(raw) if raw not in (None, "") else default
    except (TypeError, ValueError):
        return default


class Lists:
    """Answers list requests of one CRM."""

    def __init__(self, meta: Metadata, store: Store, renderer: Renderer) -> None:
        self._meta, self._store, self._render = meta, store, renderer

    def of(self, entity: str, search: Search, caller: Caller, *, no_total: bool = False,
           among: Callable[[Record], bool] | None = None) -> dict[str, Any]:  # fmt: skip
        """``{total, list}``. With X-No-Total the total is -1 (more) or -2 (no more)."""
        caller.require(entity, "read")
        if search.text and not search.text.isascii():
            return {"total": -2, "list": []}  # full text finds nothing for a Cyrillic word (recorded 66)
        tests: list[Predicate] = [self._where(entity).compile(search.where)] if search.where else []
        level = caller.level(entity, "read")
        if level not in ("all", "yes"):
            tests.append(lambda r: caller.may(entity, "read", r))
        if search.primary:
            chosen = _PRIMARY.get(entity, {}).get(search.primary)
            if chosen is None:
                raise bad_request(f"No primary filter '{search.primary}' for '{entity}'.")
            tests.append(chosen)
        if "onlyMy" in search.bools:
            tests.append(lambda r: r.get("assignedUserId") == caller.id)
        if search.text:
            word = search.text.casefold()
            tests.append(lambda r: str(r.get("name") or "").casefold().startswith(word))
        if among is not None:
            tests.append(among)
        with self._store.lock:
            rows = [r for r in self._store.rows(entity) if all(t(r) for t in tests)]
            order_by = self._sort(entity, rows, search)
            page = rows[search.offset : search.offset + search.size]
            shown = [self._render.row(entity, r, search.select, order_by) for r in page]
        more = len(rows) > search.offset + search.size
        return {"total": len(rows) if not no_total else (-1 if more else -2), "list": shown}

    def _where(self, entity: str) -> Where:
        def known(name: str) -> bool:
            return self._meta.known_attribute(entity, name)

        def has_link(name: str) -> bool:
            fields = self._meta.fields[entity]
            return name in self._meta.links.get(entity, {}) or (
                name in fields and fields[name]["type"] in ("link", "linkMultiple", "linkParent")
            )

        return Where(known, has_link, lambda r, link: self.linked(entity, r, link), self._store.clock.now())

    def linked(self, entity: str, record: Mapping[str, Any], link: str) -> list[str]:
        """Ids on the other side of a link of any kind."""
        multiple = self._render.relation_of(entity, link)
        if multiple is not None:
            return self._store.relation(multiple[0]).of(entity, record["id"])
        kind, other, name = self._meta.links.get(entity, {}).get(link, ("", "", ""))
        if kind in ("hasMany", "hasChildren"):
            return [r["id"] for r in self._store.rows(other) if r.get(name + "Id") == record["id"]]
        id_ = record.get(link + "Id")
        return [id_] if id_ else []

    def _sort(self, entity: str, rows: list[Record], search: Search) -> str:
        """Sort in place; the id breaks ties in the same direction (§3.2)."""
        name, order = search.order_by, search.order
        if not name:
            name, order = _DEFAULT_ORDER.get(entity, ("createdAt", "desc"))
        elif not self._meta.known_attribute(entity, name):
            if name + "Id" not in self._meta.attrs(entity):
                raise bad_request(f"Order by non-existing field '{name}'.")
            name += "Name"
        attr = self._meta.attrs(entity).get(name)
        derived = attr is not None and attr.part == "linkName"

        def key(record: Record) -> tuple[bool, Any, str]:
            value = self._render.value(entity, record, attr) if derived and attr else record.get(name)
            return value is not None, fold(value) if value is not None else "", record["id"]

        rows.sort(key=key, reverse=order == "desc")
        return name
