"""Whether the sides say the same of money: a document as the ledger and as 1C have it, an account, a bank's movement.
Pure, from what was read of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from integration.rules.accounts import Account, Fact, Held, day_of, kind_of
from integration.rules.findings import Finding
from mappers.canonical import Invoice
from mappers.money import Act, Contract, Payment, StatementLine

_UNTOLD = frozenset({"version", "url", "content", "comment"})  # of a document: nothing that anybody would miss
_RENAMED = {"total": "amount"}


def of_document(base: str, was: Fact | None, now: Fact | None) -> list[Finding]:
    """A document as the ledger has it and as 1C has it now; None: that side has none. Nothing when only its version
    moved, and nothing of what never counted (unposted here and there)."""
    shown = now or was
    if shown is None or isinstance(shown, Contract):
        return []
    kind, title = kind_of(shown), f"№ {shown.number} от {day_of(shown):%d.%m.%Y}"
    names: dict[str, Any] = {
        "base": base, "ref_key": shown.ref_key, "day": day_of(shown), "amount": _amount(shown),
        "currency": shown.currency, "repair": "document", "action": "repair",
    }  # fmt: skip
    if was is None or now is None:
        lacks = "ledger" if was is None else "onec"
        if (was is None and not _live(now)) or (now is None and not _live(was)):
            return []
        said = {"ledger": "", "onec": ""} | {"onec" if was is None else "ledger": _told(shown)}
        reason = (
            "1С об этом документе не сообщила: он будет учтён." if lacks == "ledger"
            else "Документ удалён в 1С: его разнесения и бонусы будут сняты."
        )  # fmt: skip
        return [Finding("missing" if lacks == "ledger" else "extra", kind, title, said, reason=reason, **names)]
    found = []
    for one in fields(was):
        before, after = getattr(was, one.name), getattr(now, one.name)
        if one.name in _UNTOLD or before == after:
            continue
        said = {"ledger": _value(before), "onec": _value(after)}
        reason = "Документ изменён в 1С за пределами ежедневного забора: учтём как есть."
        name = _RENAMED.get(one.name, one.name)
        found.append(Finding("different", kind, title, said, name, reason=reason, **names))
    return found


# -- the ledger, the bank -----------------------------------------------------------------------------------------


def of_account(account: Account, held: Held, field: str, said: Mapping[str, str]) -> Finding:
    """The ledger does not say what its own facts come to."""
    documents: tuple[Payment | Act | Invoice, ...] = (*held.payments, *held.acts, *held.invoices)
    one = next(iter(documents), None)
    title = f"договор {account.contract or '—'}" + (f", {one.number}" if one else "")
    reason = "Взаиморасчёты будут вычислены заново."
    return Finding(
        "different", "account", title, said, field, base=account.base, ref_key=account.id, currency=held.currency,
        repair="account", action="repair", reason=reason,
    )  # fmt: skip


def bank_only(line: StatementLine) -> Finding:
    """Money that the bank has and 1C has not."""
    said = {"bank": f"{said_sum(line.amount)} {line.currency}", "onec": ""}
    title = f"№ {line.number} от {line.date:%d.%m.%Y} {line.name} {line.inn}".strip()
    reason = "Деньги пришли в банк, в 1С их нет: загрузите выписку в 1С или проведите поступление."
    return Finding(
        "missing", "bank", title, said, ref_key=line.key, day=line.date, amount=line.amount, currency=line.currency,
        reason=reason,
    )  # fmt: skip


def onec_only(payment: Payment, base: str = "") -> Finding:
    """A payment of 1C that the statements of those days don't show."""
    said = {"bank": "", "onec": f"{said_sum(payment.amount)} {payment.currency}"}
    title = f"№ {payment.number} от {payment.date:%d.%m.%Y} (банк № {payment.bank_number or '—'})"
    reason = "В 1С поступление есть, в выписках его нет: проверьте его или загрузите недостающую выписку."
    return Finding(
        "extra", "bank", title, said, base=base, ref_key=payment.ref_key, day=payment.date, amount=payment.amount,
        currency=payment.currency, reason=reason,
    )  # fmt: skip


# -- what managers see ------------------------------------------------------------------------------------------------


def of_kpi(
    period: str,
    month: str,
    manager: str,
    wanted: Mapping[str, str],
    shown: Mapping[str, str],
    scores: tuple[int | None, int | None],
) -> list[Finding]:
    """A manager's figures in Redis (`shown`) against the database's; `scores`: in the rank, here and there."""
    title, first = f"{manager}, {period}", date.fromisoformat(f"{month}-01")
    names: dict[str, Any] = {"record": manager, "ref_key": period, "day": first, "repair": "kpi", "action": "repair"}
    reason = "Показатели в Redis не равны базе: период будет показан заново."
    if not wanted or not shown:
        kind: Any = "extra" if not wanted else "missing"
        said = {"ledger": wanted.get("bonus", ""), "redis": shown.get("bonus", "") or ("есть" if not wanted else "")}
        return [Finding(kind, "kpi", title, said, "bonus", reason=reason, **names)]
    found = [
        Finding("different", "kpi", title, {"ledger": wanted[name], "redis": shown.get(name, "")}, name, reason=reason,
                **names)
        for name in ("received", "bonus", "payments")
        if wanted[name] != shown.get(name)
    ]  # fmt: skip
    if not found and scores[0] != scores[1]:
        said = {"ledger": str(scores[0]), "redis": "" if scores[1] is None else str(scores[1])}
        found.append(Finding("different", "kpi", title, said, "rank", reason=reason, **names))
    return found


# -- words --------------------------------------------------------------------------------------------------------


def said_sum(value: Decimal | None) -> str:
    """A sum as reports write it; nothing for none."""
    return "" if value is None else f"{value:.2f}"


def _live(fact: Fact | None) -> bool:
    return fact is not None and not isinstance(fact, Contract) and fact.posted and not fact.deleted


def _amount(fact: Any) -> Decimal:
    return Decimal(fact.total if isinstance(fact, Invoice) else fact.amount)


def _told(fact: Any) -> str:
    return f"{said_sum(_amount(fact))} {fact.currency}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "да" if value else "нет"
    if isinstance(value, datetime):
        return value.isoformat(timespec="minutes")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return "; ".join(_row(one) for one in value)
    return "" if value is None else str(value)


def _row(one: Any) -> str:
    told: Iterable[Any] = (getattr(one, field.name) for field in fields(one))
    return " ".join(text for text in map(_value, told) if text)
