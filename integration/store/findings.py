"""What a reconciliation found, within one transaction: written down, counted, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from integration.rules.findings import Action, Finding, Tally
from integration.store.boxes import storable
from integration.store.facts import chunks
from integration.store.reconcile_schema import findings


class SqlFindings:
    """The findings of runs."""

    def __init__(self, conn: Connection, now: datetime) -> None:
        self._conn, self._now = conn, now

    def find(self, run: str, part: str, found: Sequence[Finding]) -> None:
        """Write down what differs."""
        if found:
            self._conn.execute(insert(findings), [_row(run, part, one, self._now) for one in found])

    def supersede(self, run: str, base: str, refs: Collection[str]) -> None:
        """What was found of these documents is told better by another part."""
        for some in chunks(sorted(refs)):
            mine = (findings.c.run == run, findings.c.base == base, findings.c.ref_key.in_(some))
            self._conn.execute(delete(findings).where(*mine, findings.c.part.startswith("documents:")))

    def repeated(self, run: str, marks: Collection[str]) -> set[str]:
        """Those that an earlier run found, repaired, and that are there again."""
        found: set[str] = set()
        for some in chunks(sorted(marks)):
            mine = (findings.c.mark.in_(some), findings.c.run < run, findings.c.action == "repaired")
            found |= set(self._conn.scalars(select(findings.c.mark).where(*mine)))
        return found

    def tallies(self, run: str) -> list[Tally]:
        """The findings of a run, counted."""
        columns = (findings.c.part, findings.c.kind, findings.c.action)
        counted = select(*columns, func.count()).where(findings.c.run == run).group_by(*columns).order_by(*columns)
        return [Tally(*row) for row in self._conn.execute(counted)]

    def findings(
        self, run: str, after: int = 0, limit: int = 500, part: str = "", action: str = ""
    ) -> list[tuple[int, str, Finding]]:
        """(number, part, finding) in the order they were found, from after a number."""
        mine = [findings.c.run == run, findings.c.id > after]
        mine += [findings.c.part == part] if part else []
        mine += [findings.c.action == action] if action else []
        some = select(findings).where(*mine).order_by(findings.c.id).limit(limit)
        return [(row.id, row.part, _finding(row)) for row in self._conn.execute(some)]

    def become(self, run: str, part: str, action: Action, reason: str = "") -> int:
        """The part's findings that may be repaired are, or are not; returns how many."""
        mine = (findings.c.run == run, findings.c.part == part, findings.c.action == "repair")
        values = {"action": action} | ({"reason": reason} if reason else {})
        return self._conn.execute(update(findings).where(*mine).values(**values)).rowcount


def _row(run: str, part: str, one: Finding, now: datetime) -> dict[str, Any]:
    said = json.dumps({side: storable(value, 1000) for side, value in one.said.items()}, ensure_ascii=False)
    return {
        "run": run,
        "part": part,
        "kind": one.kind,
        "entity": one.entity,
        "title": storable(one.title, 300),
        "field": one.field,
        "said": said,
        "crm": one.crm,
        "record": one.record,
        "base": one.base,
        "ref_key": one.ref_key,
        "day": one.day.isoformat() if one.day else "",
        "amount": "" if one.amount is None else str(one.amount),
        "currency": one.currency[:3],
        "repair": one.repair,
        "action": one.action,
        "reason": storable(one.reason, 1000),
        "mark": one.mark,
        "found_at": now,
    }


def _finding(row: Row[Any]) -> Finding:
    return Finding(
        kind=row.kind,
        entity=row.entity,
        title=row.title,
        said=json.loads(row.said),
        field=row.field,
        crm=row.crm,
        record=row.record,
        base=row.base,
        ref_key=row.ref_key,
        day=date.fromisoformat(row.day) if row.day else None,
        amount=Decimal(row.amount) if row.amount else None,
        currency=row.currency,
        repair=row.repair,
        action=row.action,
        reason=row.reason,
    )
