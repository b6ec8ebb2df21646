"""A private RabbitMQ node with its own epmd, cookie, data and log."""

from __future__ import annotations

import itertools
import secrets
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.install import ensure
from tests.servers.process import HOST, Server, account, end, free_port
from tests.servers.wait import until

USER = "crm1c"


class RabbitMQ(Server):
    """`url` of the vhost `crm1c`, `vhost()` for another new one, `ctl()` for rabbitmqctl. Durable data outlive a kill.

    `settings` are lines of rabbitmq.conf, `plugins` names to enable (with `rabbitmq_management`, `management_url`).
    """

    name = "rabbitmq"

    def __init__(self, *, plugins: Sequence[str] = (), settings: Sequence[str] = ()) -> None:
        self.programs = ensure("rabbitmq")
        super().__init__(account("rabbitmq", "nobody"))
        self.node = f"crm1c-{secrets.token_hex(4)}@localhost"
        self.password = secrets.token_hex(16)
        self._epmd_port, self._distribution_port, self._management_port = free_port(), free_port(), free_port()
        self._epmd: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        lines = [
            f"listeners.tcp.1 = {HOST}:{self.port}",
            "default_vhost = crm1c",
            f"default_user = {USER}",
            f"default_pass = {self.password}",
            "loopback_users.crm1c = true",
            "log.console = true",
            "log.console.level = warning",
            "log.file = false",
            "disk_free_limit.absolute = 50MB",
            *settings,
        ]
        if "rabbitmq_management" in plugins:
            lines += ["management.tcp.ip = " + HOST, f"management.tcp.port = {self._management_port}"]
        self._write("rabbitmq.conf", "\n".join(lines) + "\n")
        self._write("rabbitmq-env.conf", "")  # else Debian's own is read
        self._write("enabled_plugins", f"[{','.join(plugins)}].\n")
        self._write(".erlang.cookie", secrets.token_hex(16)).chmod(0o400)

    @property
    def url(self) -> str:
        """The vhost that the node is born with."""
        return self.url_of("crm1c")

    @property
    def management_url(self) -> str:
        """Of the management API, where the plugin is enabled."""
        return f"http://{USER}:{self.password}@{HOST}:{self._management_port}"

    def url_of(self, vhost: str) -> str:
        """AMQP URL of a vhost of this node."""
        return f"amqp://{USER}:{self.password}@{HOST}:{self.port}/{vhost}"

    def vhost(self) -> str:
        """Make a new, empty vhost and return its URL."""
        name = f"crm1c-{next(self._numbers)}"
        self.ctl("add_vhost", name)
        self.ctl("set_permissions", "-p", name, USER, ".*", ".*", ".*")
        return self.url_of(name)

    def ctl(self, *args: str, timeout: float = 60.0) -> str:
        """Run rabbitmqctl against this node, as `ctl("list_queues", "-p", "crm1c", "name", "messages")`."""
        return self.run([str(self.programs / "rabbitmqctl"), "-q", "-n", self.node, *args], self.variables(), timeout)

    def settle(self) -> None:
        """Have the node write its delayed tables now; to be called between declaring quorum queues and `kill`.

        A node killed within a second of declaring a quorum queue may forget which Raft log is the queue's: it then
        starts without a leader, for good, and its confirmed messages are out of reach (rabbitmq-server#15725 shows the
        same state). Seen on 3.10.8 in each of a few tries at once, in none a second later.
        """
        self.ctl("eval", "[ok = dets:sync(Table) || Table <- dets:all()].")

    def start(self) -> RabbitMQ:
        """Start the node's epmd first: an epmd that Erlang starts by itself would listen everywhere and outlive us."""
        if self._epmd is None or self._epmd.poll() is not None:
            argv = ["epmd", "-port", str(self._epmd_port), "-address", HOST]
            self._epmd = self.spawn(argv, self.environment(), self.folder / "epmd.log")
            until(self._epmd_listens, 10, what="epmd listens", ignoring=(OSError,))
        super().start()
        return self

    def close(self) -> None:
        """Stop node and epmd, and remove the folder."""
        self.stop()
        if self._epmd is not None:
            end(self._epmd, signal.SIGTERM, 10)
        super().close()

    def variables(self) -> dict[str, str]:
        """Everything that RabbitMQ's scripts read, so that none of the machine's own settings apply."""
        return self.environment(
            ERL_EPMD_PORT=str(self._epmd_port),
            ERL_EPMD_ADDRESS=HOST,
            RABBITMQ_NODENAME=self.node,
            RABBITMQ_DIST_PORT=str(self._distribution_port),
            RABBITMQ_BASE=str(self.folder),
            RABBITMQ_MNESIA_BASE=str(self.folder / "mnesia"),
            RABBITMQ_LOG_BASE=str(self.folder),
            RABBITMQ_PID_FILE=str(self.folder / "rabbitmq.pid"),
            RABBITMQ_CONFIG_FILE=str(self.folder / "rabbitmq.conf"),
            RABBITMQ_CONF_ENV_FILE=str(self.folder / "rabbitmq-env.conf"),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(self.folder / "enabled_plugins"),
            RABBITMQ_GENERATED_CONFIG_DIR=str(self.folder / "generated"),
        )

    def command(self) -> tuple[list[str], dict[str, str]]:
        """The distribution's own start script, made to become the Erlang machine itself (no shell in between)."""
        return [str(self.programs / "rabbitmq-server")], self.variables() | {
            "RABBITMQ_ALLOW_INPUT": "true",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def answers(self) -> bool:
        """It opens AMQP with Connection.Start; its listener is the last thing that a starting node opens."""
        with socket.create_connection((HOST, self.port), 2) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(11)[7:] == b"\x00\x0a\x00\x0a"

    def _epmd_listens(self) -> bool:
        with socket.create_connection((HOST, self._epmd_port), 1):
            return True

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        self.own(path)
        return path
