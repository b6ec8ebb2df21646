"""What a printed invoice says, read from a base of Бухгалтерия 3.0 that is a table of objects here."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from mappers.dialect import Call, Fault, Reply, Talk
from mappers.onec.accounting30 import Accounting30
from mappers.paper import BankAccount, Firm, PaperKind

T = TypeVar("T")
NOTHING = "00000000-0000-0000-0000-000000000000"
SALE = "Document_РеализацияТоваровУслуг"
OFFICERS = "InformationRegister_ОтветственныеЛицаОрганизаций"


def ref(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


INVOICE, OWN, CLIENT, CONTRACT, ACCOUNT, BANK, HEAD, BOOKS, ITEM, SERVICE, UNIT, RUB, ACT = map(ref, range(1, 14))


@dataclass
class Base:
    """Objects by set and key; sets that aren't here are not published. `asked`: the calls."""

    sets: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    asked: list[Call] = field(default_factory=list)

    def have(self, set_name: str, key: str, **fields: Any) -> None:
        self.sets.setdefault(set_name, {})[key] = {"Ref_Key": key, "DeletionMark": False, **fields}

    def ask(self, talk: Talk[T]) -> T:
        try:
            call = next(talk)
            while True:
                self.asked.append(call)
                call = talk.send(self._reply(call))
        except StopIteration as end:
            value: T = end.value
            return value

    def _reply(self, call: Call) -> Reply:
        name, key = re.fullmatch(r"([^(/]+)(?:\(guid'([^']+)'\))?(?:/SliceLast\(\))?", call.path).groups()  # type: ignore[union-attr]
        if name not in self.sets:
            return _json(404, {"odata.error": {"code": "8", "message": {"value": "Сущность не найдена"}}})
        if key:
            found = self.sets[name].get(key)
            missing = {"odata.error": {"code": "9", "message": {"value": "Экземпляр сущности не найден"}}}
            return _json(200, found) if found else _json(404, missing)
        wanted = re.findall(r"guid'([^']+)'", dict(call.query).get("$filter", ""))
        rows = [row for one, row in self.sets[name].items() if not wanted or one in wanted]
        return _json(200, {"value": rows})


def _json(status: int, value: Any) -> Reply:
    return Reply(status, {"content-type": "application/json"}, json.dumps(value, ensure_ascii=False).encode())


@pytest.fixture
def base() -> Base:
    made = Base()
    made.have("Catalog_Валюты", RUB, Code="643")
    made.have(
        "Catalog_Организации", OWN, Description="Рассвет ООО", НаименованиеСокращенное="ООО «Рассвет»",
        НаименованиеПолное="Общество «Рассвет»", ИНН="7707083893", КПП="770701001", ОГРН="1157746000120",
        ОсновнойБанковскийСчет_Key=ACCOUNT,
        КонтактнаяИнформация=[
            {"Тип": "Адрес", "Вид": "ФактАдресОрганизации", "Представление": "Казань"},
            {"Тип": "Адрес", "Вид": "ЮрАдресОрганизации", "Представление": "119019, г. Москва,  ул. Песочная, д. 1"},
            {"Тип": "Телефон", "Вид": "ТелефонОрганизации", "Представление": "+7 495 000-00-17"},
        ],
    )  # fmt: skip
    made.have(
        "Catalog_Контрагенты", CLIENT, Description="Полянка ООО", НаименованиеПолное='ООО "Полянка"', ИНН="7714088525",
        КПП="771401001", РегистрационныйНомер="1187746009123", КонтактнаяИнформация=[],
    )  # fmt: skip
    made.have(
        "Catalog_ДоговорыКонтрагентов", CONTRACT, Description="Поставка", Номер="14/26", Дата="2026-10-01T00:00:00"
    )
    made.have("Catalog_БанковскиеСчета", ACCOUNT, НомерСчета="40702810500000000017", Банк_Key=BANK)
    made.have(
        "Catalog_Банки",
        BANK,
        Description="АО «БАНК»",
        Code="044525999",
        КоррСчет="30101810400000000999",
        Город="МОСКВА",
    )
    made.have("Catalog_ФизическиеЛица", HEAD, ФИО="Песочкина Вера Ильинична")
    made.have("Catalog_ФизическиеЛица", BOOKS, Description="Копейкин Лев")
    made.have("Catalog_Номенклатура", ITEM, НаименованиеПолное="Болт М8", Услуга=False, ЕдиницаИзмерения_Key=UNIT)
    made.have("Catalog_Номенклатура", SERVICE, Description="Монтаж", Услуга=True, ЕдиницаИзмерения_Key=NOTHING)
    made.have("Catalog_КлассификаторЕдиницИзмерения", UNIT, Description="упак")
    made.have("Document_СчетНаОплатуПокупателю", INVOICE, **document())
    return made


