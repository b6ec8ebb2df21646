"""Бухгалтерия 3.0: payments, refunds, acts, invoices, contracts and rates as facts (contract, sections 3, 8 and 12).

Nothing tells what changed: a window of documents is compared by (Ref_Key, DataVersion, Posted, DeletionMark), and what
differs is read by its key. Sums are the documents' own; dates are of 1C's zone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from mappers.canonical import Invoice
from mappers.dialect import Fault, Talk
from mappers.money import Act, Contract, Covered, Instalment, MoneyKind, Payment, PaymentRow, Rate, Refund, Stamp, Term
from mappers.onec.bp_base import (
    ACT,
    ACT_SECTIONS,
    CONTRACT,
    COUNTERPARTY,
    CURRENCY,
    INVOICE,
    ORGANISATION,
    PAYMENT,
    RATES,
    REFUND,
)
from mappers.onec.bp_invoice import Invoices
from mappers.onec.odata import (
    calling,
    from_local,
    guid,
    listing,
    moment,
    number_of,
    read_rows,
    ref_of,
    text_of,
)

SETS_OF_MONEY: dict[MoneyKind, str] = {
    "payment": PAYMENT, "refund": REFUND, "act": ACT, "invoice": INVOICE, "contract": CONTRACT,
}  # fmt: skip
# Which operation of a bank document is a client's money; others never count.
_OPERATIONS = {"payment": "ОплатаПокупателя", "refund": "ВозвратПокупателю"}
_BATCH = 20  # Ref_Keys in one filter: IIS takes 2048 characters of a query
_PAGE = 500
_SIGNED = "подписан"
_RETAINED = "удержан"  # of a term: ГарантийноеУдержание, in whatever words

MoneyFact = Payment | Act | Invoice | Contract


class Money(Invoices):
    """Talks about money. All of them raise Fault as `refusals` says."""

    def stamps(self, kind: MoneyKind, organisation: str, since: date, skip: int) -> Talk[tuple[list[Stamp], bool]]:
        """One page of the documents dated at or after `since`, by (Date, Ref_Key) from `skip`; whether more follow. A
        bank document of another operation, one that is no client's money, counts as unposted. Of contracts, all."""
        if kind == "contract":
            return (yield from self._contract_stamps(organisation, skip))
        name, more = SETS_OF_MONEY[kind], ",ВидОперации" if kind in _OPERATIONS else ""
        filter_ = f"Date ge {moment(datetime(since.year, since.month, since.day).isoformat())}"  # noqa: DTZ001 – 1C's own local time
        filter_ += " and " + self.model.refers(name, "Организация", organisation, ORGANISATION)
        rows = yield from read_rows(
            listing(
                f"сверка: {_WORDS[kind]}", name, filter_, top=_PAGE, skip=skip, order="Date,Ref_Key",
                select="Ref_Key,DataVersion,Posted,DeletionMark,Date" + more,
            )
        )  # fmt: skip
        return [self._stamp(kind, row) for row in rows], len(rows) == _PAGE

    def _contract_stamps(self, organisation: str, skip: int) -> Talk[tuple[list[Stamp], bool]]:
        """One page of an organisation's contracts: a catalog has no date to begin from."""
        filter_ = self.model.refers(CONTRACT, "Организация", organisation, ORGANISATION)
        select = "Ref_Key,DataVersion,DeletionMark"
        order = "Code,Ref_Key"  # Ref_Key alone orders by what is shown, and ties lose rows (trap 2)
        call = listing("версии договоров", CONTRACT, filter_, top=_PAGE, skip=skip, order=order, select=select)
        rows = yield from read_rows(call)
        stamps = [
            Stamp(str(row["Ref_Key"]).lower(), text_of(row, "DataVersion"), True, bool(row.get("DeletionMark")), None)
            for row in rows
        ]
        return stamps, len(rows) == _PAGE

    def documents(self, kind: MoneyKind, refs: Collection[str]) -> Talk[list[MoneyFact]]:
        """These documents (or contracts) as they stand now, whatever their state; what 1C no longer has is left out.

        A bank document of another operation, one that is no client's money, comes as unposted.
        """
        wanted, found = sorted({ref.lower() for ref in refs}), list[MoneyFact]()
        for at in range(0, len(wanted), _BATCH):
            filter_ = " or ".join(f"Ref_Key eq {guid(ref)}" for ref in wanted[at : at + _BATCH])
            rows = yield from read_rows(listing(f"чтение: {_WORDS[kind]}", SETS_OF_MONEY[kind], filter_))
            for row in rows:
                letters = yield from self.letters(ref_of(row, _CURRENCY_OF.get(kind, "ВалютаДокумента"), CURRENCY))
                found.append((yield from self._fact(kind, row, letters)))
        if kind == "act" and self.signs_in_register:
            signed = yield from self.signed_acts([fact.ref_key for fact in found])
            found = [replace(act, signed=act.ref_key in signed) for act in found if isinstance(act, Act)]
        return found

    @property
    def signs_in_register(self) -> bool:
        """Whether a register says which acts came back signed: then an act's own version doesn't tell it."""
        return self.signed.startswith("register:")

    def signed_acts(self, refs: Sequence[str]) -> Talk[set[str]]:
        """Which of these acts the status register (option signed = "register:NAME") has as signed."""
        name, found = f"InformationRegister_{self.signed.partition(':')[2]}", set[str]()
        for at in range(0, len(refs), _BATCH):
            some = (f"Документ eq cast({guid(ref)},'{ACT}')" for ref in refs[at : at + _BATCH])
            rows = yield from read_rows(listing("подписи актов", name, " or ".join(some)))
            found |= {ref_of(row, "Документ", ACT) for row in rows if _is_signed(row)}
        return found

    def rates(self, since: date) -> Talk[list[Rate]]:
        """The rates that hold on `since`, and all later ones. Units of the base's own currency."""
        at = moment(datetime(since.year, since.month, since.day).isoformat())  # noqa: DTZ001 – 1C's own local time
        rows = yield from read_rows(calling("курсы валют на дату", f"{RATES}/SliceLast(Period={at})"))
        skip = 0
        while True:
            page = yield from read_rows(
                listing("курсы валют", RATES, f"Period ge {at}", top=_PAGE, skip=skip, order="Period,Валюта_Key")
            )
            rows += page
            skip += len(page)
            if len(page) < _PAGE:
                break
        found: dict[tuple[str, date], Rate] = {}
        for row in rows:
            letters = yield from self.letters(ref_of(row, "Валюта", CURRENCY))
            day = self._day(row, "Period")
            if letters and day and number_of(row, "Курс") > 0:
                rate = Rate(letters, day, number_of(row, "Курс"), number_of(row, "Кратность") or Decimal(1))
                found[letters, day] = rate
        return list(found.values())

    # -- documents ------------------------------------------------------------------------------------------------

    def _stamp(self, kind: MoneyKind, row: Mapping[str, Any]) -> Stamp:
        ref_key, day = str(row.get("Ref_Key", "")).lower(), self._day(row, "Date")
        if day is None:
            raise Fault("rejected", f"у документа {ref_key} в 1С нет даты", data={"ref_key": ref_key})
        posted, deleted = row.get("Posted") is True, bool(row.get("DeletionMark"))
        posted = posted and text_of(row, "ВидОперации") in ("", _OPERATIONS.get(kind, text_of(row, "ВидОперации")))
        return Stamp(ref_key, text_of(row, "DataVersion"), posted, deleted, day)

    def _fact(self, kind: MoneyKind, row: Mapping[str, Any], letters: str) -> Talk[MoneyFact]:
        if kind == "contract":
            return self._contract(row, letters)
        if kind == "invoice":
            invoice = yield from self._invoice(row)
            due = self._day(row, "СрокОплаты")
            told = (Instalment(invoice.total, due),) if due and invoice.total > 0 else ()
            return replace(
                invoice,
                organisation=ref_of(row, "Организация", ORGANISATION),
                contract=ref_of(row, "ДоговорКонтрагента", CONTRACT),
                instalments=told,
                content="",
            )
        if kind == "act":
            return self._act(row, letters)
        return self._payment(kind, row, letters)

    def _head(self, kind: MoneyKind, row: Mapping[str, Any], letters: str) -> dict[str, Any]:
        """What all documents have in common."""
        stamp = self._stamp(kind, row)
        return {
            "ref_key": stamp.ref_key,
            "number": text_of(row, "Number"),
            "date": stamp.day,
            "amount": number_of(row, "СуммаДокумента"),
            "currency": letters or "RUB",
            "posted": stamp.posted,
            "deleted": stamp.deleted,
            "version": stamp.version,
            "counterparty": ref_of(row, "Контрагент", COUNTERPARTY),
            "organisation": ref_of(row, "Организация", ORGANISATION),
            "contract": ref_of(row, "ДоговорКонтрагента", CONTRACT),
        }

    def _payment(self, kind: MoneyKind, row: Mapping[str, Any], letters: str) -> Payment:
        made: Callable[..., Payment] = Refund if kind == "refund" else Payment
        head = self._head(kind, row, letters)
        lines = row.get("РасшифровкаПлатежа")
        rows = [_payment_row(line) for line in (lines if isinstance(lines, list) else ())]
        contracts = {one.contract for one in rows if one.contract}
        if not head["contract"] and len(contracts) == 1:
            head["contract"] = next(iter(contracts))  # new releases keep it in the rows alone
        return made(
            **head,
            purpose=text_of(row, "НазначениеПлатежа"),
            rows=tuple(rows),
            bank_number=text_of(row, "НомерВходящегоДокумента"),
            bank_date=self._day(row, "ДатаВходящегоДокумента"),
        )

    def _act(self, row: Mapping[str, Any], letters: str) -> Act:
        head, inside = self._head("act", row, letters), row.get("СуммаВключаетНДС") is not False
        of_header = ref_of(row, "СчетНаОплатуПокупателю", INVOICE)
        covered: dict[str, Decimal] = {}
        vat = told = Decimal(0)
        for section in ACT_SECTIONS:
            lines = row.get(section)
            for line in lines if isinstance(lines, list) else ():
                tax = number_of(line, "СуммаНДС")
                amount = number_of(line, "Сумма") + (0 if inside else tax)
                vat, told = vat + tax, told + amount
                invoice = ref_of(line, "СчетНаОплатуПокупателю", INVOICE) or of_header
                if invoice:
                    covered[invoice] = covered.get(invoice, Decimal(0)) + amount
        if of_header and not told:
            covered[of_header] = head["amount"]
        signed = head["posted"]
        if self.signed.startswith("field:"):
            signed = bool(row.get(self.signed.partition(":")[2]))
        covers = tuple(Covered(invoice, amount) for invoice, amount in covered.items())
        return Act(**head, signed=signed and not self.signs_in_register, vat=vat, covers=covers)

    def _contract(self, row: Mapping[str, Any], letters: str) -> Contract:
        return Contract(
            ref_key=str(row["Ref_Key"]).lower(),
            number=text_of(row, "Номер"),
            date=self._day(row, "Дата"),
            currency=letters or "RUB",
            counterparty=ref_of(row, "Owner", COUNTERPARTY),
            organisation=ref_of(row, "Организация", ORGANISATION),
            name=text_of(row, "Description"),
            deleted=bool(row.get("DeletionMark")),
            version=text_of(row, "DataVersion"),
            schedule=self._schedule(row),
        )

    def _schedule(self, row: Mapping[str, Any]) -> tuple[Term, ...]:
        """The contract's section of terms, where this base keeps one (option `schedule`); else the days of payment
        that are set in it (УстановленСрокОплаты, СрокОплаты)."""
        lines = row.get(self.schedule)
        terms = [self._term(line) for line in (lines if isinstance(lines, list) else ())]
        if any(term.share > 0 for term, _ in terms):
            return tuple(term for term, _ in terms if term.share > 0)
        whole = sum((amount for _, amount in terms), Decimal(0))
        if whole > 0:  # sums alone: their proportion is the schedule
            return tuple(replace(term, share=amount * 100 / whole) for term, amount in terms if amount > 0)
        if row.get("УстановленСрокОплаты") is True:
            return (Term(Decimal(100), days=int(number_of(row, "СрокОплаты"))),)
        return ()

    def _term(self, line: Mapping[str, Any]) -> tuple[Term, Decimal]:
        """A term, and its sum where the base keeps sums instead of percents."""
        retained = _RETAINED in text_of(line, "ВариантОплаты").casefold()
        term = Term(
            share=number_of(line, "ПроцентПлатежа"),
            days=int(number_of(line, "Сдвиг")),
            due=self._day(line, "ДатаПлатежа"),
            kind="retention" if retained else "regular",
        )
        return term, number_of(line, "СуммаПлатежа")

    def _day(self, row: Mapping[str, Any], field: str) -> date | None:
        """A date field's day in 1C's zone; None when nobody filled it."""
        text = text_of(row, field)
        at = from_local(text, self.zone) if text else None
        return at.date() if at else None


