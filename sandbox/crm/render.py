"""Records as bodies: what a read, a create answer, a list row and a duplicate show (contracts/ESPOCRM.md §2.2, §3).

Recorded shapes differ on purpose: a create answers with the attributes that were *set* (unset ones are absent), a read
with all of them, a list row and a duplicate without ``…Data`` and without link lists.
"""

from __future__ import annotations

from typing import Any

from sandbox.crm.metadata import STARRED, VERSIONED, Attr, Metadata
from sandbox.crm.store import Record, Store

_SYSTEM_LINKS = ("createdBy", "modifiedBy")
_HIDDEN = frozenset({"apiKey", "secretKey", "password"})


class Renderer:
    """Makes bodies from stored records of one CRM."""

    def __init__(self, meta: Metadata, store: Store) -> None:
        self._meta = meta
        self._store = store

    def relation_of(self, entity: str, link: str) -> tuple[str, str] | None:
        """(relation, other entity) of a many-to-many link or a multiple field; None when it is neither."""
        known = self._meta.links.get(entity, {}).get(link)
        if known is not None:
            return (known[2], known[1]) if known[0] == "manyMany" else None
        defs = self._meta.fields[entity].get(link)
        if defs is None or defs["type"] not in ("linkMultiple", "attachmentMultiple"):
            return None
        return f"{entity}.{link}", defs.get("entity", "Attachment")

    def value(self, entity: str, record: Record, attr: Attr) -> Any:
        """One attribute of a record, derived ones included."""
        part, field = attr.part, attr.field
        if part == "plain":
            return record.get(attr.name)
        if part == "linkName":
            return self.link_name(entity, record, field)
        if part == "derived":
            if attr.name.endswith(("IsOptedOut", "IsInvalid")):
                return False if record.get(field) else None
            if attr.name == "accountType":
                return (self._store.get("Account", record.get("accountId")) or {}).get("type")
            return record.get(attr.name)
        if part == "data":
            return record.get(attr.name) or []
        if part == "secret":
            return None
        relation, other = self.relation_of(entity, field) or ("", "")
        ids = self._store.relation(relation).of(entity, record["id"])
        if part == "ids":
            return ids
        if part == "names":
            return {i: self._store.display_name(other, i) for i in ids}
        if attr.name.endswith("Types"):
            return {i: (self._store.get("Attachment", i) or {}).get("type") for i in ids}
        return {i: dict(self._meta.fields[entity][field]["columns"]) for i in ids}

    def link_name(self, entity: str, record: Record, field: str) -> str | None:
        id_ = record.get(field + "Id")
        if id_ is None:
            return None
        if field in _SYSTEM_LINKS:
            return self._store.display_name("User", id_)
        defs = self._meta.fields[entity][field]
        if defs["type"] == "linkParent":
            return self._store.display_name(str(record.get(field + "Type")), id_)
        return self._store.display_name("Attachment" if defs["type"] == "file" else defs["entity"], id_)

    def _head(self, record: Record) -> dict[str, Any]:
        return {"id": record["id"], "deleted": False}

    def _system(self, record: Record, *, full: bool) -> dict[str, Any]:
        out = {"createdAt": record.get("createdAt"), "modifiedAt": record.get("modifiedAt")}
        if "streamUpdatedAt" in record:
            out["streamUpdatedAt"] = record["streamUpdatedAt"]
        for link in _SYSTEM_LINKS:
            id_ = record.get(link + "Id")
            if full or id_ is not None:
                out[link + "Id"] = id_
            out[link + "Name"] = self._store.display_name("User", id_) if id_ else None
        return out

    def _tail(self, entity: str, record: Record, user_id: str) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if "streamUpdatedAt" in record:
            followers = self._store.relation("followers").of(entity, record["id"])
            names = {i: self._store.display_name("User", i) for i in followers}
            out = {"isFollowed": user_id in followers, "followersIds": followers, "followersNames": names}
        if entity in STARRED:
            out["isStarred"] = False
        if entity in VERSIONED:
            out["versionNumber"] = record.get("versionNumber")
        return out

    def loaded(self, entity: str, record: Record, user_id: str, *, secrets: bool = False) -> dict[str, Any]:
        """A read, or the answer of PUT: every attribute."""
        out = self._head(record)
        for attr in self._meta.attrs(entity).values():
            if attr.part != "secret" and (secrets or attr.name not in _HIDDEN or entity == "Webhook"):
                out[attr.name] = self.value(entity, record, attr)
        return {**out, **self._system(record, full=True), **self._tail(entity, record, user_id)}

    def created(self, entity: str, record: Record, user_id: str) -> dict[str, Any]:
        """The answer of POST: what was set, and what is loaded for show."""
        out = self._head(record)
        out.update(self._set_values(entity, record))
        for attr in self._meta.attrs(entity).values():
            if attr.part in ("linkName", "data", "ids", "names", "columns") and attr.field != "originalLead":
                out[attr.name] = self.value(entity, record, attr)
        out.update(self._system(record, full=False), **self._tail(entity, record, user_id))
        if entity == "Attachment":
            del out["modifiedByName"]
        return out

    def _set_values(self, entity: str, record: Record) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for attr in self._meta.attrs(entity).values():
            if attr.part in ("plain", "derived"):
                if attr.name.endswith(("IsOptedOut", "IsInvalid")):
                    out[attr.name] = False
                elif attr.name in record:
                    out[attr.name] = record[attr.name]
        if entity in ("Account", "Contact", "Lead"):
            out["targetListIsOptedOut"] = False
        if entity == "Account":
            out["contactIsInactive"] = False
        if entity == "Contact":
            account = self._store.get("Account", record.get("accountId"))
            out.update(hasPortalUser=False, **({"accountType": account.get("type")} if account else {}))
        return out

    def announced(self, entity: str, record: Record) -> dict[str, Any]:
        """The body of a ``create`` event: what was set, names of set links, no loaded lists (recorded)."""
        out = {**self._head(record), **self._set_values(entity, record)}
        if self._meta.fields[entity].get("name", {}).get("type") == "personName":
            out.pop("name", None)
        for attr in self._meta.attrs(entity).values():
            if attr.part == "linkName" and record.get(attr.field + "Id"):
                out[attr.name] = self.value(entity, record, attr)
        out.update({k: record[k] for k in ("createdAt", "modifiedAt", "streamUpdatedAt") if k in record})
        out.update(createdById=record.get("createdById"), isFollowed=False)
        if entity in STARRED:
            out["isStarred"] = False
        if entity in VERSIONED:
            out["versionNumber"] = record.get("versionNumber")
        return out

    def duplicate(self, entity: str, record: Record) -> dict[str, Any]:
        """One record in the array of a 409 ``duplicate``."""
        out = self._head(record)
        for attr in self._meta.attrs(entity).values():
            if attr.part in ("plain", "linkName", "derived"):
                out[attr.name] = self.value(entity, record, attr)
        out.update(self._system(record, full=True))
        if entity in VERSIONED:
            out["versionNumber"] = record.get("versionNumber")
        return out

    def row(self, entity: str, record: Record, select: list[str] | None, order_by: str) -> dict[str, Any]:
        """A list row: the selected attributes and those that always ride along (§3.2)."""
        if select is None:
            return self._full_row(entity, record)
        attrs = self._meta.attrs(entity)
        wanted = dict.fromkeys(["id", *select, order_by, "createdById"])
        for extra in ("assignedUser", "account"):
            if extra + "Id" in attrs:
                wanted[extra + "Id"] = None
        if "accountId" in attrs:
            wanted["accountName"] = None
        out: dict[str, Any] = {}
        for name in wanted:
            attr = attrs.get(name)
            if attr is not None:
                if attr.part in ("plain", "linkName", "derived") and name not in _HIDDEN:
                    out[name] = self.value(entity, record, attr)
            elif name in ("createdByName", "modifiedByName"):
                out[name] = self._store.display_name("User", record.get(name.replace("Name", "Id")))
            elif name == "versionNumber" and entity not in VERSIONED:
                continue
            elif name == "deleted":
                out[name] = False
            elif name in record or name in ("modifiedById", "createdById"):
                out[name] = record.get(name)
        if entity in STARRED:
            out["isStarred"] = False
        return out

    def _full_row(self, entity: str, record: Record) -> dict[str, Any]:
        out = self.duplicate(entity, record)
        if entity != "Webhook":
            for name in _HIDDEN:
                out.pop(name, None)
        if entity in STARRED:
            out["isStarred"] = False
        return out
