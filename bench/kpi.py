"""A month of bonuses recomputed whole on PostgreSQL, against the bare SELECT … GROUP BY that any recomputation needs
and the writing to Redis: `python -m bench.kpi [--managers 1000] [--accruals 1000000]`. Beside it, one payment's update
over a small ledger and over this one, and what memory the recomputation takes.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import psycopg

from integration import cache
from integration.board import Board
from integration.bootstrap import World, build
from integration.flows.recompute import recompute
from integration.rules.accrual import accrued, packed
from integration.rules.earnings import Key, Moved, Sums
from integration.rules.kpi import Kpi
from integration.settings import read
from integration.store import migrate
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis

MANAGERS, ACCRUALS = 1000, 1_000_000
SMALL = 10_000
MONTH, NOW = "2026-11", datetime(2026, 11, 30, 12, tzinfo=UTC)
RATIO, GROWTH = 2.0, 1.3
BARE = """SELECT manager, currency, sum(gross), sum(net), sum(first), sum(bonus), count(DISTINCT payment)
FROM accruals WHERE month = %s GROUP BY manager, currency"""
RULE = {"since": "2026-01-01", "tiers": [{"up_to": "1000000000", "rate": "1"}, {"rate": "2"}]}
FIRST, DAYS = date(2026, 11, 1), 30
KOPECKS = 100_000  # of one accrual; its bonus is a hundredth


def measure(*, quick: bool = False, managers: int = MANAGERS, accruals: int = ACCRUALS) -> bool:
    """Whether the recomputation keeps within twice the bare work, and one payment's update does not grow."""
    if quick:
        managers, accruals = managers // 10, accruals // 10
    with Postgres(fsync=False) as postgres, Redis() as redis:
        small, large = (_world(postgres.fresh(), redis.url) for _ in range(2))
        _fill(small, managers, min(SMALL, accruals // 10))
        _fill(large, managers, accruals)
        took = [(_update(small), _update(large)) for _ in range(100)]  # in turn: whatever else runs slows both
        once = [statistics.median(one) for one in zip(*took, strict=True)]
        grown = once[1] / once[0]
        print(f"kpi: one payment's update {once[0] * 1000:.1f} ms with {SMALL} accruals, {once[1] * 1000:.1f} ms with "
              f"{accruals}: × {grown:.2f}", flush=True)  # fmt: skip
        bare, writing = _best(lambda: _bare(large)), _best(lambda: _writing(redis.url, managers))
        peak = _peak()
        whole = _best(lambda: _whole(large, days=False))
        with_days = _whole(large, days=True)
        more = _peak() - peak
        small.close()
        large.close()
    good = whole <= RATIO * bare + writing and grown <= GROWTH
    print(
        f"kpi: {managers} managers × {accruals} accruals of a month: recomputed in {whole:.2f} s; "
        f"bare SELECT {bare:.2f} s, Redis {writing:.2f} s: × {(whole - writing) / bare:.2f} of the bare work; "
        f"with its {DAYS} days shown anew, too, {with_days:.2f} s; {more:.0f} MB more memory: "
        f"{'ok' if good else 'TOO MUCH'}",
        flush=True,
    )
    return good


def _world(url: str, redis: str) -> World:
    """A process over this database."""
    migrate.upgrade(url)
    onec = {"base_url": "http://1c", "username": "u", "password": "env:SECRET", "organisation": "7707083893"}
    crm = {"kind": "espocrm", "base_url": "http://crm", "api_key": "env:SECRET"}
    told = {"database": {"url": url}, "broker": {"url": "amqp://127.0.0.1:1"}, "redis": {"url": redis}}
    tables = {**told, "onec": {"main": onec}, "crm": {"espo": crm}, "bonus": {"rule": [RULE]}}
    return build(read(tables, {"SECRET": "x"}), lambda *_: None, now=lambda: NOW)


def _fill(world: World, managers: int, accruals: int) -> None:
    """As many accruals as if so many payments of November had come, and the sums beside them."""
    url = world.settings.database.url.replace("+psycopg", "")
    days = [(FIRST + timedelta(days=number)).isoformat() for number in range(DAYS)]
    detail = '{"rule": "правило", "before": "0", "after": "1000.00", "text": "Получен платёж"}'
    with psycopg.connect(url) as conn, conn.cursor() as cursor:
        names = (
            "key, kind, account, payment, crm, deal, manager, currency, day, month, taken, given, grp, gross, net, "
            "first, bonus, payments, detail, cause, created_at"
        )
        with cursor.copy(f"COPY accruals ({names}) FROM STDIN") as copy:
            for number in range(accruals):
                day = days[number // managers % DAYS]
                copy.write_row((
                    f"key-{number}", "accrual", f"account-{number // 10}", f"payment-{number}", "espo",
                    f"deal-{number // 10}", f"manager-{number % managers:05}", "RUB", day, MONTH, "", day, "", KOPECKS,
                    KOPECKS, 0, KOPECKS // 100, 1, detail, "bench", NOW,
                ))  # fmt: skip
        cursor.execute(
            "INSERT INTO bonus_totals SELECT manager, currency, month, taken, grp, sum(gross), sum(net), sum(first) "
            "FROM accruals GROUP BY 1, 2, 3, 4, 5"
        )
        cursor.execute(
            "INSERT INTO bonus_days SELECT manager, currency, day, sum(gross), sum(bonus), count(*) FROM accruals "
            "GROUP BY 1, 2, 3"
        )
        rule = packed(world.settings.bonus.rule[0])
        cursor.execute(
            "INSERT INTO bonus_months SELECT DISTINCT manager, currency, month, %s, %s::timestamptz FROM accruals",
            (rule, NOW),
        )
        cursor.execute(
            "INSERT INTO managers SELECT DISTINCT 'espo', manager, manager, manager, '[]', %s::timestamptz "
            "FROM bonus_months",
            (NOW,),
        )
        conn.commit()
        conn.autocommit = True
        cursor.execute("VACUUM ANALYZE")


def _bare(world: World) -> float:
    with psycopg.connect(world.settings.database.url.replace("+psycopg", "")) as conn:
        begun = time.perf_counter()
        conn.execute(BARE, (MONTH,)).fetchall()
        return time.perf_counter() - begun


def _writing(redis: str, managers: int) -> float:
    """A month and its quarter into Redis, and nothing else."""
    board = Board(cache.connect(redis))
    made = [Kpi(f"manager-{number:05}", "RUB", Decimal(1000), Decimal(10), 1) for number in range(managers)]
    begun = time.perf_counter()
    for number in range(2):
        board.swap(f"bare-{number}", made)
    return time.perf_counter() - begun


def _whole(world: World, *, days: bool) -> float:
    begun = time.perf_counter()
    proof = recompute(world.services, MONTH, days=days)
    took = time.perf_counter() - begun
    assert not proof.differences, proof.differences[:3]
    return took


def _update(world: World) -> float:
    """What one payment's accrual reads and writes."""
    number = time.monotonic_ns()
    key = Key(f"new-{number}", "manager-00007", "", FIRST, ("espo", "deal"))
    moves = [Moved(key, MONTH, "", FIRST, Sums(Decimal(1000), Decimal(1000)))]
    place = ("manager-00007", "RUB", MONTH)
    begun = time.perf_counter()
    with world.store.unit("one payment") as unit:
        unit.bonuses.stood(f"new-{number}")
        rule = unit.bonuses.hold(place, None)
        made, _ = accrued(moves, unit.bonuses.raw(place), rule, NOW.date())
        unit.bonuses.enter(f"new-{number}", "RUB", made, "bench")
    return time.perf_counter() - begun


def _best(run: Callable[[], float]) -> float:
    return min(run() for _ in range(3))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--managers", type=int, default=MANAGERS)
    parser.add_argument("--accruals", type=int, default=ACCRUALS)
    told = parser.parse_args()
    return 0 if measure(managers=told.managers, accruals=told.accruals) else 1


if __name__ == "__main__":
    sys.exit(main())
