"""What the bank has and 1C has not, and the reverse: movements of statements paired with 1C's payments and refunds, one
to one. Statements only compare: no line of theirs is ever allocated (docs/decisions/0010)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from mappers.money import Payment, Refund, StatementLine

_NEAR = timedelta(days=10)  # between the bank's day and the one under which 1C has it
_BACK = ("возврат", "возвращ", "излишне", "ошибочно", "переплат")
_NO_CLIENTS = ("займ", "заем", "кредит", "депозит", "подотч", "гарантийного взноса", "обеспечения заявки")


@dataclass(frozen=True, slots=True)
class Compared:
    """`bank_only`: clients' money in statements that 1C's payments and refunds don't show; `onec_only`: the reverse.
    `others`: how many outgoing movements are no client's money, so far as their purpose tells."""

    paired: int
    bank_only: tuple[StatementLine, ...]
    onec_only: tuple[Payment, ...]
    others: int = 0


def compared(lines: Iterable[StatementLine], payments: Iterable[Payment]) -> Compared:
    """Pair by the bank's own number first, then by the day, then by sum alone within ten days: money in with payments,
    money out with refunds (a Refund among `payments`). Two truly equal movements need two documents.

    A company pays taxes, wages and suppliers too: an outgoing movement without a refund is told only if its purpose
    speaks of giving money back.
    """
    told = sorted((one for one in lines if not one.own), key=lambda one: (one.date, one.key))
    live = sorted((one for one in payments if one.posted and not one.deleted), key=_order)
    came = _paired([one for one in told if one.direction == "in"], [one for one in live if not isinstance(one, Refund)])
    went = _paired([one for one in told if one.direction == "out"], [one for one in live if isinstance(one, Refund)])
    back = tuple(one for one in went.bank_only if gives_back(one.purpose))
    return Compared(
        paired=came.paired + went.paired,
        bank_only=tuple(sorted((*came.bank_only, *back), key=lambda one: (one.date, one.key))),
        onec_only=tuple(sorted((*came.onec_only, *went.onec_only), key=_order)),
        others=len(went.bank_only) - len(back),
    )


def gives_back(purpose: str) -> bool:
    """Whether an outgoing payment's purpose speaks of a client's money given back; a loan given back is none."""
    text = purpose.casefold().replace("ё", "е")
    return any(word in text for word in _BACK) and not any(word in text for word in _NO_CLIENTS)


def _order(payment: Payment) -> tuple[date, str, str]:
    return payment.date, payment.number, payment.ref_key


def _paired(left: list[StatementLine], live: list[Payment]) -> Compared:
    """One direction, both sides in their order."""
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
