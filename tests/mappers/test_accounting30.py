"""The dialect of Бухгалтерия 3.0, by replaying recordings: what it asks, what it makes of the answers."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mappers.canonical import Found, Invoice, InvoiceDraft, InvoiceLine, Party
from mappers.dialect import Call, Fault, InvoiceRefs, Reply, Talk
from mappers.onec.accounting30 import Accounting30
from mappers.onec.odata import EMPTY_REF
from mappers.verbs import AccountingDialect
from mappers.wire import dump_json, parse_json

T = TypeVar("T")
RECORDINGS = Path(__file__).parent.parent / "recordings" / "accounting30"
INVOICE = "Document_СчетНаОплатуПокупателю"
ORG = "3f1a7c20-5b11-11ee-9c01-00155d0a1b02"
RUB = "6b2d0e11-5b10-11ee-9c01-00155d0a1b02"
USD = "6b2d0e12-5b10-11ee-9c01-00155d0a1b02"
CLIENT = "a90c4f31-7d02-11ef-9c07-00155d0a1b02"
BRANCH = "a90c4f32-7d02-11ef-9c07-00155d0a1b02"
CONTRACT = "b1170d40-7d02-11ef-9c07-00155d0a1b02"
ITEM = "c4e8aa50-7d02-11ef-9c07-00155d0a1b02"
REF = "d7f0b160-c92e-11f0-9c0a-00155d0a1b02"
KEY = "5d0b3a8e-2f41-5c77-9e0d-1a2b3c4d5e6f"
OPTIONS = {
    "base_url": "http://1c.example/bp/odata/standard.odata",
    "username": "Обмен",
    "password": "пароль",
    "organisation": "5029004173",
    "timezone": "Europe/Moscow",
}
REFS = InvoiceRefs(ORG, CLIENT, CONTRACT, RUB, {"Настройка обмена": ITEM, "Лицензия": ITEM})
LINES = (
    InvoiceLine("Настройка обмена", "Настройка обмена по договору 14/26", Decimal(1), Decimal("130000.00"),
                Decimal("130000.00"), "22", Decimal("23442.62")),
    InvoiceLine("Лицензия", "Лицензия, д'Арк \"Плюс\"", Decimal("0.5"), Decimal(1), Decimal("0.50"), "22",
                Decimal("0.09")),
)  # fmt: skip
DRAFT = InvoiceDraft(
    KEY, datetime(2026, 11, 24, 11, 5, 9, 999, tzinfo=UTC), "RUB", Decimal("130000.50"), True, LINES,
    "Сделка «Обмен» из CRM",
)  # fmt: skip
HOUSE = {  # what no form fills in over OData
    "СтруктурнаяЕдиница_Key": "3f1a7c2f-5b11-11ee-9c01-00155d0a1b02",
    "ПодразделениеОрганизации_Key": "3f1a7c33-5b11-11ee-9c01-00155d0a1b02",
    "ТипЦен_Key": "3f1a7c35-5b11-11ee-9c01-00155d0a1b02",
    "Ответственный_Key": "3f1a7c31-5b11-11ee-9c01-00155d0a1b02",
}


def recorded(name: str) -> Any:
    return parse_json((RECORDINGS / f"{name}.json").read_bytes())


def told(body: Any, status: int = 200, cookie: str = "") -> Reply:
    given = {"content-type": "application/json; charset=utf-8"} | ({"set-cookie": cookie} if cookie else {})
    return Reply(status, given, dump_json(recorded(body) if isinstance(body, str) else body))


def run(talk: Talk[T], *replies: Reply) -> tuple[T, list[Call]]:
    """Have the talk with these replies; all of them must be asked for, and no more."""
    calls: list[Call] = []
    left = list(replies)
    try:
        call = next(talk)
        while True:
            calls.append(call)
            assert left, f"one call too many: {call}"
            call = talk.send(left.pop(0))
    except StopIteration as end:
        assert not left
        value: T = end.value
        return value, calls


def fails(talk: Talk[Any], *replies: Reply) -> Fault:
    with pytest.raises(Fault) as caught:
        run(talk, *replies)
    return caught.value


def query(call: Call, name: str) -> str:
    return dict(call.query).get(name, "")


def sent(call: Call) -> Any:
    """The body as it leaves, parsed again."""
    return parse_json(dump_json(call.json))


def model(change: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = copy.deepcopy(recorded("model"))
    if change is not None:
        change(found)
    return found


def composite(set_name: str, name: str) -> Callable[[dict[str, Any]], None]:
    def change(m: dict[str, Any]) -> None:
        fields = m["sets"][set_name]
        del fields[f"{name}_Key"]
        fields |= {name: "Edm.String", f"{name}_Type": "Edm.String"}

    return change


def dialect(change: Callable[[dict[str, Any]], None] | None = None, **options: Any) -> Accounting30:
    made = Accounting30(OPTIONS | options)
    made.learn(model(change))
    return made


@pytest.fixture
def bp() -> Accounting30:
    return dialect()


# --- transport's faces ----------------------------------------------------------------------------------------------


def test_it_is_an_accounting_dialect(bp: Accounting30) -> None:
    face: AccountingDialect = bp
    assert "invoices" in face.capabilities


def test_a_cyrillic_login_goes_as_utf8(bp: Accounting30) -> None:
    scheme, value = bp.credentials()["Authorization"].split()
    assert (scheme, base64.b64decode(value).decode("utf-8")) == ("Basic", "Обмен:пароль")


def test_sessions_are_asked_for_and_mourned(bp: Accounting30) -> None:
    assert bp.opening_headers() == {"IBSession": "start"}
    assert dialect(reuse_sessions=False).opening_headers() == {}
    call = next(bp.invoice(REF))
    assert bp.session_died(call, Reply(400, {}, b""))
    assert not bp.session_died(call, told("error_14_filter", 400))


@pytest.mark.parametrize("options", [{"timezone": "Mars/Base"}, {"today": "сегодня"}])
def test_senseless_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Accounting30(OPTIONS | options)


# --- catalogs -------------------------------------------------------------------------------------------------------


def test_our_organisation_is_the_live_one_of_that_inn(bp: Accounting30) -> None:
    """The padding of a fixed-length ИНН is no part of it; a marked twin is passed over."""
    found, calls = run(bp.organisation(), told("organisations"))
    assert found is not None
    assert (found.ref_key, found.name, found.detail) == (ORG, "Северный ветер ООО", "502901001")
    assert query(calls[0], "$filter") == "ИНН eq '5029004173'"


def test_no_configured_organisation_is_told() -> None:
    fault = fails(dialect(organisation="").organisation())
    assert fault.kind == "misconfigured"
    assert "organisation" in fault.reason


@pytest.mark.parametrize(
    ("letters", "ref"),
    [("RUB", RUB), ("USD", USD), ("AMD", "6b2d0e13-5b10-11ee-9c01-00155d0a1b02"), ("EUR", None)],
)
def test_currencies_by_iso_letters_whatever_the_padding(bp: Accounting30, letters: str, ref: str | None) -> None:
    found, _ = run(bp.currency(letters), told("currencies"))
    assert (found.ref_key if found else None) == ref


def test_an_unknown_currency_is_refused(bp: Accounting30) -> None:
    assert fails(bp.currency("DOGE")).kind == "rejected"


@pytest.mark.parametrize(
    ("kpp", "refs", "filter_"),
    [
        (None, [CLIENT, BRANCH], "ИНН eq '7714088525'"),
        ("771401001", [CLIENT], "ИНН eq '7714088525' and КПП eq '771401001'"),
        ("", [], "ИНН eq '7714088525' and КПП eq ''"),
    ],
)
def test_counterparties_without_folders_and_marked(
    bp: Accounting30, kpp: str | None, refs: list[str], filter_: str
) -> None:
    found, calls = run(bp.counterparties("7714088525", kpp), told("counterparties"))
    assert [each.ref_key for each in found] == refs
    assert query(calls[0], "$filter") == filter_
    if kpp is None:
        assert [each.detail for each in found] == ["771401001", "165543001"]


PERSON = Party(
    "Ветров Илья Сергеевич ИП", inn="503811426776", ogrn="319505300012344",
    full_name="Индивидуальный предприниматель Ветров Илья Сергеевич",
)  # fmt: skip


def test_a_counterparty_is_created_and_read_back(bp: Accounting30) -> None:
    made = told("counterparty_created", 201)
    found, calls = run(bp.create_counterparty(PERSON, KEY), made, told("counterparty_created"))
    assert found.name == PERSON.name
    assert [call.method for call in calls] == ["POST", "GET"]
    assert not calls[0].repeatable
    assert sent(calls[0]) == {
        "Description": PERSON.name,
        "НаименованиеПолное": PERSON.full_name,
        "ЮридическоеФизическоеЛицо": "ФизическоеЛицо",
        "ИНН": "503811426776",
        "КПП": "",
        "РегистрационныйНомер": "319505300012344",
        "Комментарий": f"Создано crm1c по данным CRM [crm1c:{KEY}]",
    }


def test_a_cut_name_is_told_with_the_object(bp: Accounting30) -> None:
    stored = recorded("counterparty_created") | {"НаименованиеПолное": "Индивидуальный предприниматель"}
    fault = fails(bp.create_counterparty(PERSON, KEY), told("counterparty_created", 201), told(stored))
    assert fault.kind == "rejected"
    assert "1С не приняла поле НаименованиеПолное" in fault.reason
    assert fault.data == {"ref_key": stored["Ref_Key"], "fields": ["НаименованиеПолное"]}


@pytest.mark.parametrize(("length", "kept"), [(None, 100), (150, 150)])
def test_a_description_is_cut_before_1c_does_it(length: int | None, kept: int) -> None:
    def change(m: dict[str, Any]) -> None:
        m["lengths"] = {"Catalog_Контрагенты": {"Description": length}} if length else {}

    call = next(dialect(change).create_counterparty(Party("Ы" * 238, inn="7714088525", kpp="771401001"), KEY))
    assert len(call.json["Description"]) == kept
    assert len(call.json["НаименованиеПолное"]) == 238
    assert call.json["ЮридическоеФизическоеЛицо"] == "ЮридическоеЛицо"


def test_contracts_with_a_buyer_of_this_owner(bp: Accounting30) -> None:
    found, calls = run(bp.contracts(CLIENT, ORG, RUB), told("contracts"))
    assert [(each.ref_key, each.detail) for each in found] == [(CONTRACT, "14/26")]
    assert query(calls[0], "$filter") == (
        f"Owner_Key eq guid'{CLIENT}' and Организация_Key eq guid'{ORG}' and ВидДоговора eq 'СПокупателем'"
        f" and ВалютаВзаиморасчетов_Key eq guid'{RUB}'"
    )


def test_a_composite_owner_is_written_and_asked_as_such() -> None:
    """Compared with a bare guid it would always be empty, and every deal would get a contract more."""
    bp = dialect(composite("Catalog_ДоговорыКонтрагентов", "Owner"))
    asked = query(next(bp.contracts(CLIENT, ORG, RUB)), "$filter")
    assert asked.startswith(f"Owner eq cast(guid'{CLIENT}','Catalog_Контрагенты') and ")
    talk = bp.create_contract(CLIENT, ORG, RUB, "", KEY)
    assert next(talk).method == "GET"
    body = talk.send(told("currency_rub")).json
    assert (body["Owner"], body["Owner_Type"]) == (CLIENT, "StandardODATA.Catalog_Контрагенты")
    assert "Owner_Key" not in body


@pytest.mark.parametrize(
    ("currency", "recording", "foreign"), [(RUB, "currency_rub", False), (USD, "currency_usd", True)]
)
def test_a_contract_is_created(bp: Accounting30, currency: str, recording: str, foreign: bool) -> None:
    """With the flags that the form derives from the currency."""
    stored = recorded("contract_created") | {
        "ВалютаВзаиморасчетов_Key": currency, "Валютный": foreign, "ОплатаВВалюте": foreign,
    }  # fmt: skip
    talk = bp.create_contract(CLIENT, ORG, currency, "", KEY)
    found, calls = run(talk, told(recording), told(stored, 201), told(stored))
    assert found.name == "Основной договор"
    body = sent(calls[1])
    assert (body["ВидДоговора"], body["Owner_Key"], body["Валютный"]) == ("СПокупателем", CLIENT, foreign)


@pytest.mark.parametrize(
    ("options", "name", "replies", "asked"),
    [
        ({}, "Настройка  обмена", ["items"], "Description eq 'Настройка обмена'"),
        ({}, "настройка ОБМЕНА", ["items"], "Description eq 'настройка ОБМЕНА'"),
        ({}, "00-00000042", ["items"], "Description eq '00-00000042' or Code eq '00-00000042'"),
        ({}, ITEM, ["item"], None),
        ({"item": "00-00000042"}, "что угодно", ["items"], "Description eq '00-00000042' or Code eq '00-00000042'"),
        ({"item": ITEM}, "что угодно", ["item"], None),
    ],
)
def test_an_item_by_name_code_or_reference(
    options: dict[str, Any], name: str, replies: list[str], asked: str | None
) -> None:
    found, calls = run(dialect(**options).item(name), *(told(each) for each in replies))
    assert found is not None
    assert (found.ref_key, found.detail) == (ITEM, "00-00000042")
    assert query(calls[0], "$filter") == (asked or "")


def test_a_missing_item_is_none_but_a_missing_configured_one_is_told() -> None:
    nothing = told({"value": []})
    assert run(dialect().item("Чего нет"), nothing)[0] is None
    fault = fails(dialect(item="00-00000099").item("x"), nothing)
    assert fault.kind == "misconfigured"
    assert "00-00000099" in fault.reason


def test_a_long_name_is_cut_alike_for_search_and_creation(bp: Accounting30) -> None:
    """Otherwise each invoice would create it again."""
    name = "Очень длинная услуга " * 10
    asked = query(next(bp.item(name)), "$filter")
    body = next(bp.create_item(name)).json
    assert asked == f"Description eq '{body['Description']}'"
    assert len(body["Description"]) <= 100
    assert body["НаименованиеПолное"] == name.strip()
    assert body["Услуга"] is True


def test_an_item_is_created_with_configured_fields() -> None:
    bp = dialect(defaults={"Catalog_Номенклатура": {"ВидСтавкиНДС": "Общая"}})
    stored = recorded("item")
    found, calls = run(bp.create_item("Настройка обмена"), told(stored, 201), told(stored))
    assert isinstance(found, Found)
    assert sent(calls[0])["ВидСтавкиНДС"] == "Общая"


def test_quotes_in_a_name_are_doubled(bp: Accounting30) -> None:
    assert query(next(bp.item("д'Арк")), "$filter") == "Description eq 'д''Арк'"


# --- invoices -------------------------------------------------------------------------------------------------------


def test_an_invoice_is_read(bp: Accounting30) -> None:
    found, _ = run(bp.invoice(REF), told("invoice_posted"), told("currency_rub"))
    assert found == Invoice(
        ref_key=REF, number="0000-000318", date=datetime(2026, 11, 24, 11, 5, 9, tzinfo=UTC), total=Decimal("130000.5"),
        currency="RUB", posted=True, deleted=False, version="AAAAAQAAAAA=", counterparty=CLIENT,
        comment=f"Сделка «Обмен» из CRM [crm1c:{KEY}]",
        url="http://1c.example/bp/#e1cib/data/Документ.СчетНаОплатуПокупателю?ref=9c0a00155d0a1b0211f0c92ed7f0b160",
    )  # fmt: skip
    assert found is not None
    assert found.date.date() == date(2026, 11, 24)
    assert run(bp.invoice(REF), told("error_9_no_instance", 404))[0] is None


@pytest.mark.parametrize(
    ("change", "counterparty", "asked"),
    [
        (None, CLIENT, f"substringof('{KEY}', Комментарий) and Контрагент_Key eq guid'{CLIENT}'"),
        (None, "", f"substringof('{KEY}', Комментарий)"),
        (composite(INVOICE, "Контрагент"), CLIENT,
         f"substringof('{KEY}', Комментарий) and Контрагент eq cast(guid'{CLIENT}','Catalog_Контрагенты')"),
    ],
)  # fmt: skip
def test_an_invoice_is_found_by_its_key(change: Any, counterparty: str, asked: str) -> None:
    """`eq` on an unlimited comment is a 500; a marked one is found too, for a person marked it."""
    marked = recorded("invoice") | {"DeletionMark": True}
    foreign = recorded("invoice") | {"Комментарий": "другой ключ"}
    talk = dialect(change).find_invoice(KEY, counterparty)
    found, calls = run(talk, told({"value": [foreign, marked]}), told("currency_rub"))
    assert [(each.ref_key, each.deleted) for each in found] == [(REF, True)]
    assert query(calls[0], "$filter") == asked


def test_an_invoice_is_created_whole_and_unposted(bp: Accounting30) -> None:
    talk = bp.create_invoice(DRAFT, REFS)
    found, calls = run(talk, told("invoice", 201), told("invoice"), told("currency_rub"))
    assert (found.ref_key, found.posted, found.currency) == (REF, False, "RUB")
    assert [(call.method, call.step) for call in calls[:2]] == [
        ("POST", "запись счёта"),
        ("GET", "чтение записанного счёта"),
    ]
    row = {"Номенклатура_Key": ITEM, "СтавкаНДС": "НДС22"}
    assert sent(calls[0]) == {
        "Date": "2026-11-24T14:05:09",
        "Организация_Key": ORG,
        "Контрагент_Key": CLIENT,
        "ДоговорКонтрагента_Key": CONTRACT,
        "ВалютаДокумента_Key": RUB,
        "КурсВзаиморасчетов": 1,
        "КратностьВзаиморасчетов": "1",
        "СуммаВключаетНДС": True,
        "СуммаДокумента": Decimal("130000.50"),
        "ДокументБезНДС": False,
        "Комментарий": f"Сделка «Обмен» из CRM [crm1c:{KEY}]",
        "Товары": [
            row | {"LineNumber": "1", "Содержание": LINES[0].content, "Количество": 1, "Цена": 130000, "Сумма": 130000,
                   "СуммаНДС": Decimal("23442.62")},
            row | {"LineNumber": "2", "Содержание": LINES[1].content, "Количество": Decimal("0.5"), "Цена": 1,
                   "Сумма": Decimal("0.50"), "СуммаНДС": Decimal("0.09")},
        ],
    }  # fmt: skip
    assert b"E+" not in dump_json(calls[0].json)


def test_a_day_of_payment_is_written_where_the_base_has_it_and_read_back(bp: Accounting30) -> None:
    def change(m: dict[str, Any]) -> None:
        del m["sets"][INVOICE]["СрокОплаты"]

    draft = replace(DRAFT, due=date(2026, 11, 29))
    assert next(bp.create_invoice(draft, REFS)).json["СрокОплаты"] == "2026-11-29T00:00:00"
    assert "СрокОплаты" not in next(dialect(change).create_invoice(draft, REFS)).json
    fault = fails(bp.create_invoice(draft, REFS), told("invoice", 201), told("invoice"))
    assert (fault.kind, fault.data["fields"]) == ("rejected", ["СрокОплаты"])


def _changed(**fields: Any) -> dict[str, Any]:
    return dict(recorded("invoice")) | fields


def _row_changed(index: int, **fields: Any) -> dict[str, Any]:
    stored: dict[str, Any] = recorded("invoice")
    stored["Товары"][index] |= fields
    return stored


@pytest.mark.parametrize(
    ("stored", "field"),
    [
        (_changed(СуммаДокумента=0), "СуммаДокумента"),
        (_changed(КратностьВзаиморасчетов="0"), "КратностьВзаиморасчетов"),
        (_changed(Комментарий="Сделка"), "Комментарий"),
        (_changed(Контрагент_Key=EMPTY_REF), "Контрагент_Key"),
        (_changed(Товары=[]), "Товары"),
        (_row_changed(1, СуммаНДС=Decimal("0.08")), "Товары[2].СуммаНДС"),
        (_row_changed(0, Содержание="Настройка"), "Товары[1].Содержание"),
        (_row_changed(0, СтавкаНДС=""), "Товары[1].СтавкаНДС"),
        ({k: v for k, v in _changed().items() if k != "ДокументБезНДС"}, "ДокументБезНДС"),
    ],
)
def test_what_1c_ignored_cut_or_changed_stops_the_invoice(bp: Accounting30, stored: Any, field: str) -> None:
    fault = fails(bp.create_invoice(DRAFT, REFS), told("invoice", 201), told(stored))
    assert fault.kind == "rejected"
    assert f"1С не приняла поле {field}" in fault.reason
    assert fault.data == {"ref_key": REF, "fields": [field]}


def test_a_failed_read_back_names_the_document(bp: Accounting30) -> None:
    created = told("invoice", 201)
    fault = fails(bp.create_invoice(DRAFT, REFS), created, told("error_locked", 500))
    assert (fault.kind, fault.data) == ("transient", {"ref_key": REF})
    fault = fails(bp.create_invoice(DRAFT, REFS), created, told("error_9_no_instance", 404))
    assert (fault.kind, fault.data) == ("ambiguous", {"ref_key": REF})


@pytest.mark.parametrize("status", [502, 504, 500])
def test_a_lost_answer_to_a_create_is_a_doubt(bp: Accounting30, status: int) -> None:
    assert fails(bp.create_invoice(DRAFT, REFS), Reply(status, {}, b"")).kind == "ambiguous"


@pytest.mark.parametrize(
    ("rate", "member"),
    [
        ("22", "НДС22"),
        ("20", "НДС20"),
        ("10", "НДС10"),
        ("7", "НДС7"),
        ("5", "НДС5"),
        ("0", "НДС0"),
        ("none", "БезНДС"),
    ],
)
def test_vat_rates_are_members(bp: Accounting30, rate: str, member: str) -> None:
    draft = replace(DRAFT, lines=tuple(replace(line, vat_rate=rate) for line in LINES))
    body = next(bp.create_invoice(draft, REFS)).json
    assert {row["СтавкаНДС"] for row in body["Товары"]} == {member}
    assert body["ДокументБезНДС"] is (rate == "none")


def test_a_release_without_the_rate_is_told() -> None:
    fault = fails(dialect(lambda m: m["enums"]["СтавкиНДС"].remove("НДС22")).create_invoice(DRAFT, REFS))
    assert fault.kind == "misconfigured"
    assert "НДС22" in fault.reason
    assert "релиз" in fault.reason
    unknown = replace(DRAFT, lines=(replace(LINES[0], vat_rate="13"),))
    assert fails(dialect().create_invoice(unknown, REFS)).kind == "rejected"


@pytest.mark.parametrize(
    ("draft", "refs", "part"),
    [
        (replace(DRAFT, lines=()), REFS, "ни одной строки"),
        (DRAFT, replace(REFS, items={"Лицензия": ITEM}), "строки 1"),
    ],
)
def test_an_invoice_that_cannot_be_is_refused_before_1c(
    bp: Accounting30, draft: InvoiceDraft, refs: InvoiceRefs, part: str
) -> None:
    fault = fails(bp.create_invoice(draft, refs))
    assert (fault.kind, part in fault.reason) == ("rejected", True)


def test_the_comment_holds_the_key_once_and_no_illegal_characters(bp: Accounting30) -> None:
    body = next(bp.create_invoice(replace(DRAFT, comment=f"Сделка\x02 5\n{KEY}"), REFS)).json
    assert body["Комментарий"] == f"Сделка 5 {KEY}"


def test_old_releases_keep_services_in_their_own_section() -> None:
    def change(m: dict[str, Any]) -> None:
        m["sets"][f"{INVOICE}_Услуги"] = m["sets"].pop(f"{INVOICE}_Товары")

    body = next(dialect(change).create_invoice(DRAFT, REFS)).json
    assert "Товары" not in body
    assert len(body["Услуги"]) == 2


def test_dual_fields_of_rows_and_missing_optional_ones() -> None:
    def change(m: dict[str, Any]) -> None:
        composite(f"{INVOICE}_Товары", "Номенклатура")(m)
        del m["sets"][INVOICE]["ДокументБезНДС"], m["sets"][f"{INVOICE}_Товары"]["Содержание"]

    body = next(dialect(change).create_invoice(DRAFT, REFS)).json
    row = body["Товары"][0]
    assert (row["Номенклатура"], row["Номенклатура_Type"]) == (ITEM, "StandardODATA.Catalog_Номенклатура")
    assert "ДокументБезНДС" not in body
    assert "Содержание" not in row


@pytest.mark.parametrize(
    ("sample", "recording", "asked"),
    [
        ("d7f0b100-c92e-11f0-9c0a-00155d0a1b02", "sample_invoice", ""),
        ("0000-000001", "sample_invoices", "Number eq '0000-000001'"),
    ],
)
def test_the_house_fields_come_from_the_sample(sample: str, recording: str, asked: str) -> None:
    """Of several documents of that number the latest; what belongs to the sample's client stays there."""
    bp = dialect(sample_invoice=sample, defaults={INVOICE: {"ТипЦен_Key": ITEM, "АдресДоставки": "Москва"}})
    talk = bp.create_invoice(DRAFT, REFS)
    first = next(talk)
    assert query(first, "$filter") == asked
    body = talk.send(told(recording)).json
    assert {k: body[k] for k in HOUSE} == HOUSE | {"ТипЦен_Key": ITEM}
    assert body["АдресДоставки"] == "Москва"
    assert "Склад_Key" not in body
    assert body["Комментарий"] != "образец"


