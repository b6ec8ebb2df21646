"""The marshmallow fields: one table of values per field; what is refused is refused by a sentence with the value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError, fields
from stdnum.ru import ogrn as stdnum_ogrn

from mappers.fields import Amount, EspoTime, Inn, Kpp, Name, Ogrn, Phone, Rubles

MOSCOW = timezone(timedelta(hours=3))

ACCEPTED: list[tuple[fields.Field[Any], object, object]] = [
    (Amount(), "1 234,50", Decimal("1234.50")),
    (Amount(), Decimal("0.1"), Decimal("0.1")),
    (Rubles(), "2.345", Decimal("2.35")),
    (Rubles(), "-2.345", Decimal("-2.35")),
    (Rubles(), 7, Decimal("7.00")),
    (Inn(), "7707083893", "7707083893"),
    (Inn(), " 500100 732259 ", "500100732259"),
    (Inn(), 7707083893, "7707083893"),
    (Inn(), "274062111", "0274062111"),  # Excel ate the zero of Bashkortostan
    (Kpp(), "770 701 001", "770701001"),
    (Kpp(), "7707ab001", "7707AB001"),
    (Ogrn(), "1027700132195", "1027700132195"),
    (Ogrn(), "304500116000157", "304500116000157"),
    (Ogrn(), "304500116000061", "304500116000061"),  # remainder 10: stdnum refuses it
    (Phone(), "8 (495) 123-45-67", "+74951234567"),
    (Phone(), "+7 495 123-45-67 доб. 12", "+74951234567"),
    (Phone(), "89161112233", "+79161112233"),
    (Phone(), "+375 29 123-45-67", "+375291234567"),
    (EspoTime(), "2026-11-24 18:15:38", datetime(2026, 11, 24, 18, 15, 38, tzinfo=UTC)),
    (Name(), "  ООО\u00a0 «Лес»\x02 ", "ООО «Лес»"),
    (Name(max_length=3), "абв ", "абв"),
]

REFUSED: list[tuple[fields.Field[Any], object]] = [
    (Amount(), "12 рублей"),
    (Amount(), True),
    (Amount(), "NaN"),
    (Rubles(), "9" * 40),
    (Amount(), None),
    (Inn(), "7707083894"),
    (Inn(), "123"),
    (Inn(), "77070838٩٣"),  # digits, but not ours
    (Inn(), ["7707083893"]),
    (Inn(), 274062112),
    (Kpp(), "77070100"),
    (Kpp(), "77070А001"),  # a Cyrillic А
    (Ogrn(), "1027700132196"),
    (Ogrn(), "304500116000158"),
    (Ogrn(), "10277001321"),
    (Phone(), "12"),
    (Phone(), "звоните вечером"),
    (Phone(), 84951234567),
    (EspoTime(), "2026-11-24"),
    (EspoTime(), "2026-02-30 10:00:00"),
    (EspoTime(), None),
    (Name(max_length=3), "абвг"),
    (Name(), 5),
]


@pytest.mark.parametrize(("field", "wire", "normal"), ACCEPTED)
def test_the_wire_form_becomes_the_normal_form(field: fields.Field[Any], wire: object, normal: object) -> None:
    """Each accepted spelling has exactly one normal form."""
    assert field.deserialize(wire) == normal


@pytest.mark.parametrize(("field", "wire"), REFUSED)
def test_what_breaks_the_rule_is_refused(field: fields.Field[Any], wire: object) -> None:
    """Nothing is guessed; the sentence is in Russian."""
    with pytest.raises(ValidationError) as refusal:
        field.deserialize(wire)
    assert any("а" <= letter.lower() <= "я" for letter in str(refusal.value))


def test_a_normal_form_leaves_as_it_came() -> None:
    """Serialising checks by the same rule, and time leaves in UTC."""
    row = {
        "sum": Decimal("2.345"),
        "inn": "7707083893",
        "at": datetime(2026, 11, 24, 21, 15, 38, tzinfo=MOSCOW),
        "no": None,
    }
    assert Rubles().serialize("sum", row) == Decimal("2.35")
    assert Inn().serialize("inn", row) == "7707083893"
    assert EspoTime().serialize("at", row) == "2026-11-24 18:15:38"
    assert EspoTime().serialize("no", row) is None
    assert Phone().serialize("no", row) is None
    with pytest.raises(ValidationError):
        EspoTime().serialize("at", {"at": datetime(2026, 11, 24)})  # noqa: DTZ001 – the mistake under test


@given(st.integers(min_value=10**13, max_value=10**14 - 1))
def test_every_sole_trader_with_the_right_last_digit_passes(body: int) -> None:
    """ОГРНИП: mod 13, then mod 10; stdnum agrees wherever the remainder is below ten."""
    number = f"{body}{body % 13 % 10}"
    assert Ogrn().deserialize(number) == number
    assert stdnum_ogrn.is_valid(number) or body % 13 >= 10 or number[0] not in "34"


@given(st.text(max_size=40))
def test_no_text_makes_a_field_crash(text: str) -> None:
    """A field answers with a value or with ValidationError, whatever it is given."""
    for field in (Amount(), Rubles(), Inn(), Kpp(), Ogrn(), Phone(), EspoTime(), Name(max_length=20)):
        try:
            field.deserialize(text)
        except ValidationError:
            continue
