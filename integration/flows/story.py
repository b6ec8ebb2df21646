"""A deal's money as the API tells it: invoice, acts, payments, allocations with their explanations; sums are text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import date
from decimal import Decimal
from typing import Any

from integration.rules.accounting import Computed, computed
from integration.rules.accounts import Held
from integration.rules.contracts import label_of
from integration.rules.exchange import Rates, difference, digits
from integration.rules.obligations import Obligation
from integration.rules.positions import Position
from integration.rules.status import of_deal, totals
from integration.services import Ledger
from integration.settings.money import Allocation
from integration.work import Link
from mappers.money import Act, Payment, Refund


def deal_story(ledger: Ledger, link: Link, options: Allocation, day: date) -> dict[str, Any] | None:
    """Everything that the ledger knows of the deal of this invoice, computed from the facts as they stand; None: it
    knows nothing of it yet. `advance`, `refunds` and `contract` are the whole account's."""
    account = ledger.account_of(link.base, "invoice", link.ref_key)
    if account is None:
        return None
    held = ledger.held(account)
    now = computed(account, held, options, day)
    status = of_deal(now.allocated, [link.ref_key], day)
    if status is None:
        return None
    mine = _documents(now, link)
    positions = [one for one in now.allocated.positions if one.obligation in mine]
    paid = {one.payment for one in positions}
    acts = [one for one in held.acts if one.ref_key in mine]
    payments = sorted((one for one in held.payments if one.ref_key in paid), key=lambda one: (one.date, one.number))
    return {
        "percent": str(status.percent),
        "status": status.code,
        "flags": list(status.flags),
        "advance": money(now.allocated.advance, held.currency),
        "currency": held.currency,
        "acts": [_act(one, now) for one in sorted(acts, key=lambda one: (one.date, one.number))],
        "payments": [_payment(one, now, positions, held.currency) for one in payments],
        "allocations": [_allocation(one, held, mine) for one in positions],
        "refunds": [
            _refund(one)
            for one in sorted(held.refunds, key=lambda one: (one.date, one.number))
            if one.posted and not one.deleted
        ],
        "contract": _contract(held, now, day),
    }


def money(amount: Decimal, currency: str) -> str:
    """A sum as text, with the currency's own digits."""
    return f"{amount:.{digits(currency)}f}"


def _documents(now: Computed, link: Link) -> dict[str, Obligation]:
    """The deal's invoice and the acts made from it."""
    by_key = {one.ref_key: one for one in now.allocated.obligations}
    bill = by_key[link.ref_key]
    return {bill.ref_key: bill} | {act: by_key[act] for act in bill.acts}


def _act(act: Act, now: Computed) -> dict[str, Any]:
    status = now.statuses[act.ref_key]
    return {
        "ref_key": act.ref_key,
        "number": act.number,
        "date": act.date.isoformat(),
        "amount": money(status.amount, status.currency),
        "currency": status.currency,
        "signed": act.signed,
        "status": status.code,
        "percent": str(status.percent),
        "paid": money(status.paid, status.currency),
        "retention": money(status.retention, status.currency),
        "due": status.due.isoformat() if status.due else None,
        "flags": [flag for flag in status.flags if flag == "overdue"],
    }


def _payment(payment: Payment, now: Computed, positions: Iterable[Position], currency: str) -> dict[str, Any]:
    mine = sum((one.amount for one in positions if one.payment == payment.ref_key), Decimal(0))
    advance = now.allocated.advances.get(payment.ref_key, Decimal(0))
    return {
        "ref_key": payment.ref_key,
        "number": payment.number,
        "date": payment.date.isoformat(),
        "amount": money(payment.amount, payment.currency),
        "currency": payment.currency,
        "purpose": payment.purpose,
        "allocated": money(mine, currency),
        "advance": money(advance, currency),
    }


def _refund(refund: Refund) -> dict[str, Any]:
    return {
        "ref_key": refund.ref_key,
        "number": refund.number,
        "date": refund.date.isoformat(),
        "amount": money(refund.amount, refund.currency),
        "currency": refund.currency,
        "purpose": refund.purpose,
    }


def _contract(held: Held, now: Computed, day: date) -> dict[str, Any]:
    """What the whole contract comes to: its other deals are in it."""
    sums = totals(now.allocated, day)
    told = {one.name: money(getattr(sums, one.name), sums.currency) for one in fields(sums) if one.name != "currency"}
    return {"label": label_of(held.contract), "currency": sums.currency, **told}


def _allocation(one: Position, held: Held, mine: dict[str, Obligation]) -> dict[str, Any]:
    numbers = {payment.ref_key: payment.number for payment in held.payments}
    rates, owed_on = Rates(held.rates), mine[one.obligation].date
    apart = difference(one.amount, one.currency, one.date, owed_on, rates) if one.currency != rates.base else None
    return {
        "payment": one.payment,
        "payment_number": numbers.get(one.payment, ""),
        "date": one.date.isoformat(),
        "obligation": one.obligation,
        "label": mine[one.obligation].label,
        "instalment": mine[one.obligation].instalments[one.instalment].kind,
        "amount": money(one.amount, one.currency),
        "currency": one.currency,
        "paid": money(one.paid, one.paid_currency),
        "paid_currency": one.paid_currency,
        "rate": None if one.rate is None else str(one.rate),
        "exchange_difference": None if apart is None else money(apart, rates.base),
        "rule": one.explanation.rule,
        "explanation": one.explanation.text,
    }
