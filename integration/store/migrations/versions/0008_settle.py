"""The duty that settles payments, under the name that it has now.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Its rows of the outbox were called as the periodic pull is, which took their calls for its own."""
    op.execute("UPDATE outbox SET kind = 'settle' WHERE kind = 'payments'")
