"""1CClientBankExchange: what banks write is read, what is damaged is told by line, what is none is refused."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers.bank.clientbank import NotAStatement, statement
from mappers.money import StatementLine

HERE = Path(__file__).parents[1] / "recordings" / "clientbank"
SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "bank"
OURS = "40702810500000001234"
RECORDINGS = ("two_days_windows.txt", "overlapping_utf8_says_windows.txt", "two_accounts_dos.txt", "damaged.txt")


def recorded(name: str) -> bytes:
    return (HERE / name).read_bytes()


def test_two_days_of_one_account() -> None:
    """Directions, posting dates, exact sums, the other side; twins stay two; what is not executed is no money."""
    found = statement(recorded("two_days_windows.txt"))
    assert [(one.direction, one.date.day, one.number, str(one.amount), one.own) for one in found.lines] == [
        ("in", 2, "41", "122000.50", False),
        ("out", 2, "900", "15.00", True),
        ("in", 3, "42", "30000.00", False),
        ("in", 3, "42", "30000.00", False),
        ("out", 3, "8", "5000.00", False),
    ]
    first = found.lines[0]
    assert replace(first, key="", line=0) == StatementLine(
        key="",
        account=OURS,
        direction="in",
        date=date(2026, 3, 2),
        number="41",
        amount=Decimal("122000.50"),
        currency="RUB",
        kind="Платежное поручение",
        ordered=date(2026, 3, 2),
        name="ООО «Ромашка»",
        inn="7701234567",
        kpp="770101001",
        other_account="40702810900000077001",
        bic="044525999",
        purpose="Оплата по счету № 57 от 03.02.2026, в т.ч. НДС 22% - 22000.09",
    )
    assert len({one.key for one in found.lines}) == 5
    assert [one.text for one in found.problems] == ["документ № 9 банком не исполнен: не деньги"]
    assert [one.closing for one in found.balances] == [Decimal("221985.50"), Decimal("276985.50")]
    assert (found.since, found.until) == (date(2026, 3, 2), date(2026, 3, 3))


def test_overlapping_statements_tell_the_same_movements_by_the_same_keys() -> None:
    """Another file, another encoding, the second day again: nothing new, and the twins are the same two."""
    before = {one.key for one in statement(recorded("two_days_windows.txt")).lines}
    after = statement(recorded("overlapping_utf8_says_windows.txt"))
    assert len(after.lines) == 3
    assert {one.key for one in after.lines} <= before
    assert after.problems == ()


def test_two_accounts_and_the_old_encoding() -> None:
    """cp866, a dollar account, a transfer of our own, a comma in a sum, a purpose in pieces."""
    found = statement(recorded("two_accounts_dos.txt"))
    told = [
        (one.account[-4:], one.direction, str(one.amount), one.currency, one.own, one.purpose) for one in found.lines
    ]
    assert told == [
        ("5678", "out", "400.00", "RUB", False, "Перевод собственных средств"),
        ("5678", "in", "1000.00", "RUB", False, "Оплата по сч. 58 от 10.02.2026 НДС не облагается"),
        ("0091", "in", "250.00", "USD", False, "Invoice 61"),
    ]
    assert found.problems == ()


def test_a_transfer_between_own_accounts_is_both_sides() -> None:
    """Both accounts are in the statement: out of one, into the other, marked as our own."""
    text = recorded("two_accounts_dos.txt").decode("cp866")
    text = text.replace("ПолучательСчет=" + OURS, "ПолучательСчет=40702840100000000091")
    text = text.replace("ДатаПоступило=\r\n", "ДатаПоступило=02.03.2026\r\n", 1)
    found = statement(text.encode("cp866")).lines
    assert [(one.account[-4:], one.direction, one.own) for one in found[:2]] == [
        ("5678", "out", True),
        ("0091", "in", True),
    ]


def test_damage_is_told_by_line_and_costs_only_its_document() -> None:
    """A date that no calendar has, a letter in a sum, a section left open or never opened, two sums: each told."""
    found = statement(recorded("damaged.txt"))
    lines = recorded("damaged.txt").decode("cp1251").split("\n")
    assert [(one.number, one.kind, one.purpose) for one in found.lines] == [
        ("1", "Платежное поручение", "Первый"),
        ("5", "Платежное поручение", "Оплата за услуги по счету № 60 от 11.02.2026 в т.ч. НДС 22%"),
        ("7", "", "Без вида"),
    ]
    told = [(one.line and lines[one.line - 1], one.text) for one in found.problems if one.lost]
    assert told == [
        ("ДатаПоступило=31.02.2026", "документ № 2 пропущен: «ДатаПоступило»: «31.02.2026» — не дата вида 31.12.2026"),
        ("Сумма=3О.00", "документ № 3 пропущен: «Сумма»: «3О.00» — не сумма вида 1234.50"),
        ("СекцияДокумент=Платежное поручение", "документ № 4 пропущен: нет строки «КонецДокумента»"),
        ("КонецДокумента", "«КонецДокумента» без начала секции: её строки пропущены"),
        ("Сумма=81.00", "документ № 8 пропущен: «Сумма» указано дважды: «80.00» и «81.00»"),
    ]
    assert [one.text for one in found.problems if not one.lost] == ["нет строки «КонецФайла»: файл, возможно, оборван"]


def test_sums_that_disagree_are_told_and_nothing_is_refused() -> None:
    """Opening + received − spent ≠ closing; documents that don't add up to the totals."""
    text = recorded("two_days_windows.txt").decode("cp1251")
    found = statement(text.replace("ВсегоПоступило=60000.00", "ВсегоПоступило=60000.01").encode("cp1251"))
    assert len(found.lines) == 5
    assert [one.text for one in found.problems if not one.line] == [
        f"обороты не сходятся: счёт {OURS}: всего поступило 182000.51, а по документам 182000.50",
        f"остатки не сходятся: счёт {OURS}: 221985.50 + 60000.01 − 5000.00 ≠ 276985.50",
    ]


