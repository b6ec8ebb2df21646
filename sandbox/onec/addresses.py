"""Addresses: roots, sets, keys, arguments of virtual tables (contract sections 1 to 3)."""

from __future__ import annotations

import re
from typing import Any
from wsgiref.types import WSGIEnvironment

from sandbox.onec import wire
from sandbox.onec.errors import ODataError
from sandbox.onec.query import Source
from sandbox.onec.values import GUID, moment, unparsable

ROOT = re.compile(r"^(?P<base>(?:/[^/]+)*?/odata/standard\.odata)(?P<rest>/.*)?$")
RESOURCE = re.compile(r"^/(?P<set>[^/()]+)(?:\((?P<key>[^)]*)\))?(?P<tail>/.*)?$", re.DOTALL)
SLICE = re.compile(r"^/(SliceLast|SliceFirst)\((.*)\)$", re.DOTALL)


def wanted_format(environ: WSGIEnvironment) -> tuple[bool, str]:
    """Whether JSON was asked for, and with how much metadata; Atom otherwise (contract 0.6)."""
    found = re.search(r"(?:^|&)(?:\$|%24)format=([^&]*)", environ.get("QUERY_STRING", ""))
    text = found[1] if found else environ.get("HTTP_ACCEPT", "")
    level = next((level for level in wire.LEVELS if level in text), "minimalmetadata")
    return ("json" in text, level)


def parsed_key(source: Source, text: str) -> Any:
    """A key in parentheses: ``guid'…'``, or all key properties by name."""
    parts = dict(re.findall(r"(\w+)=((?:guid|datetime)?'[^']*'|\d+)", text)) or {source.entity.keys[0]: text}
    if set(parts) != set(source.entity.keys):
        raise ODataError(7, "Missing key part")
    found: list[Any] = []
    for name in source.entity.keys:
        literal = re.fullmatch(r"(guid|datetime)?'([^']*)'|(\d+)", parts[name])
        if literal is None:
            raise unparsable()
        if literal[1] == "guid" and not GUID.fullmatch(literal[2]):
            raise unparsable()
        if literal[1] == "datetime":
            try:
                moment(literal[2])
            except ValueError:
                raise unparsable() from None
        wanted = source.known[name].kind
        if (wanted in ("guid", "ref")) != (literal[1] == "guid") or (wanted == "date") != (literal[1] == "datetime"):
            raise unparsable()
        value = literal[2].lower() if literal[1] == "guid" else literal[2]
        found.append(int(literal[3]) if literal[3] else value)
    return found[0] if len(found) == 1 else tuple(found)


def slice_arguments(text: str) -> tuple[str, str]:
    """``Period`` and ``Condition``; inner quotes may be doubled or not (section 3)."""
    parts = [part.partition("=") for part in re.split(r",\s*(?=(?:Period|Condition)=)", text) if part]
    given = {name.strip(): value for name, _, value in parts}
    if set(given) - {"Period", "Condition"}:
        raise ODataError(11, "Method argument not found")
    period = re.fullmatch(r"datetime'([^']*)'", given.get("Period", "datetime''"))
    condition = re.fullmatch(r"'(.*)'", given.get("Condition", "''"), re.DOTALL)
    if period is None or condition is None:
        raise unparsable()
    try:
        return (moment(period[1]) if period[1] else "", condition[1].replace("''", "'"))
    except ValueError:
        raise unparsable() from None
