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

from sandbox.crm.seed import API_KEY, inn10
from sandbox.crm.sender import encode, signatures
from sandbox.onec import PASSWORD, USER
from sandbox.onec.companies import ORGANISATION_INN
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
INVOICES, CLIENTS = "Document_СчетНаОплатуПокупателю", "Catalog_Контрагенты"
CONTRACTS, ITEMS = "Catalog_ДоговорыКонтрагентов", "Catalog_Номенклатура"
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


class Plant:
    """Used as a context manager: the sandbox systems run and the schema is up when it is entered."""

    def __init__(
        self, folder: Path, postgres: Postgres, rabbitmq: RabbitMQ, redis_server: Redis, **tables: Mapping[str, Any]
    ) -> None:
        self.folder, self.rabbitmq = folder, rabbitmq
        self.database, self.broker = postgres.fresh(), rabbitmq.vhost()
        self.vhost = self.broker.rpartition("/")[2]
        self.tables, self._redis, self._stack = tables, redis_server, ExitStack()

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

    # -- the sandbox systems' admin faces -------------------------------------------------------------------------

    def state(self, system: str, **query: str) -> Any:
        """What the sandbox system holds."""
        return self._admin("GET", system, "state", params=query)

    def invoices(self) -> list[dict[str, Any]]:
        """1C's invoices as stored."""
        found: list[dict[str, Any]] = self.state("onec", set=INVOICES)
        return found

    def calls(self, system: str) -> list[dict[str, Any]]:
        """The calls that the sandbox system received, oldest first."""
        found: list[dict[str, Any]] = self._admin("GET", system, "log")
        return found

    def stats(self, system: str) -> dict[str, Any]:
        """Counts of the sandbox system."""
        found: dict[str, Any] = self._admin("GET", system, "stats")
        return found

    def seed(self, system: str, body: Any) -> Any:
        """Put records into the sandbox system past its checks."""
        return self._admin("POST", system, "seed", json=body)

    def fault(self, system: str, **fault: Any) -> None:
        """Something that goes wrong there from now on."""
        self._admin("POST", system, "faults", json=fault)

    def act(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """A person does this in the CRM's pages; no webhook comes of it."""
        answer = self._admin(
            "POST", "crm", "act", json={"user": "admin", "method": method, "path": path, "body": body, "silent": True}
        )
        assert answer["status"] == 200, answer
        return answer["body"]

    def mend(self, system: str) -> None:
        """Nothing goes wrong there any more."""
        self._admin("DELETE", system, "faults")

    # -- the database ---------------------------------------------------------------------------------------------

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

    def parked(self) -> list[tuple[Any, ...]]:
        """What was parked: kind of error and its sentence."""
        parts = [f"SELECT '{box}', error_kind, error FROM {box} WHERE state = 'parked'" for box in ("inbox", "outbox")]
        return self.rows(" UNION ALL ".join(parts))

    # -- parts ----------------------------------------------------------------------------------------------------

    def _sandbox(self, system: str, *arguments: str) -> str:
        argv = [sys.executable, "-m", "sandbox", system, "--port", "{port}", *arguments]
        made = Program(system, argv, {"PYTHONPATH": str(ROOT)}, lambda p: answers(f"{base(p)}/_sandbox/health"))
        return base(self._stack.enter_context(made))

    def _admin(self, method: str, system: str, name: str, **more: Any) -> Any:
        url = f"{self.onec if system == 'onec' else self.crm}/_sandbox/{name}"
        answer = requests.request(method, url, timeout=60, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

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


def merged(table: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`table` with what `more` says, table by table."""
    out = dict(table)
    for key, value in more.items():
        out[key] = merged(out.get(key, {}), value) if isinstance(value, Mapping) else value
    return out


def toml(table: Mapping[str, Any], name: str = "") -> list[str]:
    """A nested mapping as lines of TOML."""
    lines = [f"[{name}]"] if name else []
    lines += [f"{key} = {json.dumps(v, ensure_ascii=False)}" for key, v in table.items() if not isinstance(v, Mapping)]
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += toml(value, f"{name}.{key}" if name else key)
    return lines
