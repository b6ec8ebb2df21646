"""Reconciliation: its runs, what each side was seen to hold, what was found; how often a slot was begun.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

MOMENT = sa.DateTime(timezone=True)
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the three tables, and the column."""
    op.create_table(
        "reconciliations",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("since", sa.String(10), nullable=False),
        sa.Column("over_limit", sa.String(1), nullable=False, server_default=""),
        sa.Column("parts", sa.Text(), nullable=False),
        sa.Column("verdict", sa.String(8), nullable=False, server_default=""),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_reconciliations"),
    )
    op.create_index("ix_reconciliations_started", "reconciliations", ["started_at"])
    op.create_index(
        "uq_reconciliations_running",
        "reconciliations",
        ["verdict"],
        unique=True,
        postgresql_where=sa.text("verdict = ''"),
        sqlite_where=sa.text("verdict = ''"),
    )
    op.create_table(
        "sightings",
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("side", sa.String(140), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("twin", sa.String(64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run", "side", "key", name="pk_sightings"),
    )
    op.create_index("ix_sightings_twin", "sightings", ["run", "side", "twin"])
    op.create_table(
        "findings",
        sa.Column("id", COUNTER, autoincrement=True, nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("part", sa.String(140), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("entity", sa.String(16), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("field", sa.String(40), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("crm", sa.String(64), nullable=False),
        sa.Column("record", sa.String(64), nullable=False),
        sa.Column("base", sa.String(64), nullable=False),
        sa.Column("ref_key", sa.String(64), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("amount", sa.String(24), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("repair", sa.String(16), nullable=False),
        sa.Column("action", sa.String(10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("mark", sa.String(36), nullable=False),
        sa.Column("found_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_findings"),
    )
    op.create_index("ix_findings_run", "findings", ["run", "part", "id"])
    op.create_index("ix_findings_mark", "findings", ["mark", "run"])
    op.add_column("slots", sa.Column("tries", sa.Integer(), nullable=False, server_default=sa.text("1")))
