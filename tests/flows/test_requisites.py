"""Requisites by ИНН: the order of sources, what is saved where, what is only a choice, who is asked when one fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from integration.errors import Busy, Rejected
from integration.flows.answer import Answer
from integration.flows.changes import pull_counterparties
from integration.flows.counterparty import ensure_counterparty
from integration.flows.requisites import Unasked, requisites
from integration.steps import listen
from mappers.canonical import Party
from sandbox.onec import USER, OneC
from sandbox.onec.companies import valid_inn
from sandbox.registry import TOKEN, Registry, spark
from sandbox.registry.companies import ogrn
from sandbox.serve import serving
from tests.flows.neighbours import COUNTERPARTIES
from tests.flows.town import Town, built

COMPANY = {"inn": "7800000027", "kpp": "780001001"}  # in the registry alone, one row
BRANCHED, DEAD, PERSON = "7700000016", "6600000042", "500000000100"
NOBODY = "7707083893"  # valid; our own company, a counterparty nowhere


class Place:
    """A town with a registry beside it."""

    def __init__(self, town: Town, registry: Registry, app: Any, url: str, second: OneC, second_url: str) -> None:
        self.town, self.registry, self.app, self.url = town, registry, app, url
        self.second, self.second_url = second, second_url  # one more base, for those who configure it

    def tables(self, **requisites_: Any) -> dict[str, Any]:
        party = f"{self.url}/suggestions/api/4_1/rs"
        soap = {"base_url": f"{self.url}/IfaxWebService", "username": spark.USER, "password": "env:SPARK"}
        sources = {"egrul": {"base_url": self.url}, "dadata": {"base_url": party, "token": "env:TOKEN"}, "spark": soap}
        return {"requisites": {"order": ["onec", "egrul", "dadata"], **sources, **requisites_}}

    def ask(self, inn: str, kpp: str = "", **more: Any) -> Answer:
        return requisites(self.town.world.services, inn, kpp, **more)

    def counterparties(self, inn: str) -> list[dict[str, Any]]:
        return [one for one in self.town.held(COUNTERPARTIES) if one["ИНН"] == inn]

    def accounts(self, inn: str) -> list[dict[str, Any]]:
        return [one for one in self.town.crm.state({"entity": "Account"}) if one.get("cInn") == inn]


@pytest.fixture(scope="module")
def neighbourhood() -> Iterator[Place]:
    registry, second = Registry(), OneC()
    app = registry.wsgi()
    with built() as town, serving(app) as url, serving(second.wsgi()) as second_url:
        yield Place(town, registry, app, url, second, second_url)


@pytest.fixture
def place(neighbourhood: Place, tmp_path: Path) -> Place:
    made = neighbourhood
    made.registry.reset()
    made.second.reset()
    made.app.faults.clear()
    made.app.log.clear()
    made.town.secrets = {"TOKEN": TOKEN, "SPARK": spark.PASSWORD}
    made.town.reset(tmp_path, made.tables())
    return made


def test_what_came_from_outside_is_saved_to_1c_and_to_the_crm(place: Place) -> None:
    answer = place.ask(COMPANY["inn"])
    assert answer.source == "egrul"
    told = answer.told()
    said = told.pop("said")
    assert told == {
        "inn": "7800000027", "kpp": "780001001", "ogrn": ogrn("102780000002"), "name": "АО «Полесье-Станкоимпорт»",
        "full_name": "АКЦИОНЕРНОЕ ОБЩЕСТВО «ПОЛЕСЬЕ-СТАНКОИМПОРТ»",
        "address": "190000, г Санкт-Петербург, наб Небывалая, д 2, литера А", "status": "active", "source": "egrul",
        "choices": [],
    }  # fmt: skip
    [there] = place.counterparties(COMPANY["inn"])
    [account] = place.accounts(COMPANY["inn"])
    assert (there["КПП"], there["Description"]) == (COMPANY["kpp"], "АО «Полесье-Станкоимпорт»")
    assert (account["cKpp"], account["c1cRefKey"]) == (COMPANY["kpp"], there["Ref_Key"])
    [link] = links(place, account["id"])
    assert link.ref_key == there["Ref_Key"]
    assert set(said) == {"inn", "kpp", "ogrn", "name", "full_name", "address", "status"}
    assert set(map(str, said.values())) == {str({"source": "egrul", "at": place.town.now().isoformat()})}


def links(place: Place, account: str) -> list[Any]:
    with place.town.world.store.unit("test") as unit:
        return unit.links.of_record("espo", "account", account)


def test_1c_answers_first_and_nobody_else_is_asked(place: Place) -> None:
    place.town.seed(COUNTERPARTIES, Description="Полесье", ИНН=COMPANY["inn"], КПП=COMPANY["kpp"])
    answer = place.ask(COMPANY["inn"])
    assert (answer.source, answer.row.name if answer.row else "") == ("onec", "Полесье")
    assert place.app.log.since() == []
    assert place.accounts(COMPANY["inn"]) == []


# -- who said it -----------------------------------------------------------------------------------------------------


def test_1c_tells_who_said_a_requisite_before_it_came_there(place: Place) -> None:
    """The register spoke yesterday; an accountant changed the name today: each field keeps its own source and time."""
    place.ask(COMPANY["inn"])
    then = place.town.now().isoformat()
    [there], [account] = place.counterparties(COMPANY["inn"]), place.accounts(COMPANY["inn"])
    place.town.tell(account["id"], "update", "Account")
    place.town.work()
    place.town.pass_time(90_000)
    place.town.seed(COUNTERPARTIES, Ref_Key=there["Ref_Key"], Description="Полесье, новое имя")
    place.town.world.redis.flushall()  # nobody remembers the register's answer any more
    pull_counterparties(place.town.world.services, "main")
    place.town.work()
    edited = place.town.now().isoformat()
    place.town.pass_time(60)
    answer = place.ask(COMPANY["inn"])
    said = answer.told()["said"]
    assert answer.source == "onec"
    assert said["name"]["source"] == "onec"
    assert then < said["name"]["at"] <= edited
    assert said["kpp"] == said["full_name"] == said["ogrn"] == {"source": "egrul", "at": then}


def test_what_nobody_else_said_1c_says_itself(place: Place) -> None:
    place.town.seed(COUNTERPARTIES, Description="Полесье", ИНН=COMPANY["inn"], КПП=COMPANY["kpp"])
    said = place.ask(COMPANY["inn"]).told()["said"]
    assert {name: one["source"] for name, one in said.items()} == dict.fromkeys(
        ("inn", "kpp", "name", "full_name"), "onec"
    )


def test_an_edit_of_the_manager_is_his(place: Place) -> None:
    """The phone belongs to the CRM: it reaches 1C, and is known to come from there."""
    place.town.seed(
        COUNTERPARTIES, Description="Полесье", ИНН=COMPANY["inn"], КПП=COMPANY["kpp"],
        КонтактнаяИнформация=[{"LineNumber": 1, "Тип": "Телефон", "Представление": "+74951112233"}],
    )  # fmt: skip
    account = new_account(place, name="Полесье", cInn=COMPANY["inn"])
    place.town.tell(account, "create", "Account")
    place.town.work()
    place.town.edit(f"Account/{account}", phoneNumber="+74957654321")
    place.town.tell(account, "update", "Account")
    place.town.work()
    [link] = links(place, account)
    assert link.agreed["phone"] == "+74957654321"
    assert link.agreed["said"]["phone"][0] == "crm"
    assert link.agreed["said"]["kpp"][0] == "onec"


def test_after_an_outage_of_the_crm_the_client_is_linked_and_keeps_who_said_it(place: Place) -> None:
    place.town.fault(place.town.crm_app, "status", status=503)
    place.ask(COMPANY["inn"])
    place.town.crm_app.faults.clear()
    place.town.work()
    [there], [account] = place.counterparties(COMPANY["inn"]), place.accounts(COMPANY["inn"])
    assert account["c1cRefKey"] == there["Ref_Key"]
    [link] = links(place, account["id"])
    assert link.agreed["said"]["ogrn"][0] == "egrul"


# -- the whole chain -------------------------------------------------------------------------------------------------

CHAIN = ("onec", "egrul", "dadata", "spark")


def out_of_reach(place: Place, *names: str) -> None:
    """Those sources answer 503 from now on."""
    paths = {"egrul": "^/$", "dadata": "findById", "spark": "Ifax"}
    for name in names:
        app = place.town.onec_app if name == "onec" else place.app
        place.town.fault(app, "status", path=paths.get(name, ""), status=503)


@pytest.mark.parametrize("failing", range(4))
def test_whoever_fails_the_next_one_answers(place: Place, failing: int) -> None:
    """1C → ЕГРЮЛ → DaData → СПАРК over HTTP: the first `failing` of them are away, and it is told which."""
    place.town.live(place.tables(order=list(CHAIN)))
    if not failing:
        place.town.seed(COUNTERPARTIES, Description="Полесье", ИНН=COMPANY["inn"], КПП=COMPANY["kpp"])
    out_of_reach(place, *CHAIN[:failing])
    answer = place.ask(COMPANY["inn"])
    assert answer.source == CHAIN[failing]
    assert [name for name, _ in answer.skipped] == list(CHAIN[:failing])
    assert answer.row is not None
    assert answer.row.kpp == COMPANY["kpp"]
    place.town.onec_app.faults.clear()
    place.town.work()
    [there] = place.counterparties(COMPANY["inn"])
    if failing:
        [account] = place.accounts(COMPANY["inn"])
        assert account["c1cRefKey"] == there["Ref_Key"]


@pytest.mark.parametrize("failing", CHAIN)
def test_one_that_fails_alone_is_passed_over(place: Place, failing: str) -> None:
    """A company that only the registries after the failing one know of: nothing found there is no answer either."""
    place.town.live(place.tables(order=list(CHAIN)))
    out_of_reach(place, failing)
    answer = place.ask(NOBODY)
    assert not answer.found
    assert answer.asked == tuple(name for name in CHAIN if name != failing)
    assert [name for name, _ in answer.skipped] == [failing]


def test_when_all_four_are_away_nobody_pretends_to_know(place: Place) -> None:
    place.town.live(place.tables(order=list(CHAIN)))
    out_of_reach(place, *CHAIN)
    with pytest.raises(Unasked):
        place.ask(COMPANY["inn"])


def test_spark_asks_for_its_session_again(place: Place) -> None:
    place.town.live(place.tables(order=["onec", "spark"]))
    assert place.ask(COMPANY["inn"]).source == "spark"
    place.registry.switches({"expire": True})
    assert place.ask(PERSON).source == "spark"


# -- several bases ---------------------------------------------------------------------------------------------------


def two_bases(place: Place) -> OneC:
    """A second base of another organisation beside the first, configured after it."""
    table = {"base_url": f"{place.second_url}/bp/odata/standard.odata", "username": USER, "password": "env:PASSWORD"}
    place.town.live({**place.tables(), "onec": {"second": {**table, "organisation": "7700000016"}}})
    return place.second


def test_every_base_is_asked_before_the_registries(place: Place) -> None:
    second = two_bases(place)
    [ref] = second.seed({COUNTERPARTIES: [{"Description": "Полесье", "ИНН": COMPANY["inn"], "КПП": COMPANY["kpp"]}]})[
        COUNTERPARTIES
    ]
    answer = place.ask(COMPANY["inn"])
    assert (answer.source, answer.base, answer.ref_key) == ("onec", "second", ref)
    assert place.app.log.since() == []
    account = new_account(place, name="Полесье", cInn=COMPANY["inn"])
    place.town.tell(account, "create", "Account")
    place.town.work()
    assert [(link.base, link.ref_key) for link in links(place, account)] == [("second", ref)]
    assert place.counterparties(COMPANY["inn"]) == []


def test_what_no_base_knows_is_written_to_the_first(place: Place) -> None:
    second = two_bases(place)
    assert place.ask(COMPANY["inn"]).base == "main"
    assert len(place.counterparties(COMPANY["inn"])) == 1
    assert not [one for one in second.state({"set": COUNTERPARTIES}) if one["ИНН"] == COMPANY["inn"]]


def test_one_base_may_be_named(place: Place) -> None:
    """The organisation that will work with this client: only its base is asked, and written to."""
    second = two_bases(place)
    place.town.seed(COUNTERPARTIES, Description="Полесье", ИНН=COMPANY["inn"], КПП=COMPANY["kpp"])
    answer = place.ask(COMPANY["inn"], onec="second")
    assert (answer.source, answer.base) == ("egrul", "second")
    [there] = [one for one in second.state({"set": COUNTERPARTIES}) if one["ИНН"] == COMPANY["inn"]]
    assert place.accounts(COMPANY["inn"])[0]["c1cRefKey"] == there["Ref_Key"]


def test_a_base_that_is_down_keeps_nobody_from_the_other(place: Place) -> None:
    second = two_bases(place)
    second.seed({COUNTERPARTIES: [{"Description": "Полесье", "ИНН": COMPANY["inn"], "КПП": COMPANY["kpp"]}]})
    place.town.fault(place.town.onec_app, "status", status=503)
    answer = place.ask(COMPANY["inn"])
    assert (answer.base, [name for name, _ in answer.skipped]) == ("second", ["onec:main"])


@pytest.mark.parametrize(
    ("inn", "rule"),
    [
        ("7800000028", "контрольная цифра"),
        ("78000000", "нужно 10 или 12 цифр"),
        ("780000002X", "только цифры"),
        ("", "только цифры"),
        ("77070838930000", "а их 14"),
    ],
)
def test_an_invalid_inn_is_refused_before_anybody_is_asked(place: Place, inn: str, rule: str) -> None:
    with pytest.raises(Rejected, match=rule):
        place.ask(inn)
    assert place.app.log.since() == []
    assert place.town.asked(place.town.onec_app) == []


def test_a_lost_leading_zero_is_put_back(place: Place) -> None:
    whole = valid_inn("010500000")
    company = {"ogrn": "1", "full": "ООО «НОЛЬ»", "short": "ООО «Ноль»", "address": "г Майкоп", "kpp": "010501001"}
    place.registry.seed({"companies": [{"inn": whole, **company}]})
    assert place.ask(whole.lstrip("0")).inn == whole
    assert [one["КПП"] for one in place.counterparties(whole)] == ["010501001"]


def test_branches_are_a_choice_and_nothing_is_saved(place: Place) -> None:
    """ЕГРЮЛ has no rows for branches, so DaData is asked alone here."""
    place.town.live(place.tables(order=["onec", "dadata"]))
    answer = place.ask(BRANCHED)
    assert answer.row is None
    assert [one.row.kpp for one in answer.choices] == ["770001001", "540043001", ""]
    assert "головная" in answer.choices[0].reason
    assert place.counterparties(BRANCHED) == place.accounts(BRANCHED) == []
    chosen = place.ask(BRANCHED, "540043001")
    assert chosen.row is not None
    assert chosen.row.is_branch
    assert [one["КПП"] for one in place.counterparties(BRANCHED)] == ["540043001"]


def test_a_company_that_ended_is_shown_and_not_saved(place: Place) -> None:
    answer = place.ask(DEAD)
    assert answer.row is None
    assert "прекращена 15.12.2021" in answer.choices[0].reason
    assert place.counterparties(DEAD) == []


def test_the_live_row_of_an_inn_that_ended_once_is_taken(place: Place) -> None:
    answer = place.ask("5400000036")
    assert answer.row is not None
    assert answer.row.status == "active"


def test_a_sole_trader_has_no_kpp(place: Place) -> None:
    answer = place.ask(PERSON)
    assert answer.row is not None
    assert (answer.row.name, answer.row.kpp) == ("ИП Ветров Илья Павлович", "")
    [there] = place.counterparties(PERSON)
    assert there["ЮридическоеФизическоеЛицо"] == "ФизическоеЛицо"
    with pytest.raises(Rejected, match="не бывает КПП"):
        place.ask(PERSON, "770001001")


def test_not_found_anywhere(place: Place) -> None:
    answer = place.ask(NOBODY)
    assert not answer.found
    assert answer.asked == ("onec", "egrul", "dadata")


def test_a_source_that_is_down_is_skipped_and_that_is_told(place: Place) -> None:
    place.town.fault(place.app, "status", path="^/$", status=503)
    answer = place.ask(COMPANY["inn"])
    assert answer.source == "dadata"
    assert [name for name, _ in answer.skipped] == ["egrul"]


def test_a_captcha_is_told_and_not_looped(place: Place) -> None:
    place.registry.switches({"captcha": True})
    answer = place.ask(COMPANY["inn"])
    assert answer.source == "dadata"
    assert "капч" in answer.skipped[0][1]
    assert len([one for one in place.app.log.since() if one["path"] == "/"]) == 1


def test_a_source_that_is_too_slow_is_skipped_in_its_own_time(place: Place) -> None:
    sources = place.tables()["requisites"]
    sources["egrul"] = {**sources["egrul"], "read_timeout": "200ms"}
    place.town.live({"requisites": sources})
    place.town.fault(place.app, "latency", path="^/$", seconds=5)
    begun = monotonic()
    answer = place.ask(COMPANY["inn"])
    assert (answer.source, [name for name, _ in answer.skipped]) == ("dadata", ["egrul"])
    assert monotonic() - begun < 4


def test_a_spent_quota_is_told_and_the_next_source_asked(place: Place) -> None:
    place.town.live(place.tables(order=["onec", "dadata", "spark"]))
    place.town.fault(place.app, "status", path="findById", status=429)
    answer = place.ask(COMPANY["inn"])
    assert answer.source == "spark"
    assert "много запросов" in dict(answer.skipped)["dadata"]


def test_an_account_without_money_is_told_and_held(place: Place) -> None:
    """СПАРК's word for a spent contract: an administrator's matter, not retried with every question."""
    place.town.live(place.tables(order=["onec", "spark", "egrul"]))
    place.registry.switches({"spark": "Not enough money"})
    assert "нет денег" in dict(place.ask(COMPANY["inn"]).skipped)["spark"]
    asked = len([one for one in place.app.log.since() if "Ifax" in one["path"]])
    place.ask(NOBODY)
    assert len([one for one in place.app.log.since() if "Ifax" in one["path"]]) == asked


def test_a_source_whose_circuit_is_open_is_not_asked(place: Place) -> None:
    place.town.fault(place.app, "status", path="^/$", status=503)
    for inn in ("7800000027", "5400000036", "500000000100", "6600000042", "7700000016"):
        place.ask(inn)
    asked = len([one for one in place.app.log.since() if one["path"] == "/"])
    assert asked == 5
    place.ask(NOBODY)
    assert len([one for one in place.app.log.since() if one["path"] == "/"]) == asked


def test_when_no_registry_answers_nothing_is_known(place: Place) -> None:
    place.town.fault(place.app, "status", status=503)
    with pytest.raises(Unasked, match="не у кого"):
        place.ask(COMPANY["inn"])


def test_an_answer_is_kept_for_a_day_and_a_no_for_ten_minutes(place: Place) -> None:
    place.town.live(place.tables(order=["dadata"]))
    place.ask(BRANCHED)
    place.ask(NOBODY)
    asked = len(place.app.log.since())
    place.town.pass_time(3600)
    place.ask(BRANCHED)
    assert len(place.app.log.since()) == asked
    assert ttl(place, f"requisites:dadata:{BRANCHED}") > 600
    assert 0 < ttl(place, f"requisites:dadata:{NOBODY}") <= 600


def ttl(place: Place, key: str) -> int:
    return int(place.town.world.redis.ttl(key))  # type: ignore[arg-type]


def test_1c_down_is_skipped_and_owed(place: Place) -> None:
    """The person gets the answer; 1C gets the counterparty as soon as it is back, once."""
    place.town.fault(place.town.onec_app, "status", status=503)
    answer = place.ask(COMPANY["inn"])
    assert (answer.source, answer.saved) == ("egrul", ("onec owed",))
    place.town.onec_app.faults.clear()
    place.town.work()
    assert len(place.counterparties(COMPANY["inn"])) == len(place.accounts(COMPANY["inn"])) == 1


def test_a_lost_answer_of_1c_makes_no_second_counterparty(place: Place) -> None:
    place.town.fault(place.town.onec_app, "lost_answer", "POST", COUNTERPARTIES, times=1)
    answer = place.ask(COMPANY["inn"])
    assert answer.saved == ("onec owed",)
    place.town.work()
    assert len(place.counterparties(COMPANY["inn"])) == 1
    assert len(place.accounts(COMPANY["inn"])) == 1


def test_the_crm_down_is_owed(place: Place) -> None:
    place.town.fault(place.town.crm_app, "status", status=503)
    assert place.ask(COMPANY["inn"]).saved == ("crm owed",)
    assert len(place.counterparties(COMPANY["inn"])) == 1
    place.town.crm_app.faults.clear()
    place.town.work()
    assert len(place.accounts(COMPANY["inn"])) == 1


def test_fifty_at_once_make_one(place: Place) -> None:
    """50 presses for one new ИНН, each in a thread of its own."""
    answers: list[Answer] = []
    gate = threading.Barrier(50)

    def press() -> None:
        gate.wait()
        answers.append(place.ask(COMPANY["inn"], patience=30))

    threads = [threading.Thread(target=press) for _ in range(50)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(answers) == 50
    assert {one.row.kpp for one in answers if one.row} == {COMPANY["kpp"]}
    assert len(place.counterparties(COMPANY["inn"])) == 1
    assert len(place.accounts(COMPANY["inn"])) == 1
    assert len([one for one in place.app.log.since() if one["path"] == "/"]) == 1


def test_an_invoice_that_makes_the_client_meanwhile_makes_no_second_one(place: Place) -> None:
    """While registries are asked, an invoice of the same client finds no counterparty and makes it."""
    once = iter([1])

    def meanwhile(boundary: str) -> None:
        if boundary == "поиск в ЕГРЮЛ: answered" and next(once, None):
            client = Party("Полесье", COMPANY["inn"], COMPANY["kpp"], id="acc1")
            services = place.town.world.services
            with services.bases["main"].session():
                ensure_counterparty(services, services.bases["main"], "espo", client)

    end = listen(meanwhile)
    try:
        assert place.ask(COMPANY["inn"]).source == "egrul"
    finally:
        end()
    [there] = place.counterparties(COMPANY["inn"])
    [account] = place.accounts(COMPANY["inn"])
    assert account["c1cRefKey"] == there["Ref_Key"]


def test_no_session_is_told_and_never_one_over_the_limit(place: Place) -> None:
    """Three sessions are taken: the fourth who asks is told so at once, or waits."""
    services = place.town.world.services
    base = services.bases["main"]
    held, free = threading.Barrier(4), threading.Event()

    def hold() -> None:
        with base.session():
            held.wait()
            free.wait(20)

    holders = [threading.Thread(target=hold) for _ in range(3)]
    for one in holders:
        one.start()
    held.wait()
    with pytest.raises(Busy, match="сеансы 1С заняты"):
        place.ask(COMPANY["inn"], patience=0)
    assert place.town.asked(place.town.onec_app) == []
    free.set()
    assert place.ask(COMPANY["inn"], patience=10).source == "egrul"
    for one in holders:
        one.join()


# -- the CRM's webhook ----------------------------------------------------------------------------------------------


def test_a_new_account_gets_its_requisites(place: Place) -> None:
    account = new_account(place, name="Полесье", cInn=COMPANY["inn"])
    place.town.tell(account, "create", "Account")
    place.town.work()
    [shown] = place.accounts(COMPANY["inn"])
    [there] = place.counterparties(COMPANY["inn"])
    assert (shown["id"], shown["cKpp"], shown["c1cRefKey"]) == (account, COMPANY["kpp"], there["Ref_Key"])


def test_an_account_of_a_counterparty_in_1c_is_linked_and_filled(place: Place) -> None:
    ref = place.town.seed(COUNTERPARTIES, Description="Полесье", ИНН=COMPANY["inn"], КПП=COMPANY["kpp"])
    account = new_account(place, name="Полесье", cInn=COMPANY["inn"])
    place.town.tell(account, "create", "Account")
    place.town.work()
    [shown] = place.accounts(COMPANY["inn"])
    assert (shown["cKpp"], shown["c1cRefKey"]) == (COMPANY["kpp"], ref)
    assert [link.ref_key for link in links(place, account)] == [ref]


def test_two_counterparties_of_one_company_are_reported_and_nothing_is_guessed(place: Place) -> None:
    for name in ("Полесье", "Полесье (старый)"):
        place.town.seed(COUNTERPARTIES, Description=name, ИНН=COMPANY["inn"], КПП=COMPANY["kpp"])
    account = new_account(place, name="Полесье", cInn=COMPANY["inn"])
    for _ in range(2):
        place.town.tell(account, "update", "Account")
        place.town.work()
    assert links(place, account) == []
    with place.town.world.store.unit("test") as unit:
        [double] = unit.parties.proposals()
    ours = {one["Ref_Key"] for one in place.counterparties(COMPANY["inn"])}
    assert (double.kind, {double.record_id, double.other}) == ("double_onec", ours)


def test_a_wrong_inn_is_told_where_the_editor_sees_it(place: Place) -> None:
    account = new_account(place, name="Ошибка", cInn="7800000028")
    event = place.town.tell(account, "update", "Account")
    place.town.work()
    assert place.town.event(event).kind == "rejected"
    assert any("контрольная цифра" in note for note in place.town.notes(account))
    assert place.app.log.since() == []


def test_a_choice_is_told_to_the_editor(place: Place) -> None:
    account = new_account(place, name="Причал", cInn=DEAD)
    place.town.tell(account, "update", "Account")
    place.town.work()
    [note] = place.town.notes(account)
    assert "нужно выбрать" in note
    assert links(place, account) == []


def new_account(place: Place, **values: Any) -> str:
    status, made = place.town.crm.act("ivanova", "POST", "Account", values)
    assert status in (200, 201), made
    return str(made["id"])
