"""What a reconciliation finds: one difference between the sides, said so that a person knows what to do, or a repair
may be owed for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from integration.work import own_key

# missing: a side lacks what the others hold; extra: one side alone holds it; different: a field; stale: a side shows
# what was true before.
Kind = Literal["missing", "extra", "different", "stale"]
KINDS: dict[Kind, str] = {
    "missing": "не хватает",
    "extra": "лишнее",
    "different": "расходится",
    "stale": "устарело",
}
# repair: may be repaired (decided at the end of the part); repaired: owed or done; held: more than the limit, so
# nothing was touched; person: only somebody who knows can decide.
Action = Literal["repair", "repaired", "held", "person"]
ACTIONS: dict[Action, str] = {
    "repair": "исправим",
    "repaired": "исправлено",
    "held": "не тронуто: слишком много",
    "person": "решает человек",
}
# What is owed: bring the client alike; look at the deal again; show the deal; read the document; compute the account.
Repair = Literal["", "client", "deal", "show", "number", "document", "account", "kpi"]
ENTITIES: dict[str, str] = {
    "client": "клиент",
    "deal": "сделка",
    "invoice": "счёт",
    "act": "акт",
    "payment": "поступление",
    "refund": "возврат",
    "bank": "выписка банка",
    "account": "взаиморасчёты",
    "kpi": "показатели",
}
FIELDS: dict[str, str] = {
    "name": "название", "full_name": "полное название", "inn": "ИНН", "kpp": "КПП", "ogrn": "ОГРН",
    "address": "адрес", "phone": "телефон", "email": "почта", "client": "клиент", "amount": "сумма", "vat": "НДС",
    "currency": "валюта", "number": "номер", "date": "дата", "posted": "проведён", "deleted": "пометка удаления",
    "signed": "подписан", "counterparty": "контрагент", "contract": "договор", "organisation": "организация",
    "purpose": "назначение платежа", "rows": "расшифровка", "covers": "счета акта", "instalments": "сроки",
    "invoice_number": "номер счёта", "ref_key": "ссылка 1С", "payment_status": "состояние оплаты",
    "paid_percent": "процент оплаты", "paid_amount": "оплачено", "allocation": "разнесение", "standing": "состояние",
    "received": "получено", "bonus": "бонус", "payments": "платежей", "rank": "место в рейтинге",
}  # fmt: skip
SIDES: dict[str, str] = {"crm": "CRM", "ledger": "crm1c", "onec": "1С", "bank": "банк", "redis": "Redis"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. `said`: side → its value as people read it, "" where it holds nothing. `title`: which record.

    `crm`, `record`, `base`, `ref_key` name it for machines; `day` and `amount` date and total it where it has them.
    """

    kind: Kind
    entity: str
    title: str
    said: Mapping[str, str]
    field: str = ""
    crm: str = ""
    record: str = ""
    base: str = ""
    ref_key: str = ""
    day: date | None = None
    amount: Decimal | None = None
    currency: str = ""
    repair: Repair = ""
    action: Action = "person"
    reason: str = ""

    @property
    def mark(self) -> str:
        """The same difference in another run has the same mark."""
        values = [f"{side}={value}" for side, value in sorted(self.said.items())]
        names = (self.kind, self.entity, self.crm, self.record, self.base, self.ref_key, self.field)
        return own_key("finding", *names, *values)


@dataclass(frozen=True, slots=True)
class Part:
    """How far one part of a run has come. `state`: due, done or failed (then `reason` says why); `at`: where to go on;
    `checked`: how many things were compared."""

    name: str
    state: Literal["due", "done", "failed"] = "due"
    tries: int = 0
    checked: int = 0
    reason: str = ""
    at: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """One reconciliation. `since`: documents dated from this day on (None: as configured); `over_limit`: repair however
    much was found; `verdict`: "" while it runs, then ok, found or alarm. `counts`: of an ended one, findings by kind
    and by what becomes of them; `totals`: their sums, kind → currency → text."""

    id: str
    cause: str
    since: date | None
    over_limit: bool
    parts: tuple[Part, ...]
    verdict: str
    started_at: datetime
    finished_at: datetime | None
    counts: Mapping[str, int] = field(default_factory=dict)
    totals: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one part: how many findings of a kind with an action."""

    part: str
    kind: Kind
    action: Action
    count: int


def decided(repairable: int, limit: int, *, over_limit: bool) -> Action:
    """What becomes of a part's repairs: all of them, or none. Many at once mean that something bigger happened (a base
    restored from a copy, an import over everything), and then nothing is touched until a person has looked."""
    return "repaired" if over_limit or repairable <= limit else "held"


def totalled(found: Iterable[Finding]) -> dict[str, dict[str, str]]:
    """What the findings come to: kind → currency → sum. A document that differs in several fields counts once (its
    findings follow one another)."""
    sums: dict[str, dict[str, Decimal]] = {}
    before = ("", "", "", "")
    for one in found:
        same = (one.kind, one.entity, one.record, one.ref_key)
        if one.amount is not None and same != before:
            of_kind = sums.setdefault(one.kind, {})
            of_kind[one.currency] = of_kind.get(one.currency, Decimal(0)) + one.amount
        before = same
    return {kind: {letters: str(value) for letters, value in of.items()} for kind, of in sums.items()}


def verdict(parts: Sequence[Part], tallies: Sequence[Tally]) -> Literal["ok", "found", "alarm"]:
    """Of a run: `alarm` when repairs were held or a part could not be compared; else whether anything was found."""
    if any(part.state == "failed" for part in parts) or any(one.action == "held" and one.count for one in tallies):
        return "alarm"
    return "found" if any(one.count for one in tallies) else "ok"
