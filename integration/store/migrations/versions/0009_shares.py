"""Whose a payment's money is, as it was first counted.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """A table of its own: it could not be told from the sums."""
    op.create_table(
        "bonus_shares",
        sa.Column("account", sa.String(36), primary_key=True),
        sa.Column("payment", sa.String(40), primary_key=True),
        sa.Column("crm", sa.String(64), primary_key=True),
        sa.Column("deal", sa.String(64), primary_key=True),
        sa.Column("managers", sa.Text, nullable=False),
        sa.Column("product_groups", sa.Text, nullable=False),
    )
