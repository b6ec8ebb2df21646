"""Currencies: a payment's rows in the currency of settlement, by the rate of the payment's day or not at all."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from integration.rules.positions import Stopped
from mappers.canonical import CURRENCIES
from mappers.money import Payment, PaymentRow, Rate
from mappers.wire import rounded

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """One row that counts: `paid` in the payment's currency is worth `settled` in the account's."""

    number: int
    paid: Decimal
    settled: Decimal
    rate: Decimal | None
    document: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """So much of one payment (or refund) as belongs to one account."""

    document: str
    number: str
    date: date
    currency: str  # of `paid`
    purpose: str
    rows: tuple[ReceiptRow, ...]

    @property
    def settled(self) -> Decimal:
        """All of it, in the account's currency."""
        return sum((row.settled for row in self.rows), _ZERO)


class Rates:
    """The register of rates: what one unit cost in the base's own currency, last on or before a day."""

    def __init__(self, rates: Iterable[Rate] = (), base: str = "RUB") -> None:
        self.base = base
        self._days: dict[str, list[date]] = {}
        self._rates: dict[str, list[Rate]] = {}
        usable = (rate for rate in rates if rate.rate > 0 and rate.multiplicity > 0)
        for rate in sorted(usable, key=lambda r: (r.date, r.rate, r.multiplicity)):
            self._days.setdefault(rate.currency, []).append(rate.date)
            self._rates.setdefault(rate.currency, []).append(rate)

    def on(self, currency: str, day: date) -> Rate | None:
        """The row that holds for `currency` on `day`; the base's own is 1 for 1; None: there is none."""
        if currency == self.base:
            return Rate(currency, day, Decimal(1))
        at = bisect_right(self._days.get(currency, []), day)
        return self._rates[currency][at - 1] if at else None

    def converted(self, amount: Decimal, source: str, target: str, day: date) -> tuple[Decimal, Decimal] | str:
        """`amount` in `target`, half-up to its digits, and the quotient used; or the currency whose rate is missing."""
        one, other = self.on(source, day), self.on(target, day)
        if one is None or other is None:
            return source if one is None else target
        above, below = one.rate * other.multiplicity, one.multiplicity * other.rate
        return rounded(amount * above / below, digits(target)), above / below


def digits(currency: str) -> int:
    """Digits after the point; a currency that is not in the table has two."""
    return CURRENCIES.get(currency, ("", 2))[1]


def receipt(payment: Payment, contract: str, currency: str, rates: Rates) -> Receipt | Stopped | None:
    """The payment's part for the account of `contract`, settled in `currency`; None: it has none there.

    In one currency the rows' own sums count. Between two, a row's СуммаВзаиморасчетов where filled, else the rate of
    the payment's date, rounded once per row. Rows that promise more than the document's sum are cut from the last;
    what no row describes is row 0 and belongs to the payment's own contract.
    """
    if payment.amount <= 0:
        return Stopped(payment.ref_key, f"сумма документа {payment.amount} {payment.currency} не больше нуля")
    rows = []
    for row in _rows(payment):
        if (row.contract or payment.contract) != contract:
            continue
        counted = _counted(row, payment, currency, rates)
        if isinstance(counted, str):
            reason = f"нет курса {counted} на {payment.date:%d.%m.%Y} и раньше: загрузите курсы валют в 1С"
            return Stopped(payment.ref_key, reason)
        rows.append(counted)
    if not rows:
        return None
    return Receipt(payment.ref_key, payment.number, payment.date, payment.currency, payment.purpose, tuple(rows))


def difference(amount: Decimal, currency: str, paid_on: date, owed_on: date, rates: Rates) -> Decimal | None:
    """The exchange difference (курсовая разница) of a settled `amount`, in the base's currency: what it was worth when
    paid, less what it was worth when owed. It is told beside the debt and never changes it; None: a rate is missing.
    """
    paid = rates.converted(amount, currency, rates.base, paid_on)
    owed = rates.converted(amount, currency, rates.base, owed_on)
    return None if isinstance(paid, str) or isinstance(owed, str) else paid[0] - owed[0]


def shares(row: ReceiptRow, settled: Iterable[Decimal], target: str) -> list[Decimal]:
    """What each settled share was in the payment's currency (`target`): they add up, the last takes the remainder."""
    told, before, result = _ZERO, _ZERO, []
    for share in settled:
        told += share
        whole = told == row.settled
        upto = row.paid if whole else min(row.paid, rounded(row.paid * told / row.settled, digits(target)))
        result.append(upto - before)
        before = upto
    return result


def _rows(payment: Payment) -> list[PaymentRow]:
    places, rows = digits(payment.currency), []
    left = rounded(payment.amount, places)
    told = sorted(payment.rows, key=lambda r: (r.number, r.document, r.amount))
    if len({row.number for row in told} - {0}) < len(told):  # 1C never does; a row's number must tell it apart
        told = [replace(row, number=number) for number, row in enumerate(told, 1)]
    for row in told:
        amount = min(rounded(row.amount, places), left)
        if amount > 0:
            # A row cut short can't be worth what 1C settled for the whole of it.
            whole = amount == rounded(row.amount, places)
            rows.append(replace(row, amount=amount, settled=row.settled if whole else None))
            left -= amount
    if left > 0:
        rows.append(PaymentRow(0, left))
    return rows


def _counted(row: PaymentRow, payment: Payment, currency: str, rates: Rates) -> ReceiptRow | str:
    if payment.currency == currency:
        return ReceiptRow(row.number, row.amount, row.amount, None, row.document)
    if row.settled is not None and row.settled > 0:
        return ReceiptRow(row.number, row.amount, rounded(row.settled, digits(currency)), None, row.document)
    worth = rates.converted(row.amount, payment.currency, currency, payment.date)
    return worth if isinstance(worth, str) else ReceiptRow(row.number, row.amount, *worth, row.document)
