"""Бухгалтерия 3.0: phones, mails and the legal address of a client, rows of its section КонтактнаяИнформация.

A row belongs to a kind (Вид), an object of Catalog_ВидыКонтактнойИнформации that each base has under its own key; by
its predefined name it is the same everywhere. A row without one is stored, and shown by no form and no paper. An
address is written in the free form that 1C itself knows ("ВСвободнойФорме"); one that people filled in by its parts is
left to them (docs/decisions).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from marshmallow import ValidationError

from mappers.dialect import Fault, Talk
from mappers.fields import Phone
from mappers.onec.bp_base import COUNTERPARTY, Base30
from mappers.onec.odata import EMPTY_REF, listing, read_rows
from mappers.onec.odata import text_of as text
from mappers.wire import clean, dump_json, parse_json

CONTACTS, KINDS = "КонтактнаяИнформация", "Catalog_ВидыКонтактнойИнформации"
ROWS = f"{COUNTERPARTY}_{CONTACTS}"
CONTACT_SETS = (KINDS, ROWS)  # what $metadata is asked of them

_PHONE, _MAIL, _ADDRESS = "Телефон", "АдресЭлектроннойПочты", "Адрес"
_TYPES: Mapping[str, str] = {"phone": _PHONE, "email": _MAIL, "address": _ADDRESS}
# Predefined names of the kinds that a new row gets, the releases' own ways of writing them.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "phone": ("ТелефонКонтрагента", "ТелефонКонтрагенты"),
    "email": ("EmailКонтрагента", "EmailКонтрагенты"),
    "address": ("ЮрАдресКонтрагента", "ЮрАдресКонтрагенты"),
}
_MACHINE = ("ЗначенияПолей", "Значение")  # the same once more, in parts, for 1C's own code
_FREE = "ВСвободнойФорме"
_SHOWN = 500  # length of Представление where $metadata tells none

Kinds = Mapping[str, str]  # Ref_Key → predefined name


class Contacts(Base30):
    """What the talks about clients need of their contacts."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._contact_kinds: dict[str, str] | None = None

    @property
    def contact_fields(self) -> frozenset[str]:
        """The contacts of a Party that can be written in this base."""
        return frozenset(_TYPES) if self.model.published(KINDS) else frozenset({"phone", "email"})

    def contact_kinds(self) -> Talk[Kinds]:
        """The kinds of this base, read once; empty where they aren't published: then no row can be made."""
        if self._contact_kinds is None:
            try:
                # Whole rows: the name stands in one of two fields, and one that a release lacks can't be asked for.
                rows = yield from read_rows(listing("виды контактной информации", KINDS))
            except Fault as fault:
                if fault.kind == "transient":
                    raise
                rows = []
            names = {str(row["Ref_Key"]).lower(): _predefined(row) for row in rows}
            self._contact_kinds = {key: name for key, name in names.items() if name}
        return self._contact_kinds

    def kinds_for(self, rows: Iterable[Mapping[str, Any]]) -> Talk[Kinds]:
        """The kinds where `rows` (objects with contacts) can't be read without them: several addresses by reference."""
        if any(sum(one.get("Тип") == _ADDRESS for one in contacts_of(row)) > 1 for row in rows):
            return (yield from self.contact_kinds())
        return {}

    def new_contacts(self, wanted: Mapping[str, str]) -> Talk[list[dict[str, Any]]]:
        """The section of a new object. `wanted`: ours → value; empty ones make no row."""
        return (yield from self.changed_contacts([], wanted)) or []

    def changed_contacts(
        self, rows: Iterable[Mapping[str, Any]], wanted: Mapping[str, str]
    ) -> Talk[list[dict[str, Any]] | None]:
        """The whole section with `wanted` in it, as it may be sent back (trap 4); None: nothing differs."""
        standing = [dict(one) for one in rows]
        with_address = "address" in wanted and any(one.get("Тип") == _ADDRESS for one in standing)
        kinds = (yield from self.contact_kinds()) if with_address else {}
        changed = False
        for ours, theirs in _TYPES.items():
            value = wanted.get(ours)
            if value is None:
                continue
            value = self.model.fitting(ROWS, "Представление", clean(value), _SHOWN)
            # Another address (where the client is in fact) is not the legal one, and keeps its own.
            own = [one for one in standing if ours != "address" or _may_be_legal(one, kinds)]
            row = _first(own, theirs, kinds)
            if row is None:
                made = (yield from self._new_row(ours, value)) if value else None
                if made is not None:
                    standing.append(made)
                    changed = True
            elif _plain(row, theirs) != value and not (ours == "address" and _in_parts(row)):
                row |= {name: each for name, each in _values(ours, value).items() if name in row}
                changed = True
        return [_sent(each, str(number)) for number, each in enumerate(standing, 1)] if changed else None

    def _new_row(self, ours: str, value: str) -> Talk[dict[str, Any] | None]:
        kinds = yield from self.contact_kinds()
        names = {name: key for key, name in kinds.items()}
        kind = next((names[name] for name in _NAMES[ours] if name in names), None)
        if kind is None:
            return None
        row = {"Тип": _TYPES[ours], **self.model.reference(ROWS, "Вид", kind, KINDS), **_values(ours, value)}
        return {name: each for name, each in row.items() if _has(self, ROWS, name)}


