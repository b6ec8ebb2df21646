"""The ledger's tables on SQLite and PostgreSQL: facts told again are no news, entries stay, sums never exceed."""

from __future__ import annotations

import json
import threading
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from integration.rules.accounts import Account, Fact, Question, Standing, kind_of
from integration.rules.contracts import SHOWN, Sums
from integration.rules.positions import Entry, Explanation, Pin, Position
from integration.rules.status import Totals
from integration.store.facts_json import packed, unpacked
from integration.store.ledger_schema import accounts, entries
from integration.work import Link, new_id
from mappers.canonical import Invoice
from mappers.money import Act, Contract, Covered, Instalment, Payment, PaymentRow, Rate, Refund, Term
from tests.store.world import World

DAY = date(2026, 11, 24)
ACCOUNT = Account("main", "org", "client", "contract")
OTHER = Account("main", "org", "client", "other")
PAYMENT = Payment(
    "p1", "0000-000001", DAY, Decimal("6000000.00"), "RUB", posted=True, deleted=False, version="v1",
    purpose="Оплата по счету № 57 от 03.02.2026", rows=(PaymentRow(1, Decimal("6000000.00"), None, "i1", "contract"),),
    counterparty="client", organisation="org", contract="contract", bank_number="15", bank_date=DAY,
)  # fmt: skip
ACT = Act(
    "a1", "0000-000007", DAY, Decimal(10_000_000), "RUB", posted=True, deleted=False, version="v1", signed=True,
    covers=(Covered("i1", Decimal(10_000_000)),), instalments=(Instalment(Decimal(500_000), DAY, "retention"),),
    counterparty="client", organisation="org", contract="contract",
)  # fmt: skip
INVOICE = Invoice(
    "i1", "0000-000057", datetime(2026, 2, 3, 9, tzinfo=UTC), Decimal(10_000_000), "RUB", posted=True, deleted=False,
    version="v1", counterparty="client", organisation="org", contract="contract",
)  # fmt: skip
CONTRACT = Contract("contract", "14/26", None, "USD", "client", "org")
REFUND = Refund(**{name: getattr(PAYMENT, name) for name in Payment.__slots__} | {"ref_key": "r1"})


SCHEDULED = replace(
    CONTRACT, schedule=(Term(Decimal("95.5"), days=10), Term(Decimal("4.5"), due=DAY, kind="retention"))
)


@pytest.mark.parametrize(
    "fact", [PAYMENT, REFUND, ACT, INVOICE, CONTRACT, SCHEDULED, replace(PAYMENT, rows=(), bank_date=None)]
)
def test_a_fact_comes_back_as_it_was(fact: Fact) -> None:
    """Sums to the kopeck, dates, rows, and its kind."""
    assert unpacked(kind_of(fact), packed(fact)) == fact


def test_the_same_facts_again_touch_nothing(world: World) -> None:
    """What is news touches its accounts; a payment that moves touches the one that it left, too."""
    assert kept(world, PAYMENT, ACT, INVOICE, CONTRACT) == 4
    assert taken(world) == [ACCOUNT]
    assert kept(world, PAYMENT, ACT, INVOICE, CONTRACT) == 0
    assert taken(world) == []
    moved = replace(PAYMENT, version="v2", rows=(replace(PAYMENT.rows[0], contract="other"),))
    assert kept(world, moved) == 1
    assert taken(world) == sorted([ACCOUNT, OTHER], key=lambda one: one.id)
    with world.store.unit("look") as unit:
        assert unit.ledger.stamps("main", "payment", ["p1", "p2"]) == {"p1": ("v2", True, False)}
        assert unit.ledger.dated("main", "payment", DAY) == {"p1"}
        held = unit.ledger.held(ACCOUNT)
    assert (held.payments, held.acts, held.invoices, held.currency) == ((), (ACT,), (INVOICE,), "USD")


def test_a_clients_accounts_are_computed_in_turn(world: World) -> None:
    """Which payment is the client's first is asked of all his contracts: two workers would each find another one."""
    with world.store.unit("facts") as unit:
        unit.ledger.keep("main", [PAYMENT, replace(PAYMENT, ref_key="p2", rows=(), contract="other")])
    said, store = list[str](), world.another()

    def other() -> None:
        with store.unit("the other account") as unit:
            assert unit.ledger.take(OTHER)
            said.append("second")

    with world.store.unit("an account") as unit:
        assert unit.ledger.take(ACCOUNT)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.3)
        said.append("first")
    thread.join(30)
    assert said == ["first", "second"]


