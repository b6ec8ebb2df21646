"""The first schema: deliveries, inbox, outbox, links, leases and what is kept beside them.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make every table."""
    live, running = sa.text("state IN ('due', 'running')"), sa.text("state = 'running'")
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("tail", sa.String(200), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    op.create_table(
        "inbox",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("delivery_id", sa.String(32)),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("entity", sa.String(64), nullable=False),
        sa.Column("event", sa.String(128), nullable=False),
        sa.Column("record_id", sa.String(64), nullable=False),
        sa.Column("webhook_id", sa.String(64), nullable=False),
        sa.Column("tail", sa.String(200), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("event_id", sa.String(128)),
        sa.Column("body_key", sa.String(64)),
        *_working(),
        sa.PrimaryKeyConstraint("id", name="pk_inbox"),
    )
    op.create_index("ix_inbox_delivery_id", "inbox", ["delivery_id"])
    op.create_index("ix_inbox_live", "inbox", ["state", "wake_at"], postgresql_where=live, sqlite_where=live)
    op.create_index("ix_inbox_record", "inbox", ["record_id", "entity", "source"])
    op.create_index("ix_inbox_state_created", "inbox", ["state", "created_at"])
    op.create_index("uq_inbox_source_body_key", "inbox", ["source", "body_key"], unique=True)
    op.create_index("uq_inbox_source_event_id", "inbox", ["source", "event_id"], unique=True)
    op.create_table(
        "leases",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("token", sa.String(32)),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "links",
        sa.Column("crm", sa.String(64), nullable=False),
        sa.Column("entity", sa.String(64), nullable=False),
        sa.Column("record_id", sa.String(64), nullable=False),
        sa.Column("base", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("ref_key", sa.String(40), nullable=False),
        sa.Column("key", sa.String(40), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("crm_version", sa.String(40), nullable=False),
        sa.Column("agreed", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("crm", "entity", "record_id", "base", "kind", name="pk_links"),
    )
    op.create_index("ix_links_ref", "links", ["base", "kind", "ref_key"])
    op.create_table(
        "models",
        sa.Column("base", sa.String(64), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("read_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("base", name="pk_models"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("system", sa.String(80), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("merge_key", sa.String(240)),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("result", sa.Text()),
        sa.Column("waits_for", sa.String(80)),
        *_working(),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_key", "outbox", ["key"])
    op.create_index("ix_outbox_live", "outbox", ["state", "wake_at"], postgresql_where=live, sqlite_where=live)
    op.create_index("ix_outbox_state_created", "outbox", ["state", "created_at"])
    op.create_index("uq_outbox_merge_key", "outbox", ["merge_key"], unique=True)
    op.create_index(
        "uq_outbox_running_key", "outbox", ["key"], unique=True, postgresql_where=running, sqlite_where=running
    )
    op.create_table(
        "slots",
        sa.Column("job", sa.String(64), nullable=False),
        sa.Column("slot", sa.String(64), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.Column("outcome", sa.Text()),
        sa.PrimaryKeyConstraint("job", "slot", name="pk_slots"),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("scope", sa.String(80), nullable=False),
        sa.Column("note", sa.String(200), server_default="", nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT),
        sa.Column("revoked_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("hash", name="uq_tokens_hash"),
    )
    op.create_table(
        "watermarks",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_watermarks"),
    )
    op.create_table(
        "webhooks",
        sa.Column("crm", sa.String(64), nullable=False),
        sa.Column("webhook_id", sa.String(64), nullable=False),
        sa.Column("event", sa.String(128), nullable=False),
        sa.Column("secret", sa.String(128), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("crm", "webhook_id", name="pk_webhooks"),
    )
    op.create_table(
        "event_duties",
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("duty_id", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(["duty_id"], ["outbox.id"], name="fk_event_duties_duty_id"),
        sa.ForeignKeyConstraint(["event_id"], ["inbox.id"], name="fk_event_duties_event_id"),
        sa.PrimaryKeyConstraint("event_id", "duty_id", name="pk_event_duties"),
    )
    op.create_index("ix_event_duties_duty_id", "event_duties", ["duty_id"])


def _working() -> list[sa.Column[Any]]:
    return [
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("wake_at", MOMENT, nullable=False),
        sa.Column("wakes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("deaths", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", MOMENT),
        sa.Column("lease_token", sa.String(32)),
        sa.Column("error_kind", sa.String(16)),
        sa.Column("error", sa.Text()),
        sa.Column("error_detail", sa.Text()),
        sa.Column("outcome", sa.String(16)),
        sa.Column("outcome_text", sa.Text()),
        sa.Column("trace", sa.String(40), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("settled_at", MOMENT),
    ]
