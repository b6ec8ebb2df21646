"""Money in an account changed: its allocation is computed afresh, the ledger gets the difference, and whoever must
know is owed it, all in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from integration.flows.bonus import accrue
from integration.flows.notice import owed_notice
from integration.flows.origin import starts
from integration.flows.publish import owed_event
from integration.flows.totals import CLIENT, owed_totals
from integration.rules.accounting import Computed, belongs, computed, event_of
from integration.rules.accounts import RETENTION, Account, Fact, Held, Standing, Turn, day_of
from integration.rules.contracts import Sums, label_of, turns_on
from integration.rules.status import Status, of_deal, totals
from integration.rules.wording import money
from integration.services import Services
from integration.work import Event, Link, Owed, new_id
from mappers.canonical import Deal, Invoice
from mappers.money import Act, Payment, Refund

log = logging.getLogger("crm1c.work")
MONEY = "money"  # of an invoice link's agreed state: what the deal last showed of its payments


def settle_accounts(services: Services, base: str, cause: str) -> int:
    """Compute every account of a base whose facts have changed, or whose day has come; returns how many. One that fails
    stays marked and stops no other."""
    fresh = starts(services, services.settings.onec[base].since)
    done, after, failed = 0, "", 0
    with services.store.unit("wake accounts") as unit:
        unit.ledger.wake(base, today(services, base))
    while True:
        with services.store.unit("look for accounts") as unit:
            some = unit.ledger.touched(base, after=after)
        if not some:
            break
        for account in some:
            try:
                done += settle_account(services, account, fresh, cause)
            except Exception:
                failed += 1
                log.exception("взаиморасчёты не пересчитаны", extra={"key": account.id})
        after = some[-1].id
    if failed:
        log.error("взаиморасчётов не пересчитано: %d; повторим при следующем заборе", failed)
    return done


def settle_account(services: Services, account: Account, fresh: date, cause: str) -> bool:
    """One account; False when another worker was faster. `fresh`: what is dated before it is told to nobody."""
    with services.store.unit("allocate") as unit:
        if not unit.ledger.take(account):
            return False
        held, day = unit.ledger.held(account), today(services, account.base)
        now = computed(account, held, services.settings.allocation, day)
        unit.ledger.enter(account, now.moved, cause)
        turns = unit.ledger.stand(account, now.standings)
        unit.ledger.ask(account, now.questions)
        turns = _to_be_told(held, turns, now, fresh)
        events = list(_events(services, account, held, turns, now))
        tell = bool(turns) or any(entry.position.date >= fresh for entry in now.moved)
        owes = [*events, *_shows(services, held, now, tell=tell)]
        owes += _waiting(services, held, now, fresh)
        owes += accrue(services, unit, account, held, now.allocated, day, fresh, cause)
        sums = Sums(label_of(held.contract), totals(now.allocated, day))
        before = unit.ledger.sum_up(account, sums.packed(), turns_on(now.allocated, day))
        if before != sums.packed() and (before or not sums.blank):
            clients = unit.links.by_ref(account.base, CLIENT, account.counterparty)
            owes += [
                owed_totals(link.crm, link.record_id, link.base, account.id, tell=tell)
                for link in clients
                if link.crm in services.crms
            ]
        unit.owe(*owes, cause=Event("", "ledger", "", "", "", b"", new_id()))
    return True


def today(services: Services, base: str) -> date:
    """The day in a base's own zone."""
    return services.now().astimezone(services.settings.onec[base].timezone).date()


def owed_settling(base: str) -> Owed:
    """The duty to compute what is marked in a base, without asking 1C."""
    return Owed("settle", f"onec:{base}", f"{base}:payments", {"base": base}, merge=f"settle:{base}")


# -- the deal -----------------------------------------------------------------------------------------------------


def retention_of(deal: Deal) -> list[str | None] | None:
    """The deal's own retention as its invoice's link keeps it; None: it names none."""
    amount = deal.retention_amount
    if amount is None or amount <= 0:
        return None
    return [str(amount), deal.retention_date.isoformat() if deal.retention_date else None]


def with_terms(services: Services, link: Link, deal: Deal) -> Link:
    """The invoice's link with the deal's present retention; a change is written down and its account marked."""
    told = retention_of(deal)
    if link.agreed.get(RETENTION) == told:
        return link
    agreed = {name: value for name, value in link.agreed.items() if name != RETENTION}
    link = replace(link, agreed=agreed if told is None else {**agreed, RETENTION: told})
    with services.store.unit("keep the deal's terms") as unit:
        unit.links.bind(link)
        unit.ledger.touch_document(link.base, link.ref_key)
    return link


def deal_status(services: Services, link: Link) -> Status | None:
    """How the deal of this invoice stands by the ledger; None: the ledger knows nothing of it yet."""
    with services.store.unit("how the deal stands") as unit:
        account = unit.ledger.account_of(link.base, "invoice", link.ref_key)
        held = unit.ledger.held(account) if account else None
    if account is None or held is None or link.base not in services.settings.onec:
        return None
    day = today(services, link.base)
    return of_deal(computed(account, held, services.settings.allocation, day).allocated, [link.ref_key], day)


