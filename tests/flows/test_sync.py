"""A client in both systems: edits copied, set back and told, or left to a person; whatever becomes of the notices."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from integration import steps
from integration.flows.changes import poll_accounts, pull_counterparties
from integration.flows.origin import mark_start
from integration.flows.sync import resolve
from integration.work import Arrival, Clash, Link, new_id
from mappers.wire import dump_json
from sandbox.onec.companies import ref as key_of
from tests.flows.neighbours import COUNTERPARTIES
from tests.flows.town import Town, built

INN, KPP = "7800000027", "780001001"
TABLES = {"ownership": {"email": "newest"}}
CONTACTS = [
    {"LineNumber": 1, "Тип": "Телефон", "Представление": "+74951234567", "НомерТелефона": "74951234567"},
    {"LineNumber": 2, "Тип": "АдресЭлектроннойПочты", "Представление": "a@a.example", "АдресЭП": "a@a.example"},
]

KINDS = {"Телефон": "ТелефонКонтрагента", "АдресЭлектроннойПочты": "EmailКонтрагента"}


class Pair:
    """One client, linked; `edit` and `book` are people's edits, on the CRM's side and in 1C."""

    def __init__(self, town: Town) -> None:
        self.town = town
        contacts = {"phoneNumber": "+74951234567", "emailAddress": "a@a.example"}
        body = {"name": "Полесье АО", "cInn": INN, "cKpp": KPP, **contacts}
        status, made = town.crm.act("ivanova", "POST", "Account", body)
        assert status == 200, made
        self.account = str(made["id"])
        self.ref = town.seed(
            COUNTERPARTIES, Description="Полесье АО", НаименованиеПолное="АО «Полесье»", ИНН=INN, КПП=KPP,
            КонтактнаяИнформация=CONTACTS,
        )  # fmt: skip
        mark_start(town.world.services)
        self.tell()
        town.work()

    def edit(self, **values: Any) -> None:
        self.town.pass_time(2)
        self.town.edit(f"Account/{self.account}", **values)

    def book(self, **values: Any) -> None:
        self.town.pass_time(2)
        self.town.seed(COUNTERPARTIES, Ref_Key=self.ref, **values)

    def contact(self, kind: str, value: str) -> None:
        """A person changes the phone or the mail in 1C."""
        rows = [dict(row) for row in self.there["КонтактнаяИнформация"]]
        for row in rows:
            row.pop("Ref_Key", None)
            row["LineNumber"] = int(row["LineNumber"])
            if row["Тип"] == kind:
                row |= {"Представление": value, "АдресЭП" if kind != "Телефон" else "НомерТелефона": value}
        self.book(КонтактнаяИнформация=rows)

    def tell(self) -> str:
        """The CRM's notice."""
        return self.town.tell(self.account, "update", "Account")

    def call(self) -> str:
        """1C's own post."""
        body = dump_json({"ref": self.ref, "id": new_id()})
        arrival = Arrival("onec", COUNTERPARTIES, "write", self.ref, body, webhook_id="main")
        [event], _ = self.town.world.store.receive([arrival], body, {}, new_id())
        return event

    def poll(self) -> int:
        """What the half-hourly poll does, on both sides."""
        services = self.town.world.services
        self.town.pass_time(30)
        found = poll_accounts(services, "espo") + pull_counterparties(services, "main")
        self.town.work()
        return found

    @property
    def shown(self) -> dict[str, Any]:
        return dict(self.town.crm.state({"entity": "Account", "id": self.account}))

    @property
    def there(self) -> dict[str, Any]:
        [one] = [one for one in self.town.held(COUNTERPARTIES) if one["Ref_Key"] == self.ref]
        return one

    @property
    def link(self) -> Link:
        with self.town.world.store.unit("test") as unit:
            [link] = list(unit.links.of_record("espo", "account", self.account))
        return link

    def clashes(self) -> list[Clash]:
        with self.town.world.store.unit("test") as unit:
            return unit.parties.open_clashes()

    def values(self) -> dict[str, tuple[str, str]]:
        """Field → (in the CRM, in 1C), as each holds it."""
        shown, there = self.shown, self.there
        first = {row["Тип"]: row for row in there["КонтактнаяИнформация"]}
        return {
            "name": (shown["name"], there["Description"]),
            "kpp": (shown["cKpp"] or "", there["КПП"]),
            "phone": (shown["phoneNumber"] or "", first["Телефон"]["Представление"]),
            "email": (shown["emailAddress"] or "", first["АдресЭлектроннойПочты"]["Представление"]),
        }

    def writes(self) -> int:
        """How many writes both systems saw from crm1c so far."""
        crm = [one for one in self.town.crm_app.log.since() if one["method"] == "PUT" and "/Account/" in one["path"]]
        return len(crm) + len(self.town.asked(self.town.onec_app, "PATCH"))


