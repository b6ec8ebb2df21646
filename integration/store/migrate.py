"""Bringing a database to the schema of this version, from an installed package, by as many processes as like to."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from integration.errors import Misconfigured
from integration.store.engine import READ, connect, reaching

_LOCK = 0x63726D3163  # "crm1c": PostgreSQL's advisory lock while one process migrates


def upgrade(url: str) -> str:
    """Bring the database at `url` to `head()` in one transaction, and return the revision it had before ("": none).

    Two processes at once: the second waits, and finds nothing to do. Raises Misconfigured when a newer crm1c has been
    there, Transient when the database is out of reach.
    """
    engine = connect(url, pool_size=1)
    try:
        with reaching(), engine.begin() as connection:  # SQLite: BEGIN IMMEDIATE, a second process waits here
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            before = _revision(connection)
            _known(before)
            if before != head():
                config = _config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        return before
    finally:
        engine.dispose()


def current(url: str) -> str:
    """The revision of the database at `url`, "" when it has none. Raises Transient when it is out of reach."""
    engine = connect(url, pool_size=1)
    try:
        with reaching(), engine.connect().execution_options(**READ) as connection:
            return _revision(connection)
    finally:
        engine.dispose()


def check(url: str) -> None:
    """Raise Misconfigured, with the mend, unless the database at `url` is at `head()`."""
    revision = current(url)
    _known(revision)
    if revision != head():
        raise Misconfigured("Схема базы данных crm1c устарела. Выполните: crm1c db upgrade", system="database")


def head() -> str:
    """The revision that this version of crm1c works with."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _revision(connection: Connection) -> str:
    return MigrationContext.configure(connection).get_current_revision() or ""


def _known(revision: str) -> None:
    scripts = ScriptDirectory.from_config(_config())
    if revision and revision not in {script.revision for script in scripts.walk_revisions()}:
        raise Misconfigured(
            f"База данных новее, чем эта версия crm1c: ревизия {revision}, известна {head()}. Обновите crm1c.",
            system="database",
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "integration.store:migrations")
    return config
