"""The first hour with crm1c, as README tells it: its own lines typed beside sandbox systems."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tasks.cli.sandbox import CRM_ADMIN_PASSWORD, CRM_KEY, ONEC_PASSWORD, started
from tests.docs.pages import COMMANDS, READMES, Line, blocks, lines
from tests.servers.wait import until

pytestmark = pytest.mark.slow

TOKEN = "token-of-the-first-hour"
CLIENT = {"name": "ООО «Ромашка»", "cInn": "7700000016", "cKpp": "770001001"}


@dataclass
class Desk:
    """An empty folder, and the addresses that stand for README's examples."""

    folder: Path
    crm: str
    url: str
    replaced: dict[str, str]
    env: dict[str, str]

    def argv(self, line: Line) -> list[str]:
        words = [sys.executable, "-m", "tasks.cli", *line.words[1:]]
        for there, here in self.replaced.items():
            words = [word.replace(there, here) for word in words]
        return words

    def type(self, line: Line) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(line), cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=120, check=False
        )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with started("onec") as onec, started("crm", "--interval", "0.2", "--no-fields") as crm:
        env = {name: value for name, value in os.environ.items() if not name.startswith("CRM1C_")} | {
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "ONEC_PASSWORD": ONEC_PASSWORD,
            "ESPO_API_KEY": CRM_KEY,
            "API_TOKEN": TOKEN,
            "CRM1C_ADMIN_PASSWORD": CRM_ADMIN_PASSWORD,
            "CRM1C_WEB_PORT": url.rpartition(":")[2],
        }
        yield Desk(
            tmp_path, crm, url,
            {"https://crm1c.company.example": url, "https://crm.company.example": crm,
             "http://1c.company.example": onec},
            env,
        )  # fmt: skip


def connecting() -> list[Line]:
    """The lines of the section that connects a CRM and a 1C base, `crm1c init` being the first."""
    (block,) = (block for block in blocks(*COMMANDS, pages=READMES[:1]) if block.text.startswith("crm1c init"))
    known = {line.text: line for line in lines(READMES[:1])}
    return [known[text] for text in block.text.splitlines()]


def test_from_an_empty_folder_to_the_first_invoice(desk: Desk) -> None:
    """init, db upgrade, doctor (the webhooks are its only FAIL), setup, doctor, up; the button; the event is listed."""
    init, secrets, upgrade, doctor, setup, again, up = connecting()
    for line in (init, upgrade):
        done = desk.type(line)
        assert done.returncode == 0, done.stderr
    written = re.sub(r"^#.*|\s#\s.*", "", (desk.folder / "crm1c.toml").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {word.partition("=")[0] for word in secrets.words[1:]} == set(re.findall(r'"env:(\w+)"', written))
    failed = [text for text in desk.type(doctor).stdout.splitlines() if text.startswith("FAIL")]
    assert len(failed) == 1
    assert "вебхуков" in failed[0]
    done = desk.type(setup)
    assert done.returncode == 0, done.stdout + done.stderr
    done = desk.type(again)
    assert done.returncode == 0, done.stdout + done.stderr
    with subprocess.Popen(desk.argv(up), cwd=desk.folder, env=desk.env) as running:
        try:
            until(lambda: _ready(desk.url), 60, what="crm1c up")
            _press(desk)
        finally:
            running.terminate()
            running.wait(60)


def test_what_readme_shows_is_what_the_demo_tells(tmp_path: Path) -> None:
    """Each quoted line of the demo is told by it, word for word."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("CRM1C_")}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    argv = [sys.executable, "-m", "tasks.cli", "demo", "--once"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    quoted = [text for block in blocks("text", pages=READMES) for text in block.text.splitlines()]
    assert len(quoted) > 10
    assert [text for text in quoted if text not in done.stdout] == []


def _press(desk: Desk) -> None:
    """README's button for a deal that asks for nothing by itself, twice; then README's look at the events."""
    body = {"user": "ivanova", "name": "Монтаж", "amount": 1220, "amountCurrency": "RUB", "stage": "Prospecting"}
    made = requests.post(f"{desk.crm}/_sandbox/deals", json=body | {"account": CLIENT}, timeout=10).json()
    (button,) = (line for line in lines(READMES[:1]) if "/invoice?wait=" in line.text and line.words[0] == "curl")
    url = next(word for word in button.words if "://" in word).replace("DEAL_ID", made["body"]["id"])
    url = url.replace("https://crm1c.company.example", desk.url)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answers = [requests.post(url, headers=headers, timeout=60) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["invoice"] == answers[1].json()["invoice"]
    assert answers[0].json()["invoice"]["state"] == "posted"
    parked = next(line for line in lines(READMES[:1]) if line.text == "crm1c events list --state parked")
    done = desk.type(parked)
    assert (done.returncode, done.stdout.strip()) == (0, "Событий нет.")
    metrics: Any = requests.get(f"{desk.url}/metrics", headers=headers, timeout=10)
    assert metrics.status_code == 200


def _ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/health/ready", timeout=2).status_code == 200
    except requests.ConnectionError:
        return False
