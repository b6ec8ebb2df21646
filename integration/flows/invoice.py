"""A deal becomes an invoice in 1C: re-read, client and contract ensured, found or created, posted; then the CRM is owed
its number. Each step can be repeated: whatever was already done is found."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from integration.errors import Conflict, Misconfigured, Rejected
from integration.flows.counterparty import ensure_contract, ensure_counterparty, require_account
from integration.flows.once import create_once
from integration.flows.origin import older_than_start
from integration.flows.profile import learned
from integration.rules.pricing import priced
from integration.services import Base, Services
from integration.work import Duty, Link, Outcome, Owed, own_key
from mappers.canonical import Deal, Found, Invoice, InvoiceDraft
from mappers.dialect import InvoiceRefs


def invoice(services: Services, duty: Duty) -> Outcome:
    """The duty "invoice": payload {crm, deal, why}; why is "button", "stage" (the event named it) or "look"."""
    crm_name, deal_id, why = duty.payload["crm"], duty.payload["deal"], duty.payload["why"]
    crm = services.crms[crm_name]
    deal = crm.ask(crm.say.deal(deal_id))
    if deal is None:
        return Outcome("skipped", "Сделка удалена в CRM")
    base = _base_of(services, deal)
    job = _Job(services, duty, base, crm_name, deal)
    link = job.link()
    if link is None and (no := _not_asked(services, crm_name, deal, why)):
        return Outcome("skipped", no)
    draft = job.draft()
    if link is not None and link.state == "posted" and link.agreed.get("fingerprint") == _fingerprint(draft):
        owes = (job.shown(),) if why == "button" else ()
        return Outcome("unchanged", "Счёт уже есть, сделка не менялась", owes=owes, result=_told(link))
    with base.session():
        learned(services, base)
        link = job.written(draft) if link is None else job.brought_up(link, draft)
        link = job.posted(link)
    return Outcome("done", f"Счёт № {link.agreed['number']}", owes=(job.shown(),), links=(link,), result=_told(link))


def _base_of(services: Services, deal: Deal) -> Base:
    """The 1C base of the organisation that the deal names; with one base a deal needs to name none."""
    if len(services.bases) == 1 and not deal.organisation:
        return next(iter(services.bases.values()))
    for name, table in services.settings.onec.items():
        if table.organisation == deal.organisation:
            return services.bases[name]
    known = ", ".join(table.organisation for table in services.settings.onec.values())
    named = f"указана организация с ИНН {deal.organisation}" if deal.organisation else "не указана организация"
    raise Rejected(f"В сделке {named}, а настроены: {known}. Выберите одну из них и повторите.")


def _not_asked(services: Services, crm: str, deal: Deal, why: str) -> str:
    """Why this deal wants no invoice now; empty when it does."""
    if why == "button":
        return ""
    if why == "look" and deal.stage != services.settings.invoicing.crm_stage:
        return f"Стадия «{deal.stage}» счёта не просит"
    if older_than_start(services, crm, deal.created_at):
        return "Сделка старше начала работы crm1c: счёт — только по кнопке"
    return ""


@dataclass
class _Job:
    """One deal on its way into one base."""

    services: Services
    duty: Duty
    base: Base
    crm: str
    deal: Deal

    @property
    def base_name(self) -> str:
        return self.base.name.partition(":")[2]

    @property
    def key(self) -> str:
        return own_key(self.crm, "deal", self.deal.id, self.base_name, "invoice")

    def link(self) -> Link | None:
        with self.services.store.unit("look for link") as unit:
            return unit.links.find(self.crm, "deal", self.deal.id, self.base_name, "invoice")

    def shown(self) -> Owed:
        """The CRM is owed what stands in 1C."""
        payload = {"crm": self.crm, "deal": self.deal.id}
        return Owed("show_deal", f"crm:{self.crm}", self.duty.key, payload, merge=f"show_deal:{self.duty.key}")

    def draft(self) -> InvoiceDraft:
        """What the invoice shall say. Raises Rejected when the deal's figures can't be right."""
        terms, now = self.services.settings.invoicing, self.services.now()
        today = now.astimezone(self.services.settings.onec[self.base_name].timezone).date()
        lines, total = priced(self.deal, today, vat=terms.vat, vat_included=terms.vat_included, template=terms.line)
        return InvoiceDraft(
            key=self.key,
            date=now,
            currency=self.deal.currency,
            total=total,
            vat_included=terms.vat_included,
            lines=lines,
            comment=f"Сделка «{self.deal.name[:100]}» из CRM ({self.crm} {self.deal.id})",
        )

    def written(self, draft: InvoiceDraft) -> Link:
        """Find the invoice by our key, or create it; the link stands at once, whatever happens next."""
        refs = self.refs(draft)
        say, ask = self.base.say, self.base.ask

        def find() -> Invoice | None:
            found = _the_one(ask(say.find_invoice(draft.key, refs.counterparty)))
            # An earlier try may have written it from what the deal said then: a document with other content is mended.
            return found and ask(say.rewrite_invoice(found, replace(draft, date=found.date), refs))

        create = partial(self._created, draft, refs)
        return self.bound(create_once(self.services, self.duty, "invoice", find, create), draft)

    def _created(self, draft: InvoiceDraft, refs: InvoiceRefs) -> Invoice:
        return self.base.ask(self.base.say.create_invoice(draft, refs))

    def brought_up(self, link: Link, draft: InvoiceDraft) -> Link:
        """A linked invoice: as it is when the deal didn't change, else its next version. Raises Conflict when a
        person changed, paid, marked or removed it meanwhile."""
        ask, say = self.base.ask, self.base.say
        present = ask(say.invoice(link.ref_key))
        if present is None or present.deleted:
            raise Conflict(
                f"Счёт № {link.agreed['number']} помечен на удаление или удалён в 1С. Решите, нужен ли новый."
            )
        if link.agreed.get("fingerprint") == _fingerprint(draft):
            return link
        if ask(say.paid(present)):
            raise Conflict(f"Сделку изменили, а счёт № {present.number} уже оплачен (полностью или частично).")
        if present.version != link.version and present.total != draft.total:
            raise Conflict(f"Счёт № {present.number} изменили в 1С вручную, а сделку — в CRM. Решите, что верно.")
        following = replace(draft, date=present.date)  # the next version of the same document keeps its date
        return self.bound(ask(say.rewrite_invoice(present, following, self.refs(draft))), draft, link)

    def posted(self, link: Link) -> Link:
        """Post the written invoice: a step of its own, retried by itself. The link's new state goes with settling."""
        if link.state == "posted":
            return link
        done = self.base.ask(self.base.say.post_invoice(link.ref_key))
        return _linked(link, done, "posted", link.agreed)

    def bound(self, found: Invoice, draft: InvoiceDraft, before: Link | None = None) -> Link:
        """Commit the foreign id at once, with what both sides now agree on."""
        agreed: dict[str, Any] = {
            "number": found.number,
            "date": found.date.isoformat(),
            "total": str(draft.total),
            "currency": draft.currency,
            "url": found.url,
            "fingerprint": _fingerprint(draft),
            "issue": before.agreed.get("issue", 1) + 1 if before else 1,
        }
        link = before or Link(self.crm, "deal", self.deal.id, self.base_name, "invoice", found.ref_key, draft.key)
        link = _linked(link, found, "written", agreed)
        with self.services.store.unit("bind invoice") as unit:
            unit.links.bind(link)
        return link

    def refs(self, draft: InvoiceDraft) -> InvoiceRefs:
        """Everything that the invoice points to, found or created."""
        crm = self.services.crms[self.crm]
        account = require_account(crm.ask(crm.say.account(self.deal.account_id)) if self.deal.account_id else None)
        organisation = self._organisation()
        currency = self._currency(draft.currency)
        counterparty = ensure_counterparty(self.services, self.duty, self.base, self.crm, account)
        contract = ensure_contract(
            self.services,
            self.duty,
            self.base,
            self.crm,
            account,
            counterparty,
            organisation,
            (draft.currency, currency),
        )
        items = {line.item: self._item(line.item) for line in draft.lines}
        return InvoiceRefs(organisation, counterparty, contract, currency, items)

    def _organisation(self) -> str:
        found = self.base.recall("organisation", lambda: self.base.ask(self.base.say.organisation()))
        if found is None:
            inn = self.services.settings.onec[self.base_name].organisation
            raise Misconfigured(f"В 1С нет организации с ИНН {inn}: проверьте onec.{self.base_name}.organisation.")
        return found.ref_key

    def _currency(self, letters: str) -> str:
        found = self.base.recall(f"currency:{letters}", lambda: self.base.ask(self.base.say.currency(letters)))
        if found is None:
            raise Misconfigured(f"В справочнике валют 1С нет {letters}: добавьте её и повторите.")
        return found.ref_key

    def _item(self, name: str) -> str:
        def find_or_create() -> Found:
            with self.services.store.lock(f"item:{self.base.name}:{hashlib.sha256(name.encode()).hexdigest()[:32]}"):
                return create_once(
                    self.services,
                    self.duty,
                    "item",
                    find=lambda: self.base.ask(self.base.say.item(name)),
                    create=lambda: self.base.ask(self.base.say.create_item(name)),
                )

        found = self.base.recall(f"item:{name}", find_or_create)
        assert found is not None
        return found.ref_key


