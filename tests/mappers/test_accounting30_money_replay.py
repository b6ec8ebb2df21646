"""What is asked of 1C about money, word for word, and what is made of its answers: recordings, no server."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from mappers.dialect import Fault
from mappers.money import Act, Contract, Covered, Payment, PaymentRow, Rate, Refund, Stamp, Term
from mappers.onec.accounting30 import Accounting30
from mappers.wire import parse_json
from tests.mappers.replay import RECORDINGS, Exchange, exchange, replay

ORG = "3f1a7c20-5b11-11ee-9c01-00155d0a1b02"
RUB, USD = "6b2d0e11-5b10-11ee-9c01-00155d0a1b02", "6b2d0e12-5b10-11ee-9c01-00155d0a1b02"
CLIENT, CONTRACT = "a90c4f31-7d02-11ef-9c07-00155d0a1b02", "b1170d40-7d02-11ef-9c07-00155d0a1b02"
BILL, DONE = "d7f0b160-c92e-11f0-9c0a-00155d0a1b02", "f1b0c2d0-d001-11f0-9c0a-00155d0a1b02"
FIRST, SECOND, LOAN = (f"e8a1c27{n}-ca01-11f0-9c0a-00155d0a1b02" for n in (1, 2, 3))
BACK = "e9b2d380-ca02-11f0-9c0a-00155d0a1b02"
PAYMENT, REFUND = "Document_ПоступлениеНаРасчетныйСчет", "Document_СписаниеСРасчетногоСчета"
ACT, CONTRACTS = "Document_РеализацияТоваровУслуг", "Catalog_ДоговорыКонтрагентов"
RATES, STATUSES = "InformationRegister_КурсыВалют", "InformationRegister_СтатусыДокументов"
DAY = date(2026, 11, 24)
JSON = ("$format", "json")


def say(**options: Any) -> Accounting30:
    """A dialect that has read the recorded model, and knows its currencies."""
    dialect = Accounting30(
        {"base_url": "http://1c.example/bp/odata/standard.odata", "organisation": "5029004173"} | options
    )
    dialect.learn(tape("model"))
    return dialect


def tape(name: str) -> Any:
    return parse_json((RECORDINGS / "accounting30" / f"{name}.json").read_bytes())


def got(path: str, name: str, *query: tuple[str, str]) -> Exchange:
    """GET of this path with exactly this query, answered by a recording."""
    return exchange("GET", path, 200, tape(name), query=(JSON, *query))


def currency(key: str, name: str) -> Exchange:
    return got(f"Catalog_Валюты(guid'{key}')", name)


def window(set_name: str, name: str, more: str = "", skip: int = 0) -> Exchange:
    filter_ = f"Date ge datetime'2026-11-24T00:00:00' and Организация_Key eq guid'{ORG}'"
    select = f"Ref_Key,DataVersion,Posted,DeletionMark,Date{more}"
    paged = (("$skip", str(skip)),) if skip else ()
    return got(
        set_name, name, ("$filter", filter_), ("$select", select), ("$orderby", "Date,Ref_Key"), ("$top", "500"), *paged
    )


def by_keys(set_name: str, name: str, *keys: str) -> Exchange:
    return got(set_name, name, ("$filter", " or ".join(f"Ref_Key eq guid'{key}'" for key in keys)))


def test_a_window_and_the_same_window_after_people_have_worked() -> None:
    """Versions move with unposting and marking; a loan counts as unposted from the first."""
    dialect = say()
    stamps, more = replay(dialect.stamps("payment", ORG, DAY, 0), [window(PAYMENT, "money_stamps", ",ВидОперации")])
    assert not more
    assert stamps == [
        Stamp(FIRST, "AAAAAQAAAAA=", True, False, DAY),
        Stamp(SECOND, "AAAAAgAAAAA=", True, False, DAY),
        Stamp(LOAN, "AAAAAQAAAAA=", False, False, date(2026, 11, 25)),
    ]
    asked = [window(PAYMENT, "money_stamps_later", ",ВидОперации", skip=500)]
    later, _ = replay(dialect.stamps("payment", ORG, DAY, 500), asked)
    assert [(one.posted, one.deleted) for one in later] == [(False, False), (False, True), (False, False)]
    assert [one.version for one in later[:2]] == ["AAAAAwAAAAA=", "AAAABAAAAAA="]


def test_a_payment_then_unposted_then_edited_then_erased() -> None:
    """One document through its life: rows with what they name, a sum that 1C didn't settle, padding cut."""
    dialect = say()
    asked = [by_keys(PAYMENT, "payment", FIRST), currency(RUB, "currency_rub")]
    [paid] = replay(dialect.documents("payment", [FIRST.upper()]), asked)
    assert paid == Payment(
        FIRST, "0000-000401", DAY, Decimal(500_000), "RUB", posted=True, deleted=False, version="AAAAAQAAAAA=",
        purpose="Оплата по счету № 57 от 24.11.2026, в т.ч. НДС 22% - 90163.93",
        rows=(
            PaymentRow(1, Decimal("400000.5"), Decimal("400000.5"), BILL, CONTRACT, Decimal("72131.24")),
            PaymentRow(2, Decimal("99999.5"), None, DONE, CONTRACT, Decimal("18032.7")),
        ),
        counterparty=CLIENT, organisation=ORG, contract=CONTRACT, bank_number="57", bank_date=date(2026, 11, 23),
    )  # fmt: skip
    [unposted] = replay(dialect.documents("payment", [FIRST]), [by_keys(PAYMENT, "payment_unposted", FIRST)])
    assert isinstance(unposted, Payment)
    assert (unposted.posted, unposted.version, unposted.rows) == (False, "AAAAAwAAAAA=", paid.rows)
    [edited] = replay(dialect.documents("payment", [FIRST]), [by_keys(PAYMENT, "payment_edited", FIRST)])
    assert isinstance(edited, Payment)
    assert (edited.amount, [one.amount for one in edited.rows]) == (Decimal("250000.25"), [Decimal("250000.25")])
    assert replay(dialect.documents("payment", [FIRST]), [by_keys(PAYMENT, "money_gone", FIRST)]) == []


