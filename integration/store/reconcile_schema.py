"""The tables of reconciliation: its runs, what each side was seen to hold, what was found to differ."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table, Text, text

from integration.store.ledger_schema import COUNTER
from integration.store.schema import Moment, metadata

# One comparison of all sides. `parts`: how far each has come; `verdict`: "" while it runs, then ok, found or alarm.
reconciliations = Table(
    "reconciliations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("cause", String(16), nullable=False),
    Column("since", String(10), nullable=False),
    Column("over_limit", String(1), nullable=False, server_default=""),
    Column("parts", Text, nullable=False),
    Column("verdict", String(8), nullable=False, server_default=""),
    Column("counts", Text, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
)
Index("ix_reconciliations_started", reconciliations.c.started_at)
# One at a time: whoever comes second goes on with the run that stands.
Index(
    "uq_reconciliations_running",
    reconciliations.c.verdict,
    unique=True,
    postgresql_where=text("verdict = ''"),
    sqlite_where=text("verdict = ''"),
)

# What a side was seen to hold in a run, for the merge by key: 1C can't be read in the order of its keys. Emptied when
# the run ends. `twin`: by what a record without a link may be recognised on the other side (ИНН/КПП).
sightings = Table(
    "sightings",
    metadata,
    Column("run", String(32), primary_key=True),
    Column("side", String(140), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("twin", String(64), nullable=False),
    Column("body", Text, nullable=False),
)
Index("ix_sightings_twin", sightings.c.run, sightings.c.side, sightings.c.twin)

# `mark`: the same difference has the same one in every run. `record`: what a repair is owed for.
findings = Table(
    "findings",
    metadata,
    Column("id", COUNTER, primary_key=True, autoincrement=True),
    Column("run", String(32), nullable=False),
    Column("part", String(140), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("entity", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("field", String(40), nullable=False),
    Column("said", Text, nullable=False),
    Column("crm", String(64), nullable=False),
    Column("record", String(64), nullable=False),
    Column("base", String(64), nullable=False),
    Column("ref_key", String(64), nullable=False),
    Column("day", String(10), nullable=False),
    Column("amount", String(24), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("repair", String(16), nullable=False),
    Column("action", String(10), nullable=False),
    Column("reason", Text, nullable=False),
    Column("mark", String(36), nullable=False),
    Column("found_at", Moment, nullable=False),
)
Index("ix_findings_run", findings.c.run, findings.c.part, findings.c.id)
Index("ix_findings_mark", findings.c.mark, findings.c.run)
