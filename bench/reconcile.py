"""The nightly reconciliation over a hundred thousand pairs (`--size`), one in a thousand damaged behind our back, in
eight ways: all of them found, nothing else, only what may be repaired owed; in PostgreSQL. What 1C and the CRM
answer is made in this process, page by page; everything else is crm1c's own.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg
from sqlalchemy import select

from bench.ledger import NOW, TODAY, world
from integration.bootstrap import World
from integration.flows.invoice import wanted_now
from integration.flows.origin import mark_start
from integration.flows.pull import pull_payments
from integration.flows.reconcile.run import advance, begin
from integration.rules.accounts import Account
from integration.rules.findings import Finding
from integration.store.facts_json import packed
from integration.store.schema import inbox, outbox
from integration.work import Link
from mappers.canonical import Deal, Found, Invoice, Party
from mappers.dialect import ShownDeal
from mappers.money import Payment, PaymentRow, Stamp
from tests.servers.postgres import Postgres

SIZE, DAMAGED = 100_000, 1000  # pairs; one in so many is damaged
PER_CLIENT = 9  # deals; with the client itself ten pairs
SECONDS, MEGABYTES = 600.0, 64.0
DAY = date(2026, 10, 1)  # beyond the daily window, within the nightly one
BORN = datetime(2026, 10, 1, 9, tzinfo=UTC)
AMOUNT = Decimal("1000.00")
FIELDS = frozenset({"name", "phone", "email", "address", "inn", "kpp", "ref_key"})

# How a pair is damaged → kind, entity, field, action that the report must have.
WAYS = {
    "account": ("different", "client", "name", "repaired"),
    "counterparty": ("different", "client", "name", "repaired"),
    "deal gone": ("missing", "deal", "", "person"),
    "invoice gone": ("missing", "invoice", "", "person"),
    "linked": ("different", "deal", "client", "repaired"),
    "amount": ("different", "deal", "amount", "repaired"),
    "shown": ("different", "deal", "paid_percent", "repaired"),
    "payment gone": ("extra", "payment", "", "repaired"),
}
CLIENT_WAYS = ("account", "counterparty")


class Sides:
    """Both systems, made from numbers; `damage`: deal or client number → what befell it."""

    def __init__(self, clients: int) -> None:
        self.clients, self.deals = clients, clients * PER_CLIENT
        self.of_clients: dict[int, str] = {}
        self.of_deals: dict[int, str] = {}

    def damaged(self, many: int) -> set[tuple[str, ...]]:
        """So many damages, spread evenly; what the report must say of them."""
        expected: set[tuple[str, ...]] = set()
        ways = list(WAYS)
        for number in range(many):
            way = ways[number % len(ways)]
            client = 1 + (self.clients - 1) * number // many
            if way in CLIENT_WAYS:
                self.of_clients[client] = way
                expected.add((f"acc{client:06}", *WAYS[way]))
                continue
            paid = way in ("deal gone", "shown", "payment gone")
            deal = client * PER_CLIENT + (0 if paid else 1)
            self.of_deals[deal] = way
            expected.add((f"pay-{deal:07}" if way == "payment gone" else f"deal{deal:07}", *WAYS[way]))
        return expected

    # -- the CRM --------------------------------------------------------------------------------------------------

    def party(self, number: int, side: str) -> Party:
        changed = self.of_clients.get(number) == ("account" if side == "crm" else "counterparty")
        name = f"ООО «{'Подмена' if changed else 'Клиент'} {number}»"
        ref = f"cp-{number:06}"
        return Party(
            name, inn=f"{7700000000 + number}", kpp="770001001", id=f"acc{number:06}" if side == "crm" else ref,
            ref_key=ref, version="2" if changed else "1",
        )  # fmt: skip

    def deal_of(self, number: int) -> ShownDeal | None:
        way, client = self.of_deals.get(number), number // PER_CLIENT
        if way == "deal gone":
            return None
        deal = Deal(
            f"deal{number:07}", f"Сделка {number}", "Proposal", AMOUNT + (500 if way == "amount" else 0), "RUB",
            f"acc{0 if way == 'linked' else client:06}", BORN, BORN, version="1",
        )  # fmt: skip
        money = money_of(number)
        shown = {
            "invoice_number": f"{number:06}", "ref_key": f"inv-{number:07}", "payment_status": money["status"],
            "paid_percent": "7" if way == "shown" else f"{Decimal(money['percent']).normalize():f}",
            "paid_amount": f"{Decimal(money['paid']).normalize():f}",
        }  # fmt: skip
        return ShownDeal(deal, shown)

    # -- 1C -------------------------------------------------------------------------------------------------------

    def invoice_of(self, number: int) -> Invoice:
        mine = account(number)
        gone = self.of_deals.get(number) == "invoice gone"
        return Invoice(
            f"inv-{number:07}", f"{number:06}", BORN, AMOUNT, "RUB", posted=not gone, deleted=gone,
            version="v2" if gone else "v1", counterparty=mine.counterparty, organisation="org", contract=mine.contract,
        )  # fmt: skip

    def payment_of(self, number: int) -> Payment | None:
        return None if self.of_deals.get(number) == "payment gone" else payment(number)


def account(number: int) -> Account:
    client = number // PER_CLIENT
    return Account("main", "org", f"cp-{client:06}", f"contract-{client:06}")


def is_paid(number: int) -> bool:
    return number % PER_CLIENT % 2 == 0


def payment(number: int) -> Payment:
    mine = account(number)
    return Payment(
        f"pay-{number:07}", f"{number:06}", DAY, AMOUNT, "RUB", posted=True, deleted=False, version="v1",
        rows=(PaymentRow(1, AMOUNT, None, f"inv-{number:07}", mine.contract),), counterparty=mine.counterparty,
        organisation="org", contract=mine.contract,
    )  # fmt: skip


def money_of(number: int) -> dict[str, str]:
    paid = is_paid(number)
    told = {"status": "paid" if paid else "issued", "percent": "100.0" if paid else "0.0"}
    return told | {"paid": "1000.00" if paid else "0.00", "amount": "1000.00", "currency": "RUB"}


class Crm:
    """The CRM as flows see it: it answers from memory, two hundred rows a page."""

    name, page = "crm:espo", 200

    def __init__(self, sides: Sides) -> None:
        self.say, self.sides, self.party_fields = self, sides, FIELDS

    def ask(self, told: Any) -> Any:
        return told

    def all_accounts(self, offset: int) -> tuple[list[Party], bool]:
        rows = range(offset, min(offset + self.page, self.sides.clients))
        return [self.sides.party(number, "crm") for number in rows], offset + len(rows) < self.sides.clients

    def all_deals(self, offset: int) -> tuple[list[ShownDeal], bool]:
        rows = range(offset, min(offset + self.page, self.sides.deals))
        found = [one for number in rows if (one := self.sides.deal_of(number))]
        # Offsets count what is there: a page that lost a deal goes on one earlier, and shows nothing twice that harms.
        return found, bool(found) and offset + len(rows) < self.sides.deals

    def account(self, account_id: str) -> Party:
        return self.sides.party(int(account_id[3:]), "crm")

    def deal(self, deal_id: str) -> Deal | None:
        found = self.sides.deal_of(int(deal_id[4:]))
        return found.deal if found else None

    def shown(self, deal: Deal) -> Mapping[str, str]:
        found = self.sides.deal_of(int(deal.id[4:]))
        return found.shown if found else {}


class Base:
    """1C as flows see it."""

    name, signs_in_register = "onec:main", False

    def __init__(self, sides: Sides) -> None:
        self.say, self.sides = self, sides

    def ask(self, told: Any) -> Any:
        return told

    @contextmanager
    def session(self, **_: Any) -> Iterator[None]:
        yield

    def recall(self, _what: str, _find: Any) -> Found:
        return Found("org", "Мы")

    def learn(self, _model: Any) -> None: ...

    def lacking(self, *_: Any) -> list[str]:
        return []

    def rates(self, _since: date) -> list[Any]:
        return []

    def stamps(self, kind: str, _organisation: str, since: date, skip: int) -> tuple[list[Stamp], bool]:
        if kind not in ("invoice", "payment") or since > DAY:
            return [], False
        rows = range(skip, min(skip + 500, self.sides.deals))
        found = [one for one in map(self._document(kind), rows) if one is not None]
        page = [Stamp(one.ref_key, one.version, one.posted, one.deleted, DAY) for one in found]
        # The caller skips by what it got; here places are numbers, so what is left out is made up for by blanks.
        page += [Stamp(f"none-{kind}-{skip}-{n}", "v1", False, False, DAY) for n in range(len(rows) - len(page))]
        return page, skip + len(rows) < self.sides.deals

    def documents(self, kind: str, refs: Collection[str]) -> list[Any]:
        made = self._document(kind)
        return [one for ref in refs if ref[:4] in ("inv-", "pay-") and (one := made(int(ref[4:])))]

    def _document(self, kind: str) -> Any:
        if kind == "invoice":
            return self.sides.invoice_of
        return lambda number: self.sides.payment_of(number) if is_paid(number) else None

    def invoice(self, ref_key: str) -> Invoice:
        return self.sides.invoice_of(int(ref_key[4:]))

    def party(self, ref_key: str) -> Party:
        return self.sides.party(int(ref_key[3:]), "onec")

    def all_counterparties(self, skip: int, top: int) -> tuple[list[Party], int, int]:
        rows = range(skip, min(skip + top, self.sides.clients))
        return [self.sides.party(number, "onec") for number in rows], len(rows), 2000 * len(rows)


def fill(here: World, url: str, sides: Sides) -> None:
    """The links and the ledger as they stand where everybody agrees."""
    with psycopg.connect(url.replace("+psycopg", "")) as conn, conn.cursor() as cursor:

        def copied(table: str, columns: str, rows: Iterator[tuple[Any, ...]]) -> None:
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)

        names = "crm, entity, record_id, base, kind, ref_key, key, state, version, crm_version, agreed, created_at, "
        names += "updated_at"
        copied("links", names, _links(here, sides))
        names = "base, kind, ref_key, version, posted, deleted, day, currency, body, seen_at"
        copied("facts", names, (
            ("main", kind, one.ref_key, "v1", True, False, DAY.isoformat(), "RUB", packed(one), NOW)
            for number in range(sides.deals)
            for kind, one in (("invoice", sides.invoice_of(number)), ("payment", payment(number)))
            if kind == "invoice" or is_paid(number)
        ))  # fmt: skip
        copied("fact_accounts", "base, kind, ref_key, account", (
            ("main", kind, f"{kind[:3]}-{number:07}", account(number).id)
            for number in range(sides.deals) for kind in ("invoice", "payment") if kind == "invoice" or is_paid(number)
        ))  # fmt: skip
        copied("accounts", "id, base, organisation, counterparty, contract, touched", (
            (account(n * PER_CLIENT).id, "main", "org", f"cp-{n:06}", f"contract-{n:06}", True)
            for n in range(sides.clients)
        ))  # fmt: skip
        conn.commit()
        conn.autocommit = True
        cursor.execute("VACUUM ANALYZE")


def _links(here: World, sides: Sides) -> Iterator[tuple[Any, ...]]:
    for number in range(sides.clients):
        one = sides.party(number, "crm")
        known = {"name": one.name, "inn": one.inn, "kpp": one.kpp}
        yield ("espo", "account", one.id, "main", "counterparty", one.ref_key, "", "linked", "1", "1",
               json.dumps(known, ensure_ascii=False), NOW, NOW)  # fmt: skip
    for number in range(sides.deals):
        deal = sides.deal_of(number)
        assert deal is not None
        invoice = sides.invoice_of(number)
        agreed: dict[str, Any] = {"number": invoice.number, "date": BORN.isoformat(), "total": "1000.00"}
        agreed |= {"currency": "RUB", "url": "", "content": "", "issue": 1, "money": money_of(number)}
        link = Link("espo", "deal", deal.deal.id, "main", "invoice", invoice.ref_key, "", "posted", "v1", "1", agreed)
        agreed["fingerprint"] = wanted_now(here.services, link, deal.deal)[0]
        yield ("espo", "deal", link.record_id, "main", "invoice", link.ref_key, "", "posted", "v1", "1",
               json.dumps(agreed, ensure_ascii=False), NOW, NOW)  # fmt: skip


def one(postgres: Postgres, size: int) -> tuple[float, set[tuple[str, ...]], set[tuple[str, ...]], Counter[str], float]:
    """Seconds, what must be found, what was found, what is owed for it, megabytes at most so far."""
    url = postgres.fresh()
    here = world(url)
    sides = Sides(size // (PER_CLIENT + 1))
    fill(here, url, sides)
    mark_start(here.services)
    services = replace(here.services, bases={"main": Base(sides)}, crms={"espo": Crm(sides)})  # type: ignore[dict-item]
    here.store.keep_model("main", {})
    here.store.set_watermark("payments:main", TODAY.isoformat())  # 1C has newer documents too
    pull_payments(services, "main")  # the ledger computes itself once, from its facts
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as conn:
        conn.execute("DELETE FROM event_duties")
        conn.execute("DELETE FROM outbox")
        conn.execute("VACUUM ANALYZE")
    expected = sides.damaged(size // DAMAGED)
    started, run = time.perf_counter(), begin(services, "bench")
    while not run.verdict:
        run, waits = advance(services, run, lambda *_: None)
        if waits:
            raise AssertionError([part for part in run.parts if part.reason])
    seconds = time.perf_counter() - started
    print(f"reconcile: {size:>9,} pairs: " + ", ".join(f"{part.name} {part.checked}" for part in run.parts), flush=True)
    found = {_told(one) for one in _findings(here, run.id)}
    with here.store.reading() as conn_:
        owed = Counter(conn_.scalars(select(outbox.c.kind)).all()) + Counter(
            conn_.scalars(select(inbox.c.entity)).all()
        )
    here.close()
    return seconds, expected, found, owed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _findings(here: World, run: str) -> Iterator[Finding]:
    after = 0
    while True:
        with here.store.unit("look") as unit:
            some = unit.reconciling.findings(run, after)
        if not some:
            return
        yield from (finding for _, _, finding in some)
        after = some[-1][0]


def _told(one: Finding) -> tuple[str, ...]:
    return one.record or one.ref_key, one.kind, one.entity, one.field, one.action


def measure(*, quick: bool = False, size: int = SIZE) -> bool:
    """Print the figures with their bars; whether all hold."""
    size = size // 10 if quick else size
    good, megabytes = True, 0.0
    with Postgres() as postgres:
        for pairs in (max(size // 10, 2000), size):
            seconds, expected, found, owed, now = one(postgres, pairs)
            right, false = len(expected & found), len(found - expected)
            owes = ", ".join(f"{kind} {count}" for kind, count in sorted(owed.items()))
            print(
                f"reconcile: {pairs:>9,} pairs in {seconds:.1f} s (at most {SECONDS:.0f}): found {right} of "
                f"{len(expected)} damaged, {false} false; owed: {owes}",
                flush=True,
            )
            for missing in sorted(expected - found)[:5] + sorted(found - expected)[:5]:
                print(f"  {'not found' if missing in expected else 'false'}: {missing}")
            grown, megabytes = (now - megabytes if megabytes else 0.0), now
            good = good and expected == found and seconds <= SECONDS
    good = good and grown <= MEGABYTES
    print(f"reconcile: memory grew by {grown:.0f} MB with ten times the pairs (at most {MEGABYTES:.0f}) "
          f"{'ok' if good else 'BAD'}")  # fmt: skip
    return good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=SIZE)
    sys.exit(0 if measure(size=parser.parse_args().size) else 1)
