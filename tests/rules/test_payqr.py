"""The payment code's text, by ГОСТ Р 56042-2014."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.rules.payqr import LENGTHS, MANDATORY, MANDATORY_BYTES, doubts, pay_text
from mappers.paper import BankAccount, Firm

PAYEE = Firm("ООО «Рассвет-Сервис»", "7707083893", "770701001")
ACCOUNT = BankAccount("40702810500000000017", "АО «БАНК ПЕСОЧНИЦА»", "044525999", "30101810400000000999")


def test_the_text_is_as_the_standard_has_it() -> None:
    """Five that must be there in their order, then those that may; the sum in kopecks."""
    assert pay_text(PAYEE, ACCOUNT, Decimal("1220000.50"), "Оплата по счету № 57 от 24.11.2026") == (
        "ST00012|Name=ООО «Рассвет-Сервис»|PersonalAcc=40702810500000000017|BankName=АО «БАНК ПЕСОЧНИЦА»"
        "|BIC=044525999|CorrespAcc=30101810400000000999|PayeeINN=7707083893|KPP=770701001|Sum=122000050"
        "|Purpose=Оплата по счету № 57 от 24.11.2026"
    )


def test_a_sole_trader_has_no_kpp_and_an_account_without_a_correspondent_one_says_so() -> None:
    """A field that may be absent is; one that must be there is 0."""
    text = pay_text(
        replace(PAYEE, inn="500100732259", kpp=""), replace(ACCOUNT, correspondent=""), Decimal(1), "Оплата"
    )
    assert "KPP" not in text
    assert "|CorrespAcc=0|" in text


@pytest.mark.parametrize(
    ("payee", "account"),
    [
        (replace(PAYEE, name=""), ACCOUNT),
        (PAYEE, replace(ACCOUNT, bic="")),
        (PAYEE, replace(ACCOUNT, bic="12345")),
        (PAYEE, replace(ACCOUNT, number="DE89370400440532013000")),
        (PAYEE, replace(ACCOUNT, bank="")),
    ],
)
def test_there_is_no_code_without_what_the_standard_needs(payee: Firm, account: BankAccount) -> None:
    """A code that a bank would read wrongly is worse than none."""
    with pytest.raises(ValueError, match="no payment code"):
        pay_text(payee, account, Decimal(1), "Оплата")


@pytest.mark.parametrize(
    ("account", "said"),
    [
        (ACCOUNT, ""),
        (BankAccount("40702810400000000225", "ПАО СБЕРБАНК", "044525225", "30101810400000000225"), ""),
        (replace(ACCOUNT, number="40702810500000000071"), "контрольный ключ"),
        (replace(ACCOUNT, bic="044525225"), "контрольный ключ"),
        (replace(ACCOUNT, correspondent="30101810400000000225"), "другого банка"),
        (replace(ACCOUNT, bic="04452599"), "9 цифр"),
        (replace(ACCOUNT, number="DE89370400440532013000"), "20"),
        (replace(ACCOUNT, bank=""), "нет названия банка"),
    ],
)
def test_a_digit_that_is_wrong_is_seen_before_a_client_pays_by_it(account: BankAccount, said: str) -> None:
    """The control key of the Bank of Russia; a correspondent account ends as its bank's БИК does."""
    found = doubts(account)
    assert any(said in one for one in found) if said else found == []


@given(st.integers(0, 19), st.integers(1, 9))
def test_any_single_wrong_digit_of_an_account_breaks_its_key(place: int, by: int) -> None:
    """The weights 7, 1, 3 have no common factor with ten."""
    digits = list(ACCOUNT.number)
    digits[place] = str((int(digits[place]) + by) % 10)
    assert doubts(replace(ACCOUNT, number="".join(digits)))


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=400)


@given(texts.filter(str.strip), texts.filter(str.strip), texts, st.decimals(0, Decimal("1e12"), places=2))
def test_whatever_is_written_in_1c_the_fields_stay_apart_and_within_their_lengths(
    name: str, bank: str, purpose: str, total: Decimal
) -> None:
    """No value holds the separator; no field is longer than the standard allows; the five fit into 300 bytes."""
    try:
        text = pay_text(replace(PAYEE, name=name), replace(ACCOUNT, bank=bank), total, purpose)
    except ValueError:
        return
    head, *fields = text.split("|")
    values = dict(field.split("=", 1) for field in fields)
    assert head == "ST00012"
    assert list(values)[:5] == list(MANDATORY)
    assert set(values) <= set(LENGTHS)
    assert all(0 < len(value) <= LENGTHS[name] for name, value in values.items())
    assert len("|".join([head, *fields[:5]]).encode()) <= MANDATORY_BYTES
    assert values["Sum"] == str(int(total * 100))
