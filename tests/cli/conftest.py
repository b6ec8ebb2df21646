"""A shell in a new folder for each test; the sandbox systems for each module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell, Systems, served


@pytest.fixture(scope="module")
def systems() -> Iterator[Systems]:
    with served() as systems:
        yield systems


@pytest.fixture
def shell(
    systems: Systems, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    systems.reset()
    return Shell(systems, tmp_path, monkeypatch, capsys)
