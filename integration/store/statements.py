"""Movements of bank statements, each once, however many statements show it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import Connection, select

from integration.store.boxes import storable, upsert
from integration.store.facts import chunks
from integration.store.facts_json import unpacked
from integration.store.ledger_schema import facts, statement_lines
from mappers.money import Payment, StatementLine


class SqlStatements:
    """Statements within one transaction."""

    def __init__(self, conn: Connection, now: datetime) -> None:
        self._conn, self._now = conn, now

    def keep(self, lines: Sequence[StatementLine], file: str) -> int:
        """Write movements down; returns how many nobody had told before."""
        new = 0
        for some in chunks(lines):
            known = set(
                self._conn.scalars(
                    select(statement_lines.c.key).where(statement_lines.c.key.in_([one.key for one in some]))
                )
            )
            rows = [_row(one, file, self._now) for one in some if one.key not in known]
            if rows:
                self._conn.execute(upsert(self._conn, statement_lines).on_conflict_do_nothing(), rows)
            new += len(rows)
        return new

    def accounts(self) -> set[str]:
        """Our own accounts that statements have told of."""
        return set(self._conn.scalars(select(statement_lines.c.account).distinct()))

    def lines(self, since: date, until: date) -> list[StatementLine]:
        """Everything that statements tell of these days."""
        within = (statement_lines.c.day >= since.isoformat(), statement_lines.c.day <= until.isoformat())
        return [
            StatementLine(
                key=row.key, account=row.account, direction=row.direction, date=date.fromisoformat(row.day),
                number=row.number, amount=row.amount, currency=row.currency, kind="", name=row.name, inn=row.inn,
                purpose=row.purpose, own=bool(row.own),
            )
            for row in self._conn.execute(select(statement_lines).where(*within).order_by(statement_lines.c.day))
        ]  # fmt: skip

    def payments(self, since: date, until: date) -> list[Payment]:
        """1C's payments and refunds of these days, of all bases, as last seen."""
        kinds = facts.c.kind.in_(["payment", "refund"])
        within = (kinds, facts.c.day >= since.isoformat(), facts.c.day <= until.isoformat())
        rows = self._conn.execute(select(facts.c.kind, facts.c.body).where(*within))
        return [one for one in (unpacked(row.kind, row.body) for row in rows) if isinstance(one, Payment)]


def _row(one: StatementLine, file: str, now: datetime) -> dict[str, object]:
    return {
        "key": one.key,
        "account": storable(one.account, 34),
        "direction": one.direction,
        "day": one.date.isoformat(),
        "number": storable(one.number, 50),
        "amount": one.amount,
        "currency": one.currency,
        "inn": storable(one.inn, 12),
        "name": storable(one.name, 1000),
        "purpose": storable(one.purpose, 4000),
        "own": one.own,
        "file": storable(file, 200),
        "imported_at": now,
    }
