"""The client's copy on paper: an invoice, and each act made from it, is printed once and kept with the deal once for
each of its versions.

Two duties, each about one system: "paper" (1C) makes the PDF and keeps it, "attach" (CRM) puts it beside the deal;
`flows.letter` mails it. However often they are delivered, and whenever a worker dies, the row of the paper tells what
was done. An invoice's version is its link's. An act's is a new one when what is printed of it has changed: 1C posts
its documents anew by the month, and that alone is no news to a client.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from integration.flows.deal import invoice_link
from integration.flows.drawing import ACT, PaperJob, drawn, owed_step
from integration.flows.origin import starts
from integration.rules.accounts import Fact
from integration.rules.sentence import inside
from integration.services import Ledger, Papers, Services, Unit
from integration.settings import Paper as PaperTable
from integration.work import Duty, Event, Link, Outcome, Owed, Printed, new_id
from mappers.money import Act

VOID = "void"  # the state of an act's paper while the act isn't posted: it is not mailed then


def owed_paper(services: Services, link: Link) -> tuple[Owed, ...]:
    """What a posted invoice owes the client; nothing when no paper is asked for."""
    if not services.settings.papers:
        return ()
    payload = {"crm": link.crm, "deal": link.record_id, "base": link.base, "issue": link.agreed.get("issue", 1)}
    return (owed_step("paper", f"onec:{link.base}", payload),)


def owe_acts(services: Services, unit: Unit, base: str, facts: Iterable[Fact]) -> None:
    """Owe the papers of those documents that are fresh acts of our deals, within the transaction that keeps their
    news."""
    if not services.settings.papers or _table(services).acts == "none":
        return
    fresh = starts(services, services.settings.onec[base].since)
    for act in facts:
        if not isinstance(act, Act) or act.date < fresh:
            continue
        bills = dict.fromkeys(one.invoice for one in act.covers if one.invoice)
        links = [link for bill in bills for link in unit.links.by_ref(base, "invoice", bill) if link.entity == "deal"]
        owes = [
            owed_act([link for link in links if link.crm == crm], act.ref_key)
            for crm in dict.fromkeys(link.crm for link in links)
        ]
        unit.owe(*owes, cause=Event("", "ledger", "", "", "", b"", new_id()))


def owed_act(links: Sequence[Link], act: str) -> Owed:
    """The paper of one act; `links`: from the deals of one CRM whose invoices it covers. The first one's client gets
    the letter."""
    first = links[0]
    deals = [link.record_id for link in links]
    payload = {"crm": first.crm, "deal": first.record_id, "deals": deals, "base": first.base, "act": act}
    return owed_step("paper", f"onec:{first.base}", payload)


def paper(services: Services, duty: Duty) -> Outcome:
    """The duty "paper": read what the document says, print it, keep it; then letter and copy are owed."""
    job = PaperJob(services, duty)
    link = job.link()
    if link is None or (not job.act and link.state != "posted"):
        return Outcome("skipped", "Эту версию счёта уже сменила другая")
    if job.act:
        return _act(job, link)
    printed = job.printed()
    if printed is None:
        made = drawn(services, link)
        assert made is not None
        printed = job.kept(made, job.issue)
    return _printed(job, printed)


def attach(services: Services, duty: Duty) -> Outcome:
    """The duty "attach": the kept paper is put beside the deal in the CRM."""
    job = PaperJob(services, duty)
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
    named = "Акт" if job.act else "Счёт"
    text = f"{named} № {facts['number']} от {facts['date']} на {facts['total']} {facts['currency']}{revised}: PDF"
    written = crm.ask(crm.say.attach(deal, printed.file_name, printed.pdf, text, job.kind))
    return Outcome("done" if written else "unchanged", f"PDF у сделки: {printed.file_name}")


def copies(papers: Papers, ledger: Ledger, link: Link) -> list[Printed]:
    """Every paper of the deal of this invoice's link: the invoice's versions, then those of each act made from it."""
    account = ledger.account_of(link.base, "invoice", link.ref_key)
    acts = [] if account is None else sorted(ledger.held(account).acts, key=lambda act: (act.date, act.number))
    mine = [act.ref_key for act in acts if any(one.invoice == link.ref_key for one in act.covers)]
    records = [link.record_id, *(f"{ACT}{act}" for act in mine)]
    return [paper for record in records for paper in papers.versions(link.crm, record, link.base)]


def unsent(services: Services, duty: Duty, reason: str) -> tuple[str, str]:
    """(cause, text) for the manager when a duty about a paper was parked."""
    job = PaperJob(services, duty)
    if job.act:
        printed = job.printed()
        named = f"акт № {printed.facts['number']}" if printed else "акт"
    else:
        link = invoice_link(services, job.crm, job.deal_id)
        named = f"счёт № {link.agreed['number']}" if link else "счёт"
    what = {
        "paper": f"Не напечатан {named}",
        "letter": f"Клиенту не отправлен {named}",
        "attach": f"К сделке не приложен {named}",
    }[duty.kind]
    return f"{duty.kind}:{job.crm}:{job.record}:{job.issue}:{reason}"[:200], f"{what}: {inside(reason)}"


def _act(job: PaperJob, link: Link) -> Outcome:
    """An act that reads as it was printed before owes nothing, unless it is this very duty that printed it."""
    made, before = drawn(job.services, link, job.act), job.versions()
    last = before[-1] if before else None
    if made is None:
        if last is not None and last.state == "made":
            job.mark(last, "paper void", state=VOID)
        return Outcome("skipped", "Акт в 1С не проведён или удалён")
    if last is None or last.facts["digest"] != made.digest:
        return _printed(job, job.kept(made, last.issue + 1 if last else 1))
    if last.state == VOID:
        return _printed(job, job.mark(last, "paper valid", state="made"))
    if last.facts["duty"] == job.duty.id:
        return _printed(job, last)
    return Outcome("unchanged", f"{last.file_name}: напечатанное в акте не менялось")


def _printed(job: PaperJob, printed: Printed) -> Outcome:
    """What a new paper owes: its letter, and a copy at each deal."""
    services = job.services
    table, owes = _table(services), list[Owed]()
    if services.settings.mail is not None and (not job.act or table.acts == "mail"):
        owes.append(job.owed("letter", "mail", issue=printed.issue))
    if table.attach:
        deals = job.duty.payload.get("deals", [job.deal_id])
        owes += [job.owed("attach", f"crm:{job.crm}", issue=printed.issue, deal=deal) for deal in deals]
    return Outcome("done", f"Напечатан: {printed.file_name}", owes=tuple(owes))


def _table(services: Services) -> PaperTable:
    return services.settings.paper or PaperTable()
