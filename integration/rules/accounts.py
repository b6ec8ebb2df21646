"""Which account a document of 1C belongs to: one (1C base, organisation, counterparty, contract or none) each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Literal, TypeAlias

from integration.rules.obligations import with_retention, without_retention
from integration.rules.positions import Pin, Position
from integration.work import Link, own_key
from mappers.canonical import Invoice
from mappers.money import Act, Contract, Instalment, MoneyKind, Payment, Rate, Refund

Kind = MoneyKind
Fact: TypeAlias = Payment | Act | Invoice | Contract  # a Refund is a Payment
Day = date  # where a field is itself called `date`
RETENTION = "retention"  # of an invoice link's agreed state: [amount, ISO date or None], the deal's own


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """Ref_Keys of one base; `contract` "": what was paid or delivered without one."""

    base: str
    organisation: str
    counterparty: str
    contract: str

    @property
    def id(self) -> str:
        """The same account, the same id, for ever."""
        return own_key("account", self.base, self.organisation, self.counterparty, self.contract)


@dataclass(frozen=True, slots=True)
class Held:
    """What the ledger holds of one account: the facts as last seen, people's pins, the positions of its entries, and
    the links from its invoices to the CRM's deals."""

    currency: str
    payments: tuple[Payment, ...] = ()
    refunds: tuple[Refund, ...] = ()
    acts: tuple[Act, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    pins: tuple[Pin, ...] = ()
    rates: tuple[Rate, ...] = ()
    positions: tuple[Position, ...] = ()
    deals: tuple[Link, ...] = ()
    contract: Contract | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How one obligation stands for people, or how much of one payment is allocated (`code` "payment")."""

    ref_key: str
    code: str
    percent: Decimal
    amount: Decimal
    paid: Decimal
    currency: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """A document's code or sums have changed, or it became overdue or ceased to be; `number` counts its changes from 1:
    each has a name of its own. `overdue`: since this change."""

    ref_key: str
    before: str
    after: str
    number: int
    overdue: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What waits for a person: kind "proposal" (a payment's text names what can't be resolved) or "stopped" (a
    document takes no part). `candidates` are JSON-able."""

    kind: Literal["proposal", "stopped"]
    document: str
    amount: Decimal
    currency: str
    reason: str
    candidates: tuple[Mapping[str, object], ...] = field(default=())


def kind_of(fact: Fact) -> Kind:
    """The kind under which the ledger keeps it."""
    if isinstance(fact, Refund):
        return "refund"
    if isinstance(fact, Payment):
        return "payment"
    if isinstance(fact, Act):
        return "act"
    return "invoice" if isinstance(fact, Invoice) else "contract"


def day_of(fact: Fact) -> date | None:
    """The document's own date, in 1C's zone."""
    return fact.date.date() if isinstance(fact, Invoice) else fact.date


def accounts_of(base: str, fact: Fact) -> set[Account]:
    """The accounts that this document touches: a payment's rows may name other contracts than its header."""
    if isinstance(fact, Contract):
        return set()
    contracts = {fact.contract}
    if isinstance(fact, Payment) and fact.rows:
        contracts = {row.contract or fact.contract for row in fact.rows}
        if sum((row.amount for row in fact.rows), Decimal(0)) < fact.amount:
            contracts.add(fact.contract)
    return {Account(base, fact.organisation, fact.counterparty, contract) for contract in contracts}


def named_by(facts: Iterable[Fact]) -> set[str]:
    """The invoices and acts that these documents name themselves."""
    found: set[str] = set()
    for fact in facts:
        if isinstance(fact, Payment):
            found.update(row.document for row in fact.rows if row.document)
        elif isinstance(fact, Act):
            found.update(one.invoice for one in fact.covers if one.invoice)
    return found


def contracts_of(facts: Iterable[Fact]) -> set[str]:
    """The contracts that these documents belong to."""
    found: set[str] = set()
    for fact in facts:
        if isinstance(fact, Payment):
            found.update(row.contract for row in fact.rows)
        if not isinstance(fact, Contract):
            found.add(fact.contract)
    return found - {""}


def with_deals_terms(
    acts: Collection[Act], invoices: Collection[Invoice], deals: Iterable[Link]
) -> tuple[tuple[Act, ...], tuple[Invoice, ...]]:
    """The same documents with each deal's retention on its last live act, or on its invoice as long as it has none."""
    by_ref, bills = {act.ref_key: act for act in acts}, {invoice.ref_key: invoice for invoice in invoices}
    for link in deals:
        told = link.agreed.get(RETENTION)
        invoice = bills.get(link.ref_key)
        if not told or invoice is None:
            continue
        amount, due = Decimal(told[0]), date.fromisoformat(told[1]) if told[1] else None
        mine = [
            act for act in by_ref.values()
            if act.posted and not act.deleted and any(one.invoice == link.ref_key for one in act.covers)
        ]  # fmt: skip
        by_ref |= {act.ref_key: act for act in with_retention(mine, amount, due)}
        if not mine and amount > 0:
            regular = without_retention(invoice).instalments
            bills[link.ref_key] = replace(invoice, instalments=(*regular, Instalment(amount, due, "retention")))
    return tuple(by_ref.values()), tuple(bills.values())