def test_a_release_with_composite_references() -> None:
    """Client and invoice stand with their types, the contract in the header alone; the sum that 1C settled counts."""
    asked = [by_keys(PAYMENT, "payment_composite", SECOND), currency(USD, "currency_usd")]
    [paid] = replay(say().documents("payment", [SECOND]), asked)
    assert isinstance(paid, Payment)
    assert (paid.counterparty, paid.contract, paid.currency, paid.bank_date) == (CLIENT, CONTRACT, "USD", None)
    assert [(one.settled, one.document, one.contract) for one in paid.rows] == [(Decimal("81234.5"), BILL, "")]


def test_a_refund() -> None:
    """A document of its own set, a Refund in the normal form."""
    asked = [by_keys(REFUND, "refund", BACK), currency(RUB, "currency_rub")]
    [back] = replay(say().documents("refund", [BACK]), asked)
    assert isinstance(back, Refund)
    assert (back.posted, back.amount, back.purpose) == (True, Decimal(20_500), "Возврат излишне уплаченного")


def test_an_act_and_its_signature_in_the_register() -> None:
    """VAT on top is added, the header's invoice holds for rows without one; the register is asked by cast."""
    cast = f"Документ eq cast(guid'{DONE}','{ACT}')"
    asked = [
        by_keys(ACT, "act", DONE),
        currency(RUB, "currency_rub"),
        got(STATUSES, "act_signatures", ("$filter", cast)),
    ]
    [act] = replay(say(signed="register:СтатусыДокументов").documents("act", [DONE]), asked)
    assert isinstance(act, Act)
    assert (act.amount, act.vat, act.signed) == (Decimal(500_000), Decimal("90163.93"), True)
    assert act.covers == (Covered(BILL, Decimal("500000.00")),)


def test_contracts_by_version_and_whole() -> None:
    """All of an organisation, by pages in the order of a full key; terms beat the days of payment."""
    asked = got(
        CONTRACTS, "contract_versions", ("$filter", f"Организация_Key eq guid'{ORG}'"),
        ("$select", "Ref_Key,DataVersion,DeletionMark"), ("$orderby", "Code,Ref_Key"), ("$top", "500"),
    )  # fmt: skip
    stamps, more = replay(say().stamps("contract", ORG, date.min, 0), [asked])
    assert ([(one.version, one.deleted) for one in stamps], more) == (
        [("AAAABgAAAAA=", False), ("AAAAAQAAAAA=", True)], False,
    )  # fmt: skip
    asked_whole = [by_keys(CONTRACTS, "contract_scheduled", CONTRACT), currency(RUB, "currency_rub")]
    [contract] = replay(say().documents("contract", [CONTRACT]), asked_whole)
    assert isinstance(contract, Contract)
    assert (contract.number, contract.date, contract.counterparty) == ("14/26", date(2026, 1, 12), CLIENT)
    assert contract.schedule == (
        Term(Decimal(95), days=10),
        Term(Decimal(5), due=date(2027, 2, 24), kind="retention"),
    )


def test_rates_that_hold_and_later_ones() -> None:
    """The slice on the day, then the rows since; a rate of nothing is none."""
    asked = [
        got(f"{RATES}/SliceLast(Period=datetime'2026-11-24T00:00:00')", "rates_before"),
        got(
            RATES, "rates_later", ("$filter", "Period ge datetime'2026-11-24T00:00:00'"),
            ("$orderby", "Period,Валюта_Key"), ("$top", "500"),
        ),
        currency(USD, "currency_usd"),
    ]  # fmt: skip
    assert replay(say().rates(DAY), asked) == [
        Rate("USD", date(2026, 11, 20), Decimal("80.5")),
        Rate("USD", DAY, Decimal("81.2345")),
    ]


@pytest.mark.parametrize(("status", "name", "kind"), [(401, "error_20_no_rights", "misconfigured"),
                                                      (500, "error_locked", "transient")])  # fmt: skip
def test_what_1c_refuses_is_told_by_its_kind(status: int, name: str, kind: str) -> None:
    """No rights is the administrator's, a lock will pass."""
    asked = exchange("GET", PAYMENT, status, tape(name), headers={"content-type": "application/json"})
    with pytest.raises(Fault) as caught:
        replay(say().stamps("payment", ORG, DAY, 0), [asked])
    assert caught.value.kind == kind
