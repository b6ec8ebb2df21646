"""ЕГРЮЛ: two steps, rows of every kind, and a captcha that ends the talk instead of prolonging itself."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mappers.canonical import Requisites
from mappers.dialect import Fault, Talk
from mappers.requisites.egrul import WAITS, Egrul
from mappers.verbs import RequisitesDialect
from mappers.wire import parse_json
from sandbox.registry import Registry
from sandbox.serve import serving
from tests.mappers.replay import Exchange, exchange, replay
from tests.mappers.sources import Line, tape

COMPANY, PERSON = "2901007710", "290155821355"
SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "samples" / "egrul"


def egrul() -> Egrul:
    return Egrul({})


def told(inn: str, *names: str, kpp: str = "") -> list[Requisites]:
    return replay(egrul().requisites(inn, kpp), tape("egrul", *names, base=Egrul.home))


def refused(*names: str) -> Fault:
    with pytest.raises(Fault) as caught:
        told(COMPANY, *names)
    return caught.value


def found(rows: Any, inn: str) -> list[Requisites]:
    return replay(
        egrul().requisites(inn, ""),
        [exchange("POST", "", answer={"t": "AB12", "captchaRequired": False}),
         exchange("GET", "search-result/AB12", answer=rows)],
    )  # fmt: skip


def test_is_a_source() -> None:
    """It speaks the protocol; what it can't tell is absent from its capabilities."""
    dialect: RequisitesDialect = egrul()
    assert dialect.capabilities == frozenset()
    assert dialect.source == "egrul"


def test_a_company() -> None:
    """Names, address and head as the register has them, cleaned of doubled spaces."""
    assert told(COMPANY, "search_company", "rows_company") == [
        Requisites(
            inn=COMPANY, source="egrul", kpp="290101001", ogrn="1162901051235", name='ООО "СЕВЕРНЫЙ ЛЕС"',
            full_name='ОБЩЕСТВО С ОГРАНИЧЕННОЙ ОТВЕТСТВЕННОСТЬЮ "СЕВЕРНЫЙ ЛЕС"',
            address="163000, АРХАНГЕЛЬСКАЯ ОБЛАСТЬ, Г.О. ГОРОД АРХАНГЕЛЬСК, Г АРХАНГЕЛЬСК, НАБ СЕВЕРНОЙ ДВИНЫ, "
            "Д. 12, ОФИС 4",
            status="active", head="Двинская Анна-Мария Олеговна", head_post="ДИРЕКТОР",
            registered=date(2016, 3, 14),
        )
    ]  # fmt: skip


def test_wait_is_asked_again_with_growing_rests() -> None:
    """«wait» is no answer: the same ticket is asked again, each time after a rest."""
    steps = tape("egrul", "search_company", "wait", "wait", "rows_company", base=Egrul.home)
    rests: list[float] = []

    def listened() -> Talk[list[Requisites]]:
        talk = egrul().requisites(COMPANY, "")
        call = next(talk)
        while True:
            rests.append(call.pause)
            answer = yield call
            try:
                call = talk.send(answer)
            except StopIteration as end:
                return list(end.value)

    assert [row.inn for row in replay(listened(), steps)] == [COMPANY]
    assert rests == [0.0, 0.0, *WAITS[:2]]


def test_waiting_ends() -> None:
    """A search that never ends is given up, with the time to try again."""
    fault = refused("search_company", *["wait"] * (len(WAITS) + 1))
    assert fault.kind == "transient"
    assert fault.retry_after == 60.0


def test_terminated_and_foreign_rows() -> None:
    """The living row comes first, the ended one is marked with its date, a namesake of the number is left out."""
    living, ended = told(COMPANY, "search_company", "rows_company_terminated")
    assert (living.status, living.ended) == ("active", None)
    assert (ended.status, ended.ended, ended.registered) == ("liquidated", date(2014, 6, 30), date(2002, 9, 17))


def test_a_sole_trader() -> None:
    """No КПП, no address; of three records one is alive, one ended, one was struck out and comes last."""
    living, ended, struck = told(PERSON, "search_person", "rows_person")
    assert living == Requisites(
        inn=PERSON, source="egrul", ogrn=living.ogrn, name="ИП Поморцева Мария Игоревна",
        full_name="Индивидуальный предприниматель Поморцева Мария Игоревна", status="active",
        head="Поморцева Мария Игоревна", registered=date(2020, 3, 5),
    )  # fmt: skip
    assert living.is_person
    assert (ended.status, ended.invalid) == ("liquidated", False)
    assert (struck.status, struck.invalid) == ("unknown", True)


def test_kpp_narrows() -> None:
    """Only rows that bear the КПП asked for; the register knows no branches."""
    assert told(COMPANY, "search_company", "rows_company", kpp="351143001") == []
    assert len(told(COMPANY, "search_company", "rows_company", kpp="290101001")) == 1


def test_nobody() -> None:
    """No rows is an answer."""
    assert told(COMPANY, "search_company", "rows_none") == []


