"""Change capture: nodes of ``ExchangePlan_Обмен``, SelectChanges, NotifyChangesReceived (contract section 7).

A change is registered for each other node. A packet holds every registered change, whether an earlier packet
already carried it or not: repeating a number gives the old ones and the new ones. A receipt for number N forgets
what went out in packets up to N and has not changed since.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandbox.onec import atom
from sandbox.onec.errors import ODataError, no_instance
from sandbox.onec.store import Record
from sandbox.onec.values import GUID

if TYPE_CHECKING:
    from sandbox.onec.base import Base

PLAN = "ExchangePlan_Обмен"
ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
Change = tuple[str, Any]


class Exchange:
    """Registered changes of all nodes: ``{node: {(set, key): number of the packet, or None}}``."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._changes: dict[str, dict[Change, int | None]] = {}

    def register(self, name: str, key: Any) -> None:
        """Note a change for every other node; independent registers and the plan itself are not in the plan."""
        if name.startswith(("Catalog_", "Document_")):
            table = self._base.store.tables.get(PLAN)
            for node, record in table.records.items() if table is not None else ():
                if not record.data["ThisNode"]:
                    self._changes.setdefault(node, {})[name, key] = None

    def forget(self) -> None:
        """Drop all registered changes."""
        self._changes.clear()

    def told(self) -> dict[str, int]:
        """How many changes wait for each node."""
        return {node: len(changes) for node, changes in self._changes.items()}

    def select(self, point: str, number: int, root: str) -> str:
        """The packet as an Atom feed; it is never JSON. An unpublished set is left out silently (contract 0.10)."""
        base = self._base
        node = self._node(point)
        stamp = f"{base.now()}Z"
        changes = self._changes.setdefault(node, {})
        entries = []
        for name, key in changes:
            table = base.store.tables.get(name)
            if table is None:
                continue
            record = table.records.get(key)
            if record is None:
                entries.append(atom.tombstone(table.entity, key, root, stamp))
            else:
                entries.append(atom.entry(table.entity, record.data, root, stamp))
        if any(ILLEGAL.search(text) for text in entries):
            raise ODataError(2, "Недопустимый символ XML", 400)  # one such value stops the whole packet
        for change in changes:
            changes[change] = number
        self._advance(node, SentNo=number)
        return atom.feed("SelectChanges", entries, root, stamp)

    def notify(self, point: str, number: int) -> None:
        """The receipt of a packet."""
        node = self._node(point)
        kept = self._changes.get(node, {})
        self._changes[node] = {change: n for change, n in kept.items() if n is None or n > number}
        self._advance(node, ReceivedNo=number)

    def _advance(self, node: str, **numbers: int) -> None:
        table = self._base.table(PLAN)
        record = table.records[node]
        grown = {name: max(record.data[name], value) for name, value in numbers.items()}
        table.put(Record(record.data | grown, record.version))

    def _node(self, point: str) -> str:
        found = re.search(rf"{PLAN}\(guid'({GUID.pattern})'\)$", point)
        table = self._base.table(PLAN)
        if found is None or found[1].lower() not in table.records:
            raise no_instance()
        if table.records[found[1].lower()].data["ThisNode"]:
            raise ODataError(2, "Bad request format: DataExchangePoint")
        return found[1].lower()
