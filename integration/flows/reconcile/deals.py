"""Deals of the CRM, their invoices in 1C, and what crm1c agreed on with both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from integration.errors import Rejected
from integration.flows.deal import told_mark
from integration.flows.invoice import wanted_now
from integration.flows.origin import older_than_start
from integration.flows.reconcile.look import Look
from integration.flows.saving import KIND as CLIENT
from integration.rules.findings import Finding
from integration.rules.reconciled_money import said_sum
from integration.rules.reconciliation import (
    lost_deal,
    of_invoice,
    of_shown,
    unheard,
    unlinked_invoice,
    without_invoice,
)
from integration.work import Link
from mappers.canonical import Deal, Invoice
from mappers.dialect import ShownDeal

MARKER = "[crm1c:"  # begins our key in a comment of 1C
_TEXTS = ("id", "name", "stage", "currency", "account_id", "version", "organisation")


def deals(look: Look, crm_name: str) -> None:
    """The part "deals:CRM"."""
    crm, side = look.services.crms[crm_name], f"crm:{crm_name}:deal"
    while not look.done("read"):
        found, more = crm.ask(crm.say.all_deals(look.number("offset")))
        with look.services.store.unit("reconcile: deals of the CRM") as unit:
            unit.reconciling.see(look.run.id, side, [(one.deal.id, "", _packed(one)) for one in found])
            look.step(unit, 0, offset=look.number("offset") + len(found), read=0 if more else 1)
        look.rest()
    for base_name in look.services.bases:
        _Sides(look, crm_name, base_name).linked()
    if look.services.bases:
        _Sides(look, crm_name, next(iter(look.services.bases))).strangers()


def invoices(look: Look, base_name: str) -> None:
    """The part "invoices:BASE": those that bear our key and belong to no deal."""
    while True:
        with look.services.store.unit("reconcile: orphans") as unit:
            some = unit.reconciling.orphans(base_name, MARKER, look.text("after"))
            look.find(unit, [unlinked_invoice(base_name, one) for one in some if isinstance(one, Invoice)])
            look.step(unit, len(some), **({"after": some[-1].ref_key} if some else {}))
        if not some:
            return
        look.rest()


@dataclass
class _Sides:
    """One CRM and one base."""

    look: Look
    crm: str
    base: str

    def linked(self) -> None:
        """Deals with an invoice: the deal, the invoice, what the deal shows."""
        look, name = self.look, f"{self.base}:linked"
        which = {"crm": self.crm, "entity": "deal", "base": self.base, "kind": "invoice"}
        while not look.done(f"{name}:over"):
            with look.services.store.unit("reconcile: linked deals") as unit:
                rows = unit.reconciling.deals(look.run.id, f"crm:{self.crm}:deal", which, look.text(name))
                seen = [_unpacked(here) for _, here, _ in rows if here]
                clients = unit.reconciling.linked(
                    "record_id", {"crm": self.crm, "entity": "account", "base": self.base, "kind": CLIENT},
                    {one.deal.account_id for one in seen if one.deal.account_id},
                )  # fmt: skip
            odd = [
                link
                for link, here, fact in rows
                if here is None or self._compared(link, _unpacked(here), _invoice(fact), clients, whole=False)
            ]
            found = self._looked_at(odd)
            with look.services.store.unit("reconcile: deals") as unit:
                told = {one.ref_key for one in found if one.entity == "invoice" and one.ref_key}
                unit.reconciling.supersede(look.run.id, self.base, told)
                look.find(unit, found)
                where: dict[str, str | int] = {name: rows[-1][0].record_id} if rows else {f"{name}:over": 1}
                look.step(unit, len(rows), **where)
            look.rest()

    def _looked_at(self, odd: list[Link]) -> list[Finding]:
        """Those that are still odd when both sides are read again, and that nobody is at work on."""
        found = list[Finding]()
        keys = {f"{self.crm}:deal:{link.record_id}": link for link in odd}
        busy, shown = self.look.at_work(keys)
        for key, link in keys.items():
            if key not in busy:
                found += [one for one in self._confirmed(link) if not (one.repair == "show" and key in shown)]
        return found

    def _confirmed(self, link: Link) -> list[Finding]:
        services = self.look.services
        crm, base = services.crms[self.crm], services.bases[self.base]
        deal = crm.ask(crm.say.deal(link.record_id))
        with base.session():
            invoice = base.ask(base.say.invoice(link.ref_key))
        if deal is None:  # both gone: nobody misses anything
            return [lost_deal(link)] if invoice is not None and not invoice.deleted else []
        which = {"crm": self.crm, "entity": "account", "base": self.base, "kind": CLIENT}
        with services.store.unit("reconcile: client") as unit:
            link = unit.links.find(link.crm, link.entity, link.record_id, link.base, link.kind) or link
            clients = unit.reconciling.linked("record_id", which, {deal.account_id} - {""})
        return self._compared(link, ShownDeal(deal, crm.say.shown(deal)), invoice, clients, whole=True)

    def _compared(
        self, link: Link, deal: ShownDeal, fact: Invoice | None, clients: dict[str, Link], *, whole: bool
    ) -> list[Finding]:
        """`whole`: the deal was read by itself, with its lines."""
        found = of_invoice(link, deal, fact)
        if any(one.kind == "missing" for one in found):
            return found
        assert fact is not None
        changed = any(one.field == "amount" for one in found)
        if not changed:
            found += self._unheard(link, deal, fact, clients, whole=whole)
        return found + of_shown(link, deal)

    def _unheard(
        self, link: Link, deal: ShownDeal, fact: Invoice, clients: dict[str, Link], *, whole: bool
    ) -> list[Finding]:
        """The deal's client and figures against the invoice: what changed and was told by no webhook."""
        one, services = deal.deal, self.look.services
        client = clients.get(one.account_id)
        if services.settings.crm[self.crm].lines is None or whole:
            try:
                print_, total = wanted_now(services, link, one)
            except Rejected as error:
                said = {"crm": f"{said_sum(one.amount)} {one.currency}".strip(), "onec": said_sum(fact.total)}
                return [unheard(link, deal, "amount", said, paid=True, reason=error.reason)]
            if print_ == link.agreed.get("fingerprint"):
                return []
        else:
            # A list keeps no lines: only what it does tell is looked at, the rest when the deal is read whole.
            total = one.amount if one.amount is not None and services.settings.invoicing.vat_included else fact.total
        paid = self._paid(link)
        told = []
        if client is None or (fact.counterparty and client.ref_key != fact.counterparty):
            said = {"crm": one.account_id, "onec": fact.counterparty, "ledger": client.ref_key if client else ""}
            reason = "Клиента сделки сменили без вебхука: счёт выставлен другому."
            told.append(unheard(link, deal, "client", said, paid=paid, reason=reason))
        if total != Decimal(link.agreed.get("total", total)):
            said = {"crm": said_sum(total), "onec": said_sum(fact.total), "ledger": str(link.agreed.get("total", ""))}
            reason = "Сумму сделки изменили, вебхук пропал: счёт будет переписан."
            told.append(unheard(link, deal, "amount", said, paid=paid, reason=reason))
        if whole and not told:
            said = {"crm": one.name, "onec": str(link.agreed.get("number", "")), "ledger": ""}
            reason = "Название или строки сделки изменили, вебхук пропал: счёт будет переписан."
            told.append(unheard(link, deal, "name", said, paid=paid, reason=reason))
        return told

    def _paid(self, link: Link) -> bool:
        money = link.agreed.get("money") or {}
        return Decimal(money.get("paid", 0)) > 0

    def strangers(self) -> None:
        """Deals without an invoice that ask for one, or show one."""
        look, name = self.look, "strangers"
        which = {"crm": self.crm, "entity": "deal", "kind": "invoice"}
        while not look.done(f"{name}:over"):
            with look.services.store.unit("reconcile: strangers") as unit:
                some = unit.reconciling.strangers(look.run.id, f"crm:{self.crm}:deal", which, look.text(name))
            busy, _ = look.at_work(f"{self.crm}:deal:{one.key}" for one in some)
            found = [
                without_invoice(self.crm, self._base_of(deal.deal), deal)
                for key, deal in ((one.key, _unpacked(one.body)) for one in some)
                if f"{self.crm}:deal:{key}" not in busy and self._asks(deal)
            ]
            with look.services.store.unit("reconcile: deals without invoice") as unit:
                look.find(unit, found)
                look.step(unit, len(some), **({name: some[-1].key} if some else {f"{name}:over": 1}))
            look.rest()

    def _asks(self, deal: ShownDeal) -> bool:
        services, one = self.look.services, deal.deal
        if deal.shown.get("ref_key"):
            return True
        if one.stage != services.settings.invoicing.crm_stage or older_than_start(services, self.crm, one.created_at):
            return False
        # One that was refused, and told so, is no news as long as nobody mends it.
        return not one.version or services.store.watermark(told_mark(self.crm, one.id)) != one.version

    def _base_of(self, deal: Deal) -> str:
        tables = self.look.services.settings.onec
        return next((name for name, table in tables.items() if table.organisation == deal.organisation), self.base)


def _invoice(fact: object) -> Invoice | None:
    return fact if isinstance(fact, Invoice) else None


def _packed(one: ShownDeal) -> str:
    deal = one.deal
    told: dict[str, Any] = {name: getattr(deal, name) for name in _TEXTS}
    told |= {"amount": None if deal.amount is None else str(deal.amount), "shown": dict(one.shown)}
    told |= {"created_at": deal.created_at.isoformat(), "modified_at": deal.modified_at.isoformat()}
    return json.dumps(told, ensure_ascii=False)


def _unpacked(body: str) -> ShownDeal:
    told = json.loads(body)
    shown = told.pop("shown")
    told["amount"] = None if told["amount"] is None else Decimal(told["amount"])
    for name in ("created_at", "modified_at"):
        told[name] = datetime.fromisoformat(told[name])
    return ShownDeal(Deal(**told), shown)
