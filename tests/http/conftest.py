"""A fresh world for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.world import World, make


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make(tmp_path)
    yield made
    made.store.engine.dispose()
