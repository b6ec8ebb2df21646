"""What the sync of clients keeps beside the links: conflicts that wait for a person, proposals, pages of the first day.

Everything takes the connection of the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from integration.store.boxes import upsert
from integration.store.schema import conflicts, links, pages, proposals
from integration.work import Clash, Link, Proposed

_LINK = ("crm", "entity", "record_id", "base", "kind", "ref_key", "key", "state", "version", "crm_version")


class SqlParties:
    """Conflicts and proposals within one transaction."""

    def __init__(self, conn: Connection, now: datetime) -> None:
        self._conn, self._now = conn, now

    # -- links ----------------------------------------------------------------------------------------------------

    def versions(self, base: str, kind: str) -> dict[str, str]:
        """{Ref_Key: the version as we last left it} of everything linked in a base."""
        mine = select(links.c.ref_key, links.c.version).where(links.c.base == base, links.c.kind == kind)
        return {row.ref_key: row.version for row in self._conn.execute(mine)}

    def linked(self, crm: str, base: str, kind: str) -> list[tuple[str, str]]:
        """(record of the CRM, Ref_Key) of every link of this kind."""
        same = (links.c.crm == crm, links.c.base == base, links.c.kind == kind)
        found = select(links.c.record_id, links.c.ref_key).where(*same).order_by(links.c.record_id)
        return [(row.record_id, row.ref_key) for row in self._conn.execute(found)]

    def bind_new(self, found: Sequence[Link]) -> int:
        """Write those links whose record is linked to nothing yet; returns how many."""
        rows = [
            {name: getattr(link, name) for name in _LINK} | {
                "agreed": json.dumps(dict(link.agreed), ensure_ascii=False),
                "created_at": self._now, "updated_at": self._now,
            }
            for link in found
        ]  # fmt: skip
        if not rows:
            return 0
        return self._conn.execute(upsert(self._conn, links).values(rows).on_conflict_do_nothing()).rowcount

    # -- conflicts ------------------------------------------------------------------------------------------------

    def clash(self, clash: Clash) -> None:
        """Write a conflict down, or bring the standing one to these values, undecided."""
        state = {name: getattr(clash, name) for name in ("agreed", "crm_value", "onec_value", "reason", "ref_key")}
        state |= {"state": "open", "take": "", "updated_at": self._now}
        names = {name: getattr(clash, name) for name in ("crm", "record_id", "base", "field")}
        statement = upsert(self._conn, conflicts).values(id=clash.id, **names, **state, created_at=self._now)
        self._conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=state))

    def clashes(self, link: Link) -> list[Clash]:
        """The conflicts of one client, decided and ended ones too."""
        same = (conflicts.c.crm == link.crm, conflicts.c.record_id == link.record_id, conflicts.c.base == link.base)
        return [_as_clash(row) for row in self._conn.execute(select(conflicts).where(*same))]

    def open_clashes(self, limit: int = 1000) -> list[Clash]:
        """Those that wait for a person, or for the sync after his decision, oldest first."""
        waiting = select(conflicts).where(conflicts.c.state == "open").order_by(conflicts.c.created_at).limit(limit)
        return [_as_clash(row) for row in self._conn.execute(waiting)]

    def clash_by_id(self, clash_id: str) -> Clash | None:
        """One conflict, by its id or the beginning of it; None when none or several fit."""
        found = self._conn.execute(
            select(conflicts).where(conflicts.c.id.startswith(clash_id, autoescape=True)).limit(2)
        )
        rows = found.all()
        return _as_clash(rows[0]) if len(rows) == 1 else None

    def take(self, clash_id: str, side: str) -> bool:
        """A person's decision; False when the conflict is over meanwhile."""
        waiting = (conflicts.c.id == clash_id, conflicts.c.state == "open")
        values = {"take": side, "updated_at": self._now}
        return self._conn.execute(update(conflicts).where(*waiting).values(**values)).rowcount == 1

    def end(self, clash_id: str) -> None:
        """Both sides agree again, or the decision is being carried out."""
        values = {"state": "over", "updated_at": self._now}
        self._conn.execute(update(conflicts).where(conflicts.c.id == clash_id).values(**values))

    # -- proposals ------------------------------------------------------------------------------------------------

    def propose(self, found: Sequence[Proposed]) -> int:
        """Write down those that nobody was asked about yet: a refusal is remembered. Returns how many were new."""
        new = 0
        for one in found:
            names = ("id", "kind", "crm", "record_id", "base", "other", "score", "title")
            values: dict[str, Any] = {name: getattr(one, name) for name in names}
            values |= {"reasons": json.dumps(one.reasons, ensure_ascii=False), "state": "open"}
            values |= {"created_at": self._now, "updated_at": self._now}
            statement = upsert(self._conn, proposals).values(**values).on_conflict_do_nothing()
            new += self._conn.execute(statement).rowcount
        return new

    def proposals(self, state: str = "open", limit: int = 1000) -> list[Proposed]:
        """The likeliest first."""
        found = select(proposals).where(proposals.c.state == state)
        found = found.order_by(proposals.c.score.desc(), proposals.c.id).limit(limit)
        return [_as_proposed(row) for row in self._conn.execute(found)]

    def proposal(self, proposal_id: str) -> Proposed | None:
        """One proposal, by its id or the beginning of it; None when none or several fit."""
        fit = select(proposals).where(proposals.c.id.startswith(proposal_id, autoescape=True)).limit(2)
        rows = self._conn.execute(fit).all()
        return _as_proposed(rows[0]) if len(rows) == 1 else None

    def judge(self, proposal_id: str, state: str) -> bool:
        """The verdict is "accepted" or "refused"; False when somebody decided it before."""
        waiting = (proposals.c.id == proposal_id, proposals.c.state == "open")
        values = {"state": state, "updated_at": self._now}
        return self._conn.execute(update(proposals).where(*waiting).values(**values)).rowcount == 1

    def refused(self) -> set[str]:
        """The ids of what people refused."""
        return set(self._conn.scalars(select(proposals.c.id).where(proposals.c.state == "refused")))

    # -- pages of the first day -----------------------------------------------------------------------------------

    def keep_page(self, side: str, start: int, rows: int, body: str, *, last: bool) -> None:
        """Keep one page of a side that is being read; the same page once more replaces it."""
        state = {"row_count": rows, "body": body, "last": last, "read_at": self._now}
        statement = upsert(self._conn, pages).values(side=side, start=start, **state)
        self._conn.execute(statement.on_conflict_do_update(index_elements=["side", "start"], set_=state))

    def reading_at(self, side: str) -> tuple[int, bool]:
        """(where to go on reading, whether all of the side was read)."""
        found = select(pages.c.start, pages.c.row_count, pages.c.last).where(pages.c.side == side)
        row = self._conn.execute(found.order_by(pages.c.start.desc()).limit(1)).one_or_none()
        return (0, False) if row is None else (row.start + row.row_count, bool(row.last))

    def bodies(self, side: str) -> Iterator[str]:
        """The pages of a side, in their order, one at a time."""
        for start in list(
            self._conn.scalars(select(pages.c.start).where(pages.c.side == side).order_by(pages.c.start))
        ):
            same = (pages.c.side == side, pages.c.start == start)
            yield str(self._conn.execute(select(pages.c.body).where(*same)).scalar_one())

    def forget_pages(self) -> None:
        """The first day is over, or begins anew."""
        self._conn.execute(delete(pages))


def _as_clash(row: Row[Any]) -> Clash:
    values = row._asdict()
    del values["created_at"], values["updated_at"]
    return Clash(**values)


def _as_proposed(row: Row[Any]) -> Proposed:
    names = ("kind", "crm", "record_id", "base", "other", "title")
    values = {name: getattr(row, name) for name in names}
    return Proposed(**values, score=float(row.score), reasons=tuple(json.loads(row.reasons)), state=row.state)
