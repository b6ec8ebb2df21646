"""Whatever 1C's people do, in any order, with crashes between steps: the ledger ends equal to one made from nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from integration.flows.payment import settle_accounts
from integration.flows.pull import pull_money, pull_payments
from integration.rules.accounting import computed
from integration.rules.positions import Pin
from integration.store import migrate
from integration.work import new_id
from tests.flows.books import ACT, PAYMENT, REFUND, Books
from tests.flows.town import Town, built

SUMS = st.sampled_from([100, 250, 400, 1000])
_ONE, _DAY = Decimal(1), date(2026, 11, 24)
DAYS = st.sampled_from(["2026-11-24", "2026-11-20", "2026-10-05"])


class Crash(BaseException):
    """The worker dies here."""


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    with built() as town:
        yield town


@pytest.mark.slow
def test_the_ledger_equals_one_computed_from_nothing(place: Town) -> None:
    """After edits, unposting, posting again, erasure, pins and deaths between steps."""

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.folder = TemporaryDirectory(prefix="crm1c-")
            place.reset(Path(self.folder.name))
            self.books = Books(place)
            self.documents: list[tuple[str, str]] = []

        @initialize()
        def begin(self) -> None:
            self.deal = self.books.deal(1000)
            self.bill = self.books.bill(self.deal)

        @rule(amount=SUMS, day=DAYS, named=st.booleans())
        def pay(self, amount: int, day: str, named: bool) -> None:
            self.documents.append((PAYMENT, self.books.pay(amount, self.bill if named else "", day)))

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

        @precondition(lambda self: any(name == PAYMENT for name, _ in self.documents))
        @rule(which=st.integers(0, 50), amount=st.none() | SUMS, off=st.booleans())
        def decide(self, which: int, amount: int | None, off: bool) -> None:
            mine = [key for name, key in self.documents if name == PAYMENT]
            key = mine[which % len(mine)]
            with place.world.store.unit("pin") as unit:
                if off:
                    unit.ledger.unpin("main", key)
                else:
                    unit.ledger.pin("main", Pin(key, self.bill, amount and amount * _ONE, "ivanova"), new_id())

        @rule(nightly=st.booleans())
        def look(self, nightly: bool) -> None:
            pull_payments(place.world.services, "main", nightly=nightly)

        @rule(step=st.sampled_from(["keep facts", "allocate", "known versions"]), after=st.booleans())
        def die(self, step: str, after: bool) -> None:
            """A worker that dies at a transaction, just before it stands or just after."""
            store = place.world.store
            sound = store.unit

            def deadly(name: str) -> Any:
                inner = sound(name)
                return _Dying(inner, after) if name == step else inner

            mortal: Any = replace(place.world.services, store=_Store(store, deadly))  # type: ignore[arg-type]
            with suppress(Crash):
                pull_payments(mortal, "main")

        def teardown(self) -> None:
            if hasattr(self, "bill"):
                pull_money(place.world.services, "main", nightly=True)
                settle_accounts(place.world.services, "main", "end")
                self.compare()
            self.folder.cleanup()

        def compare(self) -> None:
            """Positions kept by entries, and those of a ledger that sees 1C for the first time today."""
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

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Machine,
        settings=settings(
            max_examples=25, stateful_step_count=16, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


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
