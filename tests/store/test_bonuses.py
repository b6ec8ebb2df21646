"""Accruals on SQLite and PostgreSQL: they stay as entered, add up in days and months, two workers lose nothing."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from integration.flows.recompute import prove_one
from integration.rules.accrual import Accrual, accrued
from integration.rules.earnings import Key, Moved, Sums
from integration.rules.kpi import Period
from integration.settings.money import BonusRule, Tier
from integration.store.bonus_schema import accruals, bonus_days
from mappers.canonical import User
from tests.store.world import World, together

DAY, TODAY = date(2026, 11, 20), date(2026, 11, 24)
TIERS = (Tier(up_to=Decimal(1000), rate=Decimal(1)), Tier(rate=Decimal(2)))
RULE = BonusRule(since=date(2026, 1, 1), tiers=TIERS)
PLACE = ("anna", "RUB", "2026-11")


def earn(world: World, payment: str, gross: int, account: str = "account", manager: str = "anna") -> list[int]:
    """One movement, as the flow enters it."""
    key = Key(payment, manager, "", DAY, ("espo", "deal"))
    moves = [Moved(key, "2026-11", "", DAY, Sums(Decimal(gross), Decimal(gross)))]
    with world.store.unit("earn") as unit:
        rule = unit.bonuses.hold((manager, *PLACE[1:]), RULE)
        made, _ = accrued(moves, unit.bonuses.raw((manager, *PLACE[1:])), rule, TODAY)
        return unit.bonuses.enter(account, "RUB", made, "тест")


def figures(world: World, name: str = "2026-11") -> tuple[str, str, int]:
    with world.store.unit("look") as unit:
        one = unit.kpi.figures(Period.read(name))["anna", "RUB"]
    return f"{one.received:.2f}", f"{one.bonus:.2f}", one.payments


def test_days_months_and_payments_add_up(world: World) -> None:
    """Progressive tiers over the month; a payment counts once whatever its accounts, at zero not at all."""
    earn(world, "p1", 800)
    earn(world, "p1", 400, account="other")
    assert figures(world) == ("1200.00", "14.00", 1)
    earn(world, "p2", 100)
    assert figures(world, "2026-11-20") == ("1300.00", "16.00", 2)
    earn(world, "p2", -100)
    assert figures(world, "2026-Q4") == ("1200.00", "14.00", 1)
    with world.store.unit("look") as unit:
        assert unit.kpi.different_days("2026-11") == []
        assert unit.kpi.recounted("2026-11") == unit.kpi.totals("2026-11")
        assert unit.kpi.months() == ["2026-11"]
        assert [one.kind for one in unit.kpi.explained("anna", Period.read("2026-11"))][-1] == "reversal"


def test_what_was_changed_beside_the_accruals_is_found(world: World) -> None:
    """A day's figures by hand, and a day that no accrual knows."""
    earn(world, "p1", 800)
    with world.store.unit("a hand") as unit:
        unit.conn.execute(update(bonus_days).values(payments=7))
        extra = {"manager": "boris", "currency": "RUB", "day": "2026-11-01", "received": Decimal(1)}
        unit.conn.execute(insert(bonus_days).values(**extra, bonus=Decimal(0), payments=0))
    with world.store.unit("look") as unit:
        found = sorted((place[0], day, kept.payments, now.payments) for place, day, kept, now in
                       unit.kpi.different_days("2026-11"))  # fmt: skip
    assert found == [("anna", "2026-11-20", 7, 1), ("boris", "2026-11-01", 0, 0)]


def test_accruals_stay_as_entered(world: World) -> None:
    """Neither changed nor taken away, nor entered twice."""
    earn(world, "p1", 800)
    for statement in (update(accruals).values(bonus=Decimal(1)), delete(accruals)):
        with pytest.raises(DBAPIError), world.store.unit("a hand") as unit:
            unit.conn.execute(statement)
    with world.store.reading() as conn:
        row = dict(conn.execute(select(accruals)).one()._mapping)
    del row["id"]
    with pytest.raises(IntegrityError), world.store.unit("again") as unit:
        unit.conn.execute(insert(accruals).values(**row))
    assert figures(world) == ("800.00", "8.00", 1)


def test_workers_at_once_count_one_month_in_turn(world: World) -> None:
    """Twelve payments by as many workers: the tiers are climbed as if one had come after the other."""
    together(12, lambda number: earn(world, f"p{number}", 100, account=f"account-{number}"))
    assert figures(world) == ("1200.00", "14.00", 12)
    with world.store.unit("look") as unit:
        assert unit.kpi.different_days("2026-11") == []


def test_a_month_is_proven_while_nobody_takes_back_what_another_gave(world: World) -> None:
    """A clawback of October stands in November's days: proving November waits for who holds October."""
    services: Any = SimpleNamespace(store=world.another())
    earn(world, "p1", 800)
    said: list[str] = []

    def prove() -> None:
        assert prove_one(services, PLACE[:2], "2026-11") == []
        said.append("proven")

    key = Key("p0", "anna", "", date(2026, 10, 20), ("espo", "deal"))
    with world.store.unit("October") as unit:
        unit.bonuses.hold(("anna", "RUB", "2026-10"), RULE)
    with world.store.unit("claw back") as unit:
        unit.bonuses.hold(("anna", "RUB", "2026-10"), RULE)
        thread = threading.Thread(target=prove)
        thread.start()
        thread.join(0.3)
        back = Sums(Decimal(-100), Decimal(-100))
        taken = Accrual("reversal", key, "2026-10", "2026-11", TODAY, back, Decimal(0))
        unit.bonuses.enter("account", "RUB", [taken], "тест")
        said.append("taken back")
    thread.join(30)
    assert said == ["taken back", "proven"]


def test_news_are_told_until_forgotten(world: World) -> None:
    ids = earn(world, "p1", 800) + earn(world, "p2", 100)
    with world.store.unit("look") as unit:
        assert [one.accrual for one in unit.kpi.news(10)] == ids
        unit.kpi.forget_news(ids[:1])
        assert [one.accrual for one in unit.kpi.news(10)] == ids[1:]
        assert [one.accrual for _, one in unit.kpi.latest(10)] == ids[:1]


def test_whose_a_deal_was_since_when(world: World) -> None:
    """Only a change is written; users are found by id, user name and name."""
    record = ("espo", "deal", "d")
    with world.store.unit("hold") as unit:
        assert unit.holders.hold(record, "u1", {"": Decimal(100)})
        assert not unit.holders.hold(record, "u1", {"": Decimal(100)})
        unit.holders.keep_users("espo", [User("u1", "anna", "Анна Ким", ("t1", "Продажи"))])
    world.clock.forward(86_400)
    with world.store.unit("hold") as unit:
        assert unit.holders.hold(record, "u2", {"": Decimal(100)})
        [history] = unit.holders.histories([record]).values()
        assert [(one.manager, one.since) for one in history] == [
            ("u1", datetime(2026, 11, 24, 12, tzinfo=UTC)), ("u2", datetime(2026, 11, 25, 12, tzinfo=UTC))
        ]  # fmt: skip
        assert {unit.holders.called("espo", name) for name in ("u1", "anna", "Анна Ким")} == {"u1"}
        assert unit.holders.called("espo", "nobody") is None
        assert unit.holders.users("espo", ["u1"])["u1"].teams == ("t1", "Продажи")
