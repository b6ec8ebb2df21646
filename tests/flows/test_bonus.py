"""Paid money becomes bonuses: accruals beside the allocation, KPI in Redis, notices; refunds and rules that change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, update

from integration.board import Board
from integration.errors import Transient
from integration.flows.bonus import Rules
from integration.flows.holder import settings_body
from integration.flows.kpi import heal
from integration.flows.recompute import recompute
from integration.rules.kpi import Told
from integration.store.bonus_schema import accruals, bonus_days
from tests.flows.books import PAYMENT, Books
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


def later(town: Town, days: float) -> None:
    town.pass_time(timedelta(days=days).total_seconds())


def proven(town: Town) -> None:
    """The running figures are the recomputed ones."""
    proof = recompute(town.world.services)
    assert proof.months
    assert proof.differences == []


def test_a_refund_takes_the_bonus_back_in_its_own_month(town: Town, tmp_path: Path) -> None:
    """In November it lowers November; in December it is December's clawback, and November stays as it was."""
    books = ruled(town, tmp_path)
    deal = books.deal(MILLION)
    books.pay(MILLION, books.bill(deal))
    books.pull()
    books.refund(100_000)
    books.pull()
    who = manager(town)
    assert shown(town, "2026-11", who)["bonus"] == "9000.00"
    later(town, 10)
    books.refund(300_000, "2026-12-04")
    books.pull()
    assert shown(town, "2026-11", who)["bonus"] == "9000.00"
    assert (shown(town, "2026-12", who)["bonus"], shown(town, "2026-12", who)["received"]) == ("-3000.00", "-300000.00")
    assert shown(town, "2026-12-04", who)["bonus"] == "-3000.00"
    assert (shown(town, "2026-Q4", who)["bonus"], shown(town, "2026-Q4", who)["payments"]) == ("6000.00", "1")
    assert feed(town)[-1].endswith("Бонус уменьшен на 3 000 ₽")
    proven(town)


def test_a_payment_that_is_unposted_and_posted_again(town: Town, tmp_path: Path) -> None:
    """Its bonus goes and comes back; each movement is an accrual of its own, and is told once."""
    books = ruled(town, tmp_path)
    deal = books.deal(MILLION)
    paid = books.pay(MILLION, books.bill(deal))
    books.pull()
    for posted in (False, True):
        books.edit(PAYMENT, paid, Posted=posted)
        books.pull()
    assert [(kind, bonus) for kind, _, bonus in entered(town)] == [
        ("accrual", "10000.00"), ("reversal", "-10000.00"), ("accrual", "10000.00")
    ]  # fmt: skip
    assert len(feed(town)) == 3
    assert shown(town, "2026-11", manager(town))["payments"] == "1"
    proven(town)


def test_whoever_holds_the_deal_on_the_day_earns_it(town: Town, tmp_path: Path) -> None:
    """A deal that changes hands: what was counted stays, what comes later is the other's."""
    books = ruled(town, tmp_path)
    deal = books.deal(2 * MILLION)
    books.pay(MILLION, books.bill(deal))
    books.pull()
    first, second = manager(town), manager(town, "petrov")
    later(town, 1)
    town.crm.act("admin", "PUT", f"Opportunity/{deal}", {"assignedUserId": second})
    town.done(deal)
    books.pay(500_000, books.bill(deal), "2026-11-25")
    books.pull()
    assert shown(town, "2026-11", first)["bonus"] == "10000.00"
    assert shown(town, "2026-11", second)["bonus"] == "5000.00"
    assert town.world.redis.zrevrange("kpi:2026-11:rank", 0, -1) == [first, second]
    proven(town)


@pytest.mark.parametrize(
    ("rule", "more", "bonus"),
    [
        ({"base": "net"}, {}, "8196.72"),  # 1 000 000 with 22 % of VAT in it
        ({"first_payment": "5000"}, {}, "15000.00"),
        ({"cap": "7000"}, {}, "7000.00"),
        ({"manager": "ivanova", "tiers": [{"up_to": "600000", "rate": "1"}, {"rate": "2"}]}, {}, "14000.00"),
        ({"manager": "petrov"}, {}, "0.00"),
        ({"since": "2026-12-01"}, {}, "0.00"),
        (
            {},
            {"split": [{"since": "2026-01-01", "manager": "ivanova", "shares": {"ivanova": "60", "petrov": "40"}}]},
            "6000.00",
        ),
    ],
)
def test_what_the_rule_says(town: Town, tmp_path: Path, rule: dict[str, Any], more: dict[str, Any], bonus: str) -> None:
    """An act of a million is paid whole: the bonus by each kind of rule."""
    books = ruled(town, tmp_path, rule, bonus=more)
    deal = books.deal(MILLION)
    line = {"LineNumber": 1, "Количество": 1, "Цена": MILLION, "Сумма": MILLION, "СтавкаНДС": "НДС22"}
    books.act(MILLION, books.bill(deal), Услуги=[line | {"СуммаНДС": "180327.87"}])
    books.pay(MILLION, books.bill(deal))
    books.pull()
    assert shown(town, "2026-11", manager(town))["bonus"] == bonus
    proven(town)


def test_an_advance_counts_where_the_rule_says_received(town: Town, tmp_path: Path) -> None:
    """What no document has taken yet counts for the client's own manager; allocated later, it is not counted twice."""
    books = ruled(town, tmp_path, {"counts": "received"})
    deal = books.deal(MILLION)
    books.pay(1_500_000, books.bill(deal))
    books.pull()
    assert shown(town, "2026-11", manager(town))["bonus"] == "15000.00"
    books.act(1_500_000, books.bill(deal))
    books.pull()
    assert [bonus for _, _, bonus in entered(town)][-1:] != []
    assert shown(town, "2026-11", manager(town))["bonus"] == "15000.00"
    proven(town)


