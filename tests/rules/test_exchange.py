"""Several currencies: the rate of the payment's day, once per row; a missing rate stops; differences eat no debt."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.rules.allocation import allocate
from integration.rules.exchange import Rates, ReceiptRow, difference, shares
from mappers.money import Rate
from tests.rules.facts import DAY, act, facts, payment, row

SIX, EIGHT = Rate("USD", date(2026, 1, 1), Decimal(6)), Rate("USD", date(2026, 3, 1), Decimal(8))


def test_exchange_differences_never_eat_debt() -> None:
    """ERPNext#35301: 200 USD of goods at 8, 100 USD prepaid at 6: 100 USD are owed, not 75; 200 ₽ are told apart."""
    rates = Rates([SIX, EIGHT])
    found = allocate(
        facts(
            act("a", "200", date(2026, 3, 5), "USD"),
            payment("p", "100", date(2026, 1, 10), "USD"),
            currency="USD",
            rates=rates,
        )
    )
    assert found.paid["a"] == (Decimal(100),)
    assert found.obligations[0].amount - found.paid["a"][0] == 100
    assert difference(Decimal(100), "USD", date(2026, 1, 10), date(2026, 3, 5), rates) == Decimal(-200)


def test_rubles_on_a_dollar_contract_count_by_the_day_s_rate() -> None:
    """Both sums and the rate are kept; the last share takes the remainder of the rubles."""
    rates = Rates([Rate("USD", DAY, Decimal("93.1234"))])
    paid = payment("p", "10000", DAY + timedelta(5))
    found = allocate(
        facts(act("a", "33.33", currency="USD"), act("b", "200", DAY, "USD"), paid, currency="USD", rates=rates)
    )
    assert found.received == Decimal("107.38")
    assert [(one.obligation, one.amount, one.paid) for one in found.positions] == [
        ("a", Decimal("33.33"), Decimal("3103.93")),
        ("b", Decimal("74.05"), Decimal("6896.07")),
    ]
    assert {one.rate for one in found.positions} == {1 / Decimal("93.1234")}


def test_what_1c_settled_counts_where_filled() -> None:
    """СуммаВзаиморасчетов wins over any rate, and needs none."""
    paid = payment("p", "9500", rows=(row(1, "9500", settled="100"),))
    found = allocate(facts(act("a", "150", currency="USD"), paid, currency="USD"))
    assert [(one.amount, one.paid, one.rate) for one in found.positions] == [(Decimal(100), Decimal(9500), None)]


def test_a_missing_rate_stops_that_payment_alone() -> None:
    """No rate on or before the day: the payment counts nowhere and says why; the others go on."""
    rates = Rates([EIGHT])
    paid = [payment("p", "80"), payment("q", "80", date(2026, 3, 1))]
    found = allocate(facts(act("a", "100", currency="USD"), *paid, currency="USD", rates=rates))
    assert [(one.document, one.reason) for one in found.stopped] == [
        ("p", "нет курса USD на 03.02.2026 и раньше: загрузите курсы валют в 1С")
    ]
    assert (found.received, found.allocated) == (Decimal(10), Decimal(10))


def test_multiplicity_and_crosses() -> None:
    """100 yen cost 61.5 ₽; yen to dollars goes through the ruble, half-up to the target's digits."""
    rates = Rates([Rate("JPY", DAY, Decimal("61.5"), Decimal(100)), Rate("USD", DAY, Decimal(90))])
    assert rates.converted(Decimal(1000), "JPY", "RUB", DAY) == (Decimal("615.00"), Decimal("0.615"))
    assert rates.converted(Decimal("10.00"), "USD", "JPY", DAY)[0] == Decimal(1463)
    assert rates.converted(Decimal(1), "USD", "CNY", DAY) == "CNY"


def test_a_sum_that_is_none_stops() -> None:
    """A payment of nothing, or less, counts nowhere."""
    found = allocate(facts(payment("p", "-5")))
    assert found.stopped[0].reason == "сумма документа -5 RUB не больше нуля"


@pytest.mark.parametrize("currency", ["RUB", "JPY"])
@given(data=st.data())
def test_shares_add_up(currency: str, data: st.DataObject) -> None:
    """Whatever the shares, in the payment's currency they are never negative and add up to the row."""
    cut = data.draw(st.lists(st.integers(1, 10**6), min_size=1, max_size=9))
    paid = Decimal(data.draw(st.integers(0, 10**9)))
    settled = [Decimal(one) / 100 for one in cut]
    found = shares(ReceiptRow(1, paid, sum(settled, Decimal(0)), None, ""), settled, currency)
    assert sum(found) == paid
    assert min(found) >= 0
