"""Lines of an invoice: VAT half-up on each line, sums equal to the kopeck, or no document."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.errors import Rejected
from integration.rules.pricing import general_rate, priced, vat_of
from mappers.canonical import Deal, DealLine

NOW = datetime(2026, 11, 24, tzinfo=UTC)
RATES = ("22", "20", "10", "7", "5", "0", "none")
TERMS: dict[str, Any] = {"vat": "22", "vat_included": True, "template": "Услуги по договору: {name}"}

kopecks = st.integers(min_value=1, max_value=10**12)
lines = st.lists(st.tuples(kopecks, st.sampled_from((*RATES, None))), min_size=1, max_size=30)


def deal(amount: Decimal | None, *positions: DealLine, **values: Any) -> Deal:
    told: dict[str, Any] = {"currency": "RUB", "lines": positions or None, "name": "Монтаж"} | values
    return Deal("d1", told.pop("name"), "Proposal", amount, told.pop("currency"), "a1", NOW, NOW, **told)


def money(minor: int, digits: int = 2) -> Decimal:
    return Decimal(minor).scaleb(-digits)


def half_up(value: Fraction, digits: int = 2) -> Decimal:
    """Rounding as people are taught it, by exact fractions: beside the code's own."""
    return money(floor(value * 10**digits + Fraction(1, 2)), digits)


def position(amount: Decimal, vat: str | None = None, quantity: Decimal = Decimal(1)) -> DealLine:
    return DealLine("Насос", quantity, amount, amount, vat)


@given(lines, st.booleans(), st.sampled_from(RATES))
def test_sums_and_vat_to_the_kopeck(given_lines: list[tuple[int, str | None]], included: bool, usual: str) -> None:
    """Σ lines is the deal's amount; VAT is each line's own, half-up; without VAT inside, the total adds it."""
    positions = [position(money(amount), vat) for amount, vat in given_lines]
    amount = sum((one.amount for one in positions), Decimal(0))
    made, total = priced(
        deal(amount, *positions), date(2026, 11, 24), **TERMS | {"vat": usual, "vat_included": included}
    )
    assert sum(line.amount for line in made) == amount
    for line, (minor, rate) in zip(made, given_lines, strict=True):
        percent = 0 if (rate or usual) == "none" else int(rate or usual)
        base = Fraction(minor, 100)
        assert line.vat_rate == (rate or usual)
        assert line.vat == half_up(base * percent / (100 + percent if included else 100))
        assert line.vat.as_tuple().exponent == -2
    assert total == amount + (0 if included else sum(line.vat for line in made))


@given(lines, st.integers(-100, 100).filter(bool))
def test_sums_that_differ_by_a_kopeck_make_no_document(given_lines: list[tuple[int, str | None]], off: int) -> None:
    positions = [position(money(amount), vat) for amount, vat in given_lines]
    amount = sum((one.amount for one in positions), Decimal(0)) + money(off)
    with pytest.raises(Rejected):
        priced(deal(amount, *positions), date(2026, 11, 24), **TERMS)


@given(kopecks, st.text(max_size=400))
def test_a_deal_without_lines_is_one_line(amount: int, name: str) -> None:
    """Whatever the deal is called: one service of the deal's amount, whose item is the template's fixed part."""
    [line], total = priced(deal(money(amount), name=name), date(2026, 11, 24), **TERMS)
    assert (line.amount, line.price, line.quantity, total) == (money(amount), money(amount), Decimal(1), money(amount))
    assert line.item == "Услуги по договору"
    assert line.content.startswith("Услуги по договору")


@pytest.mark.parametrize(
    ("amount", "rate", "vat"),
    [
        ("136375", "20", "22729.17"),
        ("500", "22", "90.16"),
        ("300", "22", "54.10"),
        ("122", "22", "22.00"),
        ("0.01", "22", "0.00"),
        ("0.03", "20", "0.01"),  # 0.005: half goes up
        ("100", "none", "0.00"),
        ("100", "0", "0.00"),
    ],
)
def test_vat_included(amount: str, rate: str, vat: str) -> None:
    assert vat_of(Decimal(amount), rate, included=True) == Decimal(vat)


@pytest.mark.parametrize(("amount", "vat"), [("100", "22.00"), ("0.25", "0.06"), ("1234.56", "271.60")])
def test_vat_on_top(amount: str, vat: str) -> None:
    assert vat_of(Decimal(amount), "22", included=False) == Decimal(vat)


@pytest.mark.parametrize(
    ("day", "rate"),
    [
        (date(2018, 12, 31), "18"),
        (date(2019, 1, 1), "20"),
        (date(2025, 12, 31), "20"),
        (date(2026, 1, 1), "22"),
        (date(2030, 1, 1), "22"),
    ],
)
def test_the_general_rate_of_a_day(day: date, rate: str) -> None:
    assert general_rate(day) == rate
    [line], _ = priced(deal(Decimal(100)), day, **TERMS | {"vat": "auto"})
    assert line.vat_rate == rate


@pytest.mark.parametrize(("currency", "amount", "shown"), [("JPY", "100.5", "101"), ("USD", "100.005", "100.01")])
def test_amounts_have_their_currencys_digits(currency: str, amount: str, shown: str) -> None:
    [line], total = priced(deal(Decimal(amount), currency=currency), date(2026, 11, 24), **TERMS)
    assert (str(line.amount), str(total)) == (shown, shown)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (deal(Decimal(100), position(Decimal(100), quantity=Decimal(0))), "В строке 1 («Насос») количество 0"),
        (deal(Decimal(100), position(Decimal(200)), position(Decimal(-100))), "В строке 2 («Насос») сумма -100.00"),
        (deal(Decimal(100), DealLine(" ", Decimal(1), Decimal(100), Decimal(100))), "В строке 1 сделки не указано"),
        (deal(Decimal(100), lines=()), "ни одной строки"),
        (deal(None), "не указана сумма"),
        (deal(Decimal("0.004")), "не больше нуля"),
        (deal(Decimal("1E+40")), "больше, чем вмещает"),
        (deal(Decimal(100), currency="XAU"), "'XAU'"),
        (deal(Decimal(100), currency=""), "валюта"),
    ],
)
def test_figures_that_cannot_be_right_are_named(wrong: Deal, words: str) -> None:
    with pytest.raises(Rejected, match=words.replace("(", r"\(").replace(")", r"\)")):
        priced(wrong, date(2026, 11, 24), **TERMS)
