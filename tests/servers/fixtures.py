"""pytest fixtures over the private servers, one of each per run; loaded as a plugin by tests/conftest.py.

A test that asks for one is marked `servers` by itself. Where a server is missing and cannot be installed, its tests are
skipped and named at the end of the run; under CI=true they fail. A test may stop or kill a server: one that is still
down afterwards is started again before the next test.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from tests.servers.install import Missing
from tests.servers.postgres import Postgres
from tests.servers.process import Server
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

pytest_plugins = ["tests.servers.pytest_celery_local"]

S = TypeVar("S", bound=Server)

NAMES = frozenset({"postgres", "rabbitmq", "redis_server"})
_RUNNING: list[Server] = []
_MISSING = "a server is missing: "
_UNTESTED: dict[str, list[str]] = {}  # reason → tests


def _serve(kind: Callable[[], S]) -> Iterator[S]:
    try:
        server = kind()
    except Missing as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{_MISSING}{reason}", pytrace=False)
        pytest.skip(f"{_MISSING}{reason}")
    try:
        _RUNNING.append(server.start())
        yield server
    finally:
        if server in _RUNNING:
            _RUNNING.remove(server)
        server.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A private PostgreSQL: `.url`, `.fresh()` for the URL of a new empty database, `.stop/.start/.kill`."""
    yield from _serve(Postgres)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """A private RabbitMQ: `.url` (vhost crm1c), `.vhost()` for a new one, `.ctl(*args)`, `.stop/.start/.kill`."""
    yield from _serve(RabbitMQ)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """A private Redis on noeviction that keeps nothing over a restart: `.url`, `.stop/.start/.kill`."""
    yield from _serve(Redis)


@pytest.hookimpl(tryfirst=True)  # before -m picks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks, directly or not, for a server."""
    for item in items:
        if NAMES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("servers")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test finds every server up, whatever the one before it did to it."""
    for server in _RUNNING:
        server.start()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what was skipped for want of a server."""
    if report.skipped and isinstance(report.longrepr, tuple) and _MISSING in report.longrepr[2]:
        _UNTESTED.setdefault(report.longrepr[2].partition(_MISSING)[2], []).append(report.nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested, and why: a green line alone would hide it."""
    if _UNTESTED:
        terminalreporter.section("NOT TESTED: servers are missing", red=True)
        for reason, nodeids in _UNTESTED.items():
            terminalreporter.line(reason)
            for nodeid in nodeids:
                terminalreporter.line(f"  {nodeid}")
