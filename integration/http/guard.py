"""Bearer tokens: who may call what. A token is never kept, only its digest, and only for a few seconds."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable

from flask import g, request
from werkzeug.wrappers import Response

from integration.http.answers import Problem
from integration.http.parts import Parts, once_more
from integration.http.routes import Route, Scope
from integration.store import keys

KEEP_SECONDS = 5.0
_KEEP_MOST = 1000
_BEARER = re.compile(r"bearer +([!-~]{1,512})", re.IGNORECASE)


class Guard:
    """The door to everything under /api and to /metrics."""

    def __init__(self, parts: Parts) -> None:
        self._store, self._now, self._clock = parts.store, parts.now, parts.clock
        self._configured = [_digest(secret.reveal()) for secret in parts.settings.security.tokens if secret.reveal()]
        self._known: dict[bytes, tuple[float, str]] = {}

    def guarded(self, route: Route) -> Callable[..., Response]:
        """The route's view behind its scope."""

        def view(**names: str) -> Response:
            scope = self._scope()
            g.manager = scope.partition(":")[2]
            if not allows(scope, route.scope, g.manager if route.own else names.get("manager", "")):
                raise Problem(403, f"Ключ действует, но прав «{scope}» здесь мало.")
            return once_more(lambda: route.view(**names)) if route.method == "GET" else route.view(**names)

        return view

    def _scope(self) -> str:
        header = request.headers.get("Authorization", "")
        if not header:
            raise Problem(401, headers={"WWW-Authenticate": 'Bearer realm="crm1c"'})
        found = _BEARER.fullmatch(header.strip())
        scope = self._scope_of(found[1]) if found else None
        if scope is None:
            challenge = {"WWW-Authenticate": 'Bearer realm="crm1c", error="invalid_token"'}
            raise Problem(401, "Ключ неизвестен, отозван или истёк.", headers=challenge)
        return scope

    def _scope_of(self, token: str) -> str | None:
        digest = _digest(token)
        matches = [hmac.compare_digest(digest, one) for one in self._configured]  # all of them: the time tells nothing
        if any(matches):
            return "operate"
        now = self._clock()
        kept = self._known.get(digest)
        if kept and now - kept[0] < KEEP_SECONDS:
            return kept[1]
        found = once_more(lambda: self._look_up(token))
        if found is None:
            self._known.pop(digest, None)
            return None
        if len(self._known) >= _KEEP_MOST:
            self._known.clear()
        self._known[digest] = (now, found.scope)
        return found.scope

    def _look_up(self, token: str) -> keys.Token | None:
        with self._store.reading() as conn:
            return keys.check_token(conn, token, self._now())


def allows(scope: str, needed: Scope, manager: str = "") -> bool:
    """`operate` includes `read`, `read` every KPI, `kpi:MANAGER` that one's alone."""
    if scope == "operate" or not needed:
        return True
    if scope == "read":
        return needed != "operate"
    return needed == "kpi" and bool(manager) and scope == f"kpi:{manager}"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
