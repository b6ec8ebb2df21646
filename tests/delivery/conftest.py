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


@pytest.fixture
def planted(tmp_path: Path, postgres: Postgres, rabbitmq: RabbitMQ, redis_server: Redis) -> Iterator[Planted]:
    """Makes a plant; its arguments are tables of crm1c.toml that differ."""
    with ExitStack() as stack:
        yield lambda **tables: stack.enter_context(Plant(tmp_path, postgres, rabbitmq, redis_server, **tables))


def pytest_addoption(parser: pytest.Parser) -> None:
    """How many deals the largest test sends at once."""
    parser.addini("delivery_deals", "deals of tests/delivery/test_thousand_deals.py", default="1000")
