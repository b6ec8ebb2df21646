"""The working state of one allocation: purses that give, debts that take, and the notes of what went where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal

from integration.rules.exchange import Receipt, ReceiptRow, shares
from integration.rules.obligations import Obligation
from integration.rules.positions import Explanation, Key, Position
from mappers.money import Instalment

_ZERO = Decimal(0)


class Purse:
    """What one payment still has, row by row; `held`: a proposal waits, passes 4 and 5 leave it alone."""

    __slots__ = ("held", "receipt", "rest", "rows", "told")

    def __init__(self, receipt: Receipt) -> None:
        self.receipt = receipt
        self.told = {row.number: row for row in receipt.rows}
        self.rows = {row.number: row.settled for row in receipt.rows if row.settled > 0}
        self.rest = receipt.settled
        self.held = False

    @property
    def order(self) -> tuple[date, str, str]:
        """Payments go by (date, number, Ref_Key)."""
        return self.receipt.date, self.receipt.number, self.receipt.document

    def refund(self, amount: Decimal) -> Decimal:
        """As much of the advance as there is, up to `amount`, leaves for good: the last rows first."""
        left = amount = min(amount, self.rest)
        while left > 0:
            left -= self.draw(next(reversed(self.rows)), left)
        return amount

    def draw(self, row: int, amount: Decimal) -> Decimal:
        """Up to `amount` out of one row; an emptied row is gone. What it gave."""
        has = self.rows[row]
        if has <= amount:
            del self.rows[row]
            amount = has
        else:
            self.rows[row] = has - amount
        self.rest -= amount
        return amount


class Slot:
    """One instalment and what it still lacks."""

    __slots__ = ("debt", "index", "instalment", "lacks", "order")

    def __init__(self, debt: Debt, index: int, instalment: Instalment) -> None:
        self.debt, self.index, self.instalment, self.lacks = debt, index, instalment, instalment.amount
        o = debt.obligation
        self.order = (o.kind == "invoice", instalment.due or o.date, o.date, o.number, o.ref_key, index)


class Debt:
    """One obligation and what it still lacks."""

    __slots__ = ("lacks", "obligation", "slots")

    def __init__(self, obligation: Obligation) -> None:
        self.obligation, self.lacks = obligation, obligation.amount
        self.slots = [Slot(self, index, one) for index, one in enumerate(obligation.instalments)]


class Note:
    """A position in the making; `closed`: the one that a closed month holds, to be kept word for word."""

    __slots__ = ("amount", "closed", "explanation", "purse", "row", "slot")

    def __init__(self, purse: Purse, row: int, slot: Slot, explanation: Explanation) -> None:
        self.purse, self.row, self.slot, self.explanation = purse, row, slot, explanation
        self.amount = _ZERO
        self.closed: Position | None = None

    @property
    def key(self) -> Key:
        """As the position's."""
        ref_key = self.slot.debt.obligation.ref_key
        return self.purse.receipt.document, self.row, ref_key, self.slot.index, self.explanation.rule


class Book:
    """All purses and debts of the account, each in its order, and the notes in the order in which they were made."""

    def __init__(self, currency: str, receipts: Iterable[Receipt], obligations: Iterable[Obligation]) -> None:
        self.currency = currency
        self.purses = sorted(map(Purse, receipts), key=lambda purse: purse.order)
        self.by_payment = {purse.receipt.document: purse for purse in self.purses}
        self.debts = {obligation.ref_key: Debt(obligation) for obligation in obligations}
        self.slots = sorted((slot for debt in self.debts.values() for slot in debt.slots), key=lambda slot: slot.order)
        self.notes: dict[Key, Note] = {}

    def named(self, ref_key: str) -> list[Debt]:
        """What a reference to this document means: an act itself; the acts made from an invoice, then its own rest."""
        debt = self.debts.get(ref_key)
        if debt is None:
            return []
        return [*(self.debts[act] for act in debt.obligation.acts), debt]

    def give(
        self, purse: Purse, slots: Iterable[Slot], why: Explanation, row: int | None = None, most: Decimal | None = None
    ) -> Decimal:
        """As much as the purse (one row of it, and at most `most`) has and the slots lack, in their order; the sum."""
        left = purse.rest if row is None else purse.rows.get(row, _ZERO)
        left = start = left if most is None else min(left, most)
        for slot in slots:
            if left <= 0:
                break
            amount = min(left, slot.lacks)
            if amount > 0:
                self._move(purse, slot, amount, why, row)
                left -= amount
        return start - left

    def take_back(self, note: Note, amount: Decimal) -> Decimal:
        """A refund takes so much out of an allocation, at most all of it: the debt is open again, the money gone."""
        amount = min(amount, note.amount)
        note.amount -= amount
        note.slot.lacks += amount
        note.slot.debt.lacks += amount
        return amount

    def hold(self, closed: Position) -> None:
        """A closed month's position again, as far as the live facts still bear it."""
        purse, debt = self.by_payment.get(closed.payment), self.debts.get(closed.obligation)
        if purse is None or debt is None:
            return
        own = debt.slots[closed.instalment : closed.instalment + 1]
        row = closed.row if closed.row in purse.rows else None
        given = self.give(purse, [*own, *debt.slots], closed.explanation, row=row, most=closed.amount)
        note = self.notes.get(closed.key)
        if note is not None and given == closed.amount == note.amount:
            note.closed = closed

    def positions(self) -> Iterator[Position]:
        """The notes as positions, with each row's shares in the payment's currency."""
        by_row: dict[tuple[str, int], list[Note]] = {}
        for note in self.notes.values():
            if note.amount > 0:
                by_row.setdefault((note.purse.receipt.document, note.row), []).append(note)
        for notes in by_row.values():
            # In a fixed order, so that the last kopeck's place does not depend on the pass that came first.
            notes.sort(key=lambda note: (note.slot.order, note.explanation.rule))
            receipt, row = notes[0].purse.receipt, notes[0].purse.told[notes[0].row]
            for note, paid in zip(notes, _paid(row, notes, receipt), strict=True):
                yield Position(
                    receipt.document,
                    row.number,
                    note.slot.debt.obligation.ref_key,
                    note.slot.index,
                    note.amount,
                    self.currency,
                    paid,
                    receipt.currency,
                    row.rate,
                    receipt.date,
                    note.explanation,
                )

    def _move(self, purse: Purse, slot: Slot, amount: Decimal, why: Explanation, row: int | None) -> None:
        slot.lacks -= amount
        slot.debt.lacks -= amount
        while amount > 0:
            number = next(iter(purse.rows)) if row is None else row
            part = purse.draw(number, amount)
            note = Note(purse, number, slot, why)
            note = self.notes.setdefault(note.key, note)
            note.amount += part
            amount -= part


def _paid(row: ReceiptRow, notes: list[Note], receipt: Receipt) -> list[Decimal]:
    """Each note's share in the payment's currency; what a closed month holds keeps its own."""
    kept = {note.key: note.closed for note in notes if note.closed is not None and note.closed.amount == note.amount}
    open_ = [note for note in notes if note.key not in kept]
    rest = replace(
        row,
        paid=row.paid - sum((closed.paid for closed in kept.values()), _ZERO),
        settled=row.settled - sum((closed.amount for closed in kept.values()), _ZERO),
    )
    shared = dict(zip((n.key for n in open_), shares(rest, (n.amount for n in open_), receipt.currency), strict=True))
    return [kept[note.key].paid if note.key in kept else shared[note.key] for note in notes]
