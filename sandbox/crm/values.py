"""From a request body to stored values: weak typing, silent omissions and the first failing field.

Source: contracts/ESPOCRM.md §3.1 (coercion, phones, currency) and §3.3 (validation bodies).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sandbox.crm.errors import crash, invalid
from sandbox.crm.metadata import Metadata

_EXTENSION = re.compile(r"\s*(?:,|;|#|доб\.?|ext\.?|x)\s*\d+\s*$", re.IGNORECASE)
_EMAIL = re.compile(r"^[^@\s<>,;]+@[^@\s<>,;]+\.[^@\s<>,;.]+$")
_DATE = re.compile(r"^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])$")
_DATETIME = re.compile(r"^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]) (?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?$")
_BAD_CHARACTERS = re.compile(r"[<>=]")
_PLAIN = {"varchar", "text", "wysiwyg", "url", "enum", "date", "datetime", "password"}


def phone(raw: Any) -> str | None:
    """``+7 (495) 123-45-67`` -> ``+74951234567``; an extension is dropped; None: refused (§3.1)."""
    if not isinstance(raw, str):
        return None
    number = re.sub(r"[\s()\-.]", "", _EXTENSION.sub("", raw.strip()))
    if not re.fullmatch(r"\+[1-9]\d{6,14}", number):
        return None
    return None if number.startswith("+7") and len(number) != 12 else number


def stringified(raw: Any) -> str | None:
    """PHP's own cast to string, with ``""`` becoming null; a list is the word ``Array`` (§3.1)."""
    if raw is None:
        return None
    if isinstance(raw, bool):
        return "1" if raw else None
    if isinstance(raw, list):
        return "Array"
    if isinstance(raw, dict):
        raise crash()
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    return str(raw).strip() or None


def number(raw: Any) -> float | int | None:
    """A number or a numeric string as PHP takes it; whole floats come back as int, as its JSON shows them."""
    if isinstance(raw, bool) or raw is None or raw == "":
        return None
    try:
        value = float(raw)
    except (TypeError, ValueError):
        return None
    return int(value) if value.is_integer() else value


def truth(raw: Any) -> bool:
    return raw not in (None, False, 0, "", "0", "false")


class Cleaner:
    """Turns bodies of one CRM into attribute values; raises the 400 of the first failing field."""

    def __init__(self, meta: Metadata, currencies: Callable[[], dict[str, Any]]) -> None:
        self._meta = meta
        self._currencies = currencies

    def clean(self, entity: str, body: dict[str, Any], *, new: bool, internal: bool = False) -> dict[str, Any]:
        """What of the body is to be stored. Unknown, system and read-only attributes vanish without a word (§3.1)."""
        out: dict[str, Any] = {}
        for field, defs in self._meta.fields[entity].items():
            if defs.get("readOnly") and not internal:
                continue
            self._field(entity, field, defs, body, out)
            if new and field not in out and defs.get("default") is not None:
                out[field] = defs["default"]
            if defs.get("required") and (new or field in out) and out.get(field) is None:
                raise invalid(entity, field, "required")
        return out

    def _field(self, entity: str, field: str, defs: dict[str, Any], body: dict[str, Any], out: dict[str, Any]) -> None:
        kind = defs["type"]
        if kind in _PLAIN:
            if field in body:
                out[field] = self._text(entity, field, defs, stringified(body[field]))
        elif kind in ("email", "phone"):
            self._contact(entity, field, kind, body, out)
        elif kind == "currency":
            self._currency(entity, field, defs, body, out)
        elif kind == "address":
            for part in ("Street", "City", "State", "Country", "PostalCode"):
                if field + part in body:
                    out[field + part] = self._text(entity, field, {"maxLength": 255}, stringified(body[field + part]))
        elif kind in ("link", "file"):
            if field + "Id" in body:
                out[field + "Id"] = stringified(body[field + "Id"])
        elif kind == "linkParent":
            out.update({a: stringified(body[a]) for a in (field + "Id", field + "Type") if a in body})
        elif kind in ("linkMultiple", "attachmentMultiple"):
            ids = body.get(field + "Ids")
            if isinstance(ids, list):
                out[field + "Ids"] = [i for i in ids if isinstance(i, str)]
        elif kind == "bool":
            if field in body:
                out[field] = truth(body[field])
        elif kind in ("int", "float"):
            if field in body:
                out[field] = self._number(entity, field, defs, body[field])
        elif kind != "personName" and field in body:  # json, arrays: taken as they are
            out[field] = body[field]

    @staticmethod
    def _text(entity: str, field: str, defs: dict[str, Any], value: str | None) -> str | None:
        if value is None:
            return None
        kind = defs.get("type")
        if kind == "enum" and value not in defs.get("options", [value]):
            raise invalid(entity, field, "valid")
        if kind == "date" and not _DATE.match(value):
            raise invalid(entity, field, "valid")
        if kind == "datetime":
            if not _DATETIME.match(value):
                raise invalid(entity, field, "valid")
            return value if len(value) == 19 else value + ":00"
        if defs.get("maxLength") and len(value) > defs["maxLength"]:
            raise invalid(entity, field, "maxLength")
        if defs.get("pattern") and _BAD_CHARACTERS.search(value):
            raise invalid(entity, field, "pattern")
        return value

    @staticmethod
    def _number(entity: str, field: str, defs: dict[str, Any], raw: Any) -> float | int | None:
        value = number(raw)
        if value is None:
            return None
        if defs["type"] == "int":
            value = int(value)
        if ("min" in defs and value < defs["min"]) or ("max" in defs and value > defs["max"]):
            raise invalid(entity, field, "rangeInt" if defs["type"] == "int" else "range")
        return value

    def _currency(self, entity: str, field: str, defs: dict[str, Any], body: dict[str, Any],
                  out: dict[str, Any]) -> None:  # fmt: skip
        code_name = field + "Currency"
        if field in body:
            raw = body[field]
            value = number(raw)
            if value is None and raw not in (None, ""):
                raise invalid(entity, field, "valid")
            if value is not None and "min" in defs and value < defs["min"]:
                raise invalid(entity, field, "min")
            out[field] = value
        if body.get(code_name) is not None:
            code = str(body[code_name])
            if code not in self._currencies()["currencyList"]:
                raise invalid(entity, field, "validCurrency")
            out[code_name] = code

    def _contact(self, entity: str, field: str, kind: str, body: dict[str, Any], out: dict[str, Any]) -> None:
        """E-mail or phone: either the primary value or the whole ``…Data`` list, which replaces what was there."""

        def checked(raw: Any) -> str:
            if kind == "phone":
                found = phone(raw)
            else:
                found = raw.strip() if isinstance(raw, str) and _EMAIL.match(raw.strip()) else None
            if found is None:
                raise invalid(entity, field, "valid" if kind == "phone" else "emailAddress")
            return found

        rows = body.get(field + "Data")
        if isinstance(rows, list):
            clean = [{**r, field: checked(r.get(field))} for r in rows if isinstance(r, dict) and r.get(field)]
            out[field + "Data"] = clean
            primary = next((r for r in clean if r.get("primary")), clean[0] if clean else None)
            out[field] = primary[field] if primary else None
        elif field in body:
            raw = body[field]
            out[field] = checked(raw) if raw not in (None, "") else None
