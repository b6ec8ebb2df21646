"""crm1c statements import, and decisions on payments: what a person types and reads."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import func, select

from integration.rules.positions import Pin
from integration.rules.statements import compared
from integration.settings import load
from integration.store.engine import connect
from integration.store.ledger_schema import statement_lines
from integration.store.store import SqlStore
from mappers.bank.clientbank import statement
from mappers.money import Payment, Refund, StatementLine
from tests.cli.shell import Shell, one_line
from tests.store.world import Clock

RECORDINGS = Path(__file__).parents[1] / "recordings" / "clientbank"
TWO_DAYS = RECORDINGS / "two_days_windows.txt"
PAID = Payment(
    "p1", "0000-000001", date(2026, 2, 2), Decimal("122000.50"), "RUB", posted=True, deleted=False,
    counterparty="c", organisation="o", bank_number="41",
)  # fmt: skip


def test_the_same_and_overlapping_statements_change_nothing(shell: Shell) -> None:
    """The first is taken whole, equal movements stay two; the second time nothing is new."""
    shell.ready()
    whole = len(statement(TWO_DAYS.read_bytes()).lines)
    said = shell.run("statements", "import", str(TWO_DAYS))
    assert said.code == 0, said
    assert f"движений {whole}, новых {whole}" in said.out
    assert "есть в банке, нет в 1С: 4" in said.out
    assert f"новых {whole}" not in shell.run("statements", "import", str(TWO_DAYS)).out
    shell.run("statements", "import", str(TWO_DAYS), str(RECORDINGS / "overlapping_utf8_says_windows.txt"))
    before = kept()
    assert shell.run("statements", "import", str(RECORDINGS / "overlapping_utf8_says_windows.txt")).code == 0
    assert kept() == before


def test_damaged_documents_are_told_by_line_and_skipped(shell: Shell) -> None:
    """The rest is taken: exit 0."""
    shell.ready()
    said = shell.run("statements", "import", str(RECORDINGS / "damaged.txt"))
    assert said.code == 0
    assert "damaged.txt, строка " in said.err
    assert "пропущено повреждённых" in said.out
    assert kept() > 0


def test_what_is_no_statement_takes_nothing(shell: Shell) -> None:
    """Not even from the good file beside it."""
    shell.ready()
    belarus = shell.folder / "by.txt"
    belarus.write_text("^Type=1^\n^Acc=BY00^\n", "cp1251")
    line = one_line(shell.run("statements", "import", str(TWO_DAYS), str(belarus)))
    assert "by.txt" in line
    assert kept() == 0


def test_it_is_compared_with_1c(shell: Shell) -> None:
    """What both have is paired; what one has alone is listed."""
    shell.ready()
    day = statement(TWO_DAYS.read_bytes()).lines[0].date
    alone = replace(PAID, ref_key="p2", number="0000-000002", amount=Decimal(777), bank_number="", date=day)
    back = Refund("r1", "0000-000009", day, Decimal(999), "RUB", posted=True, deleted=False, counterparty="c")
    with store().unit("seed") as unit:
        unit.ledger.keep("main", [replace(PAID, date=day), alone, back])
    said = shell.run("statements", "import", str(TWO_DAYS))
    assert "сошлось 1" in said.out
    assert "есть в банке, нет в 1С: 3" in said.out
    assert "есть в 1С, нет в выписках: 2" in said.out
    assert f"приход {day:%d.%m.%Y} 0000-000002" in said.out
    assert f"возврат {day:%d.%m.%Y} 0000-000009" in said.out


def test_two_equal_movements_need_two_payments() -> None:
    """One payment pairs with one of the twins, the other is told."""
    twins = [one for one in statement(TWO_DAYS.read_bytes()).lines if one.amount == 30_000]
    assert len(twins) == 2
    one = replace(PAID, amount=Decimal(30_000), bank_number="42", date=twins[0].date)
    assert len(compared(twins, [one]).bank_only) == 1
    both = compared(twins, [one, replace(one, ref_key="p2")])
    assert (both.paired, both.bank_only, both.onec_only) == (2, (), ())


def test_money_given_back_is_compared_too() -> None:
    """A refund pairs with the outgoing movement, never with an incoming one of the same sum; what speaks of no giving
    back is counted, not told."""
    out = StatementLine(
        "k1", "40702", "out", date(2026, 2, 3), "31", Decimal(5000), "RUB", "", purpose="Возврат аванса"
    )
    tax = replace(out, key="k2", number="32", purpose="Налог на прибыль")
    loan = replace(out, key="k3", number="33", purpose="Возврат займа по договору 5")
    came = replace(out, key="k4", direction="in", purpose="Оплата")
    refund = Refund("r1", "7", date(2026, 2, 4), Decimal(5000), "RUB", posted=True, deleted=False)
    found = compared([out, tax, loan, came], [refund])
    assert (found.paired, found.bank_only, found.onec_only, found.others) == (1, (came,), (), 2)
    lone = compared([out, tax, loan], [])
    assert (lone.bank_only, lone.others) == ((out,), 2)
    assert compared([came], [refund]).onec_only == (refund,)
    unposted = replace(refund, posted=False)
    assert compared([out], [unposted]).bank_only == (out,)


def test_decisions_are_listed_made_and_taken_back(shell: Shell) -> None:
    """A payment that crm1c doesn't know, a sum that is none, a base that isn't there: one line each."""
    shell.ready()
    assert "не ждёт" in shell.run("allocations", "list").out
    assert "не знает" in one_line(shell.run("allocations", "pin", "main", "p9", "a1"))
    assert "нужна сумма" in one_line(shell.run("allocations", "pin", "main", "p1", "a1", "--amount", "-1"))
    assert "нет [onec.other]" in one_line(shell.run("allocations", "pin", "other", "p1", "a1"))
    with store().unit("seed") as unit:
        unit.ledger.keep("main", [replace(PAID, purpose="Оплата по счету № 987 от 01.02.2026")])
    said = shell.run("allocations", "pin", "main", "p1", "--by", "ivanova")
    assert said.code == 0, said
    with store().unit("look") as unit:
        assert unit.ledger.pins("main", ["p1"]) == (Pin("p1", "", None, "ivanova"),)
    assert shell.run("allocations", "unpin", "main", "p1").code == 0
    assert "987" in shell.run("allocations", "list").out
    assert "нет" in one_line(shell.run("allocations", "unpin", "main", "p1"))


def store() -> SqlStore:
    settings = load()
    return SqlStore(connect(settings.database.url), Clock(), settings.delivery, lambda *_: None)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM1C_LOG_LEVEL", "ERROR")


def kept() -> int:
    with store().reading() as conn:
        return int(conn.execute(select(func.count()).select_from(statement_lines)).scalar_one())