@pytest.mark.parametrize(
    "reply",
    [
        told({"value": []}),
        told({"value": [_changed(DeletionMark=True)]}),
        told({"value": [_changed(Организация_Key=CLIENT)]}),
    ],
)
def test_an_unfit_sample_is_told(reply: Reply) -> None:
    fault = fails(dialect(sample_invoice="0000-000001").create_invoice(DRAFT, REFS), reply)
    assert fault.kind == "misconfigured"
    assert "sample_invoice" in fault.reason


def test_a_foreign_currency_takes_the_last_rate(bp: Accounting30) -> None:
    draft = replace(DRAFT, currency="USD")
    talk = bp.create_invoice(draft, replace(REFS, currency=USD))
    assert next(talk).path == "InformationRegister_КурсыВалют/SliceLast(Period=datetime'2026-11-24T14:05:09')"
    body = talk.send(told("rates")).json
    assert (body["КурсВзаиморасчетов"], body["КратностьВзаиморасчетов"]) == (Decimal("81.2345"), "1")
    fault = fails(bp.create_invoice(draft, replace(REFS, currency=ITEM)), told("rates"))
    assert fault.kind == "rejected"
    assert "курса USD" in fault.reason


def test_posting_is_made_sure_of(bp: Accounting30) -> None:
    talk = bp.post_invoice(REF)
    found, calls = run(talk, Reply(200, {}, b""), told("invoice_posted"), told("currency_rub"))
    assert found.posted
    assert calls[0].path == f"{INVOICE}(guid'{REF}')/Post"
    assert calls[0].repeatable
    fault = fails(dialect().post_invoice(REF), Reply(200, {}, b""), told("invoice"))
    assert fault.kind == "rejected"
    assert fails(dialect().post_invoice(REF), told("error_exception", 500)).kind == "rejected"


