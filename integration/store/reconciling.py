"""A run of the reconciliation within one transaction: how far it came, what the sides hold, what was found to differ.

The merge by key is the database's: sightings joined with links and facts, read in batches by key, so that memory stays
flat however many there are.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, and_, delete, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from integration.rules.accounts import Account, Fact, Kind
from integration.rules.findings import Part, Run
from integration.store.boxes import storable, upsert
from integration.store.facts import chunks
from integration.store.facts_json import unpacked
from integration.store.findings import SqlFindings
from integration.store.ledger_schema import accounts, facts, standings, statement_lines
from integration.store.links import as_link
from integration.store.reconcile_schema import findings, reconciliations, sightings
from integration.store.schema import inbox, links, outbox
from integration.store.statements import SqlStatements
from integration.work import Link, new_id
from mappers.money import Payment, StatementLine

_TOTALS = "totals"  # beside the counts
_PAGE = 500  # documents looked up at once


class SqlReconciling(SqlFindings):
    """Runs and sightings, and what was found."""

    # -- runs -----------------------------------------------------------------------------------------------------

    def begin(self, cause: str, since: date | None, names: Iterable[str], *, over_limit: bool) -> Run:
        """A new run, or the one that has not ended yet."""
        standing = self.running()
        if standing is not None:
            return standing
        parts = [Part(name) for name in names]
        values = {
            "id": new_id(),
            "cause": cause,
            "since": since.isoformat() if since else "",
            "over_limit": "1" if over_limit else "",
            "parts": _packed(parts),
            "verdict": "",
            "counts": "{}",
            "started_at": self._now,
        }
        try:
            with self._conn.begin_nested():
                self._conn.execute(insert(reconciliations).values(**values))
        except IntegrityError:  # another began one in this very moment
            pass
        found = self.running()
        assert found is not None
        return found

    def running(self) -> Run | None:
        """The run that has not ended yet."""
        row = self._conn.execute(select(reconciliations).where(reconciliations.c.verdict == "")).one_or_none()
        return _run(row) if row else None

    def run(self, run_id: str) -> Run | None:
        row = self._conn.execute(select(reconciliations).where(reconciliations.c.id == run_id)).one_or_none()
        return _run(row) if row else None

    def latest(self) -> Run | None:
        """The last run that ended."""
        ended = select(reconciliations).where(reconciliations.c.verdict != "")
        row = self._conn.execute(ended.order_by(reconciliations.c.started_at.desc()).limit(1)).one_or_none()
        return _run(row) if row else None

    def keep(self, run: Run, parts: Sequence[Part]) -> None:
        """Remember how far the parts have come."""
        mine = update(reconciliations).where(reconciliations.c.id == run.id)
        self._conn.execute(mine.values(parts=_packed(parts)))

    def end(
        self, run: Run, verdict: str, counts: Mapping[str, int], totals: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        """The run is over; what the sides were seen to hold is forgotten."""
        mine = update(reconciliations).where(reconciliations.c.id == run.id)
        self._conn.execute(
            mine.values(verdict=verdict, counts=json.dumps({**counts, _TOTALS: totals or {}}), finished_at=self._now)
        )
        self._conn.execute(delete(sightings))

    # -- sightings ------------------------------------------------------------------------------------------------

    def see(self, run: str, side: str, rows: Iterable[tuple[str, str, str]]) -> None:
        """Keep what a side holds: (key, twin, body); what was seen before is brought to this state."""
        values = [
            {
                "run": run,
                "side": side,
                "key": storable(key, 64),
                "twin": storable(twin, 64),
                "body": storable(body, 10**6),
            }
            for key, twin, body in {row[0]: row for row in rows}.values()
        ]
        if not values:
            return
        put = upsert(self._conn, sightings)
        state = {name: put.excluded[name] for name in ("twin", "body")}
        self._conn.execute(put.on_conflict_do_update(index_elements=["run", "side", "key"], set_=state), values)

    def pairs(
        self, run: str, sides: tuple[str, str], which: Mapping[str, str], after: str, limit: int = 500
    ) -> list[tuple[Link, str | None, str | None]]:
        """Links in the order of their record, from after one, each with what the two sides hold of it now: the CRM's
        record, and 1C's object (a sighting; None: not seen). `which`: crm, entity, base, kind."""
        left, right = sightings.alias("here"), sightings.alias("there")
        joined = links.outerjoin(left, _seen(left, run, sides[0], links.c.record_id)).outerjoin(
            right, _seen(right, run, sides[1], links.c.ref_key)
        )
        mine = [links.c[name] == value for name, value in which.items()]
        found = select(links, left.c.body.label("here"), right.c.body.label("there")).select_from(joined)
        found = found.where(*mine, links.c.record_id > after).order_by(links.c.record_id).limit(limit)
        return [(_link(row), row.here, row.there) for row in self._conn.execute(found)]

    def deals(
        self, run: str, side: str, which: Mapping[str, str], after: str, limit: int = 500
    ) -> list[tuple[Link, str | None, Fact | None]]:
        """As `pairs`, of links to documents: 1C's side is the fact that the ledger has of it."""
        left = sightings.alias("here")
        fact = (facts.c.base == links.c.base) & (facts.c.kind == links.c.kind) & (facts.c.ref_key == links.c.ref_key)
        joined = links.outerjoin(left, _seen(left, run, side, links.c.record_id)).outerjoin(facts, fact)
        mine = [links.c[name] == value for name, value in which.items()]
        found = select(links, left.c.body.label("here"), facts.c.body.label("there")).select_from(joined)
        found = found.where(*mine, links.c.record_id > after).order_by(links.c.record_id).limit(limit)
        return [
            (_link(row), row.here, unpacked(which["kind"], row.there) if row.there else None)
            for row in self._conn.execute(found)
        ]

    def strangers(self, run: str, side: str, which: Mapping[str, str], after: str, limit: int = 500) -> list[Any]:
        """(key, twin, body) of what a CRM holds and no link knows. `which`: crm, entity, kind of the link it lacks."""
        known = [links.c[name] == value for name, value in which.items()]
        link = select(literal(1)).where(*known, links.c.record_id == sightings.c.key).exists()
        mine = (sightings.c.run == run, sightings.c.side == side, sightings.c.key > after, ~link)
        found = select(sightings.c.key, sightings.c.twin, sightings.c.body).where(*mine)
        return list(self._conn.execute(found.order_by(sightings.c.key).limit(limit)))

    def twins(self, run: str, side: str, twins: Collection[str]) -> dict[str, list[str]]:
        """Twin → the keys of a side that bear it."""
        found: dict[str, list[str]] = {}
        for some in chunks(sorted(twins)):
            mine = (sightings.c.run == run, sightings.c.side == side, sightings.c.twin.in_(some))
            for row in self._conn.execute(select(sightings.c.twin, sightings.c.key).where(*mine)):
                found.setdefault(row.twin, []).append(row.key)
        return found

    def linked(self, column: str, which: Mapping[str, str], values: Collection[str]) -> dict[str, Link]:
        """Links by a column ("record_id" or "ref_key") among `values`."""
        found: dict[str, Link] = {}
        mine = [links.c[name] == value for name, value in which.items()]
        for some in chunks(sorted(values)):
            for row in self._conn.execute(select(links).where(*mine, links.c[column].in_(some))):
                found[getattr(row, column)] = as_link(row)
        return found

    def absent(self, run: str, side: str, base: str, kind: Kind, since: date, after: str, limit: int) -> list[str]:
        """Documents that the ledger has as live and dated from a day on, and that 1C did not show."""
        mine = [
            facts.c.base == base,
            facts.c.kind == kind,
            facts.c.day >= since.isoformat(),
            facts.c.deleted.is_(False),
        ]
        found: list[str] = []
        while len(found) < limit:
            # Looked up by keys, a page at a time: a join with a table that was filled a moment ago is planned by the
            # statistics of when it was empty, and takes every pair.
            page = select(facts.c.ref_key).where(*mine, facts.c.ref_key > after).order_by(facts.c.ref_key).limit(_PAGE)
            keys = list(self._conn.scalars(page))
            shown = (sightings.c.run == run, sightings.c.side == side, sightings.c.key.in_(keys))
            seen = set(self._conn.scalars(select(sightings.c.key).where(*shown)))
            found += [key for key in keys if key not in seen]
            if len(keys) < _PAGE:
                break
            after = keys[-1]
        return found[:limit]

    def orphans(self, base: str, marker: str, after: str, limit: int = 500) -> list[Fact]:
        """Invoices that bear our marker and that no link knows."""
        link = select(literal(1)).where(
            links.c.base == facts.c.base, links.c.kind == "invoice", links.c.ref_key == facts.c.ref_key
        )
        mine = [facts.c.base == base, facts.c.kind == "invoice", facts.c.deleted.is_(False), facts.c.ref_key > after]
        ours = facts.c.body.contains(marker, autoescape=True)
        found = select(facts.c.body).where(*mine, ours, ~link.exists()).order_by(facts.c.ref_key).limit(limit)
        return [unpacked("invoice", body) for body in self._conn.scalars(found)]

    # -- the ledger -----------------------------------------------------------------------------------------------

    def accounts(self, base: str, after: str, limit: int = 100) -> list[tuple[Account, bool]]:
        """A base's accounts in the order of their ids, from after one; and whether facts wait to be computed there."""
        found = select(accounts).where(accounts.c.base == base, accounts.c.id > after)
        return [
            (Account(row.base, row.organisation, row.counterparty, row.contract), bool(row.touched))
            for row in self._conn.execute(found.order_by(accounts.c.id).limit(limit))
        ]

    def standing(self, account: Account) -> dict[str, tuple[str, Decimal, Decimal]]:
        """{Ref_Key: (code, amount, paid)} as the ledger keeps it, without what is gone."""
        mine = select(standings).where(standings.c.account == account.id, standings.c.code != "gone")
        return {row.ref_key: (row.code, row.amount, row.paid) for row in self._conn.execute(mine)}

    def touch(self, account_ids: Collection[str]) -> None:
        """Those accounts are to be computed."""
        for some in chunks(sorted(account_ids)):
            self._conn.execute(update(accounts).where(accounts.c.id.in_(some)).values(touched=True))

    def under_way(self, keys: Collection[str]) -> dict[str, set[str]]:
        """Of these records ("espo:deal:ID"), those that somebody works at now, or will without anybody's help: the
        kinds of that work, "event" for a notice that is not read yet."""
        busy: dict[str, set[str]] = {}
        for some in chunks(sorted(keys)):
            alive = (outbox.c.key.in_(some), outbox.c.state.in_(("due", "running")))
            for row in self._conn.execute(select(outbox.c.key, outbox.c.kind).where(*alive).distinct()):
                busy.setdefault(row.key, set()).add(row.kind)
            ids = {key.rpartition(":")[2]: key for key in some}
            waiting = (inbox.c.record_id.in_(ids), inbox.c.state.in_(("due", "running")))
            for record in self._conn.scalars(select(inbox.c.record_id).where(*waiting)):
                busy.setdefault(ids[record], set()).add("event")
        return busy

    # -- the bank -------------------------------------------------------------------------------------------------

    def statement_days(self) -> list[tuple[date, date]]:
        """The first and last day that statements tell of, of each of our own accounts."""
        days = select(func.min(statement_lines.c.day), func.max(statement_lines.c.day))
        found = self._conn.execute(days.group_by(statement_lines.c.account))
        return [(date.fromisoformat(first), date.fromisoformat(last)) for first, last in found]

    def bank(self, since: date, until: date, around: timedelta) -> tuple[list[StatementLine], list[Payment]]:
        """Movements of these days with a margin, and 1C's payments with a wider one."""
        told = SqlStatements(self._conn, self._now)
        lines = told.lines(since - around, until + around)
        return lines, told.payments(since - 2 * around, until + 2 * around)

    def forget(self, before: datetime) -> None:
        """Runs that began before a moment, with what they found."""
        old = select(reconciliations.c.id).where(reconciliations.c.started_at < before)
        self._conn.execute(delete(findings).where(findings.c.run.in_(old)))
        self._conn.execute(delete(reconciliations).where(reconciliations.c.started_at < before))


def _seen(table: Any, run: str, side: str, key: Any) -> Any:
    return and_(table.c.run == run, table.c.side == side, table.c.key == key)


def _link(row: Row[Any]) -> Link:
    """As `as_link`, of a row with further columns."""
    names = ("crm", "entity", "record_id", "base", "kind", "ref_key", "key", "state", "version", "crm_version")
    return Link(**{name: getattr(row, name) for name in names}, agreed=json.loads(row.agreed))


def _packed(parts: Sequence[Part]) -> str:
    names = ("name", "state", "tries", "checked", "reason", "at")
    return json.dumps([{name: getattr(part, name) for name in names} for part in parts], ensure_ascii=False)


def _run(row: Row[Any]) -> Run:
    counts = json.loads(row.counts)
    totals = counts.pop(_TOTALS, {})
    return Run(
        id=row.id,
        cause=row.cause,
        since=date.fromisoformat(row.since) if row.since else None,
        over_limit=bool(row.over_limit),
        parts=tuple(Part(**part) for part in json.loads(row.parts)),
        verdict=row.verdict,
        started_at=row.started_at,
        finished_at=row.finished_at,
        counts=counts,
        totals=totals,
    )
