"""What may be repaired is, or is owed to those who do it: a part's repairs all together, or none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from integration.flows.accept import POLLED
from integration.flows.pair import sync_duty
from integration.flows.payment import settle_accounts
from integration.flows.pull import read_again
from integration.flows.reconcile.kpi import mend
from integration.flows.reconcile.look import Look
from integration.flows.saving import KIND as CLIENT
from integration.rules.accounts import Kind
from integration.rules.findings import Finding, decided
from integration.services import Unit
from integration.work import Arrival, Event, Owed, new_id
from mappers.canonical import Invoice

_BATCH = 200
_KINDS: dict[str, Kind] = {"invoice": "invoice", "act": "act", "payment": "payment", "refund": "refund"}


def repair(look: Look) -> None:
    """Decide by the count, then do it. Everything here may be done twice: a worker that dies in the middle leaves the
    rest to the next."""
    services, limit = look.services, look.services.settings.reconcile.limit
    with services.store.unit("reconcile: count") as unit:
        tallies = unit.reconciling.tallies(look.run.id)
    many = sum(one.count for one in tallies if one.part == look.part.name and one.action == "repair")
    if not many:
        return
    verdict = decided(many, limit, over_limit=look.run.over_limit)
    if verdict == "held":
        reason = (
            f"Исправлять пришлось бы {many}, а предел {limit} ([reconcile] limit): похоже, случилось что-то большее. "
            "Разберитесь; если всё верно – crm1c reconcile --over-limit."
        )
        with services.store.unit("reconcile: held") as unit:
            unit.reconciling.become(look.run.id, look.part.name, "held", reason)
        return
    after, bases = 0, set[str]()
    while True:
        with services.store.unit("reconcile: repairs") as unit:
            some = unit.reconciling.findings(look.run.id, after, _BATCH, part=look.part.name, action="repair")
        if not some:
            break
        _carry_out(look, [finding for _, _, finding in some])
        bases |= {one.base for _, _, one in some if one.repair in ("document", "account")}
        after = some[-1][0]
    for base in sorted(bases):
        settle_accounts(services, base, "сверка")
    with services.store.unit("reconcile: repaired") as unit:
        unit.reconciling.become(look.run.id, look.part.name, "repaired")


def _carry_out(look: Look, found: Sequence[Finding]) -> None:
    services = look.services
    documents: dict[tuple[str, Kind], set[str]] = {}
    for one in found:
        if one.repair == "document":
            documents.setdefault((one.base, _KINDS[one.entity]), set()).add(one.ref_key)
    mend(services, {f"{one.day:%Y-%m}" for one in found if one.repair == "kpi" and one.day})
    for (base, kind), refs in documents.items():
        read_again(services, base, kind, sorted(refs))
    arrivals = {
        (one.crm, one.record): _arrival(look, one)
        for one in found
        if one.repair == "deal" or (one.repair == "client" and one.kind == "extra")
    }
    if arrivals:
        services.store.receive(list(arrivals.values()), b"", {}, new_id())
    with services.store.unit("reconcile: owed repairs") as unit:
        unit.reconciling.touch({one.ref_key for one in found if one.repair == "account"})
        cause = Event("", "reconcile", "", "drift", "", b"", new_id())
        owed = {each.merge: each for one in found for each in _owed(look, unit, one)}
        unit.owe(*owed.values(), cause=cause)


def _arrival(look: Look, one: Finding) -> Arrival:
    """As if its webhook had come: the record is read again, and what it asks for is done."""
    entity = "account" if one.repair == "client" else "deal"
    return Arrival(one.crm, entity, POLLED, one.record, b"{}", event_id=f"reconcile:{look.run.id}:{one.record}")


def _owed(look: Look, unit: Unit, one: Finding) -> list[Owed]:
    if one.repair == "client" and one.kind != "extra":
        link = unit.links.find(one.crm, "account", one.record, one.base, CLIENT)
        return [sync_duty(look.services, link, "")] if link else []
    if one.repair not in ("show", "number"):
        return []
    if one.repair == "number":
        link = unit.links.find(one.crm, "deal", one.record, one.base, "invoice")
        facts = unit.ledger.facts(one.base, "invoice", [one.ref_key])
        if link and facts and isinstance(facts[0], Invoice):
            unit.links.bind(replace(link, agreed={**link.agreed, "number": facts[0].number}))
    key = f"{one.crm}:deal:{one.record}"
    payload = {"crm": one.crm, "deal": one.record, "money": True, "tell": False}
    return [Owed("show_deal", f"crm:{one.crm}", key, payload, merge=f"show_money:{key}:False")]
