"""How a dialect speaks: generators that yield a `Call` and receive a `Reply` (as httpx's auth_flow does).

A dialect does no I/O, reads no clock and no settings: it is tested by replaying recordings. What the other side
refuses leaves as a `Fault`, in the vendor's terms turned into ours; the transport makes the error of the taxonomy
(integration.errors) out of it.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from mappers.canonical import Deal, DealState, Found, Invoice, InvoiceDraft, Party, Requisites
from mappers.money import Act, Contract, MoneyKind, Payment, Rate, Stamp
from mappers.paper import Paper
from mappers.wire import parse_json

T = TypeVar("T")
Kind = Literal["transient", "ambiguous", "rejected", "misconfigured", "conflict"]


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request, relative to the system's base URL.

    `path` and `query` are plain text: the transport percent-encodes them (space as %20: 1C takes no "+").
    `repeatable`: a lost answer does no harm (reads, and writes that set the same values again); otherwise a lost
    answer is `Ambiguous`. `step` is what the log and the demo call it. `body` goes as it is, in place of `json`, with
    the Content-Type that `headers` name (a form, SOAP). `pause`: seconds to rest before it leaves, where the other
    side asked to be asked again: a dialect can't sleep.
    """

    step: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    body: bytes | None = None
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8, damaged bytes replaced: for messages, never for data."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON with exact numbers. Raises ValueError."""
        return parse_json(self.body)


Talk: TypeAlias = Generator[Call, Reply, T]


class Fault(Exception):
    """The other side refused or answered nonsense.

    `kind` is one of the taxonomy; `reason` is a Russian sentence for a person, with the mend; `detail` the vendor's
    own words (masked in logs). `hold`: every further call would fare the same, so the system's queue is held.
    """

    def __init__(
        self,
        kind: Kind,
        reason: str,
        *,
        detail: str = "",
        hold: bool = False,
        retry_after: float | None = None,
        data: Any = None,
    ) -> None:
        super().__init__(reason)
        self.kind, self.reason, self.detail = kind, reason, detail
        self.hold, self.retry_after, self.data = hold, retry_after, data


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook request as it came: raw body, lower-case header names, what followed /webhooks/NAME/ in the path."""

    raw: bytes
    headers: Mapping[str, str]
    tail: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A hint that a record changed. `event_id`: the vendor's own, where it has one; `hint`: what the body says of
    the stage at that time (never trusted for anything else). `problem`: why the item cannot be used."""

    entity: str
    event: str
    record_id: str
    body: bytes
    event_id: str = ""
    webhook_id: str = ""
    problem: str = ""


class Dialect(Protocol):
    """What the transport asks of every dialect: an entry point is called with one mapping, the options of its table."""

    def credentials(self) -> Mapping[str, str]:
        """Headers that sign in, on every call; never logged."""
        ...

    def opening_headers(self) -> Mapping[str, str]:
        """Headers for a call made without a session cookie, where the vendor has reusable sessions; else empty."""
        ...

    def session_died(self, call: Call, reply: Reply) -> bool:
        """The reply says that the reusable session is gone and that `call` was not carried out: open anew, once."""
        ...


