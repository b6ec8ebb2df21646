"""The ledger against itself and against what the deals were shown: every account computed anew from its facts."""

from __future__ import annotations

from integration.flows.payment import MONEY, settle_accounts, shown_money, today
from integration.flows.reconcile.look import Look
from integration.rules.accounting import computed
from integration.rules.accounts import Account
from integration.rules.findings import Finding
from integration.rules.reconciled_money import of_account, said_sum
from integration.rules.reconciliation import same_money, stale_deal
from integration.rules.status import of_deal

_BATCH = 50


def ledger(look: Look, base_name: str) -> None:
    """The part "ledger:BASE"."""
    if not look.done("settled"):
        settle_accounts(look.services, base_name, "сверка")
        with look.services.store.unit("reconcile: settled") as unit:
            look.step(unit, settled=1)
    while True:
        with look.services.store.unit("reconcile: accounts") as unit:
            some = unit.reconciling.accounts(base_name, look.text("after"), _BATCH)
        if not some:
            return
        found: list[Finding] = []
        for account, touched in some:
            if not touched and _of_account(look, account):
                found += _of_account(look, account)  # once more: it may have been settled while it was read
        busy, shown = look.at_work(f"{one.crm}:deal:{one.record}" for one in found if one.record)
        with look.services.store.unit("reconcile: ledger") as unit:
            look.find(unit, [one for one in found if f"{one.crm}:deal:{one.record}" not in busy | shown])
            look.step(unit, len(some), after=some[-1][0].id)
        look.rest()


def _of_account(look: Look, account: Account) -> list[Finding]:
    with look.services.store.unit("reconcile: account") as unit:
        held = unit.ledger.held(account)
        standing = unit.reconciling.standing(account)
    day = today(look.services, account.base)
    now = computed(account, held, look.services.settings.allocation, day)
    found = []
    if now.moved:
        said = {
            "ledger": said_sum(sum((one.amount for one in held.positions), start=now.allocated.allocated * 0)),
            "onec": said_sum(now.allocated.allocated),
        }
        found.append(of_account(account, held, "allocation", said))
    else:
        wanted = {one.ref_key: (one.code, one.amount, one.paid) for one in now.standings}
        for ref_key in sorted(wanted.keys() | standing.keys()):
            if wanted.get(ref_key) != standing.get(ref_key):
                said = {"ledger": _told(standing.get(ref_key)), "onec": _told(wanted.get(ref_key))}
                found.append(of_account(account, held, "standing", said))
                break  # one is enough to have the account computed
    if found:
        return found  # the deals are shown after the account was computed
    for link in held.deals:
        status = of_deal(now.allocated, [link.ref_key], day)
        if status is None or link.crm not in look.services.crms:
            continue
        if same_money(link.agreed.get(MONEY), shown_money(status)):
            continue
        if MONEY in link.agreed or status.code != "issued":
            found.append(stale_deal(link, shown_money(status)))
    return found


def _told(standing: tuple[object, ...] | None) -> str:
    return "" if standing is None else " ".join(str(one) for one in standing)
