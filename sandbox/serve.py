"""Serve a sandbox system over HTTP on loopback, with waitress."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from wsgiref.types import WSGIApplication

from waitress import wasyncore  # type: ignore[import-untyped]
from waitress.server import create_server  # type: ignore[import-untyped]

THREADS = 64  # a hanging call holds one; the admin face must still be reachable


class Server:
    """One listening server. ``run()`` blocks until ``stop()`` is called, from any thread."""

    def __init__(self, app: WSGIApplication, port: int = 0, threads: int = THREADS) -> None:
        self.app = app
        self._map: dict[int, Any] = {}
        self._stopping = threading.Event()
        self._server = create_server(
            app, map=self._map, host="127.0.0.1", port=port, threads=threads, connection_limit=2000, backlog=2048,
            channel_timeout=300, max_request_body_size=1 << 28, asyncore_use_poll=True, log_socket_errors=False,
            clear_untrusted_proxy_headers=True, ident="sandbox",
        )  # fmt: skip
        self.url = f"http://127.0.0.1:{self._server.effective_port}"

    def run(self) -> None:
        """Serve until stopped."""
        try:
            while not self._stopping.is_set():
                wasyncore.loop(timeout=1.0, map=self._map, use_poll=True, count=1)
        finally:
            close = getattr(self.app, "close", None)
            if close is not None:  # lets hanging calls go, so that their threads end
                close()
            self._server.task_dispatcher.shutdown(timeout=2)
            wasyncore.close_all(self._map, ignore_all=True)

    def stop(self) -> None:
        """Make ``run()`` return."""
        self._stopping.set()
        with suppress(OSError):  # the loop has seen the flag already and closed its trigger
            self._server.pull_trigger()


@contextmanager
def serving(app: WSGIApplication, port: int = 0) -> Iterator[str]:
    """Serve ``app`` in a thread of this process; yields its base URL, such as ``http://127.0.0.1:40123``."""
    server = Server(app, port)
    thread = threading.Thread(target=server.run, name=f"sandbox {server.url}", daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.stop()
        thread.join(timeout=10)


def serve(app: WSGIApplication, port: int = 0) -> None:
    """Serve in the foreground until interrupted; tells its address on the first line of standard output."""
    server = Server(app, port)
    print(f"ready {server.url}", flush=True)
    with suppress(KeyboardInterrupt):
        server.run()
