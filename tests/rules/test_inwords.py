"""Sums in words, against num2words, which was written by others."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from num2words import num2words

from integration.rules.inwords import LIMIT, ending, number_in_words, sum_in_words

# Each length of number, each teen, each border of a group.
SAMPLES = sorted(
    {0, 1, 2, 5, 10, 11, 12, 14, 19, 20, 21, 22, 25, 100, 101, 111, 112, 119, 121, 999, 10**12 - 1}
    | {factor * 1000**power + rest for factor in (1, 2, 5, 11, 12, 21, 22, 101, 111, 999) for power in (1, 2, 3)
       for rest in (0, 1, 2, 1001, 11_011)}
)  # fmt: skip


@pytest.mark.parametrize("number", SAMPLES)
def test_a_number_is_as_the_other_library_has_it(number: int) -> None:
    """In both genders; from a million on the other library says «одна миллион»."""
    assert number_in_words(number) == num2words(number, lang="ru")
    if number < 1_000_000:
        assert number_in_words(number, feminine=True) == num2words(number, lang="ru", gender="f")


@given(st.integers(0, 10**12 - 1))
def test_any_number_is_as_the_other_library_has_it(number: int) -> None:
    """From 0 to 999 999 999 999."""
    assert number_in_words(number) == num2words(number, lang="ru")


@given(st.integers(0, int(LIMIT * 100)), st.sampled_from(["RUB", "USD", "EUR"]))
def test_any_sum_is_as_the_other_library_has_it(hundredths: int, currency: str) -> None:
    """To the kopeck; the other library says «доллар» where papers say «доллар США»."""
    amount = Decimal(hundredths).scaleb(-2)
    theirs = num2words(amount, lang="ru", to="currency", currency=currency, separator="", cents=False)
    ours = sum_in_words(amount, currency).replace(" США", "")
    assert ours.lower().split() == theirs.split()
    assert ours[0].isupper()


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        ("0", "RUB", "Ноль рублей 00 копеек"),
        ("1.01", "RUB", "Один рубль 01 копейка"),
        ("2.22", "RUB", "Два рубля 22 копейки"),
        ("11.11", "RUB", "Одиннадцать рублей 11 копеек"),
        ("1220000", "RUB", "Один миллион двести двадцать тысяч рублей 00 копеек"),
        ("21002.04", "RUB", "Двадцать одна тысяча два рубля 04 копейки"),
        ("999999999999.99", "RUB",
         "Девятьсот девяносто девять миллиардов девятьсот девяносто девять миллионов девятьсот девяносто девять тысяч "
         "девятьсот девяносто девять рублей 99 копеек"),
        ("102.05", "USD", "Сто два доллара США 05 центов"),
        ("5", "EUR", "Пять евро 00 центов"),
        ("21.30", "CNY", "Двадцать один китайский юань 30 фэней"),
        ("3.02", "CNY", "Три китайских юаня 02 фэня"),
        ("1000", "AED", "Одна тысяча AED 00/100"),
    ],
)  # fmt: skip
def test_sums_as_papers_have_them(amount: str, currency: str, words: str) -> None:
    """Endings, names and figures."""
    assert sum_in_words(Decimal(amount), currency) == words


@pytest.mark.parametrize("amount", ["-0.01", "1000000000000", "0.001"])
def test_what_no_paper_holds_is_refused(amount: str) -> None:
    """Below zero, above what a field of 1C holds, parts of a kopeck."""
    with pytest.raises(ValueError, match="no sum"):
        sum_in_words(Decimal(amount), "RUB")


def test_the_ending_goes_by_the_last_two_digits() -> None:
    """1 день, 2 дня, 5 дней; 11 to 19 as 5."""
    forms = ("день", "дня", "дней")
    told = [ending(number, forms) for number in (1, 2, 5, 11, 14, 21, 22, 100, 101, 111, 112)]
    assert told == ["день", "дня", "дней", "дней", "дней", "день", "дня", "дней", "день", "дней", "дней"]
