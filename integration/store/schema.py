"""The tables, one source for SQLite (embedded) and PostgreSQL. Migrations bring a database here; a test compares."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMING)


class Moment(TypeDecorator[datetime]):
    """An aware UTC time. SQLite keeps no zone, so it is dropped on the way in and put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a naive time: {value!r}")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _working() -> list[Column[Any]]:
    """What an event and a duty have in common: where the work stands. States: due → running → done | parked."""
    return [
        Column("state", String(8), nullable=False),
        Column("due_at", Moment, nullable=False),
        # When the sweep shall wake the row (again): its message may have been lost, or was never sent.
        Column("wake_at", Moment, nullable=False),
        Column("wakes", Integer, nullable=False, server_default=text("0")),
        Column("attempts", Integer, nullable=False, server_default=text("0")),
        Column("deaths", Integer, nullable=False, server_default=text("0")),
        Column("lease_until", Moment),
        Column("lease_token", String(32)),
        Column("error_kind", String(16)),
        Column("error", Text),
        Column("error_detail", Text),
        Column("outcome", String(16)),
        Column("outcome_text", Text),
        Column("trace", String(40), nullable=False),
        Column("created_at", Moment, nullable=False),
        Column("settled_at", Moment),
    ]


# The raw request of a webhook, as it came: kept whole, whatever its items became.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("source", String(64), nullable=False),
    Column("tail", String(200), nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", Moment, nullable=False),
)

inbox = Table(
    "inbox",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("delivery_id", String(32)),
    Column("source", String(64), nullable=False),
    Column("entity", String(64), nullable=False),
    Column("event", String(128), nullable=False),
    Column("record_id", String(64), nullable=False),
    Column("webhook_id", String(64), nullable=False),
    Column("tail", String(200), nullable=False),
    Column("body", LargeBinary, nullable=False),
    # The vendor's own event id merges for ever; an identical body only while the row is still due (cleared at claim).
    Column("event_id", String(128)),
    Column("body_key", String(64)),
    *_working(),
)
Index("uq_inbox_source_event_id", inbox.c.source, inbox.c.event_id, unique=True)
Index("uq_inbox_source_body_key", inbox.c.source, inbox.c.body_key, unique=True)

outbox = Table(
    "outbox",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("system", String(80), nullable=False),
    Column("key", String(200), nullable=False),
    Column("merge_key", String(240)),
    Column("payload", Text, nullable=False),
    Column("result", Text),
    Column("waits_for", String(80)),
    *_working(),
)
Index("uq_outbox_merge_key", outbox.c.merge_key, unique=True)
# The lock on a record: two duties of one key never run side by side, whatever the broker delivers.
Index(
    "uq_outbox_running_key",
    outbox.c.key,
    unique=True,
    postgresql_where=text("state = 'running'"),
    sqlite_where=text("state = 'running'"),
)

# Word for word the condition of the partial indexes: with a bound parameter neither database would use them.
LIVE = text("state IN ('due', 'running')")

for box in (inbox, outbox):
    # Live rows are few; the finished ones stay out of the sweep's and the lists' way.
    Index(
        f"ix_{box.name}_live",
        box.c.state,
        box.c.wake_at,
        postgresql_where=LIVE,
        sqlite_where=LIVE,
    )
    Index(f"ix_{box.name}_state_created", box.c.state, box.c.created_at)
Index("ix_outbox_key", outbox.c.key)
Index("ix_inbox_record", inbox.c.record_id, inbox.c.entity, inbox.c.source)
Index("ix_inbox_delivery_id", inbox.c.delivery_id)

# Which events a duty answers: several notices may be one piece of work, and a duty owes further ones.
event_duties = Table(
    "event_duties",
    metadata,
    Column("event_id", String(32), ForeignKey("inbox.id"), primary_key=True),
    Column("duty_id", String(32), ForeignKey("outbox.id"), primary_key=True),
)
Index("ix_event_duties_duty_id", event_duties.c.duty_id)

