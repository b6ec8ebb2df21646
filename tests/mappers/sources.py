"""Recordings of the sources of requisites: bodies that are no JSON too (forms, SOAP), headers with their Content-Type.

And a driver that has a talk over a real socket, as a transport does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import requests
from lxml import etree

from mappers.dialect import Call, Reply, Talk
from mappers.verbs import Dialect
from mappers.wire import dump_json, parse_json
from tests.mappers.replay import RECORDINGS, Exchange

T = TypeVar("T")


class Sent(Exchange):
    """Compares a body that goes as it is too: XML as XML, anything else byte by byte."""

    def check(self, call: Call) -> None:
        assert (call.method, call.path, list(call.query)) == (self.method, self.path, list(self.query))
        assert {name.lower(): value for name, value in call.headers.items()} == self.headers
        if call.body is None:
            assert parse_json(dump_json(call.json)) == self.body
        elif call.body.startswith(b"<"):
            assert etree.tostring(etree.fromstring(call.body), method="c14n2") == etree.tostring(
                etree.fromstring(self.body.encode()), method="c14n2"
            )
        else:
            assert call.body == self.body.encode()


def tape(source: str, *names: str, base: str, ignored: Sequence[str] = ()) -> list[Exchange]:
    """The exchanges of tests/recordings/SOURCE/NAME.json, in order. `ignored`: headers that the transport adds."""
    return [_sent(source, name, base, ignored) for name in names]


def _sent(source: str, name: str, base: str, ignored: Sequence[str]) -> Exchange:
    kept = parse_json((RECORDINGS / source / f"{name}.json").read_bytes())
    asked, told = kept["request"], kept["response"]
    url = urlsplit(asked["url"].removeprefix(base).lstrip("/"))
    body = told["body"] if isinstance(told["body"], str) else dump_json(told["body"]).decode()
    return Sent(
        method=asked["method"],
        path=unquote(url.path),
        query=tuple(parse_qsl(url.query)),
        body=asked["body"],
        headers={
            k.lower(): v for k, v in asked["headers"].items() if k.lower() not in {each.lower() for each in ignored}
        },
        reply=Reply(told["status"], {k.lower(): v for k, v in told["headers"].items()}, body.encode()),
    )


@dataclass
class Line:
    """A dialect at the end of a real connection; `rested`: the pauses it asked for, which a test doesn't keep."""

    say: Dialect
    url: str
    http: requests.Session = field(default_factory=requests.Session)
    calls: list[Call] = field(default_factory=list)
    rested: float = 0.0

    def ask(self, talk: Talk[T]) -> T:
        self.http.trust_env = False
        try:
            call = next(talk)
            while True:
                self.calls.append(call)
                self.rested += call.pause
                call = talk.send(self._carry(call))
        except StopIteration as end:
            result: T = end.value
            return result

    def _carry(self, call: Call) -> Reply:
        body = call.body if call.body is not None else None if call.json is None else dump_json(call.json)
        headers = {"Content-Type": "application/json"} if call.json is not None else {}
        answer = self.http.request(
            call.method,
            f"{self.url}/{quote(call.path)}",
            data=body,
            headers={**headers, **self.say.credentials(), **call.headers},
            timeout=10,
            allow_redirects=False,
        )
        return Reply(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)
