"""EspoCRM's attributes → a deal, its lines, a client. Odd values never stop a record: each falls to its empty value.

Only lines that can't be read are refused, since a guessed position would be a wrong invoice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from marshmallow import ValidationError, fields

from mappers.canonical import Deal, DealLine, Party, User
from mappers.crm.espocrm.options import LINE_NAMES, Lines, Options
from mappers.crm.espocrm.talk import PAGE, Api, ask_list, search, usable_id
from mappers.dialect import Fault, Talk
from mappers.fields import Amount, EspoTime, Inn, Name, Phone
from mappers.wire import clean, parse_json, rounded

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AMOUNT, _TIME, _INN, _NAME, _PHONE, _DATE = Amount(), EspoTime(), Inn(), Name(), Phone(), fields.Date()
_ADDRESS = ("PostalCode", "Country", "State", "City", "Street")  # the order in which Russia writes an address
_VAT = re.compile(r"(?:НДС)?\s*(\d{1,2})\s*%?", re.IGNORECASE)
_NO_VAT = frozenset({"none", "без ндс", "безндс", "не облагается"})


def deal(options: Options, raw: Mapping[str, Any], lines: tuple[DealLine, ...] | None = None) -> Deal:
    """The deal that these attributes say. Times are UTC; an unknown one is the other's, else 1970 (never due)."""
    modified = _take(_TIME, raw.get("modifiedAt"), None)
    created = _take(_TIME, raw.get("createdAt"), None) or modified or _EPOCH
    return Deal(
        id=str(raw.get("id") or ""),
        name=_take(_NAME, raw.get("name"), ""),
        stage=text(raw.get("stage")),
        amount=_take(_AMOUNT, raw.get("amount"), None),
        currency=text(raw.get("amountCurrency")),
        account_id=text(raw.get("accountId")),
        created_at=created,
        modified_at=modified or created,
        version=version(raw),
        manager_id=text(raw.get(f"{options.manager}Id")),
        manager_name=_take(_NAME, raw.get(f"{options.manager}Name"), ""),
        contact_id=_contact(raw),
        lines=lines,
        organisation=_inn(named(options, raw, "organisation")),
        retention_amount=_take(_AMOUNT, named(options, raw, "retention_amount"), None),
        retention_date=_date(named(options, raw, "retention_date")),
        raw=dict(raw),
    )


def party(options: Options, raw: Mapping[str, Any]) -> Party:
    """The client. ИНН and КПП are cleaned of spaces, not judged: the flow refuses a wrong one by its value."""
    parts = (text(raw.get(f"billingAddress{part}")) for part in _ADDRESS)
    return Party(
        name=_take(_NAME, raw.get("name"), ""),
        inn=_inn(named(options, raw, "inn")),
        kpp=_code(named(options, raw, "kpp")),
        ogrn=_code(named(options, raw, "ogrn")),
        full_name=_take(_NAME, named(options, raw, "full_name"), ""),
        address=", ".join(part for part in parts if part),
        phone=_take(_PHONE, raw.get("phoneNumber"), ""),
        email="" if raw.get("emailAddressIsInvalid") is True else text(raw.get("emailAddress")),
        id=str(raw.get("id") or ""),
        ref_key=text(named(options, raw, "ref_key")),
        version=version(raw),
        modified_at=_take(_TIME, raw.get("modifiedAt"), None),
        manager_id=text(raw.get(f"{options.account_manager}Id")),
    )


def user(raw: Mapping[str, Any]) -> User:
    """A user with his teams, by id and by name."""
    teams, named = raw.get("teamsIds"), raw.get("teamsNames")
    ids = [str(one) for one in teams] if isinstance(teams, list) else []
    names = [str(one) for one in named.values()] if isinstance(named, Mapping) else []
    return User(str(raw.get("id") or ""), text(raw.get("userName")), text(raw.get("name")), (*ids, *names))


def _contact(raw: Mapping[str, Any]) -> str:
    """The deal's main contact, else its first one."""
    listed = raw.get("contactsIds")
    named = [raw.get("contactId"), *(listed if isinstance(listed, list) else ())]
    return next((str(one) for one in named if usable_id(one)), "")


def read_lines(api: Api, options: Options, raw: Mapping[str, Any]) -> Talk[tuple[DealLine, ...] | None]:
    """The deal's positions as configured; None when it has none. Raises Fault rejected naming field and line."""
    lines = options.lines
    if lines is None:
        return None
    rows: list[Any]
    if lines.source == "field":
        rows = _rows_of_field(lines.field, raw.get(lines.field))
    else:
        rows = yield from _rows_of_entity(api, lines, str(raw.get("id")))
    if not rows:
        return None
    where = f"поле {lines.field}" if lines.source == "field" else f"позиции {lines.entity}"
    return tuple(_line(lines, row, f"{where}, строка {number}") for number, row in enumerate(rows, 1))


