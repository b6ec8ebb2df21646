"""How papers and letters write things: numbers and dates of documents, sums, names, the purpose of payment."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

from mappers.paper import Paper
from mappers.wire import clean

MONTHS = ("января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа", "сентября", "октября", "ноября",
          "декабря")  # fmt: skip
NAMES = {"invoice": "Счет на оплату", "act": "Акт"}
FILES = {"invoice": "Счет", "act": "Акт"}
SIGNS = {"RUB": "руб."}  # how a paper writes a currency in a line; others by their letters
_LONG_WORD = 30  # letters that stand in one line of the narrowest column; longer words get places to break at
_NUMBER = re.compile(r"([^\W\d_]{2}|0[^\W\d_]|[^\W\d_]0|00)\w{2}-0*(\d+)")  # organisation, infobase, number


def title(paper: Paper) -> str:
    """«Счет на оплату № 57 от 24 ноября 2026 г.»"""
    return f"{NAMES[paper.kind]} № {printed_number(paper.number)} от {long_date(paper.day)}"


def file_name(paper_kind: str, number: str, day: date) -> str:
    """How the file is called wherever it goes: «Счет № 57 от 24.11.2026.pdf»."""
    named = FILES[paper_kind]
    return f"{named} № {re.sub(r'[^-.,()№ 0-9A-Za-zА-Яа-яЁё]', '_', printed_number(number))} от {day:%d.%m.%Y}.pdf"


def printed_number(number: str) -> str:
    """The number as 1C prints it, without the infobase's prefix and leading zeros: 0000-000057 → 57, РС00-000057 →
    РС-57. One of another form stays as it is."""
    found = _NUMBER.fullmatch(number.strip())
    if not found:
        return number.strip()
    prefix = found[1].lstrip("0")
    return f"{prefix}-{found[2]}" if prefix else found[2]


def purpose(paper: Paper) -> str:
    """The purpose of payment as accountants write it, which the allocation of payments reads again."""
    taxed = sum((line.vat for line in paper.lines), Decimal(0))
    tax = f"В том числе НДС {taxed:.2f} руб." if taxed else "Без НДС."
    return f"Оплата по счету № {printed_number(paper.number)} от {paper.day:%d.%m.%Y}. {tax}"


def long_date(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1]} {day.year} г."


def money(amount: Decimal) -> str:
    """1234567.5 → «1 234 567,50», with no-break spaces."""
    return f"{amount:,.2f}".replace(",", "\u00a0").replace(".", ",")


def quantity(number: Decimal) -> str:
    text = f"{number:,f}".replace(",", "\u00a0")
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace(".", ",")


def rate_name(rate: str) -> str:
    return "без НДС" if rate == "none" else f"{rate}\u00a0%"


def initials(name: str) -> str:
    """«Песочкина Вера Ильинична» → «Песочкина В. И.»; what is short already stays."""
    words = name.split()
    if len(words) < 2 or any(word.endswith(".") for word in words):
        return name
    return " ".join([words[0], *(f"{word[0]}." for word in words[1:3])]).replace(" ", "\u00a0")


def soft(text: str) -> str:
    """One line of text; words that no column could hold get invisible places to break at."""
    return " ".join(
        word if len(word) <= _LONG_WORD else "\u200b".join(re.findall(f".{{1,{_LONG_WORD // 2}}}", word))
        for word in clean(text).split(" ")
    )
