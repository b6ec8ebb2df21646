"""Phones, e-mail addresses, towns and codes of a client, as they can be compared."""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers
from marshmallow import ValidationError

from mappers.fields import Inn, Kpp, Ogrn
from mappers.wire import clean

# Domains whose addresses anybody can have: a common one says nothing of who a company is.
_FREE = (
    "mail.ru bk.ru list.ru inbox.ru internet.ru vk.com xmail.ru yandex.ru ya.ru yandex.com yandex.by yandex.kz "
    "narod.ru gmail.com googlemail.com rambler.ru lenta.ru autorambler.ru myrambler.ru ro.ru rambler.ua outlook.com "
    "hotmail.com hotmail.ru live.com live.ru msn.com yahoo.com ymail.com icloud.com me.com mac.com aol.com gmx.de "
    "gmx.net web.de mail.com proton.me protonmail.com tutanota.com zoho.com qip.ru pochta.ru fromru.com front.ru "
    "hotbox.ru land.ru krovatka.su sibmail.com ngs.ru e1.ru mail333.com nm.ru pisem.net tut.by ukr.net i.ua "
    "meta.ua nur.kz"
)
FREE_MAIL = frozenset(_FREE.split())
_PLAIN = re.compile(r"[0-9\s()+.\-–—]+")
_DIGITS = re.compile(r"[^0-9]+")
_SEVERAL = re.compile(r"[;,/\n|]|\bили\b")
_ADDRESS = re.compile(r"[^\s@,;<>()\"]+@[^\s@,;<>()\"]+\.[^\s@,;<>()\".]+")
_TOWN = re.compile(
    r"(?:^|[\s,])(?:г|гор|город|пос|пгт|с|дер|д|аул)\.?\s+([а-яё][а-яё-]+(?:\s(?!ул|пр|пер|наб|ш|б)[а-яё]+)?)"
)
_INN, _KPP, _OGRN = Inn(), Kpp(), Ogrn()


def inn(value: str) -> str:
    """A valid ИНН with its lost leading zero restored; "" when it can't be right: zeros pass the checksum, but there
    is no region 00."""
    code = _checked(_INN, value)
    return "" if code.startswith("00") else code


def kpp(value: str) -> str:
    """A valid КПП; a lost leading zero is put back (regions 01 to 09; it has no checksum to confirm it by)."""
    code = "".join(value.split())
    return _checked(_KPP, code.zfill(9) if len(code) == 8 and code.isdecimal() else code)


def ogrn(value: str) -> str:
    """A valid ОГРН or ОГРНИП; "" when it can't be right."""
    return _checked(_OGRN, value)


def _checked(field: Inn | Kpp | Ogrn, value: str) -> str:
    try:
        return str(field.deserialize(value)) if value else ""
    except ValidationError:
        return ""


def phones(value: str) -> frozenset[str]:
    """The numbers in a phone field, E.164, Russian by default; extensions and what is no number are dropped."""
    return frozenset(filter(None, map(_phone, _SEVERAL.split(value)))) if value else frozenset()


@lru_cache(maxsize=20_000)
def _phone(text: str) -> str:
    digits = _DIGITS.sub("", text)
    if len(digits) < 10 or not digits.strip("0"):
        return ""
    if _PLAIN.fullmatch(text):
        # The usual Russian spellings, without the library's tenth of a millisecond: it says the same of them.
        if len(digits) == 11 and digits[0] in "78" and digits[1] in "3489" and (digits[0] == "7" or "+" not in text):
            return f"+7{digits[1:]}"
        if len(digits) == 10 and digits[0] in "3489" and "+" not in text:
            return f"+7{digits}"
    try:
        number = phonenumbers.parse(text, "RU")
    except phonenumbers.NumberParseException:
        return ""
    number.extension = None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def emails(value: str) -> frozenset[str]:
    """The addresses in an e-mail field, lower case."""
    return frozenset(_ADDRESS.findall(value.casefold())) if value else frozenset()


def domains(addresses: frozenset[str]) -> frozenset[str]:
    """The companies' own domains among addresses: without free mail providers."""
    return frozenset(domain for each in addresses if (domain := each.rpartition("@")[2]) not in FREE_MAIL)


def town(address: str) -> str:
    """The town that an address names after «г.», lower case; "" when it names none that way."""
    found = _TOWN.search(clean(address).casefold().replace("ё", "е")) if address else None
    return found[1] if found else ""
