"""Words of a ``$filter`` expression (contract section 3)."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, NamedTuple

from sandbox.onec.errors import bad_filter
from sandbox.onec.values import GUID, moment

WORDS = re.compile(
    r"""(?P<space>\ +)
      | guid'(?P<guid>[^']*)'
      | datetime'(?P<date>[^']*)'
      | '(?P<string>(?:[^']|'')*)'
      | (?P<num>-?\d+(?:\.\d+)?)(?![\w.])
      | (?P<name>[^\W\d][\w/]*)
      | (?P<mark>[(),:])""",
    re.VERBOSE,
)


class Word(NamedTuple):
    """``kind``: guid, date, string, num, bool, name, mark, end."""

    kind: str
    value: Any


def words(text: str) -> list[Word]:
    """The words of an expression. A ``+`` is no space, an exponent no number: code 14."""
    found: list[Word] = []
    place = 0
    while place < len(text):
        match = WORDS.match(text, place)
        if match is None:
            raise bad_filter()
        place = match.end()
        kind = match.lastgroup or ""
        value: Any = match[kind]
        if kind == "space":
            continue
        if kind == "guid":
            if not GUID.fullmatch(value):
                raise bad_filter()
            value = value.lower()
        elif kind == "date":
            try:
                value = moment(value)
            except ValueError:
                raise bad_filter() from None
        elif kind == "string":
            value = value.replace("''", "'")
        elif kind == "num":
            value = Decimal(value)
        elif value in ("true", "false"):
            kind, value = "bool", value == "true"
        found.append(Word(kind, value))
    found.append(Word("end", ""))
    return found
