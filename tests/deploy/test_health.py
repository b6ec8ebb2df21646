"""docker/health.py: each role's health is that of what runs, and turns bad when it is gone."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from tests.deploy.compose import FOLDER
from tests.servers.process import Program
from tests.servers.wait import until

CELERY = [sys.executable, "-m", "celery", "-A", "application:app"]


def health(role: str, env: dict[str, str]) -> tuple[int, str]:
    """Exit code and line of the check, as Docker would run it."""
    argv = [sys.executable, str(FOLDER / "health.py"), role]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


def test_a_worker_is_healthy_as_long_as_it_answers(configured: dict[str, str]) -> None:
    """A worker of this host answers over the broker, under whatever name; killed, it does not."""
    host = socket.gethostname()
    argv = [*CELERY, "worker", "-n", f"mail-1@{host}", "-P", "solo", "-l", "info", "-Q", "crm1c.mail"]
    with Program("worker", argv, configured, lambda program: " ready." in program.log_tail()) as worker:
        assert health("worker", configured) == (0, "")
        worker.kill()
        assert health("worker", configured) == (1, f"no answer from *@{host}\n")


def test_a_beat_is_healthy_as_long_as_one_holds_the_lock(configured: dict[str, str]) -> None:
    """RedBeat's lock is there while a beat runs, and not before."""
    code, line = health("beat", configured)
    assert (code, line) == (1, "no beat holds the lock\n")
    argv = [*CELERY, "beat", "-S", "redbeat.RedBeatScheduler", "-l", "info"]
    with Program("beat", argv, configured, lambda program: "beat: Starting" in program.log_tail()):
        until(lambda: health("beat", configured) == (0, ""), 30, what="the lock is held", every=0.2)


def test_web_is_healthy_when_it_says_so(configured: dict[str, str]) -> None:
    """200 from /health/live, and nothing else."""

    class Live(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health/live" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Live) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        env = configured | {"CRM1C_WEB_PORT": str(server.server_port)}
        assert health("web", env) == (0, "")
        assert health("flower", env | {"CRM1C_FLOWER_PORT": str(server.server_port)})[0] == 1
        server.shutdown()
        thread.join()
    assert health("web", env)[0] == 1
