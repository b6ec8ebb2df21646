"""Proposals: what a payment may be meant for when its text names something that can't be resolved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from integration.rules.obligations import Obligation
from integration.rules.positions import Candidate, Proposal
from integration.rules.purpose import Reference
from integration.rules.purses import Book, Debt, Purse
from integration.rules.resolve import Index, months_before

_SHOWN = 5
_POINTS = {"number": 40, "date": 30, "amount": 25, "kind": 10, "recent": 10}
_ZERO = Decimal(0)


@dataclass(slots=True)
class _Sheet:
    debt: Debt
    score: int = 0
    reasons: dict[str, None] = field(default_factory=dict)

    def add(self, points: str, reason: str) -> None:
        if reason not in self.reasons:
            self.score += _POINTS[points]
            self.reasons[reason] = None


class Proposer:
    """Ranks the open documents of the book for a held payment."""

    def __init__(self, book: Book, index: Index) -> None:
        self.book, self.index = book, index

    def proposals(self, held: Iterable[tuple[Purse, list[tuple[Reference, int]]]], months: int) -> tuple[Proposal, ...]:
        """For each held payment, with the references that are not resolved and how many documents fit each."""
        by_sum: dict[Decimal, list[Debt]] = {}
        open_ = [debt for debt in self.book.debts.values() if debt.lacks > 0]
        for debt in open_:
            by_sum.setdefault(debt.lacks, []).append(debt)
        return tuple(self._one(purse, unresolved, months, by_sum, open_[:_SHOWN]) for purse, unresolved in held)

    def _one(
        self,
        purse: Purse,
        unresolved: list[tuple[Reference, int]],
        months: int,
        by_sum: dict[Decimal, list[Debt]],
        oldest: list[Debt],
    ) -> Proposal:
        paid, sheets = purse.receipt.date, dict[str, _Sheet]()
        for reference, _ in unresolved:
            for document in self.index.like(reference, paid):
                for debt in self.book.named(document.ref_key):
                    if debt.lacks > 0:
                        sheet = sheets.setdefault(debt.obligation.ref_key, _Sheet(debt))
                        _like(sheet, reference, document)
        for debt in by_sum.get(purse.rest, ())[:_SHOWN]:
            sheets.setdefault(debt.obligation.ref_key, _Sheet(debt)).add("amount", "сумма равна остатку")
        for debt in oldest:
            sheets.setdefault(debt.obligation.ref_key, _Sheet(debt))
        for sheet in sheets.values():
            if months_before(paid, months) < sheet.debt.obligation.date <= paid:
                sheet.add("recent", f"не старше {months} мес.")
        ranked = sorted(sheets.values(), key=lambda s: (-s.score, s.debt.obligation.order))[:_SHOWN]
        return Proposal(
            purse.receipt.document,
            purse.rest,
            self.book.currency,
            "; ".join(_reason(reference, fits) for reference, fits in unresolved),
            tuple(
                Candidate(s.debt.obligation.ref_key, s.debt.obligation.label, s.debt.lacks, s.score, tuple(s.reasons))
                for s in ranked
            ),
        )


def _like(sheet: _Sheet, reference: Reference, document: Obligation) -> None:
    sheet.add("number", f"номер {reference.number}" + ("" if document is sheet.debt.obligation else " у счёта"))
    if reference.date == document.date or reference.day == (document.date.day, document.date.month):
        sheet.add("date", "дата совпадает")
    if reference.kind in (document.kind, "any"):
        sheet.add("kind", "вид документа совпадает")


def _reason(reference: Reference, fits: int) -> str:
    problem = "такого документа нет" if not fits else f"подходит документов: {fits}"
    return f"в назначении платежа назван {reference.label}, но {problem}"