def named(options: Options, raw: Mapping[str, Any], ours: str) -> Any:
    """The value of one of our fields under the CRM's name; None when it isn't used."""
    theirs = options.fields.get(ours)
    return raw.get(theirs) if theirs else None


def version(raw: Mapping[str, Any]) -> str:
    """versionNumber as text; empty where the entity keeps none (contract §3.5)."""
    number = raw.get("versionNumber")
    return "" if number is None else str(number)


def text(value: Any) -> str:
    return clean(value) if isinstance(value, str) else ""


def _take(field: fields.Field[Any], value: Any, empty: T) -> Any | T:
    if value is None:
        return empty
    try:
        return field.deserialize(value)
    except ValidationError:
        return empty


def _code(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    return re.sub(r"\s", "", clean(str(value)))


def _inn(value: Any) -> str:
    code = _code(value)
    return str(_take(_INN, code, code)) if code else ""


def _date(value: Any) -> date | None:
    found: date | None = _take(_DATE, value[:10] if isinstance(value, str) else None, None)
    return found


def _rows_of_field(field: str, value: Any) -> list[Any]:
    if value is None or value == "" or value == []:
        return []
    rows = value
    if isinstance(value, str):
        try:
            rows = parse_json(value)
        except ValueError:
            raise Fault("rejected", f"поле {field}: позиции должны быть в JSON", detail=value[:300]) from None
    if not isinstance(rows, list):
        raise Fault("rejected", f"поле {field}: нужен список позиций в квадратных скобках", detail=str(value)[:300])
    return rows


def _rows_of_entity(api: Api, lines: Lines, deal_id: str) -> Talk[list[Any]]:
    rows: list[Any] = []
    wanted = ["id", *(lines.name(ours) for ours in LINE_NAMES if lines.name(ours))]
    while True:
        params = search(
            where=[{"type": "equals", "attribute": lines.deal, "value": deal_id}],
            select=wanted,
            orderBy=lines.order,
            order="asc",
            offset=len(rows),
            maxSize=PAGE,
        )
        page, total = yield from ask_list(api.get("позиции сделки", lines.entity, params))
        rows += page
        if not page or len(rows) >= total:
            return rows


def _line(lines: Lines, row: Any, where: str) -> DealLine:
    def refused(told: str) -> Fault:
        return Fault("rejected", f"{where}: {told}", detail=str(row)[:300])

    def number(ours: str) -> Decimal | None:
        value = _of(lines, row, ours)
        if value is None or value == "":
            return None
        try:
            found: Decimal = _AMOUNT.deserialize(value)
        except ValidationError as error:
            raise refused(f"{lines.name(ours)} {error.messages[0]}") from None
        return found

    if not isinstance(row, Mapping):
        raise refused("позиция должна быть объектом с полями name, quantity, price, amount")
    name = text(_of(lines, row, "name"))
    if not name:
        raise refused("у позиции нет названия")
    quantity, price, amount = number("quantity"), number("price"), number("amount")
    quantity = Decimal(1) if quantity is None else quantity
    if quantity <= 0:
        raise refused("количество должно быть больше нуля")
    if amount is None:
        if price is None:
            raise refused("нет ни цены, ни суммы")
        amount = quantity * price
    if price is None:
        price = rounded(amount / quantity)
    return DealLine(name, quantity, price, amount, _vat(_of(lines, row, "vat"), refused), *_named(row, lines))


def _of(lines: Lines, row: Mapping[str, Any], ours: str) -> Any:
    theirs = lines.name(ours)
    return row.get(theirs) if theirs else None


def _named(row: Mapping[str, Any], lines: Lines) -> tuple[str, str]:
    """The line's item and product group."""
    values = (_of(lines, row, "item"), _of(lines, row, "group"))
    item, group = (str(one) if isinstance(one, int) and not isinstance(one, bool) else text(one) for one in values)
    return item, group


def _vat(value: Any, refused: Any) -> str | None:
    word = text(str(value)) if isinstance(value, int | str | Decimal) else ""
    if not word:
        return None
    if word.lower() in _NO_VAT:
        return "none"
    found = _VAT.fullmatch(word)
    if not found:
        fault: Fault = refused(f"непонятная ставка НДС «{word[:40]}»; пример: 22, 10, 0, none")
        raise fault
    return str(int(found[1]))


def listed(options: Options, rows: Iterable[Mapping[str, Any]]) -> list[Deal]:
    """Deals of a list. A list shortens long texts and leaves attributes out, so lines and `raw` are left empty."""
    found = (deal(options, row) for row in rows if usable_id(row.get("id")))
    return [_without_raw(each) for each in found]


def _without_raw(full: Deal) -> Deal:
    full.raw.clear()
    return full
