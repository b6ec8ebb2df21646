"""Бухгалтерия 3.0: what a printed invoice or act says, read from its own documents; OData gives no print forms.

Only fields that come are used, so that no $metadata is needed for it: a base that doesn't publish the directors of its
organisations still has papers, with the names of the settings. Without our own bank account there is no invoice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mappers.dialect import Call, Fault, Talk
from mappers.onec.bp_base import (
    CONTRACT,
    COUNTERPARTY,
    CURRENCY,
    INVOICE,
    ITEM,
    ORGANISATION,
    VAT_MEMBERS,
    Base30,
    live,
)
from mappers.onec.odata import (
    calling,
    from_local,
    getting,
    guid,
    listing,
    number_of,
    quoted,
    read_entity,
    read_rows,
    ref_of,
    text_of,
)
from mappers.onec.refusals import checked
from mappers.paper import BankAccount, Firm, Paper, PaperKind, PaperLine
from mappers.wire import clean

ACT = "Document_РеализацияТоваровУслуг"
ACCOUNT = "Catalog_БанковскиеСчета"
BANK = "Catalog_Банки"
PERSON = "Catalog_ФизическиеЛица"
UNIT = "Catalog_КлассификаторЕдиницИзмерения"
OFFICERS = "InformationRegister_ОтветственныеЛицаОрганизаций"
RATES = {member: rate for rate, member in VAT_MEMBERS.items()}

_BATCH = 20  # references in one filter: an address of a request has its limits
_PRINT_OPTIONS = {"invoice": "print_url", "act": "act_print_url"}
_NO_UNIT = "шт"  # where neither row nor item names one, as 1C's own print form has it


class Papers(Base30):
    """Talks about papers. All of them raise Fault as `refusals` says."""

    _no_officers = False

    def invoice_paper(self, ref_key: str) -> Talk[Paper]:
        """Everything that счёт на оплату says. Fault rejected when the invoice, or our bank account, isn't there."""
        row = yield from read_entity(getting("чтение счёта для печати", INVOICE, ref_key))
        return (yield from self._paper("invoice", row, self.section))

    def act_paper(self, ref_key: str) -> Talk[Paper | None]:
        """Everything that a posted act says, goods and services alike; None for one that isn't posted, or is gone."""
        row = yield from read_entity(getting("чтение акта для печати", ACT, ref_key))
        if row is None or not live(row) or row.get("Posted") is not True:
            return None
        return (yield from self._paper("act", row, "Товары", "Услуги"))

    def own_account(self) -> Talk[BankAccount]:
        """Our own main bank account, as an invoice would name it. Fault rejected when there is none."""
        rows = yield from read_rows(listing("чтение организации", ORGANISATION, f"ИНН eq {quoted(self.inn)}"))
        fit = [row for row in rows if live(row) and text_of(row, "ИНН") == self.inn]
        return (yield from self._account({}, fit[0] if fit else {}))

    def print_form(self, ref_key: str, kind: PaperKind) -> Talk[bytes]:
        """The PDF that a 1C HTTP service makes (options print_url and act_print_url, with {ref_key} in them); paths
        are its site's own."""
        url = urlsplit(self.print_urls[kind].replace("{ref_key}", ref_key))
        query = tuple(parse_qsl(url.query, keep_blank_values=True))
        call = Call(
            "печатная форма", "GET", url.path.lstrip("/"), query, headers={"Accept": "application/pdf"}, repeatable=True
        )
        reply = yield call
        try:
            checked(call, reply)
        except Fault as fault:
            fault.hold = fault.hold and reply.status == 401  # a service that isn't there is no reason to stop invoices
            raise
        if not reply.body.startswith(b"%PDF-"):
            sort = reply.headers.get("content-type", "без типа")
            raise Fault(
                "misconfigured",
                f"по адресу {_PRINT_OPTIONS[kind]} пришёл не PDF ({sort}): проверьте HTTP-сервис 1С",
                detail=reply.text[:300],
            )
        return reply.body

    # -- the parts of a paper -----------------------------------------------------------------------------------------

    def _paper(self, kind: PaperKind, row: Mapping[str, Any] | None, *sections: str) -> Talk[Paper]:
        if row is None or not live(row):
            raise Fault("rejected", "документ удалён или помечен на удаление в 1С: печатать нечего")
        organisation = yield from self._needed("чтение организации", ORGANISATION, ref_of(row, "Организация"))
        counterparty = yield from self._needed("чтение клиента для печати", COUNTERPARTY, ref_of(row, "Контрагент"))
        contract = yield from self._maybe("чтение договора", CONTRACT, ref_of(row, "ДоговорКонтрагента"))
        account = (yield from self._account(row, organisation)) if kind == "invoice" else None
        director, accountant = yield from self._officers(row, organisation)
        currency = yield from self.letters(ref_of(row, "ВалютаДокумента", CURRENCY))
        included = row.get("СуммаВключаетНДС") is True
        lines = yield from self._paper_lines([line for name in sections for line in row.get(name) or ()])
        dated = self._moment(row, "Date")
        if dated is None:
            raise Fault("rejected", f"у документа {text_of(row, 'Number')} в 1С нет даты")
        due = self._moment(row, "СрокОплаты")
        return Paper(
            kind=kind,
            number=text_of(row, "Number"),
            day=dated.date(),
            currency=currency,
            supplier=_firm(organisation, "ОГРН"),
            buyer=_firm(counterparty, "РегистрационныйНомер"),
            lines=lines,
            total=number_of(row, "СуммаДокумента"),
            vat_included=included,
            account=account,
            contract=_contract(contract),
            due=due.date() if due else None,
            director=director[0],
            director_post=director[1],
            accountant=accountant,
            goods=kind == "act" and bool(row.get("Товары")),
        )

    def _account(self, row: Mapping[str, Any], organisation: Mapping[str, Any]) -> Talk[BankAccount]:
        """The account that the document names, else the organisation's main one, with its bank."""
        key = (
            ref_of(row, "СтруктурнаяЕдиница", ACCOUNT)
            or ref_of(row, "БанковскийСчетОрганизации")
            or ref_of(organisation, "ОсновнойБанковскийСчет")
        )
        account = yield from self._maybe("чтение банковского счёта", ACCOUNT, key)
        if not account or not text_of(account, "НомерСчета"):
            raise Fault(
                "rejected",
                "у своей организации в 1С не указан банковский счёт: укажите основной счёт в её карточке, без него "
                "счёт на оплату не напечатать",
            )
        bank = yield from self._maybe("чтение банка", BANK, ref_of(account, "Банк"))
        bank = bank or {}
        return BankAccount(
            number=text_of(account, "НомерСчета").replace(" ", ""),
            bank=clean(text_of(bank, "Description")),
            bic=text_of(bank, "Code").strip(),
            correspondent=text_of(bank, "КоррСчет"),
            city=_city(text_of(bank, "Город")),
        )

    def _officers(self, row: Mapping[str, Any], organisation: Mapping[str, Any]) -> Talk[tuple[tuple[str, str], str]]:
        """((director, post), accountant): those of the document, else of the organisation's register of officers."""
        director = yield from self._person(ref_of(row, "Руководитель"))
        accountant = yield from self._person(ref_of(row, "ГлавныйБухгалтер"))
        post = ""
        if not director:
            found: dict[str, tuple[str, str]] = {}
            for one in (yield from self._officer_rows(str(organisation.get("Ref_Key", "")))):
                name = yield from self._person(ref_of(one, "ФизическоеЛицо"))
                found[text_of(one, "ОтветственноеЛицо")] = (name, text_of(one, "ДолжностьПредставление"))
            director, post = found.get("Руководитель", ("", ""))
            accountant = accountant or found.get("ГлавныйБухгалтер", ("", ""))[0]
        return (director, post), accountant

    def _officer_rows(self, organisation: str) -> Talk[list[dict[str, Any]]]:
        """What a base that publishes the register says; nothing where it doesn't, and it is asked once then."""
        if self._no_officers:
            return []
        call = calling("ответственные лица", f"{OFFICERS}/SliceLast()")
        try:
            rows = yield from read_rows(call)
        except Fault as fault:
            if fault.kind not in ("misconfigured", "rejected"):
                raise
            self._no_officers = True
            return []
        wanted = organisation.lower()
        return [row for row in rows if wanted in (ref_of(row, "СтруктурнаяЕдиница"), ref_of(row, "Организация"))]

    def _person(self, key: str) -> Talk[str]:
        person = yield from self._maybe("чтение подписанта", PERSON, key)
        return clean(text_of(person or {}, "ФИО") or text_of(person or {}, "Description"))

    def _paper_lines(self, rows: list[dict[str, Any]]) -> Talk[tuple[PaperLine, ...]]:
        keys = {ref_of(row, "Номенклатура", ITEM) for row in rows}
        items = yield from self._all("чтение номенклатуры", ITEM, keys)
        direct = {ref_of(row, "ЕдиницаИзмерения") for row in rows}
        units = yield from self._all(
            "единицы измерения", UNIT, direct | {ref_of(item, "ЕдиницаИзмерения") for item in items.values()}
        )

        def unit(row: Mapping[str, Any], item: Mapping[str, Any]) -> str:
            key = ref_of(row, "ЕдиницаИзмерения") or ref_of(item, "ЕдиницаИзмерения")
            return text_of(units.get(key, {}), "Description") or ("" if item.get("Услуга") is True else _NO_UNIT)

        made = []
        for row in rows:
            item = items.get(ref_of(row, "Номенклатура", ITEM), {})
            named = text_of(row, "Содержание") or text_of(item, "НаименованиеПолное") or text_of(item, "Description")
            member = text_of(row, "СтавкаНДС")
            made.append(
                PaperLine(
                    content=clean(named),
                    quantity=number_of(row, "Количество") or Decimal(1),
                    unit=unit(row, item),
                    price=number_of(row, "Цена"),
                    amount=number_of(row, "Сумма"),
                    vat_rate=RATES.get(member.partition("_")[0], "none"),
                    vat=number_of(row, "СуммаНДС"),
                )
            )
        return tuple(made)

    # -- reading ------------------------------------------------------------------------------------------------------

    def _moment(self, row: Mapping[str, Any], field: str) -> datetime | None:
        text = text_of(row, field)
        return from_local(text, self.zone) if text else None

    def _needed(self, step: str, set_name: str, key: str) -> Talk[dict[str, Any]]:
        row = (yield from read_entity(getting(step, set_name, key))) if key else None
        if row is None:
            raise Fault("rejected", f"{step}: в документе 1С нет ссылки, или объект удалён; заполните его")
        return row

    def _maybe(self, step: str, set_name: str, key: str) -> Talk[dict[str, Any] | None]:
        return (yield from read_entity(getting(step, set_name, key))) if key else None

    def _all(self, step: str, set_name: str, keys: Iterable[str]) -> Talk[dict[str, dict[str, Any]]]:
        """Ref_Key → object, so many of them in one call."""
        found: dict[str, dict[str, Any]] = {}
        wanted = sorted(key for key in keys if key)
        for start in range(0, len(wanted), _BATCH):
            filter_ = " or ".join(f"Ref_Key eq {guid(key)}" for key in wanted[start : start + _BATCH])
            rows = yield from read_rows(listing(step, set_name, filter_))
            found |= {str(row["Ref_Key"]).lower(): row for row in rows}
        return found


