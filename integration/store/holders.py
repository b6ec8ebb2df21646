"""The CRM's users as last seen, and whose a deal or a client was since when, within one transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from integration.rules.earnings import Holding, Record
from integration.store.bonus_schema import holders, managers
from integration.store.boxes import storable, upsert
from integration.store.facts import chunks
from mappers.canonical import User


class SqlHolders:
    """Users and holders within one transaction."""

    def __init__(self, conn: Connection, now: datetime) -> None:
        self._conn, self._now = conn, now

    def users(self, crm: str, ids: Collection[str] | None = None) -> dict[str, User]:
        """The users of a CRM that were seen, by id: these, or all."""
        mine = select(managers).where(managers.c.crm == crm)
        if ids is None:
            return {row.id: _user(row) for row in self._conn.execute(mine)}
        pages = (self._conn.execute(mine.where(managers.c.id.in_(some))) for some in chunks(sorted(ids)))
        return {row.id: _user(row) for page in pages for row in page}

    def called(self, crm: str, name: str) -> str | None:
        """The id of the user whose id, user name or name this is."""
        whose = or_(managers.c.id == name, managers.c.user_name == name, managers.c.name == name)
        mine = select(managers.c.id).where(managers.c.crm == crm, whose).order_by(managers.c.id != name, managers.c.id)
        found: str | None = self._conn.scalar(mine.limit(1))
        return found

    def everybody(self) -> dict[str, User]:
        """The users of all CRMs, by id."""
        return {row.id: _user(row) for row in self._conn.execute(select(managers).order_by(managers.c.crm.desc()))}

    def keep_users(self, crm: str, seen: Iterable[User]) -> None:
        """Write users down as they are now."""
        rows = [
            {
                "crm": crm,
                "id": user.id,
                "user_name": storable(user.user_name, 200),
                "name": user.name,
                "teams": json.dumps(list(user.teams), ensure_ascii=False),
                "seen_at": self._now,
            }
            for user in seen
        ]
        if rows:
            put = upsert(self._conn, managers)
            changed = {name: put.excluded[name] for name in ("user_name", "name", "teams", "seen_at")}
            self._conn.execute(put.on_conflict_do_update(index_elements=["crm", "id"], set_=changed), rows)

    def histories(self, records: Collection[Record]) -> dict[Record, list[Holding]]:
        """Whose each record was, the earliest first; what was never seen is left out."""
        found: dict[Record, list[Holding]] = {}
        for some in chunks(sorted({record_id for _, _, record_id in records})):
            mine = select(holders).where(holders.c.record_id.in_(some)).order_by(holders.c.since)
            for row in self._conn.execute(mine):
                groups = {group: Decimal(weight) for group, weight in json.loads(row.groups).items()}
                record = (row.crm, row.entity, row.record_id)
                found.setdefault(record, []).append(Holding(row.since, row.manager, groups))
        return {record: one for record, one in found.items() if record in records}

    def hold(self, record: Record, manager: str, groups: Mapping[str, Decimal]) -> bool:
        """Note whose the record is now; False when that is known already."""
        known = self.histories([record]).get(record)
        if known and (known[-1].manager, known[-1].groups) == (manager, dict(groups)):
            return False
        crm, entity, record_id = record
        told = json.dumps({group: str(weight) for group, weight in sorted(groups.items())}, ensure_ascii=False)
        values = {"crm": crm, "entity": entity, "record_id": record_id, "manager": manager, "groups": told}
        put = upsert(self._conn, holders).values(**values, since=self._now)
        names = ["crm", "entity", "record_id", "since"]
        self._conn.execute(put.on_conflict_do_update(index_elements=names, set_={"manager": manager, "groups": told}))
        return True


def _user(row: Row[Any]) -> User:
    return User(row.id, row.user_name, row.name, tuple(json.loads(row.teams)))
