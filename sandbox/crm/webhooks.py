"""Webhook subscriptions and the queue of events (contracts/ESPOCRM.md §2.1-§2.3, §0.1-§0.5, §0.10, §0.11)."""

from __future__ import annotations

import copy
import re
import secrets
import threading
from collections import deque
from contextlib import AbstractContextManager
from typing import Any

from sandbox.crm.auth import Caller
from sandbox.crm.errors import forbidden, invalid
from sandbox.crm.metadata import NO_WEBHOOKS, Metadata, unfold
from sandbox.crm.records import Records
from sandbox.crm.render import Renderer
from sandbox.crm.sender import LOOPBACK, Sender, SendingImpossible, internal
from sandbox.crm.store import Record, Store

RETRIED = frozenset({0, 401, 403, 404, 405, 408, 500, 503})
MAX_PER_USER = 50
_SKIPPED = frozenset({"modifiedAt", "versionNumber", "streamUpdatedAt", "followersIds", "followersNames"})


class Webhooks:
    """Subscriptions, the events that wait, and what became of each item."""

    def __init__(self, meta: Metadata, store: Store, records: Records, renderer: Renderer) -> None:
        self._meta, self._store, self._records, self._render = meta, store, records, renderer
        self.allowed: list[str] = list(LOOPBACK)
        self.portion = 20
        self.batch = 50
        self.webhooks_per_run = 20
        self.max_attempts = 4
        self.period = 600.0
        self.sender = Sender()
        self._events: deque[dict[str, Any]] = deque()
        self._pending: dict[int, dict[str, Any]] = {}
        self._done: deque[dict[str, Any]] = deque(maxlen=20_000)
        self._number = 0
        self._active: dict[str, int] = {}
        self._run_lock = threading.Lock()

    # -- subscriptions ------------------------------------------------------------------------------------------

    def create(self, body: dict[str, Any], caller: Caller) -> Record:
        """A subscription; its owner is the API user that made it (§2.1)."""
        caller.require("Webhook", "read")
        values = self._records.cleaner.clean("Webhook", body, new=True)
        self._check_url(str(values["url"]))
        parts = self._check_event(str(values["event"]), caller)
        owner = caller.id if caller.api else values.get("userId")
        with self._store.lock:
            mine = sum(r.get("userId") == owner for r in self._store.rows("Webhook"))
            if owner and mine >= MAX_PER_USER and not caller.admin:
                raise forbidden("Webhook max count per user reached.")
            now = self._store.clock.text()
            record: Record = {
                **values, "id": self._store.new_id(), "entityType": parts[0], "type": parts[1],
                "field": parts[2] if len(parts) > 2 else None, "secretKey": secrets.token_hex(16),
                "skipOwn": bool(values.get("skipOwn")) and owner is not None, "userId": owner,
                "createdAt": now, "modifiedAt": now, "createdById": caller.id,
            }  # fmt: skip
            self._store.put("Webhook", record)
            self.refresh()
        return record

    def update(self, id_: str, body: dict[str, Any], caller: Caller) -> Record:
        """Only url, isActive, skipOwn, description; the event stays (§2.1)."""
        with self._store.lock:
            record = self._records.find("Webhook", id_, caller, "edit")
            values = self._records.cleaner.clean("Webhook", {**body, "event": record["event"]}, new=False)
            if "url" in values:
                self._check_url(str(values["url"]))
            if not record.get("userId"):
                values.pop("skipOwn", None)
            record.update({k: v for k, v in values.items() if k in ("url", "isActive", "skipOwn", "description")})
            record.update(modifiedAt=self._store.clock.text(), modifiedById=caller.id)
            self.refresh()
        return record

    def delete(self, id_: str, caller: Caller) -> None:
        with self._store.lock:
            self._records.find("Webhook", id_, caller, "delete")
            self._drop(id_)

    def _drop(self, id_: str) -> None:
        self._store.remove("Webhook", id_)
        self._pending = {n: i for n, i in self._pending.items() if i["webhookId"] != id_}
        self.refresh()

    def refresh(self) -> None:
        """Learn anew which events anyone waits for; items of inactive webhooks are dropped (§2.1)."""
        active: dict[str, int] = {}
        off: set[str] = set()
        for hook in self._store.rows("Webhook"):
            if hook.get("isActive"):
                active[hook["event"]] = active.get(hook["event"], 0) + 1
            else:
                off.add(hook["id"])
        self._active = active
        self._pending = {n: i for n, i in self._pending.items() if i["webhookId"] not in off}

    def _check_url(self, url: str) -> None:
        if not re.match(r"^https?://[^/\s]+", url):
            raise invalid("Webhook", "url", "valid")
        if internal(url, self.allowed):
            raise invalid("Webhook", "url", "notInternal")

    def _check_event(self, event: str, caller: Caller) -> list[str]:
        parts = event.split(".")
        if len(parts) not in (2, 3):
            raise forbidden("Not supported event.")
        entity, kind = parts[:2]
        if not self._meta.has(entity) or entity in NO_WEBHOOKS:
            raise forbidden("Entity type is not available for Webhooks.")
        if kind not in ("create", "update", "delete", "fieldUpdate") or (kind == "fieldUpdate") != (len(parts) == 3):
            raise forbidden("Not supported event.")
        if caller.level(entity, "read") == "no":
            raise forbidden("Entity type is not available for Webhooks.")
        if kind == "fieldUpdate" and parts[2] not in self._meta.fields[entity]:
            raise forbidden("Field does not exist.")
        return parts

    # -- events -------------------------------------------------------------------------------------------------

    def heard(self, kind: str, entity: str, before: Record | None, record: Record, changed: dict[str, Any],
              caller: Caller) -> None:  # fmt: skip
        """Note what a save changed, as of now; only events that an active webhook waits for are kept (§2.1, §2.2)."""
        if not self._active:
            return
        if kind == "create":
            if f"{entity}.create" in self._active:
                data = self._render.announced(entity, record)
                self._queue(f"{entity}.create", record, {**data, **changed}, caller)
        elif kind == "delete":
            self._queue(f"{entity}.delete", record, {"id": record["id"]}, caller)
        elif any(name not in ("modifiedById", *_SKIPPED) for name in changed):
            self._queue(f"{entity}.update", record, self._difference(entity, record, changed), caller)
            prefix = f"{entity}.fieldUpdate."
            for event in [e for e in self._active if e.startswith(prefix)]:
                body = self._field(entity, event.removeprefix(prefix), before or {}, record, changed)
                if body is not None:
                    self._queue(event, record, body, caller)

    def _difference(self, entity: str, record: Record, changed: dict[str, Any]) -> dict[str, Any]:
        """An ``update`` body: what changed, then who if someone else than before, then the id."""
        attrs = self._meta.attrs(entity)
        out: dict[str, Any] = {}
        for name, attr in attrs.items():
            if name in changed and name not in _SKIPPED:
                out[name] = changed[name]
            elif attr.part == "linkName" and attr.field + "Id" in changed:
                out[name] = self._render.link_name(entity, record, attr.field)
        if "modifiedById" in changed:
            out["modifiedById"] = changed["modifiedById"]
            out["modifiedByName"] = self._store.display_name("User", changed["modifiedById"])
        out["id"] = record["id"]
        return out

    def _field(self, entity: str, field: str, before: Record, record: Record,
               changed: dict[str, Any]) -> dict[str, Any] | None:  # fmt: skip
        """A ``fieldUpdate`` body: the id and all attributes of the field; ``…Data`` is stale as in the PUT answer."""
        defs = self._meta.fields[entity].get(field)
        if defs is None:
            return None
        attrs = [a for a in unfold(field, defs) if not a.name.endswith("Converted")]
        if not any(a.name in changed for a in attrs):
            return None
        out: dict[str, Any] = {"id": record["id"]}
        for attr in attrs:
            if attr.name.endswith(("IsOptedOut", "IsInvalid")):
                out[attr.name] = False
            elif attr.part == "data":
                out[attr.name] = changed[attr.name] if attr.name in changed else before.get(attr.name) or []
            else:
                out[attr.name] = self._render.value(entity, record, attr)
        return out

    def _queue(self, event: str, record: Record, data: dict[str, Any], caller: Caller) -> None:
        if event not in self._active:
            return
        with self._store.lock:
            self._number += 1
            self._events.append({"number": self._number, "event": event, "targetId": record["id"],
                                 "data": copy.deepcopy(data), "userId": caller.id,
                                 "createdAt": self._store.clock.text()})  # fmt: skip

    # -- the job ------------------------------------------------------------------------------------------------

    def run(self) -> list[dict[str, Any]]:
        """One run of the job: at most ``portion`` events become items, then each webhook gets one batch (§2.3)."""
        with self._run_lock:
            self._distribute()
            sent = []
            for id_ in self._due_webhooks():
                report = self._send(id_)
                if report is not None:
                    sent.append(report)
            return sent

    def _distribute(self) -> None:
        with self._store.lock:
            hooks = [h for h in self._store.rows("Webhook") if h.get("isActive")]
            for _ in range(min(self.portion, len(self._events))):
                event = self._events.popleft()
                for hook in hooks:
                    if hook["event"] != event["event"]:
                        continue
                    if hook.get("skipOwn") and hook.get("userId") == event["userId"]:
                        continue
                    self._number += 1
                    self._pending[self._number] = {
                        "number": self._number, "webhookId": hook["id"], "event": event["event"], "url": hook["url"],
                        "targetId": event["targetId"], "data": event["data"], "status": "Pending", "attempts": 0,
                        "code": None, "createdAt": self._store.clock.text(), "processAt": None, "processedAt": None,
                    }  # fmt: skip

    def _due(self, id_: str | None = None) -> list[dict[str, Any]]:
        now = self._store.clock.text()
        mine = (i for i in self._pending.values() if id_ is None or i["webhookId"] == id_)
        return [i for i in mine if i["processAt"] is None or i["processAt"] <= now]

    def _due_webhooks(self) -> list[str]:
        with self._store.lock:
            return list(dict.fromkeys(i["webhookId"] for i in self._due()))[: self.webhooks_per_run]

    def _send(self, id_: str) -> dict[str, Any] | None:
        with self._store.lock:
            hook = self._store.get("Webhook", id_)
            items = self._due(id_)[: self.batch]
            if hook is None or not items:
                return None
            hook = dict(hook)
            visible = [i for i in items if self._visible(hook, i)]
            for item in items:
                if item not in visible:
                    self._settle(item, "Success", None)  # dropped without a word
        if not visible:
            return None
        try:
            code = self.sender.send(hook, [i["data"] for i in visible], self.allowed)
        except SendingImpossible:
            code = None
        with self._store.lock:
            self._record(hook, visible, code)
        return {"webhookId": id_, "event": hook["event"], "url": hook["url"], "count": len(visible), "code": code,
                "status": visible[0]["status"], "attempts": visible[0]["attempts"],
                "data": [i["data"] for i in visible]}  # fmt: skip

    def _record(self, hook: Record, items: list[dict[str, Any]], code: int | None) -> None:
        for item in items:
            item["attempts"] += 1
            if code is not None and (200 <= code < 400 or code == 410):
                self._settle(item, "Success" if code != 410 else "Failed", code)
            elif code in RETRIED and item["attempts"] < self.max_attempts:
                item.update(processAt=self._store.clock.text(self._store.clock.now() + self.period), code=code)
            else:
                self._settle(item, "Failed", code)
        if code == 410:
            self._drop(hook["id"])

    def _settle(self, item: dict[str, Any], status: str, code: int | None) -> None:
        item.update(status=status, code=code, processAt=None)
        if status == "Success":
            item["processedAt"] = self._store.clock.text()
        self._pending.pop(item["number"], None)
        self._done.append(item)

    def _visible(self, hook: Record, item: dict[str, Any]) -> bool:
        """The owner's view: records it may not read are left out (§2.1)."""
        owner = self._store.get("User", hook.get("userId"))
        entity = item["event"].partition(".")[0]
        target = self._store.get_any(entity, item["targetId"])
        if target is None:
            return False
        return owner is None or Caller(self._store, owner).may(entity, "read", target)

    def running(self) -> AbstractContextManager[bool]:
        """Held while the job runs; holding it keeps the job from running."""
        return self._run_lock

    def queue(self) -> dict[str, Any]:
        """Everything that waits or was settled, for the admin face."""
        with self._store.lock:
            items = sorted([*self._done, *self._pending.values()], key=lambda i: i["number"])
            hooks = [{k: h.get(k) for k in ("id", "event", "url", "isActive", "skipOwn", "secretKey", "userId")}
                     for h in self._store.rows("Webhook")]  # fmt: skip
            return {"webhooks": hooks, "events": [dict(e) for e in self._events], "items": [dict(i) for i in items]}

    def idle(self) -> bool:
        """Whether nothing waits at all, retries included."""
        return not self._events and not self._pending
