"""The manager's side: the deal shows what stands in 1C, and says in words when something needs a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from integration.errors import Conflict, Misconfigured, Transient
from integration.flows.payment import MONEY, deal_status, money_note, shown_money
from integration.flows.showing import moment_of, not_taken
from integration.rules.sentence import inside
from integration.rules.status import CODES
from integration.services import Services
from integration.work import Duty, Link, Outcome
from mappers.canonical import DealState

TROUBLE = "told"  # of a link's agreed state: the deal shows a trouble, which must go when it is over
SYNC_STATUS_LIMIT = 255  # characters of the status field that `crm1c setup` makes


def show_deal(services: Services, duty: Duty) -> Outcome:
    """The duty "show_deal": number, date, sum and link of the invoice into the deal's fields and its stream."""
    crm_name, deal_id = duty.payload["crm"], duty.payload["deal"]
    crm = services.crms[crm_name]
    link = invoice_link(services, crm_name, deal_id)
    if link is None:
        return Outcome("skipped", "По сделке нет счёта")
    deal = crm.ask(crm.say.deal(deal_id))
    if deal is None:
        return Outcome("skipped", "Сделка удалена в CRM")
    agreed = link.agreed
    day = datetime.fromisoformat(agreed["date"]).date()
    ready = link.state == "posted"
    named = f"Счёт № {agreed['number']} от {day:%d.%m.%Y}"
    status = f"{named} выставлен" if ready else f"{named} записан, но ещё не проведён"
    money = deal_status(services, link) if ready else None
    state = DealState(
        invoice_number=agreed["number"],
        invoice_date=day,
        invoice_url=agreed["url"],
        invoice_total=Decimal(agreed["total"]),
        ref_key=link.ref_key,
        payment_status=(money.code if money else "issued") if ready else None,
        paid_percent=money.percent if money else None,
        paid_amount=money.paid if money else None,
        overdue="overdue" in money.flags if money else None,
        sync_status=status,
        currency=agreed["currency"],
    )
    try:
        shown = crm.ask(crm.say.show_deal(deal, state))
    except Conflict as error:  # people go on editing: nothing to decide, only to wait
        raise Transient("Сделку в CRM меняют прямо сейчас. Покажем счёт чуть позже.", system=crm.name) from error
    if ready:
        text = (
            f"{named} на {_money(agreed['total'])} {agreed['currency']} создан и проведён в 1С. {agreed['url']}".strip()
        )
        crm.ask(crm.say.note(deal_id, text))
    agreed = _without_trouble(agreed)
    if money is not None and duty.payload.get("money"):
        # Told by the duty that the ledger owed: it knows when, and whether people are to be told at all.
        news = agreed.get(MONEY) != shown_money(money) and (MONEY in agreed or money.code != "issued")
        if duty.payload["tell"] and news:
            crm.ask(
                crm.say.note(deal_id, money_note(agreed.get(MONEY), money, moment_of(services, duty, link.base), CODES))
            )
        agreed[MONEY] = shown_money(money)
    told = not_taken(services, crm_name, shown)
    return Outcome(
        "done" if shown.written else "unchanged",
        f"{named} показан в CRM{told}",
        links=(replace(link, crm_version=shown.version, agreed=agreed),),
    )


def tell_deal(services: Services, duty: Duty) -> Outcome:
    """The duty "tell_deal": why there is no invoice, where the manager sees it: a status field and a stream note.
    `seen`: the version of the invoice that stood at the time of the trouble."""
    crm_name, deal_id, reason = duty.payload["crm"], duty.payload["deal"], duty.payload["reason"]
    crm = services.crms[crm_name]
    deal = crm.ask(crm.say.deal(deal_id))
    if deal is None:
        return Outcome("skipped", "Сделка удалена в CRM")
    link = invoice_link(services, crm_name, deal_id)
    if link is not None and link.state == "posted" and link.version != duty.payload.get("seen"):
        return Outcome("skipped", "Счёт тем временем создан или обновлён")
    text = why_not(link, reason)
    short = text if len(text) <= SYNC_STATUS_LIMIT else text[: SYNC_STATUS_LIMIT - 1] + "…"
    version = deal.version
    try:
        shown = crm.ask(crm.say.show_deal(deal, DealState(sync_status=short)))
        version = shown.version
        told = not_taken(services, crm_name, shown)
    except (Conflict, Misconfigured) as error:  # the status field is a convenience: the note must still be written
        told = f"; поле статуса не записано: {error.reason}"
    crm.ask(crm.say.note(deal_id, text))
    outcome = Outcome("done", f"Менеджеру сказано: {text}{told}")
    if link is None:  # the poll must not take what we wrote for news
        services.store.set_watermark(told_mark(crm_name, deal_id), version)
        return outcome
    return replace(outcome, links=(replace(link, crm_version=version, agreed={**link.agreed, TROUBLE: True}),))


def told_mark(crm: str, deal_id: str) -> str:
    """The watermark that keeps the version of a deal without an invoice as we left it."""
    return f"told:{crm}:{deal_id}"


def _without_trouble(agreed: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in agreed.items() if name != TROUBLE}


def invoice_link(services: Services, crm: str, deal_id: str) -> Link | None:
    """The deal's invoice in 1C as the two sides last agreed on it."""
    with services.store.looking() as known:
        links = [link for link in known.of_record(crm, "deal", deal_id) if link.kind == "invoice"]
    return links[0] if links else None


def why_not(link: Link | None, reason: str) -> str:
    """The sentence for the manager: what did not happen, and why."""
    if link is None:
        what = "Счёт не создан"
    elif link.state == "written":
        what = f"Счёт № {link.agreed['number']} записан в 1С, но не проведён"
    else:
        what = f"Счёт № {link.agreed['number']} не обновлён"
    return f"{what}: {inside(reason)}"


def _money(amount: str) -> str:
    """1234567.5 → «1 234 567,50», with no-break spaces."""
    return f"{Decimal(amount):,.2f}".replace(",", "\u00a0").replace(".", ",")