STANDING = Invoice(
    REF, "0000-000318", datetime(2026, 11, 24, 11, 5, 9, tzinfo=UTC), Decimal("130000.5"), "RUB", True, False,
    "AAAAAQAAAAA=", counterparty=CLIENT, content="32 hex digits of what was read then",
)  # fmt: skip
DEARER = replace(
    DRAFT, total=Decimal(122), lines=(replace(LINES[0], price=Decimal(122), amount=Decimal(122), vat=Decimal(22)),)
)


def _rewritten() -> dict[str, Any]:
    stored = _row_changed(0, Цена=122, Сумма=122, СуммаНДС=22)
    del stored["Товары"][1]
    return stored | {"СуммаДокумента": 122, "DataVersion": "AAAAAwAAAAA="}


def test_a_rewrite_unposts_sets_the_whole_section_and_reads_back(bp: Accounting30) -> None:
    new = told(_rewritten())
    standing, _ = run(bp.invoice(REF), told("invoice_posted"), told("currency_rub"))
    assert standing is not None
    talk = bp.rewrite_invoice(standing, DEARER, REFS)
    found, calls = run(talk, told("invoice_posted"), Reply(200, {}, b""), new, new)
    assert [(c.method, c.path.rpartition("/")[2]) for c in calls[:2]] == [
        ("GET", f"{INVOICE}(guid'{REF}')"),
        ("POST", "Unpost"),
    ]
    assert calls[2].method == "PATCH"
    assert all(call.repeatable for call in calls)
    assert [row["LineNumber"] for row in calls[2].json["Товары"]] == ["1"]
    assert (found.total, found.posted, found.version) == (Decimal(122), False, "AAAAAwAAAAA=")


