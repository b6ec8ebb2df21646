"""The payment schedule of a contract, laid over its documents: which part of each falls due when, what is retained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import TypeVar

from integration.rules.exchange import digits
from mappers.canonical import Invoice
from mappers.money import Act, Contract, Instalment, Term
from mappers.wire import rounded

_Document = TypeVar("_Document", Act, Invoice)
_WHOLE = Decimal(100)
_TINY = Decimal("0.000001")  # what shares made of sums may lack


def with_schedule(
    acts: Iterable[Act], invoices: Iterable[Invoice], contract: Contract | None
) -> tuple[tuple[Act, ...], tuple[Invoice, ...]]:
    """The same documents with the contract's terms. An invoice that has a day of payment of its own keeps it, unless
    the contract has a schedule of several terms."""
    terms = contract.schedule if contract else ()
    if not terms:
        return tuple(acts), tuple(invoices)
    scheduled = tuple(replace(act, instalments=instalments(act.amount, act.currency, act.date, terms)) for act in acts)
    billed = tuple(
        one
        if one.instalments and len(terms) == 1
        else replace(one, instalments=instalments(one.total, one.currency, one.date.date(), terms))
        for one in invoices
    )
    return scheduled, billed


def instalments(amount: Decimal, currency: str, day: date, terms: Iterable[Term]) -> tuple[Instalment, ...]:
    """A document's parts, in its own currency. Shares that make a whole leave no kopeck over: the last one takes the
    remainder."""
    told = tuple(terms)
    whole, left, parts = abs(sum((term.share for term in told), -_WHOLE)) < _TINY, amount, []
    for at, term in enumerate(told):
        last = whole and at == len(told) - 1
        part = left if last else min(left, rounded(amount * term.share / _WHOLE, digits(currency)))
        left -= part
        if part > 0:
            parts.append(Instalment(part, term.due or day + timedelta(days=term.days), term.kind))
    return tuple(parts)
