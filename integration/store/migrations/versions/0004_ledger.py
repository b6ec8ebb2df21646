"""Money: facts of 1C as last seen, accounts, the append-only ledger, decisions, questions, rates, statements.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

MOMENT = sa.DateTime(timezone=True)
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# The ledger's entries are never changed or taken away.
APPEND_ONLY = {
    "sqlite": (
        "CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries "
        "BEGIN SELECT RAISE(ABORT, 'entries is append-only'); END",
        "CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries "
        "BEGIN SELECT RAISE(ABORT, 'entries is append-only'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION entries_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'entries is append-only'; END $$",
        "CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE ON entries "
        "FOR EACH ROW EXECUTE FUNCTION entries_append_only()",
    ),
}


def upgrade() -> None:
    """Make the tables, and the trigger that keeps the entries."""
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("base", sa.String(64), nullable=False),
        sa.Column("organisation", sa.String(40), nullable=False),
        sa.Column("counterparty", sa.String(40), nullable=False),
        sa.Column("contract", sa.String(40), nullable=False),
        sa.Column("touched", sa.Boolean(), nullable=False),
        sa.Column("computed_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_index("ix_accounts_client", "accounts", ["base", "counterparty"])
    op.create_index("ix_accounts_contract", "accounts", ["base", "contract"])
    op.create_index(
        "ix_accounts_touched",
        "accounts",
        ["base", "id"],
        postgresql_where=sa.text("touched"),
        sqlite_where=sa.text("touched"),
    )
    op.create_table(
        "entries",
        sa.Column("id", COUNTER, autoincrement=True, nullable=False),
        sa.Column("account", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("payment", sa.String(40), nullable=False),
        sa.Column("row_number", sa.Integer(), nullable=False),
        sa.Column("obligation", sa.String(40), nullable=False),
        sa.Column("instalment", sa.Integer(), nullable=False),
        sa.Column("rule", sa.String(8), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("paid", sa.BigInteger(), nullable=False),
        sa.Column("paid_currency", sa.String(3), nullable=False),
        sa.Column("rate", sa.String(64)),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("named", sa.String(40), nullable=False),
        sa.Column("by_whom", sa.Text(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("cause", sa.String(200), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "(kind = 'allocation' AND amount > 0 AND paid >= 0) OR (kind = 'reversal' AND amount < 0 AND paid <= 0)",
            name="ck_entries_sign",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_entries"),
    )
    op.create_index("ix_entries_account", "entries", ["account", "id"])
    op.create_index("ix_entries_payment", "entries", ["payment"])
    op.create_table(
        "fact_accounts",
        sa.Column("base", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("ref_key", sa.String(40), nullable=False),
        sa.Column("account", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("base", "kind", "ref_key", "account", name="pk_fact_accounts"),
    )
    op.create_index("ix_fact_accounts_account", "fact_accounts", ["account"])
    op.create_table(
        "facts",
        sa.Column("base", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("ref_key", sa.String(40), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("posted", sa.Boolean(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("base", "kind", "ref_key", name="pk_facts"),
    )
    op.create_index("ix_facts_day", "facts", ["base", "kind", "day"])
    op.create_table(
        "pins",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("base", sa.String(64), nullable=False),
        sa.Column("payment", sa.String(40), nullable=False),
        sa.Column("obligation", sa.String(40), nullable=False),
        sa.Column("amount", sa.BigInteger()),
        sa.Column("by_whom", sa.String(200), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.CheckConstraint("amount > 0", name="ck_pins_amount"),
        sa.PrimaryKeyConstraint("id", name="pk_pins"),
    )
    op.create_index(
        "uq_pins_live",
        "pins",
        ["base", "payment", "obligation"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
        sqlite_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "questions",
        sa.Column("account", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("document", sa.String(40), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("candidates", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "kind", "document", name="pk_questions"),
    )
    op.create_index("ix_questions_created", "questions", ["kind", "created_at"])
    op.create_table(
        "rates",
        sa.Column("base", sa.String(64), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("rate", sa.String(40), nullable=False),
        sa.Column("multiplicity", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("base", "currency", "day", name="pk_rates"),
    )
    op.create_table(
        "standings",
        sa.Column("account", sa.String(36), nullable=False),
        sa.Column("ref_key", sa.String(40), nullable=False),
        sa.Column("code", sa.String(20), nullable=False),
        sa.Column("percent", sa.String(8), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("paid", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("flags", sa.String(40), nullable=False),
        sa.Column("turns", sa.Integer(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint("paid >= 0 AND paid <= amount", name="ck_standings_within"),
        sa.PrimaryKeyConstraint("account", "ref_key", name="pk_standings"),
    )
    op.create_index("ix_standings_ref_key", "standings", ["ref_key"])
    op.create_table(
        "statement_lines",
        sa.Column("key", sa.String(36), nullable=False),
        sa.Column("account", sa.String(34), nullable=False),
        sa.Column("direction", sa.String(3), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("number", sa.String(50), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("inn", sa.String(12), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("own", sa.Boolean(), nullable=False),
        sa.Column("file", sa.String(200), nullable=False),
        sa.Column("imported_at", MOMENT, nullable=False),
        sa.CheckConstraint("amount > 0", name="ck_statement_lines_amount"),
        sa.PrimaryKeyConstraint("key", name="pk_statement_lines"),
    )
    op.create_index("ix_statement_lines_day", "statement_lines", ["account", "day"])
    # ### end Alembic commands ###
    for statement in APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)