@pytest.mark.parametrize(
    ("stands", "written"), [("2026-12-31T00:00:00", None), ("0001-01-01T00:00:00", "2026-11-29T00:00:00")]
)
def test_a_rewrite_keeps_the_day_of_payment_that_stands(bp: Accounting30, stands: str, written: str | None) -> None:
    """A person may have agreed on it with the client."""
    due = {"СрокОплаты": stands}
    after = told(_rewritten() | {"СрокОплаты": written or stands})
    standing, _ = run(bp.invoice(REF), told("invoice"), told("currency_rub"))
    assert standing is not None
    talk = bp.rewrite_invoice(standing, replace(DEARER, due=date(2026, 11, 29)), REFS)
    _, calls = run(talk, told(_changed(**due)), after, after)
    assert calls[1].method == "PATCH"
    assert calls[1].json.get("СрокОплаты") == written


def test_a_rewrite_after_a_lost_answer_finds_its_work_done(bp: Accounting30) -> None:
    """The version moved by our own hand: nothing is written, and it is no conflict."""
    found, calls = run(bp.rewrite_invoice(STANDING, DEARER, REFS), told(_rewritten()), told("currency_rub"))
    assert [call.method for call in calls] == ["GET", "GET"]
    assert found.total == 122


@pytest.mark.parametrize(
    "reply",
    [
        told(_changed(СуммаДокумента=1)),
        told(_changed(DeletionMark=True)),
        told("error_9_no_instance", 404),
    ],
)
def test_a_rewrite_of_what_a_person_changed_is_a_conflict(bp: Accounting30, reply: Reply) -> None:
    """1C ignores If-Match: the content is compared before anything is written."""
    assert fails(bp.rewrite_invoice(STANDING, DEARER, REFS), reply).kind == "conflict"