@pytest.mark.parametrize("name", ["captcha_required", "captcha_error"])
def test_captcha_is_told_and_not_looped(name: str) -> None:
    """One call, a sentence that says what to do, and a long rest."""
    fault = refused(name)
    assert (fault.kind, fault.hold, fault.retry_after) == ("transient", False, 1800.0)
    assert "капч" in fault.reason
    assert "вручную" in fault.reason


def test_lockout() -> None:
    """405 is the site's answer to an address that asked too much: an hour's rest."""
    fault = refused("lockout")
    assert (fault.kind, fault.retry_after) == ("transient", 3600.0)


def test_lockout_with_a_longer_rest() -> None:
    """Its own Retry-After counts when it is longer."""
    step = exchange("POST", "", 429, "", headers={"retry-after": "7200"})
    with pytest.raises(Fault) as caught:
        replay(egrul().requisites(COMPANY, ""), [step])
    assert caught.value.retry_after == 7200.0


@pytest.mark.parametrize(
    ("names", "kind", "said"),
    [
        (("refused_query",), "rejected", "некорректное значение"),
        (("search_company", "ticket_expired"), "transient", "истёк"),
        (("maintenance",), "transient", "не читается"),
    ],
)
def test_refusals(names: tuple[str, ...], kind: str, said: str) -> None:
    """What was asked is the asker's matter, an expired ticket and a maintenance page pass by themselves."""
    fault = refused(*names)
    assert fault.kind == kind
    assert said in fault.reason


@pytest.mark.parametrize(
    ("step", "kind", "hold"),
    [
        (exchange("POST", "", 503, "", headers={"retry-after": "30"}), "transient", False),
        (exchange("POST", "", 404, ""), "misconfigured", True),
        (exchange("POST", "", 302, "", headers={"location": "https://example.org/"}), "misconfigured", True),
        (exchange("POST", "", 200, {"t": "../vyp-download/1"}), "transient", False),
        (exchange("POST", "", 200, {"captchaRequired": False}), "transient", False),
        (exchange("POST", "", 200, [1]), "transient", False),
    ],
)
def test_other_troubles(step: Exchange, kind: str, hold: bool) -> None:
    """Every other answer is a Fault of the taxonomy; a ticket that leads elsewhere is no ticket."""
    with pytest.raises(Fault) as caught:
        replay(egrul().requisites(COMPANY, ""), [step])
    assert (caught.value.kind, caught.value.hold) == (kind, hold)


def test_rows_that_are_no_rows() -> None:
    """Nonsense among the rows is left out, the others stand."""
    rows = {"rows": [None, "x", {"i": 5}, {"i": COMPANY, "n": "АО", "r": "31.02.2020", "g": None}]}
    (row,) = found(rows, COMPANY)
    assert (row.name, row.registered, row.kpp) == ("АО", None, "")


def test_check() -> None:
    """The doctor's line; a captcha is a warning, not a failure of the set-up."""
    assert (
        replay(egrul().check(), [exchange("POST", "", answer={"captchaRequired": True, "t": "A"})])[0].level == "warn"
    )
    steps = [exchange("POST", "", answer={"t": "A"}), exchange("GET", "search-result/A", answer={"rows": []})]
    assert replay(egrul().check(), steps)[0].level == "warn"
    known = {"rows": [{"i": "7707329152", "n": "ФНС"}]}
    steps = [exchange("POST", "", answer={"t": "A"}), exchange("GET", "search-result/A", answer=known)]
    assert replay(egrul().check(), steps)[0].level == "ok"


@pytest.mark.skipif(not SAMPLES.exists(), reason="the shared samples aren't here")
@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*search-data*.json")), ids=lambda path: path.stem)
def test_samples(path: Path) -> None:
    """Real answers are read whole: as many rows as there are, with the marks that they carry."""
    rows = parse_json(path.read_bytes())["rows"]
    read = found({"rows": rows}, rows[0]["i"])
    assert len(read) == len(rows)
    assert sorted(row.invalid for row in read) == sorted("v" in row for row in rows)
    assert sorted(row.ended is not None for row in read) == sorted("e" in row for row in rows)
    assert all(row.name and row.ogrn and row.registered for row in read)


class TestSandbox:
    """Against the sandbox registry, over a real socket."""

    def test_company_and_its_end(self) -> None:
        """The sandbox says «wait» first; both records of one ИНН come back, the living one first."""
        with serving(Registry().wsgi()) as url:
            line = Line(egrul(), url)
            living, ended = line.ask(egrul().requisites("5400000036", ""))
            assert (living.name, living.status, ended.status) == ("ООО «Тихая гавань»", "active", "liquidated")
            assert line.rested > 0
            assert len(line.calls) == 3
            (person,) = line.ask(egrul().requisites("500000000100", ""))
            assert person.name == "ИП Ветров Илья Павлович"

    def test_captcha(self) -> None:
        """One call and no more."""
        registry = Registry()
        registry.switches({"captcha": True})
        with serving(registry.wsgi()) as url:
            line = Line(egrul(), url)
            with pytest.raises(Fault) as caught:
                line.ask(egrul().requisites("5400000036", ""))
            assert caught.value.retry_after == 1800.0
            assert len(line.calls) == 1
