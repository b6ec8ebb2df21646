"""pytest-celery's `celery_setup` on private local processes, where it would take Docker containers.

Its nodes ask little of a container: status, logs, kill, restart. `LocalNode` answers that for a private server, so that
all of the plugin above the containers works as it is. Brokers: RabbitMQ in a vhost of its own; results: Redis; worker:
a real `celery worker` process on the application that the plugin generates.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from pytest_celery import (
    CeleryTestBackend,
    CeleryTestBroker,
    CeleryTestContainer,
    CeleryTestSetup,
    CeleryWorkerContainer,
    RedisTestBackend,
)
from pytest_celery import RabbitMQTestBroker as RabbitMQNode

from tests.servers.process import Program, Server
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis


class LocalNode:
    """What pytest-celery asks of a Docker container, answered by a private server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.id = secrets.token_hex(32)
        self.name = server.name
        self.attrs = {"NetworkSettings": {"Networks": {}, "Ports": {}}, "Config": {"Env": [], "Hostname": "localhost"}}

    @property
    def status(self) -> str:
        """In Docker's words."""
        return "running" if self.server.running else "exited"

    def reload(self) -> None:
        """Nothing is cached here."""

    def logs(self) -> bytes:
        """The process's whole output."""
        return self.server.log.read_bytes()

    def kill(self, signal: str | int | None = None) -> None:
        """SIGKILL is the default, as in Docker; any other signal is taken for an orderly end."""
        if signal in (None, 9, "SIGKILL", "KILL"):
            self.server.kill()
        else:
            self.server.stop()

    def restart(self, timeout: float = 10) -> None:
        """Stop, if it runs, and start."""
        self.server.restart()


class LocalContainer(CeleryTestContainer):
    """A broker or result backend that is a private server, reached at one URL from everywhere."""

    def __init__(self, server: Server, url: str) -> None:
        super().__init__(LocalNode(server))
        self.url = url

    @property
    def celeryconfig(self) -> dict[str, Any]:
        """`url` is for the worker and `host_url` for the test: the same, for there is no container network."""
        return {"url": self.url, "host_url": self.url, "vhost": self.url.rpartition("/")[2]}


class LocalWorker(Program):
    """A worker process in a folder with the modules that the plugin wants in its container."""

    def __init__(self, argv: list[str], env: dict[str, str], content: dict[str, bytes]) -> None:
        super().__init__("worker", [sys.executable, "-m", *argv], env, lambda worker: " ready." in worker.log_tail())
        self.env["PYTHONPATH"] = str(self.folder)
        for path, text in content.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_bytes(text)


class LocalSetup(CeleryTestSetup):
    """Leaves no connection of the test's own application open."""

    def teardown(self) -> None:
        """Close the application's pools."""
        self.app.close()
        super().teardown()


@pytest.fixture
def celery_setup_cls() -> type[CeleryTestSetup]:
    """Our setup."""
    return LocalSetup


@pytest.fixture
def celery_broker(rabbitmq: RabbitMQ) -> CeleryTestBroker:
    """A new vhost of the private RabbitMQ; the plugin's own would be one test for each broker that it knows."""
    return RabbitMQNode(LocalContainer(rabbitmq, rabbitmq.vhost()))


@pytest.fixture
def celery_backend(redis_server: Redis) -> CeleryTestBackend:
    """The private Redis."""
    return RedisTestBackend(LocalContainer(redis_server, redis_server.url))


@pytest.fixture
def default_worker_container(
    default_worker_container_cls: type[CeleryWorkerContainer],
    default_worker_command: list[str],
    default_worker_env: dict[str, str],
    default_worker_initial_content: dict[str, bytes],
    default_worker_app: Celery,
) -> Iterator[CeleryWorkerContainer]:
    """A worker process with the plugin's command line, environment and modules."""
    with LocalWorker(default_worker_command, default_worker_env, default_worker_initial_content) as worker:
        yield default_worker_container_cls(LocalNode(worker))
