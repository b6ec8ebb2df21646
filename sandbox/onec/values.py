"""Values: from a request's JSON to what is stored, and from there to the wire.

Stored: text, ``bool``, ``int`` for Edm.Int64, normalised ``Decimal`` for Edm.Double, dates and guids as text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sandbox.onec.errors import ODataError, internal
from sandbox.onec.schema import EMPTY_REF, NAMESPACE, SYSTEM_FIELDS, UNDEFINED, Entity, Field, Schema

GUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


class Unchanged(Exception):
    """The value is silently not taken: the field keeps what it held (contract 0.3)."""


def number(value: Decimal) -> Decimal:
    """Without trailing zeros and without an exponent: 100, 22729.17."""
    value = value.normalize()
    exponent = value.as_tuple().exponent
    return value.quantize(Decimal(1)) if isinstance(exponent, int) and exponent > 0 else value


def moment(text: str) -> str:
    """A naive point in time; ValueError when it is none or carries a zone."""
    if not MOMENT.fullmatch(text):
        raise ValueError(text)
    datetime.strptime(text, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 – 1C's times are naive
    return text


def unparsable() -> ODataError:
    """Code 1: the text is no Guid, Boolean or DateTime."""
    return ODataError(1, "Cannot parse the string")


def taken(schema: Schema, field: Field, value: Any) -> Any:
    """One JSON value as it is stored; Unchanged when 1C would quietly leave the field alone."""
    kind = field.kind
    if value is None:
        return field.default
    if kind in ("str", "text", "fix"):
        text = str(value)
        return text[: field.length] if field.length else text
    if kind == "enum":
        if value != "" and value not in schema.enums.get(field.enum, (value,)):
            raise ODataError(4, f"Bad value of property {field.name}")
        return value
    if kind == "int":
        if isinstance(value, bool) or not re.fullmatch(r"-?\d+", str(value)):
            raise Unchanged  # seen on one live field: 200, value unchanged
        return int(value)
    if kind == "num":
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise ODataError(4, f"Bad value of property {field.name}")
        return number(Decimal(value).quantize(Decimal(1).scaleb(-field.digits), ROUND_HALF_UP))
    if kind == "bool":
        if not isinstance(value, bool):
            raise unparsable()
        return value
    if not isinstance(value, str):
        raise unparsable()
    if kind == "date":
        try:
            return moment(value)
        except ValueError:
            raise unparsable() from None
    if kind in ("ref", "guid"):
        if value == "":
            return EMPTY_REF
        if not GUID.fullmatch(value):
            raise unparsable()
        return value.lower()
    return value


def take_fields(
    schema: Schema, known: Mapping[str, Field], body: Mapping[str, Any], old: dict[str, Any]
) -> dict[str, Any]:
    """``old`` with what ``body`` sets. Unknown names are passed over silently (contract 0.3)."""
    new = dict(old)
    for name, value in body.items():
        field = known.get(name)
        if field is None:
            if name.endswith("@odata.bind"):
                bind(known, name.removesuffix("@odata.bind"), value, new)
        elif field.kind not in ("any", "type"):
            try:
                new[name] = taken(schema, field, value)
            except Unchanged:
                continue
    for name, field in known.items():
        if field.kind == "any" and (name in body or f"{name}_Type" in body):
            take_composite(field, body, new)
    return new


def take_composite(field: Field, body: Mapping[str, Any], new: dict[str, Any]) -> None:
    """A composite value counts only together with its type; alone it is quietly lost [U]."""
    typename = body.get(f"{field.name}_Type", new[f"{field.name}_Type"]) or UNDEFINED
    full = typename if str(typename).startswith(f"{NAMESPACE}.") else f"{NAMESPACE}.{typename}"
    value = body.get(field.name, new[field.name]) or ""
    if full == UNDEFINED:
        new[field.name], new[f"{field.name}_Type"] = "", UNDEFINED
        return
    if full.removeprefix(f"{NAMESPACE}.") not in field.targets:
        raise ODataError(4, f"Bad value of property {field.name}_Type")
    if not GUID.fullmatch(str(value) or EMPTY_REF):
        raise unparsable()
    new[field.name], new[f"{field.name}_Type"] = str(value).lower() or EMPTY_REF, full


def bind(known: Mapping[str, Field], nav: str, value: Any, new: dict[str, Any]) -> None:
    """``Организация@odata.bind``: ``Catalog_Организации(guid'…')`` (contract section 4)."""
    found = re.fullmatch(r"(?:.*/)?(\w+)\(guid'([^']*)'\)", str(value))
    field = known.get(f"{nav}_Key")
    if field is None:
        return
    if found is None or found[1] not in field.targets or not GUID.fullmatch(found[2]):
        raise ODataError(4, f"Bad value of property {nav}")
    new[f"{nav}_Key"] = found[2].lower()


def take_rows(
    schema: Schema, known: Mapping[str, Field], rows: Any, ref: str, *, numbered: bool = True
) -> list[dict[str, Any]]:
    """A section as a whole, numbered 1..n: a missing number is 500/-1, another start 400 (contract 0.4)."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ODataError(2, "Bad request format")
    found = []
    for place, row in enumerate(rows, 1):
        if numbered:
            if row.get("LineNumber") in (None, ""):
                raise internal()
            if str(row["LineNumber"]) != str(place):
                raise ODataError(2, "Bad request format: LineNumber")
        blank = {name: field.default for name, field in known.items()}
        new = take_fields(schema, known, {k: v for k, v in row.items() if k not in ("Ref_Key", "LineNumber")}, blank)
        found.append(new | {"Ref_Key": ref, "LineNumber": place})
    return found


def take(
    schema: Schema, entity: Entity, body: Mapping[str, Any], old: dict[str, Any], *, trusted: bool = False
) -> dict[str, Any]:
    """An object after ``body``; sections in it are replaced whole. ``trusted`` (seeding) obeys system fields."""
    allowed = body if trusted else {k: v for k, v in body.items() if k not in SYSTEM_FIELDS or k in entity.keys}
    if not trusted and entity.keys == ("Ref_Key",):
        allowed = {k: v for k, v in allowed.items() if k != "Ref_Key"}
    new = take_fields(schema, entity.fields, allowed, old)
    for section, known in entity.rows.items():
        if section in body:
            new[section] = take_rows(schema, known, body[section], new["Ref_Key"], numbered=not trusted)
    return new


def blank(entity: Entity) -> dict[str, Any]:
    """A new object with nothing filled."""
    return {name: field.default for name, field in entity.fields.items()} | {name: [] for name in entity.rows}


def told(field: Field, value: Any) -> Any:
    """A stored value as JSON: Int64 as text, fixed strings padded (contract 0.5 and section 2)."""
    if field.kind == "int":
        return str(value)
    if field.kind == "fix":
        return str(value).ljust(field.length)
    return value


def filled(field: Field, value: Any) -> bool:
    """Whether a reference leads somewhere, so that a link stands for it."""
    return field.kind == "ref" and value != EMPTY_REF