@pytest.fixture
def pair(place: Town, tmp_path: Path) -> Pair:
    place.reset(tmp_path, TABLES)
    return Pair(place)


def test_the_two_are_linked_and_agreed_on(pair: Pair) -> None:
    assert pair.link.ref_key == pair.ref
    assert pair.shown["c1cRefKey"] == pair.ref
    assert pair.link.agreed["name"] == "Полесье АО"
    assert all(crm == onec for crm, onec in pair.values().values())


def test_a_name_changed_in_1c_reaches_the_crm(pair: Pair) -> None:
    pair.book(Description="Полесье-Новое АО")
    pair.call()
    pair.town.work()
    assert pair.shown["name"] == "Полесье-Новое АО"


def test_a_phone_changed_in_the_crm_reaches_1c(pair: Pair) -> None:
    pair.edit(phoneNumber="+74957654321")
    pair.tell()
    pair.town.work()
    assert pair.values()["phone"] == ("+74957654321", "+74957654321")


def test_contacts_that_do_not_stand_in_1c_are_made_there(pair: Pair) -> None:
    """An accountant emptied the list: the phone is the CRM's and comes back; a mail entered later gets its row too."""
    pair.book(КонтактнаяИнформация=[])
    pair.call()
    pair.town.work()
    assert [row["Представление"] for row in pair.there["КонтактнаяИнформация"]] == ["+74951234567"]
    pair.edit(emailAddress="new@a.example")
    pair.tell()
    pair.town.work()
    assert pair.values()["phone"] == ("+74951234567", "+74951234567")
    assert pair.values()["email"] == ("new@a.example", "new@a.example")
    assert all(row["Вид_Key"] == key_of(KINDS[row["Тип"]]) for row in pair.there["КонтактнаяИнформация"])


def test_an_address_of_the_crm_that_1c_has_in_parts_is_told_and_left(pair: Pair) -> None:
    """Text can't replace what was filled in field by field; the manager reads where to change it."""
    parts = {
        "LineNumber": 1,
        "Тип": "Адрес",
        "Представление": "г Псков",
        "Значение": '{"addressType": "Муниципальный"}',
    }
    later = [{**row, "LineNumber": number} for number, row in enumerate(CONTACTS, 2)]
    pair.town.live({"ownership": {"address": "crm"}})
    pair.book(КонтактнаяИнформация=[parts, *later])
    pair.edit(billingAddressStreet="г Москва, ул Новая, д 1")
    pair.tell()
    pair.town.work()
    assert pair.there["КонтактнаяИнформация"][0]["Представление"] == "г Псков"
    assert any("Адрес: в 1С остаётся «г Псков»" in note for note in pair.town.notes(pair.account))


def test_a_refused_edit_is_set_back_and_the_editor_told(pair: Pair) -> None:
    pair.edit(name="Полесье-Зря")
    pair.tell()
    pair.town.work()
    assert pair.values()["name"] == ("Полесье АО", "Полесье АО")
    assert any("Полесье-Зря" in note and "Хозяин" in note for note in pair.town.notes(pair.account))


def test_an_edit_of_1c_that_is_not_allowed_is_set_back_there_and_told(pair: Pair) -> None:
    """The phone is the CRM's. 1C shows nobody a message, so the client's stream tells both."""
    pair.contact("Телефон", "+74950000000")
    pair.call()
    pair.town.work()
    assert pair.values()["phone"] == ("+74951234567", "+74951234567")
    assert any("Правка в 1С не принята" in note and "+74950000000" in note for note in pair.town.notes(pair.account))


