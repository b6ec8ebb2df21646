"""The client's copy: the invoice is printed once, mailed once, and kept with the deal once for each of its versions.

Three duties, each about one system: "paper" (1C) makes the PDF and keeps it, "letter" (mail) sends what was kept,
"attach" (CRM) puts it beside the deal. However often they are delivered, and whenever a worker dies, the row of the
paper tells what was done.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from integration.errors import Ambiguous, Crm1cError, Misconfigured, Rejected
from integration.flows.deal import invoice_link
from integration.flows.profile import learned
from integration.services import Base, Services
from integration.work import Duty, Letter, Link, Outcome, Owed, Printed, own_key
from mappers.canonical import Deal


def owed_paper(services: Services, link: Link) -> tuple[Owed, ...]:
    """What a posted invoice owes the client; nothing when no paper is asked for."""
    if not services.settings.papers:
        return ()
    payload = {"crm": link.crm, "deal": link.record_id, "base": link.base, "issue": link.agreed.get("issue", 1)}
    return (_owed("paper", f"onec:{link.base}", payload),)


def paper(services: Services, duty: Duty) -> Outcome:
    """The duty "paper": read what the invoice says, print it, keep it; then letter and copy are owed."""
    job = _Job(services, duty)
    link = job.link()
    if link is None or link.state != "posted":
        return Outcome("skipped", "Эту версию счёта уже сменила другая")
    printed = job.printed() or job.kept(_made(services, link))
    settings = services.settings
    owes = []
    if settings.mail is not None:
        owes.append(_owed("letter", "mail", duty.payload))
    if settings.paper is None or settings.paper.attach:
        owes.append(_owed("attach", f"crm:{job.crm}", duty.payload))
    return Outcome("done", f"Напечатан: {printed.file_name}", owes=tuple(owes))


def letter(services: Services, duty: Duty) -> Outcome:
    """The duty "letter": the kept paper goes to the client. A letter whose fate is unknown is sent again under the
    same Message-ID, and counted."""
    job = _Job(services, duty)
    printed, mail = job.printed(), services.settings.mail
    if printed is None or mail is None or services.mailer is None:
        return Outcome("skipped", "Писем не рассылаем: таблицы [mail] нет" if printed else "Счёт не напечатан")
    if printed.state == "sent":
        return Outcome("unchanged", f"Письмо уже отправлено: {printed.recipient}")
    if job.link() is None:
        return Outcome("skipped", "Эту версию счёта уже сменила другая")
    deal = job.deal()
    if deal is None:
        return Outcome("skipped", "Сделка удалена в CRM")
    to = printed.recipient if printed.state == "sending" else _recipient(services, job.crm, deal)
    subject, text, html = services.mailer.texts(printed.facts)
    if mail.via == "crm":
        return _by_crm(job, printed, {"from": services.mailer.sender, "to": to, "subject": subject, "body": html})
    message_id = services.mailer.message_id(job.key)
    again = printed.again + (printed.state == "sending")
    printed = job.mark(printed, "letter begins", state="sending", recipient=to, message_id=message_id, again=again)
    files = ((printed.file_name, printed.pdf),)
    try:
        services.mailer.send(Letter(to, subject, text, html, message_id, printed.made_at, files))
    except Ambiguous:
        raise
    except Crm1cError:
        job.mark(printed, "letter refused", state="made")  # surely not sent: the next time is no repetition
        raise
    return job.sent(printed)


def attach(services: Services, duty: Duty) -> Outcome:
    """The duty "attach": the kept paper is put beside the deal in the CRM."""
    job = _Job(services, duty)
    printed, crm = job.printed(), services.crms[job.crm]
    if printed is None or not printed.pdf:
        return Outcome("skipped", "PDF этой версии нет: не напечатан или убран за давностью")
    if "files" not in crm.say.capabilities:
        return Outcome("skipped", "Эта CRM файлов не хранит")
    deal = job.deal()
    if deal is None:
        return Outcome("skipped", "Сделка удалена в CRM")
    facts = printed.facts
    revised = f", версия {printed.issue}" if printed.issue > 1 else ""
    text = f"Счёт № {facts['number']} от {facts['date']} на {facts['total']} {facts['currency']}{revised}: PDF"
    written = crm.ask(crm.say.attach(deal, printed.file_name, printed.pdf, text))
    return Outcome("done" if written else "unchanged", f"PDF у сделки: {printed.file_name}")


def unsent(services: Services, duty: Duty, reason: str) -> tuple[str, str]:
    """(cause, text) for the manager when one of these duties was parked."""
    job = _Job(services, duty)
    link = invoice_link(services, job.crm, job.deal_id)
    named = f"счёт № {link.agreed['number']}" if link else "счёт"
    what = {
        "paper": f"Не напечатан {named}",
        "letter": f"Клиенту не отправлен {named}",
        "attach": f"К сделке не приложен {named}",
    }[duty.kind]
    return f"{duty.kind}:{job.crm}:{job.deal_id}:{job.issue}:{reason}"[:200], f"{what}: {reason}"


@dataclass(frozen=True)
class _Job:
    """One version of one deal's invoice."""

    services: Services
    duty: Duty

    @property
    def crm(self) -> str:
        return str(self.duty.payload["crm"])

    @property
    def deal_id(self) -> str:
        return str(self.duty.payload["deal"])

    @property
    def base(self) -> str:
        return str(self.duty.payload["base"])

    @property
    def issue(self) -> int:
        return int(self.duty.payload["issue"])

    @property
    def key(self) -> str:
        """Our own key of the letter: of the invoice and its version."""
        return own_key(self.crm, "deal", self.deal_id, self.base, "invoice", "letter", str(self.issue))

    def link(self) -> Link | None:
        """The invoice, while this version is the present one."""
        with self.services.store.looking() as known:
            link = known.find(self.crm, "deal", self.deal_id, self.base, "invoice")
        return link if link is not None and link.agreed.get("issue", 1) == self.issue else None

    def printed(self) -> Printed | None:
        with self.services.store.unit("look for paper") as unit:
            return unit.papers.find(self.crm, self.deal_id, self.base, self.issue)

    def kept(self, made: tuple[str, bytes, dict[str, Any]]) -> Printed:
        name, pdf, facts = made
        facts["issue"] = self.issue
        now = self.services.now()
        printed = Printed(self.crm, self.deal_id, self.base, self.issue, name, pdf, facts, now)
        with self.services.store.unit("keep paper") as unit:
            return unit.papers.keep(printed)

    def mark(self, printed: Printed, step: str, **state: Any) -> Printed:
        with self.services.store.unit(step) as unit:
            return unit.papers.mark(printed, **state)

    def sent(self, printed: Printed) -> Outcome:
        self.mark(printed, "letter sent", state="sent", sent_at=self.services.now())
        again = f" (повторно: {printed.again})" if printed.again else ""
        return Outcome("done", f"{printed.file_name} отправлен: {printed.recipient}{again}")

    def deal(self) -> Deal | None:
        crm = self.services.crms[self.crm]
        return crm.ask(crm.say.deal(self.deal_id))


