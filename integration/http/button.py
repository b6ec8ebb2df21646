"""A deal and its invoice: how it stands, and the button «выставить счёт», which is an event like any other and, if
asked to, a wait until the invoice stands."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from flask import Response, request
from sqlalchemy import Connection, select

from integration.flows.story import deal_story
from integration.http.answers import TRACE, Problem, answer
from integration.http.parts import Parts, once_more
from integration.http.routes import Answer, Param, Route
from integration.rules.sentence import inside
from integration.store.boxes import AnyRow
from integration.store.ledger import SqlLedger
from integration.store.links import SqlLinks
from integration.store.schema import event_duties, inbox, outbox
from integration.work import Arrival, Link
from mappers.wire import dump_json

ENTITY, EVENT = "deal", "invoice.requested"  # our own word: each CRM has its own
MAX_WAIT = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.2
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_SECONDS = re.compile(r"\d{1,4}(\.\d{1,3})?")

# What the duty was parked as → the answer's status. A conflict and wrong data are the deal's own; the rest is ours.
_STATUS = {"rejected": 422, "conflict": 409}


class Button:
    """POST /api/deals/NAME/ID/invoice and GET /api/deals/NAME/ID"""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._store = parts, parts.store
        # Those who wait may not take every thread: a quarter, at least two, stay for the intake.
        threads = parts.settings.web.threads
        self._seats = threading.BoundedSemaphore(max(1, threads - max(2, threads // 4)))

    def routes(self) -> tuple[Route, ...]:
        wait = Param(
            "wait",
            f"Сколько секунд ждать счёта, до {MAX_WAIT:.0f}. Без него ответ 202 даётся сразу.",
            {"type": "number", "minimum": 0, "maximum": MAX_WAIT},
        )
        return (
            Route(
                "POST",
                "/api/deals/{name}/{id}/invoice",
                self.press,
                "Выставить счёт по сделке",
                "Сделки",
                "operate",
                (wait,),
                answers={
                    200: Answer("Счёт выставлен и проведён", "InvoiceReady"),
                    202: Answer("Событие принято; счёт ещё не готов", "Asked"),
                },
                problems=(400, 401, 403, 404, 409, 422, 503),
                text="Повторное нажатие не создаёт второго счёта. NAME — имя таблицы [crm.NAME], ID — сделка в CRM.",
            ),
            Route(
                "GET",
                "/api/deals/{name}/{id}",
                self.deal,
                "Как стоит сделка",
                "Сделки",
                "read",
                answers={200: Answer("Счёт, оплата и её разнесение", "Deal")},
                problems=(401, 403, 404, 503),
            ),
        )

    def press(self, name: str, id: str) -> Response:  # noqa: A002 – the path's own word
        known_deal(self._parts, name, id)
        wait = _seconds(request.args.get("wait", "0"))
        event_id = self._ask(name, id)
        if not wait or not self._seats.acquire(blocking=False):
            return answer({"event": event_id}, 202)
        try:
            return self._answer_in(wait, event_id, name, id)
        finally:
            self._seats.release()

    def deal(self, name: str, id: str) -> Response:  # noqa: A002
        """The whole story: what the link knows, and what the ledger says as soon as it knows the invoice. 404 for a
        deal that nobody told of."""
        known_deal(self._parts, name, id)
        with self._parts.store.reading() as conn:
            link = invoice_link(self._parts, conn, name, id)
            if link is None and not _heard_of(conn, name, id):
                raise Problem(
                    404,
                    "Об этой сделке crm1c ничего не знает: о ней не приходило событий. Проверьте ID в адресе; если он "
                    "верен, сохраните сделку в CRM ещё раз или попросите счёт: POST …/invoice.",
                )
            story = self._money(conn, link) if link else None
        invoice = invoice_of(self._parts, link) if link else None
        nothing: dict[str, Any] = {
            "percent": "0.0",
            "status": "issued" if link and link.state == "posted" else None,
            "flags": [],
            "advance": "0.00",
            "currency": invoice["currency"] if invoice else None,
            "acts": [],
            "payments": [],
            "allocations": [],
            "refunds": [],
            "contract": None,
        }
        return answer({"invoice": invoice, **(story or nothing)})

    def _money(self, conn: Connection, link: Link) -> dict[str, Any] | None:
        base = self._parts.settings.onec.get(link.base)
        if base is None:
            return None
        now = self._parts.now()
        day = now.astimezone(base.timezone).date()
        return deal_story(SqlLedger(conn, now), link, self._parts.settings.allocation, day)

    def _ask(self, name: str, deal: str) -> str:
        """The event's id: a new one, or the one still due that this press merged into (by its identical body)."""
        asked = Arrival(name, ENTITY, EVENT, deal, dump_json({"id": deal}))
        trace = request.environ[TRACE]
        due, _ = once_more(lambda: self._store.receive([asked], asked.body, {}, trace))
        if due:
            return due[0]
        same = (inbox.c.source == name, inbox.c.entity == ENTITY, inbox.c.record_id == deal, inbox.c.event == EVENT)
        latest = select(inbox.c.id).where(*same).order_by(inbox.c.created_at.desc(), inbox.c.id.desc()).limit(1)
        with self._store.reading() as conn:
            return str(conn.execute(latest).scalar_one())

    def _answer_in(self, wait: float, event_id: str, name: str, deal: str) -> Response:
        clock, pause = self._parts.clock, _FIRST_PAUSE
        deadline = clock() + wait
        while True:
            event, duties, link = once_more(lambda: self._look(event_id, name, deal))
            try:
                invoice = verdict(event, duties, link)
            except Problem as refusal:
                refusal.members["event"] = event_id
                raise
            if invoice is not None:
                return answer({"event": event_id, "invoice": invoice_of(self._parts, invoice)})
            left = deadline - clock()
            if left <= 0:
                return answer({"event": event_id, **_progress(event, duties)}, 202)
            self._parts.pause(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _look(self, event_id: str, name: str, deal: str) -> tuple[AnyRow, Sequence[AnyRow], Link | None]:
        own = (inbox.c.state, inbox.c.error_kind, inbox.c.error, inbox.c.outcome_text)
        told = (outbox.c.kind, outbox.c.state, outbox.c.error_kind, outbox.c.error, outbox.c.outcome_text)
        owed = select(*told).join(event_duties, event_duties.c.duty_id == outbox.c.id)
        owed = owed.where(event_duties.c.event_id == event_id).order_by(outbox.c.created_at, outbox.c.id)
        with self._store.reading() as conn:
            # Each settles in one transaction with what comes after it, so this order never misses anything.
            event = conn.execute(select(*own).where(inbox.c.id == event_id)).one()
            duties = conn.execute(owed).all()
            return event, duties, invoice_link(self._parts, conn, name, deal)


def known_deal(parts: Parts, name: str, deal: str) -> None:
    """Raises Problem 404 for a CRM that is not configured and for what can't be a record's id."""
    if name not in parts.settings.crm:
        raise Problem(404, f"CRM с именем «{name}» нет в настройках.")
    if not _ID.fullmatch(deal):
        raise Problem(404, "Такой сделки нет: это не идентификатор записи CRM.")


def _heard_of(conn: Connection, name: str, deal: str) -> bool:
    """Whether any work was ever asked for this deal, or an event of it waits to be read."""
    waits = select(inbox.c.id).where(inbox.c.record_id == deal, inbox.c.source == name, inbox.c.state != "done")
    asked = select(outbox.c.id).where(outbox.c.key == f"{name}:deal:{deal}")
    return any(conn.execute(one.limit(1)).first() for one in (asked, waits))


def invoice_link(parts: Parts, conn: Connection, name: str, deal: str) -> Link | None:
    """The link from the deal to its invoice; with one in several bases, a posted one."""
    links = SqlLinks(conn, parts.now()).of_record(name, "deal", deal)
    invoices = [link for link in links if link.kind == "invoice"]
    return max(invoices, key=lambda link: link.state == "posted", default=None)


def invoice_of(parts: Parts, link: Link) -> dict[str, Any]:
    """An invoice as the API shows it: money is a string, the date is of 1C's zone."""
    agreed: Mapping[str, Any] = link.agreed
    written, base = agreed.get("date"), parts.settings.onec.get(link.base)
    if written and base:
        moment = datetime.fromisoformat(written)
        written = (moment.astimezone(base.timezone) if moment.tzinfo else moment).date().isoformat()
    return {
        "number": agreed.get("number"),
        "date": written,
        "amount": agreed.get("total"),
        "currency": agreed.get("currency"),
        "url": agreed.get("url"),
        "ref_key": link.ref_key,
        "state": link.state,
    }


def verdict(event: AnyRow, duties: Sequence[AnyRow], link: Link | None) -> Link | None:
    """The posted invoice once the work in 1C is done; None while it goes on. Raises Problem when it ended without one.

    What the CRM or the client is still owed doesn't matter here: the invoice stands.
    """
    work = [event, *(duty for duty in duties if duty.kind == "invoice")]
    parked = [one for one in work if one.state == "parked"]
    if parked:
        last, later = parked[-1], {"Retry-After": "60"}
        status = _STATUS.get(last.error_kind, 503)
        raise Problem(status, last.error or "", headers=later if status == 503 else {}, kind=last.error_kind)
    if any(one.state != "done" for one in work):
        return None
    if link is not None and link.state == "posted":
        return link
    reason = next((one.outcome_text for one in reversed(work) if one.outcome_text), "сделка его не требует")
    raise Problem(422, f"Счёт не выставлен: {inside(reason)}.", kind="skipped")


def _progress(event: AnyRow, duties: Sequence[AnyRow]) -> dict[str, Any]:
    """How far it came: for a person who waited in vain."""
    unsettled = [one for one in (event, *duties) if one.state in ("due", "running")]
    last = unsettled[-1] if unsettled else event
    return {"state": last.state, "reason": last.error}


def _seconds(text: str) -> float:
    if not _SECONDS.fullmatch(text):
        raise Problem(400, "wait — число секунд от 0 до 60.")
    return min(float(text), MAX_WAIT)
