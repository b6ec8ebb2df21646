"""What each contract comes to, kept beside its account, and the accounts that wait for a day.

Everything takes the connection of the caller's transaction, and goes by an index.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from sqlalchemy import literal, select, tuple_, update

from integration.rules.accounts import Account
from integration.rules.contracts import SHOWN, Sums, Untold
from integration.store.facts import SqlFacts
from integration.store.ledger_schema import accounts
from integration.store.schema import links, watermarks


class SqlSums(SqlFacts):
    """Sums of contracts within one transaction."""

    def sum_up(self, account: Account, sums: Mapping[str, str], turns_on: date | None) -> dict[str, str] | None:
        """Keep what the account comes to, and the day on which the clock alone changes it. Returns what stood before;
        None: nothing did."""
        mine = accounts.c.id == account.id
        before = self._conn.execute(select(accounts.c.sums, accounts.c.turns_on).where(mine)).one()
        now = (json.dumps(dict(sums), ensure_ascii=False), turns_on.isoformat() if turns_on else None)
        if now != tuple(before):
            self._conn.execute(update(accounts).where(mine).values(sums=now[0], turns_on=now[1]))
        return dict(json.loads(before.sums)) if before.sums else None

    def sums(self, base: str, counterparty: str) -> dict[str, dict[str, Any]]:
        """{account's id: its sums} of every contract of one counterparty that has been computed."""
        mine = (accounts.c.base == base, accounts.c.counterparty == counterparty, accounts.c.sums.is_not(None))
        rows = self._conn.execute(select(accounts.c.id, accounts.c.sums).where(*mine).order_by(accounts.c.id))
        return {row.id: json.loads(row.sums) for row in rows}

    def untold(self, base: str, after: tuple[str, str] = ("", ""), limit: int = 500) -> list[Untold]:
        """Contracts computed a day ago or earlier of which their client was last shown other sums, or none; in the
        order of (contract, record), from after one. A scan: for once a day."""
        shown = watermarks.c.name == literal(SHOWN) + links.c.crm + ":" + accounts.c.id
        mine = (
            select(accounts.c.id, accounts.c.sums, links.c.crm, links.c.record_id)
            .join(links, (links.c.base == accounts.c.base) & (links.c.ref_key == accounts.c.counterparty))
            .join(watermarks, shown, isouter=True)
            .where(accounts.c.base == base, accounts.c.sums.is_not(None), links.c.kind == "counterparty")
            .where(watermarks.c.value.is_distinct_from(accounts.c.sums))
            .where(accounts.c.computed_at <= self._now - timedelta(days=1))
            .where(tuple_(accounts.c.id, links.c.record_id) > tuple_(*after))
            .order_by(accounts.c.id, links.c.record_id)
            .limit(limit)
        )
        rows = self._conn.execute(mine)
        return [Untold(row.id, row.crm, row.record_id, Sums.unpacked(json.loads(row.sums))) for row in rows]

    def wake(self, base: str, today: date) -> int:
        """Mark the accounts whose day has come; returns how many. Those that wait for another day are not looked at."""
        due = (accounts.c.base == base, accounts.c.turns_on <= today.isoformat())
        return self._conn.execute(update(accounts).where(*due).values(touched=True, turns_on=None)).rowcount