def test_a_rate_touches_what_counts_with_it(world: World) -> None:
    """From its day on; other accounts are left alone."""
    kept(world, CONTRACT, PAYMENT, replace(PAYMENT, ref_key="p2", rows=(), contract="other"))
    taken(world)
    for rates, touched in (
        ([Rate("USD", date(2026, 11, 25), Decimal("90.5"))], []),
        ([Rate("USD", DAY, Decimal("90.5"))], [ACCOUNT]),
        ([Rate("USD", DAY, Decimal("90.5"))], []),
        ([Rate("USD", DAY, Decimal("90.6"))], [ACCOUNT]),
    ):
        with world.store.unit("rates") as unit:
            unit.ledger.keep_rates("main", rates)
        assert taken(world) == touched
    with world.store.unit("look") as unit:
        assert {one.rate for one in unit.ledger.held(ACCOUNT).rates} == {Decimal("90.5"), Decimal("90.6")}


def test_entries_add_up_and_stay(world: World) -> None:
    """A position is the sum of its entries; nobody changes or removes one."""
    with world.store.unit("enter") as unit:
        unit.ledger.enter(ACCOUNT, [Entry("allocation", position(600)), Entry("reversal", position(-250))], "test")
        assert [one.amount for one in unit.ledger.positions(ACCOUNT)] == [Decimal("350.00")]
    for statement in (update(entries).values(cause="x"), delete(entries)):
        with pytest.raises(DBAPIError, match="append-only"), world.store.unit("spoil") as unit:
            unit.conn.execute(statement)


@pytest.mark.parametrize("amount", [Decimal(0), Decimal(-1)])
def test_an_allocation_is_positive(world: World, amount: Decimal) -> None:
    """SQL itself refuses anything else."""
    with pytest.raises(IntegrityError), world.store.unit("enter") as unit:
        unit.ledger.enter(ACCOUNT, [Entry("allocation", position(amount))], "test")


def test_nothing_is_paid_beyond_its_sum(world: World) -> None:
    """Neither an obligation nor a payment: SQL refuses it."""
    for paid in (Decimal(101), Decimal(-1)):
        with pytest.raises(IntegrityError), world.store.unit("stand") as unit:
            unit.ledger.stand(ACCOUNT, [standing("paid", paid)])


def test_turns_are_counted(world: World) -> None:
    """A code that changes has a number of its own; the same again is none; what vanishes is told once."""
    told = []
    for now in (
        [standing("issued", 0)],
        [standing("paid", 100)],
        [standing("paid", 100)],
        [],
        [],
        [standing("paid", 1)],
    ):
        with world.store.unit("stand") as unit:
            told.append([(turn.before, turn.after, turn.number) for turn in unit.ledger.stand(ACCOUNT, now)])
    assert told == [
        [("", "issued", 1)], [("issued", "paid", 2)], [], [("paid", "gone", 3)], [], [("gone", "paid", 4)],
    ]  # fmt: skip


def test_a_pin_replaces_the_earlier_one_and_ends(world: World) -> None:
    """One live decision for two documents; an ended one stays for the record and counts no more."""
    kept(world, PAYMENT)
    taken(world)
    for amount in (Decimal(1), Decimal(2)):
        with world.store.unit("pin") as unit:
            assert unit.ledger.pin("main", Pin("p1", "a1", amount, "ivanova"), new_id())
    with world.store.unit("look") as unit:
        assert unit.ledger.held(ACCOUNT).pins == (Pin("p1", "a1", Decimal("2.00"), "ivanova"),)
    assert taken(world) == [ACCOUNT]
    with world.store.unit("unpin") as unit:
        assert unit.ledger.unpin("main", "p1") == 1
        assert unit.ledger.unpin("main", "p1") == 0
    assert taken(world) == [ACCOUNT]


def test_questions_keep_their_age_and_go_when_answered(world: World) -> None:
    """The list shows what still waits, oldest first."""
    kept(world, PAYMENT)
    first = Question("stopped", "p1", Decimal(5), "USD", "нет курса USD")
    with world.store.unit("ask") as unit:
        unit.ledger.ask(ACCOUNT, [first])
    world.clock.forward(60)
    second = Question("proposal", "p2", Decimal(7), "RUB", "не найден счёт № 8", ({"obligation": "a1"},))
    with world.store.unit("ask") as unit:
        unit.ledger.ask(ACCOUNT, [second, first])
        assert unit.ledger.questions() == [(ACCOUNT, first), (ACCOUNT, second)]
        unit.ledger.ask(ACCOUNT, [second])
        assert unit.ledger.questions() == [(ACCOUNT, second)]


def kept(world: World, *facts: Fact) -> int:
    with world.store.unit("keep") as unit:
        return unit.ledger.keep("main", facts)


