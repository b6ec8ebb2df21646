"""The container's health, asked of the role that runs in it: exit 0 when it answers, 1 with one line when it does not.

`python health.py [web|worker|beat|flower]`; without a role it is read from the container's first process.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

if TYPE_CHECKING:
    from celery import Celery

ROLES = ("web", "worker", "beat", "flower")


def main(argv: list[str]) -> int:
    """Ask, and say what is wrong."""
    try:
        role = argv[0] if argv else _own_role()
        trouble = {"web": _web, "worker": _worker, "beat": _beat, "flower": _flower}[role]()
    except Exception as error:  # whatever it is, the container is not healthy
        trouble = repr(error)
    if trouble:
        print(trouble)  # noqa: T201 – Docker keeps what a check prints
    return 1 if trouble else 0


def _own_role() -> str:
    words = Path("/proc/1/cmdline").read_text().split("\0")
    return next((word for word in words if word in ROLES), "web")  # web may have become gunicorn


def _web() -> str:
    return _get(os.environ.get("CRM1C_WEB_PORT") or "8080", "/health/live")


def _flower() -> str:
    return _get(os.environ.get("CRM1C_FLOWER_PORT") or "5555", "/healthcheck")


def _get(port: str, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return "" if answer.status == 200 else f"{path} answers {answer.status}"


def _worker() -> str:
    """A worker of this host (in a container: its own) answers over the broker: connected, and not deaf."""
    pattern = f"*@{socket.gethostname()}"
    answers = _app().control.ping(pattern=pattern, matcher="glob", limit=1, timeout=8)
    return "" if answers else f"no answer from {pattern}"


def _beat() -> str:
    """Some beat holds RedBeat's lock, which it has to renew; the key is RedBeat's, below the prefix of tasks.run."""
    from redis import Redis

    from integration.settings import load

    settings = load().redis
    with Redis.from_url(settings.beat_url or settings.url, socket_timeout=8) as client:
        return "" if client.exists("crm1c:beat::lock") else "no beat holds the lock"


def _app() -> Celery:
    from integration.settings import load
    from tasks.app import create

    return create(load())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
