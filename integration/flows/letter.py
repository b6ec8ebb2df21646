"""The client's letter: the kept paper goes to the client once for each of its versions.

The duty "letter" is about one system alone, the mail server or the CRM that sends. A letter whose fate is unknown is
sent again under the same Message-ID, and counted.
"""

from __future__ import annotations

from dataclasses import replace

from integration.errors import Ambiguous, Crm1cError, Rejected
from integration.flows.drawing import PaperJob
from integration.flows.notice import owed_notice
from integration.flows.paper import VOID
from integration.services import Services
from integration.work import Duty, Letter, Outcome, Printed
from mappers.canonical import Deal


def letter(services: Services, duty: Duty) -> Outcome:
    """The duty "letter": send what was printed, unless it went already or another version has taken its place."""
    job = PaperJob(services, duty)
    printed, mail = job.printed(), services.settings.mail
    if printed is None or mail is None or services.mailer is None:
        return Outcome("skipped", "Писем не рассылаем: таблицы [mail] нет" if printed else "Печатать было нечего")
    if printed.state == "sent":
        return Outcome("unchanged", f"Письмо уже отправлено: {printed.recipient}")
    if not printed.pdf:
        return Outcome("skipped", "PDF убран за давностью: письмо больше не нужно")
    if printed.state == VOID:
        return Outcome("skipped", "Акт в 1С больше не проведён")
    if job.replaced():
        return Outcome("skipped", "Эту версию уже сменила другая")
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
        refused = services.mailer.send(Letter(to, subject, text, html, message_id, printed.made_at, files, mail.copies))
    except Ambiguous:
        raise
    except Crm1cError:
        job.mark(printed, "letter refused", state="made")  # surely not sent: the next time is no repetition
        raise
    return _sent(job, printed, refused)


def _recipient(services: Services, crm_name: str, deal: Deal) -> str:
    """The client's address, or all of them where that is configured; else that of the deal's contact. Raises Rejected
    when there is none."""
    crm, mailer, mail = services.crms[crm_name], services.mailer, services.settings.mail
    assert mailer is not None
    assert mail is not None
    account = crm.ask(crm.say.account(deal.account_id)) if deal.account_id else None
    if account is not None and mail.recipients == "all":
        listed = [*crm.ask(crm.say.account_emails(deal.account_id)), account.email]
        if found := mailer.addresses(listed):
            return found
    if account is not None and (found := mailer.address(account.email)):
        return found
    contact = crm.ask(crm.say.contact(deal.contact_id)) if deal.contact_id else None
    if contact is not None and (found := mailer.address(contact.email)):
        return found
    raise Rejected("У клиента и у контакта сделки нет адреса почты. Впишите его в карточку клиента и повторите.")


def _by_crm(job: PaperJob, printed: Printed, content: dict[str, str]) -> Outcome:
    """The CRM keeps the letter as a draft and sends it; a lost answer is looked up, so that nothing is sent twice."""
    to = content["to"]
    crm, drafted = job.services.crms[job.crm], printed.recipient
    content |= {"to": content["to"].replace(", ", "; ")}
    if job.services.settings.mail and (copies := job.services.settings.mail.copies):
        content["bcc"] = "; ".join(copies)
    if not printed.letter_id:
        others = [one.letter_id for one in job.versions() if one.letter_id]
        letter_id = crm.ask(crm.say.draft_letter(job.deal_id, content, printed.file_name, printed.pdf, others))
        printed = job.mark(printed, "letter drafted", letter_id=letter_id, recipient=to)
    # The draft is the manager's to edit; only a client's address that was mended since goes before what stands there.
    mended = content["to"] if drafted not in ("", to) else ""
    crm.ask(crm.say.send_letter(printed.letter_id, mended))
    return _sent(job, replace(printed, recipient=to))


def _sent(job: PaperJob, printed: Printed, refused: tuple[str, ...] = ()) -> Outcome:
    """Sent, perhaps not to all: then the manager hears to whom not."""
    job.mark(printed, "letter sent", state="sent", sent_at=job.services.now(), recipient=printed.recipient)
    again = f" (повторно: {printed.again})" if printed.again else ""
    told = f"{printed.file_name} отправлен: {printed.recipient}{again}"
    if not refused:
        return Outcome("done", told)
    text = f"{printed.file_name}: письмо ушло не всем. {' '.join(refused)}"
    cause = f"refused:{job.crm}:{job.record}:{printed.issue}:{' '.join(refused)}"
    return Outcome("done", f"{told}; не всем", owes=owed_notice(job.services, job.crm, job.deal_id, cause, text))
