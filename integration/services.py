"""What flows see of the world: Protocols. bootstrap puts the real parts behind them, tests put theirs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, Protocol, TypeVar

from integration.comparing import Reconciling
from integration.counting import Board, Bonuses, Holders, KpiStore
from integration.retry import Policy
from integration.rules.accounts import Account, Fact, Held, Kind, Question, Standing, Turn
from integration.rules.contracts import Untold
from integration.rules.positions import Entry, Pin
from integration.settings import Settings
from integration.work import Arrival, Clash, Duty, Event, Letter, Link, Outcome, Owed, Printed, Proposed, Wait
from mappers.dialect import Talk
from mappers.money import Rate
from mappers.paper import Paper, PaperKind
from mappers.verbs import AccountingDialect, CrmDialect, RequisitesDialect

T = TypeVar("T")
D_co = TypeVar("D_co", covariant=True)


class Remote(Protocol, Generic[D_co]):
    """A system at the other end of HTTP. `say` is its dialect, `ask` has a talk with it.

    `ask` raises the errors of the taxonomy, `Held` while the system's circuit is open.
    """

    name: str

    @property
    def say(self) -> D_co: ...

    def ask(self, talk: Talk[T]) -> T: ...


class Base(Remote[AccountingDialect], Protocol):
    """A 1C base. Calls are made inside `session()`, which holds one of the base's few sessions (`Busy` when none)."""

    def session(self, *, fresh: bool = False, patience: float | None = None) -> AbstractContextManager[None]: ...

    def recall(self, what: str, find: Callable[[], T | None]) -> T | None:
        """What `find` found within the last minutes, in this process; None is asked for again."""
        ...


class Shelf(Protocol):
    """What may be lost: answers of registries, kept for a while by all processes."""

    def get(self, key: str) -> str | None: ...

    def put(self, key: str, value: str, seconds: float) -> None: ...


class NoShelf:
    """Nothing is kept: without a Redis everything is asked anew."""

    def get(self, key: str) -> str | None:  # noqa: ARG002 – the protocol's names
        return None

    def put(self, key: str, value: str, seconds: float) -> None:
        pass


class Links(Protocol):
    def find(self, crm: str, entity: str, record_id: str, base: str, kind: str) -> Link | None: ...

    def by_ref(self, base: str, kind: str, ref_key: str) -> list[Link]: ...

    def of_record(self, crm: str, entity: str, record_id: str) -> list[Link]: ...

    def bind(self, link: Link) -> None:
        """Write the link, or bring the standing one to this state."""
        ...


class Papers(Protocol):
    def find(self, crm: str, record_id: str, base: str, issue: int) -> Printed | None: ...

    def versions(self, crm: str, record_id: str, base: str) -> list[Printed]:
        """Every version of one paper, the first one first."""
        ...

    def keep(self, printed: Printed) -> Printed:
        """Write a paper down, once; what stands already is given back."""
        ...

    def mark(self, printed: Printed, **state: Any) -> Printed: ...

    def noticed(self, cause: str, channel: str) -> bool: ...

    def note(self, cause: str, channel: str) -> None: ...


class Parties(Protocol):
    """Conflicts, proposals, and the pages of the first day."""

    def versions(self, base: str, kind: str) -> dict[str, str]: ...

    def linked(self, crm: str, base: str, kind: str) -> list[tuple[str, str]]: ...

    def bind_new(self, found: Sequence[Link]) -> int: ...

    def clash(self, clash: Clash) -> None: ...

    def clashes(self, link: Link) -> list[Clash]: ...

    def clash_by_id(self, clash_id: str) -> Clash | None: ...

    def take(self, clash_id: str, side: str) -> bool: ...

    def end(self, clash_id: str) -> None: ...

    def propose(self, found: Sequence[Proposed]) -> int: ...

    def proposal(self, proposal_id: str) -> Proposed | None: ...

    def judge(self, proposal_id: str, state: str) -> bool: ...

    def refused(self) -> set[str]: ...

    def keep_page(self, side: str, start: int, rows: int, body: str, *, last: bool) -> None: ...

    def reading_at(self, side: str) -> tuple[int, bool]: ...

    def bodies(self, side: str) -> Iterator[str]: ...

    def forget_pages(self) -> None: ...


class Ledger(Protocol):
    """Facts of money as last seen, and the append-only ledger (integration.rules.accounts says what they are)."""

    def stamps(self, base: str, kind: Kind, refs: Collection[str]) -> dict[str, tuple[str, bool, bool]]: ...

    def dated(self, base: str, kind: Kind, since: date) -> set[str]: ...

    def facts(self, base: str, kind: Kind, refs: Collection[str]) -> list[Fact]: ...

    def keep(self, base: str, seen: Sequence[Fact]) -> int: ...

    def keep_rates(self, base: str, told: Collection[Rate]) -> int: ...

    def touch_document(self, base: str, ref_key: str) -> int: ...

    def touched(self, base: str, limit: int = 500, after: str = "") -> list[Account]: ...

    def take(self, account: Account) -> bool: ...

    def wake(self, base: str, today: date) -> int: ...

    def sum_up(self, account: Account, sums: Mapping[str, str], turns_on: date | None) -> dict[str, str] | None: ...

    def sums(self, base: str, counterparty: str) -> dict[str, dict[str, Any]]: ...

    def untold(self, base: str, after: tuple[str, str] = ("", ""), limit: int = 500) -> list[Untold]: ...

    def account_of(self, base: str, kind: Kind, ref_key: str) -> Account | None: ...

    def held(self, account: Account) -> Held: ...

    def enter(self, account: Account, moved: Sequence[Entry], cause: str) -> None: ...

    def stand(self, account: Account, now: Sequence[Standing]) -> list[Turn]: ...

    def pin(self, base: str, pin: Pin, pin_id: str) -> bool: ...

    def unpin(self, base: str, payment: str, obligation: str | None = None) -> int: ...

    def ask(self, account: Account, now: Sequence[Question]) -> None: ...


