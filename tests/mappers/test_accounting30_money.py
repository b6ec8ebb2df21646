"""Payments, refunds, acts, invoices, contracts and rates read from the sandbox 1C over a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from mappers.money import Act, Contract, Covered, Payment, PaymentRow, Rate, Refund, Term
from mappers.onec.accounting30 import Accounting30
from sandbox.onec import OneC
from sandbox.onec.companies import ref
from sandbox.serve import serving
from tests.mappers.test_accounting30_sandbox import Rig

PAYMENT, REFUND = "Document_ПоступлениеНаРасчетныйСчет", "Document_СписаниеСРасчетногоСчета"
ACT, INVOICE = "Document_РеализацияТоваровУслуг", "Document_СчетНаОплатуПокупателю"
CLIENT, CONTRACT_KEY = "11111111-0000-4000-8000-000000000001", "11111111-0000-4000-8000-000000000002"
BILL, DONE = "11111111-0000-4000-8000-000000000003", "11111111-0000-4000-8000-000000000004"
OUR = ref("organisation")
DAY = date(2026, 11, 24)
HEAD = {
    "Организация_Key": OUR, "Контрагент_Key": CLIENT, "ДоговорКонтрагента_Key": CONTRACT_KEY,
    "ВалютаДокумента_Key": ref("643"), "Posted": True, "Date": "2026-11-24T10:00:00",
}  # fmt: skip


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A base with a client and a contract in dollars; the option `signed` as the test says."""
    onec = OneC()
    with serving(onec.wsgi()) as url:
        rig = Rig(url, onec, **getattr(request, "param", {}))
        rig.learn()
        rig.seed("Catalog_Контрагенты", {"Ref_Key": CLIENT, "Description": "Ромашка", "ИНН": "7700000016"})
        rig.seed(
            "Catalog_ДоговорыКонтрагентов",
            {"Ref_Key": CONTRACT_KEY, "Owner_Key": CLIENT, "Организация_Key": OUR, "Номер": "14/26",
             "Description": "Договор 14/26", "ВалютаВзаиморасчетов_Key": ref("840"), "Дата": "2026-01-15T00:00:00"},
        )  # fmt: skip
        yield rig


def paid(rig: Rig, name: str = PAYMENT, **more: Any) -> str:
    kind = "ОплатаПокупателя" if name == PAYMENT else "ВозвратПокупателю"
    [key] = rig.seed(name, {**HEAD, "ВидОперации": kind, "СуммаДокумента": 1000, **more})
    return key


def stamps(rig: Rig, kind: Any, since: date = DAY) -> list[str]:
    found, skip, more = [], 0, True
    while more:
        page, more = rig.ask(rig.say.stamps(kind, OUR, since, skip))
        found += page
        skip += len(page)
    return [one.ref_key for one in found]


def test_a_payment_is_read_whole(rig: Rig) -> None:
    """Sums, rows with what they name, the purpose, the bank's own number; the act named beside an invoice counts."""
    rows = [
        {"LineNumber": 1, "СуммаПлатежа": Decimal("600.50"), "СуммаВзаиморасчетов": Decimal("6.07"),
         "СчетНаОплату_Key": BILL, "ДоговорКонтрагента_Key": CONTRACT_KEY, "СуммаНДС": Decimal("108.29")},
        {"LineNumber": 2, "СуммаПлатежа": Decimal("399.50"), "СчетНаОплату_Key": BILL, "Сделка": DONE,
         "Сделка_Type": f"StandardODATA.{ACT}"},
    ]  # fmt: skip
    key = paid(
        rig, РасшифровкаПлатежа=rows, НазначениеПлатежа="Оплата по счету № 57", НомерВходящегоДокумента="15",
        ДатаВходящегоДокумента="2026-11-23T00:00:00", Number="0000-000007",
    )  # fmt: skip
    [payment] = rig.ask(rig.say.documents("payment", [key]))
    assert isinstance(payment, Payment)
    assert payment.version
    assert payment == Payment(
        key, "0000-000007", DAY, Decimal(1000), "RUB", posted=True, deleted=False, version=payment.version,
        purpose="Оплата по счету № 57",
        rows=(
            PaymentRow(1, Decimal("600.5"), Decimal("6.07"), BILL, CONTRACT_KEY, Decimal("108.29")),
            PaymentRow(2, Decimal("399.5"), None, DONE),
        ),
        counterparty=CLIENT, organisation=OUR, contract=CONTRACT_KEY, bank_number="15", bank_date=date(2026, 11, 23),
    )  # fmt: skip


