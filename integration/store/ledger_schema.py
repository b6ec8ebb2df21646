"""The tables of money: facts of 1C as last seen, the ledger's entries, and what stands beside them.

Sums are kept in hundredths, exactly: SQL can add and compare them in both databases. Rates are text.
"""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    Index,
    Integer,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

from integration.store.schema import Moment, metadata


class Hundredths(TypeDecorator[Decimal]):
    """A sum of money with at most two digits after the point, as a whole number of hundredths (kopecks, cents)."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        if value is None:
            return None
        whole = value.scaleb(2)
        if whole != whole.to_integral_value():
            raise ValueError(f"finer than a hundredth: {value}")
        return int(whole)

    def process_result_value(self, value: int | None, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        return None if value is None else Decimal(int(value)).scaleb(-2)


COUNTER = BigInteger().with_variant(Integer, "sqlite")

# A document of 1C as it was last seen; `day` is its own date (ISO; "" for a contract without one).
facts = Table(
    "facts",
    metadata,
    Column("base", String(64), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("ref_key", String(40), primary_key=True),
    Column("version", String(40), nullable=False),
    Column("posted", Boolean, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("day", String(10), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("body", Text, nullable=False),
    Column("seen_at", Moment, nullable=False),
)
Index("ix_facts_day", facts.c.base, facts.c.kind, facts.c.day)

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("base", String(64), nullable=False),
    Column("organisation", String(40), nullable=False),
    Column("counterparty", String(40), nullable=False),
    Column("contract", String(40), nullable=False),
    # Facts have changed since it was computed; taken off in the transaction that computes it.
    Column("touched", Boolean, nullable=False),
    Column("computed_at", Moment),
    # What the contract comes to, as last computed (rules.contracts.Sums, JSON).
    Column("sums", Text),
    # The first day (ISO) on which the clock alone changes a status; NULL: no day does.
    Column("turns_on", String(10)),
)
Index("ix_accounts_contract", accounts.c.base, accounts.c.contract)
Index("ix_accounts_client", accounts.c.base, accounts.c.counterparty)
Index(
    "ix_accounts_touched",
    accounts.c.base,
    accounts.c.id,
    postgresql_where=text("touched"),
    sqlite_where=text("touched"),
)

Index(
    "ix_accounts_turns_on",
    accounts.c.base,
    accounts.c.turns_on,
    postgresql_where=text("turns_on IS NOT NULL"),
    sqlite_where=text("turns_on IS NOT NULL"),
)

fact_accounts = Table(
    "fact_accounts",
    metadata,
    Column("base", String(64), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("ref_key", String(40), primary_key=True),
    Column("account", String(36), primary_key=True),
)
Index("ix_fact_accounts_account", fact_accounts.c.account)

# Append-only (a trigger refuses anything else): an allocation adds, a reversal takes back.
entries = Table(
    "entries",
    metadata,
    Column("id", COUNTER, primary_key=True, autoincrement=True),
    Column("account", String(36), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("payment", String(40), nullable=False),
    Column("row_number", Integer, nullable=False),
    Column("obligation", String(40), nullable=False),
    Column("instalment", Integer, nullable=False),
    Column("rule", String(8), nullable=False),
    Column("amount", Hundredths, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("paid", Hundredths, nullable=False),
    Column("paid_currency", String(3), nullable=False),
    Column("rate", String(64)),
    Column("day", String(10), nullable=False),
    Column("named", String(40), nullable=False),
    Column("by_whom", Text, nullable=False),
    Column("explanation", Text, nullable=False),
    Column("cause", String(200), nullable=False),
    Column("created_at", Moment, nullable=False),
    CheckConstraint(
        "(kind = 'allocation' AND amount > 0 AND paid >= 0) OR (kind = 'reversal' AND amount < 0 AND paid <= 0)",
        name="ck_entries_sign",
    ),
)
Index("ix_entries_account", entries.c.account, entries.c.id)
Index("ix_entries_payment", entries.c.payment)

# How each obligation stands, and how much of each payment is allocated: nothing is ever paid twice over.
standings = Table(
    "standings",
    metadata,
    Column("account", String(36), primary_key=True),
    Column("ref_key", String(40), primary_key=True),
    Column("code", String(20), nullable=False),
    Column("percent", String(8), nullable=False),
    Column("amount", Hundredths, nullable=False),
    Column("paid", Hundredths, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("flags", String(40), nullable=False),
    Column("turns", Integer, nullable=False),
    Column("updated_at", Moment, nullable=False),
    CheckConstraint("paid >= 0 AND paid <= amount", name="ck_standings_within"),
)
Index("ix_standings_ref_key", standings.c.ref_key)

# People's decisions: so much (all, where nothing is said) of a payment for a document; ended ones stay for the record.
pins = Table(
    "pins",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("base", String(64), nullable=False),
    Column("payment", String(40), nullable=False),
    Column("obligation", String(40), nullable=False),
    Column("amount", Hundredths),
    Column("by_whom", String(200), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("ended_at", Moment),
    CheckConstraint("amount > 0", name="ck_pins_amount"),
)
Index(
    "uq_pins_live",
    pins.c.base,
    pins.c.payment,
    pins.c.obligation,
    unique=True,
    postgresql_where=text("ended_at IS NULL"),
    sqlite_where=text("ended_at IS NULL"),
)

# What waits for a person: payments with ranked candidates ("proposal"), documents that take no part ("stopped").
questions = Table(
    "questions",
    metadata,
    Column("account", String(36), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("document", String(40), primary_key=True),
    Column("amount", Hundredths, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("reason", Text, nullable=False),
    Column("candidates", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
)
Index("ix_questions_created", questions.c.kind, questions.c.created_at)

rates = Table(
    "rates",
    metadata,
    Column("base", String(64), primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("rate", String(40), nullable=False),
    Column("multiplicity", String(20), nullable=False),
)

statement_lines = Table(
    "statement_lines",
    metadata,
    Column("key", String(36), primary_key=True),
    Column("account", String(34), nullable=False),
    Column("direction", String(3), nullable=False),
    Column("day", String(10), nullable=False),
    Column("number", String(50), nullable=False),
    Column("amount", Hundredths, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("inn", String(12), nullable=False),
    Column("name", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("own", Boolean, nullable=False),
    Column("file", String(200), nullable=False),
    Column("imported_at", Moment, nullable=False),
    CheckConstraint("amount > 0", name="ck_statement_lines_amount"),
)
Index("ix_statement_lines_day", statement_lines.c.account, statement_lines.c.day)