def _firm(row: Mapping[str, Any], ogrn: str) -> Firm:
    """A side by its card: the short name with its legal form comes first, as payments have it."""
    contacts = row.get("КонтактнаяИнформация")
    listed = [one for one in contacts if isinstance(one, Mapping)] if isinstance(contacts, list) else []
    names = ("НаименованиеСокращенное", "НаименованиеПолное", "Description")
    return Firm(
        name=clean(next((text_of(row, name) for name in names if text_of(row, name)), "")),
        inn=text_of(row, "ИНН"),
        kpp=text_of(row, "КПП"),
        ogrn=text_of(row, ogrn),
        address=_contact(listed, lambda kind, what: kind == "Адрес" and "Юр" in what)
        or _contact(listed, lambda kind, _: kind == "Адрес"),
        phone=_contact(listed, lambda kind, _: kind == "Телефон"),
    )


def _contact(contacts: list[Mapping[str, Any]], fits: Callable[[str, str], bool]) -> str:
    """The first contact that fits by its type and kind. Kinds are an enumeration's members or references, which
    can't be told apart without their catalog: then the type alone decides."""
    for one in contacts:
        if fits(text_of(one, "Тип"), text_of(one, "Вид")) and text_of(one, "Представление"):
            return clean(text_of(one, "Представление"))
    return ""


def _contract(row: Mapping[str, Any] | None) -> str:
    """The contract as it is called; with number and date where the name lacks them."""
    if row is None:
        return ""
    name, number = clean(text_of(row, "Description")), clean(text_of(row, "Номер"))
    if not number or number in name:
        return name
    dated = text_of(row, "Дата")
    day = "" if not dated or dated.startswith("0001") else f" от {dated[8:10]}.{dated[5:7]}.{dated[:4]}"
    return f"{name} № {number}{day}"


def _city(name: str) -> str:
    name = clean(name)
    return name if not name or name.lower().startswith("г.") else f"г. {name}"
