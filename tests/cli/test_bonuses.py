"""crm1c bonuses: what a person types and reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import update

from integration.rules.accrual import Accrual
from integration.rules.earnings import Key, Sums
from integration.settings import load
from integration.store.bonus_schema import bonus_days
from integration.store.engine import connect
from integration.store.store import SqlStore
from mappers.canonical import User
from tests.cli.shell import Shell, one_line
from tests.store.world import Clock

RULE = """
[[bonus.rule]]
since = 2026-01-01
tiers = [{ rate = "1" }]

[[plan]]
manager = "anna"
month = "2026-10"
amount = "200000"
"""


@contextmanager
def stored() -> Iterator[SqlStore]:
    settings = load()
    engine = connect(settings.database.url)
    yield SqlStore(engine, Clock(), settings.delivery, lambda *_: None)
    engine.dispose()


@pytest.fixture
def seeded(shell: Shell) -> Shell:
    """Anna's 100 000 ₽ of October at 1 %."""
    shell.ready()
    file = shell.folder / "crm1c.toml"
    file.write_text(file.read_text("utf-8") + RULE, "utf-8")
    day = date(2026, 10, 20)
    detail = {"rule": "правило: 1 %", "before": "0", "after": "100000", "label": "Платёж № 5 от 20.10.2026"}
    key, sums = Key("p", "u1", "", day, ("espo", "d")), Sums(Decimal(100_000), Decimal(100_000))
    one = Accrual("accrual", key, "2026-10", "", day, sums, Decimal(1000), detail)
    with stored() as store, store.unit("seed") as unit:
        unit.holders.keep_users("espo", [User("u1", "anna", "Анна Ким")])
        unit.bonuses.hold(("u1", "RUB", "2026-10"), load().bonus.rule[0])
        unit.bonuses.enter("account", "RUB", [one], "тест")
    return shell


def test_the_leaderboard(seeded: Shell) -> None:
    said = seeded.run("bonuses", "show", "2026-10")
    assert said.out == (
        "  1. Анна Ким: бонус 1000.00 RUB, засчитано 100000.00, платежей 1, план 200000.00 выполнен на 50.0 %\n"
    )
    assert seeded.run("bonuses", "show", "2026-09").out == "За 2026-09 ничего не засчитано\n"
    assert json.loads(seeded.run("bonuses", "show", "2026-Q4", "--json").out)["managers"][0]["bonus"] == "1000.00"


def test_where_a_rouble_came_from(seeded: Shell) -> None:
    """By the user's name; the period as keys have it."""
    said = seeded.run("bonuses", "explain", "anna", "2026-10")
    assert "2026-10-20  Платёж № 5 от 20.10.2026: засчитано 100 000 ₽ → правило: 1 % → " in said.out
    assert "бонус +1 000 ₽" in said.out
    assert "нужен день 2026-11-24" in one_line(seeded.run("bonuses", "explain", "anna", "октябрь"))


def test_the_recomputation_tells_what_differs_and_mends_it(seeded: Shell) -> None:
    """Exit code 1 only when something did; the second time nothing does."""
    assert seeded.run("bonuses", "recompute", "--month", "2026-10").code == 0
    with stored() as store, store.unit("a hand") as unit:
        unit.conn.execute(update(bonus_days).values(bonus=Decimal(1)))
    said = seeded.run("bonuses", "recompute", "2026-10")
    assert said.code == 1
    assert "2026-10 u1: бонус было 1.00, по учёту 1000.00 RUB" in said.out
    told = json.loads(seeded.run("bonuses", "recompute", "--month", "2026-10", "--json").out)
    assert told == {"months": ["2026-10"], "managers": 1, "differences": []}
    assert "нужен месяц" in one_line(seeded.run("bonuses", "recompute", "--month", "2026-Q4"))
