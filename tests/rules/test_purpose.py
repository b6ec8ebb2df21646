"""Purpose texts: what each of them names, measured over tests/data/purposes.csv; and how a name is resolved."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.rules.exchange import Rates
from integration.rules.obligations import Obligation, obligations
from integration.rules.purpose import Reference, references
from integration.rules.resolve import Index, core, months_before
from tests.rules.facts import act, invoice

TEXTS = Path(__file__).parents[1] / "data" / "purposes.csv"
Named = tuple[str, tuple[str, ...], str]


def expected() -> list[tuple[str, set[Named]]]:
    """text → kind, number and date (2026-02-03, or --02-03 where the text leaves the year out)."""
    with TEXTS.open(encoding="utf-8", newline="") as lines:
        told = [
            (row["text"], [one.split() for one in row["references"].split("; ") if one])
            for row in csv.DictReader(lines)
        ]
    return [(text, {(one[0], core(one[1]), one[2] if len(one) > 2 else "") for one in named}) for text, named in told]


def found(text: str) -> set[Named]:
    def when(one: Reference) -> str:
        return one.date.isoformat() if one.date else f"--{one.day[1]:02}-{one.day[0]:02}" if one.day else ""

    return {(one.kind, core(one.number), when(one)) for one in references(text)}


def test_precision_is_whole_and_recall_high() -> None:
    """At least 300 texts: what is found is right every time, and at least 95 of 100 references are found."""
    texts = expected()
    wrong = [(text, found(text) - named) for text, named in texts if found(text) - named]
    missed = [(text, named - found(text)) for text, named in texts if named - found(text)]
    all_ = sum(len(named) for _, named in texts)
    assert len(texts) >= 300
    assert wrong == []
    assert 1 - sum(len(named) for _, named in missed) / all_ >= 0.95, missed


def test_texts_that_name_nothing_decide_nothing() -> None:
    """Accounts, years, sums, periods, other papers' numbers: no reference at all."""
    silent = [text for text, named in expected() if not named]
    assert len(silent) >= 100
    assert [(text, references(text)) for text in silent if references(text)] == []


@pytest.mark.parametrize(
    ("number", "told"),
    [
        ("0000-000057", ("57",)),
        ("57", ("57",)),
        ("00БП-000057", ("БП", "57")),
        ("БП57", ("БП", "57")),
        ("ЦБ00-001185", ("ЦБ", "1185")),
        ("57/1", ("57", "1")),
        ("CЧ-486", ("СЧ", "486")),  # a Latin C
        ("000", ()),
    ],
)
def test_numbers_by_their_core(number: str, told: tuple[str, ...]) -> None:
    """Zeros and separators aside, Latin look-alikes folded."""
    assert core(number) == told


def index(*documents: object) -> Index:
    acts = [one for one in documents if type(one).__name__ == "Act"]
    bills = [one for one in documents if type(one).__name__ == "Invoice"]
    return Index(obligations(acts, bills, "RUB", Rates())[0])  # type: ignore[arg-type]


def keys(fits: list[Obligation]) -> list[str]:
    return [one.ref_key for one in fits]


def test_a_number_alone_and_a_number_with_its_date() -> None:
    """Twelve months before the payment and no later; a date is exact; a day without a year is of those months."""
    known = index(
        invoice("old", "1", date(2024, 12, 30), number="57"),
        invoice("now", "1", date(2025, 12, 30), number="0000-000057"),
        invoice("next", "1", date(2026, 12, 30), number="57"),
        act("act", "1", date(2026, 1, 30), number="57"),
    )
    paid = date(2026, 2, 3)

    def one(reference: Reference, *named: str) -> tuple[str | None, int]:
        document, fits = known.found(reference, paid, 12, named)
        return document.ref_key if document else None, fits

    assert one(Reference("invoice", "57")) == ("now", 1)
    assert one(Reference("act", "000057")) == ("act", 1)
    assert one(Reference("any", "57")) == (None, 2)
    assert one(Reference("any", "57"), "act", "old", "unknown") == ("act", 1)
    assert one(Reference("any", "57"), "act", "now") == (None, 2)
    assert one(Reference("invoice", "57", date(2024, 12, 30))) == ("old", 1)
    assert one(Reference("invoice", "57", date(2024, 12, 31))) == (None, 0)
    assert one(Reference("invoice", "57", None, (30, 12))) == ("now", 1)
    assert keys(known.like(Reference("invoice", "57"), paid)) == ["act", "now", "next", "old"]


def test_prefixes() -> None:
    """A number without its prefix fits one with; another prefix never does; «СЧ-» may be the word itself."""
    known = index(invoice("bp", "1", number="00БП-000057"), invoice("plain", "1", number="0000-000058"))
    paid = date(2026, 2, 3)

    def fits(number: str) -> str | None:
        document, _ = known.found(Reference("invoice", number), paid, 12)
        return document.ref_key if document else None

    assert fits("57") == fits("БП-57") == fits("БП57") == "bp"
    assert fits("ТД-57") is fits("БП-58") is None
    assert fits("СЧ-58") == fits("58") == "plain"


def test_months_before() -> None:
    """The same day of an earlier month, or its last."""
    assert months_before(date(2026, 3, 31), 1) == date(2026, 2, 28)
    assert months_before(date(2024, 2, 29), 12) == date(2023, 2, 28)
    assert months_before(date(1, 3, 1), 12) == date.min


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    """No text breaks the reader; a number that it finds has digits."""
    assert all(core(one.number) for one in references(text))


@given(
    st.integers(1, 10**6),
    st.dates(date(2001, 1, 1), date(2098, 12, 31)),
    st.sampled_from(["счету", "сч.", "сч", "счёту"]),
)
def test_every_number_and_every_date(number: int, day: date, word: str) -> None:
    """Whatever the number and the date, the plain form is understood."""
    (one,) = references(f"Оплата по {word} № {number:06} от {day:%d.%m.%Y}, в т.ч. НДС 22% - 100.00")
    assert (core(one.number), one.date) == ((str(number),), day)
