"""Who is told of a run: the people named in [reconcile] mail get the report, a deal or a client that waits for somebody
says so in its own stream, once for the same difference."""

from __future__ import annotations

from collections.abc import Iterator

from integration import report
from integration.flows.notice import owed_notice
from integration.rules.findings import FIELDS, SIDES, Finding, Run
from integration.services import Services, Unit
from integration.work import Duty, Letter, Outcome, Owed, own_key

NOTES = 50  # notes of one run; the rest stands in the report
IN_LETTER = 200  # findings that the letter lists; the rest is counted


def owed_to_people(services: Services, unit: Unit, run: Run) -> list[Owed]:
    """The report by mail, and the notes of what waits for a person."""
    table, owed = services.settings.reconcile, list[Owed]()
    if table.mail and services.mailer is not None and (run.verdict != "ok" or table.mail_always):
        for to in table.mail:
            key = f"report:{run.id}:{to}"
            owed.append(Owed("report", "mail", key, {"run": run.id, "to": to}, merge=key))
    if table.notes:
        for _, _, one in unit.reconciling.findings(run.id, 0, 10 * NOTES, action="person"):
            owed += _note(services, one)
            if len(owed) >= NOTES:
                break
    return owed


def mail_report(services: Services, duty: Duty) -> Outcome:
    """The duty "report": payload {run, to}. The same report to the same person has the same Message-ID."""
    mailer, run_id, to = services.mailer, duty.payload["run"], duty.payload["to"]
    if mailer is None:
        return Outcome("skipped", "Почта не настроена")
    with services.store.unit("read report") as unit:
        run = unit.reconciling.run(run_id)
        if run is None:
            return Outcome("skipped", "Отчёта уже нет")
        tallies = unit.reconciling.tallies(run_id)
        some = [(part, one) for _, part, one in unit.reconciling.findings(run_id, 0, IN_LETTER)]
    told = report.summary(run, tallies, services.settings.schedule.timezone)
    html = "".join(report.page(told, iter(some)))
    message_id = mailer.message_id(own_key("reconcile", "report", run_id, to))
    mailer.send(Letter(to, report.subject(told), report.text(told), html, message_id, services.now()))
    return Outcome("done", f"Отчёт о сверке отправлен: {to}")


def _note(services: Services, one: Finding) -> Iterator[Owed]:
    if one.crm not in services.crms or not one.record or (one.said.get("crm") == "" and one.entity != "invoice"):
        return  # its record is not there to be written to
    text = f"Сверка: {_words(one)}"
    if one.entity == "client":
        key = f"{one.crm}:account:{one.record}"
        payload = {"crm": one.crm, "account": one.record, "text": text}
        yield Owed("tell_account", f"crm:{one.crm}", key, payload, merge=f"reconciled:{one.mark}")
    else:
        yield from owed_notice(services, one.crm, one.record, f"reconcile:{one.mark}", text)


def _words(one: Finding) -> str:
    values = ", ".join(f"{SIDES[side]}: {value or 'нет'}" for side, value in one.said.items())
    return f"{FIELDS.get(one.field, one.title)} – {values}. {one.reason}"
