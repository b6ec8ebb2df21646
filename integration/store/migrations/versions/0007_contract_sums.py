"""A contract's sums as last computed, and the day on which the clock alone changes a status of it.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Two columns of accounts, and an index for those that wait for a day. Every account is computed once more, and
    every contract read again: earlier ones were read without their payment schedules."""
    op.add_column("accounts", sa.Column("sums", sa.Text()))
    op.add_column("accounts", sa.Column("turns_on", sa.String(10)))
    op.create_index(
        "ix_accounts_turns_on",
        "accounts",
        ["base", "turns_on"],
        postgresql_where=sa.text("turns_on IS NOT NULL"),
        sqlite_where=sa.text("turns_on IS NOT NULL"),
    )
    op.execute("UPDATE accounts SET touched = true")
    op.execute("UPDATE facts SET version = '' WHERE kind = 'contract'")
