"""What the bank has and 1C has not, and the reverse: movements of statements paired with 1C's payments, one to one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mappers.money import Payment, StatementLine

_NEAR = timedelta(days=10)  # between the bank's day and the one under which 1C has it


@dataclass(frozen=True, slots=True)
class Compared:
    """`bank_only`: clients' money in statements that 1C's payments don't show; `onec_only`: the reverse."""

    paired: int
    bank_only: tuple[StatementLine, ...]
    onec_only: tuple[Payment, ...]


def compared(lines: Iterable[StatementLine], payments: Iterable[Payment]) -> Compared:
    """Pair by the bank's own number first, then by the day, then by sum alone within ten days. Two truly equal
    movements need two payments."""
    left = sorted((one for one in lines if one.direction == "in" and not one.own), key=lambda one: (one.date, one.key))
    live = [one for one in payments if one.posted and not one.deleted]
    live.sort(key=lambda one: (one.date, one.number, one.ref_key))
    whole = len(left)
    passes: list[tuple[Callable[[StatementLine], Any], Callable[[Payment], Any]]] = [
        (lambda line: line.number.lstrip("0"), lambda payment: payment.bank_number.lstrip("0")),
        (lambda line: line.date, lambda payment: payment.date),
        (lambda _: 0, lambda _: 0),
    ]
    for of_line, of_payment in passes:
        waiting: dict[Any, list[Payment]] = {}
        for payment in reversed(live):
            key = (payment.amount, payment.currency, of_payment(payment))
            waiting.setdefault(key, []).append(payment)
        rest, taken = [], set[str]()
        for line in left:
            fits = waiting.get((line.amount, line.currency, of_line(line)), [])
            near = next((one for one in reversed(fits) if _near(line, one)), None)
            if near is None:
                rest.append(line)
            else:
                fits.remove(near)
                taken.add(near.ref_key)
        left, live = rest, [one for one in live if one.ref_key not in taken]
    return Compared(whole - len(left), tuple(left), tuple(live))


def _near(line: StatementLine, payment: Payment) -> bool:
    days = [payment.date] + ([payment.bank_date] if payment.bank_date else [])
    return any(abs(line.date - day) <= _NEAR for day in days)
