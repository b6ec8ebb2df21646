"""The feed of bonuses to a thousand listeners of one web process: `python -m bench.stream [--listeners 1000]
[--seconds 600]`. gunicorn as `crm1c web` runs it, a real Redis; how long each entry takes to reach the last listener,
and what memory the process takes at the beginning and at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.plant import free_port, running, wait_for_port
from integration import cache
from integration.board import Board
from integration.rules.kpi import Told
from tests.servers.redis import Redis

LISTENERS, SECONDS, EVERY, LIMIT = 1000, 600.0, 1.0, 2.0
GROWTH = 1.1  # of memory between the beginning and the end
TOKEN = "bench-token"
TOML = """\
[database]
url = "sqlite:///{folder}/crm1c.db"
[broker]
url = "amqp://127.0.0.1:1"
[redis]
url = "{redis}"
[web]
port = {port}
processes = 1
[log]
level = "ERROR"
[security]
tokens = ["env:BENCH_TOKEN"]
"""


def measure(*, quick: bool = False, listeners: int = LISTENERS, seconds: float = SECONDS) -> bool:
    """Whether every entry reached every listener in time, in steady memory."""
    if quick:
        listeners, seconds = listeners // 10, 5.0
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Redis() as redis, _web(redis.url) as (port, pid), ExitStack() as stack:
        readers = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(listeners)]
        heard = _Heard(readers)
        heard.begin()
        heard.wait(lambda: heard.welcome == listeners, 30)
        board, before = Board(cache.connect(redis.url)), _memory(pid)
        late, number, until = [], 0, time.monotonic() + seconds
        while time.monotonic() < until or not number:
            number += 1
            said = time.monotonic()
            board.tell(Told(number, "m", (), {"manager": "m", "text": f"бонус {number}", "number": str(number)}))
            heard.wait(lambda: heard.counts.get(number, 0) == listeners, 10)  # noqa: B023 – waited for at once
            late.append(heard.latest - said)
            time.sleep(max(0.0, EVERY - (time.monotonic() - said)))
        after, twice = _memory(pid), [n for n, count in heard.counts.items() if count != listeners]
    good = max(late) <= LIMIT and not twice and after <= before * GROWTH
    print(
        f"stream: {listeners} listeners of one process, {number} entries in {seconds:.0f} s: to the last listener "
        f"{sorted(late)[len(late) // 2] * 1000:.0f} ms median, {max(late) * 1000:.0f} ms at most; "
        f"lost or doubled {len(twice)}; memory {before:.0f} MB → {after:.0f} MB: {'ok' if good else 'TOO MUCH'}",
        flush=True,
    )
    return good


class _Heard:
    """All listeners' ends, read in one thread. `counts`: how many have got each entry."""

    def __init__(self, readers: list[socket.socket]) -> None:
        self.readers, self.counts = readers, dict[int, int]()
        self.welcome, self.latest = 0, 0.0
        self._rest: dict[socket.socket, bytes] = {}

    def begin(self) -> None:
        head = f"GET /api/kpi/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        for one in self.readers:
            one.sendall(head)
            one.setblocking(False)
        threading.Thread(target=self._read, daemon=True).start()

    def wait(self, done: Callable[[], bool], timeout: float) -> None:
        until = time.monotonic() + timeout
        while not done():
            if time.monotonic() > until:
                print(f"stream: waited in vain: {self.welcome} welcomed, {list(self.counts.items())[-3:]}")
                return
            time.sleep(0.005)

    def _read(self) -> None:
        with selectors.DefaultSelector() as sockets:
            for reader in self.readers:
                sockets.register(reader, selectors.EVENT_READ)
            while sockets.get_map():
                for key, _ in sockets.select(1.0):
                    one: socket.socket = key.fileobj  # type: ignore[assignment]
                    try:
                        data = one.recv(65536)
                    except OSError:
                        data = b""
                    if not data:
                        sockets.unregister(one)
                        continue
                    *lines, self._rest[one] = (self._rest.get(one, b"") + data).split(b"\n")
                    for line in lines:
                        self._line(line)

    def _line(self, line: bytes) -> None:
        if line.startswith(b"retry:"):
            self.welcome += 1
        elif line.startswith(b"data: "):
            number = int(json.loads(line[6:])["number"])
            self.latest = time.monotonic()
            self.counts[number] = self.counts.get(number, 0) + 1


@contextmanager
def _web(redis: str) -> Iterator[tuple[int, int]]:
    """`crm1c web` with one process; yields its port and the pid of that process."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        config = Path(folder, "crm1c.toml")
        config.write_text(TOML.format(folder=folder, redis=redis, port=port), encoding="utf-8")
        environ: Mapping[str, str] = os.environ | {"CRM1C_CONFIG": str(config), "BENCH_TOKEN": TOKEN}
        command = [sys.executable, "-m", "tasks.cli"]
        subprocess.run([*command, "db", "upgrade"], env=environ, check=True, stdout=sys.stderr)
        with running([*command, "web"], environ) as master:
            wait_for_port(port)
            children = Path(f"/proc/{master.pid}/task/{master.pid}/children")
            while not (found := children.read_text().split()):
                time.sleep(0.05)
            yield port, int(found[0])


def _memory(pid: int) -> float:
    """Megabytes of RAM that a process has."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listeners", type=int, default=LISTENERS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    told = parser.parse_args()
    return 0 if measure(listeners=told.listeners, seconds=told.seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
