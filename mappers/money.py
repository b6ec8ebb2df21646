"""The normal form of money: what 1C's and banks' documents say of acts, payments, refunds, rates and statements.

Money is Decimal with its currency (ISO letters) beside it; dates are dates in 1C's zone; ids are text. A document is
*live* when it is posted and not marked for deletion; `version` is its DataVersion. Field names: contracts
ONEC-ODATA.md §12 and FORMATS.md §1, §6.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

Day = date  # where a field is itself called `date`
MoneyKind = Literal["payment", "refund", "act", "invoice", "contract"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What of a document tells whether it changed; `day` is its own date in 1C's zone, None of a contract."""

    ref_key: str
    version: str
    posted: bool
    deleted: bool
    day: date | None


@dataclass(frozen=True, slots=True)
class Instalment:
    """One expected part of an obligation, in its currency; `retention` is гарантийное удержание."""

    amount: Decimal
    due: date | None = None  # None: the document's own date
    kind: Literal["regular", "retention"] = "regular"


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a contract's payment schedule: `share` percent of each of its documents, due on a day of the
    calendar, or so many days after the document's own date."""

    share: Decimal
    days: int = 0
    due: date | None = None
    kind: Literal["regular", "retention"] = "regular"


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract (Catalog_ДоговорыКонтрагентов); `currency` is that of settlement (ВалютаВзаиморасчетов)."""

    ref_key: str
    number: str
    date: date | None
    currency: str
    counterparty: str
    organisation: str
    name: str = ""
    deleted: bool = False
    version: str = ""
    schedule: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True)
class Covered:
    """So much of an act was made from this invoice (СчетНаОплатуПокупателю in the act's header or rows)."""

    invoice: str  # Ref_Key
    amount: Decimal  # VAT in it, in the act's currency


@dataclass(frozen=True, slots=True)
class Act:
    """Work or goods delivered (Document_РеализацияТоваровУслуг): it creates the debt; `amount` has VAT in it."""

    ref_key: str
    number: str
    date: date  # in 1C's zone
    amount: Decimal
    currency: str
    posted: bool
    deleted: bool
    version: str = ""
    signed: bool = False  # as [onec.NAME] signed says
    vat: Decimal = Decimal(0)
    covers: tuple[Covered, ...] = ()
    instalments: tuple[Instalment, ...] = ()
    counterparty: str = ""
    organisation: str = ""
    contract: str = ""


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """One row of РасшифровкаПлатежа: `amount` in the payment's currency, `settled` in the contract's."""

    number: int  # LineNumber, from 1
    amount: Decimal
    settled: Decimal | None = None  # СуммаВзаиморасчетов; None or 0: not filled
    document: str = ""  # Ref_Key of the invoice or act that it names
    contract: str = ""  # Ref_Key; "": the payment's own
    vat: Decimal = Decimal(0)  # СуммаНДС, within `amount`


@dataclass(frozen=True, slots=True)
class Payment:
    """Money in from a client (Document_ПоступлениеНаРасчетныйСчет), `amount` in its own currency."""

    ref_key: str
    number: str
    date: date  # in 1C's zone
    amount: Decimal
    currency: str
    posted: bool
    deleted: bool
    version: str = ""
    purpose: str = ""  # НазначениеПлатежа
    rows: tuple[PaymentRow, ...] = ()
    counterparty: str = ""
    organisation: str = ""
    contract: str = ""
    bank_number: str = ""  # НомерВходящегоДокумента
    bank_date: Day | None = None  # ДатаВходящегоДокумента


@dataclass(frozen=True, slots=True)
class Refund(Payment):
    """Money back to a client (Document_СписаниеСРасчетногоСчета, ВозвратПокупателю): a payment's shape, positive."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A row of InformationRegister_КурсыВалют: `multiplicity` units of `currency` cost `rate` of the base's own."""

    currency: str
    date: date
    rate: Decimal
    multiplicity: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class StatementProblem:
    """What a statement's reader could not take, or doubts. `line` counts from 1; 0: the file as a whole."""

    line: int
    text: str
    lost: bool = False  # a document was skipped for it; else it is a warning


@dataclass(frozen=True, slots=True)
class StatementBalance:
    """One account's section of a statement, in the account's currency; None: not told."""

    account: str
    since: date | None
    until: date | None
    opening: Decimal | None
    received: Decimal | None
    spent: Decimal | None
    closing: Decimal | None


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One executed movement on one of our own accounts, as the bank tells it."""

    key: str  # the same movement in overlapping statements has the same key; two truly equal ones have two
    account: str  # our own
    direction: Literal["in", "out"]
    date: date  # when the bank moved the money
    number: str
    amount: Decimal  # positive
    currency: str
    kind: str  # «Платежное поручение», «Банковский ордер» …
    ordered: Day | None = None  # the order's own date
    name: str = ""  # the other side
    inn: str = ""
    kpp: str = ""
    other_account: str = ""
    bic: str = ""
    purpose: str = ""
    own: bool = False  # between our own accounts, or the bank's own order: never a client's money
    line: int = 0  # where the document begins in the file


@dataclass(frozen=True, slots=True)
class Statement:
    """A bank statement as read: what was taken and what was not."""

    accounts: tuple[str, ...]
    balances: tuple[StatementBalance, ...]
    lines: tuple[StatementLine, ...]
    problems: tuple[StatementProblem, ...]
    since: date | None = None
    until: date | None = None
