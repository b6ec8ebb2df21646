"""Sums in words in Russian, as papers have them: «Один миллион двести двадцать тысяч рублей 00 копеек»."""

from __future__ import annotations

from decimal import Decimal

LIMIT = Decimal("999999999999.99")  # what a field num(15,2) of 1C holds in full billions

_ONES = ("", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять", "десять", "одиннадцать",
         "двенадцать", "тринадцать", "четырнадцать", "пятнадцать", "шестнадцать", "семнадцать", "восемнадцать",
         "девятнадцать")  # fmt: skip
_TENS = ("", "", "двадцать", "тридцать", "сорок", "пятьдесят", "шестьдесят", "семьдесят", "восемьдесят", "девяносто")
_HUNDREDS = ("", "сто", "двести", "триста", "четыреста", "пятьсот", "шестьсот", "семьсот", "восемьсот", "девятьсот")

Forms = tuple[str, str, str]  # for 1, for 2, for 5
# Power of a thousand → its forms, and whether it is feminine: «одна тысяча», but «один миллион».
_GROUPS: tuple[tuple[Forms, bool], ...] = (
    (("", "", ""), False),
    (("тысяча", "тысячи", "тысяч"), True),
    (("миллион", "миллиона", "миллионов"), False),
    (("миллиард", "миллиарда", "миллиардов"), False),
)
# ISO letters → the currency, whether it is feminine, and its hundredth part. Others are written by their letters.
_MONEY: dict[str, tuple[Forms, bool, Forms]] = {
    "RUB": (("рубль", "рубля", "рублей"), False, ("копейка", "копейки", "копеек")),
    "USD": (("доллар США", "доллара США", "долларов США"), False, ("цент", "цента", "центов")),
    "EUR": (("евро", "евро", "евро"), False, ("цент", "цента", "центов")),
    "CNY": (("китайский юань", "китайских юаня", "китайских юаней"), False, ("фэнь", "фэня", "фэней")),
    "BYN": (
        ("белорусский рубль", "белорусских рубля", "белорусских рублей"),
        False,
        ("копейка", "копейки", "копеек"),
    ),
    "KZT": (("тенге", "тенге", "тенге"), False, ("тиын", "тиына", "тиынов")),
}


def sum_in_words(amount: Decimal, currency: str) -> str:
    """The sum with its currency, the first letter a capital; hundredths in figures, as custom has it.

    Raises ValueError below zero, above `LIMIT`, or with more than two digits after the point.
    """
    if not 0 <= amount <= LIMIT or amount != amount.quantize(Decimal("0.01")):
        raise ValueError(f"no sum for a paper: {amount}")
    whole, hundredths = divmod(int(amount * 100), 100)
    if currency not in _MONEY:
        words = f"{number_in_words(whole)} {currency} {hundredths:02d}/100"
        return words[0].upper() + words[1:]
    forms, feminine, small = _MONEY[currency]
    words = number_in_words(whole, feminine=feminine)
    words += f" {ending(whole, forms)} {hundredths:02d} {ending(hundredths, small)}"
    return words[0].upper() + words[1:]


def number_in_words(number: int, *, feminine: bool = False) -> str:
    """A whole number from 0 to 999 999 999 999 in words; `feminine`: «одна», «две» at its end."""
    if number == 0:
        return "ноль"
    words: list[str] = []
    for power in range(len(_GROUPS) - 1, -1, -1):
        group = number // 1000**power % 1000
        if group:
            forms, is_feminine = _GROUPS[power]
            words += _below_thousand(group, feminine=is_feminine if power else feminine)
            words += [ending(group, forms)] if power else []
    return " ".join(words)


def ending(number: int, forms: Forms) -> str:
    """The form that goes with a number: 1 рубль, 2 рубля, 5 рублей, 11 рублей, 21 рубль."""
    if number % 100 in range(11, 20):
        return forms[2]
    return forms[0] if number % 10 == 1 else forms[1] if number % 10 in (2, 3, 4) else forms[2]


def _below_thousand(number: int, *, feminine: bool) -> list[str]:
    hundreds, rest = divmod(number, 100)
    tens, ones = (0, rest) if rest < 20 else divmod(rest, 10)
    last = {1: "одна", 2: "две"}.get(ones) if feminine else None
    return [word for word in (_HUNDREDS[hundreds], _TENS[tens], last or _ONES[ones]) if word]
