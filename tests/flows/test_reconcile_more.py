"""The reconciliation's further sides: figures in Redis, bank statements, the ledger's own sums; and who is told."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

from sqlalchemy import update

from integration.flows.figures import leaderboard
from integration.rules.kpi import Period
from integration.store.ledger_schema import standings
from integration.store.statements import SqlStatements
from mappers.canonical import User
from mappers.money import StatementLine
from sandbox.mail import Mail
from tests.flows.books import Books
from tests.flows.test_bonus import manager, proven, ruled, shown
from tests.flows.test_reconcile import compared, healed, told
from tests.flows.town import Town


def test_a_changed_figure_in_redis_is_found_and_shown_anew(town: Town, tmp_path: Path) -> None:
    """Written over, deleted, ranked elsewhere, or made up: each in a period of its own."""
    books = ruled(town, tmp_path)
    deal = books.deal(1000)
    books.pay(600, books.bill(deal))
    books.pull()
    who, redis = manager(town), town.world.redis
    periods = {"2026-11-24", "2026-11", "2026-Q4"}
    right = {period: shown(town, period, who) for period in periods}
    redis.hset(f"kpi:2026-11:{who}", "bonus", "999999")
    redis.delete(f"kpi:2026-11-24:{who}")
    redis.zadd("kpi:2026-Q4:rank", {who: 1})
    redis.zadd("kpi:2026-11-01:rank", {"nobody": 7})
    _, found = compared(town)
    assert {(one.ref_key, *kind) for one, kind in zip(found, told(found), strict=True)} == {
        ("2026-11", "different", "kpi", "bonus", "repaired"), ("2026-11-24", "missing", "kpi", "bonus", "repaired"),
        ("2026-Q4", "different", "kpi", "rank", "repaired"), ("2026-11-01", "extra", "kpi", "bonus", "repaired"),
    }  # fmt: skip
    assert {period: shown(town, period, who) for period in periods} == right
    healed(town)


def test_a_manager_with_nothing_but_a_plan_is_shown_and_is_no_difference(town: Town, tmp_path: Path) -> None:
    """Zeros and his plan in month and quarter, by the first accrual of whoever it is; no day has plans. Where Redis
    lacks him (the plan is new), that is no finding."""
    plan = [{"manager": "petrov", "month": "2026-11", "amount": "300000"}]
    books = ruled(town, tmp_path, plan=plan)
    busy, idle = manager(town), "petrov00000000000"
    with town.world.store.unit("seed") as unit:
        unit.holders.keep_users("espo", [User(idle, "petrov", "Пётр Петров")])
    books.pay(600, books.bill(books.deal(1000)))
    books.pull()
    redis = town.world.redis
    for period, there in (("2026-11", True), ("2026-Q4", True), ("2026-11-24", False)):
        there_is = shown(town, period, idle)
        assert (there_is.get("received"), there_is.get("plan")) == (("0.00", "300000.00") if there else (None, None))
        assert redis.zscore(f"kpi:{period}:rank", idle) == (0 if there else None)
        board = leaderboard(town.world.services, Period.read(period))["managers"]
        assert [one["manager"] for one in board] == [busy, *([idle] if there else [])]
    proven(town)
    assert compared(town)[1] == []
    redis.delete(f"kpi:2026-11:{idle}")
    redis.zrem("kpi:2026-11:rank", idle)
    assert compared(town)[1] == []
    proven(town)
    assert shown(town, "2026-11", idle)["plan"] == "300000.00"


def test_a_quarter_is_there_isonce(town: Town, tmp_path: Path) -> None:
    """However many of its months are compared."""
    books = ruled(town, tmp_path)
    deal = books.deal(1000)
    books.pay(600, books.bill(deal))
    books.pull()
    town.pass_time(10 * 86_400)
    books.pay(100, books.bill(deal), "2026-12-04")
    books.pull()
    town.world.redis.zadd("kpi:2026-Q4:rank", {manager(town): 1})
    _, found = compared(town)
    assert [one.ref_key for one in found] == ["2026-Q4"]
    healed(town)


def line(number: str, amount: str, day: str = "2026-11-20") -> StatementLine:
    return StatementLine(
        key=f"line-{number}", account="40702810900000000001", direction="in", date=date.fromisoformat(day),
        number=number, amount=Decimal(amount), currency="RUB", kind="", name="ООО «Ромашка»", inn="7700000016",
        purpose="оплата",
    )  # fmt: skip


def test_the_bank_is_a_third_witness(town: Town) -> None:
    """Money that one of the two lacks, within the days that statements tell of; nothing is entered for anybody."""
    books = Books(town)
    deal = books.deal(1000)
    number = {"НомерВходящегоДокумента": "57", "ДатаВходящегоДокумента": "2026-11-20T00:00:00"}
    books.pay(600, books.bill(deal), day="2026-11-20", **number)
    books.pay(50, books.bill(deal), day="2026-11-19")
    books.pull()
    with town.world.store.unit("statement") as unit:
        lines = [line("57", "600"), line("58", "70"), line("1", "1", "2026-11-01"), line("99", "2", "2026-11-23")]
        SqlStatements(unit.conn, unit.now).keep(lines, "kl_to_1c.txt")
    run, found = compared(town)
    assert run.verdict == "found"
    assert sorted((one.kind, one.entity, str(one.amount), one.action) for one in found) == [
        ("extra", "bank", "50", "person"),
        ("missing", "bank", "1.00", "person"), ("missing", "bank", "2.00", "person"),
        ("missing", "bank", "70.00", "person"),
    ]  # fmt: skip


def test_the_ledger_is_computed_anew(town: Town) -> None:
    """Somebody wrote into crm1c's own database: the account is computed again from its facts."""
    books = Books(town)
    deal = books.deal(1000)
    books.pay(600, books.bill(deal))
    books.pull()
    with town.world.store.unit("damage") as unit:
        mine = standings.c.ref_key == books.bill(deal)
        unit.conn.execute(update(standings).where(mine).values(code="closed", paid=Decimal(1000)))
    _, found = compared(town)
    assert told(found) == [("different", "account", "standing", "repaired")]
    healed(town)


def test_the_report_goes_to_those_who_are_named(town: Town, tmp_path: Path) -> None:
    """Once each, as a page with the findings; none where everything agrees, unless every time is wanted."""
    with Mail() as mail:
        table = {"host": "127.0.0.1", "port": mail.port, "tls": "none", "sender": "crm1c <crm1c@company.example>"}
        town.reset(tmp_path, {"mail": table, "reconcile": {"mail": ["head@company.example"]}})
        Books(town)
        compared(town)
        assert not mail.letters()
        town.deal(700)
        compared(town)
        [letter] = [one for one in mail.letters() if "head@company.example" in one["to"]]
        assert "расхождений 1" in letter["subject"]
        assert "Счёт будет создан." in letter["html"]