@pytest.mark.parametrize(
    ("recording", "paid"), [("payments", True), ("payments_by_deal", True), ("payments_of_others", False)]
)
def test_a_payment_that_names_the_invoice(bp: Accounting30, recording: str, paid: bool) -> None:
    got, calls = run(bp.paid(STANDING), told(recording))
    assert got is paid
    asked = query(calls[0], "$filter")
    assert asked == (
        f"Контрагент_Key eq guid'{CLIENT}' and Posted eq true and DeletionMark eq false"
        " and Date ge datetime'2026-10-24T14:05:09'"
    )
    assert query(calls[0], "$orderby") == "Date,Ref_Key"


def test_payments_are_read_to_the_last_page(bp: Accounting30) -> None:
    other = recorded("payments_of_others")["value"][0]
    page = told({"value": [other | {"Ref_Key": f"e8a1c271-ca01-11f0-9c0a-{n:012x}"} for n in range(100)]})
    got, calls = run(bp.paid(STANDING), page, page, told("payments"))
    assert got is True
    assert [query(call, "$skip") for call in calls] == ["", "100", "200"]


@pytest.mark.parametrize("change", [{"Posted": False}, {"DeletionMark": True}])
def test_unposted_and_marked_payments_are_no_money(bp: Accounting30, change: dict[str, Any]) -> None:
    rows = [row | change for row in recorded("payments")["value"]]
    assert run(bp.paid(STANDING), told({"value": rows}))[0] is False


