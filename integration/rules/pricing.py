"""A deal becomes the lines of an invoice: VAT by date, sums equal to the kopeck, or no document at all."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from integration.errors import Rejected
from mappers.canonical import CURRENCIES, Deal, DealLine, InvoiceLine
from mappers.wire import clean, rounded

# Law 303-ФЗ and 425-ФЗ: the general rate by the date of shipment, newest first (contracts: FORMATS §5).
GENERAL_RATES = ((date(2026, 1, 1), "22"), (date(2019, 1, 1), "20"), (date(2004, 1, 1), "18"))
_AMOUNT_LIMIT = Decimal(10) ** 13  # 1C keeps a document's sum in fifteen digits, two of them after the point
_NAME_LIMIT = 1000  # characters of a line that a client still reads; 1C's Содержание has no bound of its own


def general_rate(day: date) -> str:
    """The general VAT rate in percent on `day`."""
    return next(rate for since, rate in GENERAL_RATES if day >= since)


def vat_of(amount: Decimal, rate: str, *, included: bool, digits: int = 2) -> Decimal:
    """VAT within (or upon) `amount`, half-up to the currency's digits; nothing for "none"."""
    if rate == "none":
        return Decimal(0).scaleb(-digits)
    percent = Decimal(rate)
    return rounded(amount * percent / (100 + percent if included else Decimal(100)), digits)


def priced(
    deal: Deal, day: date, *, vat: str, vat_included: bool, template: str
) -> tuple[tuple[InvoiceLine, ...], Decimal]:
    """The invoice's lines and its total (VAT in it). Raises Rejected, naming the field, when the deal's sums
    cannot be right.

    A deal without lines is one service line by `template` ("Услуги по договору: {name}"); its item in 1C is the
    template's fixed part, so that a thousand deals don't make a thousand items.
    """
    digits = _digits(deal.currency)
    amount = _positive(deal.amount, digits)
    lines = deal.lines if deal.lines is not None else (_whole_deal(deal, template, amount),)
    if not lines:
        raise Rejected("В сделке нет ни одной строки. Добавьте товары или услуги и повторите.")
    priced_lines = tuple(
        _line(number, line, vat if vat != "auto" else general_rate(day), vat_included, digits)
        for number, line in enumerate(lines, 1)
    )
    total = sum((line.amount for line in priced_lines), Decimal(0))
    if total != amount:
        raise Rejected(f"Сумма строк {total} не равна сумме сделки {amount} {deal.currency}. Исправьте одну из них.")
    if deal.lines is None:
        fixed = clean(template.replace("{name}", "")).strip(" :–—-,.№«»") or priced_lines[0].content
        priced_lines = (_with_item(priced_lines[0], fixed),)
    if not vat_included:
        total += sum((line.vat for line in priced_lines), Decimal(0))
    return priced_lines, total


def _digits(currency: str) -> int:
    known = CURRENCIES.get(currency)
    if known is None:
        allowed = ", ".join(sorted(CURRENCIES))
        raise Rejected(f"Неизвестная валюта сделки: {currency[:8]!r}. Допустимые: {allowed}.")
    return known[1]


def _positive(amount: Decimal | None, digits: int) -> Decimal:
    if amount is None:
        raise Rejected("В сделке не указана сумма. Заполните её и повторите.")
    if abs(amount) >= _AMOUNT_LIMIT:
        told = f"{amount:f}" if abs(amount) < _AMOUNT_LIMIT**2 else f"{amount:.3E}"
        raise Rejected(f"Сумма сделки {told} больше, чем вмещает счёт в 1С. Исправьте её и повторите.")
    amount = rounded(amount, digits)
    if amount <= 0:
        raise Rejected(f"Сумма сделки {amount} не больше нуля. Исправьте её и повторите.")
    return amount


def _whole_deal(deal: Deal, template: str, amount: Decimal) -> DealLine:
    name = clean(template.replace("{name}", clean(deal.name)))
    return DealLine(name=name[:_NAME_LIMIT], quantity=Decimal(1), price=amount, amount=amount)


def _line(number: int, line: DealLine, rate: str, included: bool, digits: int) -> InvoiceLine:
    name = clean(line.name)
    if not name:
        raise Rejected(f"В строке {number} сделки не указано наименование.")
    if line.quantity <= 0:
        raise Rejected(f"В строке {number} («{name[:60]}») количество {line.quantity} не больше нуля.")
    amount = rounded(line.amount, digits)
    if amount < 0:
        raise Rejected(f"В строке {number} («{name[:60]}») сумма {amount} отрицательна.")
    vat_rate = line.vat or rate
    return InvoiceLine(
        item=line.item or name,
        content=name[:_NAME_LIMIT],
        quantity=line.quantity,
        price=rounded(line.price, digits),
        amount=amount,
        vat_rate=vat_rate,
        vat=vat_of(amount, vat_rate, included=included, digits=digits),
    )


def _with_item(line: InvoiceLine, item: str) -> InvoiceLine:
    return InvoiceLine(item, line.content, line.quantity, line.price, line.amount, line.vat_rate, line.vat)
