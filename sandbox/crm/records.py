"""Create, update, delete, link: what a write does, and which events it leaves (contracts/ESPOCRM.md §2.2, §3).

Checks run *before* the write and outside its lock, as in the original: neither the version check nor the duplicate
check is atomic (§0.6). ``race_window`` widens the gap while another write is under way;
set above its default, always.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sandbox.crm.auth import Caller
from sandbox.crm.errors import ApiError, conflict, dangling, forbidden, missing, translated
from sandbox.crm.metadata import VERSIONED, Metadata
from sandbox.crm.render import Renderer
from sandbox.crm.store import Record, Store
from sandbox.crm.values import Cleaner
from sandbox.crm.where import fold

#: (kind of event, entity, record before, record after, the changed attributes, who)
Listener = Callable[[str, str, Record | None, Record, dict[str, Any], Caller], None]
Hook = Callable[[str, Record, dict[str, Any], bool], None]

RACE_WINDOW = 0.002
_UNSTREAMED = frozenset(
    {"User", "Team", "Role", "Webhook", "Attachment", "Note", "InboundEmail", "ScheduledJob", "Document", "Email"}
)


class Records:
    """The record service of one CRM. ``hooks`` derive values before a save; ``listeners`` learn of it afterwards."""

    def __init__(self, meta: Metadata, store: Store, cleaner: Cleaner, renderer: Renderer) -> None:
        self.meta, self.store, self.cleaner, self.render = meta, store, cleaner, renderer
        self.hooks: list[Hook] = []
        self.listeners: list[Listener] = []
        self.race_window = RACE_WINDOW
        self._busy = 0
        self._busy_lock = threading.Lock()

    # -- reading ------------------------------------------------------------------------------------------------

    def find(self, entity: str, id_: str, caller: Caller, action: str = "read") -> Record:
        """The record, or the 403/404 that the action answers with."""
        caller.require(entity, action)
        record = self.store.get(entity, id_)
        if record is None:
            raise missing(id_, reading=action == "read")
        if not caller.may(entity, action, record):
            raise forbidden(f"No {action} access.")
        return record

    def read(self, entity: str, id_: str, caller: Caller) -> dict[str, Any]:
        with self.store.lock:
            record = self.find(entity, id_, caller)
            return self.render.loaded(entity, record, caller.id, secrets=caller.admin)

    # -- writing ------------------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._busy_lock:
            self._busy += 1
        try:
            yield
        finally:
            with self._busy_lock:
                self._busy -= 1

    def _gap(self) -> None:
        if self._busy > 1 or self.race_window > RACE_WINDOW:
            time.sleep(self.race_window)

    def create(self, entity: str, body: dict[str, Any], caller: Caller, *, skip_duplicates: bool = False,
               silent: bool = False, internal: bool = False) -> Record:  # fmt: skip
        """A new record; the client's id is ignored (§0.7)."""
        caller.require(entity, "create")
        with self._writing():
            values = self.cleaner.clean(entity, body, new=True, internal=internal)
            self._check_links(entity, values)
            draft = {k: v for k, v in values.items() if v is not None}
            for hook in self.hooks:
                hook(entity, draft, values, True)
            if not skip_duplicates:
                self._check_duplicates(entity, draft)
            self._gap()
            with self.store.lock:
                return self._insert(entity, draft, caller, silent=silent)

    def _insert(self, entity: str, draft: dict[str, Any], caller: Caller, *, silent: bool) -> Record:
        now = self.store.clock.text()
        lists = {k: draft.pop(k) for k in list(draft) if self._is_list(entity, k)}
        record: Record = {"id": self.store.new_id(), **draft, "createdAt": now, "modifiedAt": now,
                          "createdById": caller.id}  # fmt: skip
        if entity in VERSIONED:
            record["versionNumber"] = 1
        if entity not in _UNSTREAMED:
            record["streamUpdatedAt"] = now
        self._fill_contacts(entity, record, None)
        self.store.put(entity, record)
        self._set_lists(entity, record, lists)
        if not silent:
            self._tell("create", entity, None, record, lists, caller)
        return record

    def update(self, entity: str, id_: str, body: dict[str, Any], caller: Caller, *, version: int | None = None,
               silent: bool = False, internal: bool = False) -> dict[str, Any]:  # fmt: skip
        """A partial update; the answer is stale for ``…Data`` (§3.1)."""
        with self._writing():
            with self.store.lock:
                seen = dict(self.find(entity, id_, caller, "edit"))
            values = self.cleaner.clean(entity, body, new=False, internal=internal)
            self._drop_same_contacts(entity, seen, values)
            if entity in VERSIONED and version is not None and version != seen.get("versionNumber"):
                differing = {k: self._current(entity, seen, k) for k, v in values.items()
                             if self._current(entity, seen, k) != v}  # fmt: skip
                if differing:
                    raise conflict("modified", {"values": differing, "versionNumber": seen.get("versionNumber")})
            self._check_links(entity, {k: v for k, v in values.items() if v != seen.get(k)})
            draft = {**seen, **values}
            for hook in self.hooks:
                hook(entity, draft, values, False)
            self._gap()
            with self.store.lock:
                return self._save(entity, seen, draft, values, caller, silent=silent)

    def _save(self, entity: str, seen: Record, draft: Record, values: dict[str, Any], caller: Caller, *,
              silent: bool) -> dict[str, Any]:  # fmt: skip
        record = self.store.get(entity, seen["id"])
        if record is None:
            raise missing(seen["id"])
        before = dict(record)
        stale = {a.name: before.get(a.name) or [] for a in self.meta.attrs(entity).values() if a.part == "data"}
        lists = {k: draft.pop(k) for k in list(draft) if self._is_list(entity, k)}
        # only what this request changed is written: a parallel write of another attribute survives
        changed = {k: v for k, v in draft.items() if v != seen.get(k)}
        record.update(changed)
        self._fill_contacts(entity, record, changed)
        moved = self._set_lists(entity, record, lists)
        if before.get("modifiedById") != caller.id:
            changed["modifiedById"] = caller.id
        record.update(modifiedAt=self.store.clock.text(), modifiedById=caller.id)
        if entity in VERSIONED:  # read before, written now: parallel writes lose increments too
            record["versionNumber"] = (seen.get("versionNumber") or 0) + 1
        if not silent:
            self._tell("update", entity, before, record, {**changed, **moved}, caller)
        shown = {**stale, **{k: v for k, v in values.items() if k in stale}}
        return {**self.render.loaded(entity, record, caller.id, secrets=caller.admin), **shown}

    def delete(self, entity: str, id_: str, caller: Caller, *, silent: bool = False) -> None:
        with self.store.lock:
            record = self.find(entity, id_, caller, "delete")
            self.store.remove(entity, id_)
            if not silent:
                self._tell("delete", entity, record, record, {}, caller)

    def restore(self, entity: str, id_: str) -> None:
        """Undelete; silent (§0.9)."""
        with self.store.lock:
            if self.store.restore(entity, id_) is None:
                raise missing(id_)

    # -- links --------------------------------------------------------------------------------------------------

    def link(self, entity: str, id_: str, link: str, ids: list[str], caller: Caller) -> None:
        """Link from the parent's side: no event, no modifiedAt, no versionNumber (§0.8)."""
        with self.store.lock:
            self.find(entity, id_, caller, "edit")
            kind, other, name = self.link_of(entity, link)
            for other_id in ids:
                child = self.store.get(other, other_id)
                if child is None:
                    raise missing(other_id)
                if kind == "manyMany":
                    self.store.relation(name).link(entity, id_, other, other_id)
                    continue
                if child.get(name + "Id") not in (None, id_):
                    reason = f"Cannot link as the record is already linked ({entity}:{link})."
                    raise ApiError(403, reason, translated("cannotLinkAlreadyLinked"))
                child[name + "Id"] = id_
                if kind == "hasChildren":
                    child[name + "Type"] = entity

    def unlink(self, entity: str, id_: str, link: str, ids: list[str], caller: Caller) -> None:
        """The reverse, as silent."""
        with self.store.lock:
            self.find(entity, id_, caller, "edit")
            kind, other, name = self.link_of(entity, link)
            for other_id in ids:
                child = self.store.get(other, other_id)
                if kind == "manyMany":
                    self.store.relation(name).unlink(entity, id_, other, other_id)
                elif child is not None and child.get(name + "Id") == id_:
                    child[name + "Id"] = None

    def link_of(self, entity: str, link: str) -> tuple[str, str, str]:
        known = self.meta.links.get(entity, {}).get(link)
        if known is not None:
            return known
        multiple = self.render.relation_of(entity, link)
        if multiple is None:
            raise ApiError(404, "Link does not exist.")
        return "manyMany", multiple[1], multiple[0]

    # -- parts --------------------------------------------------------------------------------------------------

    def _is_list(self, entity: str, name: str) -> bool:
        attr = self.meta.attrs(entity).get(name)
        return attr is not None and attr.part == "ids"

    def _current(self, entity: str, record: Record, name: str) -> Any:
        if self._is_list(entity, name):
            return self.render.value(entity, record, self.meta.attrs(entity)[name])
        return record.get(name)

    def _set_lists(self, entity: str, record: Record, lists: dict[str, list[str]]) -> dict[str, Any]:
        """Replace link lists; returns ``…Ids`` and ``…Names`` of those that changed."""
        changed: dict[str, Any] = {}
        for name, wanted in lists.items():
            field = name.removesuffix("Ids")
            relation, other = self.render.relation_of(entity, field) or ("", "")
            rows = self.store.relation(relation)
            held = rows.of(entity, record["id"])
            if set(held) == set(wanted):
                continue
            for gone in set(held) - set(wanted):
                rows.unlink(entity, record["id"], other, gone)
            for new in wanted:
                rows.link(entity, record["id"], other, new)
            changed[name] = list(wanted)
            changed[field + "Names"] = {i: self.store.display_name(other, i) for i in wanted}
        return changed

    def _fill_contacts(self, entity: str, record: Record, changed: dict[str, Any] | None) -> None:
        """Keep ``…Data`` in step with the primary e-mail and phone, and a contact's accounts with its account."""
        for field in ("emailAddress", "phoneNumber"):
            defs = self.meta.fields[entity].get(field)
            if defs is None or defs["type"] not in ("email", "phone"):
                continue
            data = field + "Data"
            if changed is not None and field not in changed and data not in changed:
                continue
            rows, value = record.get(data) or [], record.get(field)
            if value is None:
                record[data] = []
            elif data in record and (changed is None or data in changed):
                record[data] = [contact_row(field, defs, r) for r in rows]
            else:
                others = [r for r in rows if not r["primary"] and r[field] != value]
                record[data] = [contact_row(field, defs, {field: value, "primary": True}), *others]
        if entity == "Contact" and record.get("accountId"):
            self.store.relation("accountContact").link("Contact", record["id"], "Account", record["accountId"])

    def _drop_same_contacts(self, entity: str, seen: Record, values: dict[str, Any]) -> None:
        """A ``…Data`` list equal to the stored one is no change."""
        for name in [n for n in values if n.endswith("Data")]:
            field = name.removesuffix("Data")
            defs = self.meta.fields[entity].get(field, {})
            if defs.get("type") in ("email", "phone"):
                rows = [contact_row(field, defs, r) for r in values[name]]
                if rows == (seen.get(name) or []):
                    del values[name]

    def _check_links(self, entity: str, values: dict[str, Any]) -> None:
        for field, defs in self.meta.fields[entity].items():
            kind = defs["type"]
            if kind in ("link", "file") and values.get(field + "Id"):
                other = "Attachment" if kind == "file" else defs["entity"]
                if self.store.get(other, values[field + "Id"]) is None:
                    raise dangling(entity, field, other)
            elif kind == "linkParent" and values.get(field + "Id") and values.get(field + "Type"):
                if self.store.get(values[field + "Type"], values[field + "Id"]) is None:
                    raise dangling(entity, field, values[field + "Type"])
            elif kind in ("linkMultiple", "attachmentMultiple"):
                other = defs.get("entity", "Attachment")
                if any(self.store.get(other, i) is None for i in values.get(field + "Ids") or ()):
                    raise dangling(entity, field, other)

    def _check_duplicates(self, entity: str, draft: dict[str, Any]) -> None:
        fields = self.meta.duplicate_fields.get(entity)
        wanted = [(f, fold(draft[f])) for f in fields or () if draft.get(f)]
        if not wanted:
            return
        with self.store.lock:
            found = [r for r in self.store.rows(entity) if any(_holds(r, f, v) for f, v in wanted)]
            if found:
                raise conflict("duplicate", [self.render.duplicate(entity, r) for r in found[:5]])

    def _tell(self, kind: str, entity: str, before: Record | None, record: Record, changed: dict[str, Any],
              caller: Caller) -> None:  # fmt: skip
        for listener in self.listeners:
            listener(kind, entity, before, record, changed, caller)


def contact_row(field: str, defs: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """One row of ``…Data`` as a read shows it."""
    out = {field: row[field], **{name: bool(row.get(name)) for name in ("primary", "optOut", "invalid")}}
    if field == "emailAddress":
        out["lower"] = str(row[field]).lower()
    else:
        out["type"] = row.get("type") or defs.get("defaultType")
    return out


def _holds(record: Record, field: str, value: Any) -> bool:
    if fold(record.get(field)) == value:
        return True
    return field == "emailAddress" and any(r.get("lower") == value for r in record.get("emailAddressData") or ())
