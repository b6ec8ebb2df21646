"""A private Redis."""

from __future__ import annotations

import socket

from tests.servers.install import ensure
from tests.servers.process import HOST, Server, account


class Redis(Server):
    """`url` of database 0. Keeps nothing over a restart unless `appendonly`: all that crm1c puts there can be lost."""

    name = "redis"

    def __init__(self, *, appendonly: bool = False, maxmemory: str = "256mb", password: str = "") -> None:
        self.programs = ensure("redis")
        super().__init__(account("redis", "nobody"))
        self.settings = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes" if appendonly else "no",
            "maxmemory": maxmemory,
            "requirepass": password,
            "maxmemory-policy": "noeviction",  # an evicted lock or schedule entry would be a silent fault
        }

    def command(self) -> tuple[list[str], dict[str, str]]:
        """redis-server with every setting on its command line."""
        options = [part for key, value in self.settings.items() for part in (f"--{key}", value)]
        return [str(self.programs / "redis-server"), *options], self.environment()

    def answers(self) -> bool:
        """PONG, or a question for the password; not LOADING."""
        with socket.create_connection((HOST, self.port), 2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))

    @property
    def url(self) -> str:
        """Database 0."""
        password = self.settings["requirepass"]
        return f"redis://{f':{password}@' if password else ''}{HOST}:{self.port}/0"
