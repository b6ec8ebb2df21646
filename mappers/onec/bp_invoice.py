"""Бухгалтерия 3.0: the invoice to a buyer (contract ONEC-ODATA, sections 4 and 12; arithmetic is the rules' matter)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from mappers.canonical import Invoice, InvoiceDraft
from mappers.dialect import Fault, InvoiceRefs, Talk
from mappers.onec.bp_base import (
    CONTRACT,
    COUNTERPARTY,
    CURRENCY,
    INVOICE,
    ITEM,
    ORGANISATION,
    PAYMENT,
    RATES,
    Base30,
    empty,
    live,
    marker,
)
from mappers.onec.odata import (
    calling,
    carry_out,
    creating,
    from_local,
    getting,
    is_ref,
    listing,
    moment,
    number_of,
    patching,
    posting,
    quoted,
    read_entity,
    read_rows,
    ref_of,
    text_of,
    to_local,
    write,
)
from mappers.onec.readback import differences, verify
from mappers.wire import clean

_PAGE = 100
# What a client reads on an invoice: a change of it by hand is a conflict, any other (posting, comment) is not.
_HEADER_REFS = (("Контрагент", COUNTERPARTY), ("ДоговорКонтрагента", CONTRACT), ("ВалютаДокумента", CURRENCY))
_DUE = "СрокОплаты"
_LINE_SUMS = ("Количество", "Цена", "Сумма", "СуммаНДС")
# A payment may be dated back before the invoice that it names.
_BACKDATED = timedelta(days=31)


class Invoices(Base30):
    """Talks about invoices. All of them raise Fault as `refusals` says."""

    def find_invoice(self, key: str, counterparty: str) -> Talk[list[Invoice]]:
        """By our key in the comment, marked and unposted ones included; `counterparty` "" means any.

        `eq` on a comment fails with 500 (section 12): it is searched, and compared here.
        """
        filter_ = f"substringof({quoted(key)}, Комментарий)"
        if counterparty:
            filter_ += " and " + self.model.refers(INVOICE, "Контрагент", counterparty, COUNTERPARTY)
        rows = yield from read_rows(listing("поиск счёта по ключу", INVOICE, filter_))
        found: list[Invoice] = []
        for row in rows:
            if key.casefold() in text_of(row, "Комментарий").casefold():
                found.append((yield from self._invoice(row)))
        return found

    def invoice(self, ref_key: str) -> Talk[Invoice | None]:
        """The invoice as it stands now; None when it was erased."""
        row = yield from read_entity(getting("чтение счёта", INVOICE, ref_key))
        return None if row is None else (yield from self._invoice(row))

    def create_invoice(self, draft: InvoiceDraft, refs: InvoiceRefs) -> Talk[Invoice]:
        """POST, then a read-back compared field by field; written, not posted.

        A difference is a Fault rejected whose data names the document (`ref_key`) and the `fields`. A read-back that
        fails otherwise carries the `ref_key` too.
        """
        house = yield from self._house(refs.organisation)
        body = house | self.defaults(INVOICE) | (yield from self._body(draft, refs))
        made = yield from write(creating("запись счёта", INVOICE, body))
        return (yield from self._read_back("чтение записанного счёта", made["Ref_Key"], body))

    def rewrite_invoice(self, invoice: Invoice, draft: InvoiceDraft, refs: InvoiceRefs) -> Talk[Invoice]:
        """New content for a standing invoice: compare what stands there, unpost, PATCH, read back. It stays unposted.

        1C ignores If-Match (trap 1), and posting moves the version too: `invoice.content` is what we left there, and
        is compared here. A document that already holds the new content is left alone: that is our own write whose
        answer was lost. Raises Fault conflict when somebody changed, marked or erased it.
        """
        body = yield from self._body(draft, refs)
        now = yield from read_entity(getting("чтение счёта перед записью", INVOICE, invoice.ref_key))
        if now is None or now.get("DeletionMark"):
            what = "удалён" if now is None else "помечен на удаление"
            raise Fault("conflict", f"счёт {invoice.number} в 1С {what}: решите, выставлять ли новый")
        if draft.key in text_of(now, "Комментарий"):
            del body["Комментарий"]  # people add words of their own to it
        if not empty(now.get(_DUE)):
            body.pop(_DUE, None)  # agreed with the client, perhaps: it stays
        if not differences(body, now):
            return (yield from self._invoice(now))
        if self._content(now) != invoice.content:
            raise Fault("conflict", f"счёт {invoice.number} изменён в 1С после нас: решите, какое содержание верно")
        if now.get("Posted"):
            yield from carry_out(posting("отмена проведения счёта", INVOICE, invoice.ref_key, undo=True))
        yield from write(patching("перезапись счёта", INVOICE, invoice.ref_key, body))
        return (yield from self._read_back("чтение переписанного счёта", invoice.ref_key, body))

    def post_invoice(self, ref_key: str) -> Talk[Invoice]:
        """Post and make sure: posting twice is harmless."""
        yield from carry_out(posting("проведение счёта", INVOICE, ref_key))
        row = yield from read_entity(getting("чтение проведённого счёта", INVOICE, ref_key))
        if row is None or row.get("Posted") is not True:
            raise Fault(
                "rejected",
                "1С ответила успехом, но счёт не проведён: проведите его в 1С вручную и посмотрите, что она скажет",
                data={"ref_key": ref_key},
            )
        return (yield from self._invoice(row))

    def paid(self, invoice: Invoice) -> Talk[bool]:
        """Whether a posted payment of the invoice's counterparty names it, in СчетНаОплату or Сделка of a row."""
        return (yield from self.payments_naming(invoice.ref_key, invoice.counterparty, invoice.date - _BACKDATED))

    def payments_naming(self, ref_key: str, counterparty: str, since: datetime) -> Talk[bool]:
        """Whether a payment dated at or after `since` (aware) names the invoice; `counterparty` "" means any."""
        wanted = ref_key.lower()
        parts = ["Posted eq true", "DeletionMark eq false", f"Date ge {moment(to_local(since, self.zone))}"]
        if counterparty:
            parts.insert(0, self.model.refers(PAYMENT, "Контрагент", counterparty, COUNTERPARTY))
        skip = 0
        while True:
            page = yield from read_rows(
                listing("оплаты контрагента", PAYMENT, " and ".join(parts), top=_PAGE, skip=skip,
                        order="Date,Ref_Key")
            )  # fmt: skip
            for payment in page:
                if payment.get("Posted") is True and live(payment) and _names(payment, wanted):
                    return True
            if len(page) < _PAGE:
                return False
            skip += len(page)

    def sample(self) -> Talk[dict[str, Any] | None]:
        """The document whose house fields are copied; None when none is configured. Fault when it is not there."""
        wanted = self.sample_invoice
        if not wanted:
            return None
        if is_ref(wanted):
            row = yield from read_entity(getting("чтение счёта-образца", INVOICE, wanted))
        else:
            rows = yield from read_rows(listing("поиск счёта-образца", INVOICE, f"Number eq {quoted(wanted)}"))
            # Numbers begin anew each year: the latest is meant.
            row = max((r for r in rows if live(r)), key=lambda r: text_of(r, "Date"), default=None)
        if row is None or not live(row):
            raise Fault(
                "misconfigured",
                f"счёта-образца sample_invoice = {wanted!r} нет в 1С (или он помечен на удаление): укажите номер или "
                f"Ref_Key счёта, из которого брать {', '.join(self.sample_fields)}",
            )
        return row

    def _house(self, organisation: str) -> Talk[dict[str, Any]]:
        """Header fields of our own house, as the sample has them."""
        row = yield from self.sample()
        if row is None:
            return {}
        if ref_of(row, "Организация") != organisation.lower():
            raise Fault(
                "misconfigured",
                f"счёт-образец sample_invoice = {self.sample_invoice!r} выписан другой организацией: её банковский "
                "счёт и ответственные не подойдут",
            )
        copied: dict[str, Any] = {}
        for name in self.sample_fields:
            for field in (f"{name}_Key", name):
                if not empty(row.get(field)):
                    copied[field] = row[field]
                    if f"{field}_Type" in row:
                        copied[f"{field}_Type"] = row[f"{field}_Type"]
        return copied

    def _body(self, draft: InvoiceDraft, refs: InvoiceRefs) -> Talk[dict[str, Any]]:
        """The document as our side wants it, without the house's fields."""
        model = self.model
        comment = clean(draft.comment)
        if draft.key not in comment:
            comment = f"{comment} {marker(draft.key)}".strip()
        body: dict[str, Any] = {
            "Date": to_local(draft.date, self.zone),
            **model.reference(INVOICE, "Организация", refs.organisation, ORGANISATION),
            **model.reference(INVOICE, "Контрагент", refs.counterparty, COUNTERPARTY),
            **model.reference(INVOICE, "ДоговорКонтрагента", refs.contract, CONTRACT),
            **model.reference(INVOICE, "ВалютаДокумента", refs.currency, CURRENCY),
            "СуммаВключаетНДС": draft.vat_included,
            "СуммаДокумента": model.number(INVOICE, "СуммаДокумента", draft.total),
            "Комментарий": comment,
            self.section: self._lines(draft, refs),
        }
        rate, multiplicity = (Decimal(1), Decimal(1))
        if draft.currency != "RUB":
            rate, multiplicity = yield from self._rate(refs.currency, draft)
        optional: dict[str, Any] = {
            "КурсВзаиморасчетов": model.number(INVOICE, "КурсВзаиморасчетов", rate),
            "КратностьВзаиморасчетов": model.number(INVOICE, "КратностьВзаиморасчетов", multiplicity),
            "ДокументБезНДС": all(line.vat_rate == "none" for line in draft.lines),
        }
        if draft.due is not None:
            optional[_DUE] = f"{draft.due}T00:00:00"
        return body | {field: value for field, value in optional.items() if model.has(INVOICE, field)}

    def _lines(self, draft: InvoiceDraft, refs: InvoiceRefs) -> list[dict[str, Any]]:
        """Rows with LineNumber 1…n (trap 4) and every sum: no form computes them here."""
        if not draft.lines:
            raise Fault("rejected", "в сделке нет ни одной строки: счёт без строк 1С не проведёт")
        model, rows = self.model, self.rows
        lines: list[dict[str, Any]] = []
        for position, line in enumerate(draft.lines, 1):
            if line.item not in refs.items:
                raise Fault("rejected", f"для строки {position} не найдена номенклатура 1С «{line.item[:80]}»")
            row = self.defaults(rows) | {
                "LineNumber": model.number(rows, "LineNumber", Decimal(position)),
                **model.reference(rows, "Номенклатура", refs.items[line.item], ITEM),
                "Количество": model.number(rows, "Количество", line.quantity),
                "Цена": model.number(rows, "Цена", line.price),
                "Сумма": model.number(rows, "Сумма", line.amount),
                "СтавкаНДС": self.vat_member(line.vat_rate),
                "СуммаНДС": model.number(rows, "СуммаНДС", line.vat),
            }
            if model.has(rows, "Содержание"):
                row["Содержание"] = model.fitting(rows, "Содержание", clean(line.content), None)
            lines.append(row)
        return lines

    def _rate(self, currency: str, draft: InvoiceDraft) -> Talk[tuple[Decimal, Decimal]]:
        """Rate and multiplicity of the draft's date: the last on or before it. None of them is ever guessed."""
        period = moment(to_local(draft.date, self.zone))
        rows = yield from read_rows(calling("курс валюты", f"{RATES}/SliceLast(Period={period})"))
        for row in rows:
            if ref_of(row, "Валюта", CURRENCY) == currency.lower() and number_of(row, "Курс") > 0:
                return number_of(row, "Курс"), number_of(row, "Кратность") or Decimal(1)
        raise Fault(
            "rejected", f"в 1С нет курса {draft.currency} на дату счёта: загрузите курсы валют и повторите событие"
        )

    def _read_back(self, step: str, ref_key: str, body: Mapping[str, Any]) -> Talk[Invoice]:
        try:
            stored = yield from read_entity(getting(step, INVOICE, ref_key))
        except Fault as fault:
            fault.data = {"ref_key": ref_key}
            raise
        if stored is None:
            raise Fault(
                "ambiguous",
                "1С ответила, что записала счёт, но не отдаёт его: найдём его при следующей попытке",
                data={"ref_key": ref_key},
            )
        verify(f"счёт {text_of(stored, 'Number')}", body, stored)
        return (yield from self._invoice(stored))

    def _invoice(self, row: Mapping[str, Any]) -> Talk[Invoice]:
        ref_key = str(row["Ref_Key"]).lower()
        dated = from_local(text_of(row, "Date"), self.zone) if text_of(row, "Date") else None
        if dated is None:
            raise Fault("rejected", f"у счёта {text_of(row, 'Number')} в 1С нет даты", data={"ref_key": ref_key})
        letters = yield from self.letters(ref_of(row, "ВалютаДокумента", CURRENCY))
        return Invoice(
            ref_key=ref_key,
            number=text_of(row, "Number"),
            date=dated,
            total=number_of(row, "СуммаДокумента"),
            currency=letters,
            posted=row.get("Posted") is True,
            deleted=bool(row.get("DeletionMark")),
            version=text_of(row, "DataVersion"),
            comment=text_of(row, "Комментарий"),
            counterparty=ref_of(row, "Контрагент", COUNTERPARTY),
            url=self.link(ref_key),
            content=self._content(row),
        )

    def _content(self, row: Mapping[str, Any]) -> str:
        """A digest of what a client reads, the same however 1C writes a number or a reference."""
        lines = row.get(self.section)
        told = [
            [ref_of(row, name, target) for name, target in _HEADER_REFS],
            [str(row.get("СуммаВключаетНДС")), format(number_of(row, "СуммаДокумента").normalize(), "f")],
            [
                [
                    ref_of(line, "Номенклатура", ITEM),
                    text_of(line, "Содержание"),
                    text_of(line, "СтавкаНДС"),
                    *(format(number_of(line, name).normalize(), "f") for name in _LINE_SUMS),
                ]
                for line in (lines if isinstance(lines, list) else ())
            ],
        ]
        return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()[:32]


def _names(payment: Mapping[str, Any], invoice: str) -> bool:
    rows = payment.get("РасшифровкаПлатежа")
    return isinstance(rows, list) and any(
        invoice in (ref_of(row, "СчетНаОплату", INVOICE), ref_of(row, "Сделка", INVOICE)) for row in rows
    )
