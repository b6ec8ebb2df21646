"""A plant for each test that asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.delivery.plant import Plant
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

Planted = Callable[..., Plant]
Told = Callable[[str], None]


@pytest.fixture
def planted(tmp_path: Path, postgres: Postgres, rabbitmq: RabbitMQ, redis_server: Redis) -> Iterator[Planted]:
    """Makes a plant; its arguments are tables of crm1c.toml that differ."""
    with ExitStack() as stack:
        yield lambda **tables: stack.enter_context(Plant(tmp_path, postgres, rabbitmq, redis_server, **tables))


@pytest.fixture
def told(record_property: Callable[[str, object], None]) -> Told:
    """Keeps a test's figures for the end of the run (tests/conftest.py)."""
    return lambda text: record_property("figures", text)