class Unit(Protocol):
    """One transaction: everything in it stands after the `with` block, or nothing does."""

    @property
    def links(self) -> Links: ...

    @property
    def papers(self) -> Papers: ...

    @property
    def parties(self) -> Parties: ...

    @property
    def ledger(self) -> Ledger: ...

    @property
    def bonuses(self) -> Bonuses: ...

    @property
    def holders(self) -> Holders: ...

    @property
    def kpi(self) -> KpiStore: ...

    @property
    def reconciling(self) -> Reconciling: ...

    def owe(self, *owed: Owed, cause: Duty | Event) -> list[str]: ...


class Store(Protocol):
    def looking(self) -> AbstractContextManager[Links]:
        """The links, to look something up."""
        ...

    def unit(self, step: str) -> AbstractContextManager[Unit]: ...

    def claim_event(self, event_id: str) -> Event | Wait | None: ...

    def claim_duty(self, duty_id: str) -> Duty | Wait | None: ...

    def settle(self, work: Duty | Event, outcome: Outcome) -> None: ...

    def put_off(
        self,
        work: Duty | Event,
        delay: float,
        error: BaseException,
        *,
        attempt: bool,
        waits_for: str = "",
    ) -> None: ...

    def park(self, work: Duty | Event, kind: str, error: BaseException, owes: Sequence[Owed] = ()) -> None: ...

    def keeping(self, work: Duty | Event) -> AbstractContextManager[None]:
        """Keep the claim alive while the block runs."""
        ...

    def receive(
        self, arrivals: Sequence[Arrival], raw: bytes, headers: Mapping[str, str], trace: str
    ) -> tuple[list[str], int]: ...

    def lock(self, name: str, patience: float = 10.0) -> AbstractContextManager[None]:
        """One holder at a time across all workers; `Busy` when it stays taken. Renewed while held."""
        ...

    def webhook_events(self, crm: str) -> Mapping[str, str]: ...

    def model(self, base: str, max_age: float) -> dict[str, Any] | None: ...

    def keep_model(self, base: str, model: Mapping[str, Any]) -> None: ...

    def watermark(self, name: str) -> str | None: ...

    def set_watermark(self, name: str, value: str) -> None: ...


class Press(Protocol):
    """Makes papers and says how they are called; what letters tell of them is text, ready to stand there."""

    def pdf(self, paper: Paper) -> bytes: ...

    def named(self, kind: PaperKind, number: str, day: date) -> str: ...

    def facts(self, paper: Paper) -> Mapping[str, Any]: ...

    def known(self, number: str, day: date, total: Decimal, currency: str, supplier: str) -> Mapping[str, Any]:
        """The facts of a paper that was made elsewhere."""
        ...

    def shelve(self, name: str, pdf: bytes) -> None:
        """Put a copy into the configured folder, where there is one."""
        ...


class Mailer(Protocol):
    sender: str  # the bare address

    def texts(self, facts: Mapping[str, Any]) -> tuple[str, str, str]:
        """(subject, plain text, HTML) of the letter about a paper."""
        ...

    def message_id(self, key: str) -> str: ...

    def address(self, text: str) -> str:
        """The first usable address in a field; empty when there is none."""
        ...

    def addresses(self, texts: Iterable[str]) -> str:
        """Every usable address of these fields, as a letter's `to` has them."""
        ...

    def greet(self) -> None:
        """Reach the mail server and sign in, without a letter."""
        ...

    def send(self, letter: Letter) -> tuple[str, ...]:
        """Hand a letter over; returns what was said of recipients who were refused beside others. Ambiguous: it may
        have gone; any other error: it has not."""
        ...


@dataclass(frozen=True)
class Services:
    """Everything a flow may reach."""

    settings: Settings
    policies: Mapping[str, Policy]
    store: Store
    crms: Mapping[str, Remote[CrmDialect]]
    bases: Mapping[str, Base]
    now: Callable[[], datetime]
    luck: Callable[[], float]
    registries: Mapping[str, Remote[RequisitesDialect]] = field(default_factory=dict)  # those that may be asked
    shelf: Shelf = field(default_factory=NoShelf)
    press: Press | None = None
    mailer: Mailer | None = None
    bell: Callable[[str], None] | None = None
    board: Board | None = None
    bus: Callable[[str, Mapping[str, Any]], None] | None = None  # publishes an event under its kind
    printers: Mapping[str, Remote[AccountingDialect]] = field(default_factory=dict)  # "invoice:BASE", "act:BASE"
