"""Бухгалтерия 3.0: counterparties with all their requisites, page by page, brought to agreed values, what changed
(contract ONEC-ODATA, sections 3, 4 and 7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from marshmallow import ValidationError

from mappers.canonical import Party
from mappers.dialect import Call, Changes, Fault, Reply, Talk
from mappers.fields import Phone
from mappers.onec.atom import changed_refs
from mappers.onec.bp_base import COUNTERPARTY, Base30, live
from mappers.onec.odata import EMPTY_REF, getting, guid, listing, number_of, patching, quoted, read_entity, read_rows
from mappers.onec.odata import text_of as text
from mappers.onec.odata import write as written
from mappers.onec.readback import verify
from mappers.onec.refusals import answer, checked, garbled
from mappers.wire import clean

CONTACTS = "КонтактнаяИнформация"
_PHONE, _MAIL, _ADDRESS = "Телефон", "АдресЭлектроннойПочты", "Адрес"
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


class Parties(Base30):
    """Talks about counterparties. All of them raise Fault as `refusals` says."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.exchange_plan = str(options.get("exchange_plan") or "")

    @property
    def party_fields(self) -> frozenset[str]:
        """The fields of a Party that can be written here: an address has parts of its own, which only 1C's form fills
        in, so it is read and never written."""
        has = {name for name, theirs in _FIELDS.items() if self.model.has(COUNTERPARTY, theirs)}
        return frozenset(has | {"phone", "email"})

    def party(self, ref_key: str) -> Talk[Party | None]:
        """A counterparty with everything that 1C keeps of it; None when it is gone, marked for deletion or a folder."""
        row = yield from read_entity(getting("чтение контрагента", COUNTERPARTY, ref_key))
        return _party(row) if row is not None and live(row) else None

    def parties(self, inn: str) -> Talk[list[Party]]:
        """Every live counterparty with this ИНН."""
        rows = yield from read_rows(listing("поиск контрагента по ИНН", COUNTERPARTY, f"ИНН eq {quoted(inn)}"))
        return [_party(row) for row in rows if live(row) and text(row, "ИНН") == inn]

    def update_counterparty(self, ref_key: str, version: str, changes: Mapping[str, str]) -> Talk[Party]:
        """Bring fields (ours → value) to their values: re-read, compare the version (Fault conflict), PATCH what
        differs, compare what 1C stored. A phone or a mail is changed where one stands; a new row would need its kind,
        which each base has of its own, so it is left out (the answer shows what stands)."""
        row = yield from read_entity(getting("чтение контрагента", COUNTERPARTY, ref_key))
        if row is None or not live(row):
            raise Fault("rejected", "контрагент в 1С помечен на удаление или удалён, обновлять нечего")
        if version and text(row, "DataVersion") != version:  # 1C ignores If-Match (trap 1): compared here
            raise Fault("conflict", "контрагента в 1С только что изменил кто-то другой")
        body = self._differing(row, changes)
        if not body:
            return _party(row)
        yield from written(patching("обновление контрагента", COUNTERPARTY, ref_key, body))
        stored = yield from read_entity(getting("чтение обновлённого контрагента", COUNTERPARTY, ref_key))
        if stored is None:
            raise Fault("rejected", "контрагент удалён в 1С, пока его обновляли")
        verify(f"контрагент «{text(stored, 'Description')}»", body, stored)
        return _party(stored)

    def all_counterparties(self, skip: int, top: int) -> Talk[tuple[list[Party], int, int]]:
        """One page in the order of codes: the live ones, how many rows 1C sent (fewer than `top`: the last page), and
        the bytes they took, for the size of the next page."""
        filter_ = "DeletionMark eq false and IsFolder eq false"
        select = ",".join((*_SELECT, CONTACTS))
        call = listing("страница контрагентов", COUNTERPARTY, filter_, top=top, skip=skip, order=_ORDER, select=select)
        reply = yield call
        rows = _rows(call, reply)
        return [_party(row) for row in rows if live(row)], len(rows), len(reply.body)

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
        """The fields that differ, as 1C takes them; a section goes whole (trap 4)."""
        body: dict[str, Any] = {}
        for ours, value in changes.items():
            theirs = _FIELDS.get(ours)
            if theirs is None or not self.model.has(COUNTERPARTY, theirs):
                continue
            usual = _DESCRIPTION if ours == "name" else None
            fitting = self.model.fitting(COUNTERPARTY, theirs, clean(value), usual)
            if text(row, theirs) != fitting:
                body[theirs] = fitting
        rows = [dict(each) for each in row.get(CONTACTS) or ()]
        if any([_changed(rows, _PHONE, changes.get("phone")), _changed(rows, _MAIL, changes.get("email"))]):
            body[CONTACTS] = [_sent(each, str(number)) for number, each in enumerate(rows, 1)]
        return body


def _rows(call: Call, reply: Reply) -> list[dict[str, Any]]:
    value = answer(call, reply)
    rows = value.get("value") if isinstance(value, dict) else None
    if not isinstance(rows, list):
        raise garbled(call, reply)
    return [row for row in rows if isinstance(row, dict)]


def _changed(rows: list[dict[str, Any]], kind: str, value: str | None) -> bool:
    """Whether the first contact of this kind was changed to `value`; None: leave it."""
    field = {_PHONE: "НомерТелефона", _MAIL: "АдресЭП"}[kind]
    for each in rows:
        if each.get("Тип") != kind or value is None:
            continue
        if _plain(each, kind) == value:
            return False
        each |= {"Представление": value, field: value}
        for machine in ("ЗначенияПолей", "Значение"):  # 1C derives both from what is shown; a stale one would win
            if machine in each:
                each[machine] = ""
        return True
    return False


def _sent(row: Mapping[str, Any], number: str) -> dict[str, Any]:
    """A row as it may be sent back: without its owner, with the number that 1C demands."""
    kept = {name: value for name, value in row.items() if name != "Ref_Key" and "@" not in name}
    return kept | {"LineNumber": number}


def _party(row: Mapping[str, Any]) -> Party:
    contacts = [each for each in row.get(CONTACTS) or () if isinstance(each, dict)]
    found: dict[str, Any] = {name: text(row, theirs) for name, theirs in _FIELDS.items()}
    ref_key = str(row["Ref_Key"]).lower()
    return Party(
        **found,
        phone=_first(contacts, _PHONE),
        email=_first(contacts, _MAIL),
        address=_first(contacts, _ADDRESS),
        id=ref_key,
        ref_key="" if ref_key == EMPTY_REF else ref_key,
        version=text(row, "DataVersion"),
    )


def _first(rows: Iterable[Mapping[str, Any]], kind: str) -> str:
    """The first contact of this kind; of addresses a legal one before others."""
    fit = [row for row in rows if row.get("Тип") == kind]
    fit.sort(key=lambda row: "юр" not in str(row.get("Вид") or "").casefold())
    return _plain(fit[0], kind) if fit else ""


def _plain(row: Mapping[str, Any], kind: str) -> str:
    shown = clean(text(row, "Представление"))
    if kind == _MAIL:
        return clean(text(row, "АдресЭП")) or shown
    if kind == _PHONE:
        try:
            return str(Phone().deserialize(shown or text(row, "НомерТелефона")))
        except ValidationError:  # shown as people typed it
            return shown
    return shown