def test_a_kpp_edited_in_the_crm_is_set_back_one_edited_in_1c_is_taken(pair: Pair) -> None:
    pair.edit(cKpp="770101001")
    pair.tell()
    pair.town.work()
    assert pair.values()["kpp"] == (KPP, KPP)
    pair.book(КПП="781001001")
    pair.call()
    pair.town.work()
    assert pair.values()["kpp"] == ("781001001", "781001001")


def test_changes_that_nobody_told_are_found_by_the_poll(pair: Pair) -> None:
    pair.book(Description="Полесье-Тихое АО")
    pair.edit(phoneNumber="+74957654321")
    assert pair.poll() == 2
    assert pair.values()["name"] == ("Полесье-Тихое АО", "Полесье-Тихое АО")
    assert pair.values()["phone"] == ("+74957654321", "+74957654321")
    assert pair.poll() == 0


def test_our_own_write_ends_as_unchanged(pair: Pair) -> None:
    pair.book(Description="Полесье-Новое АО")
    pair.call()
    pair.town.work()
    before = pair.writes()
    for event in (pair.tell(), pair.call()):
        pair.town.work()
        assert pair.town.whole(event).duties[-1].outcome == "unchanged"
    assert pair.writes() == before
    assert pair.poll() == 0


def test_a_conflict_waits_and_neither_side_is_touched(pair: Pair) -> None:
    conflicting(pair)
    assert pair.values()["email"] == ("crm@a.example", "onec@a.example")
    [clash] = pair.clashes()
    assert (clash.field, clash.crm_value, clash.onec_value) == ("email", "crm@a.example", "onec@a.example")
    assert any("crm@a.example" in note for note in pair.town.notes(pair.account))
    pair.poll()
    assert pair.values()["email"] == ("crm@a.example", "onec@a.example")
    assert len(pair.clashes()) == 1


@pytest.mark.parametrize(("side", "value"), [("crm", "crm@a.example"), ("onec", "onec@a.example")])
def test_a_person_decides_a_conflict(pair: Pair, side: str, value: str) -> None:
    conflicting(pair)
    decide(pair, side)
    assert pair.values()["email"] == (value, value)
    assert pair.clashes() == []
    assert pair.poll() == 0


def test_a_decision_about_values_that_are_gone_is_no_decision(pair: Pair) -> None:
    conflicting(pair)
    pair.edit(emailAddress="later@a.example")
    decide(pair, "crm")
    assert pair.values()["email"] == ("later@a.example", "onec@a.example")
    assert [one.crm_value for one in pair.clashes()] == ["later@a.example"]


def test_a_conflict_that_people_settled_themselves_is_over(pair: Pair) -> None:
    conflicting(pair)
    pair.contact("АдресЭлектроннойПочты", "crm@a.example")
    pair.call()
    pair.town.work()
    assert pair.clashes() == []


def conflicting(pair: Pair) -> None:
    pair.edit(emailAddress="crm@a.example")
    pair.contact("АдресЭлектроннойПочты", "onec@a.example")
    pair.tell()
    pair.town.work()


def decide(pair: Pair, side: Any) -> None:
    [clash] = pair.clashes()
    assert resolve(pair.town.world.services, clash, side)
    pair.town.work()


def test_a_storm_of_edits_ends_within_three_cycles(pair: Pair) -> None:
    """Both sides edited again and again while the sync runs; then people stop, and three cycles are enough."""
    for number in range(5):
        pair.edit(phoneNumber=f"+7495765432{number}", name=f"Зря {number}")
        pair.book(Description=f"Полесье {number}")
        pair.tell()
        pair.call()
    pair.town.work()
    cycles = 0
    while pair.poll() and cycles < 10:
        cycles += 1
    assert cycles <= 3
    values = pair.values()
    assert values["name"] == ("Полесье 4", "Полесье 4")
    assert values["phone"] == ("+74957654324", "+74957654324")


