"""DaData: 200 without suggestions, branches with and without КПП, statuses, keys and quotas."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mappers.canonical import Requisites
from mappers.dialect import Fault, Quota
from mappers.requisites.dadata import STATES, DaData
from mappers.verbs import RequisitesDialect
from mappers.wire import parse_json
from sandbox.registry import TOKEN, Registry
from sandbox.serve import serving
from tests.mappers.replay import Exchange, exchange, replay
from tests.mappers.sources import Line, tape

COMPANY, PERSON = "2901007710", "290155821355"
SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "samples" / "dadata"
PARTY = "findById/party"


def dadata(**options: Any) -> DaData:
    return DaData({"token": "2f1b7c90e4d3a586", **options})


def steps(*names: str, base: str = DaData.home) -> list[Exchange]:
    return tape("dadata", *names, base=base, ignored=("Authorization", "Content-Type"))


def told(name: str, inn: str = COMPANY, kpp: str = "") -> list[Requisites]:
    return replay(dadata().requisites(inn, kpp), steps(name))


def test_is_a_source() -> None:
    """It speaks the protocol; without the secret key it has no quota to tell."""
    dialect: RequisitesDialect = dadata()
    assert dialect.capabilities == {"branches", "statuses"}
    assert "quota" in dadata(secret="s").capabilities
    assert dialect.credentials() == {"Authorization": "Token 2f1b7c90e4d3a586"}
    assert dadata(token=("new", "old")).credentials() == {"Authorization": "Token new"}


def test_no_token() -> None:
    """The key that is missing is named."""
    with pytest.raises(ValueError, match="token"):
        DaData({})


def test_head_office_and_branches() -> None:
    """The head office first, then its branches, one of which has no КПП; each knows its head office's."""
    main, vologda, kotlas = told("company_and_branches")
    assert main == Requisites(
        inn=COMPANY, source="dadata", kpp="290101001", ogrn="1162901051235", name='ООО "СЕВЕРНЫЙ ЛЕС"',
        full_name='ОБЩЕСТВО С ОГРАНИЧЕННОЙ ОТВЕТСТВЕННОСТЬЮ "СЕВЕРНЫЙ ЛЕС"',
        address="163000, Архангельская обл, г Архангельск, наб Северной Двины, д 12, офис 4", status="active",
        head="Двинская Анна-Мария Олеговна", head_post="ДИРЕКТОР", registered=date(2016, 3, 14),
    )  # fmt: skip
    assert (vologda.kpp, vologda.is_branch, vologda.head_office_kpp) == ("351143001", True, "290101001")
    assert (kotlas.kpp, kotlas.is_branch, kotlas.head_office_kpp) == ("", True, "290101001")
    assert len({main.ogrn, vologda.ogrn, kotlas.ogrn}) == 1


def test_one_branch() -> None:
    """A КПП is asked for and narrows; the head office isn't in the answer, so nothing is said of it."""
    (branch,) = told("one_branch", kpp="351143001")
    assert (branch.name, branch.head_office_kpp) == ('ФИЛИАЛ ООО "СЕВЕРНЫЙ ЛЕС" В Г. ВОЛОГДА', "")


def test_largest_taxpayer() -> None:
    """The second КПП of a largest taxpayer is its own too."""
    (row,) = told("largest", kpp="997950001")
    assert row.kpp == "997950001"


def test_a_sole_trader() -> None:
    """No КПП asked for nor told, and of the address only the city."""
    (row,) = told("person", PERSON, kpp="")
    assert row == Requisites(
        inn=PERSON, source="dadata", ogrn=row.ogrn, name="ИП Поморцева Мария Игоревна",
        full_name="Индивидуальный предприниматель Поморцева Мария Игоревна", address="г Архангельск",
        status="active", head="Поморцева Мария Игоревна", registered=date(2020, 3, 5),
    )  # fmt: skip
    assert told("person", PERSON, kpp="290101001") == [row]


def test_nobody() -> None:
    """200 with an empty list is «not found», not an error."""
    assert told("nobody") == []


def test_liquidated_comes_last() -> None:
    """A company of the same ИНН that ended stands behind the living one, with both dates, 1969 included."""
    living, ended = told("liquidated_first")
    assert (living.status, ended.status, ended.ended) == ("active", "liquidated", date(2014, 6, 30))
    assert ended.registered == date(1969, 12, 31)


@pytest.mark.parametrize("theirs", [*STATES, "SOMETHING_NEW", None])
def test_statuses(theirs: str | None) -> None:
    """Each status is ours; a new or missing one is «unknown»."""
    data = {"inn": COMPANY, "state": {"status": theirs}, "name": {"short_with_opf": "ООО А"}}
    step = exchange("POST", PARTY, answer={"suggestions": [{"data": data}]})
    (row,) = replay(dadata().requisites(COMPANY, ""), [step])
    assert row.status == STATES.get(theirs or "", "unknown")


