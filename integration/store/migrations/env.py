"""Run by Alembic within the connection and transaction that integration.store.migrate opened."""

from __future__ import annotations

from alembic import context

import integration.store.bonus_schema
import integration.store.ledger_schema  # noqa: F401 – their tables belong to the metadata
from integration.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite can too, as our engine begins its transactions itself
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