def test_an_edit_in_the_middle_of_our_write_is_not_lost(pair: Pair) -> None:
    """A person changes another field in 1C between our reading and our writing."""
    pair.edit(phoneNumber="+74957654321")
    once = iter([1])

    def meanwhile(boundary: str) -> None:
        if boundary == "чтение контрагента: answered" and next(once, None):
            pair.book(Description="Полесье-Между АО")

    end = steps.listen(meanwhile)
    try:
        pair.tell()
        pair.town.work()
    finally:
        end()
    pair.poll()
    assert pair.values()["name"] == ("Полесье-Между АО", "Полесье-Между АО")
    assert pair.values()["phone"] == ("+74957654321", "+74957654321")


def test_a_counterparty_that_was_marked_is_told_once(pair: Pair) -> None:
    pair.book(DeletionMark=True)
    pair.call()
    pair.town.work()
    pair.call()
    pair.town.work()
    assert len([note for note in pair.town.notes(pair.account) if "помечен" in note]) == 1
    assert pair.shown["name"] == "Полесье АО"


def test_what_1c_refuses_is_told_to_the_editor(pair: Pair) -> None:
    """A rule of the configuration forbids the edit: parked for a person, and the client's stream says why."""
    refusal = '{"odata.error": {"code": "-1", "message": {"lang": "ru", "value": "Телефон занят другим клиентом"}}}'
    app, json_type = pair.town.onec_app, "application/json"
    pair.town.fault(app, "status", "PATCH", COUNTERPARTIES, status=500, body=refusal, content_type=json_type)
    pair.edit(phoneNumber="+74957654321")
    event = pair.tell()
    pair.town.work()
    assert pair.town.event(event).kind == "rejected"
    assert any("Телефон занят другим клиентом" in note for note in pair.town.notes(pair.account))


def test_two_accounts_of_one_counterparty_are_reported(pair: Pair) -> None:
    _, made = pair.town.crm.act("ivanova", "POST", "Account", {"name": "Полесье два", "cInn": INN, "cKpp": KPP})
    pair.town.tell(made["id"], "create", "Account")
    pair.town.work()
    with pair.town.world.store.unit("test") as unit:
        [double] = unit.parties.proposals()
    assert (double.kind, {double.record_id, double.other}) == ("double_crm", {made["id"], pair.account})
    assert pair.link.record_id == pair.account


def test_an_exchange_plan_tells_and_is_acknowledged(place: Town, tmp_path: Path) -> None:
    place.reset(tmp_path, {**TABLES, "onec": {"main": {"exchange_plan": "Обмен"}}})
    pair = Pair(place)
    pair.poll()
    pair.book(Description="Полесье-План АО")
    pair.edit(phoneNumber="+74957654321")
    pair.poll()
    assert pair.values()["name"] == ("Полесье-План АО", "Полесье-План АО")
    pair.poll()
    assert pair.poll() == 0
    assert set(place.onec.stats()["changes_waiting"].values()) <= {0}


def test_a_lost_receipt_brings_the_packet_again_and_loses_nothing(place: Town, tmp_path: Path) -> None:
    place.reset(tmp_path, {**TABLES, "onec": {"main": {"exchange_plan": "Обмен"}}})
    pair = Pair(place)
    pair.poll()
    pair.book(Description="Полесье-Раз АО")
    place.fault(place.onec_app, "status", "POST", "NotifyChangesReceived", status=503, times=1)
    with pytest.raises(Exception, match="не принимает"):
        pair.poll()
    pair.town.work()
    pair.book(Description="Полесье-Два АО")
    pair.poll()
    assert pair.values()["name"] == ("Полесье-Два АО", "Полесье-Два АО")


def test_a_packet_that_1c_cannot_make_does_not_stop_the_exchange(place: Town, tmp_path: Path) -> None:
    """One control character in any object, and SelectChanges is 400 for good: versions are compared then."""
    place.reset(tmp_path, {**TABLES, "onec": {"main": {"exchange_plan": "Обмен"}}})
    pair = Pair(place)
    pair.poll()
    pair.book(Description="Полесье-Битый АО")
    broken = '{"odata.error": {"code": "14", "message": {"lang": "ru", "value": "Недопустимый символ 0x02"}}}'
    json_type = "application/json"
    place.fault(place.onec_app, "status", "POST", "SelectChanges", status=400, body=broken, content_type=json_type)
    assert pair.poll() == 1
    assert pair.values()["name"] == ("Полесье-Битый АО", "Полесье-Битый АО")
    place.onec_app.faults.clear()
    pair.book(Description="Полесье-Целый АО")
    pair.poll()
    assert pair.values()["name"] == ("Полесье-Целый АО", "Полесье-Целый АО")


