"""The allocation of one account, computed afresh from all its live facts (DOMAIN: Allocation of payments).

An account is one (1C base, organisation, counterparty, contract or none); its currency is the contract's. The same
live facts give the same positions in whatever order and however often they are told. No clock: ages are counted at
the payment's own date. Near-linear in payments and obligations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from heapq import merge

from integration.rules.exchange import Rates, Receipt, digits, receipt
from integration.rules.obligations import WORDS, Obligation, obligations, short
from integration.rules.positions import Explanation, Pin, Position, Proposal, Rule, Stopped
from integration.rules.proposals import Proposer
from integration.rules.purpose import Reference, references
from integration.rules.purses import Book, Debt, Purse, Slot
from integration.rules.refunds import apply_refunds
from integration.rules.resolve import Index
from integration.settings.money import Allocation as Options
from mappers.canonical import Invoice
from mappers.money import Act, Payment, Refund
from mappers.wire import rounded

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one account, whatever is live and what is not; documents of 1C by their latest version.

    `closed`: the positions that closed months hold ([allocation] closed_until); they go before everything else.
    """

    contract: str
    currency: str
    payments: tuple[Payment, ...] = ()
    refunds: tuple[Refund, ...] = ()
    acts: tuple[Act, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    pins: tuple[Pin, ...] = ()
    closed: tuple[Position, ...] = ()
    rates: Rates = field(default_factory=Rates)


@dataclass(frozen=True, slots=True)
class Allocated:
    """The account as it stands; every sum in its currency.

    `advance` = received − refunded − allocated; it is negative when more was refunded than ever came in. `advances`:
    payment → its part. `paid`: obligation → what each of its instalments has got. `stopped` documents count nowhere.
    """

    currency: str
    positions: tuple[Position, ...]
    obligations: tuple[Obligation, ...]
    paid: Mapping[str, tuple[Decimal, ...]]
    received: Decimal
    refunded: Decimal
    allocated: Decimal
    advance: Decimal
    advances: Mapping[str, Decimal]
    proposals: tuple[Proposal, ...]
    stopped: tuple[Stopped, ...]


def allocate(facts: Facts, options: Options | None = None) -> Allocated:
    """Passes: closed months, then explicit → pinned → purpose → exact → oldest first → advance; refunds; and once more
    for what a refund opened again.
    """
    debts, stopped = obligations(facts.acts, facts.invoices, facts.currency, facts.rates)
    receipts, lame = _receipts(facts.payments, facts)
    refunds, lamer = _receipts(facts.refunds, facts)
    book = Book(facts.currency, receipts, debts)
    passes = _Passes(book, facts, options or Options())
    for closed in sorted(facts.closed, key=lambda position: position.key):
        book.hold(closed)
    passes.run()
    opened, uncovered = apply_refunds(book, refunds, passes.documents)
    if opened:
        passes.run()
    positions = tuple(sorted(book.positions(), key=lambda position: position.key))
    received = sum((one.settled for one in receipts), _ZERO)
    refunded = sum((one.settled for one in refunds), _ZERO)
    allocated = sum((position.amount for position in positions), _ZERO)
    return Allocated(
        currency=facts.currency,
        positions=positions,
        obligations=debts,
        paid={
            key: tuple(slot.instalment.amount - slot.lacks for slot in debt.slots) for key, debt in book.debts.items()
        },
        received=received,
        refunded=refunded,
        allocated=allocated,
        advance=sum((purse.rest for purse in book.purses), -uncovered),
        advances={purse.receipt.document: purse.rest for purse in book.purses if purse.rest > 0},
        proposals=passes.proposals(),
        stopped=(*stopped, *lame, *lamer),
    )


def _receipts(payments: Iterable[Payment], facts: Facts) -> tuple[list[Receipt], list[Stopped]]:
    latest = {payment.ref_key: payment for payment in sorted(payments, key=lambda p: (p.ref_key, p.version))}
    counted: list[Receipt] = []
    stopped: list[Stopped] = []
    for payment in latest.values():
        if payment.posted and not payment.deleted:
            one = receipt(payment, facts.contract, facts.currency, facts.rates)
            if isinstance(one, Receipt):
                counted.append(one)
            elif one is not None:
                stopped.append(one)
    return counted, stopped


class _Passes:
    def __init__(self, book: Book, facts: Facts, options: Options) -> None:
        self.book, self.options = book, options
        self.index = Index(debt.obligation for debt in book.debts.values())
        self.named: dict[str, list[Slot]] = {}
        self.used: dict[Pin, Decimal] = {}
        self.pins: dict[str, list[Pin]] = {}
        for pin in sorted(set(facts.pins), key=lambda p: (p.obligation, p.amount is None, p.amount or 0, p.by)):
            self.pins.setdefault(pin.payment, []).append(pin)

    def run(self) -> None:
        self.named.clear()
        self._explicit()
        self._pinned()
        self._purpose()
        self._exact()
        if self.options.oldest_first:
            self._oldest()

    def proposals(self) -> tuple[Proposal, ...]:
        held = [purse for purse in self.book.purses if purse.held and purse.rest > 0]
        told = [(purse, self._resolved(purse.receipt)[1]) for purse in held]
        return Proposer(self.book, self.index).proposals(told, self.options.purpose_months)

    def documents(self, paid: Receipt) -> list[str]:
        """The documents that a payment or refund names itself: its rows, then its text as far as it is resolved."""
        rows = [row.document for row in paid.rows if row.document]
        return list(dict.fromkeys([*rows, *self._resolved(paid)[0]]))

    def _explicit(self) -> None:
        for purse in self.book.purses:
            for row in purse.receipt.rows:
                if row.document and row.number in purse.rows:
                    self._to(purse, [row.document], "explicit", str(row.number), row=row.number)

    def _pinned(self) -> None:
        for purse in self.book.purses if self.pins else ():
            for pin in self.pins.get(purse.receipt.document, ()):
                # What an earlier round gave by this pin counts within its sum.
                before = self.used.get(pin, _ZERO)
                most = None if pin.amount is None else rounded(pin.amount, digits(self.book.currency)) - before
                self.used[pin] = before + self._to(purse, [pin.obligation], "pinned", pin.by, most=most)

    def _purpose(self) -> None:
        for purse in self.book.purses:
            if purse.rest > 0 and purse.receipt.purpose:
                resolved, unresolved = self._resolved(purse.receipt)
                # A person who pinned a part of it has answered the proposal: the rest goes the usual way.
                purse.held = bool(unresolved) and purse.receipt.document not in self.pins
                self._to(purse, resolved, "purpose", purse.receipt.purpose)

    def _exact(self) -> None:
        lacking: dict[Decimal, dict[str, Debt]] = {}
        for key, debt in self.book.debts.items():
            if debt.lacks > 0:
                lacking.setdefault(debt.lacks, {})[key] = debt
        for purse in self.book.purses:
            fits = lacking.get(purse.rest) if purse.rest > 0 and not purse.held else None
            if fits and len(fits) == 1:
                _, debt = fits.popitem()
                text = f"сумма платежа равна неоплаченному остатку: {debt.obligation.label}"
                self.book.give(purse, debt.slots, Explanation("exact", debt.obligation.ref_key, "", text))

    def _oldest(self) -> None:
        open_ = [slot for slot in self.book.slots if slot.lacks > 0 and not slot.debt.obligation.acts]
        at, age = 0, timedelta(days=self.options.invoice_days)
        for purse in self.book.purses:
            while purse.rest > 0 and not purse.held and at < len(open_):
                slot, obligation = open_[at], open_[at].debt.obligation
                # Payments go by date: an invoice too old for this one is too old for all that follow.
                dead = obligation.kind == "invoice" and purse.receipt.date - obligation.date >= age
                if not dead:
                    text = f"самое раннее неоплаченное обязательство: {obligation.label}"
                    self.book.give(purse, [slot], Explanation("oldest", obligation.ref_key, "", text))
                if dead or slot.lacks <= 0:
                    at += 1

    def _resolved(self, paid: Receipt) -> tuple[list[str], list[tuple[Reference, int]]]:
        """The documents that the text names for sure; the references that it does not, each with how many fit."""
        named = {row.document for row in paid.rows if row.document}
        named.update(pin.obligation for pin in self.pins.get(paid.document, ()))
        resolved: list[str] = []
        unresolved: list[tuple[Reference, int]] = []
        for reference in references(paid.purpose):
            if reference.kind != "contract":
                found, fits = self.index.found(reference, paid.date, self.options.purpose_months, named)
                if found is not None:
                    resolved.append(found.ref_key)
                else:
                    unresolved.append((reference, fits))
        return resolved, unresolved

    def _to(
        self,
        purse: Purse,
        documents: list[str],
        rule: Rule,
        by: str,
        row: int | None = None,
        most: Decimal | None = None,
    ) -> Decimal:
        """Give to what these documents mean, instalment by instalment in the common order; how much it was."""
        whole = _ZERO
        for slot, named in merge(*map(self._meant, documents), key=lambda pair: pair[0].order):
            left = purse.rest if row is None else purse.rows.get(row, _ZERO)
            if left <= 0 or (most is not None and most <= 0):
                break
            given = self.book.give(purse, [slot], _named(rule, by, named, slot.debt.obligation), row=row, most=most)
            most = None if most is None else most - given
            whole += given
        return whole

    def _meant(self, ref_key: str) -> Iterator[tuple[Slot, Obligation]]:
        """The slots that naming this document means, each with the document."""
        debt = self.book.debts.get(ref_key)
        return ((slot, debt.obligation) for slot in reversed(self._open(ref_key))) if debt else iter(())

    def _open(self, ref_key: str) -> list[Slot]:
        """What a reference to the document can still settle, the first to be paid at the end."""
        slots = self.named.get(ref_key)
        if slots is None:
            found = (slot for debt in self.book.named(ref_key) for slot in debt.slots)
            slots = self.named[ref_key] = sorted(found, key=lambda slot: slot.order, reverse=True)
        while slots and slots[-1].lacks <= 0:
            slots.pop()
        return slots


def _named(rule: Rule, by: str, named: Obligation, settled: Obligation) -> Explanation:
    text = {
        "explicit": f"{named.label} указан в строке {by} платежа",
        "pinned": f"{named.label}: решение человека" + (f" ({by})" if by else ""),
        "purpose": f"{WORDS[named.kind]} № {short(named.number)} назван в назначении платежа",
    }[rule]
    if settled.ref_key != named.ref_key:
        text += f"; по нему выписан {settled.label}"
    return Explanation(rule, named.ref_key, by, text)
