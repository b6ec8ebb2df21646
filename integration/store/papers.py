"""Papers as they were made, one row for each version of an invoice, and whether their letters were sent; notices."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from integration.store.boxes import as_json, upsert
from integration.store.schema import notices, papers
from integration.work import Printed

_KEY = ("crm", "record_id", "base", "issue")


class SqlPapers:
    """The papers within one transaction."""

    def __init__(self, conn: Connection, now: datetime) -> None:
        self._conn, self._now = conn, now

    def find(self, crm: str, record_id: str, base: str, issue: int) -> Printed | None:
        same = [papers.c[name] == value for name, value in zip(_KEY, (crm, record_id, base, issue), strict=True)]
        row = self._conn.execute(select(papers).where(*same)).one_or_none()
        return _as_printed(row) if row else None

    def versions(self, crm: str, record_id: str, base: str) -> list[Printed]:
        """Every version of one paper, the first one first."""
        same = [papers.c[name] == value for name, value in zip(_KEY, (crm, record_id, base), strict=False)]
        return [_as_printed(row) for row in self._conn.execute(select(papers).where(*same).order_by(papers.c.issue))]

    def keep(self, printed: Printed) -> Printed:
        """Write a paper down, once: what stands already is what the client may have got, and is given back."""
        values = {**asdict(printed), "facts": as_json(printed.facts)}
        self._conn.execute(upsert(self._conn, papers).values(**values).on_conflict_do_nothing())
        found = self.find(printed.crm, printed.record_id, printed.base, printed.issue)
        assert found is not None
        return found

    def mark(self, printed: Printed, **state: Any) -> Printed:
        """Bring the row's state to these values; the paper itself never changes."""
        same = [papers.c[name] == getattr(printed, name) for name in _KEY]
        self._conn.execute(update(papers).where(*same).values(**state))
        return replace(printed, **state)

    def noticed(self, cause: str, channel: str) -> bool:
        """Whether this cause was told through this channel."""
        same = (notices.c.cause == cause, notices.c.channel == channel)
        return self._conn.execute(select(notices.c.cause).where(*same)).one_or_none() is not None

    def note(self, cause: str, channel: str) -> None:
        """Remember that this cause was told through this channel."""
        values = {"cause": cause, "channel": channel, "told_at": self._now}
        self._conn.execute(upsert(self._conn, notices).values(**values).on_conflict_do_nothing())


def _as_printed(row: Row[Any]) -> Printed:
    values = row._asdict()
    values["facts"], values["pdf"] = json.loads(values["facts"]), bytes(values["pdf"])
    return Printed(**values)
