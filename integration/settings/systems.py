"""The tables of systems: 1C bases, CRMs, shops, registries of requisites, and who owns which field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from integration.settings import checks as c
from integration.settings.checks import DERIVED, Inn, Link, Name, Seconds, Secrets, Tables
from integration.settings.technical import MOSCOW
from integration.settings.values import Wrong

SOURCES = ("egrul", "dadata", "spark")
Owner = Literal["crm", "onec", "registry", "newest"]
PrintUrl = Annotated[
    str,
    c.matching(r"https?://[^/@\s]+/\S*\{ref_key\}\S*", "адрес http(s) с {ref_key} на месте ссылки, без пароля"),
]


@dataclass(frozen=True, kw_only=True)
class Onec:
    base_url: Link
    username: str
    password: Secrets
    webhook_secret: Secrets = ()
    profile: Annotated[str, c.plugin("crm1c.onec")] = "accounting30"
    organisation: Inn
    max_sessions: Annotated[int, c.whole(1, 100)] = 3
    timezone: ZoneInfo = MOSCOW
    signed: Annotated[
        str, c.matching(r"posted|(field|register):[^\W\d]\w*", '"posted", "field:ИМЯ" или "register:ИМЯ"')
    ] = "posted"
    schedule: Annotated[str, c.matching(r"[^\W\d]\w*", "имя табличной части договора")] = "ЭтапыГрафикаОплаты"
    since: date | None = None
    sample_invoice: str | None = None
    item: str | None = None
    contract_name: str = "Основной договор"
    defaults: Tables = field(default_factory=dict)
    reuse_sessions: bool = True
    connect_timeout: Seconds = 3.0
    read_timeout: Seconds = 120.0
    pull_days: Annotated[int, c.whole(1, 366)] = 7
    compare_days: Annotated[int, c.whole(1, 3660)] = 120
    exchange_plan: Annotated[str, c.matching(r"[^\W\d]\w*", "имя плана обмена")] | None = None
    print_url: PrintUrl | None = None
    act_print_url: PrintUrl | None = None


@dataclass(frozen=True, kw_only=True)
class CrmFields:
    """Ours = the CRM's; the defaults are EspoCRM's way of naming custom fields. An empty name: not used."""

    inn: Name = "cInn"
    kpp: Name = "cKpp"
    ogrn: Name = ""
    full_name: Name = ""
    ref_key: Name = "c1cRefKey"
    invoice_number: Name = "cInvoiceNumber"
    invoice_date: Name = "cInvoiceDate"
    invoice_url: Name = "cInvoiceUrl"
    payment_status: Name = "cPaymentStatus"
    paid_percent: Name = "cPaidPercent"
    paid_amount: Name = "cPaidAmount"
    retention_amount: Name = "cRetentionAmount"
    retention_date: Name = "cRetentionDate"
    overdue: Name = "cOverdue"
    sync_status: Name = "cSyncStatus"
    contract_debt: Name = "cContractDebt"
    contract_overdue: Name = "cContractOverdue"
    contract_retention: Name = "cContractRetention"
    contract_advance: Name = "cContractAdvance"
    contract_totals: Name = "cContractTotals"
    organisation: Name = ""
    invoice_file: Name = ""


@dataclass(frozen=True, kw_only=True)
class CrmLines:
    """Where a CRM that has deal lines keeps them: JSON in a text field of the deal (`field`), or records of an entity
    (`entity`, whose attribute `deal` names the deal). Without the table it has none."""

    field: Name = ""
    entity: Name = ""
    deal: Name = "opportunityId"
    name: Name = "name"
    quantity: Name = "quantity"
    price: Name = "price"
    amount: Name = "amount"
    vat: Name = ""
    item: Name = ""
    group: Name = ""

    def settled(self) -> CrmLines:
        if bool(self.field) == bool(self.entity):
            raise Wrong(entity="нужно одно из двух: field (JSON в поле сделки) или entity (записи сущности)")
        if self.field:  # JSON carries our own names; an entity is asked only for attributes that it surely has
            return replace(self, vat=self.vat or "vat", item=self.item or "item", group=self.group or "group")
        return self


@dataclass(frozen=True, kw_only=True)
class CrmManager:
    field: Name = "assignedUser"
    account_field: Name = "assignedUser"
    fallback: str | None = None


@dataclass(frozen=True, kw_only=True)
class Crm:
    """`explicit_fields`: which of `fields` the administrator wrote himself (the CRM must have those)."""

    kind: Annotated[str, c.plugin("crm1c.crm")]
    base_url: Link
    api_key: Secrets
    hmac_secret: Secrets = ()
    webhook_secret: Secrets = ()
    fields: CrmFields = CrmFields()
    lines: CrmLines | None = None
    manager: CrmManager = CrmManager()
    since: date | None = None
    poll_overlap: Seconds = 600.0
    connect_timeout: Seconds = 3.0
    read_timeout: Seconds = 15.0
    explicit_fields: Annotated[frozenset[str], DERIVED] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Shop:
    kind: Annotated[str, c.plugin("crm1c.shop")]
    base_url: Link
    api_key: Secrets = ()
    api_secret: Secrets = ()
    webhook_secret: Secrets = ()
    onec: str | None = None
    since: date | None = None
    connect_timeout: Seconds = 3.0
    read_timeout: Seconds = 15.0


@dataclass(frozen=True, kw_only=True)
class Source:
    """One registry of requisites; a source without an address uses the one its dialect knows."""

    base_url: Link | None = None
    token: Secrets = ()
    username: str | None = None
    password: Secrets = ()
    connect_timeout: Seconds = 3.0
    read_timeout: Seconds = 15.0


@dataclass(frozen=True, kw_only=True)
class Requisites:
    """`sources`: the tables [requisites.NAME]."""

    order: Annotated[tuple[str, ...], c.many(c.plugin("crm1c.requisites", "onec", *SOURCES))] = ("onec", *SOURCES)
    keep_found: Seconds = 86_400.0
    keep_missing: Seconds = 600.0
    sources: Mapping[Annotated[str, c.plugin("crm1c.requisites", *SOURCES)], Source] = field(
        default_factory=dict, metadata={"inline": True}
    )


@dataclass(frozen=True, kw_only=True)
class Ownership:
    name: Owner = "onec"
    full_name: Owner = "registry"
    inn: Owner = "registry"
    kpp: Owner = "registry"
    ogrn: Owner = "registry"
    address: Owner = "registry"
    phone: Owner = "crm"
    email: Owner = "crm"
