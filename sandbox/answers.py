"""HTTP answers and request parts, independent of any one sandbox system."""

from __future__ import annotations

import http
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import simplejson


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer, independent of WSGI."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()

    def send(self, start_response: StartResponse) -> Iterable[bytes]:
        """Give this answer to a WSGI server."""
        headers = [("Content-Length", str(len(self.body))), *self.headers]
        if self.body:
            headers.append(("Content-Type", self.content_type))
        start_response(status_line(self.status), headers)
        return [self.body]


def status_line(code: int) -> str:
    """``200 OK`` for 200; codes unknown to the standard library get a bare word."""
    try:
        return f"{code} {http.HTTPStatus(code).phrase}"
    except ValueError:
        return f"{code} Status"


def json_answer(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """A JSON answer; Decimal leaves as a JSON number."""
    body = simplejson.dumps(value, use_decimal=True, ensure_ascii=False).encode()
    return Answer(status, body, "application/json; charset=utf-8", headers)


def page(status: int, title: str, text: str = "") -> Answer:
    """A small HTML page, as web servers and proxies send."""
    html = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>"
    return Answer(status, html.encode(), "text/html; charset=utf-8")


def call(app: WSGIApplication, environ: WSGIEnvironment) -> Answer:
    """Run a WSGI application to its end and keep its answer."""
    got: dict[str, Any] = {}

    def start(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], object]:
        got.update(status=int(status.split()[0]), headers=headers)
        return lambda _data: None

    parts = app(environ, start)
    try:
        body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    kind = next((value for name, value in got["headers"] if name.lower() == "content-type"), "text/plain")
    rest = tuple(h for h in got["headers"] if h[0].lower() not in ("content-type", "content-length"))
    return Answer(got["status"], body, kind, rest)


def readable(body: bytes) -> Any:
    """A body as JSON when it is JSON (numbers as Decimal), else as text; None when empty."""
    if not body:
        return None
    try:
        return simplejson.loads(body, use_decimal=True)
    except ValueError:
        return body.decode("utf-8", "replace")


def raw_query(environ: WSGIEnvironment) -> str:
    """The query percent-decoded, a ``+`` left as it came."""
    return unquote(environ.get("QUERY_STRING", ""))


def decoded_path(environ: WSGIEnvironment) -> str:
    """The path percent-decoded as UTF-8 (WSGI hands it over as latin-1)."""
    path: str = environ.get("PATH_INFO", "")
    return path.encode("latin-1").decode("utf-8", "replace")


def drop_connection(environ: WSGIEnvironment) -> None:
    """Close the client's connection so that it sees no answer at all, not even a 500.

    Waitress puts a method of its channel into ``environ``; the socket is shut down through it. Without waitress
    (a call in the same process) ConnectionResetError is raised instead.
    """
    check = environ.get("waitress.client_disconnected")
    channel = getattr(check, "__self__", None)
    if channel is None:
        raise ConnectionResetError("the sandbox dropped the connection")
    with suppress(OSError):  # the client may have been quicker
        channel.socket.shutdown(socket.SHUT_RDWR)
