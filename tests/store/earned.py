"""Histories of paid money through the store: payments, edits, refunds, deals that change hands, months that pass, rules
that change. Whatever happens, what the accruals gave is what a recomputation from nothing gives, to the kopeck."""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import select

from integration.flows.bonus import Rules, accrue
from integration.flows.holder import Whose
from integration.flows.recompute import prove_one
from integration.rules.accounting import computed
from integration.rules.accounts import Account, Held
from integration.rules.accrual import unpacked
from integration.rules.bonus import Movement, month_of, months, totals
from integration.services import Services
from integration.settings import read
from integration.settings.money import Bonus, BonusRule, Split
from integration.store import migrate
from integration.store.bonus_schema import accruals, bonus_months
from integration.store.engine import connect
from integration.store.store import SqlStore
from integration.work import Link
from mappers.canonical import Invoice, User
from mappers.money import Payment, PaymentRow, Refund
from tests.rules.histories import bonus_rules

START = date(2026, 1, 10)
AS_IT_WAS = 100  # histories that share a database
PEOPLE = ("anna", "boris")
TOML = {
    "database": {"url": "sqlite:///x.db"}, "broker": {"url": "memory://"}, "redis": {"url": "embedded://"},
    "onec": {"main": {"base_url": "http://1c", "username": "u", "password": "env:S", "organisation": "7707083893",
                      "since": "2026-01-01"}},
    "crm": {"espo": {"kind": "espocrm", "base_url": "http://crm", "api_key": "env:S"}},
}  # fmt: skip
sums = st.integers(1, 10**7).map(lambda kopecks: Decimal(kopecks) / 100)


@dataclass(frozen=True)
class Step:
    """What happens. `which`: of the payments so far; `rules`: of those that the history may have."""

    what: str
    amount: Decimal
    which: int
    back: int  # days that a payment is dated back
    named: bool  # whether it names the deal's invoice


@dataclass(frozen=True)
class Story:
    rules: tuple[tuple[BonusRule, ...], ...]
    splits: tuple[Split, ...]
    steps: tuple[Step, ...]


def steps() -> st.SearchStrategy[Step]:
    words = ["pay"] * 5 + ["edit", "edit", "unpost", "post", "refund", "hand", "rules", "month", "month"]
    numbers = st.integers(0, 20)
    return st.builds(Step, st.sampled_from(words), sums, numbers, st.integers(0, 45), st.booleans())


@st.composite
def stories(draw: st.DrawFn) -> Story:
    def some_rules() -> tuple[BonusRule, ...]:
        made = draw(st.lists(bonus_rules(), min_size=1, max_size=3, unique_by=lambda rule: (rule.manager, rule.since)))
        words = st.tuples(st.sampled_from(["gross", "net"]), st.sampled_from(["allocation", "received"]))
        return tuple(_counting(rule, *draw(words)) for rule in made)

    shares = {"anna": Decimal("33.33"), "boris": Decimal("66.67")}
    split = Split(since=date(2026, 2, 1), manager="anna", shares=shares)
    splits = (split,) if draw(st.booleans()) else ()
    return Story((some_rules(), some_rules()), splits, tuple(draw(st.lists(steps(), min_size=2, max_size=9))))


def _counting(rule: BonusRule, base: Any, counts: Any) -> BonusRule:
    return replace(rule, base=base, counts=counts)


def holds(story: Story) -> None:
    """The law of one history."""
    _Life(story).run()


