"""One engine for both databases, with the settings that make their transactions mean the same."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from integration.errors import Transient

READ = {"crm1c_read": True}


def connect(url: str, *, pool_size: int = 10) -> Engine:
    """An engine for `sqlite:///FILE` or `postgresql+psycopg://…`.

    SQLite: WAL, full durability of each commit, and writers queue up at BEGIN (IMMEDIATE) instead of failing in the
    middle. PostgreSQL: READ COMMITTED, lost connections are noticed at the first statement after an outage.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": 30, "check_same_thread": False}, pool_size=pool_size)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=10,
        connect_args={"connect_timeout": 5, "application_name": "crm1c"},
    )


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not guessed by the driver
    for pragma in ("busy_timeout=30000", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    deadline = time.monotonic() + 30
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:  # a new file that others open too: this one heeds no busy_timeout
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("crm1c_read")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextmanager
def alone(engine: Engine) -> Iterator[Connection]:
    """A connection for one statement, a transaction by itself: PostgreSQL needs no BEGIN and COMMIT for it, which are
    two of its three round trips."""
    if engine.dialect.name == "sqlite":
        with engine.begin() as conn:
            yield conn
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        yield conn


@contextmanager
def reaching() -> Iterator[None]:
    """A database out of reach, or without a free connection, is a trouble that passes: Transient. Others are bugs."""
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, PoolTimeout) as error:
        if isinstance(error, OperationalError | PoolTimeout) or error.connection_invalidated:
            raise Transient(
                "База данных crm1c недоступна. Повторим сами.",
                system="database",
                detail=str(getattr(error, "orig", error)),
            ) from error
        raise
