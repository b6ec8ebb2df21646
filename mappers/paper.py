"""What a printed invoice or act says (счёт на оплату, акт), read from 1C's own documents: values alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal, TypeAlias

PaperKind: TypeAlias = Literal["invoice", "act"]


@dataclass(frozen=True, slots=True)
class BankAccount:
    """Where the buyer pays to; of a Russian bank `bic` and `correspondent` (корр. счёт) are filled."""

    number: str
    bank: str
    bic: str = ""
    correspondent: str = ""
    city: str = ""


@dataclass(frozen=True, slots=True)
class Firm:
    """A side of the paper. `name` as it is written in payments: short, with its legal form."""

    name: str
    inn: str = ""
    kpp: str = ""
    ogrn: str = ""
    address: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True)
class PaperLine:
    """One position; `amount` with VAT or without it, as the paper's `vat_included` says."""

    content: str
    quantity: Decimal
    unit: str
    price: Decimal
    amount: Decimal
    vat_rate: str  # "22", "20", "10", "7", "5", "0" or "none"
    vat: Decimal


@dataclass(frozen=True, slots=True)
class Paper:
    """Everything that a client reads. `number` as 1C holds it, `total` what is to be paid, VAT included."""

    kind: PaperKind
    number: str
    day: date
    currency: str
    supplier: Firm
    buyer: Firm
    lines: tuple[PaperLine, ...]
    total: Decimal
    vat_included: bool
    account: BankAccount | None = None
    contract: str = ""
    due: date | None = None
    director: str = ""
    director_post: str = ""
    accountant: str = ""
    goods: bool = False  # goods are among the lines, not works and services alone