_WORDS: dict[MoneyKind, str] = {
    "payment": "поступления", "refund": "возвраты", "act": "акты", "invoice": "счета", "contract": "договоры",
}  # fmt: skip
_CURRENCY_OF: dict[MoneyKind, str] = {"contract": "ВалютаВзаиморасчетов"}


def _payment_row(line: Mapping[str, Any]) -> PaymentRow:
    """An act that the row names (Сделка) says more than the invoice beside it."""
    document = ref_of(line, "Сделка", ACT) if line.get("Сделка_Type") else ""
    document = document or ref_of(line, "СчетНаОплату", INVOICE) or ref_of(line, "Сделка", INVOICE)
    settled = number_of(line, "СуммаВзаиморасчетов")
    return PaymentRow(
        number=int(number_of(line, "LineNumber")),
        amount=number_of(line, "СуммаПлатежа"),
        settled=settled if settled > 0 else None,
        document=document,
        contract=ref_of(line, "ДоговорКонтрагента", CONTRACT),
        vat=number_of(line, "СуммаНДС"),
    )


def _is_signed(row: Mapping[str, Any]) -> bool:
    """Статус «Подписан» in any words («Подписан обеими сторонами»), not «Не подписан»; a flag where there is one."""
    status = text_of(row, "Статус").casefold()
    return row.get("Подписан") is True or (_SIGNED in status and not status.startswith("не"))
