"""Words put together into sentences for people."""

from __future__ import annotations

import re

_WORD = re.compile(r"[А-ЯЁ][а-яё]*(?![\w-])")


def inside(sentence: str) -> str:
    """A sentence as it stands after a colon: its first word loses the capital letter, unless it is a name as EspoCRM,
    DaData, ИНН or 1С are."""
    return sentence[:1].lower() + sentence[1:] if _WORD.match(sentence) else sentence
