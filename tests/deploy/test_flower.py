"""flower.conf: Flower shows, behind a password, and changes nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import requests

from tasks.cli.serve import flower_conf
from tests.deploy.compose import TOP
from tests.servers.process import HOST, Program

FLOWER = [sys.executable, "-m", "celery", "-A", "application:app", "flower", f"--conf={TOP / 'flower.conf'}"]


def healthy(flower: Program) -> bool:
    """Flower's own health page answers; requests' errors are OSErrors."""
    return requests.get(f"http://{HOST}:{flower.port}/healthcheck", timeout=5).ok


@pytest.fixture
def flower(configured: dict[str, str]) -> Iterator[Program]:
    """Flower on a private broker, its password given as in compose.yml but for the file."""
    secrets = {"CRM1C_FLOWER_USER": "admin", "CRM1C_FLOWER_PASSWORD": "right", "FLOWER_PORT": "{port}"}
    with Program("flower", FLOWER, configured | secrets, healthy) as program:
        yield program


def test_flower_shows_only_to_those_with_the_password_and_changes_nothing(flower: Program) -> None:
    """401 without or with a wrong password, pages with it, and a refusal for whatever would change something."""
    url = f"http://{HOST}:{flower.port}"
    for path in ("/", "/tasks", "/broker", "/api/workers", "/api/tasks"):
        assert requests.get(url + path, timeout=10).status_code == 401
        assert requests.get(url + path, auth=("admin", "wrong"), timeout=10).status_code == 401
    admin = ("admin", "right")
    assert requests.get(f"{url}/tasks", auth=admin, timeout=10).status_code == 200
    assert requests.get(f"{url}/api/tasks", auth=admin, timeout=10).json() == {}
    for path in ("/api/task/send-task/crm1c.inbound", "/api/task/revoke/1", "/api/worker/shutdown/any@one"):
        assert requests.post(url + path, json={"args": [1]}, timeout=10).status_code == 401
        assert requests.post(url + path, json={"args": [1]}, auth=admin, timeout=10).status_code == 403


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({}, "no password"),
        ({"CRM1C_FLOWER_USER": "admin"}, "no password"),
        ({"FLOWER_BASIC_AUTH": "admin:"}, "no password"),
        ({"FLOWER_BASIC_AUTH": "admin:right", "FLOWER_UNAUTHENTICATED_API": "true"}, "FLOWER_UNAUTHENTICATED_API"),
    ],
)
def test_flower_does_not_start_open(configured: dict[str, str], given: dict[str, str], word: str) -> None:
    """Without a password, or with its API opened to everyone, it ends with a line that says what to set."""
    done = subprocess.run(FLOWER, env=configured | given, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert word in done.stderr.splitlines()[-1]


def test_its_file_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of one's own in the folder comes first; one that is named and isn't there is told."""
    monkeypatch.chdir(tmp_path)
    assert flower_conf(None).name == "flower.conf"
    (tmp_path / "flower.conf").write_text("")
    assert flower_conf(None) == Path("flower.conf")
    with pytest.raises(click.BadParameter, match="нет файла nosuch"):
        flower_conf(Path("nosuch.conf"))