def document(**more: Any) -> dict[str, Any]:
    rows = [
        {"LineNumber": "1", "Номенклатура_Key": ITEM, "Содержание": "", "Количество": 2.5, "Цена": 100, "Сумма": 250,
         "СтавкаНДС": "НДС22", "СуммаНДС": 45.08},
        {"LineNumber": "2", "Номенклатура_Key": SERVICE, "Содержание": "Монтаж линии по договору", "Количество": 0,
         "Цена": 1000, "Сумма": 1000, "СтавкаНДС": "БезНДС", "СуммаНДС": 0},
    ]  # fmt: skip
    return {
        "Number": "0000-000057", "Date": "2026-11-24T23:30:00", "Posted": True, "Организация_Key": OWN,
        "Контрагент_Key": CLIENT, "ДоговорКонтрагента_Key": CONTRACT, "СтруктурнаяЕдиница_Key": NOTHING,
        "ВалютаДокумента_Key": RUB, "СуммаВключаетНДС": True, "СуммаДокумента": 1250,
        "СрокОплаты": "2026-12-01T00:00:00", "Товары": rows,
    } | more  # fmt: skip


@pytest.fixture
def say() -> Accounting30:
    return Accounting30({"organisation": "7707083893"})


def test_everything_is_read_from_its_own_object(base: Base, say: Accounting30) -> None:
    """Short name with its legal form, legal address, main account with its bank, units of items, exact sums."""
    paper = base.ask(say.invoice_paper(INVOICE))
    assert (paper.kind, paper.number, paper.day, paper.due) == (
        "invoice",
        "0000-000057",
        date(2026, 11, 24),
        date(2026, 12, 1),
    )
    assert (paper.currency, paper.total, paper.vat_included) == ("RUB", Decimal(1250), True)
    assert paper.supplier == Firm(
        "ООО «Рассвет»",
        "7707083893",
        "770701001",
        "1157746000120",
        "119019, г. Москва, ул. Песочная, д. 1",
        "+7 495 000-00-17",
    )
    assert paper.buyer == Firm('ООО "Полянка"', "7714088525", "771401001", "1187746009123")
    assert paper.account == BankAccount(
        "40702810500000000017", "АО «БАНК»", "044525999", "30101810400000000999", "г. МОСКВА"
    )
    assert paper.contract == "Поставка № 14/26 от 01.10.2026"
    told = [(line.content, str(line.quantity), line.unit, line.vat_rate, str(line.vat)) for line in paper.lines]
    assert told == [("Болт М8", "2.5", "упак", "22", "45.08"), ("Монтаж линии по договору", "1", "", "none", "0")]


def test_the_account_that_the_document_names_goes_before_the_main_one(base: Base, say: Accounting30) -> None:
    """СтруктурнаяЕдиница of the invoice."""
    other = ref(99)
    base.have("Catalog_БанковскиеСчета", other, НомерСчета="40702840200000000018", Банк_Key=BANK)
    base.have("Document_СчетНаОплатуПокупателю", INVOICE, **document(СтруктурнаяЕдиница_Key=other))
    account = base.ask(say.invoice_paper(INVOICE)).account
    assert account is not None
    assert account.number == "40702840200000000018"


def test_without_an_account_there_is_no_paper_and_the_mend_is_told(base: Base, say: Accounting30) -> None:
    """A client can't pay nowhere."""
    base.sets["Catalog_Организации"][OWN]["ОсновнойБанковскийСчет_Key"] = NOTHING
    with pytest.raises(Fault, match="укажите основной счёт") as raised:
        base.ask(say.invoice_paper(INVOICE))
    assert raised.value.kind == "rejected"


def test_those_who_sign_are_the_documents_own(base: Base, say: Accounting30) -> None:
    """Where this release keeps them in its header."""
    signed = document(Руководитель_Key=HEAD, ГлавныйБухгалтер_Key=BOOKS)
    base.have("Document_СчетНаОплатуПокупателю", INVOICE, **signed)
    paper = base.ask(say.invoice_paper(INVOICE))
    assert (paper.director, paper.accountant) == ("Песочкина Вера Ильинична", "Копейкин Лев")


def test_else_they_are_the_registers(base: Base, say: Accounting30) -> None:
    """The last ones of our organisation; another's don't sign."""
    rows = (("Руководитель", HEAD, OWN), ("ГлавныйБухгалтер", BOOKS, OWN), ("Руководитель", BOOKS, CLIENT))
    for number, (who, person, whose) in enumerate(rows):
        base.have(
            OFFICERS, ref(50 + number), СтруктурнаяЕдиница_Key=whose, ОтветственноеЛицо=who, ФизическоеЛицо_Key=person,
            ДолжностьПредставление="Генеральный директор" if number == 0 else "",
        )  # fmt: skip
    paper = base.ask(say.invoice_paper(INVOICE))
    assert (paper.director, paper.director_post, paper.accountant) == (
        "Песочкина Вера Ильинична", "Генеральный директор", "Копейкин Лев",
    )  # fmt: skip


