"""Whatever 1C, banks and deciding people do, in any order, with crashes between steps: the ledger ends equal to
one made from nothing. The tests run a few histories, bench/laws.py many."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from integration.flows.payment import settle_accounts
from integration.flows.pull import pull_money, pull_payments
from integration.rules.accounting import computed
from integration.rules.positions import Pin
from integration.rules.statements import compared
from integration.store import migrate
from integration.store.statements import SqlStatements
from integration.work import new_id
from mappers.money import StatementLine
from tests.flows.books import ACT, PAYMENT, REFUND, Books
from tests.flows.town import Town

CONTRACT = "Catalog_ДоговорыКонтрагентов"
SUMS = st.sampled_from([100, 250, 400, 1000])
_ONE, _DAY = Decimal(1), date(2026, 11, 24)
DAYS = st.sampled_from(["2026-11-24", "2026-11-20", "2026-10-05"])
SCHEDULES = st.sampled_from(
    [
        [],
        [{"LineNumber": 1, "ПроцентПлатежа": 95}, {"LineNumber": 2, "ПроцентПлатежа": 5, "Сдвиг": 90,
                                                  "ВариантОплаты": "ГарантийноеУдержание"}],
        [{"LineNumber": 1, "СуммаПлатежа": 1}, {"LineNumber": 2, "СуммаПлатежа": 2, "Сдвиг": 30}],
    ]
)  # fmt: skip


def run(place: Town, examples: int, steps: int = 16) -> None:
    """So many histories of at most so many steps; raises with the shortest one that breaks the law."""
    machine = type("Machine", (Money,), {"place": place})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None,
            phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


class Money(RuleBasedStateMachine):
    """One client's money. `documents`: what the accountant has written, by set and Ref_Key; `lines`: what the bank
    tells."""

    place: Town

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory(prefix="crm1c-")
        self.place.reset(Path(self.folder.name))
        self.books = Books(self.place)
        self.documents: list[tuple[str, str]] = []
        self.lines: list[StatementLine] = []

    @initialize()
    def begin(self) -> None:
        self.deal = self.books.deal(1000)
        self.bill = self.books.bill(self.deal)

    # -- 1C -------------------------------------------------------------------------------------------------------

    @rule(amount=SUMS, day=DAYS, named=st.booleans())
    def pay(self, amount: int, day: str, named: bool) -> None:
        self.documents.append((PAYMENT, self.books.pay(amount, self.bill if named else "", day)))

    @rule(amount=SUMS, day=DAYS, number=st.sampled_from(["", "999"]))
    def pay_with_a_text(self, amount: int, day: str, number: str) -> None:
        """A text that names the invoice, or one that nobody knows: the payment waits for a person."""
        number = number or self.place.invoice(self.deal)["Number"]
        self.documents.append((PAYMENT, self.books.pay(amount, "", day, f"Оплата по счету № {number}")))

    @rule(amount=SUMS, day=DAYS, made=st.booleans())
    def deliver(self, amount: int, day: str, made: bool) -> None:
        self.documents.append((ACT, self.books.act(amount, self.bill if made else "", day)))

    @rule(amount=SUMS)
    def refund(self, amount: int) -> None:
        self.documents.append((REFUND, self.books.refund(amount)))

    @precondition(lambda self: self.documents)
    @rule(which=st.integers(0, 50), change=st.sampled_from(["unpost", "post", "mark", "erase", "sum"]), amount=SUMS)
    def edit(self, which: int, change: str, amount: int) -> None:
        name, key = self.documents[which % len(self.documents)]
        values: dict[str, Any] = {
            "unpost": {"Posted": False}, "post": {"Posted": True, "DeletionMark": False},
            "mark": {"DeletionMark": True, "Posted": False}, "sum": {"СуммаДокумента": amount},
        }.get(change, {})  # fmt: skip
        if change == "erase":
            self.documents.remove((name, key))
            self.books.erase(name, key)
        else:
            self.books.edit(name, key, **values)

    @rule(terms=SCHEDULES)
    def plan(self, terms: list[dict[str, Any]]) -> None:
        """The contract gets another payment schedule."""
        self.books.edit(CONTRACT, self.books.head["ДоговорКонтрагента_Key"], ЭтапыГрафикаОплаты=terms)

    @rule(code=st.sampled_from(["643", "840"]))
    def settle_in(self, code: str) -> None:
        """The contract's currency is corrected; dollars have no rate, so that everything stops."""
        currency = self.books.currency(code)
        self.books.edit(CONTRACT, self.books.head["ДоговорКонтрагента_Key"], ВалютаВзаиморасчетов_Key=currency)

    # -- the bank -------------------------------------------------------------------------------------------------

    @rule(amount=SUMS, day=DAYS, way=st.sampled_from(["in", "out"]), again=st.booleans())
    def statement(self, amount: int, day: str, way: Any, again: bool) -> None:
        """A statement with one more movement, and everything that the last ones told."""
        key, text = f"line {len(self.lines)}", "Возврат аванса" if way == "out" else "Оплата"
        line = StatementLine(key, "40702810", way, date.fromisoformat(day), key, amount * _ONE, "RUB", "", purpose=text)
        self.lines.append(line)
        for new in (1, 0) if again else (1,):
            with self.place.world.store.unit("keep statements") as unit:
                kept = SqlStatements(unit.conn, unit.now).keep(self.lines, "kl_to_1c.txt")
            assert kept == new

    # -- people and workers ---------------------------------------------------------------------------------------

    @precondition(lambda self: any(name == PAYMENT for name, _ in self.documents))
    @rule(which=st.integers(0, 50), amount=st.none() | SUMS, off=st.booleans())
    def decide(self, which: int, amount: int | None, off: bool) -> None:
        mine = [key for name, key in self.documents if name == PAYMENT]
        key = mine[which % len(mine)]
        with self.place.world.store.unit("pin") as unit:
            if off:
                unit.ledger.unpin("main", key)
            else:
                unit.ledger.pin("main", Pin(key, self.bill, amount and amount * _ONE, "ivanova"), new_id())

    @rule(nightly=st.booleans())
    def look(self, nightly: bool) -> None:
        pull_payments(self.place.world.services, "main", nightly=nightly)

    @rule(step=st.sampled_from(["keep facts", "allocate", "known versions", "known contracts"]), after=st.booleans())
    def die(self, step: str, after: bool) -> None:
        """A worker that dies at a transaction, just before it stands or just after."""
        store = self.place.world.store
        sound = store.unit

        def deadly(name: str) -> Any:
            inner = sound(name)
            return _Dying(inner, after) if name == step else inner

        mortal: Any = replace(self.place.world.services, store=_Store(store, deadly))  # type: ignore[arg-type]
        with suppress(Crash):
            pull_payments(mortal, "main")

    # -- the law --------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if hasattr(self, "bill"):
            pull_money(self.place.world.services, "main", nightly=True)
            settle_accounts(self.place.world.services, "main", "end")
            self.compare_statements()
            self.compare()
        self.folder.cleanup()

    def compare(self) -> None:
        """Positions kept by entries, and those of a ledger that sees 1C for the first time today."""
        place = self.place
        kept = {one.key: (one.amount, one.paid) for one in self.books.positions()}
        for account in self.books.accounts():
            with place.world.store.unit("look") as unit:
                held = unit.ledger.held(account)
            assert computed(account, held, place.world.settings.allocation, _DAY).moved == ()
        pins = [pin for account in self.books.accounts() for pin in _held(place, account).pins]
        with TemporaryDirectory(prefix="crm1c-") as other:
            migrate.upgrade(f"sqlite:///{other}/crm1c.db")
            place.live({"database": {"url": f"sqlite:///{other}/crm1c.db"}})
            pull_money(place.world.services, "main", nightly=True)
            for pin in dict.fromkeys(pins):
                with place.world.store.unit("pin") as unit:
                    unit.ledger.pin("main", pin, new_id())
            settle_accounts(place.world.services, "main", "anew")
            anew = {one.key: (one.amount, one.paid) for one in self.books.positions()}
            place.world.close()
        assert kept == anew

    def compare_statements(self) -> None:
        """Every movement and every live document is paired once or told once, and equal sums pair as often as both
        sides have them."""
        everything = (date(2020, 1, 1), date(2030, 1, 1))
        with self.place.world.store.reading() as conn:
            store = SqlStatements(conn, self.place.world.services.now())
            told, documents = store.lines(*everything), store.payments(*everything)
        assert [one.key for one in sorted(told, key=lambda one: one.key)] == sorted(one.key for one in self.lines)
        found = compared(told, documents)
        live = [one for one in documents if one.posted and not one.deleted]
        assert found.paired + len(found.bank_only) + found.others == len(told)
        assert found.paired + len(found.onec_only) == len(live)


class Crash(BaseException):
    """The worker dies here."""


class _Store:
    def __init__(self, store: Any, unit: Any) -> None:
        self._store, self.unit = store, unit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _Dying:
    """A transaction at whose end the worker dies."""

    def __init__(self, inner: Any, after: bool) -> None:
        self._inner, self._after = inner, after

    def __enter__(self) -> Any:
        return self._inner.__enter__()

    def __exit__(self, *told: Any) -> Any:
        if self._after:
            self._inner.__exit__(*told)
            raise Crash
        death = Crash()
        self._inner.__exit__(Crash, death, None)
        raise death


def _held(town: Town, account: Any) -> Any:
    with town.world.store.unit("look") as unit:
        return unit.ledger.held(account)
