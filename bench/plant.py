"""What measurements run on: private PostgreSQL and RabbitMQ, crm1c's own processes, a port that answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

SECRET = "bench-webhook-secret-0123456789ab"
TOML = """\
[database]
url = "env:BENCH_DATABASE"
[broker]
url = "env:BENCH_BROKER"
[redis]
url = "env:BENCH_REDIS"
[web]
port = {port}
public_url = "http://127.0.0.1:{port}"
[log]
level = "WARNING"
[onec.main]
base_url = "{onec}/bp/odata/standard.odata"
username = "Обмен"
password = "env:ONEC_PASSWORD"
organisation = "7707083893"
max_sessions = 8
[crm.espo]
kind = "espocrm"
base_url = "{crm}"
api_key = "env:ESPO_API_KEY"
webhook_secret = ["env:ESPO_WEBHOOK_SECRET"]
"""


@contextmanager
def servers() -> Iterator[tuple[Postgres, RabbitMQ, Redis]]:
    """Private servers with their data in a temporary folder; fsync as in production."""
    with Postgres() as postgres, RabbitMQ() as rabbitmq, Redis() as redis:
        yield postgres, rabbitmq, redis


@contextmanager
def configured(
    postgres: Postgres, rabbitmq: RabbitMQ, redis: Redis, onec: str, crm: str
) -> Iterator[tuple[Mapping[str, str], int]]:
    """A crm1c.toml with an empty, migrated database; yields (environment, the web's port)."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        config = Path(folder, "crm1c.toml")
        config.write_text(TOML.format(port=port, onec=onec, crm=crm), encoding="utf-8")
        environ = os.environ | {
            "CRM1C_CONFIG": str(config),
            "BENCH_DATABASE": postgres.fresh(),
            "BENCH_BROKER": rabbitmq.vhost(),
            "BENCH_REDIS": redis.url,
            "ONEC_PASSWORD": "obmen",
            "ESPO_API_KEY": "5a4db0c0ffee4cafe0a11ce0b0bca750",
            "ESPO_WEBHOOK_SECRET": SECRET,
        }
        subprocess.run([sys.executable, "-m", "tasks.cli", "db", "upgrade"], env=environ, check=True, stdout=sys.stderr)
        yield environ, port


@contextmanager
def running(argv: list[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A child process for the time of the block."""
    with subprocess.Popen(argv, env=dict(environ)) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, timeout: float = 60.0) -> None:
    """Until something listens on loopback."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")
