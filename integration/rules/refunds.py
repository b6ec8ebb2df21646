"""Refunds: each takes from the advance first, then from what it names, then from the latest allocation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from typing import Generic, TypeVar

from integration.rules.exchange import Receipt
from integration.rules.purses import Book, Note, Purse

_T = TypeVar("_T")
_ZERO = Decimal(0)


class _Latest(Generic[_T]):
    """The latest of what is dated on or before a day that only grows: what is used up is never looked at again."""

    def __init__(self, items: Iterable[_T], day: Callable[[_T], date], left: Callable[[_T], Decimal]) -> None:
        self._coming = list(items)[::-1]
        self._stack: list[_T] = []
        self._day, self._left = day, left

    def take(self, amount: Decimal, until: date, taking: Callable[[_T, Decimal], Decimal]) -> Decimal:
        """Take up to `amount`, the latest first; what could not be taken."""
        while self._coming and self._day(self._coming[-1]) <= until:
            self._stack.append(self._coming.pop())
        while amount > 0 and self._stack:
            top = self._stack[-1]
            if self._left(top) <= 0:
                self._stack.pop()
            else:
                amount -= taking(top, amount)
        return amount


def apply_refunds(
    book: Book, refunds: Iterable[Receipt], named: Callable[[Receipt], list[str]]
) -> tuple[bool, Decimal]:
    """Take the refunds, in the order of payments, out of the book.

    A refund looks at the payments of its day and before; only what these can't give comes from later ones. `named`:
    the documents (Ref_Keys) that it names. Returns whether a debt was opened again, and what exceeds all receipts.
    """
    order = {purse.receipt.document: at for at, purse in enumerate(book.purses)}
    made = {key: at for at, key in enumerate(book.notes)}
    notes = sorted(book.notes.values(), key=lambda n: (order[n.purse.receipt.document], made[n.key]))
    by_obligation: dict[str, list[Note]] = {}
    for note in notes:
        by_obligation.setdefault(note.slot.debt.obligation.ref_key, []).append(note)
    advance = _Latest(book.purses, _of_purse, lambda purse: purse.rest)
    latest = _Latest(notes, _of_note, _amount)
    of_named = {key: _Latest(listed, _of_note, _amount) for key, listed in by_obligation.items()}
    before = sum((note.amount for note in notes), _ZERO)
    uncovered = _ZERO
    for refund in sorted(refunds, key=lambda r: (r.date, r.number, r.document)):
        left = advance.take(refund.settled, refund.date, Purse.refund)
        for key in named(refund) if left > 0 else ():
            for debt in reversed(book.named(key)):
                stack = of_named.get(debt.obligation.ref_key)
                left = stack.take(left, refund.date, book.take_back) if stack else left
        uncovered += latest.take(left, refund.date, book.take_back)
    uncovered = advance.take(uncovered, date.max, Purse.refund)
    uncovered = latest.take(uncovered, date.max, book.take_back)
    return before != sum((note.amount for note in notes), _ZERO), uncovered


def _of_purse(purse: Purse) -> date:
    return purse.receipt.date


def _of_note(note: Note) -> date:
    return note.purse.receipt.date


def _amount(note: Note) -> Decimal:
    return note.amount
