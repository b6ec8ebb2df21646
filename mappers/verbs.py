"""What each kind of dialect can say: the verbs that flows use, whatever the vendor (`dialect` is how it speaks)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol

from mappers.canonical import AccountState, Deal, DealState, Found, Invoice, InvoiceDraft, Party, Requisites, User
from mappers.dialect import (
    Call,
    Changes,
    Delivery,
    Finding,
    InvoiceRefs,
    Notice,
    Reply,
    SetupDone,
    Shown,
    ShownDeal,
    Talk,
)
from mappers.money import Act, Contract, MoneyKind, Payment, Rate, Stamp
from mappers.paper import BankAccount, Paper, PaperKind


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

    def show_account(self, account_id: str, state: AccountState) -> Talk[Shown]:
        """Bring the client's reference and its contracts' sums to `state`, writing only what differs."""
        ...

    def note(self, deal_id: str, text: str) -> Talk[bool]:
        """A stream note, unless the same text stands there already; True when written."""
        ...

    def contact(self, contact_id: str) -> Talk[Party | None]:
        """A person at the client's, as far as letters need him."""
        ...

    def user(self, user_id: str) -> Talk[User]:
        """A CRM's user; nothing but the id where more can't be told."""
        ...

    def account_emails(self, account_id: str) -> Talk[list[str]]:
        """Every address of a client that may be written to, the main one first."""
        ...

    def user_email(self, user_id: str) -> Talk[str]:
        """A CRM user's address; empty where it can't be told."""
        ...

    def attach(self, deal: Deal, name: str, pdf: bytes, text: str, kind: PaperKind = "invoice") -> Talk[bool]:
        """Keep a PDF with the deal, once by its name or the text that goes with it; True when written now."""
        ...

    def draft_letter(
        self, deal_id: str, letter: dict[str, str], name: str, pdf: bytes, others: Collection[str] = ()
    ) -> Talk[str]:
        """The letter (from, to, subject, body as HTML) with this PDF as a draft at the deal, found or made: its id.
        `others`: the letters of other versions, which are never taken for it."""
        ...

    def send_letter(self, letter_id: str, to: str = "") -> Talk[bool]:
        """Send a draft, to other addresses than it was drafted for where `to` names some; one that was sent is not sent
        again. True when sent now."""
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

    def all_deals(self, offset: int) -> Talk[tuple[list[ShownDeal], bool]]:
        """Every deal with what it shows, one page from `offset`; and whether more follow."""
        ...

    def shown(self, deal: Deal) -> Mapping[str, str]:
        """What a deal that was read whole shows of its invoice, as `all_deals` tells it."""
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

    def act_paper(self, ref_key: str) -> Talk[Paper | None]:
        """Everything that a printed act says; None for one that isn't posted, or is gone."""
        ...

    def own_account(self) -> Talk[BankAccount]:
        """Our own main bank account, as an invoice would name it."""
        ...

    def print_form(self, ref_key: str, kind: PaperKind) -> Talk[bytes]:
        """The PDF as a 1C HTTP service makes it, where one is configured (paths are that site's own)."""
        ...

    def stamps(self, kind: MoneyKind, organisation: str, since: date, skip: int) -> Talk[tuple[list[Stamp], bool]]:
        """One page of an organisation's documents dated at or after `since`, or of all its contracts, in any state;
        and whether more follow."""
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