def shown_money(status: Status) -> dict[str, str]:
    """What a deal shows of its payments, JSON-able."""
    told = {"status": status.code, "percent": str(status.percent), "paid": str(status.paid)}
    told |= {"amount": str(status.amount), "currency": status.currency}
    return told | ({"overdue": "yes"} if "overdue" in status.flags else {})


def _shows(services: Services, held: Held, now: Computed, *, tell: bool) -> Iterable[Owed]:
    """Deals whose payments no longer are what they show; `tell`: people are to be told of the change."""
    for link in held.deals:
        status = of_deal(now.allocated, [link.ref_key], today(services, link.base))
        if status is None or link.crm not in services.crms or link.agreed.get(MONEY) == shown_money(status):
            continue
        key = f"{link.crm}:deal:{link.record_id}"
        payload = {"crm": link.crm, "deal": link.record_id, "money": True, "tell": tell}
        yield Owed("show_deal", f"crm:{link.crm}", key, payload, merge=f"show_money:{key}:{tell}")


def _waiting(services: Services, held: Held, now: Computed, fresh: date) -> Iterable[Owed]:
    """Fresh payments that wait for a decision, told to the manager of the account's latest deal, each once."""
    deals = [link for link in held.deals if link.crm in services.crms]
    payments = {one.ref_key: one for one in held.payments}
    for question in now.questions:
        paid = payments.get(question.document)
        if question.kind != "proposal" or paid is None or paid.date < fresh or not deals:
            continue
        latest = max(deals, key=lambda link: (link.agreed.get("date", ""), link.record_id))
        text = f"Платёж № {paid.number} от {paid.date:%d.%m.%Y} на {money(paid.amount)} {paid.currency} ждёт решения: "
        text += f"{question.reason}. Бухгалтеру: crm1c allocations list"
        cause = f"question:{latest.base}:{question.document}:{question.reason}"
        yield from owed_notice(services, latest.crm, latest.record_id, cause, text)


# -- the bus ------------------------------------------------------------------------------------------------------


def _to_be_told(held: Held, turns: Iterable[Turn], now: Computed, fresh: date) -> list[Turn]:
    """What fresh payments have moved; what none has moved, if the document itself is fresh."""
    facts: list[Fact] = [*held.payments, *held.refunds, *held.acts, *held.invoices]
    days = {one.ref_key: day_of(one) or date.min for one in facts}
    moved: dict[str, bool] = {}
    for entry in now.moved:
        key = entry.position.obligation
        moved[key] = moved.get(key, False) or entry.position.date >= fresh
    return [turn for turn in turns if moved.get(turn.ref_key, days.get(turn.ref_key, date.min) >= fresh)]


def _events(services: Services, account: Account, held: Held, turns: Iterable[Turn], now: Computed) -> Iterable[Owed]:
    stand = {one.ref_key: one for one in now.standings}
    payments: dict[str, Payment] = {one.ref_key: one for one in (*held.payments, *held.refunds)}
    documents: dict[str, Act | Invoice] = {one.ref_key: one for one in held.invoices}
    documents |= {one.ref_key: one for one in held.acts}
    for turn in turns:
        payment = payments.get(turn.ref_key)
        fact = payment or documents.get(turn.ref_key)
        if fact is None or (payment and not belongs(account, payment)):
            continue
        of: Literal["payment", "refund"] = "refund" if isinstance(payment, Refund) else "payment"
        kind = event_of(turn, of if payment else "obligation")
        subject = (account.base, account.id, turn.ref_key, str(turn.number))
        data = _of_payment(payment) if payment else _of_obligation(turn, documents[turn.ref_key], stand)
        data |= {"base": account.base, "ref_key": turn.ref_key, "counterparty": account.counterparty}
        yield from owed_event(services, kind, subject, data | {"contract": account.contract})


def _of_payment(payment: Payment) -> dict[str, Any]:
    """Without the purpose: it may name people, and the broker holds no personal data."""
    told = {"number": payment.number, "date": payment.date.isoformat(), "currency": payment.currency}
    return told | {"amount": str(payment.amount)}


def _of_obligation(turn: Turn, document: Act | Invoice, stand: Mapping[str, Standing]) -> dict[str, Any]:
    day, now = day_of(document), stand.get(turn.ref_key)
    told: dict[str, Any] = {"number": document.number, "date": day.isoformat() if day else None}
    told |= {"status": turn.after, "before": turn.before or None}
    if now is None:
        return told
    sums = {"amount": str(now.amount), "paid": str(now.paid), "percent": str(now.percent), "currency": now.currency}
    return told | sums | {"overdue": "overdue" in now.flags}


def money_note(before: Mapping[str, Any] | None, status: Status, at: str, words: Mapping[Any, str]) -> str:
    """What the deal's stream says of a change; `at`: the moment of the change, so that each change has its own note."""
    text = f"Оплата: {words[status.code]}, {_percent(status.percent)} — "
    text += f"{money(status.paid)} из {money(status.amount)} {status.currency}"
    if "overdue" in status.flags:
        text += ". Просрочено" + (f": срок был {status.due:%d.%m.%Y}" if status.due else "")
    if before and Decimal(before["paid"]) > status.paid:
        text += f". Было {_percent(Decimal(before['percent']))}: платёж в 1С отменён или изменён"
    return f"{text} ({at})"


def _percent(value: Decimal) -> str:
    return f"{value:.1f}".replace(".", ",") + "\u00a0%"
