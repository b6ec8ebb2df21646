"""Notices to managers through every channel: once a cause, at an hour when the manager is awake where he lives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.errors import Misconfigured
from integration.flows.notice import owed_notice, seconds_of_quiet
from integration.work import Event
from sandbox.mail import Mail
from sandbox.serve import serving
from tests.flows.books import Books
from tests.flows.neighbours import CLIENT
from tests.flows.test_letter import WRITTEN, parked, table
from tests.flows.test_sync import TABLES, Pair, conflicting
from tests.flows.town import START, Town

NIGHT = datetime(2026, 11, 24, 19, 30, tzinfo=UTC)  # 22:30 in Moscow, 01:30 in Omsk
MANAGER = "ivanova@crm.example"


class Service:
    """What a notification service that Apprise knows as json:// was told; `ill`: how many times it refuses first."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.ill = 0

    def __call__(self, environ: dict[str, Any], start: Any) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        refused, self.ill = self.ill > 0, max(0, self.ill - 1)
        if not refused:
            self.told.append(json.loads(body))
        start("503 Busy" if refused else "200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return [b""]


@pytest.fixture
def service() -> Iterator[Service]:
    told = Service()
    with serving(told) as address:
        told.address = address.replace("http://", "json://")  # type: ignore[attr-defined]
        yield told


@pytest.fixture
def post() -> Iterator[Mail]:
    with Mail() as mail:
        yield mail


def opened(
    place: Town, folder: Path, post: Mail, service: Service, tables: Any = None, start: datetime = START, **more: Any
) -> Town:
    """A town whose notices go through all three channels."""
    place.secrets = {"APPRISE": service.address}  # type: ignore[attr-defined]
    notices = {"channels": ["crm", "mail", "apprise"], "apprise": "env:APPRISE", **more}
    place.reset(folder, table(post) | {"notices": notices} | (tables or {}), start)
    [role] = [one for one in place.crm.store.rows("Role") if one["name"] == "1C Integration"]
    role["data"] = {**role["data"], "User": {"read": "all"}}  # by default a CRM's role shows no users
    return place


def mailed(post: Mail) -> list[dict[str, Any]]:
    return [letter for letter in post.letters() if letter["to"] == [MANAGER]]


def owe(town: Town, deal: str, cause: str, text: str) -> None:
    with town.world.store.unit("owe") as unit:
        unit.owe(
            *owed_notice(town.world.services, "espo", deal, cause, text), cause=Event("", "t", "", "", "", b"", "t")
        )


def test_one_cause_is_told_once_through_each_channel(place: Town, tmp_path: Path, post: Mail, service: Service) -> None:
    """A line in the stream, a letter, and a real Apprise that calls a real service; a second time nothing."""
    town = opened(place, tmp_path, post, service)
    deal = town.deal(name="Монтаж")
    for _ in range(2):
        owe(town, deal, "bonus:1", "Получен платёж 1 220,00 руб. Вам начислен бонус 12,20 руб.")
        town.work()
    owe(town, deal, "bonus:2", "Вам начислен бонус 1,00 руб.")
    town.work()
    said = "Получен платёж 1 220,00 руб. Вам начислен бонус 12,20 руб."
    assert town.notes(deal) == [said, "Вам начислен бонус 1,00 руб."]
    assert mailed(post)[0]["text"].splitlines() == ["Монтаж", "", said]
    assert len(mailed(post)) == 2
    assert [one["message"] for one in service.told] == [f"Монтаж: {said}", "Монтаж: Вам начислен бонус 1,00 руб."]
    assert parked(town) == {}


def test_a_service_that_is_away_is_tried_again(place: Town, tmp_path: Path, post: Mail, service: Service) -> None:
    """503 twice; the other channels said it meanwhile, once."""
    town = opened(place, tmp_path, post, service)
    service.ill = 2
    deal = town.deal()
    owe(town, deal, "bonus:1", "Вам начислен бонус")
    town.work()
    assert len(service.told) == len(mailed(post)) == len(town.notes(deal)) == 1


def test_notices_wait_for_the_managers_own_morning(place: Town, tmp_path: Path, post: Mail, service: Service) -> None:
    """Quiet hours by each manager's clock, by user name: in Omsk eight comes three hours before Moscow's eight."""
    town = opened(place, tmp_path, post, service, start=NIGHT, quiet="21:00-08:00", zones={"ivanova": "Asia/Omsk"})
    deal = town.deal()
    owe(town, deal, "bonus:1", "Вам начислен бонус")
    town.work(1800)
    assert len(town.notes(deal)) == 1  # a line in a stream wakes nobody
    assert (mailed(post), service.told) == ([], [])
    town.work()
    assert (town.now().hour, town.now().minute) == (2, 0)  # 08:00 in Omsk
    assert len(mailed(post)) == len(service.told) == 1


def test_without_a_zone_of_his_own_the_manager_lives_by_the_schedule(
    place: Town, tmp_path: Path, post: Mail, service: Service
) -> None:
    """Moscow; a team's zone is not another team's."""
    town = opened(place, tmp_path, post, service, start=NIGHT, quiet="21:00-08:00", zones={"Другие": "Asia/Omsk"})
    owe(town, town.deal(), "bonus:1", "Вам начислен бонус")
    town.work()
    assert town.now().hour == 5  # 08:00 in Moscow
    assert len(mailed(post)) == len(service.told) == 1


# What waits for a person


def test_a_letter_that_bounced_waits_for_its_manager(place: Town, tmp_path: Path, post: Mail, service: Service) -> None:
    """550 of the client's server."""
    town = opened(place, tmp_path, post, service)
    post.add_fault({"kind": "reply", "at": "rcpt", "code": 550, "to": "romashka"})
    event = town.done(town.deal(account=WRITTEN))
    town.replay(event.id)
    [told] = service.told
    assert "Клиенту не отправлен счёт № " in told["message"]
    assert "550" in told["message"]
    assert len(mailed(post)) == 1


def test_an_invoice_that_was_parked_waits_for_its_manager(
    place: Town, tmp_path: Path, post: Mail, service: Service
) -> None:
    """The stream says it by itself, once; the others too."""
    town = opened(place, tmp_path, post, service)
    deal = town.deal(account={**CLIENT, "cInn": "7700000017"})
    event = town.done(deal)
    town.replay(event.id)
    assert [one for one in town.notes(deal) if "Счёт не создан" in one] == town.notes(deal)
    assert len(town.notes(deal)) == len(mailed(post)) == len(service.told) == 1
    assert "Счёт не создан: " in service.told[0]["message"]


def test_a_payment_that_waits_for_a_decision_is_told(place: Town, tmp_path: Path, post: Mail, service: Service) -> None:
    """Its text names what can't be resolved; told once, however often the account is computed again."""
    town = opened(place, tmp_path, post, service)
    books = Books(town)
    deal = books.deal(1220, account=CLIENT)
    before = len(service.told)
    books.pay(500, purpose="Оплата по счету № 999 от 01.02.2026")
    books.pull()
    books.pay(10, books.bill(deal))
    books.pull()
    waiting = [one["message"] for one in service.told[before:] if "ждёт решения" in one["message"]]
    assert len(waiting) == 1
    assert "на 500,00 RUB ждёт решения" in waiting[0].replace("\u00a0", " ")
    assert len([one for one in town.notes(deal) if "ждёт решения" in one]) == 1


def test_a_conflict_of_a_client_waits_for_his_manager(
    place: Town, tmp_path: Path, post: Mail, service: Service
) -> None:
    """Both values are named; the stream has its own line, and looking again tells nothing new."""
    town = opened(place, tmp_path, post, service, TABLES)
    client = Pair(town)
    [manager] = [one for one in town.crm.store.rows("User") if one["userName"] == "ivanova"]
    client.edit(assignedUserId=manager["id"])
    conflicting(client)
    client.tell()
    town.work()
    [told] = service.told
    assert "email: в CRM «crm@a.example», в 1С «onec@a.example»" in told["message"]
    assert len(mailed(post)) == 1
    assert len([one for one in town.notes(client.account) if "crm@a.example" in one]) == 1


# The parts


def test_an_address_that_apprise_does_not_know_is_told_at_the_start(
    place: Town, tmp_path: Path, post: Mail, service: Service
) -> None:
    """By its number: the address itself is a secret."""
    service.address = "carrier-pigeon://home"  # type: ignore[attr-defined]
    with pytest.raises(Misconfigured, match="адрес № 1") as raised:
        opened(place, tmp_path, post, service)
    assert "pigeon" not in str(raised.value)


@given(st.integers(0, 2 * 86_400_000), st.integers(0, 1439), st.integers(0, 1439))
def test_quiet_hours_end_when_they_end(milliseconds: int, begins: int, ends: int) -> None:
    """Before them and after them there is nothing to wait for; within them the wait ends at their very end."""
    quiet = "-".join(f"{at // 60:02}:{at % 60:02}" for at in (begins, ends))
    moment = NIGHT + timedelta(milliseconds=milliseconds)
    left = seconds_of_quiet(quiet, moment)
    minute = moment.hour * 60 + moment.minute
    within = begins <= minute < ends if begins < ends else minute >= begins or minute < ends
    assert (left > 0) == within
    if within:
        over = (moment.hour * 3600 + moment.minute * 60 + moment.second + moment.microsecond / 1e6 + left) % 86_400
        assert abs(over - ends * 60) < 1e-3
