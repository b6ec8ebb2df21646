"""What changed in clients and was told by nobody: read by the exchange plan where 1C has one, else by versions;
and the CRM's accounts by their time of change."""

from __future__ import annotations

import logging
from datetime import datetime

from integration.errors import Busy, Rejected
from integration.flows.accept import COUNTERPARTIES, ONEC, POLLED
from integration.flows.origin import STARTED
from integration.flows.poll import polled, received
from integration.flows.pull import read_told
from integration.flows.saving import KIND
from integration.services import Base, Services
from integration.work import Arrival
from mappers.canonical import Party

log = logging.getLogger("crm1c.clients")

PAGE = 1000  # (Ref_Key, DataVersion) pairs of one page


def pull_counterparties(services: Services, base_name: str) -> int:
    """Every changed counterparty of a base becomes an event; returns how many. A second reader at the same time finds
    the first at work and leaves: an exchange plan's node bears no two."""
    base = services.bases[base_name]
    try:
        with services.store.lock(f"changes:{base_name}", patience=0.1):
            if services.settings.onec[base_name].exchange_plan:
                try:
                    return _by_plan(services, base, base_name)
                except Rejected as error:
                    # One character that XML can't bear, in whatever object, and 1C gives nobody the packet any more.
                    log.error("план обмена 1С «%s» не отдаёт изменений, сравниваются версии: %s", base_name, error)
            return _by_versions(services, base, base_name)
    except Busy:
        return 0


def _by_plan(services: Services, base: Base, name: str) -> int:
    """One packet: committed here first, then acknowledged. A receipt that is lost brings the packet again, with what
    came in between; so these events carry no id of their own: what is still due merges, the rest is read again."""
    with base.session():
        changes = base.ask(base.say.select_changes())
        told = [ref for table, ref, _erased in changes.refs if table == COUNTERPARTIES]
        arrivals = [Arrival(ONEC, COUNTERPARTIES, "exchange", ref, b"{}", webhook_id=name) for ref in told]
        found = received(services, arrivals)
    found += read_told(services, name, [(table, ref) for table, ref, _erased in changes.refs])
    with base.session():
        if changes.refs:
            base.ask(base.say.acknowledge(changes))
    return found


def _by_versions(services: Services, base: Base, name: str) -> int:
    """1C keeps no time of change: its versions are compared with those that we left, for what is linked."""
    with services.store.unit("known versions") as unit:
        known = unit.parties.versions(name, KIND)
    if not known:
        return 0
    found, skip, more = 0, 0, True
    while more:
        with base.session():
            page = base.ask(base.say.versions(skip, PAGE))
        news = [(ref, version) for ref, version in page if ref in known and known[ref] != version]
        arrivals = [
            Arrival(ONEC, COUNTERPARTIES, POLLED, ref, b"{}", f"{name}:{ref}:{version}", webhook_id=name)
            for ref, version in news
        ]
        found += received(services, arrivals)
        skip, more = skip + len(page), len(page) == PAGE
    return found


def poll_accounts(services: Services, crm_name: str) -> int:
    """Accounts changed since the last look become events; returns how many: a webhook may have been lost. The first
    look begins at the first start, so that older clients are left to the first day (crm1c links build)."""
    started = services.store.watermark(STARTED)
    beginning = datetime.fromisoformat(started) if started else services.now()

    def news(account: Party) -> Arrival | None:
        return _arrival(crm_name, account) if _is_news(services, crm_name, account) else None

    changed = services.crms[crm_name].say.changed_accounts
    return polled(services, crm_name, f"poll-accounts:{crm_name}", beginning, changed, news)


def _is_news(services: Services, crm: str, account: Party) -> bool:
    with services.store.looking() as known:
        links = [link for link in known.of_record(crm, "account", account.id) if link.kind == KIND]
    return any(link.crm_version != account.version for link in links) if links else bool(account.inn)


def _arrival(crm: str, account: Party) -> Arrival:
    version = account.version or account.modified_at
    return Arrival(crm, "account", POLLED, account.id, b"{}", f"poll-account:{account.id}:{version}")
