"""The store on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.store.migrate import upgrade
from tests.store.world import World, closing


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'crm1c.db'}"
    fresh: str = request.getfixturevalue("postgres").fresh()
    return fresh


@pytest.fixture
def world(url: str) -> Iterator[World]:
    """A store on a migrated database."""
    upgrade(url)
    yield from closing(World(url))