links = Table(
    "links",
    metadata,
    Column("crm", String(64), primary_key=True),
    Column("entity", String(64), primary_key=True),
    Column("record_id", String(64), primary_key=True),
    Column("base", String(64), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("ref_key", String(40), nullable=False),
    Column("key", String(40), nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", String(40), nullable=False),
    Column("crm_version", String(40), nullable=False),
    Column("agreed", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
)
Index("ix_links_ref", links.c.base, links.c.kind, links.c.ref_key)

# What a client was sent, as it was: one row for each version of an invoice. `facts`: what the letter says of it.
papers = Table(
    "papers",
    metadata,
    Column("crm", String(64), primary_key=True),
    Column("record_id", String(64), primary_key=True),
    Column("base", String(64), primary_key=True),
    Column("issue", Integer, primary_key=True, autoincrement=False),
    Column("file_name", String(200), nullable=False),
    Column("pdf", LargeBinary, nullable=False),
    Column("facts", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
    # made → sending → sent; what stands at "sending" may have been sent, so the next time counts in `again`.
    Column("state", String(8), nullable=False),
    Column("recipient", String(320), nullable=False),
    Column("message_id", String(320), nullable=False),
    Column("letter_id", String(64), nullable=False),
    Column("again", Integer, nullable=False),
    Column("sent_at", Moment),
)
Index("ix_papers_made_at", papers.c.made_at)

# One notice a cause and channel.
notices = Table(
    "notices",
    metadata,
    Column("cause", String(200), primary_key=True),
    Column("channel", String(16), primary_key=True),
    Column("told_at", Moment, nullable=False),
)

# Fields of a client that both sides changed: one row a field, untouched on both sides until a person decides (`take`).
conflicts = Table(
    "conflicts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("crm", String(64), nullable=False),
    Column("record_id", String(64), nullable=False),
    Column("base", String(64), nullable=False),
    Column("ref_key", String(40), nullable=False),
    Column("field", String(32), nullable=False),
    Column("agreed", Text, nullable=False),
    Column("crm_value", Text, nullable=False),
    Column("onec_value", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("take", String(8), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
)
Index("ix_conflicts_record", conflicts.c.record_id, conflicts.c.crm)
Index("ix_conflicts_state_created", conflicts.c.state, conflicts.c.created_at)

# Clients that seem to be one; what a person refused stays, so that he is not asked again.
proposals = Table(
    "proposals",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("crm", String(64), nullable=False),
    Column("record_id", String(64), nullable=False),
    Column("base", String(64), nullable=False),
    Column("other", String(64), nullable=False),
    Column("score", Float, nullable=False),
    Column("reasons", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
)
Index("ix_proposals_state_score", proposals.c.state, proposals.c.score)

# Both sides as they are read on the first day: an interrupted reading goes on where it was.
pages = Table(
    "pages",
    metadata,
    Column("side", String(140), primary_key=True),
    Column("start", Integer, primary_key=True, autoincrement=False),
    Column("row_count", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("last", Boolean, nullable=False),
    Column("read_at", Moment, nullable=False),
)

# Named leases: record locks and the few sessions of a 1C base. A dead holder's lease runs out by itself.
leases = Table(
    "leases",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("token", String(32)),
    Column("until", Moment, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("crm", String(64), primary_key=True),
    Column("webhook_id", String(64), primary_key=True),
    Column("event", String(128), nullable=False),
    Column("secret", String(128), nullable=False),
    Column("created_at", Moment, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("scope", String(80), nullable=False),
    Column("note", String(200), nullable=False, server_default=""),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
)

# Periodic work is idempotent per slot: two beats do no harm.
slots = Table(
    "slots",
    metadata,
    Column("job", String(64), primary_key=True),
    Column("slot", String(64), primary_key=True),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("outcome", Text),
    Column("tries", Integer, nullable=False, server_default=text("1")),
)

watermarks = Table(
    "watermarks",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("value", Text, nullable=False),
    Column("updated_at", Moment, nullable=False),
)

# $metadata of each 1C base, reduced to what the mapping uses.
models = Table(
    "models",
    metadata,
    Column("base", String(64), primary_key=True),
    Column("model", Text, nullable=False),
    Column("read_at", Moment, nullable=False),
)