def contacts_of(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The contacts of an object, whatever else 1C sent there."""
    rows = row.get(CONTACTS)
    return [one for one in rows if isinstance(one, Mapping)] if isinstance(rows, list) else []


def shown_contacts(row: Mapping[str, Any], kinds: Kinds) -> dict[str, str]:
    """Phone, mail and address of an object: the first of each, of addresses the legal one before others."""
    rows = contacts_of(row)
    found = {ours: _first(rows, theirs, kinds) for ours, theirs in _TYPES.items()}
    return {ours: _plain(one, _TYPES[ours]) if one is not None else "" for ours, one in found.items()}


def readable(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body as it is compared with what 1C stored: of contacts only what people read, 1C derives the rest itself."""
    seen = dict(body)
    if CONTACTS in seen:
        seen[CONTACTS] = [{name: one.get(name, "") for name in ("Тип", "Представление")} for one in seen[CONTACTS]]
    return seen


def _first(rows: Iterable[Any], kind: str, kinds: Kinds) -> Any:
    fit = [row for row in rows if row.get("Тип") == kind]
    fit.sort(key=lambda row: "юр" not in _kind_name(row, kinds).casefold())
    return fit[0] if fit else None


def _may_be_legal(row: Mapping[str, Any], kinds: Kinds) -> bool:
    name = _kind_name(row, kinds)
    return name in ("", EMPTY_REF) or "юр" in name.casefold()


def _kind_name(row: Mapping[str, Any], kinds: Kinds) -> str:
    """The kind's predefined name, or what stands there in its place: old releases write the name itself."""
    key = str(row.get("Вид_Key") or row.get("Вид") or "")
    return kinds.get(key.lower(), key)


def _values(ours: str, value: str) -> dict[str, Any]:
    """The fields of a row that hold the value itself. The machine's own are left empty: 1C derives them from what is
    shown, and a stale one would win; a free-form address says that it is one."""
    made: dict[str, Any] = {"Представление": value, **dict.fromkeys(_MACHINE, "")}
    digits = "".join(filter(str.isdigit, value))
    match ours:
        case "phone":
            made |= {"НомерТелефона": digits, "НомерТелефонаБезКодов": digits[-7:]}
        case "email":
            made |= {"АдресЭП": value, "ДоменноеИмяСервера": value.rpartition("@")[2]}
        case _ if value:
            told = {"version": 4, "value": value, "type": _ADDRESS, "addressType": _FREE}
            made["Значение"] = dump_json({**told, "country": "РОССИЯ", "countryCode": "643"}).decode()
            made["Страна"] = "РОССИЯ"
    return made


def _in_parts(row: Mapping[str, Any]) -> bool:
    """Whether people filled this address in by its parts, which a text can't replace."""
    machine = [text(row, name) for name in _MACHINE if text(row, name)]
    if not machine:
        return False
    try:
        told = parse_json(text(row, "Значение").encode())
    except ValueError:
        return True
    return not isinstance(told, dict) or told.get("addressType") != _FREE


def _sent(row: Mapping[str, Any], number: str) -> dict[str, Any]:
    """A row as it may be sent back: without its owner, with the number that 1C demands."""
    kept = {name: value for name, value in row.items() if name != "Ref_Key" and "@" not in name}
    return kept | {"LineNumber": number}


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


def _predefined(row: Mapping[str, Any]) -> str:
    return text(row, "PredefinedDataName") or text(row, "ИмяПредопределенногоВида")


def _has(base: Base30, set_name: str, field: str) -> bool:
    """Whether the base has the field; a model read before this set was asked for says nothing."""
    return not base.model.published(set_name) or base.model.has(set_name, field)
