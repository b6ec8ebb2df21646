"""A private PostgreSQL."""

from __future__ import annotations

import itertools
import signal

import psycopg

from tests.servers.install import ensure
from tests.servers.process import HOST, Server, account


class Postgres(Server):
    """`url` of a database, `fresh()` for the URL of another new, empty one. fsync as in production unless told."""

    name = "postgres"
    farewell = signal.SIGINT  # "fast shutdown": SIGTERM would wait for every client to leave

    def __init__(self, *, fsync: bool = True, max_connections: int = 200) -> None:
        self.programs = ensure("postgresql")
        super().__init__(account("postgres", "nobody"))
        self.data = self.folder / "data"
        self._numbers = itertools.count(1)
        # --no-sync is about initdb's own files alone; fsync below is the server's
        argv = ["initdb", "-D", str(self.data), "-U", "crm1c", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
        self.run([str(self.programs / argv[0]), *argv[1:], "--no-sync"], self.environment())
        self.settings = {
            "listen_addresses": HOST,
            "port": self.port,
            "unix_socket_directories": self.folder,
            "max_connections": max_connections,
            "fsync": "on" if fsync else "off",
            "synchronous_commit": "on" if fsync else "off",
        }

    def command(self) -> tuple[list[str], dict[str, str]]:
        """The postmaster itself in the foreground, without pg_ctl."""
        options = [part for key, value in self.settings.items() for part in ("-c", f"{key}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *options], self.environment()

    def answers(self) -> bool:
        """Connections are refused with an error while it recovers from a crash."""
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    @property
    def url(self) -> str:
        """The database `postgres`, as an SQLAlchemy URL."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """SQLAlchemy URL of a database of this server."""
        return f"postgresql+psycopg://crm1c@{HOST}:{self.port}/{database}"

    def fresh(self) -> str:
        """Make a new, empty database and return its URL."""
        database = f"crm1c_{next(self._numbers)}"
        self.execute(f'CREATE DATABASE "{database}"')
        return self.url_of(database)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement outside any transaction; its rows, if it has any."""
        info = f"host={HOST} port={self.port} user=crm1c dbname={database} connect_timeout=5"
        with psycopg.connect(info, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []
