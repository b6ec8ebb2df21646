"""Who calls, and what they may: keys, signatures, passwords, the lockout and roles (contracts/ESPOCRM.md §1, §0.12)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

from sandbox.crm.errors import ApiError, forbidden
from sandbox.crm.metadata import ADMIN_ONLY
from sandbox.crm.store import Record, Store

LOCK_AFTER = 10
LOCK_PERIOD = 60.0
_RANK = {"no": 0, "own": 1, "team": 2, "all": 3, "yes": 3}
#: what every internal user has without any role (recorded in App/user)
_BASE: dict[str, dict[str, str]] = {
    "Attachment": {"create": "yes", "read": "own", "edit": "own", "delete": "own", "stream": "no"},
    "Note": {"create": "yes", "read": "own", "edit": "own", "delete": "own", "stream": "no"},
    "User": {"create": "no", "read": "own", "edit": "no", "delete": "no", "stream": "no"},
    "Team": {"create": "no", "read": "team", "edit": "no", "delete": "no", "stream": "no"},
}


class Caller:
    """An authenticated user with the union of the rights of its roles."""

    def __init__(self, store: Store, record: Record) -> None:
        self.record = record
        self._strict = store.acl_strict
        self.id: str = record["id"]
        self.admin = record.get("type") in ("admin", "system")
        self.api = record.get("type") == "api"
        roles = [store.get("Role", i) or {} for i in store.relation("userRole").of("User", self.id)]
        self.roles: list[Record] = roles
        self.scopes: dict[str, Any] = {k: dict(v) for k, v in _BASE.items()}
        for role in roles:
            for scope, rights in (role.get("data") or {}).items():
                if isinstance(rights, dict):
                    held = self.scopes.setdefault(scope, {})
                    if not isinstance(held, dict):
                        continue
                    for action, level in rights.items():
                        if _RANK.get(level, 0) >= _RANK.get(held.get(action, "no"), 0):
                            held[action] = level
                else:
                    self.scopes[scope] = bool(rights) or bool(self.scopes.get(scope))
        self.teams = set(store.relation("userTeam").of("User", self.id))

    def permission(self, name: str) -> str:
        levels = [str(r.get(name) or "not-set") for r in self.roles]
        return max(levels, key=lambda v: _RANK.get(v, 0), default="not-set")

    def level(self, scope: str, action: str) -> str:
        if self.admin:
            return "all"
        rights = self.scopes.get(scope)
        if rights is None and not self._strict and scope not in ADMIN_ONLY:
            return "all"
        if scope == "Webhook":  # a boolean scope: an API user sees its own webhooks
            return "own" if rights and self.api else "no"
        if scope in ADMIN_ONLY or not isinstance(rights, dict):
            return "no"
        return str(rights.get(action) or "no")

    def require(self, scope: str, action: str) -> None:
        """403 with ``No read access.`` and the like (recorded)."""
        if self.level(scope, action) == "no":
            raise forbidden(f"No {action} access.")

    def may(self, scope: str, action: str, record: Record) -> bool:
        level = self.level(scope, action)
        if level in ("all", "yes"):
            return True
        if level == "no":
            return False
        mine = self.id in (record.get("createdById"), record.get("assignedUserId"), record.get("userId"))
        return mine or (scope == "User" and record["id"] == self.id) or (scope == "Team" and record["id"] in self.teams)


class Door:
    """Authenticates requests; more than ten failures within a minute lock an address out, good key or not (§0.12)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._failures: dict[str, deque[float]] = {}
        self._lock = threading.Lock()
        self.enabled = True

    def reset(self) -> None:
        with self._lock:
            self._failures.clear()

    def locked(self) -> list[str]:
        with self._lock:
            return [ip for ip in self._failures if self._recent(ip) > LOCK_AFTER]

    def _recent(self, ip: str) -> int:
        seen = self._failures.get(ip)
        if not seen:
            return 0
        limit = self._store.clock.now() - LOCK_PERIOD
        while seen and seen[0] < limit:
            seen.popleft()
        return len(seen)

    def enter(self, headers: Mapping[str, str], ip: str, method: str, path: str) -> Caller:
        """The caller, or 401/403 with an empty body and no reason (§1, §3.3)."""
        basic = headers.get("espo-authorization") or _after_basic(headers.get("authorization"))
        hmac_header, key = headers.get("x-hmac-authorization"), headers.get("x-api-key")
        if not (basic or hmac_header or key):
            raise ApiError(401, headers={"WWW-Authenticate": 'Basic realm=""'})
        with self._lock:
            if self.enabled and self._recent(ip) > LOCK_AFTER:
                raise ApiError(403)
        if basic:  # the API-key headers are ignored when it is there
            user = self._by_password(basic)
        elif hmac_header:
            user = self._by_signature(hmac_header, method, path)
        else:
            user = self._by_key(key or "", "ApiKey")
        if user is None:
            with self._lock:
                self._failures.setdefault(ip, deque()).append(self._store.clock.now())
            raise ApiError(401)
        return Caller(self._store, user)

    def _active(self, **wanted: str) -> Record | None:
        for user in self._store.rows("User"):
            if user.get("isActive") and all(user.get(k) == v for k, v in wanted.items()):
                return user
        return None

    def _by_key(self, key: str, method: str) -> Record | None:
        return self._active(type="api", authMethod=method, apiKey=key) if key else None

    def _by_password(self, header: str) -> Record | None:
        name, _, password = _decoded(header).partition(b":")
        user = self._active(userName=name.decode("utf-8", "replace"))
        if user is None or user.get("type") == "api" or not password:
            return None
        return user if user.get("password") == password.decode("utf-8", "replace") else None

    def _by_signature(self, header: str, method: str, path: str) -> Record | None:
        """Hex digest, or the raw one of before 8.4.1; over the method and the path without query (§1)."""
        key, _, given = _decoded(header).partition(b":")
        user = self._by_key(key.decode("ascii", "replace"), "Hmac")
        if user is None:
            return None
        right = hmac.new(str(user["secretKey"]).encode(), f"{method} /{path}".encode(), hashlib.sha256)
        ok = hmac.compare_digest(given, right.hexdigest().encode()) or hmac.compare_digest(given, right.digest())
        return user if ok else None


def _decoded(header: str) -> bytes:
    try:
        return base64.b64decode(header, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _after_basic(header: str | None) -> str | None:
    return header[6:].strip() if header and header.lower().startswith("basic ") else None
