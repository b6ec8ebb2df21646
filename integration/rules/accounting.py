"""An account as people see it, computed from what the ledger holds of it: pure, the same facts give the same answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from integration.rules.accounts import Account, Held, Question, Standing, Turn, accounts_of, with_deals_terms
from integration.rules.allocation import Allocated, Facts, allocate
from integration.rules.exchange import Rates, Receipt, receipt
from integration.rules.positions import Entry, entries
from integration.rules.schedule import with_schedule
from integration.rules.status import Status, percent, statuses
from integration.settings.money import Allocation as Options
from mappers.money import Payment

RECEIVED = "received"  # the code of a live payment
REFUNDED = "refunded"  # the code of a live refund
GONE = "gone"  # the code of what is no longer live


@dataclass(frozen=True, slots=True)
class Computed:
    """`moved`: the entries that lead from what the ledger holds to `allocated`; sums in the account's currency."""

    allocated: Allocated
    statuses: Mapping[str, Status]
    moved: tuple[Entry, ...]
    standings: tuple[Standing, ...]
    questions: tuple[Question, ...]


def computed(account: Account, held: Held, options: Options, today: date) -> Computed:
    """The allocation afresh. Positions of closed months ([allocation] closed_until) stay as the ledger has them."""
    closed_until = options.closed_until or date.min
    acts, invoices = with_schedule(held.acts, held.invoices, held.contract)
    acts, invoices = with_deals_terms(acts, invoices, held.deals)
    facts = Facts(
        contract=account.contract,
        currency=held.currency,
        payments=held.payments,
        refunds=held.refunds,
        acts=acts,
        invoices=invoices,
        pins=held.pins,
        closed=tuple(position for position in held.positions if position.date <= closed_until),
        rates=Rates(held.rates),
    )
    result = allocate(facts, options)
    told = statuses(result, today)
    return Computed(
        allocated=result,
        statuses=told,
        moved=entries(held.positions, result.positions),
        standings=(
            *_of_obligations(told),
            *_of_payments(account, held, facts.rates, result),
            *_of_refunds(account, held, facts.rates),
        ),
        questions=_questions(result),
    )


def belongs(account: Account, payment: Payment) -> bool:
    """Whether the payment is told of in this account: one whose rows name several contracts is told of once."""
    contracts = {one.contract for one in accounts_of(account.base, payment)}
    return account.contract == (payment.contract if payment.contract in contracts else min(contracts))


def event_of(turn: Turn, of: Literal["payment", "refund", "obligation"]) -> str:
    """What a change of code is called on the bus."""
    if of != "obligation":
        if turn.after == GONE:
            return f"{of}.reversed"
        if turn.before == turn.after:
            return f"{of}.changed"
        return "payment.received" if of == "payment" else "refund.made"
    if turn.after == GONE:
        return "obligation.cancelled"
    if turn.after in ("closed", "paid") and turn.before != turn.after:
        return f"obligation.{turn.after}"
    if turn.overdue:
        return "obligation.overdue"
    return "obligation.changed"


def _of_obligations(told: Mapping[str, Status]) -> list[Standing]:
    return [
        Standing(ref_key, one.code, one.percent, one.amount, one.paid, one.currency, one.flags)
        for ref_key, one in told.items()
    ]


def _of_payments(account: Account, held: Held, rates: Rates, result: Allocated) -> list[Standing]:
    """How much of each live payment is allocated."""
    taken: dict[str, Decimal] = {}
    for position in result.positions:
        taken[position.payment] = taken.get(position.payment, Decimal(0)) + position.amount
    found = []
    for payment in held.payments:
        if payment.posted and not payment.deleted:
            part = receipt(payment, account.contract, held.currency, rates)
            if isinstance(part, Receipt):
                paid = taken.get(payment.ref_key, Decimal(0))
                share = percent(paid, part.settled)
                found.append(Standing(payment.ref_key, RECEIVED, share, part.settled, paid, held.currency))
    return found


def _of_refunds(account: Account, held: Held, rates: Rates) -> list[Standing]:
    """What each live refund gave back, in the account's currency."""
    found = []
    for refund in held.refunds:
        if refund.posted and not refund.deleted:
            part = receipt(refund, account.contract, held.currency, rates)
            if isinstance(part, Receipt):
                nothing = Decimal(0)
                found.append(Standing(refund.ref_key, REFUNDED, nothing, part.settled, nothing, held.currency))
    return found


def _questions(result: Allocated) -> tuple[Question, ...]:
    proposed = [
        Question(
            "proposal", one.payment, one.amount, one.currency, one.reason,
            tuple(
                {"obligation": each.obligation, "label": each.label, "lacks": str(each.lacks), "score": each.score,
                 "reasons": list(each.reasons)}
                for each in one.candidates
            ),
        )
        for one in result.proposals
    ]  # fmt: skip
    stopped = [Question("stopped", one.document, Decimal(0), result.currency, one.reason) for one in result.stopped]
    return (*proposed, *stopped)
