"""A machine without a server: its tests are skipped loudly, and fail where everything has to be tested."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import install

CONFTEST = """
import tests.servers.redis
from tests.servers.install import Missing
def ensure(server):
    raise Missing(f"{server}: not for this machine")
tests.servers.redis.ensure = ensure
pytest_plugins = ["tests.servers.fixtures"]
"""


@pytest.mark.parametrize(("ci", "code", "counts"), [("", 0, "1 passed, 1 skipped"), ("true", 1, "1 passed, 1 error")])
def test_a_missing_server_is_told(tmp_path: Path, ci: str, code: int, counts: str) -> None:
    """The run's end names the server, the reason and the tests; under CI=true they are errors."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text("def test_one(redis_server): ...\ndef test_two(): ...\n")
    env = {**os.environ, "CI": ci, "PYTHONPATH": str(Path(__file__).parents[2])}
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        "/dev/null",
        "-o",
        "markers=servers: x",
        "--rootdir",
        tmp_path,
        tmp_path,
    ]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout
    assert counts in done.stdout
    assert "redis: not for this machine" in done.stdout
    assert ("NOT TESTED: servers are missing" in done.stdout) is (not ci)


def test_what_cannot_be_installed_says_how_it_could(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root nothing is tried, and the message names the package."""
    monkeypatch.setattr(install, "find", lambda server: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(install.Missing, match="rabbitmq-server: not installed; as root on Debian"):
        install.ensure("rabbitmq")
