"""What a payment can settle: acts, and so much of each invoice as no act covers yet, in instalments, in their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Literal, TypeVar

from integration.rules.exchange import Rates, digits
from integration.rules.positions import Stopped
from mappers.canonical import Invoice
from mappers.money import Act, Instalment
from mappers.wire import rounded

Kind = Literal["act", "invoice"]
_Document = TypeVar("_Document", Act, Invoice)
Day = date  # where a field is itself called `date`
_ZERO = Decimal(0)
WORDS: dict[Kind, str] = {"act": "акт", "invoice": "счёт"}


@dataclass(frozen=True, slots=True)
class Obligation:
    """A live act, or a live invoice's own rest: `amount` = max(0, invoice − Σ its acts), in the account's currency.

    `instalments` add up to `amount`, in the order in which they are paid; `invoices`: what an act was made from.
    """

    kind: Kind
    ref_key: str
    number: str
    date: date
    amount: Decimal
    currency: str
    instalments: tuple[Instalment, ...]
    signed: bool = False
    invoices: tuple[str, ...] = ()
    whole: Decimal = _ZERO  # of an invoice: its total before its acts are taken off; of an act: `amount`
    acts: tuple[str, ...] = ()  # of an invoice: the acts made from it, in the order in which they are paid

    @property
    def label(self) -> str:
        """How people call it: акт № 57 от 03.02.2026."""
        return f"{WORDS[self.kind]} № {short(self.number)} от {self.date:%d.%m.%Y}"

    @property
    def order(self) -> tuple[int, Day, str, str]:
        """Acts before invoices; date; number; Ref_Key."""
        return int(self.kind == "invoice"), self.date, self.number, self.ref_key


def short(number: str) -> str:
    """A 1C number without the zeros that fill it: 0000-000057 → 57, 00БП-000057 → БП-57."""
    parts = [part.strip().lstrip("0") for part in number.split("-")]
    return "-".join(part for part in parts if part) or number.strip()


def obligations(
    acts: Iterable[Act], invoices: Iterable[Invoice], currency: str, rates: Rates
) -> tuple[tuple[Obligation, ...], tuple[Stopped, ...]]:
    """The account's obligations in their order, and the documents that can't be one.

    An invoice that its acts cover stays, with amount 0: a payment that names it is resolved to those acts.
    """
    stopped: list[Stopped] = []
    found: list[Obligation] = []
    covered: dict[str, Decimal] = {}
    made_from: dict[str, list[Obligation]] = {}
    for act in _live(acts):
        amount = _amount(act.ref_key, act.amount, act.currency, act.date, currency, rates, stopped)
        if amount is None:
            continue
        shares = _covers(act, amount, currency)
        instalments = parts(amount, _worth(act.instalments, act.amount, amount, currency), act.date)
        obligation = Obligation(
            "act", act.ref_key, act.number, act.date, amount, currency, instalments,
            signed=act.signed, invoices=tuple(shares), whole=amount,
        )  # fmt: skip
        found.append(obligation)
        for ref_key, share in shares.items():
            covered[ref_key] = covered.get(ref_key, _ZERO) + share
            made_from.setdefault(ref_key, []).append(obligation)
    for invoice in _live(invoices):
        day = invoice.date.date()
        amount = _amount(invoice.ref_key, invoice.total, invoice.currency, day, currency, rates, stopped)
        if amount is None:
            continue
        rest = max(_ZERO, amount - covered.get(invoice.ref_key, _ZERO))
        instalments = parts(rest, _worth(invoice.instalments, invoice.total, amount, currency), day)
        of_it = sorted(made_from.get(invoice.ref_key, []), key=lambda o: o.order)
        found.append(
            Obligation(
                "invoice",
                invoice.ref_key,
                invoice.number,
                day,
                rest,
                currency,
                instalments,
                whole=amount,
                acts=tuple(o.ref_key for o in of_it),
            )
        )
    return tuple(sorted(found, key=lambda o: o.order)), tuple(stopped)


def parts(amount: Decimal, told: Iterable[Instalment], day: date) -> tuple[Instalment, ...]:
    """Instalments that add up to `amount`, by due date (None: the document's `day`).

    What they leave out is one more regular one, due on the day. What they have too much is cut from the earliest: an
    act takes an invoice's first instalments, and a retention stays whole as long as there is money for it.
    """
    left, kept = amount, []
    for instalment in sorted(told, key=lambda i: _when(i, day), reverse=True):
        taken = min(instalment.amount, left)
        if taken > 0:
            kept.append(replace(instalment, amount=taken))
            left -= taken
    if left > 0:
        kept.append(Instalment(left))
    return tuple(sorted(kept, key=lambda i: _when(i, day)))


def with_retention(acts: Sequence[Act], amount: Decimal, due: date | None) -> tuple[Act, ...]:
    """A deal's acts with its retention (гарантийное удержание) on the last one by (date, number, Ref_Key), and on no
    other."""
    ordered = [without_retention(act) for act in sorted(acts, key=lambda act: (act.date, act.number, act.ref_key))]
    if ordered and amount > 0:
        last = ordered[-1]
        ordered[-1] = replace(last, instalments=(*last.instalments, Instalment(amount, due, "retention")))
    return tuple(ordered)


def without_retention(document: _Document) -> _Document:
    """The document with nothing of it retained: what a deal says of retention takes the contract's place."""
    regular = tuple(one for one in document.instalments if one.kind == "regular")
    return document if regular == document.instalments else replace(document, instalments=regular)


def _when(instalment: Instalment, day: date) -> tuple[date, bool, Decimal]:
    return instalment.due or day, instalment.kind == "retention", instalment.amount


def _live(documents: Iterable[_Document]) -> list[_Document]:
    """Each live document once, whatever order and however often they were told."""
    latest = {document.ref_key: document for document in sorted(documents, key=lambda d: (d.ref_key, d.version))}
    return [document for document in latest.values() if document.posted and not document.deleted]


def _amount(
    ref_key: str, amount: Decimal, source: str, day: date, target: str, rates: Rates, stopped: list[Stopped]
) -> Decimal | None:
    if amount < 0:
        stopped.append(Stopped(ref_key, f"сумма документа {amount} {source} отрицательна"))
        return None
    if source == target:
        return rounded(amount, digits(target))
    worth = rates.converted(amount, source, target, day)
    if isinstance(worth, str):
        reason = f"нет курса {worth} на {day:%d.%m.%Y} и раньше: загрузите курсы валют в 1С"
        stopped.append(Stopped(ref_key, reason))
        return None
    return worth[0]


def _worth(told: Iterable[Instalment], whole: Decimal, amount: Decimal, currency: str) -> list[Instalment]:
    """Instalments of a document in its currency, in the account's."""
    if not whole:
        return []
    return [replace(one, amount=rounded(one.amount * amount / whole, digits(currency))) for one in told]


def _covers(act: Act, amount: Decimal, currency: str) -> dict[str, Decimal]:
    """Invoice → how much of the act was made from it, in the account's currency."""
    sums: dict[str, Decimal] = {}
    for one in act.covers:
        if one.invoice:
            sums[one.invoice] = sums.get(one.invoice, _ZERO) + one.amount
    whole = act.amount or Decimal(1)
    return {ref_key: rounded(part * amount / whole, digits(currency)) for ref_key, part in sums.items()}