def _the_one(found: list[Invoice]) -> Invoice | None:
    if len(found) > 1:
        numbers = ", ".join(one.number for one in found)
        raise Conflict(f"По этой сделке в 1С несколько счетов: {numbers}. Оставьте один (остальные — на удаление).")
    if found and found[0].deleted:
        raise Conflict(f"Счёт № {found[0].number} по этой сделке помечен на удаление в 1С. Решите, нужен ли новый.")
    return found[0] if found else None


def _linked(link: Link, found: Invoice, state: str, agreed: Any) -> Link:
    return replace(link, state=state, version=found.version, agreed=agreed)


def _fingerprint(draft: InvoiceDraft) -> str:
    """What of a deal decides its invoice: a change here asks for the next version."""
    lines = [
        (line.content, str(line.quantity), str(line.price), str(line.amount), line.vat_rate) for line in draft.lines
    ]
    text = json.dumps([str(draft.total), draft.currency, draft.vat_included, lines], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _told(link: Link) -> dict[str, Any]:
    """The invoice as the API gives it: money as text."""
    agreed = link.agreed
    return {
        "ref_key": link.ref_key,
        "number": agreed["number"],
        "date": datetime.fromisoformat(agreed["date"]).date().isoformat(),
        "amount": agreed["total"],
        "currency": agreed["currency"],
        "url": agreed["url"],
        "state": link.state,
    }
