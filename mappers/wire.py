"""Text on the wire and back: JSON without floats, money, names. The lowest storey; it imports nothing of ours."""

from __future__ import annotations

import re
import unicodedata
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

import simplejson

# XML 1.0's illegal characters: one of them in a value stops 1C's whole exchange packet (contract §7).
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]")
_SPACES = re.compile(r"\s+")
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def parse_json(text: str | bytes) -> Any:
    """JSON with every number exact: integers stay int, the rest become Decimal.

    Raises ValueError for what is no JSON, too deep included.
    """
    try:
        return simplejson.loads(text, use_decimal=True, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("JSON is nested too deep") from error


def dump_json(value: Any) -> bytes:
    """JSON as UTF-8 bytes; a Decimal leaves as the bare number it is (130000.50), never through float."""
    return simplejson.dumps(value, use_decimal=True, ensure_ascii=False, allow_nan=False).encode()


def decimal(value: object) -> Decimal:
    """The one parser of wire numbers: 1234.5, "1 234,50", "1234.50" → Decimal.

    Raises ValueError for anything else, a boolean, NaN and infinity included.
    """
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ValueError(f"not a number: {value!r}")  # noqa: TRY004 – one error kind for bad wire values
    if isinstance(value, str):
        value = _SPACES.sub("", value).replace(",", ".")
        if not _PLAIN_NUMBER.fullmatch(value):
            raise ValueError(f"not a number: {value[:40]!r}")
    try:
        number = Decimal(value)
    except InvalidOperation as error:  # pragma: no cover – the pattern above leaves nothing to fail
        raise ValueError(f"not a number: {value!r}") from error
    if not number.is_finite():
        raise ValueError(f"not a finite number: {value!r}")
    return number


def rounded(amount: Decimal, digits: int = 2) -> Decimal:
    """Half-up to the currency's own digits (DOMAIN: Money)."""
    return amount.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)


def clean(text: str) -> str:
    """A name as people meant it: NFC, illegal characters dropped, runs of spaces folded, ends trimmed."""
    return _SPACES.sub(" ", _ILLEGAL.sub("", unicodedata.normalize("NFC", text))).strip()


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON number")
