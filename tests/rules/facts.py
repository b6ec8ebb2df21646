"""Documents for tests of the rules: short ways to write one down, and strategies that make whole accounts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from integration.rules.allocation import Facts
from integration.rules.exchange import Rates
from integration.rules.positions import Pin
from mappers.canonical import Invoice
from mappers.money import Act, Covered, Instalment, Payment, PaymentRow, Rate, Refund

DAY = date(2026, 2, 3)
KEYS = ("a0", "a1", "a2", "a3", "a4", "i0", "i1", "i2", "gone")


def payment(ref_key: str, amount: str, day: date = DAY, currency: str = "RUB", **more: Any) -> Payment:
    told = {"number": ref_key, "posted": True, "deleted": False} | more
    return Payment(ref_key=ref_key, date=day, amount=Decimal(amount), currency=currency, **told)


def refund(ref_key: str, amount: str, day: date = DAY, currency: str = "RUB", **more: Any) -> Refund:
    told = {"number": ref_key, "posted": True, "deleted": False} | more
    return Refund(ref_key=ref_key, date=day, amount=Decimal(amount), currency=currency, **told)


def act(ref_key: str, amount: str, day: date = DAY, currency: str = "RUB", **more: Any) -> Act:
    told = {"number": ref_key, "posted": True, "deleted": False} | more
    return Act(ref_key=ref_key, date=day, amount=Decimal(amount), currency=currency, **told)


def invoice(ref_key: str, amount: str, day: date = DAY, currency: str = "RUB", **more: Any) -> Invoice:
    told = {"number": ref_key, "posted": True, "deleted": False, "version": ""} | more
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return Invoice(ref_key=ref_key, date=at, total=Decimal(amount), currency=currency, **told)


def facts(*documents: object, currency: str = "RUB", contract: str = "", **more: Any) -> Facts:
    """An account of these documents, each in its place."""
    kinds: dict[str, type] = {"acts": Act, "invoices": Invoice, "refunds": Refund, "pins": Pin}
    sorted_in = {name: tuple(one for one in documents if isinstance(one, kind)) for name, kind in kinds.items()}
    payments = tuple(one for one in documents if isinstance(one, Payment) and not isinstance(one, Refund))
    return Facts(contract, currency, payments=payments, **sorted_in, **more)


def row(number: int, amount: str, document: str = "", settled: str | None = None, contract: str = "") -> PaymentRow:
    return PaymentRow(number, Decimal(amount), None if settled is None else Decimal(settled), document, contract)


sums = st.one_of(
    st.sampled_from([Decimal(one) for one in ("0.01", "100", "150.00", "250", "333.33", "1000", "99999.99")]),
    st.integers(1, 10**6).map(lambda kopecks: Decimal(kopecks) / 100),
)
anywhere = st.integers(0, 800).map(lambda n: date(2025, 1, 1) + timedelta(days=n))
# Often the same few days, so that names, ages and rates meet.
days = st.one_of(st.sampled_from([date(2026, 1, 20), DAY, date(2026, 2, 20), date(2026, 4, 30)]), anywhere)
numbers = st.sampled_from(["57", "0000-000058", "БП-59", "00БП-000057", "60", "000000061"])
texts = st.one_of(
    st.just(""),
    st.sampled_from(["счет № 57", "сч. 58 от 03.02.2026", "по акту 57 от 20.01.2026", "счета 59, 61"]),
    st.builds("Оплата по счету № {}, в т.ч. НДС 22% - 100.00".format, st.integers(57, 61)),
    st.builds("сч.{} от {:%d.%m.%Y}".format, st.integers(57, 61), days),
    st.builds("по акту {} и счетам {}, {}".format, st.integers(57, 61), st.integers(57, 61), st.integers(57, 61)),
    st.builds("за услуги по договору № {}".format, st.integers(57, 61)),
)
live = st.sampled_from([(True, False)] * 6 + [(False, False), (True, True)])


@st.composite
def instalments(draw: st.DrawFn) -> tuple[Instalment, ...]:
    kinds = st.sampled_from(["regular", "retention"])
    return tuple(Instalment(draw(sums), draw(st.none() | days), draw(kinds)) for _ in range(draw(st.integers(0, 3))))


@st.composite
def rows(draw: st.DrawFn) -> tuple[PaymentRow, ...]:
    return tuple(
        PaymentRow(
            number,
            draw(sums),
            draw(st.none() | sums),
            draw(st.sampled_from(("", "", *KEYS))),
            draw(st.sampled_from(["", "", "", "other"])),
        )
        for number in range(1, draw(st.integers(0, 3)) + 1)
    )


@st.composite
def accounts(draw: st.DrawFn, refunds: bool = True) -> Facts:
    """An account with everything that can be in one: dead documents, rows, texts, pins, currencies, missing rates."""
    currency = draw(st.sampled_from(["RUB", "RUB", "USD", "JPY"]))
    currencies = st.sampled_from([currency] * 6 + ["RUB", "USD"])

    def paid(kind: type[Payment], letter: str, most: int) -> tuple[Any, ...]:
        made = []
        for at in range(draw(st.integers(0, most))):
            posted, deleted = draw(live)
            made.append(
                kind(
                    f"{letter}{at}", draw(numbers), draw(days), draw(sums), draw(currencies), posted, deleted,
                    purpose=draw(texts), rows=draw(rows()),
                )
            )  # fmt: skip
        return tuple(made)

    acts, bills = [], []
    for at in range(draw(st.integers(0, 5))):
        posted, deleted = draw(live)
        covers = tuple(
            Covered(draw(st.sampled_from(["i0", "i1", "gone"])), draw(sums)) for _ in range(draw(st.integers(0, 2)))
        )
        acts.append(
            Act(
                f"a{at}", draw(numbers), draw(days), draw(sums), draw(currencies), posted, deleted,
                covers=covers, instalments=draw(instalments()), signed=draw(st.booleans()),
            )
        )  # fmt: skip
    for at in range(draw(st.integers(0, 3))):
        posted, deleted = draw(live)
        bills.append(
            invoice(
                f"i{at}", str(draw(sums)), draw(days), draw(currencies),
                number=draw(numbers), posted=posted, deleted=deleted, instalments=draw(instalments()),
            )
        )  # fmt: skip
    pins = tuple(
        Pin(f"p{draw(st.integers(0, 5))}", draw(st.sampled_from(("", *KEYS))), draw(st.none() | sums), "anna")
        for _ in range(draw(st.integers(0, 3)))
    )
    first = st.one_of(st.just(date(2024, 12, 31)), days)
    rates = [Rate("USD", draw(first), draw(sums), Decimal(1)), Rate("JPY", draw(first), draw(sums), Decimal(100))]
    rates.append(Rate("USD", draw(days), draw(sums), Decimal(1)))
    return Facts(
        "",
        currency,
        payments=paid(Payment, "p", 6),
        refunds=paid(Refund, "r", 3) if refunds else (),
        acts=tuple(acts),
        invoices=tuple(bills),
        pins=pins,
        rates=Rates(rates if draw(st.integers(0, 4)) else ()),
    )