def test_an_exchange_plan_has_one_reader_at_a_time(place: Town, tmp_path: Path) -> None:
    """The same number asked for twice gives old and new changes mixed: the second reader leaves without a call."""
    place.reset(tmp_path, {**TABLES, "onec": {"main": {"exchange_plan": "Обмен"}}})
    services, inside, found = place.world.services, iter([1]), list[int]()

    def second(boundary: str) -> None:
        if boundary == "изменения по плану обмена: before" and next(inside, None):
            found.append(pull_counterparties(services, "main"))

    end = steps.listen(second)
    try:
        pull_counterparties(services, "main")
    finally:
        end()
    assert found == [0]
    assert len(place.asked(place.onec_app, "POST", "SelectChanges")) == 1


# -- any sequence ---------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["Полесье", "Полесье-2", "Лесное", "Берег"])
PHONES = st.sampled_from(["+74950000001", "+74950000002", "+74950000003"])
MAILS = st.sampled_from(["x@a.example", "y@a.example", "z@a.example"])


class Edits(RuleBasedStateMachine):
    """People edit both sides; notices are lost, doubled and come late. `last`: what the owner's side was set to."""

    place: Town

    @initialize()
    def begin(self) -> None:
        self.place.reset(Path(tempfile.mkdtemp(prefix="crm1c-")), TABLES)
        self.pair = Pair(self.place)
        self.late: list[str] = []
        self.last = {"name": "Полесье АО", "phone": "+74951234567"}
        self.mails = {"a@a.example"}

    @rule(name=NAMES)
    def name_in_the_crm(self, name: str) -> None:
        self.pair.edit(name=f"CRM {name}")

    @rule(name=NAMES)
    def name_in_1c(self, name: str) -> None:
        self.pair.book(Description=name)
        self.last["name"] = name

    @rule(phone=PHONES)
    def phone_in_the_crm(self, phone: str) -> None:
        self.pair.edit(phoneNumber=phone)
        self.last["phone"] = phone

    @rule(phone=PHONES)
    def phone_in_1c(self, phone: str) -> None:
        self.pair.contact("Телефон", phone[:-1] + "9")

    @rule(mail=MAILS)
    def mail_in_the_crm(self, mail: str) -> None:
        self.pair.edit(emailAddress=mail)
        self.mails.add(mail)

    @rule(mail=MAILS)
    def mail_in_1c(self, mail: str) -> None:
        self.pair.contact("АдресЭлектроннойПочты", mail)
        self.mails.add(mail)

    @rule(side=st.sampled_from(["crm", "onec"]), times=st.integers(1, 2))
    def a_notice_comes(self, side: str, times: int) -> None:
        for _ in range(times):
            self.pair.tell() if side == "crm" else self.pair.call()
        self.place.work()

    @rule(side=st.sampled_from(["crm", "onec"]))
    def a_notice_is_late(self, side: str) -> None:
        self.late.append(side)

    @precondition(lambda self: self.late)
    @rule()
    def the_latest_comes_first(self) -> None:
        self.pair.tell() if self.late.pop() == "crm" else self.pair.call()
        self.place.work()

    def teardown(self) -> None:
        if not hasattr(self, "pair"):
            return
        for _ in range(4):
            if not self.pair.poll():
                break
        assert self.pair.poll() == 0
        values, clashes = self.pair.values(), {one.field for one in self.pair.clashes()}
        for field in ("name", "phone"):
            assert values[field] == (self.last[field], self.last[field]), (field, values)
        crm, onec = values["email"]
        assert crm == onec or "email" in clashes, values
        assert {crm, onec} <= self.mails


@pytest.fixture(scope="module")
def apart() -> Iterator[Town]:
    with built() as town:
        yield town


def test_any_sequence_of_edits_ends_equal_or_in_a_conflict(apart: Town) -> None:
    """Owned fields bear what their owner's side was last set to; the other is equal, or waits for a person."""
    Edits.place = apart
    run_state_machine_as_test(
        Edits,
        settings=settings(
            max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
