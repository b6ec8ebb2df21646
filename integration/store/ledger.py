"""The ledger: facts of 1C as last seen, accounts to be computed, append-only entries, and what stands beside them.

Everything takes the connection of the caller's transaction. Every query goes by an index on the facts or the account
at hand: what is not touched costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import delete, func, insert, select, text, update

from integration.rules.accounts import (
    Account,
    Held,
    Kind,
    Question,
    Standing,
    Turn,
)
from integration.rules.positions import Entry, Explanation, Pin, Position, summed
from integration.store.boxes import upsert
from integration.store.facts import chunks
from integration.store.facts_json import unpacked
from integration.store.ledger_schema import accounts, entries, fact_accounts, facts, pins, questions, rates, standings
from integration.store.links import as_link
from integration.store.schema import links
from integration.store.sums import SqlSums
from mappers.canonical import Invoice
from mappers.money import Act, Contract, Payment, Rate, Refund

T = TypeVar("T")
ROUBLE = "RUB"  # the base's own currency
_CHUNK = 500  # bound parameters of one statement
_TOUCHED = text("touched")  # word for word the condition of the partial index
_LIVE_PINS = text("ended_at IS NULL")


class SqlLedger(SqlSums):
    """The ledger within one transaction."""

    # -- accounts -------------------------------------------------------------------------------------------------

    def touched(self, base: str, limit: int = 500, after: str = "") -> list[Account]:
        """Accounts whose facts have changed since they were computed, in the order of their ids, from after one."""
        some = select(accounts).where(accounts.c.base == base, accounts.c.id > after, _TOUCHED)
        some = some.order_by(accounts.c.id).limit(limit)
        return [_account(row) for row in self._conn.execute(some)]

    def take(self, account: Account) -> bool:
        """Take the account for computing: nobody else does before this transaction ends, nor is another of its client
        computed (which payment is the first is asked of all of them). False: it isn't touched."""
        if self._conn.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
            client = func.hashtextextended(f"{account.base}/{account.counterparty}", 0)
            self._conn.execute(select(func.pg_advisory_xact_lock(client)))
        mine = update(accounts).where(accounts.c.id == account.id, accounts.c.touched.is_(True))
        return self._conn.execute(mine.values(touched=False, computed_at=self._now)).rowcount == 1

    def account_of(self, base: str, kind: Kind, ref_key: str) -> Account | None:
        """The account of an invoice or an act; the first of a payment's."""
        same = (fact_accounts.c.base == base, fact_accounts.c.kind == kind, fact_accounts.c.ref_key == ref_key)
        mine = select(accounts).join(fact_accounts, fact_accounts.c.account == accounts.c.id).where(*same)
        row = self._conn.execute(mine.order_by(accounts.c.id).limit(1)).one_or_none()
        return _account(row) if row else None

    def held(self, account: Account) -> Held:
        """Everything that the allocation of this account is computed from, and what the ledger says by now."""
        mine = (
            select(facts.c.kind, facts.c.body)
            .join(
                fact_accounts,
                (facts.c.base == fact_accounts.c.base)
                & (facts.c.kind == fact_accounts.c.kind)
                & (facts.c.ref_key == fact_accounts.c.ref_key),
            )
            .where(fact_accounts.c.account == account.id)
        )
        told = [unpacked(row.kind, row.body) for row in self._conn.execute(mine)]
        payments = tuple(one for one in told if isinstance(one, Payment) and not isinstance(one, Refund))
        refunds = tuple(one for one in told if isinstance(one, Refund))
        invoices = tuple(one for one in told if isinstance(one, Invoice))
        contract = self._contract(account)
        currency = contract.currency if contract else ROUBLE
        foreign = {one.currency for one in told if one.currency != currency}
        return Held(
            currency=currency,
            payments=payments,
            refunds=refunds,
            acts=tuple(one for one in told if isinstance(one, Act)),
            invoices=invoices,
            pins=self.pins(account.base, [one.ref_key for one in payments]),
            rates=self._rates(account.base, {*foreign, currency}) if foreign or currency != ROUBLE else (),
            positions=self.positions(account),
            deals=self._deals(account.base, [one.ref_key for one in invoices]),
            contract=contract,
        )

    def _contract(self, account: Account) -> Contract | None:
        found = self.facts(account.base, "contract", [account.contract]) if account.contract else []
        return next((one for one in found if isinstance(one, Contract)), None)

    def _rates(self, base: str, letters: Collection[str]) -> tuple[Rate, ...]:
        same = (rates.c.base == base, rates.c.currency.in_(sorted(letters)))
        return tuple(
            Rate(row.currency, date.fromisoformat(row.day), Decimal(row.rate), Decimal(row.multiplicity))
            for row in self._conn.execute(select(rates).where(*same))
        )

    def _deals(self, base: str, refs: Sequence[str]) -> tuple[Any, ...]:
        found = []
        for some in chunks(sorted(refs)):
            same = (links.c.base == base, links.c.kind == "invoice", links.c.ref_key.in_(some))
            found += [as_link(row) for row in self._conn.execute(select(links).where(*same))]
        return tuple(sorted(found, key=lambda link: (link.crm, link.record_id)))

    # -- entries --------------------------------------------------------------------------------------------------

    def entries(self, account: Account) -> list[tuple[Entry, str, datetime]]:
        """The account's entries in their order, each with its cause and when it was made."""
        mine = select(entries).where(entries.c.account == account.id).order_by(entries.c.id)
        return [(_entry(row), row.cause, row.created_at) for row in self._conn.execute(mine)]

    def positions(self, account: Account) -> tuple[Position, ...]:
        """What the account's entries add up to."""
        return summed(entry for entry, _, _ in self.entries(account))

    def enter(self, account: Account, moved: Sequence[Entry], cause: str) -> None:
        """Append movements; none is ever changed or taken away."""
        if moved:
            self._conn.execute(insert(entries), [_entry_row(account, one, cause, self._now) for one in moved])

    def stand(self, account: Account, now: Sequence[Standing]) -> list[Turn]:
        """Write how the account's documents stand; returns those whose code or sums have changed."""
        mine = select(standings).where(standings.c.account == account.id)
        before = {row.ref_key: row for row in self._conn.execute(mine)}
        turns: list[Turn] = []
        rows = []
        for one in now:
            was = before.pop(one.ref_key, None)
            same = was is not None and (was.code, was.percent, was.amount, was.paid, was.currency, was.flags) == (
                one.code, str(one.percent), one.amount, one.paid, one.currency, ",".join(one.flags)
            )  # fmt: skip
            if same:
                continue
            number = was.turns if was else 0
            late, was_late = "overdue" in one.flags, was is not None and "overdue" in was.flags
            if was is None or (was.code, was.amount, was.paid, was_late) != (one.code, one.amount, one.paid, late):
                number += 1
                turns.append(Turn(one.ref_key, was.code if was else "", one.code, number, late and not was_late))
            rows.append(_standing_row(account, one, number, self._now))
        if rows:
            put = upsert(self._conn, standings)
            changed = {name: put.excluded[name] for name in rows[0] if name not in ("account", "ref_key")}
            self._conn.execute(put.on_conflict_do_update(index_elements=["account", "ref_key"], set_=changed), rows)
        for ref_key, was in before.items():
            if was.code != "gone":
                turns.append(Turn(ref_key, was.code, "gone", was.turns + 1))
                gone = Standing(ref_key, "gone", Decimal(0), Decimal(0), Decimal(0), was.currency)
                values = _standing_row(account, gone, was.turns + 1, self._now)
                same_row = (standings.c.account == account.id, standings.c.ref_key == ref_key)
                self._conn.execute(update(standings).where(*same_row).values(**values))
        return sorted(turns, key=lambda turn: turn.ref_key)

    # -- people ---------------------------------------------------------------------------------------------------

    def pins(self, base: str, payments: Sequence[str]) -> tuple[Pin, ...]:
        """The decisions that hold for these payments."""
        found: list[Pin] = []
        for some in chunks(sorted(payments)):
            mine = select(pins).where(pins.c.base == base, pins.c.payment.in_(some), _LIVE_PINS)
            found += [Pin(row.payment, row.obligation, row.amount, row.by_whom) for row in self._conn.execute(mine)]
        return tuple(found)

    def pin(self, base: str, pin: Pin, pin_id: str) -> bool:
        """A person's decision, in place of the one on the same two documents; False when the payment isn't known."""
        self.unpin(base, pin.payment, pin.obligation)
        values = {"payment": pin.payment, "obligation": pin.obligation, "amount": pin.amount, "by_whom": pin.by}
        self._conn.execute(insert(pins).values(id=pin_id, base=base, **values, created_at=self._now))
        return self.touch_document(base, pin.payment) > 0

    def unpin(self, base: str, payment: str, obligation: str | None = None) -> int:
        """End decisions on a payment: one, or all; returns how many ended."""
        mine = [pins.c.base == base, pins.c.payment == payment]
        if obligation is not None:
            mine.append(pins.c.obligation == obligation)
        ended = self._conn.execute(update(pins).where(*mine, _LIVE_PINS).values(ended_at=self._now)).rowcount
        if ended:
            self.touch_document(base, payment)
        return ended

    def ask(self, account: Account, now: Sequence[Question]) -> None:
        """What of this account waits for a person; what no longer does goes, what stands keeps its age."""
        mine = select(questions).where(questions.c.account == account.id)
        before = {(row.kind, row.document): row for row in self._conn.execute(mine)}
        rows = []
        for one in now:
            was = before.pop((one.kind, one.document), None)
            rows.append(
                {
                    "account": account.id,
                    "kind": one.kind,
                    "document": one.document,
                    "amount": one.amount,
                    "currency": one.currency,
                    "reason": one.reason,
                    "candidates": json.dumps([dict(each) for each in one.candidates], ensure_ascii=False),
                    "created_at": was.created_at if was else self._now,
                }
            )
        for kind, document in before:
            same = (questions.c.account == account.id, questions.c.kind == kind, questions.c.document == document)
            self._conn.execute(delete(questions).where(*same))
        if rows:
            put = upsert(self._conn, questions)
            changed = {name: put.excluded[name] for name in ("amount", "currency", "reason", "candidates")}
            names = ["account", "kind", "document"]
            self._conn.execute(put.on_conflict_do_update(index_elements=names, set_=changed), rows)

    def questions(self, limit: int = 1000) -> list[tuple[Account, Question]]:
        """What waits for a person, oldest first."""
        mine = select(questions, *(c for c in accounts.c if c.name != "id")).join(
            accounts, accounts.c.id == questions.c.account
        )
        mine = mine.order_by(questions.c.created_at, questions.c.document).limit(limit)
        return [
            (
                Account(row.base, row.organisation, row.counterparty, row.contract),
                Question(
                    row.kind, row.document, row.amount, row.currency, row.reason, tuple(json.loads(row.candidates))
                ),
            )
            for row in self._conn.execute(mine)
        ]


