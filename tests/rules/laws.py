"""The laws of DOMAIN that any account must keep: the tests run a few hundred cases, bench/laws.py many."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal

from integration.rules.allocation import Allocated, Facts, allocate
from integration.rules.exchange import Receipt, digits, receipt
from integration.rules.positions import Position, entries, summed
from mappers.wire import rounded
from tests.rules.plain import allocated

# More cases than the default: CRM1C_LAWS=5000 pytest tests/rules, or python -m bench.laws for 50,000.
CASES = int(os.environ.get("CRM1C_LAWS", "100"))


def account(facts: Facts, seed: int) -> None:
    """Every law of one account."""
    found = allocate(facts)
    sums(facts, found)
    told_again(facts, found, seed)
    taken_back(facts, found, seed)
    moved(facts, found, seed)
    explained(found)


def sums(facts: Facts, found: Allocated) -> None:
    """Allocations are positive, within payment and obligation; nothing appears or vanishes, in either currency."""
    of_payment: dict[str, Decimal] = defaultdict(Decimal)
    of_row: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    paid_of_row: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    of_obligation: dict[str, Decimal] = defaultdict(Decimal)
    of_slot: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    for position in found.positions:
        assert position.amount > 0
        assert position.paid >= 0
        of_payment[position.payment] += position.amount
        of_row[position.payment, position.row] += position.amount
        paid_of_row[position.payment, position.row] += position.paid
        of_obligation[position.obligation] += position.amount
        of_slot[position.obligation, position.instalment] += position.amount
    receipts: dict[str, Receipt] = {}
    for payment in facts.payments:
        one = receipt(payment, facts.contract, facts.currency, facts.rates)
        if isinstance(one, Receipt) and payment.posted and not payment.deleted:
            receipts[payment.ref_key] = one
            assert sum(row.paid for row in one.rows) <= rounded(payment.amount, digits(payment.currency))
    for key, total in of_payment.items():
        assert total <= receipts[key].settled
    for (key, number), total in of_row.items():
        told = next(row for row in receipts[key].rows if row.number == number)
        assert total <= told.settled
        assert paid_of_row[key, number] <= told.paid
        if total == told.settled:
            assert paid_of_row[key, number] == told.paid
    amounts = {one.ref_key: one for one in found.obligations}
    for key, total in of_obligation.items():
        assert total <= amounts[key].amount
    for key, paid in found.paid.items():
        for index, (got, instalment) in enumerate(zip(paid, amounts[key].instalments, strict=True)):
            assert got == of_slot[key, index] <= instalment.amount
    for one in found.obligations:
        assert sum(instalment.amount for instalment in one.instalments) == one.amount
    assert found.allocated + found.advance == found.received - found.refunded
    assert found.advance >= 0 or found.refunded > found.received
    assert found.allocated == sum(of_payment.values(), Decimal(0))


def told_again(facts: Facts, found: Allocated, seed: int) -> None:
    """The same facts in any order, and told twice, are the same account."""
    shuffled = random.Random(seed)

    def mixed(told: tuple[object, ...]) -> tuple[object, ...]:
        twice = [*told, *told]
        shuffled.shuffle(twice)
        return tuple(twice)

    again = replace(
        facts,
        payments=mixed(facts.payments),  # type: ignore[arg-type]
        refunds=mixed(facts.refunds),  # type: ignore[arg-type]
        acts=mixed(facts.acts),  # type: ignore[arg-type]
        invoices=mixed(facts.invoices),  # type: ignore[arg-type]
        pins=mixed(facts.pins),  # type: ignore[arg-type]
    )
    assert allocate(again).positions == found.positions
    assert allocate(again).advances == found.advances


def taken_back(facts: Facts, found: Allocated, seed: int) -> None:
    """A payment unposted takes its allocations back, and is as if it had never been told."""
    if not facts.payments:
        return
    at = seed % len(facts.payments)
    gone = facts.payments[at]
    unposted = replace(facts, payments=(*facts.payments[:at], replace(gone, posted=False), *facts.payments[at + 1 :]))
    without = replace(facts, payments=(*facts.payments[:at], *facts.payments[at + 1 :]))
    after = allocate(unposted)
    assert after.positions == allocate(without).positions
    assert all(position.payment != gone.ref_key for position in after.positions)
    held = summed([*entries((), found.positions), *entries(found.positions, after.positions)])
    assert money(held) == money(after.positions)


def moved(facts: Facts, found: Allocated, seed: int) -> None:
    """The entries between any two states lead from one to the other; what stands moves nothing; closed months stay."""
    assert entries(found.positions, found.positions) == ()
    fewer = replace(facts, acts=facts.acts[seed % 2 :], pins=())
    before = allocate(fewer)
    steps = [*entries((), before.positions), *entries(before.positions, found.positions)]
    assert money(summed(steps)) == money(found.positions)
    signs = {("allocation", True), ("reversal", False)}
    assert {(step.kind, step.position.amount > 0) for step in steps} <= signs
    if not facts.refunds:
        # An advance may find an exact sum that it did not find before; what is closed stands.
        kept = money(allocate(replace(facts, closed=found.positions)).positions)
        assert all(kept[position.key][0] >= position.amount for position in found.positions)
        assert found.advance or kept == money(found.positions)


def explained(found: Allocated) -> None:
    """Each allocation says why, in a sentence; each payment that waits says what for."""
    assert all(position.explanation.text for position in found.positions)
    waiting = {proposal.payment for proposal in found.proposals}
    for position in found.positions:
        assert position.payment not in waiting or position.explanation.rule not in ("exact", "oldest")
    assert all(proposal.reason and proposal.amount > 0 for proposal in found.proposals)


def plainly(facts: Facts) -> None:
    """The near-linear passes give what the plainly written ones give."""
    found = {position.key: position.amount for position in allocate(facts).positions}
    assert found == allocated(facts)


def money(positions: tuple[Position, ...]) -> dict[object, tuple[Decimal, Decimal]]:
    """Positions without their words."""
    return {position.key: (position.amount, position.paid) for position in positions}