def test_other_operations_are_no_money_of_clients(rig: Rig) -> None:
    """A loan is no payment, a tax is no refund: both come as unposted."""
    loan = paid(rig, ВидОперации="РасчетыПоКредитамИЗаймам")
    tax = paid(rig, REFUND, ВидОперации="ПеречислениеНалога")
    back = paid(rig, REFUND)
    [read] = rig.ask(rig.say.documents("payment", [loan]))
    assert not read.posted  # type: ignore[union-attr]
    found = {one.ref_key: one for one in rig.ask(rig.say.documents("refund", [tax, back]))}
    assert all(isinstance(one, Refund) for one in found.values())
    assert [found[key].posted for key in (tax, back)] == [False, True]  # type: ignore[union-attr]


def test_a_window_shows_every_state_and_no_other_organisation(rig: Rig) -> None:
    """Unposted and marked ones are told: they are reversals; earlier days and other companies stay out."""
    ours = [paid(rig), paid(rig, Posted=False), paid(rig, DeletionMark=True)]
    paid(rig, Date="2026-11-23T23:59:59")
    paid(rig, Организация_Key=CLIENT)
    assert sorted(stamps(rig, "payment")) == sorted(ours)


def test_a_window_is_read_to_its_last_page(rig: Rig) -> None:
    """However many documents there are; what was erased is left out by `documents`."""
    many = rig.seed(
        PAYMENT, *({**HEAD, "ВидОперации": "ОплатаПокупателя", "СуммаДокумента": n + 1} for n in range(510))
    )
    assert sorted(stamps(rig, "payment")) == sorted(many)
    some = rig.ask(rig.say.documents("payment", [*many[:45], BILL]))
    assert sorted(one.ref_key for one in some) == sorted(many[:45])


def test_an_act_names_what_it_was_made_from(rig: Rig) -> None:
    """By its rows, else by its header; VAT on top is added where the sum is without it."""
    line = {"Количество": 1, "Цена": 100, "СтавкаНДС": "НДС22"}
    [key] = rig.seed(
        ACT,
        {**HEAD, "СуммаДокумента": 366, "СуммаВключаетНДС": False, "СчетНаОплатуПокупателю_Key": BILL,
         "Услуги": [{**line, "LineNumber": 1, "Сумма": 100, "СуммаНДС": 22},
                    {**line, "LineNumber": 2, "Сумма": 200, "СуммаНДС": 44, "СчетНаОплатуПокупателю_Key": DONE}]},
    )  # fmt: skip
    [act] = rig.ask(rig.say.documents("act", [key]))
    assert isinstance(act, Act)
    assert (act.amount, act.vat, act.signed) == (Decimal(366), Decimal(66), True)
    assert set(act.covers) == {Covered(BILL, Decimal(122)), Covered(DONE, Decimal(244))}


@pytest.mark.parametrize("rig", [{"signed": "field:ДокументПодписан"}], indirect=True)
def test_signed_by_a_field(rig: Rig) -> None:
    """The document's own flag, whatever posting says."""
    keys = rig.seed(ACT, {**HEAD, "СуммаДокумента": 1, "ДокументПодписан": True}, {**HEAD, "СуммаДокумента": 1})
    found = {one.ref_key: one for one in rig.ask(rig.say.documents("act", keys))}
    assert [found[key].signed for key in keys] == [True, False]  # type: ignore[union-attr]


@pytest.mark.parametrize("rig", [{"signed": "register:СтатусыДокументов"}], indirect=True)
def test_signed_by_a_register(rig: Rig) -> None:
    """Its row says so in words; «Не подписан» and no row at all say no."""
    keys = rig.seed(ACT, *({**HEAD, "СуммаДокумента": 1} for _ in range(3)))
    rows = [
        {"Документ": key, "Документ_Type": f"StandardODATA.{ACT}", "Статус": status}
        for key, status in zip(keys, ("Подписан", "Не подписан"), strict=False)
    ]
    rig.seed("InformationRegister_СтатусыДокументов", *rows)
    assert rig.say.signs_in_register
    found = {one.ref_key: one for one in rig.ask(rig.say.documents("act", keys))}
    assert [found[key].signed for key in keys] == [True, False, False]  # type: ignore[union-attr]


