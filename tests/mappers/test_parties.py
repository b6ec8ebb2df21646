"""Clients in both dialects: replayed, and against the sandbox systems over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from mappers.canonical import Party
from mappers.crm.espocrm import EspoCrm
from mappers.dialect import Call, Fault, Reply
from mappers.onec.accounting30 import Accounting30
from mappers.onec.atom import changed_refs
from mappers.wire import dump_json
from sandbox.crm import API_KEY, Espo
from sandbox.crm.face import Face
from sandbox.onec import PASSWORD, USER, OneC
from sandbox.onec.companies import ref as key_of
from sandbox.serve import serving
from tests.mappers.replay import exchange, replay
from tests.mappers.sources import Line

COUNTERPARTIES = "Catalog_Контрагенты"
INN, KPP = "7800000027", "780001001"
PARTY = Party(
    "АО «Полесье»", INN, KPP, "1027800000022", "АО «ПОЛЕСЬЕ»", "190000, г Санкт-Петербург, наб Небывалая, д 2"
)
CONTACTS = [
    {"LineNumber": 1, "Тип": "Адрес", "Вид_Key": key_of("ФактАдресКонтрагента"), "Представление": "г Псков"},
    {"LineNumber": 2, "Тип": "Адрес", "Вид_Key": key_of("ЮрАдресКонтрагента"), "Представление": "г Санкт-Петербург"},
    {"LineNumber": 3, "Тип": "Телефон", "Представление": "8 (812) 123-45-67", "НомерТелефона": "78121234567"},
    {"LineNumber": 4, "Тип": "АдресЭлектроннойПочты", "Представление": "a@a.example", "АдресЭП": "a@a.example"},
]
ATOM = (
    b'<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom" '
    b'xmlns:at="http://purl.org/atompub/tombstones/1.0">%s</feed>'
)


class Way(Line):
    """A line whose calls carry their query."""

    def _carry(self, call: Call) -> Reply:
        query = "&".join(f"{quote(name, safe='$')}={quote(value, safe='')}" for name, value in call.query)
        path = quote(call.path, safe="/()'=,")
        answer = self.http.request(
            call.method,
            f"{self.url}/{path}?{query}" if query else f"{self.url}/{path}",
            data=None if call.json is None else dump_json(call.json),
            headers={"Content-Type": "application/json", **self.say.credentials(), **call.headers},
            timeout=10,
        )
        return Reply(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)


class Both:
    """1C and the CRM with a dialect in front of each."""

    def __init__(self, onec: OneC, crm: Espo, onec_url: str, crm_url: str) -> None:
        self.onec, self.crm = onec, crm
        root = f"{onec_url}/bp/odata/standard.odata"
        options = {"base_url": root, "username": USER, "password": PASSWORD, "organisation": "7707083893"}
        self.say = Accounting30({**options, "exchange_plan": "Обмен"})
        self.books = Way(self.say, root)
        self.espo = EspoCrm({"api_key": API_KEY, "fields": {"ogrn": "", "full_name": ""}})
        self.deals = Way(self.espo, crm_url)

    def seed(self, **values: Any) -> str:
        body = {"Description": "Полесье", "НаименованиеПолное": "АО «Полесье»", "ИНН": INN, "КПП": KPP}
        return str(self.onec.seed({COUNTERPARTIES: [body | values]})[COUNTERPARTIES][0])


@pytest.fixture(scope="module")
def served() -> Iterator[Both]:
    onec, crm = OneC(), Espo(webhook_interval=None)
    with serving(onec.wsgi()) as onec_url, serving(Face(crm.api, crm)) as crm_url:
        yield Both(onec, crm, onec_url, crm_url)


@pytest.fixture
def both(served: Both) -> Both:
    served.onec.reset()
    served.crm.reset()
    return served


# -- 1C -------------------------------------------------------------------------------------------------------------


def test_a_counterparty_is_read_with_its_contacts(both: Both) -> None:
    ref_key = both.seed(КонтактнаяИнформация=CONTACTS, РегистрационныйНомер="1027800000022")
    party = both.books.ask(both.say.party(ref_key))
    assert party is not None
    assert (party.name, party.full_name, party.ogrn) == ("Полесье", "АО «Полесье»", "1027800000022")
    assert (party.phone, party.email, party.address) == ("+78121234567", "a@a.example", "г Санкт-Петербург")
    assert (party.id, party.ref_key) == (ref_key, ref_key)
    assert [one.id for one in both.books.ask(both.say.parties(INN))] == [ref_key]


@pytest.mark.parametrize("values", [{"DeletionMark": True}, {"IsFolder": True}])
def test_what_is_marked_or_a_folder_is_no_counterparty(both: Both, values: dict[str, Any]) -> None:
    ref_key = both.seed(**values)
    assert both.books.ask(both.say.party(ref_key)) is None
    assert both.books.ask(both.say.parties(INN)) == []


def test_an_update_changes_what_differs_and_nothing_else(both: Both) -> None:
    ref_key = both.seed(КонтактнаяИнформация=CONTACTS)
    before = both.books.ask(both.say.party(ref_key))
    assert before is not None
    changes = {"name": "Полесье-2", "kpp": KPP, "phone": "+74951112233"}
    after = both.books.ask(both.say.update_counterparty(ref_key, before.version, changes))
    assert (after.name, after.phone, after.address, after.email) == (
        "Полесье-2", "+74951112233", "г Санкт-Петербург", "a@a.example"
    )  # fmt: skip
    assert after.version != before.version
    sent = [call for call in both.books.calls if call.method == "PATCH"][-1].json
    assert set(sent) == {"Description", "КонтактнаяИнформация"}
    assert len(sent["КонтактнаяИнформация"]) == len(CONTACTS)


def test_an_update_over_another_version_is_a_conflict(both: Both) -> None:
    ref_key = both.seed()
    with pytest.raises(Fault) as caught:
        both.books.ask(both.say.update_counterparty(ref_key, "AAAAAAAAEAA=", {"name": "x"}))
    assert caught.value.kind == "conflict"


def test_an_update_that_changes_nothing_writes_nothing(both: Both) -> None:
    ref_key = both.seed()
    both.books.calls.clear()
    both.books.ask(both.say.update_counterparty(ref_key, "", {"name": "Полесье", "phone": ""}))
    assert [call.method for call in both.books.calls] == ["GET"]


# -- contacts ---------------------------------------------------------------------------------------------------------


def contacts(both: Both, ref_key: str) -> list[dict[str, Any]]:
    [one] = [one for one in both.onec.state({"set": COUNTERPARTIES}) if one["Ref_Key"] == ref_key]
    return list(one["КонтактнаяИнформация"])


def test_contacts_are_made_where_none_stand_each_of_its_kind(both: Both) -> None:
    ref_key = both.seed()
    wanted = {"phone": "+74951112233", "email": "buh@polesye.example", "address": "190000, г Санкт-Петербург, д 2"}
    after = both.books.ask(both.say.update_counterparty(ref_key, "", wanted))
    assert {"phone": after.phone, "email": after.email, "address": after.address} == wanted
    made = {row["Вид_Key"]: row for row in contacts(both, ref_key)}
    assert set(made) == {key_of("ТелефонКонтрагента"), key_of("EmailКонтрагента"), key_of("ЮрАдресКонтрагента")}
    assert made[key_of("ТелефонКонтрагента")]["НомерТелефона"] == "74951112233"
    assert made[key_of("EmailКонтрагента")]["ДоменноеИмяСервера"] == "polesye.example"
    told = json.loads(made[key_of("ЮрАдресКонтрагента")]["Значение"])
    assert (told["value"], told["addressType"]) == (wanted["address"], "ВСвободнойФорме")


def test_kinds_are_read_once(both: Both) -> None:
    both.say._contact_kinds = None
    both.books.calls.clear()
    for number in range(3):
        both.books.ask(both.say.update_counterparty(both.seed(), "", {"phone": f"+7495111223{number}"}))
    assert [call.step for call in both.books.calls].count("виды контактной информации") == 1


def test_a_free_form_address_is_rewritten_and_one_in_parts_is_left_to_people(both: Both) -> None:
    ref_key = both.seed()
    for address in ("г Псков, д 1", "г Псков, д 2"):
        after = both.books.ask(both.say.update_counterparty(ref_key, "", {"address": address}))
        assert after.address == address
    [row] = contacts(both, ref_key)
    parts = dump_json({"version": 4, "value": "г Псков", "addressType": "Муниципальный", "city": "Псков"}).decode()
    row |= {"LineNumber": 1, "Представление": "г Псков", "Значение": parts}
    del row["Ref_Key"]
    both.onec.seed({COUNTERPARTIES: [{"Ref_Key": ref_key, "КонтактнаяИнформация": [row]}]})
    both.books.calls.clear()
    after = both.books.ask(both.say.update_counterparty(ref_key, "", {"address": "г Псков, д 3"}))
    assert after.address == "г Псков"
    assert {call.method for call in both.books.calls} == {"GET"}


def test_the_actual_address_is_not_the_legal_one(both: Both) -> None:
    """A client with only the place where it is: the legal address gets a row of its own."""
    ref_key = both.seed(КонтактнаяИнформация=CONTACTS[:1])
    after = both.books.ask(both.say.update_counterparty(ref_key, "", {"address": "г Москва"}))
    assert after.address == "г Москва"
    assert [row["Представление"] for row in contacts(both, ref_key)] == ["г Псков", "г Москва"]


def test_a_new_counterparty_has_its_contacts(both: Both) -> None:
    made = both.books.ask(both.say.create_counterparty(replace(PARTY, phone="+74951112233"), "", reread=False))
    party = both.books.ask(both.say.party(made.ref_key))
    assert party is not None
    assert (party.address, party.phone) == (PARTY.address, "+74951112233")


def test_a_base_without_kinds_keeps_its_clients_without_contacts() -> None:
    """Not published: nothing is made that no form would show, and the rest is written all the same."""
    onec = OneC(without=["Catalog_Контрагенты.КонтактнаяИнформация.Вид", "Catalog_Организации.КонтактнаяИнформация.Вид",
                         "Catalog_ВидыКонтактнойИнформации"])  # fmt: skip
    with serving(onec.wsgi()) as url:
        both = Both(onec, Espo(webhook_interval=None), url, url)
        both.say.learn(both.books.ask(both.say.read_model()))
        assert "address" not in both.say.party_fields
        told = [one.what for one in both.books.ask(both.say.check()) if one.level == "warn"]
        assert any("Catalog_ВидыКонтактнойИнформации" in what for what in told)
        ref_key = both.seed()
        after = both.books.ask(both.say.update_counterparty(ref_key, "", {"name": "Новое", "phone": "+74951112233"}))
        assert (after.name, after.phone) == ("Новое", "")


def test_all_counterparties_come_in_pages_without_loss(both: Both) -> None:
    refs = {both.seed(Description="Тёзка", ИНН="") for _ in range(23)}
    found: list[str] = []
    versions: list[str] = []
    skip = 0
    while True:
        page, rows, size = both.books.ask(both.say.all_counterparties(skip, 5))
        versions += [ref for ref, version in both.books.ask(both.say.versions(skip, 5)) if version]
        found += [one.id for one in page]
        skip += rows
        assert size > 0
        if rows < 5:
            break
    assert len(found) == len(refs)
    assert set(found) == set(versions) == refs


def test_a_create_is_compared_with_its_own_answer(both: Both) -> None:
    both.books.calls.clear()
    made = both.books.ask(both.say.create_counterparty(PARTY, "", reread=False))
    assert [call.method for call in both.books.calls] == ["POST"]
    party = both.books.ask(both.say.party(made.ref_key))
    assert party is not None
    assert party.inn == INN


def test_the_exchange_plan_tells_changes_until_they_are_acknowledged(both: Both) -> None:
    ref = str(both.books.ask(both.say.create_counterparty(PARTY, "")).ref_key)
    first = both.books.ask(both.say.select_changes())
    assert (COUNTERPARTIES, ref, False) in first.refs
    again = both.books.ask(both.say.select_changes())
    assert (again.number, again.refs) == (first.number, first.refs)
    both.books.ask(both.say.acknowledge(again))
    following = both.books.ask(both.say.select_changes())
    assert (following.number, following.refs) == (first.number + 1, ())


def test_a_plan_with_several_nodes_needs_ours_by_name(both: Both) -> None:
    both.onec.seed({"ExchangePlan_Обмен": [{"Code": "02", "Description": "Склад"}]})
    with pytest.raises(Fault, match="назовите свой узел"):
        both.books.ask(both.say.select_changes())
    both.onec.seed({"ExchangePlan_Обмен": [{"Code": "03", "Description": "crm1c"}]})
    assert both.books.ask(both.say.select_changes()).number == 1


@pytest.mark.parametrize(
    "packet",
    [
        b"", b"{}", b"<html/>", ATOM[:40],
        b'<?xml version="1.0"?><!DOCTYPE feed [<!ENTITY a "b">]><feed xmlns="http://www.w3.org/2005/Atom">&a;</feed>',
    ],
)  # fmt: skip
def test_what_is_no_packet_is_refused(packet: bytes) -> None:
    with pytest.raises(ValueError):
        changed_refs(packet)


def test_tombstones_and_strange_entries_of_a_packet() -> None:
    gone = b'<at:deleted-entry ref="http://1c/x/Catalog_A(guid\'5D0B3A8E-2f41-5c77-9e0d-1a2b3c4d5e6f\')" when=""/>'
    strange = b"<entry><id>http://1c/x/InformationRegister_B(Period=1)</id></entry>"
    assert changed_refs(ATOM % (gone + strange)) == (("Catalog_A", "5d0b3a8e-2f41-5c77-9e0d-1a2b3c4d5e6f", True),)


# -- the CRM --------------------------------------------------------------------------------------------------------


def test_an_account_is_made_once(both: Both) -> None:
    first = both.deals.ask(both.espo.create_account(PARTY, "ref-of-1c"))
    again = both.deals.ask(both.espo.create_account(PARTY, "ref-of-1c"))
    assert first.id == again.id
    assert (first.inn, first.kpp, first.ref_key) == (INN, KPP, "ref-of-1c")
    found = both.deals.ask(both.espo.accounts_by(INN, None))
    assert [one.id for one in found] == [first.id]
    assert both.deals.ask(both.espo.accounts_by(INN, "770001001")) == []


def test_branches_of_one_name_are_no_duplicates(both: Both) -> None:
    both.deals.ask(both.espo.create_account(PARTY, "one"))
    other = Party(PARTY.name, INN, "540043001")
    assert both.deals.ask(both.espo.create_account(other, "two")).kpp == "540043001"


def test_an_account_is_updated_over_the_version_that_was_read(both: Both) -> None:
    made = both.deals.ask(both.espo.create_account(PARTY, "ref"))
    account = both.deals.ask(both.espo.account(made.id))
    assert account is not None
    shown = both.deals.ask(
        both.espo.update_account(account, {"name": "Новое", "address": "г Псков", "phone": "+74951112233"})
    )
    assert set(shown.written) == {"name", "address", "phone"}
    stands = both.deals.ask(both.espo.account(made.id))
    assert stands is not None
    assert (stands.name, stands.address, stands.phone, stands.version) == (
        "Новое",
        "г Псков",
        "+74951112233",
        shown.version,
    )
    with pytest.raises(Fault) as caught:
        both.deals.ask(both.espo.update_account(account, {"name": "Третье"}))
    assert caught.value.kind == "conflict"


def test_an_update_of_an_account_that_changes_nothing_is_no_put(both: Both) -> None:
    made = both.deals.ask(both.espo.create_account(PARTY, "ref"))
    both.deals.calls.clear()
    shown = both.deals.ask(both.espo.update_account(made, {"name": PARTY.name, "kpp": KPP}))
    assert shown.written == ()
    assert [call.method for call in both.deals.calls] == ["GET"]


def test_a_field_that_the_crm_refuses_does_not_keep_the_others_out(both: Both) -> None:
    made = both.deals.ask(both.espo.create_account(PARTY, "ref"))
    shown = both.deals.ask(both.espo.update_account(made, {"phone": "доб. 12", "name": "Новое"}))
    assert shown.written == ("name",)
    assert "phoneNumber" in shown.problems[0]


def test_accounts_come_in_pages(both: Both) -> None:
    for number in range(3):
        both.deals.ask(both.espo.create_account(Party(f"Клиент {number}"), f"ref{number}"))
    page, more = both.deals.ask(both.espo.all_accounts(0))
    assert ([one.name for one in page][-3:], more) == (["Клиент 0", "Клиент 1", "Клиент 2"], False)
    changed, _ = both.deals.ask(both.espo.changed_accounts(datetime(2020, 1, 1, tzinfo=UTC), 0))
    assert {one.id for one in page} == {one.id for one in changed}
    assert all(one.modified_at is not None and one.modified_at.tzinfo for one in changed)


def test_a_note_stands_once_in_the_clients_stream(both: Both) -> None:
    made = both.deals.ask(both.espo.create_account(PARTY, "ref"))
    assert both.deals.ask(both.espo.tell_account(made.id, "Правка не принята")) is True
    assert both.deals.ask(both.espo.tell_account(made.id, "Правка не принята")) is False


def test_a_crm_that_keeps_no_inn_is_not_asked() -> None:
    crm = EspoCrm({"api_key": "k", "fields": {"inn": ""}})
    assert replay(crm.accounts_by(INN, None), []) == []
    assert "inn" not in crm.party_fields


def test_a_gone_account_is_told() -> None:
    crm = EspoCrm({"api_key": "k"})
    gone = exchange("GET", "api/v1/Account/acc1", 404, None, reason="Record acc1 does not exist.")
    with pytest.raises(Fault, match="удалён"):
        replay(crm.update_account(Party("x", id="acc1"), {"name": "y"}), [gone])
