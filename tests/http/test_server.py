"""A real server on loopback, spoken to as EspoCRM's curl speaks."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from waitress import wasyncore
from waitress.server import create_server

from tests.http.world import NAME, World, signature


@pytest.fixture
def server(world: World) -> Iterator[tuple[str, int]]:
    limit = world.settings.web.max_body
    served: Any = create_server(
        world.client.application, host="127.0.0.1", port=0, threads=4, max_request_body_size=limit, ident=None
    )
    thread = threading.Thread(target=served.run, daemon=True)
    thread.start()
    yield "127.0.0.1", served.effective_port
    served.trigger.pull_trigger(lambda: wasyncore.close_all(served._map))  # in its own thread: the loop ends with it
    thread.join(10)
    served.task_dispatcher.shutdown()


def _head(body_length: int, sign: str) -> bytes:
    """The headers of a batch over 1 MB, as recorded from EspoCRM 9.3."""
    lines = (
        f"POST /webhooks/{NAME}/Opportunity/update HTTP/1.1",
        "Host: crm1c",
        "Accept: */*",
        "Content-Type: application/json",
        f"Content-Length: {body_length}",
        f"Signature: {sign}",
        "Expect: 100-continue",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def _answer(connection: socket.socket) -> bytes:
    """Everything up to the end of the next answer's headers."""
    got = b""
    while b"\r\n\r\n" not in got:
        part = connection.recv(65536)
        assert part, got
        got += part
    return got


def test_a_batch_of_16_mb_that_expects_100_continue_is_taken(world: World, server: tuple[str, int]) -> None:
    items = [{"id": f"r{number}", "description": "ж" * 56_000} for number in range(50)]
    body = json.dumps(items).encode()  # non-ASCII as \uXXXX, as EspoCRM writes it
    assert len(body) > 16_000_000
    with socket.create_connection(server, timeout=20) as connection:
        connection.sendall(_head(len(body), signature(body)))
        assert _answer(connection).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        answer = _answer(connection)
    assert answer.startswith(b"HTTP/1.1 202 "), answer
    assert world.count() == 50


def test_33_mb_are_refused_before_they_are_sent(world: World, server: tuple[str, int]) -> None:
    # Told with Expect, waitress says 100 before it looks at the length, and refuses after reading.
    head = _head(33 * 1024 * 1024, "x").replace(b"Expect: 100-continue\r\n", b"")
    with socket.create_connection(server, timeout=20) as connection:
        connection.sendall(head)
        assert _answer(connection).startswith(b"HTTP/1.1 413 ")
    assert world.count() == 0
