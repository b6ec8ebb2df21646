"""What the CRM shows of an obligation, a deal and a contract: pure functions of an allocation.

Codes: issued → signed → partially_paid → retention_pending → paid or closed. Percent to one decimal, rounded down, so
that 100.0 means fully paid.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_DOWN, Decimal
from typing import Literal

from integration.rules.allocation import Allocated
from integration.rules.obligations import Obligation

Code = Literal["issued", "signed", "partially_paid", "retention_pending", "paid", "closed"]
Flag = Literal["overdue", "overpaid"]
# Worst first; the sentences are what people read.
CODES: dict[Code, str] = {
    "issued": "выставлен",
    "signed": "акт подписан",
    "partially_paid": "частично оплачен",
    "retention_pending": "оплачен, кроме гарантийного удержания",
    "paid": "оплачен полностью, не подписан",
    "closed": "полностью закрыт",
}
_ORDER = tuple(CODES)
_ZERO = Decimal(0)
_TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Status:
    """Sums in the account's currency. `retention`: of what is lacking, the part retained; `due`: when the first
    unpaid instalment falls due (None: nothing is lacking, or it has no date of its own).
    """

    code: Code
    percent: Decimal
    amount: Decimal
    paid: Decimal
    currency: str
    retention: Decimal = _ZERO
    due: date | None = None
    flags: tuple[Flag, ...] = ()

    @property
    def lacks(self) -> Decimal:
        """What is still to be paid."""
        return self.amount - self.paid


@dataclass(frozen=True, slots=True)
class Totals:
    """A contract as the CRM's account shows it: `owed` are its acts, `invoiced` its invoices with what acts exceed
    them; `debt` is lacking on acts, `overdue` the part of it whose day has passed; all in `currency`.
    """

    currency: str
    invoiced: Decimal
    owed: Decimal
    received: Decimal
    refunded: Decimal
    allocated: Decimal
    advance: Decimal
    debt: Decimal
    overdue: Decimal
    retention: Decimal


def percent(paid: Decimal, amount: Decimal) -> Decimal:
    """To one decimal, rounded down; nothing owed is wholly paid."""
    if amount <= 0:
        return Decimal("100.0")
    return (paid * 100 / amount).quantize(_TENTH, rounding=ROUND_DOWN)


def of_obligation(obligation: Obligation, paid: Iterable[Decimal], today: date, *, overpaid: bool = False) -> Status:
    """One act, or one invoice's own rest. `paid`: what each of its instalments has got (`Allocated.paid`)."""
    got = tuple(paid)
    lacking = [(one, one.amount - part) for one, part in zip(obligation.instalments, got, strict=True)]
    lacking = [(one, lacks) for one, lacks in lacking if lacks > 0]
    total = sum(got, _ZERO)
    if not lacking:
        code: Code = "closed" if obligation.signed else "paid"
    elif total <= 0:
        code = "signed" if obligation.signed else "issued"
    else:
        code = "retention_pending" if all(one.kind == "retention" for one, _ in lacking) else "partially_paid"
    overdue = any(one.due is not None and one.due < today for one, _ in lacking)
    return Status(
        code=code,
        percent=percent(total, obligation.amount),
        amount=obligation.amount,
        paid=total,
        currency=obligation.currency,
        retention=sum((lacks for one, lacks in lacking if one.kind == "retention"), _ZERO),
        due=min((one.due for one, _ in lacking if one.due is not None), default=None),
        flags=_flags(overdue, overpaid),
    )


def statuses(account: Allocated, today: date) -> dict[str, Status]:
    """Every act, and every invoice's own rest, by Ref_Key; an invoice that its acts cover has none (`of_deal`)."""
    overpaid = account.advance > 0
    return {
        one.ref_key: of_obligation(one, account.paid[one.ref_key], today, overpaid=overpaid)
        for one in account.obligations
        if one.amount or not one.acts
    }


def of_deal(account: Allocated, documents: Collection[str], today: date) -> Status | None:
    """A deal with these invoices and acts (Ref_Keys): percent = Σ paid / max(Σ invoices, Σ acts), its worst status.

    The acts made from its invoices belong to it, told or not. An invoice that has no act yet, or more than its acts
    take, counts as one whole beside them, paid by what its acts and its own rest have got. None: nothing is known of
    any of them.
    """
    by_key = {one.ref_key: one for one in account.obligations}
    named = [by_key[key] for key in documents if key in by_key]
    keys = dict.fromkeys([*(one.ref_key for one in named), *(act for one in named for act in one.acts)])
    parts = [by_key[key] for key in keys]
    if not parts:
        return None
    each = {
        one.ref_key: of_obligation(one, account.paid[one.ref_key], today) for one in parts if one.amount or not one.acts
    }
    paid = sum((status.paid for status in each.values()), _ZERO)
    invoices = sum((one.whole for one in parts if one.kind == "invoice"), _ZERO)
    acts = sum((one.amount for one in parts if one.kind == "act"), _ZERO)
    amount = max(invoices, acts)
    codes: set[Code] = set()
    for key, status in each.items():
        # An invoice as one whole: its own rest lacks all, but something of it is paid through its acts.
        begun = status.code == "issued" and by_key[key].acts and paid > 0
        codes.add("partially_paid" if begun else status.code)
    return Status(
        code=min(codes, key=_ORDER.index),
        percent=percent(min(paid, amount), amount),
        amount=amount,
        paid=paid,
        currency=account.currency,
        retention=sum((status.retention for status in each.values()), _ZERO),
        due=min((status.due for status in each.values() if status.due is not None), default=None),
        flags=_flags(any("overdue" in status.flags for status in each.values()), account.advance > 0),
    )


def totals(account: Allocated, today: date) -> Totals:
    """The contract's sums."""
    debt = overdue = retention = _ZERO
    for one in account.obligations:
        status = of_obligation(one, account.paid[one.ref_key], today)
        if one.kind == "act":
            debt += status.lacks
            retention += status.retention
            overdue += sum(
                (part.amount - got for part, got in zip(one.instalments, account.paid[one.ref_key], strict=True)
                 if part.due is not None and part.due < today),
                _ZERO,
            )  # fmt: skip
    acts = sum((one.amount for one in account.obligations if one.kind == "act"), _ZERO)
    return Totals(
        currency=account.currency,
        invoiced=sum((one.whole for one in account.obligations if one.kind == "invoice"), _ZERO),
        owed=acts,
        received=account.received,
        refunded=account.refunded,
        allocated=account.allocated,
        advance=account.advance,
        debt=debt,
        overdue=overdue,
        retention=retention,
    )


def _flags(overdue: bool, overpaid: bool) -> tuple[Flag, ...]:
    told: list[tuple[Flag, bool]] = [("overdue", overdue), ("overpaid", overpaid)]
    return tuple(flag for flag, raised in told if raised)
