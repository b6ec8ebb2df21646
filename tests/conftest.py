"""What every test may use: the private servers. How tests share two processes, and the figures at the end of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:  # `tests.servers` is imported by that name, from wherever pytest is started
    sys.path.insert(0, str(ROOT))

pytest_plugins = ["tests.servers.fixtures"] if (ROOT / "tests/servers/fixtures.py").exists() else []

_FIGURES: list[str] = []


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Under `-n`: a file's tests stay together, and so do those of tests/delivery, whose processes fill a machine."""
    from xdist.scheduler import LoadScopeScheduling  # only where it is asked for

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "tests/delivery" if file.startswith("tests/delivery/") else file

    return ByFile(config, log)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what a test measured."""
    if report.when == "teardown":
        _FIGURES.extend(str(value) for name, value in report.user_properties if name == "figures")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Every run shows its figures."""
    if _FIGURES:
        terminalreporter.section("figures")
        for line in _FIGURES:
            terminalreporter.line(line)
