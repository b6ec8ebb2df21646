"""What `[crm.NAME]` says about one EspoCRM: credentials, field names, the stage, where a deal's lines are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# Ours → the CRM's, where the administrator names nothing (INTERFACES: [crm.espo.fields]). The last ones have no
# default: they are used only when named.
DEFAULT_FIELDS: Mapping[str, str] = {
    "inn": "cInn",
    "kpp": "cKpp",
    "ref_key": "c1cRefKey",
    "invoice_number": "cInvoiceNumber",
    "invoice_date": "cInvoiceDate",
    "invoice_url": "cInvoiceUrl",
    "payment_status": "cPaymentStatus",
    "paid_percent": "cPaidPercent",
    "paid_amount": "cPaidAmount",
    "retention_amount": "cRetentionAmount",
    "retention_date": "cRetentionDate",
    "overdue": "cOverdue",
    "sync_status": "cSyncStatus",
    "contract_debt": "cContractDebt",
    "contract_overdue": "cContractOverdue",
    "contract_retention": "cContractRetention",
    "contract_advance": "cContractAdvance",
    "contract_totals": "cContractTotals",
    "ogrn": "",
    "full_name": "",
    "organisation": "",
    "invoice_total": "",
    "invoice_file": "",
}
ACCOUNT_FIELDS = ("inn", "kpp", "ogrn", "full_name", "ref_key")
# What the client shows of its contracts' money: EspoCRM has no contract (DOMAIN: Status).
CONTRACT_FIELDS = ("contract_debt", "contract_overdue", "contract_retention", "contract_advance", "contract_totals")
DEAL_FIELDS = (*(name for name in DEFAULT_FIELDS if name not in (*ACCOUNT_FIELDS, *CONTRACT_FIELDS)), "ref_key")
FIELDS_OF: Mapping[str, tuple[str, ...]] = {
    "Account": (*ACCOUNT_FIELDS, *CONTRACT_FIELDS),
    "Opportunity": DEAL_FIELDS,
}

_FIELD = re.compile(r"[0-9A-Za-z_]{0,100}")  # empty: not used
LINE_NAMES = ("name", "quantity", "price", "amount", "vat", "item", "group")


@dataclass(frozen=True, slots=True)
class Lines:
    """Where a deal's positions stand: JSON in a text field of the deal, or records of an entity.

    `names`: ours (name, quantity, price, amount, vat, item, group) → the CRM's; an empty one is not used. `order`: the
    entity's attribute to sort by.
    """

    source: str  # "field" | "entity"
    field: str = ""
    entity: str = ""
    deal: str = ""
    order: str = "createdAt"
    names: Mapping[str, str] | None = None

    def name(self, ours: str) -> str:
        unnamed = "" if ours == "group" and self.source == "entity" else ours  # few entities have one
        return (self.names or {}).get(ours, unnamed)


@dataclass(frozen=True, slots=True)
class Options:
    """The table, checked. `fields`: ours → the CRM's, unused ones left out; `explicit`: ours that a person wrote."""

    api_key: str
    hmac_secret: str  # "": the key itself goes over the wire
    fields: Mapping[str, str]
    explicit: frozenset[str]
    stage: str
    lines: Lines | None
    timezone: tzinfo
    manager: str  # the deal's link to its manager
    account_manager: str  # the client's
    uses: frozenset[str]  # what else the settings ask of this CRM: "users", "letters"

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Options:
        """Raises ValueError naming key, value and what is allowed."""
        key, secret = _credentials(table)
        fields = {**DEFAULT_FIELDS, **_fields(table.get("fields") or {})}
        written = set(table.get("explicit_fields") or ())
        return cls(
            api_key=key,
            hmac_secret=secret,
            fields={ours: theirs for ours, theirs in fields.items() if theirs},
            explicit=frozenset(ours for ours, theirs in fields.items() if ours in written or theirs in written),
            stage=str(table.get("stage") or ""),
            lines=_lines(table.get("lines")),
            timezone=_zone(table.get("timezone") or "Europe/Moscow"),
            manager=str((table.get("manager") or {}).get("field") or "assignedUser"),
            account_manager=str((table.get("manager") or {}).get("account_field") or "assignedUser"),
            uses=frozenset(table.get("uses") or ()),
        )


def _credentials(table: Mapping[str, Any]) -> tuple[str, str]:
    """The key and, for HMAC, its secret: `hmac = {api_key, secret_key}`, or `hmac_secret` beside `api_key`."""
    pair = table.get("hmac")
    if isinstance(pair, Mapping) and pair.get("api_key") and pair.get("secret_key"):
        return str(pair["api_key"]), str(pair["secret_key"])
    if pair is not None:
        raise ValueError("hmac: нужны оба ключа, api_key и secret_key")
    key = table.get("api_key")
    if not isinstance(key, str) or not key:
        raise ValueError("api_key: не задан ключ API-пользователя EspoCRM")
    return key, str(table.get("hmac_secret") or "")


def _fields(table: Mapping[str, Any]) -> dict[str, str]:
    unknown = sorted(set(table) - set(DEFAULT_FIELDS))
    if unknown:
        raise ValueError(f"fields.{unknown[0]}: такого поля нет; допустимы {', '.join(DEFAULT_FIELDS)}")
    for ours, theirs in table.items():
        if not isinstance(theirs, str) or not _FIELD.fullmatch(theirs):
            raise ValueError(f"fields.{ours} = {theirs!r}: нужно имя поля EspoCRM, например {DEFAULT_FIELDS[ours]!r}")
    return dict(table)


def _lines(table: Any) -> Lines | None:
    if not table:
        return None
    if not isinstance(table, Mapping):
        raise ValueError(f"lines = {table!r}: нужна таблица с ключом source")  # noqa: TRY004 – settings raise ValueError
    known = {"source", "field", "entity", "deal", "order", *LINE_NAMES}
    unknown = sorted(set(table) - known)
    if unknown:
        raise ValueError(f"lines.{unknown[0]}: такого ключа нет; допустимы {', '.join(sorted(known))}")
    texts = {key: str(value) for key, value in table.items()}
    source = texts.get("source") or ("entity" if texts.get("entity") else "field")
    needed = {"field": ("field",), "entity": ("entity", "deal")}.get(source)
    if needed is None:
        raise ValueError(f"lines.source = {source!r}: допустимы field и entity")
    for key in needed:
        if not texts.get(key):
            raise ValueError(f"lines.{key}: не задано, а при source = {source!r} нужно")
    return Lines(
        source=source,
        field=texts.get("field", ""),
        entity=texts.get("entity", ""),
        deal=texts.get("deal", ""),
        order=texts.get("order") or "createdAt",
        names={ours: texts[ours] for ours in LINE_NAMES if ours in texts},
    )


def _zone(name: Any) -> tzinfo:
    if isinstance(name, tzinfo):
        return name
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"timezone = {name!r}: нет такого часового пояса; пример: Europe/Moscow") from None
