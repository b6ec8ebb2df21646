"""compose.yml's own command lines, as processes on private servers: migrations, then every role, each healthy."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.compose import FOLDER, TOP, Local, filled, load, local
from tests.servers.postgres import Postgres
from tests.servers.process import HOST, Program, free_port
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="host names of their own for the services need root"),
]

ROLES = {"web": "web", "worker-onec": "worker", "worker": "worker", "beat": "beat", "flower": "flower"}
BIN = Path(sys.executable).parent


def place(url: str) -> str:
    """host:port/name of a URL."""
    return url.partition("://")[2].rpartition("@")[2]


@pytest.fixture
def deployed(tmp_path: Path, postgres: Postgres, rabbitmq: RabbitMQ) -> Iterator[Callable[[str], Local]]:
    """Turns a service's name into its local command: a new database, vhost and Redis, secrets in files."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("database", "redis", "flower"):
        (secrets / f"{name}_password").write_text(f"{name}-pass\n")
    (secrets / "broker_password").write_text(f"{rabbitmq.password}\n")
    (tmp_path / "crm1c.toml").write_text("")
    env = {"CRM1C_CONFIG_FILE": "-", "CRM1C_SECRETS": "-", "CRM1C_FLOWER_USER": "admin"}
    services: dict[str, Any] = filled(load("compose.yml"), env)["services"]
    with Redis(password="redis-pass") as redis:
        replaced = {
            "postgres:5432/crm1c": place(postgres.fresh()),
            "rabbitmq:5672/crm1c": place(rabbitmq.vhost()),
            "redis:6379": f"{HOST}:{redis.port}",
            "/run/secrets": str(secrets),
            "/etc/crm1c/flower.conf": str(TOP / "flower.conf"),
            "0.0.0.0": HOST,
            "8080": str(free_port()),
            "5555": str(free_port()),
        }

        def service(name: str) -> Local:
            made = local(services[name], replaced)
            path = f"{BIN}:{os.environ['PATH']}"
            return Local([str(BIN / made.argv[0]), *made.argv[1:]], {
                "PATH": path, "CRM1C_CONFIG": str(tmp_path / "crm1c.toml"), **made.env,
            })  # fmt: skip

        yield service


def hosted(name: str, argv: list[str]) -> list[str]:
    """The command line under a host name of its own, as in a container: workers are told apart by it."""
    return ["unshare", "--uts", "--", "sh", "-c", 'hostname "$0" && exec "$@"', name, *argv]


def healthy(role: str, program: Program) -> bool:
    """What Docker would find."""
    argv = hosted(program.name, [sys.executable, str(FOLDER / "health.py"), role])
    env = program.env | {"PYTHONPATH": str(FOLDER.parent)}
    return subprocess.run(argv, env=env, capture_output=True).returncode == 0


def test_every_service_starts_and_is_healthy_and_ends_when_told(deployed: Callable[[str], Local]) -> None:
    """Migrations end with 0, twice; then each role is healthy beside the others, and ends by itself on SIGTERM."""
    migrate = deployed("migrate")
    for _ in range(2):
        done = subprocess.run(migrate.argv, env=migrate.env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    with contextlib.ExitStack() as running:
        programs = {}
        for name, role in ROLES.items():
            service = deployed(name)
            program = Program(name, hosted(name, service.argv), service.env, functools.partial(healthy, role))
            programs[name] = running.enter_context(program)
        for program in programs.values():
            assert program.running, program.log_tail()
            program.stop()
            assert program.exit_code in (0, -15, 143), program.log_tail()
