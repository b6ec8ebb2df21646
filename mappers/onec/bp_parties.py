"""Бухгалтерия 3.0: counterparties with all their requisites, page by page, brought to agreed values, what changed
(contract ONEC-ODATA, sections 3, 4 and 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mappers.canonical import Party
from mappers.dialect import Call, Changes, Fault, Reply, Talk
from mappers.onec.atom import changed_refs
from mappers.onec.bp_base import COUNTERPARTY, live
from mappers.onec.bp_contacts import CONTACTS, Contacts, Kinds, contacts_of, readable, shown_contacts
from mappers.onec.odata import EMPTY_REF, getting, guid, listing, number_of, patching, quoted, read_entity, read_rows
from mappers.onec.odata import text_of as text
from mappers.onec.odata import write as written
from mappers.onec.readback import verify
from mappers.onec.refusals import answer, checked, garbled
from mappers.wire import clean

_DESCRIPTION = 100  # length of Description where $metadata tells none
# Ours → the header field; contacts stand in a section.
_FIELDS: Mapping[str, str] = {
    "name": "Description",
    "full_name": "НаименованиеПолное",
    "inn": "ИНН",
    "kpp": "КПП",
    "ogrn": "РегистрационныйНомер",
}
_SELECT = ("Ref_Key", "DataVersion", "DeletionMark", "IsFolder", *_FIELDS.values())
_ORDER = "Code,Ref_Key"  # Ref_Key alone orders by what is shown, and ties lose rows (trap 2)


class Parties(Contacts):
    """Talks about counterparties. All of them raise Fault as `refusals` says."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.exchange_plan = str(options.get("exchange_plan") or "")

    @property
    def party_fields(self) -> frozenset[str]:
        """The fields of a Party that can be written here."""
        has = {name for name, theirs in _FIELDS.items() if self.model.has(COUNTERPARTY, theirs)}
        return self.contact_fields | has

    def party(self, ref_key: str) -> Talk[Party | None]:
        """A counterparty with everything that 1C keeps of it; None when it is gone, marked for deletion or a folder."""
        row = yield from read_entity(getting("чтение контрагента", COUNTERPARTY, ref_key))
        if row is None or not live(row):
            return None
        return _party(row, (yield from self.kinds_for([row])))

    def parties(self, inn: str) -> Talk[list[Party]]:
        """Every live counterparty with this ИНН."""
        rows = yield from read_rows(listing("поиск контрагента по ИНН", COUNTERPARTY, f"ИНН eq {quoted(inn)}"))
        fit = [row for row in rows if live(row) and text(row, "ИНН") == inn]
        kinds = yield from self.kinds_for(fit)
        return [_party(row, kinds) for row in fit]

    def update_counterparty(self, ref_key: str, version: str, changes: Mapping[str, str]) -> Talk[Party]:
        """Bring fields (ours → value) to their values: re-read, compare the version (Fault conflict), PATCH what
        differs, compare what 1C stored. What can't be written (an address that people filled in by its parts, a contact
        in a base that doesn't publish their kinds) is left out, and the answer shows what stands."""
        row = yield from read_entity(getting("чтение контрагента", COUNTERPARTY, ref_key))
        if row is None or not live(row):
            raise Fault("rejected", "контрагент в 1С помечен на удаление или удалён, обновлять нечего")
        if version and text(row, "DataVersion") != version:  # 1C ignores If-Match (trap 1): compared here
            raise Fault("conflict", "контрагента в 1С только что изменил кто-то другой")
        body = self._differing(row, changes)
        contacts = yield from self.changed_contacts(contacts_of(row), changes)
        if contacts is not None:
            body[CONTACTS] = contacts
        if not body:
            return _party(row, (yield from self.kinds_for([row])))
        yield from written(patching("обновление контрагента", COUNTERPARTY, ref_key, body))
        stored = yield from read_entity(getting("чтение обновлённого контрагента", COUNTERPARTY, ref_key))
        if stored is None:
            raise Fault("rejected", "контрагент удалён в 1С, пока его обновляли")
        verify(f"контрагент «{text(stored, 'Description')}»", readable(body), stored)
        return _party(stored, (yield from self.kinds_for([stored])))

    def all_counterparties(self, skip: int, top: int) -> Talk[tuple[list[Party], int, int]]:
        """One page in the order of codes: the live ones, how many rows 1C sent (fewer than `top`: the last page), and
        the bytes they took, for the size of the next page."""
        filter_ = "DeletionMark eq false and IsFolder eq false"
        select = ",".join((*_SELECT, CONTACTS))
        call = listing("страница контрагентов", COUNTERPARTY, filter_, top=top, skip=skip, order=_ORDER, select=select)
        reply = yield call
        rows = _rows(call, reply)
        kinds = yield from self.kinds_for(rows)
        return [_party(row, kinds) for row in rows if live(row)], len(rows), len(reply.body)

    def versions(self, skip: int, top: int) -> Talk[list[tuple[str, str]]]:
        """(Ref_Key, DataVersion) of one page of all counterparties: what tells a changed one, as 1C keeps no time."""
        step, select = "версии контрагентов", "Ref_Key,DataVersion"
        rows = yield from read_rows(listing(step, COUNTERPARTY, top=top, skip=skip, order=_ORDER, select=select))
        return [(str(row["Ref_Key"]).lower(), text(row, "DataVersion")) for row in rows]

    def select_changes(self) -> Talk[Changes]:
        """What is registered for our node of the exchange plan: (set, Ref_Key, erased) each. One reader at a time, and
        `acknowledge` only after it is committed here: the same number once more gives old and new ones (section 7)."""
        node, number = yield from self._node()
        call = self._exchange("SelectChanges", node, number)
        reply = yield call
        checked(call, reply)
        try:
            return Changes(node, number, changed_refs(reply.body))
        except ValueError as error:
            raise Fault(
                "transient", "пакет изменений 1С не читается: это не Atom", detail=f"{error}: {reply.text[:200]}"
            ) from error

    def acknowledge(self, changes: Changes) -> Talk[None]:
        """1C may forget what this packet held."""
        call = self._exchange("NotifyChangesReceived", changes.node, changes.number)
        reply = yield call
        checked(call, reply)

    def _node(self) -> Talk[tuple[str, int]]:
        """Our node and the number of the next packet, ReceivedNo + 1."""
        plan = f"ExchangePlan_{self.exchange_plan}"
        rows = [row for row in (yield from read_rows(listing("узлы обмена", plan))) if not row.get("ThisNode")]
        rows = [row for row in rows if not row.get("DeletionMark")]
        ours = [row for row in rows if "crm1c" in f"{text(row, 'Code')} {text(row, 'Description')}".casefold()]
        fit = ours or rows
        if len(fit) != 1:
            there = ", ".join(text(row, "Description") for row in fit) or "ни одного"
            raise Fault(
                "misconfigured",
                f"в плане обмена {self.exchange_plan} нужен один узел для crm1c, а есть: {there}; "
                "назовите свой узел «crm1c»",
            )
        return str(fit[0]["Ref_Key"]).lower(), int(number_of(fit[0], "ReceivedNo")) + 1

    def _exchange(self, verb: str, node: str, number: int) -> Call:
        step = {"SelectChanges": "изменения по плану обмена", "NotifyChangesReceived": "квитанция плана обмена"}[verb]
        point = f"'{self.base_url}/ExchangePlan_{self.exchange_plan}({guid(node)})'"
        query = (("DataExchangePoint", point), ("MessageNo", str(number)))
        return Call(step, "POST", verb, query, headers={"Accept": "application/atom+xml"}, repeatable=True)

    def _differing(self, row: Mapping[str, Any], changes: Mapping[str, str]) -> dict[str, Any]:
        """The header fields that differ, as 1C takes them."""
        body: dict[str, Any] = {}
        for ours, value in changes.items():
            theirs = _FIELDS.get(ours)
            if theirs is None or not self.model.has(COUNTERPARTY, theirs):
                continue
            usual = _DESCRIPTION if ours == "name" else None
            fitting = self.model.fitting(COUNTERPARTY, theirs, clean(value), usual)
            if text(row, theirs) != fitting:
                body[theirs] = fitting
        return body


def _rows(call: Call, reply: Reply) -> list[dict[str, Any]]:
    value = answer(call, reply)
    rows = value.get("value") if isinstance(value, dict) else None
    if not isinstance(rows, list):
        raise garbled(call, reply)
    return [row for row in rows if isinstance(row, dict)]


def _party(row: Mapping[str, Any], kinds: Kinds) -> Party:
    found: dict[str, Any] = {name: text(row, theirs) for name, theirs in _FIELDS.items()}
    found |= shown_contacts(row, kinds)
    ref_key = str(row["Ref_Key"]).lower()
    return Party(
        **found,
        id=ref_key,
        ref_key="" if ref_key == EMPTY_REF else ref_key,
        version=text(row, "DataVersion"),
    )