class _Life:
    """One client with one deal. Names are this history's own, so that many share a database."""

    _numbers = count()

    def __init__(self, story: Story) -> None:
        self.number, self.story = next(self._numbers), story
        self.store = _store(self.number // AS_IT_WAS)
        self.today, self.rules = START, 0
        self.account = Account("main", "org", f"client-{self.number}", "contract")
        self.people = {name: f"{name}-{self.number}" for name in PEOPLE}
        self.deal = f"deal-{self.number}"
        self.payments: list[Payment] = []
        self.refunds: list[Refund] = []
        ref = f"bill-{self.number}"
        moment = datetime(2026, 1, 10, 9, tzinfo=UTC)
        self.bill = Invoice(ref, "0000-000001", moment, Decimal(150_000), "RUB", True, False, "v", contract="contract")
        self.link = Link("espo", "deal", self.deal, "main", "invoice", ref)
        with self.store.unit("begin") as unit:
            users = [User(one, name, "", (self._team(name),)) for name, one in self.people.items()]
            unit.holders.keep_users("espo", users)
            groups = {"hardware": Decimal(1), "": Decimal(2)}
            unit.holders.hold(("espo", "deal", self.deal), self.people["anna"], groups)

    def run(self) -> None:
        for step in self.story.steps:
            getattr(self, f"_{step.what}")(step)
            self._settle()
        self._prove()

    # -- what happens -----------------------------------------------------------------------------------------------

    def _pay(self, step: Step) -> None:
        day = self.today - timedelta(days=step.back)
        day = max(day, date(2026, 1, 1))
        row = PaymentRow(1, step.amount, None, self.bill.ref_key if step.named else "", "contract",
                         vat=step.amount / 6 if step.which % 2 else Decimal(0))  # fmt: skip
        ref = f"payment-{self.number}-{len(self.payments)}"
        self.payments.append(
            Payment(ref, f"{len(self.payments)}", day, step.amount, "RUB", True, False, "v", rows=(row,),
                    counterparty=self.account.counterparty, organisation="org", contract="contract")
        )  # fmt: skip

    def _edit(self, step: Step) -> None:
        self._change(step, amount=step.amount, rows=())

    def _unpost(self, step: Step) -> None:
        self._change(step, posted=False)

    def _post(self, step: Step) -> None:
        self._change(step, posted=True)

    def _change(self, step: Step, **values: Any) -> None:
        if self.payments:
            at = step.which % len(self.payments)
            self.payments[at] = replace(self.payments[at], **values)

    def _refund(self, step: Step) -> None:
        ref = f"refund-{self.number}-{len(self.refunds)}"
        self.refunds.append(
            Refund(ref, f"{len(self.refunds)}", self.today, step.amount, "RUB", True, False, "v",
                   counterparty=self.account.counterparty, organisation="org", contract="contract")
        )  # fmt: skip

    def _hand(self, step: Step) -> None:
        with self.store.unit("hand") as unit:
            unit.holders.hold(("espo", "deal", self.deal), self.people[PEOPLE[step.which % 2]], {"": Decimal(1)})

    def _rules(self, _: Step) -> None:
        self.rules = 1 - self.rules

    def _month(self, _: Step) -> None:
        self.today = (self.today.replace(day=1) + timedelta(days=40)).replace(day=10)

    # -- what crm1c does ----------------------------------------------------------------------------------------------

    def _services(self) -> Services:
        splits = [
            replace(one, shares={self.people[name]: percent for name, percent in one.shares.items()})
            for one in self.story.splits
        ]
        bonus = Bonus(rule=self.story.rules[self.rules], split=tuple(splits))
        nothing: Any = {}
        crms: Any = {"espo": None}
        settings = replace(_settings(), bonus=bonus)
        return Services(settings, nothing, self.store, crms, nothing, self._now, lambda: 0.5)

    def _now(self) -> datetime:
        return datetime(self.today.year, self.today.month, self.today.day, 9, tzinfo=UTC)

    def _settle(self) -> None:
        held = Held("RUB", tuple(self.payments), tuple(self.refunds), invoices=(self.bill,), deals=(self.link,))
        services = self._services()
        now = computed(self.account, held, services.settings.allocation, self.today)
        with self.store.unit("settle") as unit:
            unit.ledger.keep("main", self.payments)
            accrue(services, unit, self.account, held, now.allocated, self.today, date(2026, 1, 1), "история")

    # -- the law ------------------------------------------------------------------------------------------------------

    def _prove(self) -> None:
        services = self._services()
        self._settle_rules(services)
        self._settle()  # what counts may be another thing by the new rule
        rows = self._rows()
        rules = self._standing()
        given: dict[tuple[str, str], Decimal] = {}
        for row in rows:
            place = (row.manager, row.given[:7])
            given[place] = given.get(place, Decimal(0)) + row.bonus
        whole = months(totals(_movements(rows, rules)), rules)
        assert {key: one for key, one in given.items() if one} == {key: one for key, one in whole.items() if one}
        assert all(one == one.quantize(Decimal("0.01")) for one in whole.values())
        for manager, month in sorted({*given, *whole}):
            assert prove_one(services, (manager, "RUB"), month) == []
        again = len(rows)
        self._settle()
        assert len(self._rows()) == again  # a repetition changes nothing

    def _settle_rules(self, services: Services) -> None:
        zone = services.settings.schedule.timezone
        for manager in sorted(self.people.values()):
            with self.store.unit("rules") as unit:
                month = month_of(self.today)
                whose = Whose(services, unit, (), (), zone)
                if ((manager, "RUB", month)) in unit.bonuses.rules([(manager, "RUB", month)]):
                    Rules(services, unit, whose, "RUB", month).held(manager, month, self.today)

    def _rows(self) -> list[Any]:
        mine = select(accruals).where(accruals.c.manager.in_(self.people.values())).order_by(accruals.c.id)
        with self.store.reading() as conn:
            return list(conn.execute(mine))

    def _standing(self) -> dict[tuple[str, str], BonusRule | None]:
        mine = select(bonus_months).where(bonus_months.c.manager.in_(self.people.values()))
        with self.store.reading() as conn:
            return {(row.manager, row.month): unpacked(row.rule) for row in conn.execute(mine)}

    @staticmethod
    def _team(name: str) -> str:
        return "sales" if name == "boris" else "others"


def _movements(rows: Sequence[Any], rules: dict[tuple[str, str], BonusRule | None]) -> list[Movement]:
    """The accruals' sums as the rules of bonuses take them."""
    made = []
    for row in rows:
        rule = rules.get((row.manager, row.month))
        amount = row.net if rule is not None and rule.base == "net" else row.gross
        made.append(Movement(row.manager, row.month, amount, row.grp, row.first / 100, row.taken))
    return made


@cache
def _settings() -> Any:
    return read(TOML, {"S": "x"})


@cache
def _store(number: int) -> SqlStore:
    folder = _folder()
    file = folder / f"{number}.db"
    shutil.copy(_empty(), file)
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    return SqlStore(connect(f"sqlite:///{file}"), lambda: long_ago, _settings().delivery, _nobody)


def _nobody(*_: Any) -> None:
    """No worker is called."""


@cache
def _empty() -> Path:
    file = _folder() / "empty.db"
    migrate.upgrade(f"sqlite:///{file}")
    return file


@cache
def _folder() -> Path:
    folder = TemporaryDirectory(prefix="crm1c-")
    atexit.register(folder.cleanup)
    return Path(folder.name)