def test_an_account_that_is_not_the_statement_s_own_is_a_warning() -> None:
    """The bank masked our account in the documents: the date that is filled tells the direction."""
    text = recorded("two_days_windows.txt").decode("cp1251").replace(f"Счет={OURS}", "Счет=40702810000000009999")
    text = text.replace("РасчСчет=40702810000000009999", f"РасчСчет={OURS}", 3)
    found = statement(text.encode("cp1251"))
    assert [one.direction for one in found.lines] == ["in", "out", "in", "in", "out"]
    assert {one.account for one in found.lines} == {OURS}
    assert f"счёт 40702810000000009999 не из этой выписки: отнесено к {OURS} по дате" in [
        p.text for p in found.problems
    ]


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (recorded("belarusian.txt"), "Это выписка белорусского банка"),
        (b"", "Это не выписка 1CClientBankExchange. "),
        ("Дата;Сумма\n01.01.2026;5".encode(), "(первая строка: «Дата;Сумма»)"),
        (b"1CClientBankExchange\r\n", "нет ни одного счёта и документа"),
        (b"%PDF-1.7\n\x00\xff", "Это не выписка"),
    ],
)
def test_what_is_no_statement_is_refused(raw: bytes, told: str) -> None:
    """A clear sentence, and nothing taken."""
    with pytest.raises(NotAStatement, match=told.replace("(", r"\(").replace(")", r"\)")):
        statement(raw)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="real statements are not kept here")
@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*")) if SAMPLES.is_dir() else [], ids=lambda path: path.stem)
def test_real_statements_are_read_whole(path: Path) -> None:
    """Every document of every bank is taken, and nothing is lost."""
    raw = path.read_bytes()
    found = statement(raw)
    documents = max(raw.count("\nСекцияДокумент".encode(codec)) for codec in ("utf-8", "cp1251", "cp866"))
    assert len({one.line for one in found.lines}) == documents > 0
    assert not any(one.lost for one in found.problems)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """No bytes break the reader, with the right first line or without."""
    for start in (b"", b"1CClientBankExchange\n", "1CClientBankExchange\nСекцияДокумент=x\n".encode("cp1251")):
        with suppress(NotAStatement):
            statement(start + raw)


@settings(max_examples=150)
@given(st.sampled_from(RECORDINGS), st.randoms(use_true_random=False))
def test_a_damaged_line_costs_at_most_its_own_document(name: str, dice: random.Random) -> None:
    """One line changed, lost, doubled or filled with noise: every other document is taken as before."""
    raw = recorded(name)
    ends = b"\r\n" if b"\r\n" in raw else b"\n"
    lines = raw.split(ends)
    first = next(at for at, line in enumerate(lines) if b"=" not in line and at)  # behind the header
    at = dice.randrange(first, len(lines))
    noise = bytes(dice.randrange(32, 256) for _ in range(dice.randrange(1, 12)))
    lines[at : at + 1] = dice.choice(
        [[], [lines[at]] * 2, [noise], [lines[at][:-1]], [lines[at] + noise], [noise, lines[at]]]
    )
    before = Counter(_money(one) for one in statement(raw).lines)
    after = Counter(_money(one) for one in statement(ends.join(lines)).lines)
    assert sum((before - after).values()) <= 2
    assert sum((after - before).values()) <= 1


@given(st.sampled_from(RECORDINGS))
def test_told_twice_is_told_once(name: str) -> None:
    """The same bytes give the same keys."""
    assert statement(recorded(name)) == statement(recorded(name))


def _money(line: StatementLine) -> tuple[object, ...]:
    return line.account, line.direction, line.date, line.number, line.amount, line.other_account, line.purpose
