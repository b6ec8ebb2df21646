"""What 1C stored against what was sent: it ignores, cuts and changes with 200 (contract ONEC-ODATA, trap 3)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from mappers.dialect import Fault
from mappers.onec.odata import is_ref
from mappers.wire import decimal

_SHOWN_FIELDS = 5
_SHOWN_TEXT = 80


def differences(sent: Mapping[str, Any], stored: Mapping[str, Any], where: str = "") -> list[tuple[str, str]]:
    """(field, what stands there instead) for every sent field that 1C does not hold as it was sent.

    Numbers are compared by value, references without regard to case, strings exactly but for the padding of
    fixed-length ones, sections row by row. A row's field is called "Товары[2].Цена".
    """
    found: list[tuple[str, str]] = []
    for field, value in sent.items():
        name = where + field
        if field not in stored:
            found.append((name, "ничего: такого поля нет"))
        elif isinstance(value, list):
            found += _rows(name, value, stored[field])
        elif not _same(value, stored[field]):
            found.append((name, _shown(stored[field])))
    return found


def verify(what: str, sent: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Raise Fault rejected, naming the fields, unless all of `sent` is stored.

    The object exists by then: the Fault's data says which one (`ref_key`) and what differs (`fields`).
    """
    found = differences(sent, stored)
    if not found:
        return
    told = "; ".join(f"1С не приняла поле {field}: записано {value}" for field, value in found[:_SHOWN_FIELDS])
    more = f"; и ещё полей: {len(found) - _SHOWN_FIELDS}" if len(found) > _SHOWN_FIELDS else ""
    raise Fault(
        "rejected",
        f"{what}: {told}{more}. В 1С он остался таким: исправьте данные или настройку и повторите событие",
        data={"ref_key": stored.get("Ref_Key", ""), "fields": [field for field, _ in found]},
    )


def _rows(name: str, sent: list[Any], stored: Any) -> list[tuple[str, str]]:
    if not isinstance(stored, list):
        return [(name, _shown(stored))]
    if len(stored) != len(sent):
        return [(name, f"строк: {len(stored)} вместо {len(sent)}")]
    found: list[tuple[str, str]] = []
    for position, (ours, theirs) in enumerate(zip(sent, stored, strict=True), 1):
        found += differences(ours, theirs, f"{name}[{position}].")
    return found


def _same(sent: Any, stored: Any) -> bool:
    if isinstance(sent, bool) or isinstance(stored, bool):
        return sent is stored
    if isinstance(sent, int | Decimal) or isinstance(stored, int | Decimal):
        try:
            return decimal(sent) == decimal(stored)
        except ValueError:
            return False
    if isinstance(sent, str) and isinstance(stored, str):
        if is_ref(sent):
            return sent.lower() == stored.lower()
        return sent.rstrip() == stored.rstrip()
    return bool(sent == stored)


def _shown(value: Any) -> str:
    text = "ничего" if value in (None, "") else str(value)
    return f"«{text[:_SHOWN_TEXT]}…»" if len(text) > _SHOWN_TEXT else f"«{text}»"
