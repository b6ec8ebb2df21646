"""Clients of both systems against each other and against what was agreed: both sides read in pages, merged by their
links, what looks wrong read again before it is told."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from integration.flows.answer import kept_row
from integration.flows.firstday import next_top
from integration.flows.profile import learned
from integration.flows.reconcile.look import Look
from integration.flows.saving import KIND
from integration.rules.agreement import decide, plain
from integration.rules.findings import Finding
from integration.rules.reconciliation import drifted, lost_client, of_client, unlinked_client
from integration.rules.requisites import as_party
from integration.work import Link
from mappers.canonical import Party

_KEPT = ("name", "inn", "kpp", "ogrn", "full_name", "address", "phone", "email", "id", "ref_key", "version")
_FIRST = 200


def counterparties(look: Look, base_name: str) -> None:
    """The part "counterparties:BASE": what 1C holds now, kept for the comparison with each CRM."""
    base, top = look.services.bases[base_name], _FIRST
    while not look.done("read"):
        with base.session():
            learned(look.services, base)
            found, rows, size = base.ask(base.say.all_counterparties(look.number("skip"), top))
        with look.services.store.unit("reconcile: counterparties") as unit:
            unit.reconciling.see(look.run.id, f"onec:{base_name}", map(_seen, found))
            look.step(unit, len(found), skip=look.number("skip") + rows, read=0 if rows == top else 1)
        top = next_top(top, size)
        look.rest()


def clients(look: Look, crm_name: str) -> None:
    """The part "clients:CRM"; bases whose counterparties could not be read are left out."""
    crm, side = look.services.crms[crm_name], f"crm:{crm_name}:account"
    while not look.done("read"):
        accounts, more = crm.ask(crm.say.all_accounts(look.number("offset")))
        with look.services.store.unit("reconcile: accounts of the CRM") as unit:
            unit.reconciling.see(look.run.id, side, map(_seen, accounts))
            look.step(unit, 0, offset=look.number("offset") + len(accounts), read=0 if more else 1)
        look.rest()
    for base_name in look.services.bases:
        if any(one.name == f"counterparties:{base_name}" and one.state == "done" for one in look.run.parts):
            pair = _Sides(look, crm_name, base_name)
            pair.linked()
            pair.strangers()


@dataclass
class _Sides:
    """One CRM and one base."""

    look: Look
    crm: str
    base: str

    @property
    def _which(self) -> dict[str, str]:
        return {"crm": self.crm, "entity": "account", "base": self.base, "kind": KIND}

    def linked(self) -> None:
        """What is linked: the same on both sides, where it was agreed."""
        look, name = self.look, f"{self.base}:linked"
        sides = (f"crm:{self.crm}:account", f"onec:{self.base}")
        kept = look.services.crms[self.crm].say.party_fields
        while not look.done(f"{name}:over"):
            with look.services.store.unit("reconcile: linked clients") as unit:
                pairs = unit.reconciling.pairs(look.run.id, sides, self._which, look.text(name))
            odd = [link for link, here, there in pairs if _odd(link, here, there, kept)]
            found = self._looked_at(odd)
            with look.services.store.unit("reconcile: clients") as unit:
                look.find(unit, found)
                where: dict[str, str | int] = {name: pairs[-1][0].record_id} if pairs else {f"{name}:over": 1}
                look.step(unit, len(pairs), **where)
            look.rest()

    def _looked_at(self, odd: list[Link]) -> list[Finding]:
        """Those that are still odd when both sides are read again, and that nobody is at work on."""
        found = list[Finding]()
        busy, _ = self.look.at_work(f"{self.crm}:account:{link.record_id}" for link in odd)
        odd = [link for link in odd if f"{self.crm}:account:{link.record_id}" not in busy]
        for link in odd:
            found += self._confirmed(link)
        return found

    def _confirmed(self, link: Link) -> list[Finding]:
        services = self.look.services
        crm, base = services.crms[self.crm], services.bases[self.base]
        account = crm.ask(crm.say.account(link.record_id))
        with base.session():
            there = base.ask(base.say.party(link.ref_key))
        if account is None and there is None:
            return []  # both are gone: nobody misses anything
        if account is None or there is None:
            return [lost_client(link, account, there)]
        with services.store.looking() as known:
            link = known.find(link.crm, link.entity, link.record_id, link.base, link.kind) or link
        ours, theirs, kept = plain(account), plain(there), crm.say.party_fields
        names = drifted(link.agreed, ours, theirs, kept)
        row = kept_row(services, there.inn or account.inn, there.kpp)
        said = {name: value for name, value in plain(as_party(row[0])).items() if value} if row is not None else {}
        owners: Any = vars(services.settings.ownership)
        decisions = decide(link.agreed, ours, theirs, owners, said, names)
        return of_client(link, account, (ours, theirs), decisions)

    def strangers(self) -> None:
        """Accounts that nobody linked, though 1C has their ИНН and КПП once and unlinked: a silent import."""
        look, name = self.look, f"{self.base}:strangers"
        which = {one: self._which[one] for one in ("crm", "entity", "kind")}
        while not look.done(f"{name}:over"):
            with look.services.store.unit("reconcile: strangers") as unit:
                some = unit.reconciling.strangers(look.run.id, f"crm:{self.crm}:account", which, look.text(name))
                theirs = unit.reconciling.twins(
                    look.run.id, f"onec:{self.base}", [one.twin for one in some if one.twin]
                )
                ours = unit.reconciling.twins(look.run.id, f"crm:{self.crm}:account", theirs)
                alone = {twin: refs[0] for twin, refs in theirs.items() if len(refs) == 1 == len(ours[twin])}
                taken = unit.reconciling.linked("ref_key", self._which, alone.values())
            busy, _ = look.at_work(f"{self.crm}:account:{one.key}" for one in some)
            with look.services.store.unit("reconcile: unlinked clients") as unit:
                found = [
                    unlinked_client(self.crm, self.base, _party(one.body), alone[one.twin])
                    for one in some
                    if one.twin in alone and alone[one.twin] not in taken
                    and f"{self.crm}:account:{one.key}" not in busy
                ]  # fmt: skip
                look.find(unit, found)
                where: dict[str, str | int] = {name: some[-1].key} if some else {f"{name}:over": 1}
                look.step(unit, len(some), **where)
            look.rest()


def _odd(link: Link, here: str | None, there: str | None, kept: Iterable[str]) -> bool:
    if here is None or there is None:
        return True
    return bool(drifted(link.agreed, plain(_party(here)), plain(_party(there)), frozenset(kept)))


def _seen(party: Party) -> tuple[str, str, str]:
    body = json.dumps([getattr(party, name) for name in _KEPT], ensure_ascii=False)
    return party.id, f"{party.inn}/{party.kpp}" if party.inn else "", body


def _party(body: str) -> Party:
    return Party(**dict(zip(_KEPT, json.loads(body), strict=True)))
