"""JSON on the wire, in three levels of metadata (contract sections 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import simplejson

from sandbox.onec.schema import EMPTY_REF, NAMESPACE, Entity, Field
from sandbox.onec.store import Record
from sandbox.onec.values import filled, told

LEVELS = ("minimalmetadata", "nometadata", "fullmetadata")


def dumps(value: Any) -> str:
    """Compact JSON; Decimal leaves as a number, Cyrillic as it is."""
    return simplejson.dumps(value, use_decimal=True, ensure_ascii=False, separators=(",", ":"))


def key_text(entity: Entity, data: Mapping[str, Any]) -> str:
    """The address of an object within the service: ``Catalog_Валюты(guid'…')``."""
    if entity.keys == ("Ref_Key",):
        return f"{entity.name}(guid'{data['Ref_Key']}')"
    parts = []
    for name in entity.keys:
        field = entity.fields.get(name)
        kind = field.kind if field else {"Ref_Key": "guid", "LineNumber": "int"}[name]
        literal = {"date": "datetime'{}'", "ref": "guid'{}'", "guid": "guid'{}'", "int": "{}"}.get(kind, "'{}'")
        parts.append(f"{name}={literal.format(data[name])}")
    return f"{entity.name}({','.join(parts)})"


def wire_row(known: Mapping[str, Field], row: Mapping[str, Any]) -> dict[str, Any]:
    """A section's row as JSON."""
    return {name: told(field, row[name]) for name, field in known.items()}


def wire_object(
    entity: Entity, data: Mapping[str, Any], level: str = "minimalmetadata", root: str = ""
) -> dict[str, Any]:
    """An object as JSON; links stand for filled references only."""
    found: dict[str, Any] = {}
    if level == "fullmetadata":
        found["odata.type"] = f"{NAMESPACE}.{entity.name}"
        found["odata.id"] = f"{root}/{key_text(entity, data)}"
    for name, field in entity.fields.items():
        found[name] = told(field, data[name])
    for section, known in entity.rows.items():
        found[section] = [wire_row(known, row) for row in data[section]]
    if level != "nometadata":
        address = key_text(entity, data)
        for nav, field in entity.navs.items():
            if filled(field, data[field.name]):
                found[f"{nav}@navigationLinkUrl"] = f"{address}/{nav}"
    return found


def object_text(entity: Entity, record: Record, level: str, root: str) -> str:
    """The JSON text of a whole object, kept with the record until it changes."""
    if level == "fullmetadata":
        return dumps(wire_object(entity, record.data, level, root))
    text = record.texts.get(level)
    if text is None:
        text = record.texts[level] = dumps(wire_object(entity, record.data, level))
    return text


def single(entity: Entity, text: str, level: str, root: str) -> str:
    """One object with its head."""
    if level == "nometadata":
        return text
    return "{" + f'"odata.metadata":{dumps(f"{root}/$metadata#{entity.name}/@Element")},' + text[1:]


def listing(name: str, texts: Iterable[str], level: str, root: str, count: int | None) -> str:
    """A set; the count is text (contract 0.5)."""
    head = [] if level == "nometadata" else [f'"odata.metadata":{dumps(f"{root}/$metadata#{name}")}']
    if count is not None:
        head.append(f'"odata.count":"{count}"')
    return "{" + ",".join([*head, f'"value":[{",".join(texts)}]']) + "}"


def chosen(
    entity: Entity, data: Mapping[str, Any], select: Iterable[str], level: str, present: Callable[[Field, Any], str]
) -> dict[str, Any]:
    """An object reduced to ``$select``; names were checked before."""
    whole = wire_object(entity, data, level)
    found: dict[str, Any] = {}
    for name in select:
        section, _, inner = name.partition("/")
        if name in ("*", "**"):
            found |= {k: v for k, v in whole.items() if name == "*" or k not in entity.rows}
        elif name.endswith("____Presentation"):
            head = name.removesuffix("____Presentation")
            for field in entity.fields.values():
                if field.kind in ("ref", "any") and head in ("*", field.nav or field.name):
                    found[f"{field.nav or field.name}____Presentation"] = present(field, data)
        elif inner:
            rows = found.setdefault(section, [{} for _ in whole[section]])
            for made, row in zip(rows, whole[section], strict=True):
                made |= row if inner == "*" else {inner: row[inner]}
        elif name in entity.navs:
            key = f"{name}_Key"
            found[key] = whole[key]
        else:
            found[name] = whole[name]
        link = f"{name.removesuffix('_Key')}@navigationLinkUrl"
        if link in whole:
            found[link] = whole[link]
    return found


def broken(ref: str) -> str:
    """How a reference to nothing is shown."""
    return "" if ref in (EMPTY_REF, "") else f"<Объект не найден> ({ref})"
