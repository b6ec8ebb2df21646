"""One town per module, as new for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.town import Town, built


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    with built() as town:
        yield town


@pytest.fixture
def town(place: Town, tmp_path: Path) -> Town:
    place.reset(tmp_path)
    return place
