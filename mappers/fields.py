"""marshmallow fields that dialects share: one wire form in, one normal form out, a Russian sentence on refusal.

Every field raises `marshmallow.ValidationError` naming the value and the rule; nothing is guessed beyond what the
docstring says. Sources: DOMAIN (Money, Formats, Requisites by ИНН), contracts/FORMATS.md §4, ESPOCRM.md §3.1.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import phonenumbers
from marshmallow import ValidationError, fields
from stdnum.ru import inn as inn_rules

from mappers.wire import clean, decimal, rounded

_KPP = re.compile(r"\d{4}[\dA-Z]{2}\d{3}")
_SPACES = re.compile(r"\s+")
_ESPO_TIME = "%Y-%m-%d %H:%M:%S"


class _OneForm:
    """The same check on the way in and on the way out: `taken` makes the normal form or refuses."""

    default_error_messages: Any = {"required": "не заполнено", "null": "не заполнено"}  # noqa: RUF012

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return self.taken(value)

    def _serialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return None if value is None else self.taken(value)

    def taken(self, value: Any) -> Any:
        raise NotImplementedError


class Amount(_OneForm, fields.Decimal):
    """A sum or a quantity as `Decimal`, through the one parser of wire numbers; it leaves as the same Decimal.

    `digits`: rounded half-up to so many at both ends; None: exact, the currency's digits are the rules' business.
    """

    def __init__(self, *, digits: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.digits = digits

    def taken(self, value: Any) -> Decimal:
        try:
            number = decimal(value)
            return number if self.digits is None else rounded(number, self.digits)
        except (ValueError, ArithmeticError):  # ArithmeticError: more digits than any sum of money has
            raise ValidationError(f"«{_short(value)}» — не число") from None


class Rubles(Amount):
    """A sum in rubles, to the kopeck, half-up (DOMAIN: Money)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(digits=2, **kwargs)


class Name(_OneForm, fields.String):
    """A name as people meant it (`wire.clean`); longer than `max_length` is refused, not cut: it may be a key."""

    def __init__(self, *, max_length: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_length = max_length

    def taken(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(f"«{_short(value)}» — не текст")
        text = clean(value)
        if self.max_length is not None and len(text) > self.max_length:
            raise ValidationError(f"длиннее {self.max_length} знаков: «{_short(text)}»")
        return text


class _Code(_OneForm, fields.String):
    """A code kept as text with its leading zeros; spaces are dropped, an integer is taken for its digits."""

    def taken(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValidationError(f"«{_short(value)}» — не текст")
        return self.checked(_SPACES.sub("", str(value)))

    def checked(self, code: str) -> str:
        raise NotImplementedError


class Inn(_Code):
    """ИНН: 10 digits (company) or 12 (person) with ФНС's checksums.

    One lost leading zero is put back where the checksum then fits (DOMAIN: Requisites); else the value is refused.
    """

    def checked(self, code: str) -> str:
        if not (code.isascii() and code.isdecimal()):
            raise ValidationError(f"ИНН «{_short(code)}»: допустимы только цифры")
        full = code.zfill(len(code) + 1) if len(code) in (9, 11) else code
        if len(full) not in (10, 12):
            raise ValidationError(f"ИНН «{_short(code)}»: нужно 10 или 12 цифр, а их {len(code)}")
        if not inn_rules.is_valid(full):
            raise ValidationError(f"ИНН «{code}»: контрольная цифра не сходится")
        return full


class Kpp(_Code):
    """КПП: four digits, two digits or Latin capitals, three digits; it has no checksum (FORMATS §4)."""

    def checked(self, code: str) -> str:
        code = code.upper()
        if not (code.isascii() and _KPP.fullmatch(code)):
            raise ValidationError(f"КПП «{_short(code)}»: нужно 9 знаков вида 770701001")
        return code


class Ogrn(_Code):
    """ОГРН (13 digits, mod 11) or ОГРНИП (15 digits, mod 13), each mod 10 again.

    python-stdnum forgets the last mod 10 for fifteen digits and so refuses about every fourth sole trader (FORMATS §4).
    """

    def checked(self, code: str) -> str:
        if not (code.isascii() and code.isdecimal()):
            raise ValidationError(f"ОГРН «{_short(code)}»: допустимы только цифры")
        if len(code) not in (13, 15):
            raise ValidationError(f"ОГРН «{_short(code)}»: нужно 13 (ОГРНИП: 15) цифр, а их {len(code)}")
        if int(code[:-1]) % (len(code) - 2) % 10 != int(code[-1]):
            raise ValidationError(f"ОГРН «{code}»: контрольная цифра не сходится")
        return code


class Phone(_OneForm, fields.String):
    """A phone in E.164. Without a country code it is read as `region`'s (Russia: 8 495 … → +7495…).

    An extension is dropped, as EspoCRM would drop it (ESPOCRM.md §3.1); a number that can't exist is refused.
    """

    def __init__(self, *, region: str = "RU", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.region = region

    def taken(self, value: Any) -> str:
        try:
            number = phonenumbers.parse(value, self.region) if isinstance(value, str) else None
        except phonenumbers.NumberParseException:
            number = None
        if number is None or not phonenumbers.is_valid_number(number):
            raise ValidationError(f"«{_short(value)}» — не номер телефона; пример: +74951234567")
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


class EspoTime(_OneForm, fields.DateTime):
    """EspoCRM's time, «2026-11-24 18:15:38»: UTC, to the second, without a zone mark (ESPOCRM.md §3.1) ↔ aware UTC."""

    def taken(self, value: Any) -> datetime:
        try:
            return datetime.strptime(value, _ESPO_TIME).replace(tzinfo=UTC)
        except (TypeError, ValueError):
            raise ValidationError(f"«{_short(value)}» — не время вида 2026-11-24 18:15:38 (UTC)") from None

    def _serialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValidationError(f"у времени {value} не указан часовой пояс")
        return value.astimezone(UTC).strftime(_ESPO_TIME)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:39] + "…"
