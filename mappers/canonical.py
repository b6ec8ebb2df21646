"""The normal form: what crm1c means by a deal, a client, an invoice, whatever system it came from.

Money is Decimal with its currency (ISO letters) beside it; dates are dates in 1C's zone; times are aware UTC;
ids are text. Documents of 1C are *live* when posted and not marked for deletion; `version` is their DataVersion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from mappers.money import Day, Instalment

# ISO 4217 letters → (numeric code as Catalog_Валюты.Code has it, digits after the point).
CURRENCIES: dict[str, tuple[str, int]] = {
    "RUB": ("643", 2),
    "USD": ("840", 2),
    "EUR": ("978", 2),
    "CNY": ("156", 2),
    "BYN": ("933", 2),
    "KZT": ("398", 2),
    "KGS": ("417", 2),
    "AMD": ("051", 2),
    "UZS": ("860", 2),
    "TJS": ("972", 2),
    "GEL": ("981", 2),
    "AZN": ("944", 2),
    "TRY": ("949", 2),
    "AED": ("784", 2),
    "INR": ("356", 2),
    "GBP": ("826", 2),
    "CHF": ("756", 2),
    "JPY": ("392", 0),
    "KRW": ("410", 0),
    "HKD": ("344", 2),
}


@dataclass(frozen=True, slots=True)
class Party:
    """A counterparty (клиент): a company, or a sole trader (ИП) with a 12-digit ИНН and no КПП."""

    name: str
    inn: str = ""
    kpp: str = ""
    ogrn: str = ""
    full_name: str = ""
    address: str = ""
    phone: str = ""
    email: str = ""
    id: str = ""  # the record's id in the system it came from
    ref_key: str = ""  # 1C's Ref_Key, where the CRM's record keeps one
    version: str = ""
    modified_at: datetime | None = field(default=None, compare=False)  # aware; 1C keeps none
    manager_id: str = field(default="", compare=False)  # whose client it is in the CRM

    @property
    def is_person(self) -> bool:
        """Sole traders and private persons have twelve digits (ФНС)."""
        return len(self.inn) == 12


Standing = Literal["active", "liquidating", "liquidated", "bankrupt", "reorganizing", "unknown"]


@dataclass(frozen=True, slots=True)
class Requisites:
    """What a registry says of one company, one branch of it or one sole trader (реквизиты; FORMATS §4).

    Codes are as the registry writes them, checked by nobody yet. A sole trader has no КПП; a branch (обособленное
    подразделение) has its head office's ИНН and ОГРН, and a КПП of its own or none. `status` "liquidated" covers every
    end (`ended`: its date); "active" means no more than what the source can tell (`RequisitesDialect.capabilities`).
    `invalid`: the record was struck out of the register as mistaken: shown to a person, never taken. `head`: who
    heads it, with his post.
    """

    inn: str
    source: str
    kpp: str = ""
    ogrn: str = ""
    name: str = ""  # short, with the legal form: ООО «Северный мост»
    full_name: str = ""
    address: str = ""  # legal; of a sole trader registries tell at most the city
    status: Standing = "unknown"
    is_branch: bool = False
    head_office_kpp: str = ""  # of a branch, where the answer shows its head office too
    head: str = ""
    head_post: str = ""
    registered: date | None = None
    ended: date | None = None
    invalid: bool = False

    @property
    def is_person(self) -> bool:
        """A sole trader (ИП): twelve digits."""
        return len(self.inn) == 12


@dataclass(frozen=True, slots=True)
class User:
    """A CRM's user; `teams`: ids and names. Without a user name where the API's role shows no users."""

    id: str
    user_name: str = ""
    name: str = ""
    teams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DealLine:
    """One position of a deal; `amount` is the line's own sum after discounts, in the deal's currency."""

    name: str
    quantity: Decimal
    price: Decimal
    amount: Decimal
    vat: str | None = None  # "22", "10", "0", "none"; None: as configured
    item: str = ""  # 1C's item (code or Ref_Key) where the CRM knows it
    group: str = ""  # товарная группа, as the rules of bonuses call it


@dataclass(frozen=True, slots=True)
class Deal:
    """A CRM deal as re-read now. `raw` keeps the vendor's own attributes for comparing before a write."""

    id: str
    name: str
    stage: str
    amount: Decimal | None
    currency: str
    account_id: str
    created_at: datetime
    modified_at: datetime
    version: str = ""
    manager_id: str = ""
    manager_name: str = ""
    contact_id: str = ""  # the person at the client's that the deal names
    lines: tuple[DealLine, ...] | None = None  # None: this CRM keeps none, the configured template makes one
    organisation: str = ""  # ИНН of our own company, where several are configured
    retention_amount: Decimal | None = None  # гарантийное удержание that the deal itself names, in its currency
    retention_date: date | None = None  # … and when it falls due
    raw: dict[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One row of the invoice as 1C shall hold it; `amount` as the document's VAT flag says (with or without VAT)."""

    item: str  # name or configured 1C item
    content: str  # what the client reads
    quantity: Decimal
    price: Decimal
    amount: Decimal
    vat_rate: str  # "22", "20", "10", "5", "7", "0" or "none"
    vat: Decimal


@dataclass(frozen=True, slots=True)
class InvoiceDraft:
    """An invoice to be written: sums already agree to the kopeck (rules.pricing saw to it)."""

    key: str  # our own key, uuid5 of (system, kind, id, version): the marker that find-before-create looks for
    date: datetime  # naive local time of the 1C server is made of it by the dialect
    currency: str
    total: Decimal
    vat_included: bool
    lines: tuple[InvoiceLine, ...]
    comment: str
    due: Day | None = None  # the day to pay by, where one is wanted


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice as 1C holds it."""

    ref_key: str
    number: str
    date: datetime  # aware
    total: Decimal
    currency: str
    posted: bool
    deleted: bool
    version: str
    comment: str = ""
    counterparty: str = ""
    url: str = ""  # a link that opens the document in 1C's web client
    organisation: str = ""
    contract: str = ""
    instalments: tuple[Instalment, ...] = ()
    content: str = field(default="", compare=False)  # a digest of what a client reads: moved by edits, not by posting


@dataclass(frozen=True, slots=True)
class Found:
    """A catalog object found in 1C: enough to refer to it and to tell a person which one it is."""

    ref_key: str
    name: str
    version: str = ""
    deleted: bool = False
    detail: str = ""  # e.g. the КПП of a branch, the number of a contract


@dataclass(frozen=True, slots=True)
class DealState:
    """What the CRM's deal shall show. None means: leave that field alone."""

    invoice_number: str | None = None
    invoice_date: date | None = None
    invoice_url: str | None = None
    invoice_total: Decimal | None = None
    ref_key: str | None = None
    payment_status: str | None = None
    paid_percent: Decimal | None = None
    paid_amount: Decimal | None = None
    currency: str | None = None  # of the sums above; None: the deal's own
    overdue: bool | None = None  # an instalment's day has passed unpaid
    sync_status: str | None = None


@dataclass(frozen=True, slots=True)
class AccountState:
    """What the CRM's client shall show. None means: leave that field alone. Sums are of all its contracts in
    `currency`; `contract_totals` tells each contract in a line."""

    ref_key: str | None = None
    contract_debt: Decimal | None = None
    contract_overdue: Decimal | None = None
    contract_retention: Decimal | None = None
    contract_advance: Decimal | None = None
    contract_totals: str | None = None
    currency: str = ""
