"""The log of received calls, bounded and thread-safe."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from wsgiref.types import WSGIEnvironment

from sandbox.answers import readable

LOG_LIMIT = 200_000
SECRET_HEADERS = ("authorization", "espo-authorization", "x-hmac-authorization", "x-api-key", "x-secret", "cookie")


class RequestLog:
    """The calls received, the newest ``LOG_LIMIT`` of them. Bodies are kept raw and parsed when asked for."""

    def __init__(self, limit: int = LOG_LIMIT) -> None:
        self._lock = threading.Lock()
        self._entries: deque[dict[str, Any]] = deque(maxlen=limit)
        self._last = 0

    def open(self, facts: Mapping[str, str], body: bytes, headers: dict[str, str]) -> dict[str, Any]:
        """Log an arrival; the caller fills ``status``, ``fault`` and ``seconds`` later."""
        with self._lock:
            self._last += 1
            entry: dict[str, Any] = {
                "n": self._last, "at": datetime.now(UTC).isoformat(), "method": facts["method"],
                "path": facts["path"], "query": facts["query"], "body": body, "headers": headers,
                "status": None, "fault": None, "seconds": None,
            }  # fmt: skip
            self._entries.append(entry)
            return entry

    def since(self, n: int = 0) -> list[dict[str, Any]]:
        """The entries after ``n``, oldest first, in JSON form."""
        with self._lock:
            found = [dict(entry) for entry in self._entries if entry["n"] > n]
        for entry in found:
            entry["body"] = readable(entry["body"])
        return found

    def clear(self) -> None:
        """Forget the entries."""
        with self._lock:
            self._entries.clear()


def told_headers(environ: WSGIEnvironment) -> dict[str, str]:
    """The request's headers for the log; of secrets only the scheme or length."""
    told = {"content-type": environ.get("CONTENT_TYPE", "")}
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            name = key[5:].replace("_", "-").lower()
            told[name] = value if name not in SECRET_HEADERS else f"{value.split(' ')[0][:6]}…({len(value)})"
    return told
