"""A configuration document: nested tables laid over each other, and written as TOML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def merged(table: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`table` with what `more` says, table by table."""
    out = dict(table)
    for key, value in more.items():
        out[key] = merged(out.get(key, {}), value) if isinstance(value, Mapping) else value
    return out


def toml(table: Mapping[str, Any], name: str = "") -> list[str]:
    """A nested mapping as lines of TOML."""
    lines = [f"[{name}]"] if name else []
    lines += [f"{key} = {json.dumps(v, ensure_ascii=False)}" for key, v in table.items() if not isinstance(v, Mapping)]
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += toml(value, f"{name}.{key}" if name else key)
    return lines
