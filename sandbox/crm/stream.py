"""The stream of a record: posts, and the notes that saves leave (contracts/ESPOCRM.md §3.6)."""

from __future__ import annotations

from typing import Any

from sandbox.crm.auth import Caller
from sandbox.crm.errors import forbidden, invalid
from sandbox.crm.records import Records
from sandbox.crm.store import Record, Store

AUDITED = {"Opportunity": ("stage", "amount", "assignedUser"), "Account": ("assignedUser",)}
_STREAMED = frozenset({"Account", "Contact", "Lead", "Opportunity", "Task", "Case"})


class Stream:
    """Notes by the record that they belong to."""

    def __init__(self, store: Store, records: Records) -> None:
        self._store, self._records = store, records
        self._by_parent: dict[tuple[str, str], list[str]] = {}

    def post(self, body: dict[str, Any], caller: Caller) -> Record:
        """``POST Note``: people and integrations may only make posts."""
        if body.get("type", "Post") != "Post":
            raise forbidden("Only post type allowed.")
        if not body.get("post") and not body.get("attachmentsIds"):
            raise invalid("Note", "post", "required")
        parent_type, parent_id = body.get("parentType"), body.get("parentId")
        if parent_type and parent_id and self._store.get(str(parent_type), parent_id) is not None:
            self._records.find(str(parent_type), str(parent_id), caller)
        values = {"data": {}, **body, "type": "Post"}
        record = self._records.create("Note", values, caller, skip_duplicates=True)
        with self._store.lock:
            self._attach(record)
        return record

    def _attach(self, note: Record) -> None:
        if not note.get("parentId"):
            return
        self._by_parent.setdefault((note["parentType"], note["parentId"]), []).append(note["id"])
        parent = self._store.get(note["parentType"], note["parentId"])
        if parent is not None and "streamUpdatedAt" in parent:
            parent["streamUpdatedAt"] = note["createdAt"]

    def heard(self, kind: str, entity: str, before: Record | None, record: Record, changed: dict[str, Any],
              caller: Caller) -> None:  # fmt: skip
        """Leave a Create note, and an Update note for audited fields."""
        if entity not in _STREAMED:
            return
        if kind == "create":
            self._leave("Create", {}, entity, record, caller)
        elif kind == "update" and before is not None:
            names = [f + "Id" if f == "assignedUser" else f for f in AUDITED.get(entity, ())]
            moved = [n for n in names if n in changed]
            if moved:
                data = {"fields": [n.removesuffix("Id") for n in moved],
                        "attributes": {"was": {n: before.get(n) for n in moved},
                                       "became": {n: record.get(n) for n in moved}}}  # fmt: skip
                self._leave("Update", data, entity, record, caller)

    def _leave(self, kind: str, data: dict[str, Any], entity: str, record: Record, caller: Caller) -> None:
        now = self._store.clock.text()
        note: Record = {"id": self._store.new_id(), "type": kind, "data": data, "post": None, "isInternal": False,
                        "parentType": entity, "parentId": record["id"], "createdAt": now, "modifiedAt": now,
                        "createdById": caller.id}  # fmt: skip
        self._store.put("Note", note)
        self._attach(note)

    def show(self, note: Record, caller: Caller) -> dict[str, Any]:
        extra: dict[str, Any] = {"reactionCounts": None, "myReactions": [], "relatedName": None}
        return {**self._records.render.loaded("Note", note, caller.id), **extra}

    def of(self, entity: str, id_: str, caller: Caller, offset: int, size: int) -> dict[str, Any]:
        """``GET {Entity}/{id}/stream``: the newest first."""
        with self._store.lock:
            self._records.find(entity, id_, caller)
            caller.require(entity, "stream")
            ids = self._by_parent.get((entity, id_), [])[::-1]
            notes = [n for i in ids if (n := self._store.get("Note", i)) is not None]
            page = [self.show(n, caller) for n in notes[offset : offset + size]]
            return {"total": len(notes), "list": page}