def test_half_empty_suggestions() -> None:
    """Nulls, nonsense and other companies' suggestions do no harm."""
    bare = {"inn": COMPANY, "ogrn_date": True, "state": {"registration_date": 10**19}, "address": None}
    odd = [None, 1, {}, {"data": None}, {"data": {"inn": "7707083893"}}, {"data": bare}]
    (row,) = replay(dadata().requisites(COMPANY, ""), [exchange("POST", PARTY, answer={"suggestions": odd})])
    assert (row.name, row.registered, row.status) == ("", None, "unknown")


@pytest.mark.parametrize(
    ("name", "kind", "hold", "rest", "said"),
    [
        ("no_token", "misconfigured", True, None, "token"),
        ("bad_token", "misconfigured", True, None, "ключ не принят"),
        ("day_spent", "transient", False, 3600.0, "дневной лимит"),
        ("too_fast", "transient", False, 7.0, "подождём"),
    ],
)
def test_refusals(name: str, kind: str, hold: bool, rest: float | None, said: str) -> None:
    """A bad key holds the queue, a spent day and a high rate pass by themselves."""
    with pytest.raises(Fault) as caught:
        told(name)
    assert (caught.value.kind, caught.value.hold, caught.value.retry_after) == (kind, hold, rest)
    assert said in caught.value.reason


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (402, "", "misconfigured"),
        (400, {"message": "No query"}, "rejected"),
        (500, "", "transient"),
        (200, "<html>", "transient"),
        (200, {}, "transient"),
    ],
)
def test_other_troubles(status: int, answer: Any, kind: str) -> None:
    """Every other answer is a Fault of the taxonomy."""
    with pytest.raises(Fault) as caught:
        replay(dadata().requisites(COMPANY, ""), [exchange("POST", PARTY, status, answer)])
    assert caught.value.kind == kind


def test_quota() -> None:
    """What the day has used and has left, from the other host with the secret key."""
    talk = dadata(secret="0c6d88aa17").quota()
    assert replay(talk, steps("quota", base=DaData.quota_home)) == Quota(date(2026, 12, 2), 8431, 1569)


def test_quota_of_an_older_kind() -> None:
    """Without `remaining` nothing is guessed; without the counter it is no answer."""
    step = exchange("GET", "api/v2/stat/daily", answer={"date": "2026-12-02", "services": {"suggestions": 3}})
    assert replay(dadata().quota(), [step]) == Quota(date(2026, 12, 2), 3, None)
    with pytest.raises(Fault, match="не читается"):
        replay(dadata().quota(), [exchange("GET", "api/v2/stat/daily", answer={"services": None})])


def test_check() -> None:
    """The doctor's line says what to mend."""
    assert replay(dadata().check(), [exchange("POST", PARTY, answer={"suggestions": []})])[0].level == "ok"
    finding = replay(dadata().check(), [exchange("POST", PARTY, 403, {"message": "Token is invalid"})])[0]
    assert (finding.level, finding.what) == ("FAIL", "DaData: ключ не принят")
    assert "token" in finding.mend


@pytest.mark.skipif(not SAMPLES.exists(), reason="the shared samples aren't here")
def test_sample() -> None:
    """A real answer is read whole: the head office with its КПП, the branch without one."""
    answer = parse_json((SAMPLES / "krascvetmet_MAIN_and_BRANCH.json").read_bytes())
    main, branch = replay(dadata().requisites("2451000818", ""), [exchange("POST", PARTY, answer=answer)])
    assert (main.kpp, main.status, main.registered) == ("246201001", "active", date(1994, 12, 27))
    assert main.address.startswith("660123, Красноярский край")
    assert (branch.kpp, branch.is_branch, branch.head_office_kpp) == ("", True, "246201001")


class TestSandbox:
    """Against the sandbox registry, over a real socket."""

    def test_branches(self) -> None:
        """The head office, a branch with and one without КПП; one of them when its КПП is named."""
        with serving(Registry().wsgi()) as url:
            say = dadata(token=TOKEN)
            line = Line(say, f"{url}/suggestions/api/4_1/rs")
            rows = line.ask(say.requisites("7700000016", ""))
            assert [(row.is_branch, row.kpp) for row in rows] == [(False, "770001001"), (True, "540043001"), (True, "")]
            assert [row.kpp for row in line.ask(say.requisites("7700000016", "540043001"))] == ["540043001"]
            (person,) = line.ask(say.requisites("500000000100", ""))
            assert (person.name, person.address) == ("ИП Ветров Илья Павлович", "г Мытищи")
            assert line.ask(say.requisites("6600000042", ""))[0].status == "liquidated"
            assert line.ask(say.requisites("7707083893", "")) == []

    def test_bad_key(self) -> None:
        """A wrong key holds the queue."""
        with serving(Registry().wsgi()) as url:
            say = dadata()
            with pytest.raises(Fault) as caught:
                Line(say, f"{url}/suggestions/api/4_1/rs").ask(say.requisites("7700000016", ""))
            assert caught.value.hold
