"""KPI over real servers: the feed as `crm1c web` (gunicorn) serves it, periods swapped in a real Redis."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from integration import cache
from integration.board import Board
from integration.rules.kpi import Kpi, Told
from tests.servers.process import free_port
from tests.servers.redis import Redis
from tests.servers.wait import until

THREADS, LISTENERS = 2, 40
TOML = """\
[database]
url = "sqlite:///crm1c.db"
[broker]
url = "amqp://127.0.0.1:1"
[redis]
url = "{redis}"
[web]
port = {port}
processes = 1
threads = {threads}
[log]
level = "ERROR"
[security]
tokens = ["env:API_TOKEN"]
"""


@pytest.fixture
def port(redis_server: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A web process of two threads."""
    number = free_port()
    text = TOML.format(redis=redis_server.url, port=number, threads=THREADS)
    (tmp_path / "crm1c.toml").write_text(text, encoding="utf-8")
    for name, value in (("CRM1C_CONFIG", str(tmp_path / "crm1c.toml")), ("API_TOKEN", "secret-token")):
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-m", "tasks.cli"]
    root = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("PYTHONPATH", str(root))
    subprocess.run([*command, "db", "upgrade"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    with subprocess.Popen([*command, "web"], cwd=tmp_path) as process:
        try:
            until(lambda: _answers(number), 30)
            yield number
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _asked(port: int, path: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret-token\r\n\r\n".encode())
    return connection


def _heard(connection: socket.socket, text: str) -> str:
    got = b""
    while text.encode() not in got:
        part = connection.recv(65536)
        assert part, got
        got += part
    return got.decode()


def test_more_listeners_than_threads_hear_each_entry_and_others_are_served(port: int, redis_server: Redis) -> None:
    """Twenty times as many: a listener keeps no thread of the web server."""
    board = Board(cache.connect(redis_server.url))
    with ExitStack() as stack:
        listeners = [stack.enter_context(_asked(port, "/api/kpi/stream")) for _ in range(LISTENERS)]
        for one in listeners:
            assert _heard(one, "retry: 2000").startswith("HTTP/1.1 200 OK\r\n")
        for number in (1, 2):
            board.tell(Told(number, "m", (), {"manager": "m", "text": f"бонус {number}"}))
        for one in listeners:
            assert _heard(one, "бонус 2").count("event: bonus") == 2
        with _asked(port, "/health/live") as another:
            assert _heard(another, "\r\n\r\n").startswith("HTTP/1.1 200")


def test_no_reader_sees_half_of_a_period(redis_server: Redis) -> None:
    """A second client reads a period, again and again, while it is swapped for another: all of one, or all of the
    other."""
    board, other = Board(cache.connect(redis_server.url)), cache.connect(redis_server.url)
    names = [f"m{number:03}" for number in range(200)]
    versions = [[Kpi(name, "RUB", Decimal(value), Decimal(value), 1) for name in names[value:]] for value in (1, 2)]
    board.swap("2026-11", versions[0])
    seen, done = set(), threading.Event()

    def read() -> None:
        while not done.is_set():
            with other.pipeline(transaction=True) as together:
                together.zrange("kpi:2026-11:rank", 0, -1, withscores=True)
                for name in names:
                    together.hget(f"kpi:2026-11:{name}", "bonus")
                rank, *bonuses = together.execute()
            seen.add((len(rank), frozenset(score for _, score in rank), frozenset(bonuses) - {None}))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(60):
        board.swap("2026-11", versions[number % 2])
    done.set()
    reader.join(10)
    assert seen <= {(199, frozenset({100.0}), frozenset({"1.00"})), (198, frozenset({200.0}), frozenset({"2.00"}))}
    assert seen
