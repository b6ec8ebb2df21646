"""`crm1c reconcile`: what a person reads, what a program reads, and the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.cli import reconcile
from tests.cli.shell import Shell, one_line

DEAL = "Монтаж & Ко"


@pytest.fixture
def lost(shell: Shell) -> Shell:
    """A deal asks for an invoice, and its webhook was lost."""
    shell.ready()
    assert shell.setup().code == 0
    account = {"name": "ООО «Ромашка»", "cInn": "7700000016", "cKpp": "770001001"}
    made = shell.systems.crm.seeder.deal({"name": DEAL, "stage": "Proposal", "amount": 122, "amountCurrency": "RUB",
                                   "account": account})  # fmt: skip
    assert made["status"] == 200, made
    return shell


def told(shell: Shell, *words: str) -> dict[str, Any]:
    said = shell.run("reconcile", *words, "--json")
    assert said.code == 0, said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


def test_it_says_what_it_found_and_what_becomes_of_it(lost: Shell) -> None:
    """The same as JSON, on the screen and as a page; `show` tells it again."""
    report = told(lost)
    assert (report["verdict"], report["counts"]["missing"], report["repaired"]) == ("found", 1, 1)
    assert [part["state"] for part in report["parts"]] == ["done"] * len(report["parts"])
    assert report["totals"] == {"missing": {"RUB": "122"}}
    [one] = report["findings"]
    assert (one["kind"], one["entity"], one["title"], one["action"]) == ("missing", "invoice", DEAL, "repaired")
    assert (one["values"]["onec"], one["amount"], one["currency"]) == ("", "122", "RUB")
    assert told(lost, "show") == report
    said = lost.run("reconcile", "show", "--html", "report.html")
    assert said.code == 0
    assert "есть находки" in said.out
    assert "не хватает: счёт" in said.out
    page = Path("report.html").read_text("utf-8")
    assert "Монтаж &amp; Ко" in page
    assert "Счёт будет создан." in page


def test_there_is_no_report_before_the_first(shell: Shell) -> None:
    shell.ready()
    assert "crm1c reconcile" in one_line(shell.run("reconcile", "show"))


def test_what_could_not_be_compared_fails_the_command(lost: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """1C is away: the report stands, says so, and the command ends non-zero with one line."""
    monkeypatch.setattr(reconcile, "_PAUSE", 0.01)
    lost.configure(lost.systems.onec_url, "http://127.0.0.1:9")
    said = lost.run("reconcile", "--json")
    assert "documents:main" in one_line(said)
    report = json.loads(said.out)
    assert report["verdict"] == "alarm"
    assert {part["name"] for part in report["parts"] if part["state"] == "failed"} >= {"documents:main"}


def test_the_doctor_tells_of_the_last_one(lost: Shell) -> None:
    assert "сверка: ещё не было" in lost.run("doctor").out
    lost.run("reconcile")
    assert "есть находки, расхождений 1" in lost.run("doctor").out