def test_a_base_that_publishes_no_register_is_asked_for_it_once(base: Base, say: Accounting30) -> None:
    """The paper is printed without names, or with those of the settings."""
    assert base.ask(say.invoice_paper(INVOICE)).director == ""
    base.ask(say.invoice_paper(INVOICE))
    assert len([call for call in base.asked if OFFICERS in call.path]) == 1


def test_many_items_are_read_together(base: Base, say: Accounting30) -> None:
    """Fifty lines, three calls for items."""
    lines = []
    for number in range(50):
        base.have("Catalog_Номенклатура", ref(1000 + number), Description=f"Товар {number}", ЕдиницаИзмерения_Key=UNIT)
        lines.append(
            {"Номенклатура_Key": ref(1000 + number), "Количество": 1, "Цена": 1, "Сумма": 1, "СтавкаНДС": "НДС22"}
        )
    base.have("Document_СчетНаОплатуПокупателю", INVOICE, **document(Товары=lines))
    paper = base.ask(say.invoice_paper(INVOICE))
    assert [line.content for line in paper.lines] == [f"Товар {number}" for number in range(50)]
    assert len([call for call in base.asked if call.path == "Catalog_Номенклатура"]) == 3


def test_an_act_has_goods_and_services(base: Base, say: Accounting30) -> None:
    """Both sections, goods first; nobody pays by an act, so it needs no bank account."""
    whole = document()
    goods, services = whole.pop("Товары")
    base.sets["Catalog_Организации"][OWN]["ОсновнойБанковскийСчет_Key"] = NOTHING
    base.have(SALE, ACT, **whole, Товары=[goods], Услуги=[services])
    paper = base.ask(say.act_paper(ACT))
    assert paper is not None
    assert (paper.kind, [line.content for line in paper.lines]) == ("act", ["Болт М8", "Монтаж линии по договору"])
    assert (paper.goods, paper.account) == (True, None)
    base.have(SALE, ACT, **whole, Товары=[], Услуги=[services])
    services_alone = base.ask(say.act_paper(ACT))
    assert services_alone is not None
    assert not services_alone.goods


@pytest.mark.parametrize("more", [{"Posted": False}, {"DeletionMark": True}, None])
def test_an_act_that_is_not_posted_is_no_paper(base: Base, say: Accounting30, more: dict[str, Any] | None) -> None:
    """Unposted, marked or erased: it has no force, and that is no error."""
    base.sets[SALE] = {}
    if more is not None:
        base.have(SALE, ACT, **document(**more))
    assert base.ask(say.act_paper(ACT)) is None


@pytest.mark.parametrize("gone", [None, {"DeletionMark": True}])
def test_a_document_that_is_gone_is_not_printed(base: Base, say: Accounting30, gone: dict[str, Any] | None) -> None:
    """Erased, or marked for it."""
    if gone is None:
        del base.sets["Document_СчетНаОплатуПокупателю"][INVOICE]
    else:
        base.sets["Document_СчетНаОплатуПокупателю"][INVOICE] |= gone
    with pytest.raises(Fault, match="печатать нечего"):
        base.ask(say.invoice_paper(INVOICE))


# The print form of a 1C HTTP service


def printing(reply: Reply, kind: PaperKind = "invoice") -> tuple[Call, bytes]:
    say = Accounting30(
        {
            "print_url": "https://1c.example/bp/hs/print/invoice/{ref_key}?stamp=1",
            "act_print_url": "https://1c.example/bp/hs/print/act/{ref_key}",
        }
    )
    talk = say.print_form(INVOICE, kind)
    call = next(talk)
    try:
        talk.send(reply)
    except StopIteration as end:
        return call, end.value
    raise AssertionError("one call too many")


def test_the_print_form_is_taken_as_it_comes() -> None:
    """The path of the service with the document's reference in it, and its query."""
    call, pdf = printing(Reply(200, {"content-type": "application/pdf"}, b"%PDF-1.4 made by 1C"))
    assert (call.method, call.path, call.query) == ("GET", f"bp/hs/print/invoice/{INVOICE}", (("stamp", "1"),))
    assert pdf == b"%PDF-1.4 made by 1C"
    call, _ = printing(Reply(200, {}, b"%PDF-1.4"), "act")
    assert call.path == f"bp/hs/print/act/{INVOICE}"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(200, {"content-type": "application/json"}, b"{}"), "misconfigured"),
        (Reply(200, {"content-type": "text/html"}, b"<html>enter</html>"), "transient"),
        (Reply(404, {}, b""), "misconfigured"),
        (Reply(503, {}, b""), "transient"),
    ],
)
def test_what_is_no_pdf_is_told_and_holds_no_invoices(reply: Reply, kind: str) -> None:
    """A service that isn't there is no reason to stop the rest of 1C's queue."""
    with pytest.raises(Fault) as raised:
        printing(reply)
    assert (raised.value.kind, raised.value.hold) == (kind, False)
