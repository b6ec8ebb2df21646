"""A whole crm1c beside a sandbox 1C and CRM: real processes on private servers, watched from outside.

A plant has a database, a vhost and a Redis database of its own. Its parts (`web`, `worker`, `beat`) are child processes
that a test starts, stops and kills; they end with the plant.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import psycopg
import redis
import requests
from amqp.exceptions import NotFound
from kombu import Connection

from sandbox.crm.seed import API_KEY, inn10
from sandbox.crm.sender import encode, signatures
from sandbox.onec import PASSWORD, USER
from sandbox.onec.companies import ORGANISATION_INN
from tests.delivery.beside import Beside
from tests.delivery.document import merged, toml
from tests.servers.postgres import Postgres
from tests.servers.process import HOST, Program, free_port
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis
from tests.servers.wait import until

ROOT = Path(__file__).parents[2]
SECRETS = {
    "ONEC_PASSWORD": PASSWORD,
    "ESPO_API_KEY": API_KEY,
    "ESPO_WEBHOOK_SECRET": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
}
WEBHOOK_ID = "6926f0f0aaaa00001"

# Everything that waits waits shortly here; what a test proves doesn't depend on the figures.
SHORT: dict[str, dict[str, Any]] = {
    "delivery": {
        "lease": 2, "heartbeat": 0.5, "sweep_grace": 2, "doubt": 3, "probe_first": 1, "probe_cap": 2,
    },
    "retry": {"onec": {"first": 1, "cap": 4}, "crm": {"first": 1, "cap": 4}},
    "schedule": {"sweep": "every 1s", "poll": "every 24h", "canary": "every 1h"},
    "log": {"format": "text"},
    "web": {"processes": 1, "threads": 8},
    "worker": {"concurrency": 4},
}  # fmt: skip


class Plant(Beside):
    """Used as a context manager: the sandbox systems run and the schema is up when it is entered."""

    def __init__(
        self, folder: Path, postgres: Postgres, rabbitmq: RabbitMQ, redis_server: Redis, **tables: Mapping[str, Any]
    ) -> None:
        self.folder, self.rabbitmq = folder, rabbitmq
        self.database, self.broker = postgres.fresh(), rabbitmq.vhost()
        self.vhost = self.broker.rpartition("/")[2]
        self.tables, self._redis, self._stack = tables, redis_server, ExitStack()
        self.parts: list[Program] = []

    def __enter__(self) -> Self:
        with self._stack:
            redis.Redis.from_url(self._redis.url).flushall()
            self.onec = self._sandbox("onec")
            self.crm = self._sandbox("crm", "--interval", "0")
            self.address = f"http://{HOST}:{free_port()}"
            self._write()
            self.crm1c("db", "upgrade")
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # -- parts ----------------------------------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        """Of every process of this plant."""
        return {"PYTHONPATH": str(ROOT), "CRM1C_CONFIG": str(self.folder / "crm1c.toml"), **SECRETS}

    def crm1c(self, *arguments: str) -> str:
        """Run one command to its end; its output. Fails with what it said."""
        argv = [sys.executable, "-m", "tasks.cli", *arguments]
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=120, cwd=self.folder)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def part(self, name: str, argv: Sequence[str], ready: Callable[[Program], bool]) -> Program:
        """Start a process of ours; it is stopped with the plant, or earlier by the test."""
        program = Program(name, [sys.executable, *argv], self.environment, ready)
        self.parts.append(program)
        return self._stack.enter_context(program)

    def web(self) -> Program:
        """`crm1c web`, ready to take webhooks."""
        return self.part("web", ["-m", "tasks.cli", "web"], lambda _: answers(f"{self.address}/health/ready"))

    def worker(self, *arguments: str, entry: str = "tasks.cli") -> Program:
        """`crm1c worker`, consuming; `entry`: a module of the tests that adds something before."""
        return self.part("worker", ["-m", entry, "worker", *arguments], lambda p: " ready." in p.log.read_text())

    def beat(self) -> Program:
        """`crm1c beat`: the sweep goes round."""
        return self.part("beat", ["-m", "tasks.cli", "beat"], lambda p: "beat: Starting" in p.log.read_text())

    # -- the CRM and its webhooks ---------------------------------------------------------------------------------

    def deals(self, count: int, accounts: int = 0, **values: Any) -> list[str]:
        """Make deals in the CRM that ask for an invoice, spread over so many new clients (one each by default)."""
        known = len(self.state("crm", entity="Account"))
        made = [
            {"name": f"ООО «Испытание {n}»", "cInn": inn10(f"77{n:07d}"), "cKpp": "770001001"}
            for n in range(known + 1, known + 1 + (accounts or count))
        ]
        clients = self.seed("crm", {"accounts": made})["accounts"]
        bodies = [
            {"name": f"Сделка {n}", "amount": 1220 + n, "stage": "Proposal", "accountId": clients[n % len(clients)]}
            for n in range(count)
        ]
        found: list[str] = self.seed("crm", {"deals": [{**body, **values} for body in bodies]})["deals"]
        return found

    def send(
        self, deals: Sequence[str], event: str = "update", stage: str = "Proposal", threads: int = 16
    ) -> list[int]:
        """One signed webhook a deal, many at once; the statuses answered, in the order of the deals."""
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda deal: self.notify(deal, event, stage), deals))

    def notify(self, deal: str, event: str = "update", stage: str = "Proposal") -> int:
        """One signed webhook as the CRM sends it; the status answered."""
        body = encode([{"id": deal, "stage": stage}])
        headers = signatures(WEBHOOK_ID, SECRETS["ESPO_WEBHOOK_SECRET"], body) | {"Content-Type": "application/json"}
        url = f"{self.address}/webhooks/espo/Opportunity/{event}"
        return requests.post(url, data=body, headers=headers, timeout=30).status_code

    # -- database and broker --------------------------------------------------------------------------------------

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of one SQL statement in crm1c's own database."""
        with psycopg.connect(self.database.replace("+psycopg", ""), autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def counts(self) -> dict[tuple[str, str], int]:
        """(box, state) → how many rows."""
        parts = [f"SELECT '{box}', state, count(*) FROM {box} GROUP BY state" for box in ("inbox", "outbox")]
        return {(box, state): number for box, state, number in self.rows(" UNION ALL ".join(parts))}

    def settled(self, timeout: float, *, events: int = 0) -> None:
        """Wait until at least so many events stand and nothing is due or runs."""

        def over() -> bool:
            counts = self.counts()
            came = sum(number for (box, _), number in counts.items() if box == "inbox")
            return came >= events and not any(state in ("due", "running") for _, state in counts)

        try:
            until(over, timeout, what="everything is settled", every=0.2, ignoring=(psycopg.OperationalError,))
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.counts()}") from None

    def messages(self, *queues: str) -> int:
        """How many messages wait in these queues; none in one that isn't declared yet."""
        with Connection(self.broker) as connection:
            channel: Any = connection.channel()
            try:
                return sum(channel.queue_declare(name, passive=True).message_count for name in queues)
            except NotFound:
                return 0

    def called(self, queue: str) -> set[str]:
        """The rows that this queue's messages call, which go back to it; each look counts as a delivery of them."""
        rows: set[str] = set()
        with Connection(self.broker) as connection:
            channel: Any = connection.channel()
            while (message := channel.basic_get(queue)) is not None:
                rows.update(json.loads(message.body)[0])
        return rows

    def parked(self) -> list[tuple[Any, ...]]:
        """What was parked: kind of error and its sentence."""
        parts = [f"SELECT '{box}', error_kind, error FROM {box} WHERE state = 'parked'" for box in ("inbox", "outbox")]
        return self.rows(" UNION ALL ".join(parts))

    def _sandbox(self, system: str, *arguments: str) -> str:
        argv = [sys.executable, "-m", "sandbox", system, "--port", "{port}", *arguments]
        made = Program(system, argv, {"PYTHONPATH": str(ROOT)}, lambda p: answers(f"{base(p)}/_sandbox/health"))
        return base(self._stack.enter_context(made))

    def _write(self) -> None:
        port = int(self.address.rpartition(":")[2])
        password = {"username": USER, "password": "env:ONEC_PASSWORD", "organisation": ORGANISATION_INN}
        document: dict[str, Any] = {
            "database": {"url": self.database},
            "broker": {"url": self.broker},
            "redis": {"url": self._redis.url},
            "onec": {"main": {"base_url": f"{self.onec}/bp/odata/standard.odata", **password}},
            "crm": {
                "espo": {
                    "kind": "espocrm", "base_url": self.crm, "api_key": "env:ESPO_API_KEY",
                    "webhook_secret": ["env:ESPO_WEBHOOK_SECRET"],
                }
            },
        }  # fmt: skip
        for more in (SHORT, self.tables, {"web": {"port": port}}):
            document = merged(document, more)
        (self.folder / "crm1c.toml").write_text("\n".join(toml(document)), encoding="utf-8")


def answers(url: str) -> bool:
    """Whether 200 comes from there."""
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.RequestException:
        return False


def base(program: Program) -> str:
    """Where a sandbox system listens."""
    return f"http://{HOST}:{program.port}"