def _made(services: Services, link: Link) -> tuple[str, bytes, dict[str, Any]]:
    """(file name, PDF, what the letter says of it), read from 1C's own document."""
    base = services.bases[link.base]
    if "papers" not in base.say.capabilities or services.press is None:
        raise Misconfigured(f"Для этой конфигурации 1С ([onec.{link.base}]) печатать счета crm1c не умеет.")
    day = datetime.fromisoformat(link.agreed["date"]).date()
    with base.session():
        learned(services, base)
        if services.settings.onec[link.base].print_url:
            pdf = services.printers[link.base].ask(base.say.print_form(link.ref_key))
            name, facts = services.press.named(link.agreed["number"], day), _plain_facts(services, base, link, day)
        else:
            said = base.ask(base.say.invoice_paper(link.ref_key))
            pdf, name = services.press.pdf(said), services.press.named(said.number, said.day)
            facts = dict(services.press.facts(said))
    services.press.shelve(name, pdf)
    return name, pdf, facts


def _plain_facts(services: Services, base: Base, link: Link, day: date) -> dict[str, Any]:
    """What a letter says of a print form that 1C made: its contents are not known here."""
    assert services.press is not None
    own = base.recall("organisation", lambda: base.ask(base.say.organisation()))
    supplier, agreed = own.name if own else "", link.agreed
    return dict(services.press.known(agreed["number"], day, Decimal(agreed["total"]), agreed["currency"], supplier))


def _recipient(services: Services, crm_name: str, deal: Deal) -> str:
    """The client's address, else that of the deal's contact. Raises Rejected when there is none."""
    crm, mailer = services.crms[crm_name], services.mailer
    assert mailer is not None
    account = crm.ask(crm.say.account(deal.account_id)) if deal.account_id else None
    if account is not None and (found := mailer.address(account.email)):
        return found
    contact = crm.ask(crm.say.contact(deal.contact_id)) if deal.contact_id else None
    if contact is not None and (found := mailer.address(contact.email)):
        return found
    raise Rejected("У клиента и у контакта сделки нет адреса почты. Впишите его в карточку клиента и повторите.")


def _by_crm(job: _Job, printed: Printed, content: dict[str, str]) -> Outcome:
    """The CRM keeps the letter as a draft and sends it; a lost answer is looked up, so that nothing is sent twice."""
    crm = job.services.crms[job.crm]
    if not printed.letter_id:
        letter_id = crm.ask(crm.say.draft_letter(job.deal_id, content, printed.file_name, printed.pdf))
        printed = job.mark(printed, "letter drafted", letter_id=letter_id, recipient=content["to"])
    crm.ask(crm.say.send_letter(printed.letter_id))
    return job.sent(printed)


def _owed(kind: str, system: str, payload: Any) -> Owed:
    """Keyed apart from the invoice's own duties: a slow mail server holds up no invoice."""
    place = f"{payload['crm']}:{kind}:{payload['deal']}"
    return Owed(kind, system, place, payload, merge=f"{place}:{payload['base']}:{payload['issue']}")
