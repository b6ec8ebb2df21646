"""A connection leaves the web server's hands: for answers that never end and shall keep no thread."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

TAKE = "crm1c.take"  # in a request's environment: what takes its connection over, with the head of the answer


def handing_over(inner: Callable[..., Any]) -> Callable[..., Any]:
    """WSGI: a request whose view put a taker into its environment leaves the server's hands. gunicorn is left with a
    closed pair of sockets in place of the connection, and told that its client has gone."""

    def outer(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        said: list[Any] = []

        def started(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            said[:] = [status, headers]
            return start(status, headers, exc_info)

        body = inner(environ, started)
        taker = environ.get(TAKE)
        if taker is None:
            return body
        if hasattr(body, "close"):
            body.close()
        taker(_taken(environ["gunicorn.socket"]), _head(*said))
        raise BrokenPipeError(errno.EPIPE, "the stream has taken the connection over")

    return outer


def can_hand_over(environ: Mapping[str, Any]) -> bool:
    """Whether the server shows a plain HTTP/1 connection."""
    connection = environ.get("gunicorn.socket")
    return type(connection) is socket.socket and environ.get("HTTP_VERSION") != "2"


def _taken(theirs: socket.socket) -> socket.socket:
    ours = socket.socket(fileno=os.dup(theirs.fileno()))
    one, other = socket.socketpair()
    with one, other:
        os.dup2(one.fileno(), theirs.fileno())
    return ours


def _head(status: str, headers: list[tuple[str, str]]) -> bytes:
    kept = [pair for pair in headers if pair[0].lower() not in ("content-length", "transfer-encoding", "connection")]
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in kept), "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")