# --- model and doctor -----------------------------------------------------------------------------------------------


def _metadata(m: dict[str, Any]) -> Reply:
    types = "".join(
        f'<EntityType Name="{name}">' + "".join(f'<Property Name="{f}" Type="{t}"/>' for f, t in fields.items())
        + "</EntityType>"
        for name, fields in m["sets"].items()
    )  # fmt: skip
    enums = "".join(
        f'<EnumType Name="{name}">{"".join(f"""<Member Name="{x}"/>""" for x in members)}</EnumType>'
        for name, members in m["enums"].items()
    )
    edm = "http://schemas.microsoft.com/ado/2009/11/edm"
    xml = f'<Edmx xmlns="e"><Schema xmlns="{edm}">{types}<EntityType Name="Catalog_Лишний"/>{enums}</Schema></Edmx>'
    return Reply(200, {"content-type": "application/xml"}, xml.encode())


def test_the_model_is_reduced_json_able_and_learned() -> None:
    bp = Accounting30(OPTIONS)
    got, calls = run(bp.read_model(), _metadata(model()))
    assert (calls[0].path, calls[0].query, calls[0].repeatable) == ("$metadata", (), True)
    assert json.loads(json.dumps(got)) == model()
    bp.learn(got)
    assert bp.lacking() == []


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(200, {"content-type": "text/html"}, b"<html><title>login</title></html>"), "transient"),
        (Reply(200, {"content-type": "application/xml"}, b"<Edmx"), "transient"),
        (Reply(401, {}, b""), "misconfigured"),
    ],
)
def test_metadata_that_is_none(reply: Reply, kind: str) -> None:
    assert fails(Accounting30(OPTIONS).read_model(), reply).kind == kind