def test_contracts_invoices_and_rates(rig: Rig) -> None:
    """The currency of settlement; an invoice's day of payment; rates that hold on a day and later ones."""
    [contract] = rig.ask(rig.say.documents("contract", [CONTRACT_KEY]))
    assert isinstance(contract, Contract)
    told = (contract.currency, contract.number, contract.counterparty, contract.date)
    assert told == ("USD", "14/26", CLIENT, date(2026, 1, 15))
    [key] = rig.seed(INVOICE, {**HEAD, "СуммаДокумента": 122, "СрокОплаты": "2026-12-01T00:00:00"})
    [invoice] = rig.ask(rig.say.documents("invoice", [key]))
    assert (invoice.contract, invoice.organisation) == (CONTRACT_KEY, OUR)  # type: ignore[union-attr]
    assert [one.due for one in invoice.instalments] == [date(2026, 12, 1)]  # type: ignore[union-attr]
    day = {"Валюта_Key": ref("840"), "Кратность": 1}
    rig.seed("InformationRegister_КурсыВалют", {**day, "Period": "2026-11-20T00:00:00", "Курс": 90},
             {**day, "Period": "2026-11-25T00:00:00", "Курс": Decimal("91.5")})  # fmt: skip
    found = {(one.currency, one.date): one for one in rig.ask(rig.say.rates(DAY))}
    assert found["USD", date(2026, 11, 20)] == Rate("USD", date(2026, 11, 20), Decimal(90))
    assert found["USD", date(2026, 11, 25)].rate == Decimal("91.5")


TERMS = [
    {"LineNumber": 1, "ВариантОплаты": "Аванс", "ПроцентПлатежа": 30},
    {"LineNumber": 2, "ВариантОплаты": "Кредит", "ПроцентПлатежа": 65, "Сдвиг": 10},
    {"LineNumber": 3, "ВариантОплаты": "ГарантийноеУдержание", "ПроцентПлатежа": 5,
     "ДатаПлатежа": "2027-02-24T00:00:00"},
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "schedule"),
    [
        ({}, ()),
        ({"УстановленСрокОплаты": True, "СрокОплаты": 14}, (Term(Decimal(100), days=14),)),
        ({"УстановленСрокОплаты": False, "СрокОплаты": 14}, ()),
        (
            {"ЭтапыГрафикаОплаты": TERMS, "УстановленСрокОплаты": True, "СрокОплаты": 14},
            (
                Term(Decimal(30)),
                Term(Decimal(65), days=10),
                Term(Decimal(5), due=date(2027, 2, 24), kind="retention"),
            ),
        ),
        (
            {"ЭтапыГрафикаОплаты": [{"LineNumber": 1, "СуммаПлатежа": 900}, {"LineNumber": 2, "СуммаПлатежа": 300}]},
            (Term(Decimal(75)), Term(Decimal(25))),
        ),
    ],
)
def test_a_contracts_payment_schedule(rig: Rig, fields: dict[str, Any], schedule: tuple[Term, ...]) -> None:
    """Terms by percent or by sums; without any, the days of payment that are set in the contract."""
    rig.seed("Catalog_ДоговорыКонтрагентов", {"Ref_Key": CONTRACT_KEY, **fields})
    [contract] = rig.ask(rig.say.documents("contract", [CONTRACT_KEY]))
    assert isinstance(contract, Contract)
    assert contract.schedule == schedule


def test_contracts_tell_their_versions_page_by_page(rig: Rig) -> None:
    """Every contract of our organisation, dated or not, each once; an edit moves its version."""
    made = [{"Owner_Key": CLIENT, "Организация_Key": OUR, "Description": f"№ {n}"} for n in range(505)]
    keys = rig.seed("Catalog_ДоговорыКонтрагентов", *made)
    rig.seed("Catalog_ДоговорыКонтрагентов", {"Owner_Key": CLIENT, "Организация_Key": CLIENT, "Description": "чужой"})
    told = stamps(rig, "contract")
    assert sorted(told) == sorted([*keys, CONTRACT_KEY])
    [before] = [one for one in rig.ask(rig.say.stamps("contract", OUR, DAY, 0))[0] if one.ref_key == CONTRACT_KEY]
    rig.seed("Catalog_ДоговорыКонтрагентов", {"Ref_Key": CONTRACT_KEY, "Номер": "15/26"})
    [after] = [one for one in rig.ask(rig.say.stamps("contract", OUR, DAY, 0))[0] if one.ref_key == CONTRACT_KEY]
    assert before.version != after.version


def test_nothing_but_references_gets_into_a_filter() -> None:
    """A key that is none is refused before anything is asked."""
    with pytest.raises(ValueError, match="not a reference"):
        next(Accounting30({}).documents("payment", ["1 or true"]))
