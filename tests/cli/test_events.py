"""`crm1c events`: look at the inbox, bring back, discard."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integration.bootstrap import build
from integration.errors import Rejected
from integration.settings import load
from integration.work import Arrival, Event
from tests.cli.shell import Shell, one_line


@pytest.fixture
def inbox(shell: Shell) -> dict[str, str]:
    """Three events: one waits, one was done, one was parked; their ids."""
    shell.ready()
    world = build(load(), lambda *_: None)
    ids = {}
    for name in ("waits", "parked", "other"):
        arrival = Arrival("espo", "Opportunity", "update", name, b'{"id": "x"}', event_id=name)
        [ids[name]], _ = world.store.receive([arrival], b"[]", {}, "trace")
    for name in ("parked", "other"):
        claimed = world.store.claim_event(ids[name])
        assert isinstance(claimed, Event)
        world.store.park(claimed, "rejected", Rejected("Не указан клиент.", detail="HTTP 400"))
    world.close()
    return ids


def listed(shell: Shell, *words: str) -> list[dict[str, Any]]:
    said = shell.run("events", "list", "--json", *words)
    assert said.code == 0
    found: list[dict[str, Any]] = json.loads(said.out)
    return found


def test_an_empty_inbox(shell: Shell) -> None:
    shell.ready()
    assert shell.run("events", "list").out == "Событий нет.\n"
    assert listed(shell) == []


def test_the_list_for_people(shell: Shell, inbox: dict[str, str]) -> None:
    shell.environ("COLUMNS", "200")
    said = shell.run("events", "list")
    assert said.code == 0
    for words in (*inbox.values(), "ждёт", "отложено (rejected)", "Не указан клиент.", "Opportunity.update"):
        assert words in said.out


def test_the_list_on_a_narrow_screen_keeps_its_words_whole(shell: Shell, inbox: dict[str, str]) -> None:
    """Eighty columns, a pipe's too, hold no table of eight: two lines an event instead."""
    shell.environ("COLUMNS", "80")
    said = shell.run("events", "list").out
    assert len(said.splitlines()) == 2 * len(inbox)
    for words in (*inbox.values(), "отложено (rejected), попыток: 1. Не указан клиент.", "espo Opportunity.update"):
        assert words in said


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], ["other", "parked", "waits"]),
        (["--state", "parked"], ["other", "parked"]),
        (["--state", "due"], ["waits"]),
        (["--kind", "rejected"], ["other", "parked"]),
        (["--kind", "conflict"], []),
        (["--source", "espo", "--record", "waits"], ["waits"]),
        (["--source", "shop"], []),
        (["--until", "2020-01-01"], []),
        (["--since", "2020-01-01"], ["other", "parked", "waits"]),
    ],
)
def test_the_list_narrowed(shell: Shell, inbox: dict[str, str], words: list[str], names: list[str]) -> None:
    assert sorted(one["record_id"] for one in listed(shell, *words)) == names
    assert len(listed(shell, "--limit", "1", *words)) == min(1, len(names))


def test_show_tells_everything(shell: Shell, inbox: dict[str, str]) -> None:
    told = json.loads(shell.run("events", "show", inbox["parked"]).out)
    assert told["view"]["error"] == "Не указан клиент."
    assert told["view"]["detail"] == "HTTP 400"
    assert told["body"] == {"id": "x"}


def test_replay_of_one(shell: Shell, inbox: dict[str, str]) -> None:
    assert shell.run("events", "replay", inbox["parked"]).out == "Возвращено в работу: 1\n"
    assert {one["record_id"] for one in listed(shell, "--state", "due")} == {"parked", "waits"}


def test_replay_of_all_that_match(shell: Shell, inbox: dict[str, str]) -> None:
    assert shell.run("events", "replay", "--kind", "rejected").out == "Возвращено в работу: 2\n"
    assert listed(shell, "--state", "parked") == []
    assert shell.run("events", "replay", "--state", "parked").out == "Возвращено в работу: 0\n"


def test_discard(shell: Shell, inbox: dict[str, str]) -> None:
    assert shell.run("events", "discard", inbox["parked"], "--reason", "сделка отменена").out == "Снято: 1\n"
    view = json.loads(shell.run("events", "show", inbox["parked"]).out)["view"]
    assert (view["state"], view["outcome"], view["outcome_text"]) == ("done", "skipped", "сделка отменена")
    assert [one["record_id"] for one in listed(shell, "--state", "parked")] == ["other"]


@pytest.mark.parametrize(
    "words", [["show", "ffff"], ["replay", "ffff"], ["discard", "ffff", "--reason", "x"], ["replay"]]
)
def test_what_is_not_there(shell: Shell, inbox: dict[str, str], words: list[str]) -> None:
    """An id with a slip of the pen is told, not taken for «nothing to do»; without one nothing is replayed at all."""
    line = one_line(shell.run("events", *words))
    assert "ffff" in line or "--state" in line
    assert len(listed(shell, "--state", "parked")) == 2


def test_a_replay_while_the_broker_is_away(shell: Shell, inbox: dict[str, str]) -> None:
    """The row is due and the sweep will call it: the command ends instead of waiting for the broker."""
    shell.configure('url = "memory://"', 'url = "amqp://guest:guest@127.0.0.1:9/none"')
    assert shell.run("events", "replay", inbox["parked"]).out == "Возвращено в работу: 1\n"
    assert "parked" in [one["record_id"] for one in listed(shell, "--state", "due")]
