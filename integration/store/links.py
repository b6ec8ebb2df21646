"""Links: a CRM record ⇄ a 1C object, one row each, brought to a new state by an upsert."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from integration.store.boxes import upsert
from integration.store.schema import links
from integration.work import Link


class SqlLinks:
    """The links within one transaction."""

    def __init__(self, conn: Connection, now: datetime) -> None:
        self._conn, self._now = conn, now

    def find(self, crm: str, entity: str, record_id: str, base: str, kind: str) -> Link | None:
        row = self._conn.execute(
            select(links).where(
                links.c.crm == crm,
                links.c.entity == entity,
                links.c.record_id == record_id,
                links.c.base == base,
                links.c.kind == kind,
            )
        ).one_or_none()
        return as_link(row) if row else None

    def by_ref(self, base: str, kind: str, ref_key: str) -> list[Link]:
        same = (links.c.base == base, links.c.kind == kind, links.c.ref_key == ref_key)
        return [as_link(row) for row in self._conn.execute(select(links).where(*same))]

    def of_record(self, crm: str, entity: str, record_id: str) -> list[Link]:
        """Every link of one CRM record, whatever base and kind."""
        same = (links.c.crm == crm, links.c.entity == entity, links.c.record_id == record_id)
        return [as_link(row) for row in self._conn.execute(select(links).where(*same))]

    def bind(self, link: Link) -> None:
        state = {
            "ref_key": link.ref_key,
            "key": link.key,
            "state": link.state,
            "version": link.version,
            "crm_version": link.crm_version,
            "agreed": json.dumps(dict(link.agreed), ensure_ascii=False),
            "updated_at": self._now,
        }
        names = {
            "crm": link.crm,
            "entity": link.entity,
            "record_id": link.record_id,
            "base": link.base,
            "kind": link.kind,
        }
        statement = upsert(self._conn, links).values(**names, **state, created_at=self._now)
        self._conn.execute(statement.on_conflict_do_update(index_elements=list(names), set_=state))


def as_link(row: Row[Any]) -> Link:
    values = row._asdict()
    values["agreed"] = json.loads(values["agreed"])
    del values["created_at"], values["updated_at"]
    return Link(**values)
