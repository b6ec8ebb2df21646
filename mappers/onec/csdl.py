"""$metadata of 1C: CSDL v3 of up to 17 MB, reduced to the sets and enumerations that a mapping uses (section 1).

The document is read in one pass; what was read is dropped at once, so that memory stays flat. It comes from outside:
no entities, no network, no DTD.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from io import BytesIO
from typing import Any

from lxml import etree

# What stands directly in a Schema, or by the thousand in its container: dropped as soon as it is read.
_TAGS = [
    f"{{*}}{name}"
    for name in (
        "EntityType", "ComplexType", "EnumType", "Association", "FunctionImport", "EntitySet", "AssociationSet",
    )
]  # fmt: skip
_ROW = "_RowType"
_LATIN_PREFIX = re.compile(r"^[A-Za-z]+_")


def reduced(xml: bytes, sets: Collection[str], enums: Collection[str]) -> dict[str, Any]:
    """The wanted part of a $metadata document, as JSON-able data.

    `sets`: names of entity sets; a tabular section ("Document_X_Товары") is a name of its own, its fields taken from
    the section's entity type or its row type. `enums`: names of enumerations without prefix. What the base lacks is
    absent from the result:

        {"sets": {set: {property: EDM type}}, "lengths": {set: {property: MaxLength}}, "enums": {name: [member]}}

    Raises ValueError for what is no CSDL.
    """
    wanted = frozenset(sets)
    model: dict[str, Any] = {"sets": {}, "lengths": {}, "enums": {}}
    known = False
    try:
        reader = etree.iterparse(
            BytesIO(xml), events=("end",), tag=_TAGS, resolve_entities=False, no_network=True, load_dtd=False,
            remove_comments=True, remove_pis=True, huge_tree=False,
        )  # fmt: skip
        for _, element in reader:
            if not known:
                _refuse_dtd(element)
                known = True
            _take(element, wanted, enums, model)
            element.clear()
            parent = element.getparent()
            while parent is not None and element.getprevious() is not None:
                del parent[0]
    except etree.XMLSyntaxError as error:
        raise ValueError(f"$metadata is damaged XML: {error}") from error
    if not known:
        raise ValueError("$metadata holds no schema")
    return model


def _refuse_dtd(element: Any) -> None:
    """1C sends none; one that is there means entities, and those mean harm."""
    if element.getroottree().docinfo.internalDTD is not None:
        raise ValueError("$metadata with a document type is not read")


def _take(element: Any, wanted: frozenset[str], enums: Collection[str], model: dict[str, Any]) -> None:
    kind = etree.QName(element).localname
    name = element.get("Name", "")
    if kind == "EnumType":
        # Some releases write a prefix: "Enum_СтавкиНДС". An extension's own "см_СтавкиНДС" is another enumeration.
        short = _LATIN_PREFIX.sub("", name)
        if short in enums:
            model["enums"][short] = [member.get("Name", "") for member in element.iterfind("{*}Member")]
        return
    if kind == "ComplexType" and name.endswith(_ROW):
        name = name.removesuffix(_ROW)
    elif kind != "EntityType":
        return
    if name not in wanted:
        return
    fields = model["sets"].setdefault(name, {})
    for prop in element.iterfind("{*}Property"):
        fields[prop.get("Name", "")] = prop.get("Type", "")
        length = prop.get("MaxLength", "")
        if length.isascii() and length.isdigit() and int(length):
            model["lengths"].setdefault(name, {})[prop.get("Name", "")] = int(length)