class CrmDialect(Dialect, Protocol):
    """What every CRM dialect can say. Capabilities that a vendor lacks are absent from `capabilities`."""

    capabilities: frozenset[str]
    kinds: Mapping[str, str]  # the vendor's entity → ours: "deal" or "account"

    def authentic(self, delivery: Delivery, secrets: Sequence[str], by_webhook: Mapping[str, str]) -> str | None:
        """The webhook's id when the signature fits a live secret (constant time), else None."""
        ...

    def notices(self, delivery: Delivery, webhook_id: str, routes: Mapping[str, str]) -> list[Notice]:
        """The items of a signed body. `routes`: webhook id → event ("Opportunity.update") as known from setup.

        Raises ValueError when the body is not the vendor's format or holds no usable item.
        """
        ...

    def webhook_event(self, webhook_id: str) -> Talk[str | None]:
        """The event of a webhook that crm1c did not make itself; None when the CRM doesn't know it."""
        ...

    def stage_of(self, body: bytes) -> str | None:
        """The stage that a notice about a deal names, if it names one."""
        ...

    def deal(self, deal_id: str) -> Talk[Deal | None]:
        """The deal as it is now; None when it was deleted."""
        ...

    def account(self, account_id: str) -> Talk[Party | None]: ...

    def show_deal(self, deal: Deal, state: DealState) -> Talk[Shown]:
        """Bring the deal's fields to `state`, writing only what differs."""
        ...

    def show_account(self, account_id: str, ref_key: str) -> Talk[Shown]: ...

    def note(self, deal_id: str, text: str) -> Talk[bool]:
        """A stream note, unless the same text stands there already; True when written."""
        ...

    def contact(self, contact_id: str) -> Talk[Party | None]:
        """A person at the client's, as far as letters need him."""
        ...

    def user_email(self, user_id: str) -> Talk[str]:
        """A CRM user's address; empty where it can't be told."""
        ...

    def attach(self, deal: Deal, name: str, pdf: bytes, text: str) -> Talk[bool]:
        """Keep a PDF with the deal, once by its name or the text that goes with it; True when written now."""
        ...

    def draft_letter(self, deal_id: str, letter: dict[str, str], name: str, pdf: bytes) -> Talk[str]:
        """The letter (from, to, subject, body as HTML) with this PDF as a draft at the deal, found or made: its id."""
        ...

    def send_letter(self, letter_id: str) -> Talk[bool]:
        """Send a draft; one that was sent is not sent again. True when sent now."""
        ...

    @property
    def party_fields(self) -> frozenset[str]:
        """The fields of a Party that this CRM keeps, as configured."""
        ...

    def accounts_by(self, inn: str, kpp: str | None) -> Talk[list[Party]]:
        """Clients by ИНН, and by КПП unless that is None."""
        ...

    def create_account(self, party: Party, key: str) -> Talk[Party]:
        """Find by `key` in the reference field, else create. The caller holds the lock of this ИНН."""
        ...

    def update_account(self, account: Party, changes: Mapping[str, str]) -> Talk[Shown]:
        """Bring fields (ours → value) to their values, compared before anything is written. Raises Fault conflict when
        it was changed since `account` was read."""
        ...

    def changed_accounts(self, since: datetime, offset: int) -> Talk[tuple[list[Party], bool]]:
        """As `changed_deals`, of clients."""
        ...

    def all_accounts(self, offset: int) -> Talk[tuple[list[Party], bool]]:
        """Every client, one page from `offset`; and whether more follow."""
        ...

    def tell_account(self, account_id: str, text: str) -> Talk[bool]:
        """A note in the client's stream, unless the same text stands there already; True when written."""
        ...

    def changed_deals(self, since: datetime, offset: int) -> Talk[tuple[list[Deal], bool]]:
        """Deals modified at or after `since` (aware), oldest first, one page from `offset`; and whether more follow."""
        ...

    def check(self) -> Talk[list[Finding]]: ...

    def setup(self, callback_url: str) -> Talk[SetupDone]:
        """Make the webhooks, as the API user."""
        ...

    def setup_admin(self) -> Talk[SetupDone]:
        """Make the fields, sent with `admin_credentials` in place of `credentials`."""
        ...

    def admin_credentials(self, user: str, password: str) -> Mapping[str, str]:
        """The headers of an administrator's call; never logged."""
        ...


