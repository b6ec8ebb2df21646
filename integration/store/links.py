"""Links: a CRM record ⇄ a 1C object, one row each, brought to a new state by an upsert."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from integration.store.boxes import insert_for
from integration.store.schema import links
from integration.work import Link


class SqlLinks:
    """The links within one transaction."""

    def __init__(self, conn: Connection, now: datetime) -> None:
        self._conn, self._now = conn, now

    def find(self, crm: str, entity: str, record_id: str, base: str, kind: str) -> Link | None:
        names = {"crm": crm, "entity": entity, "record_id": record_id, "base": base, "kind": kind}
        row = self._conn.execute(_select(tuple(names)), names).one_or_none()
        return as_link(row) if row else None

    def by_ref(self, base: str, kind: str, ref_key: str) -> list[Link]:
        names = {"base": base, "kind": kind, "ref_key": ref_key}
        return [as_link(row) for row in self._conn.execute(_select(tuple(names)), names)]

    def of_record(self, crm: str, entity: str, record_id: str) -> list[Link]:
        """Every link of one CRM record, whatever base and kind."""
        names = {"crm": crm, "entity": entity, "record_id": record_id}
        return [as_link(row) for row in self._conn.execute(_select(tuple(names)), names)]

    def bind(self, link: Link) -> None:
        row = {
            "crm": link.crm,
            "entity": link.entity,
            "record_id": link.record_id,
            "base": link.base,
            "kind": link.kind,
            "ref_key": link.ref_key,
            "key": link.key,
            "state": link.state,
            "version": link.version,
            "crm_version": link.crm_version,
            "agreed": json.dumps(dict(link.agreed), ensure_ascii=False),
            "created_at": self._now,
            "updated_at": self._now,
        }
        self._conn.execute(_bind(self._conn.dialect.name), row)


@cache
def _select(names: tuple[str, ...]) -> Any:
    return select(links).where(*(links.c[name] == bindparam(name) for name in names))


@cache
def _bind(dialect: str) -> Any:
    put = insert_for(dialect, links)
    kept = {"created_at", *(column.name for column in links.primary_key)}
    state = {name: put.excluded[name] for name in links.c.keys() if name not in kept}  # noqa: SIM118 – columns, no dict
    return put.on_conflict_do_update(index_elements=list(links.primary_key), set_=state)


def as_link(row: Row[Any]) -> Link:
    values = row._asdict()
    values["agreed"] = json.loads(values["agreed"])
    del values["created_at"], values["updated_at"]
    return Link(**values)
