"""Bonuses: append-only accruals, their sums, the rule of each month, KPI days, whose a deal was since when.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

MOMENT = sa.DateTime(timezone=True)
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# Accruals are never changed or taken away: what they gave is taken back by another one.
APPEND_ONLY = {
    "sqlite": (
        "CREATE TRIGGER accruals_no_update BEFORE UPDATE ON accruals "
        "BEGIN SELECT RAISE(ABORT, 'accruals is append-only'); END",
        "CREATE TRIGGER accruals_no_delete BEFORE DELETE ON accruals "
        "BEGIN SELECT RAISE(ABORT, 'accruals is append-only'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION accruals_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'accruals is append-only'; END $$",
        "CREATE TRIGGER accruals_append_only BEFORE UPDATE OR DELETE ON accruals "
        "FOR EACH ROW EXECUTE FUNCTION accruals_append_only()",
    ),
}


def upgrade() -> None:
    """Make the tables, and the trigger that keeps the accruals."""
    op.create_table(
        "accruals",
        sa.Column("id", COUNTER, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("account", sa.String(36), nullable=False),
        sa.Column("payment", sa.String(40), nullable=False),
        sa.Column("crm", sa.String(64), nullable=False),
        sa.Column("deal", sa.String(64), nullable=False),
        sa.Column("manager", sa.String(64), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("taken", sa.String(7), nullable=False),
        sa.Column("given", sa.String(10), nullable=False),
        sa.Column("grp", sa.String(64), nullable=False),
        sa.Column("gross", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("bonus", sa.BigInteger(), nullable=False),
        sa.Column("payments", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("cause", sa.String(200), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("kind IN ('accrual', 'reversal', 'rule')", name="ck_accruals_kind"),
        sa.PrimaryKeyConstraint("id", name="pk_accruals"),
    )
    op.create_index("ix_accruals_account", "accruals", ["account"])
    op.create_index("ix_accruals_given", "accruals", ["given"])
    op.create_index("ix_accruals_manager", "accruals", ["manager", "given"])
    op.create_index("ix_accruals_month", "accruals", ["month"])
    op.create_index("ix_accruals_payment", "accruals", ["payment"])
    op.create_index(
        "ix_accruals_taken",
        "accruals",
        ["taken"],
        postgresql_where=sa.text("taken <> ''"),
        sqlite_where=sa.text("taken <> ''"),
    )
    op.create_index("uq_accruals_key", "accruals", ["key"], unique=True)
    op.create_table(
        "bonus_days",
        sa.Column("manager", sa.String(64), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("bonus", sa.BigInteger(), nullable=False),
        sa.Column("payments", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("manager", "currency", "day", name="pk_bonus_days"),
    )
    op.create_index("ix_bonus_days_day", "bonus_days", ["day"])
    op.create_table(
        "bonus_dues",
        sa.Column("account", sa.String(36), nullable=False),
        sa.Column("obligation", sa.String(40), nullable=False),
        sa.Column("instalment", sa.Integer(), nullable=False),
        sa.Column("manager", sa.String(64), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("due", sa.String(10), nullable=False),
        sa.Column("lacks", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "obligation", "instalment", "manager", name="pk_bonus_dues"),
    )
    op.create_index("ix_bonus_dues_manager", "bonus_dues", ["manager", "due"])
    op.create_table(
        "bonus_forecasts",
        sa.Column("manager", sa.String(64), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("accrued", sa.BigInteger(), nullable=False),
        sa.Column("run_rate", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("manager", "currency", "month", "day", name="pk_bonus_forecasts"),
    )
    op.create_table(
        "bonus_months",
        sa.Column("manager", sa.String(64), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("manager", "currency", "month", name="pk_bonus_months"),
    )
    op.create_index("ix_bonus_months_month", "bonus_months", ["month"])
    op.create_table(
        "bonus_rules",
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("month", name="pk_bonus_rules"),
    )
    op.create_table(
        "bonus_totals",
        sa.Column("manager", sa.String(64), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("taken", sa.String(7), nullable=False),
        sa.Column("grp", sa.String(64), nullable=False),
        sa.Column("gross", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("manager", "currency", "month", "taken", "grp", name="pk_bonus_totals"),
    )
    op.create_table(
        "holders",
        sa.Column("crm", sa.String(64), nullable=False),
        sa.Column("entity", sa.String(16), nullable=False),
        sa.Column("record_id", sa.String(64), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("manager", sa.String(64), nullable=False),
        sa.Column("groups", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("crm", "entity", "record_id", "since", name="pk_holders"),
    )
    op.create_table(
        "kpi_news",
        sa.Column("accrual", COUNTER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("accrual", name="pk_kpi_news"),
    )
    op.create_table(
        "managers",
        sa.Column("crm", sa.String(64), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("user_name", sa.String(200), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("teams", sa.Text(), nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("crm", "id", name="pk_managers"),
    )
    for statement in APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)
