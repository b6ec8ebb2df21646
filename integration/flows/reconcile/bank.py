"""Bank statements against 1C's payments, a month at a time, where statements were imported."""

from __future__ import annotations

from datetime import date, timedelta

from integration.flows.payment import today
from integration.flows.reconcile.look import Look
from integration.rules.findings import Finding
from integration.rules.reconciled_money import bank_only, onec_only
from integration.rules.statements import compared

_AROUND = timedelta(days=10)  # a movement and its payment may lie so far apart
_MONTH = timedelta(days=31)


def bank(look: Look, _nobody: str) -> None:
    """The part "bank". Nothing is repaired here: money is entered in 1C by people."""
    with look.services.store.unit("reconcile: statements") as unit:
        spans = unit.reconciling.statement_days()
    if not spans:
        return
    since = date.fromisoformat(look.text("since")) if look.text("since") else _beginning(look, min(a for a, _ in spans))
    last = max(until for _, until in spans)
    # 1C does not say on which of our accounts money came: only days that all statements tell of can lack a line.
    whole = (max(a for a, _ in spans), min(until for _, until in spans))
    while since <= last:
        until = min(since + _MONTH, last)
        with look.services.store.unit("reconcile: bank") as unit:
            lines, payments = unit.reconciling.bank(since, until, _AROUND)
            result = compared(lines, payments)
            currencies = {line.currency for line in lines}
            found: list[Finding] = [bank_only(line) for line in result.bank_only if since <= line.date <= until]
            found += [
                onec_only(one)
                for one in result.onec_only
                if since <= one.date <= until and whole[0] <= one.date <= whole[1] and one.currency in currencies
            ]
            look.find(unit, found)
            since = until + timedelta(days=1)
            look.step(unit, sum(1 for line in lines if line.date < since), since=since.isoformat())
        look.rest()


def _beginning(look: Look, first: date) -> date:
    if look.run.since is not None:
        return max(first, look.run.since)
    days = max((one.compare_days for one in look.services.settings.onec.values()), default=120)
    bases = list(look.services.settings.onec)
    present = today(look.services, bases[0]) if bases else look.services.now().date()
    return max(first, present - timedelta(days=days))
