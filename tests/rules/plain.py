"""DOMAIN's passes once more, as slowly and as plainly as they are written: the rules' own result must be the same.

Without closed months. It shares with the rules only how documents become obligations and receipts, and
how a text is read; who gets what is decided here by looking at everything, every time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from integration.rules.allocation import Facts
from integration.rules.exchange import Receipt, digits, receipt
from integration.rules.obligations import Obligation, obligations
from integration.rules.positions import Pin
from integration.rules.purpose import Reference, references
from integration.rules.resolve import core
from mappers.wire import rounded

Slot = tuple[str, int]
Given = dict[tuple[str, int, str, int, str], Decimal]


def allocated(facts: Facts) -> Given:
    """(payment, row, obligation, instalment, rule) → sum."""
    return _Plain(facts).run()


class _Plain:
    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.debts = {
            one.ref_key: one for one in obligations(facts.acts, facts.invoices, facts.currency, facts.rates)[0]
        }
        paid = {one.ref_key: one for one in facts.payments if one.posted and not one.deleted}
        told = [receipt(one, facts.contract, facts.currency, facts.rates) for one in paid.values()]
        receipts = [one for one in told if isinstance(one, Receipt)]
        self.payments = sorted(receipts, key=lambda one: (one.date, one.number, one.document))
        back = {one.ref_key: one for one in facts.refunds if one.posted and not one.deleted}
        taken = [receipt(one, facts.contract, facts.currency, facts.rates) for one in back.values()]
        refunds = [one for one in taken if isinstance(one, Receipt)]
        self.refunds = sorted(refunds, key=lambda one: (one.date, one.number, one.document))
        self.used: dict[Pin, Decimal] = defaultdict(Decimal)
        self.lacks: dict[Slot, Decimal] = {
            (key, at): part.amount for key, one in self.debts.items() for at, part in enumerate(one.instalments)
        }
        self.rest = {(one.document, row.number): row.settled for one in self.payments for row in one.rows}
        self.given: Given = defaultdict(Decimal)
        self.held: set[str] = set()
        self.pinned = {pin.payment for pin in facts.pins}

    def run(self) -> Given:
        self.passes()
        before = sum(self.given.values())
        uncovered = sum((self.take(one.settled, self.documents(one), one.date) for one in self.refunds), Decimal(0))
        self.take(uncovered, [], date.max)
        if before != sum(self.given.values()):
            self.passes()
        return {key: amount for key, amount in self.given.items() if amount}

    def documents(self, one: Receipt) -> list[str]:
        rows = [row.document for row in one.rows if row.document in self.debts]
        return [*rows, *self.resolved(one)[0]]

    def take(self, amount: Decimal, named: list[str], until: date) -> Decimal:
        """Advance first, then what is named, then the latest; what is left."""
        early = [one for one in self.payments if one.date <= until]
        for one in reversed(early):
            for row in reversed(one.rows):
                part = min(amount, self.rest[one.document, row.number])
                self.rest[one.document, row.number] -= part
                amount -= part
        wanted = [key for document in named for key in (document, *reversed(self.debts[document].acts))]
        for obligation in [*wanted, None]:
            for one in reversed(early):
                keys = [key for key in self.given if key[0] == one.document and obligation in (None, key[2])]
                for key in reversed(keys):
                    part = min(amount, self.given[key])
                    self.given[key] -= part
                    self.lacks[key[2], key[3]] += part
                    amount -= part
        return amount

    def passes(self) -> None:
        for one in self.payments:
            for row in one.rows:
                if row.document in self.debts:
                    self.give(one, self.meant([row.document]), "explicit", row=row.number)
        for one in self.payments:
            pins = [pin for pin in set(self.facts.pins) if pin.payment == one.document and pin.obligation in self.debts]
            for pin in sorted(pins, key=lambda pin: (pin.obligation, pin.amount is None, pin.amount or 0)):
                most = None if pin.amount is None else rounded(pin.amount, digits(self.facts.currency))
                most = None if most is None else most - self.used[pin]
                before = self.left(one)
                self.give(one, self.meant([pin.obligation]), "pinned", most=most)
                self.used[pin] += before - self.left(one)
        for one in self.payments:
            if self.left(one) > 0:
                self.by_purpose(one)
        for one in self.payments:
            fits = [key for key in self.debts if 0 < self.owed(key) == self.left(one)]
            if len(fits) == 1 and one.document not in self.held:
                self.give(one, [slot for slot in self.lacks if slot[0] == fits[0]], "exact")
        for one in self.payments:
            if one.document not in self.held:
                young = [
                    key
                    for key, debt in self.debts.items()
                    if debt.kind == "act" or (not debt.acts and (one.date - debt.date).days < 90)
                ]
                self.give(one, [slot for slot in self.lacks if slot[0] in young], "oldest")

    def by_purpose(self, one: Receipt) -> None:
        resolved, whole = self.resolved(one)
        if not whole and one.document not in self.pinned:
            self.held.add(one.document)
        self.give(one, self.meant(resolved), "purpose")

    def resolved(self, one: Receipt) -> tuple[list[str], bool]:
        named = {row.document for row in one.rows if row.document}
        named |= {pin.obligation for pin in self.facts.pins if pin.payment == one.document}
        resolved, whole = [], True
        for reference in references(one.purpose):
            if reference.kind == "contract":
                continue
            fits = [key for key, debt in self.debts.items() if _fits(reference, debt, one.date)]
            if len(fits) > 1 and len(named.intersection(fits)) == 1:
                fits = list(named.intersection(fits))
            resolved += fits if len(fits) == 1 else []
            whole = whole and len(fits) == 1
        return resolved, whole

    def meant(self, documents: Iterable[str]) -> list[Slot]:
        keys = {key for document in documents for key in (document, *self.debts[document].acts)}
        return [slot for slot in self.lacks if slot[0] in keys]

    def left(self, one: Receipt) -> Decimal:
        return sum((self.rest[one.document, row.number] for row in one.rows), Decimal(0))

    def owed(self, key: str) -> Decimal:
        return sum((lacks for slot, lacks in self.lacks.items() if slot[0] == key), Decimal(0))

    def give(
        self, one: Receipt, slots: list[Slot], rule: str, row: int | None = None, most: Decimal | None = None
    ) -> None:
        for slot in sorted(slots, key=self.order):
            for each in one.rows:
                if row is not None and each.number != row:
                    continue
                part = min(self.rest[one.document, each.number], self.lacks[slot])
                part = part if most is None else min(part, most)
                if part > 0:
                    self.rest[one.document, each.number] -= part
                    self.lacks[slot] -= part
                    self.given[one.document, each.number, *slot, rule] += part
                    most = None if most is None else most - part

    def order(self, slot: Slot) -> tuple[bool, date, date, str, str, int]:
        debt = self.debts[slot[0]]
        due = debt.instalments[slot[1]].due or debt.date
        return debt.kind == "invoice", due, debt.date, debt.number, debt.ref_key, slot[1]


def _fits(reference: Reference, debt: Obligation, paid: date) -> bool:
    if reference.kind not in (debt.kind, "any"):
        return False
    told, number = core(reference.number), core(debt.number)
    plain = number[1:] if len(number) > 1 and number[0].isalpha() else number
    if told not in (number, plain):
        return False
    if reference.date:
        return debt.date == reference.date
    if reference.day and reference.day != (debt.date.day, debt.date.month):
        return False
    year_ago = date(paid.year - 1, paid.month, min(paid.day, 28) if paid.month == 2 else paid.day)
    return year_ago < debt.date <= paid
