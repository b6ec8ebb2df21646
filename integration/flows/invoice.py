"""A deal becomes an invoice in 1C: re-read, client and contract ensured, found or created, posted; then the CRM is owed
its number. Each step can be repeated: whatever was already done is found."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from integration.errors import Conflict, Misconfigured, Rejected
from integration.flows.counterparty import ensure_contract, ensure_counterparty
from integration.flows.deal import TROUBLE
from integration.flows.holder import keep_holder
from integration.flows.once import create_once, create_unfound, doubted
from integration.flows.origin import older_than_start
from integration.flows.paper import owed_paper
from integration.flows.payment import MONEY, owed_settling, retention_of, with_terms
from integration.flows.profile import learned
from integration.flows.publish import owed_event
from integration.rules.accounts import RETENTION
from integration.rules.identity import checked
from integration.rules.pricing import priced
from integration.services import Base, Services
from integration.work import Duty, Link, Outcome, Owed, own_key
from mappers.canonical import Deal, Found, Invoice, InvoiceDraft, Party
from mappers.dialect import InvoiceRefs


def invoice(services: Services, duty: Duty) -> Outcome:
    """The duty "invoice": payload {crm, deal, why}; why is "button", "stage" (the event named it) or "look"."""
    crm_name, deal_id, why = duty.payload["crm"], duty.payload["deal"], duty.payload["why"]
    crm = services.crms[crm_name]
    deal = crm.ask(crm.say.deal(deal_id))
    if deal is None:
        return Outcome("skipped", "Такой сделки в CRM нет: она удалена, или в адресе кнопки не тот id")
    job = _Job(services, _base_of(services, deal), crm_name, deal, duty.key)
    link = job.link()
    if link is None and (no := _not_asked(services, crm_name, deal, why)):
        return Outcome("skipped", no)
    keep_holder(services, crm_name, deal)
    settles: tuple[Owed, ...] = ()
    if link is not None and (present := with_terms(services, link, deal)) != link:
        link, settles = present, (owed_settling(job.base_name),)
    draft = job.draft(job.day_of(link))
    same = link is not None and link.agreed.get("fingerprint") == job.fingerprint(draft)
    if link is not None and same and link.state == "posted" and why != "button":
        return job.unchanged(link, show=TROUBLE in link.agreed, more=settles)  # what the deal shows is over
    client = None if same else job.client()
    with job.base.session():
        learned(services, job.base, {line.vat_rate for line in draft.lines})
        present = job.written(client) if link is None else job.brought_up(link, client)
        present = job.posted(present)
    if present == link:
        return job.unchanged(link, show=True, more=settles)
    text = f"Счёт № {present.agreed['number']}"
    owes = (job.shown(), *owed_paper(services, present), *job.published(present), *settles)
    return Outcome("done", text, owes=owes, links=(present,), result=_told(present))


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


@dataclass(frozen=True)
class _Job:
    """One deal on its way into one base. `key` is the duty's: nothing else of this deal runs beside it."""

    services: Services
    base: Base
    crm: str
    deal: Deal
    key: str

    @property
    def base_name(self) -> str:
        return self.base.name.partition(":")[2]

    @property
    def marker(self) -> str:
        """Our own key of the invoice, which stands in its comment."""
        return own_key(self.crm, "deal", self.deal.id, self.base_name, "invoice")

    def link(self) -> Link | None:
        with self.services.store.looking() as known:
            return known.find(self.crm, "deal", self.deal.id, self.base_name, "invoice")

    def shown(self) -> Owed:
        """The CRM is owed what stands in 1C."""
        payload = {"crm": self.crm, "deal": self.deal.id}
        return Owed("show_deal", f"crm:{self.crm}", self.key, payload, merge=f"show_deal:{self.key}")

    def published(self, link: Link) -> tuple[Owed, ...]:
        """The bus is told once a version of the invoice."""
        issue = link.agreed.get("issue", 1)
        kind = "invoice.created" if issue == 1 else "invoice.changed"
        data = {**_told(link), "crm": self.crm, "deal": self.deal.id, "base": self.base_name, "issue": issue}
        return owed_event(self.services, kind, (self.base_name, link.ref_key, str(issue)), data)

    def unchanged(self, link: Link, *, show: bool, more: tuple[Owed, ...]) -> Outcome:
        owes = ((self.shown(),) if show else ()) + more
        return Outcome("unchanged", "Счёт уже есть, сделка не менялась", owes=owes, result=_told(link))

    def client(self) -> Party:
        """The deal's client, checked before anything is asked of 1C. Raises Rejected when there is none, or when its
        ИНН can't be right."""
        if not self.deal.account_id:
            raise Rejected("В сделке не указан клиент. Выберите его и сохраните сделку.")
        crm = self.services.crms[self.crm]
        account = crm.ask(crm.say.account(self.deal.account_id))
        if account is None:
            raise Rejected("Клиент этой сделки удалён в CRM. Выберите другого и сохраните сделку.")
        checked(account)
        return account

    def day_of(self, link: Link | None) -> datetime:
        """The moment whose date decides VAT and rate: a standing invoice keeps its own."""
        return datetime.fromisoformat(link.agreed["date"]) if link else self.services.now()

    def draft(self, moment: datetime) -> InvoiceDraft:
        """What an invoice of that moment shall say. Raises Rejected when the deal's figures can't be right."""
        terms = self.services.settings.invoicing
        day = moment.astimezone(self.services.settings.onec[self.base_name].timezone).date()
        lines, total = priced(self.deal, day, vat=terms.vat, vat_included=terms.vat_included, template=terms.line)
        return InvoiceDraft(
            key=self.marker,
            date=moment,
            currency=self.deal.currency,
            total=total,
            vat_included=terms.vat_included,
            lines=lines,
            comment=f"Сделка «{self.deal.name[:100]}» из CRM ({self.crm} {self.deal.id})",
            due=None if terms.due_days is None else day + timedelta(days=terms.due_days),
        )

    def fingerprint(self, draft: InvoiceDraft) -> str:
        """What of a deal decides its invoice: a change here asks for the next version."""
        lines = [
            (line.content, str(line.quantity), str(line.price), str(line.amount), line.vat_rate) for line in draft.lines
        ]
        decides = [self.deal.account_id, str(draft.total), draft.currency, draft.vat_included, lines]
        return hashlib.sha256(json.dumps(decides, ensure_ascii=False).encode()).hexdigest()[:32]

    def written(self, client: Party | None) -> Link:
        """Find the invoice by our key, or create it; the link stands at once, whatever happens next."""
        say, ask, draft = self.base.say, self.base.ask, self.draft(self.services.now())
        refs = self.refs(client, draft)
        about = ("invoice", (self.base.name, self.marker))
        # While its answer was lost the deal may have got another client: then it is looked for under any.
        whose = "" if doubted(self.services, *about) else refs.counterparty

        def find() -> Invoice | None:
            found = _the_one(ask(say.find_invoice(self.marker, whose)))
            # An earlier try may have written it from what the deal said then: a document with other content is mended.
            return found and ask(say.rewrite_invoice(found, self.draft(found.date), refs))

        # No lock: duties of one deal never run side by side, and only they create its invoice.
        found = find()
        if found is None:
            found = create_unfound(self.services, *about, create=lambda: ask(say.create_invoice(draft, refs)))
        return self.bound(found)

    def brought_up(self, link: Link, client: Party | None) -> Link:
        """A linked invoice: as it is without `client`, for then the deal didn't change; else its next version. Raises
        Conflict when a person changed, paid, marked or removed it meanwhile."""
        ask, say = self.base.ask, self.base.say
        present = ask(say.invoice(link.ref_key))
        if present is None or present.deleted:
            raise Conflict(
                f"Счёт № {link.agreed['number']} помечен на удаление или удалён в 1С. Решите, нужен ли новый."
            )
        if client is None:
            return link
        if ask(say.paid(present)):
            raise Conflict(
                f"Сделку изменили, а счёт № {present.number} уже оплачен (полностью или частично). "
                "Верните сделке прежнюю сумму или договоритесь с бухгалтерией."
            )
        draft = self.draft(present.date)  # the next version of the same document keeps its date
        agreed = replace(present, content=link.agreed["content"])
        return self.bound(ask(say.rewrite_invoice(agreed, draft, self.refs(client, draft))), link)

    def posted(self, link: Link) -> Link:
        """Post the written invoice: a step of its own, retried by itself. The link's new state goes with settling."""
        if link.state == "posted":
            return link
        done = self.base.ask(self.base.say.post_invoice(link.ref_key))
        return replace(link, state="posted", version=done.version)

    def bound(self, found: Invoice, before: Link | None = None) -> Link:
        """Commit the foreign id at once, with what both sides now agree on."""
        draft = self.draft(found.date)
        agreed: dict[str, Any] = {
            "number": found.number,
            "date": found.date.isoformat(),
            "total": str(draft.total),
            "currency": draft.currency,
            "url": found.url,
            "fingerprint": self.fingerprint(draft),
            "content": found.content,
            "issue": before.agreed.get("issue", 1) + 1 if before else 1,
        }
        if terms := retention_of(self.deal):
            agreed[RETENTION] = terms
        if before and MONEY in before.agreed:
            agreed[MONEY] = before.agreed[MONEY]
        link = before or Link(self.crm, "deal", self.deal.id, self.base_name, "invoice", found.ref_key, self.marker)
        link = replace(link, state="written", version=found.version, agreed=agreed)
        with self.services.store.unit("bind invoice") as unit:
            unit.links.bind(link)
        return link

    def refs(self, client: Party | None, draft: InvoiceDraft) -> InvoiceRefs:
        """Everything that the invoice points to, found or created."""
        assert client is not None
        organisation, currency = self._organisation(), self._currency(draft.currency)
        counterparty = ensure_counterparty(self.services, self.base, self.crm, client)
        money = (draft.currency, currency)
        contract = ensure_contract(self.services, self.base, self.crm, client, counterparty, organisation, money)
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
            return create_once(
                self.services,
                "item",
                (self.base.name, name),
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


def wanted_now(services: Services, link: Link, deal: Deal) -> tuple[str, Decimal]:
    """What decides the invoice of this deal as it is now (as `agreed["fingerprint"]`), and its total. Raises Rejected
    when the deal's figures can't be right."""
    job = _Job(services, services.bases[link.base], link.crm, deal, "")
    draft = job.draft(job.day_of(link))
    return job.fingerprint(draft), draft.total


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