def test_a_first_payment_that_is_taken_back_makes_the_next_one_the_first(town: Town, tmp_path: Path) -> None:
    """The flat sum goes over to the payment that is the client's first now, under whatever contract that is."""
    keeper = {"espo": {"manager": {"fallback": "ivanova"}}}
    books = ruled(town, tmp_path, {"counts": "received", "first_payment": "5000"}, crm=keeper)
    deal = books.deal(MILLION)
    own, other = books.head["ДоговорКонтрагента_Key"], books.contract("Д-2", "643")
    books.head["ДоговорКонтрагента_Key"] = other
    first = books.pay(100_000, day="2026-11-20")
    books.head["ДоговорКонтрагента_Key"] = own
    books.pay(200_000, books.bill(deal))
    books.pull()
    assert shown(town, "2026-11", manager(town))["bonus"] == "8000.00"
    books.edit(PAYMENT, first, Posted=False)
    books.pull()
    books.pull()
    assert shown(town, "2026-11", manager(town))["bonus"] == "7000.00"
    proven(town)


def test_a_rule_that_changes_while_the_month_runs(town: Town, tmp_path: Path) -> None:
    """The month is counted anew by it, told as such; a month that has ended keeps the rule it had."""
    books = ruled(town, tmp_path)
    deal = books.deal(2 * MILLION)
    books.pay(MILLION, books.bill(deal))
    books.pull()
    doubled = {"bonus": {"rule": [{"since": "2026-01-01", "tiers": [{"rate": "2"}]}]}}
    town.live(doubled)
    recompute(town.world.services)
    town.work()
    who = manager(town)
    assert shown(town, "2026-11", who)["bonus"] == "20000.00"
    assert entered(town)[-1] == ("rule", "0.00", "10000.00")
    later(town, 10)
    town.live({"bonus": {"rule": [{"since": "2026-01-01", "tiers": [{"rate": "9"}]}]}})
    recompute(town.world.services)
    books.pay(500_000, books.bill(deal), "2026-11-25")  # dated back into the ended month
    books.pull()
    town.work()
    assert shown(town, "2026-11", who)["bonus"] == "30000.00"
    proven(town)


def test_a_lost_redis_is_made_again(town: Town, tmp_path: Path) -> None:
    """Figures, ranks and the end of the feed; nothing is told twice."""
    books = ruled(town, tmp_path)
    deal = books.deal(MILLION)
    books.pay(400_000, books.bill(deal))
    books.pull()
    redis: Any = town.world.redis
    before = {key: redis.type(key) for key in redis.keys("kpi:2026*")}
    told = feed(town)
    redis.flushall()
    assert heal(town.world.services)
    assert {key: redis.type(key) for key in redis.keys("kpi:2026*")} == before
    assert feed(town) == told
    assert not heal(town.world.services)
    books.pay(100, books.bill(deal))
    books.pull()
    assert len(feed(town)) == 2


def test_a_feed_whose_making_broke_off_is_made_to_its_end(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis goes away once more after the first entry: nothing is lost, nothing is told twice."""
    books = ruled(town, tmp_path)
    deal = books.deal(MILLION)
    for amount in (400_000, 300_000, 200_000):
        books.pay(amount, books.bill(deal))
        books.pull()
        town.pass_time(60)
    told, tell = feed(town), Board.tell
    assert len(told) == 3
    town.world.redis.flushall()

    def away_after_one(board: Board, one: Told, at: datetime | None = None) -> bool:
        if feed(town):
            raise Transient("Redis недоступен", system="redis")
        return tell(board, one, at)

    monkeypatch.setattr(Board, "tell", away_after_one)
    with pytest.raises(Transient):
        heal(town.world.services)
    monkeypatch.setattr(Board, "tell", tell)
    assert heal(town.world.services)
    assert feed(town) == told


def test_a_months_rule_is_looked_up_once(town: Town) -> None:
    """However many advances of it an account has."""
    asked: list[object] = []
    bonuses = SimpleNamespace(settings_of=lambda _: settings_body(()), rules=lambda keys: asked.extend(keys) or {})
    whose: Any = SimpleNamespace(rule=lambda *_, **__: None)
    unit: Any = SimpleNamespace(bonuses=bonuses)
    keeper = Rules(town.world.services, unit, whose, "RUB", "2026-11")
    assert [keeper.advances("anna", "2026-10") for _ in range(3)] == [False, False, False]
    assert asked == [("anna", "RUB", "2026-10")]


def test_a_lost_redis_is_made_again_once(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waited for another to do it finds it done."""
    ruled(town, tmp_path)
    answers, swapped = iter([False, True]), list[str]()
    board = town.world.services.board
    monkeypatch.setattr(type(board), "standing", lambda _: next(answers))
    monkeypatch.setattr(type(board), "stands", lambda *_: swapped.append("all"))
    assert not heal(town.world.services)
    assert swapped == []


def test_a_figure_that_was_changed_by_hand_is_found_and_mended(town: Town, tmp_path: Path) -> None:
    """The recomputation names manager, figure and both values; afterwards everything agrees again."""
    books = ruled(town, tmp_path)
    deal = books.deal(MILLION)
    books.pay(MILLION, books.bill(deal))
    books.pull()
    with town.world.store.unit("a hand") as unit:
        unit.conn.execute(update(bonus_days).values(bonus=Decimal(1)))
    found = recompute(town.world.services).differences
    assert [(one.what, str(one.incremental), str(one.recomputed)) for one in found] == [("bonus", "1.00", "10000.00")]
    assert shown(town, "2026-11", manager(town))["bonus"] == "10000.00"
    proven(town)
