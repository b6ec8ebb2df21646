"""Whatever happens to money in any order, with crashes between steps: the ledger equals one made from nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.flows.machine import run
from tests.flows.town import Town, built


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    with built() as town:
        yield town


@pytest.mark.slow
def test_the_ledger_equals_one_computed_from_nothing(place: Town) -> None:
    """After edits, unposting, posting again, erasure, other contracts' terms, statements, pins and deaths."""
    run(place, examples=25)
