"""Facts of money as last seen in 1C: which are news, and which accounts they touch.

Everything takes the connection of the caller's transaction, and goes by an index on the facts at hand: what is not
touched costs nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import Connection, delete, insert, or_, select, update

from integration.rules.accounts import Account, Fact, Kind, accounts_of, day_of, kind_of
from integration.store.boxes import upsert
from integration.store.facts_json import packed, unpacked
from integration.store.ledger_schema import accounts, fact_accounts, facts, rates
from mappers.money import Contract, Rate

T = TypeVar("T")
_CHUNK = 500  # bound parameters of one statement


class SqlFacts:
    """The facts within one transaction."""

    def __init__(self, conn: Connection, now: datetime) -> None:
        self._conn, self._now = conn, now

    # -- facts ----------------------------------------------------------------------------------------------------

    def stamps(self, base: str, kind: Kind, refs: Collection[str]) -> dict[str, tuple[str, bool, bool]]:
        """{Ref_Key: (version, posted, deleted)} of those that were seen."""
        found: dict[str, tuple[str, bool, bool]] = {}
        for some in chunks(sorted(refs)):
            same = (facts.c.base == base, facts.c.kind == kind, facts.c.ref_key.in_(some))
            columns = (facts.c.ref_key, facts.c.version, facts.c.posted, facts.c.deleted)
            found |= {
                row[0]: (row[1], bool(row[2]), bool(row[3]))
                for row in self._conn.execute(select(*columns).where(*same))
            }
        return found

    def dated(self, base: str, kind: Kind, since: date) -> set[str]:
        """The documents of a kind that were last seen with a date at or after `since`, and not marked."""
        same = (
            facts.c.base == base,
            facts.c.kind == kind,
            facts.c.day >= since.isoformat(),
            facts.c.deleted.is_(False),
        )
        return set(self._conn.scalars(select(facts.c.ref_key).where(*same)))

    def facts(self, base: str, kind: Kind, refs: Collection[str]) -> list[Fact]:
        found: list[Fact] = []
        for some in chunks(sorted(refs)):
            same = (facts.c.base == base, facts.c.kind == kind, facts.c.ref_key.in_(some))
            found += [unpacked(kind, body) for body in self._conn.scalars(select(facts.c.body).where(*same))]
        return found

    def keep(self, base: str, seen: Sequence[Fact]) -> int:
        """Write facts as they are seen now, and mark the accounts that they touch or touched. What equals the fact
        that stands is left alone; returns how many were news."""
        latest = {(kind_of(fact), fact.ref_key): fact for fact in seen}
        news = []
        for kind in dict.fromkeys(kind for kind, _ in latest):
            refs = [ref for one, ref in latest if one == kind]
            stand = {fact.ref_key: fact for fact in self.facts(base, kind, refs)}
            news += [latest[kind, ref] for ref in sorted(refs) if stand.get(ref) != latest[kind, ref]]
        if not news:
            return 0
        self._put(base, news)
        self._bind(base, [fact for fact in news if not isinstance(fact, Contract)])
        contracts = [fact.ref_key for fact in news if isinstance(fact, Contract)]
        for some in chunks(contracts):
            self._touch(accounts.c.base == base, accounts.c.contract.in_(some))
        return len(news)

    def _put(self, base: str, news: Sequence[Fact]) -> None:
        rows = []
        for fact in news:
            day = day_of(fact)
            rows.append(
                {
                    "base": base,
                    "kind": kind_of(fact),
                    "ref_key": fact.ref_key,
                    "version": fact.version,
                    "posted": isinstance(fact, Contract) or fact.posted,
                    "deleted": fact.deleted,
                    "day": day.isoformat() if day else "",
                    "currency": fact.currency[:3],
                    "body": packed(fact),
                    "seen_at": self._now,
                }
            )
        put = upsert(self._conn, facts)
        names = ("base", "kind", "ref_key")
        changed = {name: put.excluded[name] for name in rows[0] if name not in names}
        self._conn.execute(put.on_conflict_do_update(index_elements=list(names), set_=changed), rows)

    def _bind(self, base: str, news: Sequence[Fact]) -> None:
        """Which accounts each document is in now; those it was in and is in are touched."""
        touched: set[str] = set()
        known: dict[str, Account] = {}
        bound: list[dict[str, str]] = []
        for fact in news:
            for account in accounts_of(base, fact):
                known[account.id] = account
                bound.append({"base": base, "kind": kind_of(fact), "ref_key": fact.ref_key, "account": account.id})
        for kind in dict.fromkeys(kind_of(fact) for fact in news):
            for some in chunks([fact.ref_key for fact in news if kind_of(fact) == kind]):
                same = (fact_accounts.c.base == base, fact_accounts.c.kind == kind, fact_accounts.c.ref_key.in_(some))
                touched |= set(self._conn.scalars(select(fact_accounts.c.account).where(*same)))
                self._conn.execute(delete(fact_accounts).where(*same))
        if bound:
            self._conn.execute(insert(fact_accounts), bound)
            rows = [
                {
                    "id": one.id,
                    "base": base,
                    "organisation": one.organisation,
                    "counterparty": one.counterparty,
                    "contract": one.contract,
                    "touched": True,
                }
                for one in sorted(known.values(), key=lambda account: account.id)
            ]
            put = upsert(self._conn, accounts)
            self._conn.execute(put.on_conflict_do_update(index_elements=["id"], set_={"touched": True}), rows)
        for some in chunks(sorted(touched - known.keys())):
            self._touch(accounts.c.id.in_(some))

    def keep_rates(self, base: str, told: Collection[Rate]) -> int:
        """Write rates down; accounts that count with a currency from a changed day on are touched."""
        columns = (rates.c.currency, rates.c.day, rates.c.rate, rates.c.multiplicity)
        stand: dict[tuple[str, str], tuple[Decimal, Decimal]] = {}
        for days in chunks(sorted({one.date.isoformat() for one in told})):
            mine = select(*columns).where(rates.c.base == base, rates.c.day.in_(days))
            stand |= {
                (row.currency, row.day): (Decimal(row.rate), Decimal(row.multiplicity))
                for row in self._conn.execute(mine)
            }
        news = {
            (one.currency, one.date.isoformat()): one
            for one in told
            if stand.get((one.currency, one.date.isoformat())) != (one.rate, one.multiplicity)
        }
        if not news:
            return 0
        rows = [
            {
                "base": base,
                "currency": key[0],
                "day": key[1],
                "rate": str(one.rate),
                "multiplicity": str(one.multiplicity),
            }
            for key, one in sorted(news.items())
        ]
        put = upsert(self._conn, rates)
        changed = {name: put.excluded[name] for name in ("rate", "multiplicity")}
        self._conn.execute(put.on_conflict_do_update(index_elements=["base", "currency", "day"], set_=changed), rows)
        for currency in sorted({key[0] for key in news}):
            since = min(day for letters, day in news if letters == currency)
            contracts = select(facts.c.ref_key).where(
                facts.c.base == base, facts.c.kind == "contract", facts.c.currency == currency
            )
            told_in = (
                select(fact_accounts.c.account)
                .join(
                    facts,
                    (facts.c.base == fact_accounts.c.base)
                    & (facts.c.kind == fact_accounts.c.kind)
                    & (facts.c.ref_key == fact_accounts.c.ref_key),
                )
                .join(accounts, accounts.c.id == fact_accounts.c.account)
                .where(
                    facts.c.base == base,
                    facts.c.kind.in_(["payment", "refund", "act", "invoice"]),
                    facts.c.day >= since,
                    or_(facts.c.currency == currency, accounts.c.contract.in_(contracts)),
                )
            )
            self._touch(accounts.c.id.in_(told_in))
        return len(news)

    # -- accounts that are to be computed -------------------------------------------------------------------------

    def _touch(self, *which: Any) -> None:
        self._conn.execute(update(accounts).where(*which).values(touched=True))

    def touch_document(self, base: str, ref_key: str) -> int:
        """Mark the accounts of one document, whatever its kind; returns how many."""
        same = (fact_accounts.c.base == base, fact_accounts.c.ref_key == ref_key)
        mine = set(self._conn.scalars(select(fact_accounts.c.account).where(*same)))
        if mine:
            self._touch(accounts.c.id.in_(sorted(mine)))
        return len(mine)


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[at : at + _CHUNK] for at in range(0, len(values), _CHUNK))
