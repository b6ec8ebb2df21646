"""Drives a talk against recorded exchanges: every Call must be the one that was recorded, in order, and no other.

A recording is one JSON file: {"request": {method, url, headers, body}, "response": {status, headers, body}}, a body
being JSON, text, or "" for none. A step of a test may also be written down in place with `exchange`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from mappers.dialect import Call, Reply, Talk
from mappers.wire import dump_json, parse_json

T = TypeVar("T")

RECORDINGS = Path(__file__).resolve().parent.parent / "recordings"
ANY: Any = object()  # in place of what a test doesn't look at


@dataclass(frozen=True)
class Exchange:
    """What must be asked, and what is answered. `headers`: exactly those that the Call carries, names lower-case."""

    method: str
    path: str
    reply: Reply
    query: Any = ()
    body: Any = None
    headers: Any = field(default_factory=dict)

    def check(self, call: Call) -> None:
        assert (call.method, call.path) == (self.method, self.path)
        if self.query is not ANY:
            assert _opened(call.query) == _opened(self.query)
        if self.body is not ANY:
            assert _exact(call.json) == _exact(self.body)
        if self.headers is not ANY:
            assert {name.lower(): value for name, value in call.headers.items()} == self.headers


def replay(talk: Talk[T], exchanges: Sequence[Exchange]) -> T:
    """What the talk came to. Fails when it asks anything else, asks more, or leaves a recorded exchange unasked."""
    left = list(exchanges)
    try:
        call = next(talk)
        while True:
            assert left, f"one call too many: {call.method} {call.path} {call.json}"
            expected = left.pop(0)
            expected.check(call)
            call = talk.send(expected.reply)
    except StopIteration as end:
        assert not left, f"never asked: {[(each.method, each.path) for each in left]}"
        result: T = end.value
        return result


def exchange(
    method: str,
    path: str,
    status: int = 200,
    answer: Any = None,
    *,
    reason: str | None = None,
    query: Any = ANY,
    body: Any = ANY,
    sent: Any = ANY,
    headers: Mapping[str, str] | None = None,
) -> Exchange:
    """An exchange written down in place; `reason` is X-Status-Reason, bytes and text bodies go as they are."""
    return Exchange(method, path, reply(status, answer, reason=reason, headers=headers), query, body, sent)


def reply(
    status: int, answer: Any = None, *, reason: str | None = None, headers: Mapping[str, str] | None = None
) -> Reply:
    told = {"x-status-reason": reason} if reason is not None else {}
    return Reply(status, {**told, **(headers or {})}, _bytes(answer))


def recorded(dialect: str, name: str, *, base: str, ignored: Sequence[str] = ()) -> Exchange:
    """The exchange of tests/recordings/DIALECT/NAME.json. `base`: the site's URL; `ignored`: headers of the transport.

    Header names of the answer become lower-case, as the transport hands them over.
    """
    kept = parse_json((RECORDINGS / dialect / f"{name}.json").read_bytes())
    asked, told = kept["request"], kept["response"]
    url = urlsplit(asked["url"].removeprefix(base).lstrip("/"))
    skipped = {"content-type", "content-length", *(each.lower() for each in ignored)}
    return Exchange(
        method=asked["method"],
        path=unquote(url.path),
        query=tuple(parse_qsl(url.query, keep_blank_values=True)),
        body=asked["body"],
        headers={key.lower(): value for key, value in asked["headers"].items() if key.lower() not in skipped},
        reply=Reply(
            told["status"], {key.lower(): value for key, value in told["headers"].items()}, _bytes(told["body"])
        ),
    )


def _bytes(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    return b"" if body is None else dump_json(body)


def _exact(body: Any) -> Any:
    return None if body is None else parse_json(dump_json(body))


def _opened(query: Sequence[tuple[str, str]]) -> list[tuple[str, Any]]:
    """JSON inside a query compares as JSON: spaces and the order of its keys are no difference."""
    return [(name, parse_json(value) if value.startswith("{") else value) for name, value in query]
