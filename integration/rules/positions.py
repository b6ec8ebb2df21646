"""What an allocation says: positions with their explanations, the entries between two of them, and what is left open.

A *position* is so much of one row of one payment settling so much of one instalment of one obligation, by one rule.
The ledger keeps entries; the sum of a key's entries is its position.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Literal

Rule = Literal["explicit", "pinned", "purpose", "exact", "oldest"]
Key = tuple[str, int, str, int, Rule]
_ORDER: tuple[Rule, ...] = ("explicit", "pinned", "purpose", "exact", "oldest")


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why this money went there. `named`: Ref_Key of the document that was named, which may be the act's invoice;
    `by`: the payment's row (explicit), the person (pinned) or the words of the purpose text (purpose).
    """

    rule: Rule
    named: str
    by: str
    text: str  # for people, Russian


@dataclass(frozen=True, slots=True)
class Position:
    """`amount` in the account's currency, `paid` the same share in the payment's; `rate` the quotient used (units of
    `currency` for one of `paid_currency`), None where 1C itself told the sum or both are one currency.
    """

    payment: str
    row: int  # LineNumber; 0: the part of the payment that no row describes
    obligation: str
    instalment: int
    amount: Decimal
    currency: str
    paid: Decimal
    paid_currency: str
    rate: Decimal | None
    date: date  # the payment's
    explanation: Explanation

    @property
    def key(self) -> Key:
        """What the ledger sums by."""
        return self.payment, self.row, self.obligation, self.instalment, self.explanation.rule


@dataclass(frozen=True, slots=True)
class Entry:
    """One movement of the ledger: an allocation is positive, a reversal negative, both sums alike."""

    kind: Literal["allocation", "reversal"]
    position: Position  # with the movement's own signed sums


@dataclass(frozen=True, slots=True)
class Pin:
    """A person's decision: so much of this payment (None: all it has left) for this act or invoice.

    Without an obligation it answers a proposal: none of these, treat the payment like any other.
    """

    payment: str
    obligation: str
    amount: Decimal | None = None  # in the account's currency
    by: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a held payment may be meant for; a higher score is likelier, the reasons are Russian."""

    obligation: str
    label: str
    lacks: Decimal
    score: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A payment whose text names something that can't be resolved: `amount` waits for a person."""

    payment: str
    amount: Decimal
    currency: str
    reason: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """A document that takes no part, and why (Russian): a missing rate, a sum that can't be."""

    document: str
    reason: str


def entries(before: Iterable[Position], after: Iterable[Position]) -> tuple[Entry, ...]:
    """The movements that lead from the positions held to the new ones: reversals first, nothing for what stands.

    A changed sum moves by its difference; a changed date, currency or rate is reversed whole and entered anew.
    """
    old, new = {p.key: p for p in before}, {p.key: p for p in after}
    reversals: list[Entry] = []
    allocations: list[Entry] = []
    for key in sorted(old.keys() | new.keys(), key=_sorting):
        was, now = old.get(key), new.get(key)
        if was and now and _alike(was, now):
            amount, paid = now.amount - was.amount, now.paid - was.paid
            if amount == paid == 0:
                continue
            if amount > 0 and paid >= 0:
                allocations.append(Entry("allocation", replace(now, amount=amount, paid=paid)))
                continue
            if amount < 0 and paid <= 0:
                reversals.append(Entry("reversal", replace(was, amount=amount, paid=paid)))
                continue
        if was:
            reversals.append(Entry("reversal", replace(was, amount=-was.amount, paid=-was.paid)))
        if now:
            allocations.append(Entry("allocation", now))
    return (*reversals, *allocations)


def summed(moved: Iterable[Entry]) -> tuple[Position, ...]:
    """The positions that a ledger's entries add up to, in the order of their keys; the latest words explain them."""
    held: dict[Key, Position] = {}
    for entry in moved:
        position = entry.position
        was = held.get(position.key)
        if was:
            position = replace(position, amount=was.amount + position.amount, paid=was.paid + position.paid)
        held[position.key] = position
    return tuple(held[key] for key in sorted(held, key=_sorting) if held[key].amount)


def _sorting(key: Key) -> tuple[str, int, str, int, int]:
    payment, row, obligation, instalment, rule = key
    return payment, row, obligation, instalment, _ORDER.index(rule)


def _alike(was: Position, now: Position) -> bool:
    return (was.currency, was.paid_currency, was.rate, was.date) == (
        now.currency, now.paid_currency, now.rate, now.date
    )  # fmt: skip
