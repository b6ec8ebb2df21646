"""The ledger's cost does not grow: a pull of a thousand changed payments with ten thousand payments and obligations in
PostgreSQL, and with a million of each. 1C's answers are made in this process; everything else is crm1c's own.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import psycopg

from integration.bootstrap import World, build
from integration.flows.origin import mark_start
from integration.flows.pull import pull_payments
from integration.rules.accounts import Account
from integration.settings import read
from integration.store import migrate
from integration.store.facts_json import packed
from mappers.money import Act, Payment, PaymentRow, Stamp
from tests.servers.postgres import Postgres

SIZES, CHANGED, ROUNDS = (10_000, 1_000_000), 1_000, 3
RATIO = 1.3
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TODAY, LONG_AGO = date(2026, 11, 24), date(2026, 1, 15)
PER_ACCOUNT = 10  # payments, and as many acts
AMOUNT = Decimal("1000.00")


def account(number: int) -> Account:
    return Account("main", "org", f"client-{number // PER_ACCOUNT:07}", f"contract-{number // PER_ACCOUNT:07}")


def payment(number: int, *, day: date = LONG_AGO, version: str = "v1", amount: Decimal = AMOUNT) -> Payment:
    mine = account(number)
    row = PaymentRow(1, amount, None, f"act-{number:08}", mine.contract)
    return Payment(
        f"pay-{number:08}", f"0000-{number:06}", day, amount, "RUB", posted=True, deleted=False, version=version,
        rows=(row,), counterparty=mine.counterparty, organisation="org", contract=mine.contract,
    )  # fmt: skip


def act(number: int) -> Act:
    mine = account(number)
    return Act(
        f"act-{number:08}", f"0000-{number:06}", LONG_AGO, AMOUNT, "RUB", posted=True, deleted=False, version="v1",
        signed=True, counterparty=mine.counterparty, organisation="org", contract=mine.contract,
    )  # fmt: skip


@dataclass
class Said:
    """A 1C that answers from memory: `changed` are the payments of its window."""

    changed: dict[str, Payment]
    signs_in_register: bool = False

    def stamps(self, kind: str, _organisation: str, _since: date, skip: int) -> tuple[list[Stamp], bool]:
        told = list(self.changed.values()) if kind == "payment" else []
        page = [Stamp(one.ref_key, one.version, True, False, one.date) for one in told[skip : skip + 500]]
        return page, skip + len(page) < len(told)

    def documents(self, kind: str, refs: Collection[str]) -> list[Payment]:
        return [self.changed[ref] for ref in refs] if kind == "payment" else []

    def rates(self, _since: date) -> list[Any]:
        return []


class Base:
    """That 1C as flows see it."""

    name = "onec:main"

    def __init__(self, say: Said) -> None:
        self.say = say

    def ask(self, told: Any) -> Any:
        return told

    @contextmanager
    def session(self, **_: Any) -> Iterator[None]:
        yield

    def recall(self, _what: str, _find: Callable[[], Any]) -> Any:
        return SimpleNamespace(ref_key="org")


def world(url: str) -> World:
    """A process over this database."""
    migrate.upgrade(url)
    onec = {"base_url": "http://1c", "username": "u", "password": "env:SECRET", "organisation": "7707083893"}
    crm = {"kind": "espocrm", "base_url": "http://crm", "api_key": "env:SECRET"}
    told = {"database": {"url": url}, "broker": {"url": "memory://"}, "redis": {"url": "embedded://"}}
    settings = read({**told, "onec": {"main": onec}, "crm": {"espo": crm}}, {"SECRET": "x"})
    return build(settings, lambda *_: None, now=lambda: NOW)


def fill(url: str, size: int) -> None:
    """The ledger as it would stand after so many payments, each of which has settled its act."""
    at = NOW
    with psycopg.connect(url.replace("+psycopg", "")) as conn, conn.cursor() as cursor:

        def copied(table: str, columns: str, rows: Iterator[tuple[Any, ...]]) -> None:
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)

        names = "base, kind, ref_key, version, posted, deleted, day, currency, body, seen_at"
        for kind, made in (("payment", payment), ("act", act)):
            facts: Iterator[Payment | Act] = (made(number) for number in range(size))
            copied("facts", names, (
                ("main", kind, one.ref_key, "v1", True, False, LONG_AGO.isoformat(), "RUB", packed(one), at)
                for one in facts
            ))  # fmt: skip
        ids = [account(number * PER_ACCOUNT).id for number in range(size // PER_ACCOUNT)]
        copied("accounts", "id, base, organisation, counterparty, contract, touched, computed_at", (
            (ids[number], "main", "org", f"client-{number:07}", f"contract-{number:07}", False, at)
            for number in range(len(ids))
        ))  # fmt: skip
        copied("fact_accounts", "base, kind, ref_key, account", (
            ("main", kind, f"{kind[:3]}-{number:08}", ids[number // PER_ACCOUNT])
            for kind in ("payment", "act") for number in range(size)
        ))  # fmt: skip
        text = "акт указан в строке 1 платежа"
        names = (
            "account, kind, payment, row_number, obligation, instalment, rule, amount, currency, paid, paid_currency, "
            "day, named, by_whom, explanation, cause, created_at"
        )
        copied("entries", names, (
            (ids[n // PER_ACCOUNT], "allocation", f"pay-{n:08}", 1, f"act-{n:08}", 0, "explicit", 100_000, "RUB",
             100_000, "RUB", LONG_AGO.isoformat(), f"act-{n:08}", "1", text, "bench", at)
            for n in range(size)
        ))  # fmt: skip
        copied("standings", "account, ref_key, code, percent, amount, paid, currency, flags, turns, updated_at", (
            (ids[n // PER_ACCOUNT], f"{kind}-{n:08}", code, "100.0", 100_000, 100_000, "RUB", "", 1, at)
            for kind, code in (("pay", "received"), ("act", "closed")) for n in range(size)
        ))  # fmt: skip
        conn.commit()
        conn.autocommit = True
        cursor.execute("VACUUM ANALYZE")


def one(postgres: Postgres, size: int) -> tuple[float, float, float]:
    """Median seconds of a pull of changed payments; megabytes before the last four pulls, and after them."""
    url = postgres.fresh()
    here = world(url)
    fill(url, size)
    mark_start(here.services)
    step = size // CHANGED  # spread over the whole ledger
    said = Said({})
    services = replace(here.services, bases={"main": Base(said)})
    took: list[float] = []
    before = 0.0
    for number in range(ROUNDS + 1):
        amount = AMOUNT - (number + 1)
        made = (payment(n * step, day=TODAY - timedelta(days=1), version=f"v{number + 2}", amount=amount)
                for n in range(CHANGED))  # fmt: skip
        said.changed = {one.ref_key: one for one in made}
        started = time.perf_counter()
        news = pull_payments(services, "main")
        took.append(time.perf_counter() - started)
        if news != CHANGED:
            raise AssertionError(f"{news} of {CHANGED} were news")
        if number == 1:
            before = _megabytes()
    here.close()
    return statistics.median(took[1:]), before, _megabytes()  # the first warms caches and plans


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(*, quick: bool = False) -> bool:
    """Print the figures with their bars; whether all hold."""
    sizes = tuple(max(CHANGED * 10, size // (10 if quick else 1)) for size in SIZES)
    found = []
    with Postgres() as postgres:
        for size in sizes:
            seconds, before, after = one(postgres, size)
            found.append((seconds, before, after))
            print(
                f"ledger: {size:>9,} payments and obligations: a pull of {CHANGED:,} changed payments takes "
                f"{seconds:.2f} s; memory grew by {after - before:.1f} MB in {ROUNDS - 1} pulls",
                flush=True,
            )
    ratio = found[-1][0] / found[0][0]
    grown = max(after - before for _, before, after in found)
    good = ratio <= RATIO and grown <= 20
    verdict = "ok" if good else "BAD"
    print(f"ledger: ratio {ratio:.2f} (at most {RATIO}); memory: {grown:.1f} MB (at most 20) {verdict}")
    return good


if __name__ == "__main__":
    sys.exit(0 if measure(quick="--quick" in sys.argv) else 1)
