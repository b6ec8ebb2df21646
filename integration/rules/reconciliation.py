"""Whether the sides say the same of one client, one deal and its invoice: pure, from what was read of each.

What nobody ever agreed on is no drift as long as one side is empty: it is filled by the next edit. What both sides
fill differently is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from integration.rules.accounts import Kind, day_of
from integration.rules.agreement import read_as_agreed
from integration.rules.findings import Finding, Repair
from integration.rules.merge import Decision
from integration.rules.reconciled_money import said_sum
from integration.work import Link
from mappers.canonical import Invoice, Party
from mappers.dialect import ShownDeal

MONEY = "money"  # of an invoice link's agreed state: what the deal last showed of its payments


# -- clients ------------------------------------------------------------------------------------------------------


def drifted(
    agreed: Mapping[str, Any], crm: Mapping[str, str], onec: Mapping[str, str], kept: Collection[str]
) -> list[str]:
    """The fields of a linked client (`agreement.plain` of both sides) that differ and should not. `kept`: the fields
    that the CRM has."""
    crm, onec = read_as_agreed(agreed, "crm", crm), read_as_agreed(agreed, "onec", onec)
    return [
        name
        for name in crm
        if name in kept and crm[name] != onec[name] and (agreed.get(name) is not None or (crm[name] and onec[name]))
    ]


def of_client(
    link: Link,
    account: Party,
    values: tuple[Mapping[str, str], Mapping[str, str]],
    decisions: Mapping[str, Decision],
) -> list[Finding]:
    """One finding a field. What the ownership decides may be repaired; a conflict waits for a person."""
    found = []
    for name, decision in decisions.items():
        if decision.action == "keep":
            continue
        asks = decision.action == "conflict"
        said = {"crm": values[0][name], "onec": values[1][name], "ledger": str(link.agreed.get(name) or "")}
        found.append(
            _of_link(
                "different", "client", link, _called(account), said, name,
                repair="client", action="person" if asks else "repair",
                reason=decision.reason if asks else _WRITES[decision.writes or ""],
            )
        )  # fmt: skip
    return found


_WRITES = {
    "crm": "В CRM будет записано значение 1С: так решает [ownership].",
    "onec": "В 1С будет записано значение CRM: так решает [ownership].",
    "": "",
}


def lost_client(link: Link, account: Party | None, there: Party | None) -> Finding:
    """A linked client that one side no longer has."""
    known = account or there
    title = _called(known) if known else str(link.agreed.get("name") or link.record_id)
    where = "CRM" if account is None else "1С"
    said = {"crm": _called(account) if account else "", "onec": _called(there) if there else ""}
    reason = (
        f"Клиент удалён в {where}, на другой стороне он остался. Восстановите его или уберите и там; "
        "связь с новой записью – crm1c links."
    )
    return _of_link("missing", "client", link, title, said, reason=reason)


def unlinked_client(crm: str, base: str, account: Party, ref_key: str) -> Finding:
    """A client of the CRM that nobody linked, though 1C has one with the same ИНН and КПП: imported silently."""
    said = {"crm": _called(account), "onec": f"ИНН {account.inn} КПП {account.kpp or 'нет'}", "ledger": ""}
    reason = "Загружен в CRM без вебхука: свяжем с контрагентом 1С по ИНН и КПП."
    return Finding(
        "extra", "client", _called(account), said, crm=crm, record=account.id, base=base, ref_key=ref_key,
        repair="client", action="repair", reason=reason,
    )  # fmt: skip


# -- deals and their invoices -------------------------------------------------------------------------------------


def lost_deal(link: Link) -> Finding:
    """A deal that was deleted in the CRM; its invoice stands in 1C."""
    said = {"crm": "", "onec": f"счёт № {link.agreed.get('number', '')}"}
    reason = "Сделка удалена в CRM, счёт в 1С остался. Восстановите сделку или пометьте счёт на удаление."
    return _of_link("missing", "deal", link, _numbered(link), said, reason=reason)


def of_invoice(link: Link, deal: ShownDeal, fact: Invoice | None) -> list[Finding]:
    """The invoice in 1C against what was agreed: gone, unposted, changed by a person, renumbered."""
    title, number = f"{deal.deal.name} · {_numbered(link)}", str(link.agreed.get("number", ""))
    if fact is None or fact.deleted:
        said = {"crm": deal.shown.get("invoice_number") or number, "onec": "", "ledger": number}
        reason = "Счёт помечен на удаление или удалён в 1С. Решите, нужен ли новый: кнопка счёта в сделке."
        return [_of_link("missing", "invoice", link, title, said, reason=reason)]
    found = []
    if link.state == "posted" and not fact.posted:
        said, reason = {"onec": "нет", "ledger": "да"}, "Счёт в 1С распроведён. Проведите его или решите, нужен ли он."
        found.append(_of_link("different", "invoice", link, title, said, "posted", reason=reason))
    total = link.agreed.get("total")
    if total is not None and fact.total != Decimal(total):
        said = {"crm": said_sum(deal.deal.amount), "onec": said_sum(fact.total), "ledger": said_sum(Decimal(total))}
        reason = "Сумму счёта изменили в 1С. Договоритесь, какая верна: изменённый человеком счёт не переписывается."
        found.append(_of_link("different", "invoice", link, title, said, "amount", reason=reason))
    if fact.number != number:
        said = {"crm": deal.shown.get("invoice_number", ""), "onec": fact.number, "ledger": number}
        reason = "Счёт перенумерован в 1С: номер в сделке будет заменён."
        found.append(_of_link("different", "invoice", link, title, said, "number", "number", "repair", reason))
    return found


def of_shown(link: Link, deal: ShownDeal) -> list[Finding]:
    """What the deal shows against what crm1c last showed there: an edit by hand, or a write that was lost."""
    title, found = f"{deal.deal.name} · {_numbered(link)}", []
    for name, wanted in _expected(link).items():
        stands = deal.shown.get(name)
        if stands is None or stands in wanted:
            continue
        said = {"crm": stands, "ledger": wanted[0]}
        reason = "Поле ведёт crm1c: в сделку будет записано верное значение."
        found.append(_of_link("different", "deal", link, title, said, name, "show", "repair", reason))
    return found


def _expected(link: Link) -> dict[str, tuple[str, ...]]:
    """Field of the deal → the values that are right, the first of them ours."""
    agreed = link.agreed
    told: dict[str, tuple[str, ...]] = {"ref_key": (link.ref_key,)}
    if "number" in agreed:
        told["invoice_number"] = (str(agreed["number"]),)
    if "date" in agreed:
        told["invoice_date"] = (datetime.fromisoformat(agreed["date"]).date().isoformat(),)
    if link.state == "posted":
        money = agreed.get(MONEY)
        if money:
            told["payment_status"] = (str(money["status"]),)
            told["paid_percent"] = (_number(money["percent"]),)
            told["paid_amount"] = (_number(money["paid"]),)
        else:
            told["payment_status"] = ("issued",)
            told |= {"paid_percent": ("0", ""), "paid_amount": ("0", "")}
    return told


def same_money(shown: Mapping[str, str] | None, now: Mapping[str, str]) -> bool:
    """Whether a deal showed just this state: sums and percents by their values, the rest by its text."""
    return shown is not None and _valued(shown) == _valued(now)


def stale_deal(link: Link, now: Mapping[str, str]) -> Finding:
    """The deal shows less (or more) than the ledger knows: its update was lost on the way."""
    before = link.agreed.get(MONEY) or {}
    said = {"crm": _state(before), "ledger": _state(now)}
    reason = "Состояние оплаты в сделке устарело: будет показано нынешнее."
    return _of_link("stale", "deal", link, _numbered(link), said, "payment_status", "show", "repair", reason)


def unheard(link: Link, deal: ShownDeal, field: str, said: Mapping[str, str], *, paid: bool, reason: str) -> Finding:
    """The deal was changed and its invoice does not know: a lost webhook, a client linked silently. A paid invoice is
    nobody's to rewrite but a person's."""
    title = f"{deal.deal.name} · {_numbered(link)}"
    if paid:
        reason += " Счёт уже оплачен (полностью или частично): решает человек."
        return _of_link("different", "deal", link, title, said, field, reason=reason)
    return _of_link("different", "deal", link, title, said, field, "deal", "repair", reason)


def without_invoice(crm: str, base: str, deal: ShownDeal) -> Finding:
    """A deal that asks for an invoice and has none (its webhook was lost), or that shows one which no link knows."""
    one, shows = deal.deal, deal.shown.get("ref_key", "")
    said = {"crm": f"{one.stage}, {said_sum(one.amount)} {one.currency}".strip(), "onec": "", "ledger": ""}
    names: dict[str, Any] = {"crm": crm, "record": one.id, "base": base, "amount": one.amount, "currency": one.currency}
    day = one.created_at.date()
    if shows:
        said["crm"] = f"счёт {deal.shown.get('invoice_number') or shows}"
        reason = "Сделка показывает счёт, о котором crm1c не знает: найдём его в 1С по нашему ключу."
        return Finding(
            "extra", "deal", one.name, said, "ref_key", ref_key=shows, day=day, repair="deal", action="repair",
            reason=reason, **names,
        )  # fmt: skip
    reason = "Сделка на нужной стадии, счёта нет: вебхук пропал. Счёт будет создан."
    return Finding(
        "missing", "invoice", one.name, said, day=day, repair="deal", action="repair", reason=reason, **names
    )


def unlinked_invoice(base: str, invoice: Invoice) -> Finding:
    """An invoice with our own key that belongs to no deal we know of: a second one of a deal, or a lost link."""
    said = {"onec": f"счёт № {invoice.number} на {said_sum(invoice.total)} {invoice.currency}", "ledger": "", "crm": ""}
    reason = "Счёт создан crm1c, но ни одна сделка о нём не знает. Лишний пометьте на удаление в 1С."
    return Finding(
        "extra", "invoice", f"№ {invoice.number}", said, base=base, ref_key=invoice.ref_key, day=day_of(invoice),
        amount=invoice.total, currency=invoice.currency, reason=reason,
    )  # fmt: skip


# -- words --------------------------------------------------------------------------------------------------------


def _of_link(
    kind: Any,
    entity: str,
    link: Link,
    title: str,
    said: Mapping[str, str],
    field: str = "",
    repair: Repair = "",
    action: Any = "person",
    reason: str = "",
) -> Finding:
    agreed = link.agreed
    day = datetime.fromisoformat(agreed["date"]).date() if entity != "client" and "date" in agreed else None
    amount = Decimal(agreed["total"]) if entity != "client" and "total" in agreed else None
    return Finding(
        kind, entity, title, said, field, link.crm, link.record_id, link.base, link.ref_key, day, amount,
        str(agreed.get("currency", "")) if amount is not None else "", repair, action, reason,
    )  # fmt: skip


def _called(party: Party) -> str:
    numbers = " ".join(filter(None, (party.inn and f"ИНН {party.inn}", party.kpp and f"КПП {party.kpp}")))
    return f"{party.name[:120]} ({numbers})" if numbers else party.name[:120]


def _numbered(link: Link) -> str:
    return f"счёт № {link.agreed.get('number', '—')}"


def _valued(money: Mapping[str, str]) -> dict[str, object]:
    sums = ("percent", "paid", "amount")
    return {name: Decimal(value) if name in sums else value for name, value in money.items()}


def _number(value: Any) -> str:
    return f"{Decimal(value).normalize():f}"


def _state(money: Mapping[str, str]) -> str:
    if not money:
        return ""
    return f"{money['status']}, {money['percent']} %, {money['paid']} из {money['amount']} {money['currency']}"


def side_of(kind: Kind, base: str) -> str:
    """The side under which a base's documents of a kind are seen."""
    return f"onec:{base}:{kind}"