@dataclass(frozen=True, slots=True)
class Shown:
    """What a write to the CRM came to: the version it answered with, what was written, what it silently ignored."""

    version: str
    written: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report; `mend` says what to do."""

    level: Literal["ok", "warn", "FAIL"]
    what: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class SetupDone:
    """What `crm1c setup` made, found in place, and leaves to a person."""

    made: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()
    webhooks: tuple[tuple[str, str, str], ...] = ()  # (webhook id, event, secret)


class AccountingDialect(Dialect, Protocol):
    """What every 1C configuration can say (document and catalog names are its own matter).

    Every find returns live objects only (no folders; not marked for deletion unless told otherwise).
    """

    capabilities: frozenset[str]

    def read_model(self) -> Talk[dict[str, Any]]:
        """$metadata, reduced to what the mapping uses: JSON-able, kept by the caller and handed to `learn`."""
        ...

    def learn(self, model: Mapping[str, Any]) -> None:
        """Take a reduced model: which fields and enum members this base has."""
        ...

    def lacking(self, rates: Collection[str] = ()) -> list[str]:
        """What the mapping needs and the learned model lacks, by 1C's own names; `rates`: of VAT that will be used."""
        ...

    def organisation(self) -> Talk[Found | None]: ...

    def currency(self, letters: str) -> Talk[Found | None]: ...

    def counterparties(self, inn: str, kpp: str | None) -> Talk[list[Found]]:
        """By ИНН; `kpp` None: whatever КПП. A head office and branches share one ИНН."""
        ...

    def create_counterparty(self, party: Party, key: str, *, reread: bool = True) -> Talk[Found]:
        """POST, then a read-back compared field by field; `reread` False: the answer itself is compared, if whole."""
        ...

    @property
    def party_fields(self) -> frozenset[str]:
        """The fields of a Party that can be written in this base."""
        ...

    def party(self, ref_key: str) -> Talk[Party | None]:
        """A live counterparty with everything that 1C keeps of it."""
        ...

    def parties(self, inn: str) -> Talk[list[Party]]: ...

    def update_counterparty(self, ref_key: str, version: str, changes: Mapping[str, str]) -> Talk[Party]:
        """Re-read, compare the version (Fault conflict), PATCH what differs, read back."""
        ...

    def all_counterparties(self, skip: int, top: int) -> Talk[tuple[list[Party], int, int]]:
        """One page: the live ones, how many rows came (fewer than `top`: the last page), bytes."""
        ...

    def versions(self, skip: int, top: int) -> Talk[list[tuple[str, str]]]:
        """(Ref_Key, DataVersion) of one page of all counterparties."""
        ...

    def select_changes(self) -> Talk[Changes]:
        """The packet of our node of the configured exchange plan. One reader at a time."""
        ...

    def acknowledge(self, changes: Changes) -> Talk[None]:
        """To be called once the packet is committed here."""
        ...

    def contracts(self, counterparty: str, organisation: str, currency: str) -> Talk[list[Found]]: ...

    def create_contract(
        self, counterparty: str, organisation: str, currency: str, name: str, key: str
    ) -> Talk[Found]: ...

    def item(self, name: str) -> Talk[Found | None]: ...

    def create_item(self, name: str) -> Talk[Found]: ...

    def find_invoice(self, key: str, counterparty: str) -> Talk[list[Invoice]]:
        """By our marker in the document's comment, marked ones included (a person may have marked it)."""
        ...

    def invoice(self, ref_key: str) -> Talk[Invoice | None]: ...

    def create_invoice(self, draft: InvoiceDraft, refs: InvoiceRefs) -> Talk[Invoice]:
        """POST, then a read-back compared field by field; written, not posted."""
        ...

    def rewrite_invoice(self, invoice: Invoice, draft: InvoiceDraft, refs: InvoiceRefs) -> Talk[Invoice]:
        """New lines for a standing invoice: re-read, compare the version (Fault conflict), unpost, PATCH, read back."""
        ...

    def post_invoice(self, ref_key: str) -> Talk[Invoice]: ...

    def invoice_paper(self, ref_key: str) -> Talk[Paper]:
        """Everything that a printed invoice says."""
        ...

    def print_form(self, ref_key: str) -> Talk[bytes]:
        """The invoice's PDF as a 1C HTTP service makes it, where one is configured (paths are that site's own)."""
        ...

    def stamps(self, kind: MoneyKind, organisation: str, since: date, skip: int) -> Talk[tuple[list[Stamp], bool]]:
        """One page of an organisation's documents dated at or after `since`, in any state; and whether more follow."""
        ...

    def documents(self, kind: MoneyKind, refs: Collection[str]) -> Talk[list[Payment | Act | Invoice | Contract]]:
        """These documents (or contracts) as they stand now, in any state; what 1C no longer has is left out."""
        ...

    @property
    def signs_in_register(self) -> bool:
        """Whether acts are signed in a register, so that their own versions don't tell it."""
        ...

    def signed_acts(self, refs: Sequence[str]) -> Talk[set[str]]:
        """Which of these acts the register has as signed."""
        ...

    def rates(self, since: date) -> Talk[list[Rate]]:
        """The rates that hold on `since`, and all later ones."""
        ...

    def paid(self, invoice: Invoice) -> Talk[bool]:
        """Whether a posted payment of its counterparty names this invoice: a paid one is not rewritten."""
        ...

    def check(self) -> Talk[list[Finding]]: ...


@dataclass(frozen=True, slots=True)
class Changes:
    """A packet of an exchange plan: what changed for `node`, (set, Ref_Key, erased) each."""

    node: str
    number: int
    refs: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True, slots=True)
class InvoiceRefs:
    """Ref_Keys that the invoice's header and lines point to. `items`: line's item → Ref_Key."""

    organisation: str
    counterparty: str
    contract: str
    currency: str
    items: Mapping[str, str]


class RequisitesDialect(Dialect, Protocol):
    """What every source of requisites can say (entry points: crm1c.requisites). It is called with one mapping, the
    table [requisites.NAME] with its secrets resolved, and raises ValueError naming the key that is wrong.

    `capabilities`: "branches" (it tells branches apart, with their КПП), "statuses" (it knows of liquidation,
    bankruptcy and reorganisation under way; without it "active" means no more than «not ended»), "quota" (it has
    `quota() -> Talk[Quota]`, to be asked at `quota_home`).
    """

    source: str  # what `Requisites.source` carries
    home: str  # the base URL where the table names none
    capabilities: frozenset[str]

    def requisites(self, inn: str, kpp: str) -> Talk[list[Requisites]]:
        """Every row of this ИНН: head office first, branches, those that ended or were struck out, marked as such.

        `inn` is valid (the caller saw to it). `kpp`: only rows that bear it; "": whatever. Empty: not known here.
        """
        ...

    def check(self) -> Talk[list[Finding]]:
        """Reach and credentials, for the doctor; never raises Fault."""
        ...


@dataclass(frozen=True, slots=True)
class Quota:
    """How many calls of the day a paid source has counted, and how many it still allows (None: it doesn't say)."""

    day: date | None
    used: int
    left: int | None
