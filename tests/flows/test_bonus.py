"""Paid money becomes bonuses: accruals beside the allocation, KPI in Redis, notices; refunds and rules that change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import select

from integration.store.bonus_schema import accruals
from tests.flows.books import Books
from tests.flows.town import Town

MILLION = 1_000_000
RULE = {"since": "2026-01-01", "tiers": [{"rate": "1"}]}


def ruled(town: Town, tmp_path: Path, *rules: Mapping[str, Any], **tables: Any) -> Books:
    """The town with these rules of bonuses."""
    bonus = {"rule": [{**RULE, **rule} for rule in rules or ({},)], **tables.pop("bonus", {})}
    town.reset(tmp_path, {"bonus": bonus, **tables})
    return Books(town)


def manager(town: Town, name: str = "ivanova") -> str:
    return str(town.crm.caller(name).id)


def shown(town: Town, period: str, who: str) -> dict[str, str]:
    redis: Any = town.world.redis
    return dict(redis.hgetall(f"kpi:{period}:{who}"))


def feed(town: Town) -> list[str]:
    redis: Any = town.world.redis
    return [fields["text"] for _, fields in redis.xrange("kpi:feed")]


def entered(town: Town) -> list[tuple[str, str, str]]:
    """(kind, counted, bonus) of every accrual, in their order."""
    with town.world.store.reading() as conn:
        return [
            (row.kind, str(row.gross), str(row.bonus)) for row in conn.execute(select(accruals).order_by(accruals.c.id))
        ]


def test_one_percent_of_six_millions(town: Town, tmp_path: Path) -> None:
    """The domain's own notice; hash, rank and feed hold it; the deal's stream says it once."""
    books = ruled(town, tmp_path)
    deal = books.deal(10 * MILLION)
    books.pay(6 * MILLION, books.bill(deal))
    books.pull()
    who = manager(town)
    for period in ("2026-11-24", "2026-11", "2026-Q4"):
        told = shown(town, period, who)
        assert (told["received"], told["bonus"], told["payments"], told["currency"]) == (
            "6000000.00", "60000.00", "1", "RUB"
        )  # fmt: skip
        assert town.world.redis.zscore(f"kpi:{period}:rank", who) == 6_000_000
    [text] = feed(town)
    assert text.startswith("Получен платёж 6 000 000 ₽ от ")
    assert text.endswith(". Вам начислен бонус 60 000 ₽")
    assert [note for note in town.notes(deal) if "бонус" in note] == [text]
    books.pull(nightly=True)
    assert entered(town) == [("accrual", "6000000.00", "60000.00")]