def taken(world: World) -> list[Account]:
    """The touched accounts, taken for computing."""
    with world.store.unit("take") as unit:
        found = unit.ledger.touched("main")
        assert all(unit.ledger.take(one) for one in found)
        assert not any(unit.ledger.take(one) for one in found)
    return found


def position(amount: Decimal | int) -> Position:
    sum_ = Decimal(amount)
    return Position("p1", 1, "a1", 0, sum_, "RUB", sum_, "RUB", None, DAY, Explanation("explicit", "i1", "1", "указан"))


def standing(code: str, paid: Decimal | int) -> Standing:
    return Standing("a1", code, Decimal("0.0"), Decimal(100), Decimal(paid), "RUB")


def test_sums_of_contracts_stand_beside_their_accounts(world: World) -> None:
    """What stood before is told; those of one counterparty are found together."""
    kept(world, PAYMENT, replace(PAYMENT, ref_key="p2", rows=(), contract="other"))
    with world.store.unit("sum up") as unit:
        assert unit.ledger.sum_up(ACCOUNT, {"debt": "1.00"}, None) is None
        assert unit.ledger.sum_up(ACCOUNT, {"debt": "2.00"}, DAY) == {"debt": "1.00"}
        assert unit.ledger.sums("main", "client") == {ACCOUNT.id: {"debt": "2.00"}}
        unit.ledger.sum_up(OTHER, {"debt": "3.00"}, None)
        assert len(unit.ledger.sums("main", "client")) == 2
        assert unit.ledger.sums("main", "nobody") == {}


def test_clients_that_show_other_sums_are_found(world: World) -> None:
    """Those never shown and those shown otherwise, page by page; who shows what stands is left alone."""
    kept(world, PAYMENT, replace(PAYMENT, ref_key="p2", rows=(), contract="other"))
    nothing = dict.fromkeys((one.name for one in fields(Totals)), Decimal(0))
    stands = Sums("Договор", Totals(**{**nothing, "currency": "RUB", "debt": Decimal(5)}))
    with world.store.unit("sum up") as unit:
        unit.ledger.sum_up(ACCOUNT, stands.packed(), None)
        unit.ledger.sum_up(OTHER, stands.packed(), None)
        for record in ("c1", "c2"):
            unit.links.bind(Link("espo", "account", record, "main", "counterparty", "client"))
        assert unit.ledger.untold("main") == []  # computed just now: what is owed to them is on its way
        unit.conn.execute(update(accounts).values(computed_at=unit.now - timedelta(days=1)))
        told, after = [], ("", "")
        while page := unit.ledger.untold("main", after, limit=1):
            told += page
            after = (page[-1].contract, page[-1].record_id)
        assert sorted((one.contract, one.record_id) for one in told) == sorted(
            (account.id, record) for account in (ACCOUNT, OTHER) for record in ("c1", "c2")
        )
        assert {one.sums for one in told} == {stands}
        assert unit.ledger.untold("other") == []
    for account, sums in ((ACCOUNT, stands.packed()), (OTHER, {})):
        world.store.set_watermark(f"{SHOWN}espo:{account.id}", json.dumps(sums, ensure_ascii=False))
    with world.store.unit("look") as unit:
        assert {one.contract for one in unit.ledger.untold("main")} == {OTHER.id}


def test_accounts_wake_on_their_day_and_once(world: World) -> None:
    """Not a day before, and not in another base; found by an index of those that wait, never by a scan."""
    kept(world, PAYMENT, replace(PAYMENT, ref_key="p2", rows=(), contract="other"))
    taken(world)
    with world.store.unit("sum up") as unit:
        unit.ledger.sum_up(ACCOUNT, {}, DAY)
        unit.ledger.sum_up(OTHER, {}, None)
    with world.store.unit("wake") as unit:
        assert unit.ledger.wake("main", DAY - timedelta(days=1)) == 0
        assert unit.ledger.wake("other", DAY) == 0
        assert unit.ledger.wake("main", DAY + timedelta(days=1)) == 1
        assert unit.ledger.wake("main", DAY + timedelta(days=1)) == 0
    assert taken(world) == [ACCOUNT]
    with world.store.unit("explain") as unit:
        asked = "UPDATE accounts SET touched = true WHERE base = 'main' AND turns_on <= '2026-11-25'"
        postgresql = unit.conn.dialect.name == "postgresql"
        if postgresql:
            unit.conn.execute(text("SET LOCAL enable_seqscan = off"))
        plan = unit.conn.execute(text(f"EXPLAIN {'' if postgresql else 'QUERY PLAN '}{asked}")).all()
    assert "ix_accounts_turns_on" in str(plan)