def _account(row: Any) -> Account:
    return Account(row.base, row.organisation, row.counterparty, row.contract)


def _entry(row: Any) -> Entry:
    position = Position(
        payment=row.payment,
        row=row.row_number,
        obligation=row.obligation,
        instalment=row.instalment,
        amount=row.amount,
        currency=row.currency,
        paid=row.paid,
        paid_currency=row.paid_currency,
        rate=None if row.rate is None else Decimal(row.rate),
        date=date.fromisoformat(row.day),
        explanation=Explanation(row.rule, row.named, row.by_whom, row.explanation),
    )
    return Entry(row.kind, position)


def _entry_row(account: Account, entry: Entry, cause: str, now: datetime) -> Mapping[str, Any]:
    position = entry.position
    return {
        "account": account.id,
        "kind": entry.kind,
        "payment": position.payment,
        "row_number": position.row,
        "obligation": position.obligation,
        "instalment": position.instalment,
        "rule": position.explanation.rule,
        "amount": position.amount,
        "currency": position.currency,
        "paid": position.paid,
        "paid_currency": position.paid_currency,
        "rate": None if position.rate is None else str(position.rate),
        "day": position.date.isoformat(),
        "named": position.explanation.named,
        "by_whom": position.explanation.by,
        "explanation": position.explanation.text,
        "cause": cause[:200],
        "created_at": now,
    }


def _standing_row(account: Account, one: Standing, turns: int, now: datetime) -> dict[str, Any]:
    return {
        "account": account.id,
        "ref_key": one.ref_key,
        "code": one.code,
        "percent": str(one.percent),
        "amount": one.amount,
        "paid": one.paid,
        "currency": one.currency,
        "flags": ",".join(one.flags),
        "turns": turns,
        "updated_at": now,
    }