def _drop(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(m: dict[str, Any]) -> None:
        target = m
        for step in path[:-1]:
            target = target[step]
        del target[path[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "options", "absent"),
    [
        (_drop("sets", INVOICE, "Комментарий"), {}, f"{INVOICE}.Комментарий"),
        (_drop("sets", INVOICE, "Организация_Key"), {}, f"{INVOICE}.Организация_Key"),
        (_drop("sets", f"{INVOICE}_Товары"), {}, f"{INVOICE}.Товары"),
        (_drop("sets", f"{INVOICE}_Товары", "СуммаНДС"), {}, f"{INVOICE}.Товары.СуммаНДС"),
        (_drop("sets", "Catalog_Контрагенты"), {}, "Catalog_Контрагенты (не опубликован в OData)"),
        (None, {"defaults": {INVOICE: {"НетТакого": 1}}}, f"{INVOICE}.НетТакого"),
    ],
)
def test_what_the_base_lacks_is_named(change: Any, options: dict[str, Any], absent: str) -> None:
    assert dialect(change, **options).lacking() == [absent]


def test_either_shape_of_a_reference_is_enough() -> None:
    assert dialect(composite(INVOICE, "Контрагент")).lacking() == []
    assert dialect(composite("Catalog_ДоговорыКонтрагентов", "Owner")).lacking() == []


SESSION = "ibsession=abc; path=/bp"


def test_the_doctor_of_a_healthy_base() -> None:
    bp = Accounting30(OPTIONS | {"today": "2026-11-24", "item": ITEM, "sample_invoice": REF})
    findings, _ = run(
        bp.check(), told("service_document", cookie=SESSION), _metadata(model()), told("organisations"),
        told("currencies"), told("item"), told("sample_invoice"),
    )  # fmt: skip
    assert {each.level for each in findings} == {"ok"}
    what = " | ".join(each.what for each in findings)
    for part in ("логин принят", "IBSession", "метаданные", "НДС22", "Северный ветер", "RUB", "Настройка", "образец"):
        assert part in what


@pytest.mark.parametrize(
    ("today", "member", "level"),
    [(date(2025, 12, 31), "НДС20", "ok"), (date(2026, 1, 1), "НДС22", "FAIL"), (date(2018, 6, 1), "НДС18", "FAIL")],
)
def test_the_doctor_asks_for_the_rate_of_the_day(today: date, member: str, level: str) -> None:
    bp = dialect(lambda m: m["enums"]["СтавкиНДС"].remove("НДС22"))
    findings, _ = run(bp.check(today), told("service_document"), told("organisations"), told("currencies"))
    assert [each.level for each in findings if "ставк" in each.what.lower() and member in each.what][-1] == level


def test_the_doctor_tells_each_trouble_and_goes_on() -> None:
    bp = dialect(_drop("sets", INVOICE, "Комментарий"), item="00-00000099")
    nothing = told({"value": []})
    findings, _ = run(bp.check(), told("service_document"), nothing, told("error_20_no_rights", 401), nothing)
    bad = {level: [each.what for each in findings if each.level == level] for level in ("warn", "FAIL")}
    assert any("ibsession" in what for what in bad["warn"])
    for part in (f"{INVOICE}.Комментарий", "5029004173", "нет прав на Catalog_Валюты", "00-00000099"):
        assert any(part in what for what in bad["FAIL"]), part


def test_the_doctor_stops_where_1c_cannot_be_reached() -> None:
    findings, calls = run(Accounting30(OPTIONS).check(), Reply(401, {}, b""))
    assert [each.level for each in findings] == ["FAIL"]
    assert len(calls) == 1
