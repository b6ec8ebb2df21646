"""The private servers themselves: they start, answer, and keep through a crash what a real one keeps."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from kombu import Connection, Consumer, Producer, Queue

from tests.servers.guard import started
from tests.servers.postgres import Postgres
from tests.servers.process import free_port
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis
from tests.servers.wait import until

pytestmark = pytest.mark.servers

DOCUMENTS = Queue("documents", durable=True, queue_arguments={"x-queue-type": "quorum"})


def publish(url: str, *bodies: str) -> None:
    """Publish persistent messages, each one confirmed by the broker."""
    with Connection(url, transport_options={"confirm_publish": True}) as connection:
        producer = Producer(connection.channel())
        for body in bodies:
            producer.publish(body, routing_key=DOCUMENTS.name, declare=[DOCUMENTS], delivery_mode=2)


def drain(url: str, count: int) -> list[str]:
    """Take so many messages off the queue."""
    bodies: list[str] = []

    def take(body: str, message: object) -> None:
        bodies.append(body)
        message.ack()  # type: ignore[attr-defined]

    with Connection(url) as connection, Consumer(connection.channel(), [DOCUMENTS], callbacks=[take]):
        while len(bodies) < count:
            connection.drain_events(timeout=20)
    return bodies


def test_a_confirmed_message_survives_the_broker_being_killed(rabbitmq: RabbitMQ) -> None:
    """A durable quorum queue keeps its confirmed messages over SIGKILL and a new start."""
    url = rabbitmq.vhost()
    publish(url, "first", "second")
    rabbitmq.settle()
    before = rabbitmq.pid
    rabbitmq.kill()
    assert not rabbitmq.running
    rabbitmq.start()
    assert rabbitmq.pid != before
    assert drain(url, 2) == ["first", "second"]


def test_a_message_survives_an_orderly_stop(rabbitmq: RabbitMQ) -> None:
    """stop and start keep vhosts, users and messages."""
    url = rabbitmq.vhost()
    publish(url, "kept")
    rabbitmq.restart()
    assert drain(url, 1) == ["kept"]


def test_vhosts_are_apart(rabbitmq: RabbitMQ) -> None:
    """Two tests never see each other's queues."""
    one, other = rabbitmq.vhost(), rabbitmq.vhost()
    publish(one, "mine")
    name = other.rpartition("/")[2]
    assert rabbitmq.ctl("list_queues", "-p", name, "name").split() in ([], ["name"])


def test_ctl_reports_a_mistake(rabbitmq: RabbitMQ) -> None:
    """A failing rabbitmqctl is an error with its words, not an empty answer."""
    with pytest.raises(RuntimeError, match="no_such_vhost"):
        rabbitmq.ctl("delete_vhost", "no_such_vhost")


def test_fresh_databases_are_empty_and_apart(postgres: Postgres) -> None:
    """`fresh` gives a new database each time."""
    one, other = postgres.fresh(), postgres.fresh()
    assert one != other
    name, second = one.rpartition("/")[2], other.rpartition("/")[2]
    postgres.execute("CREATE TABLE t (n int)", name)
    assert postgres.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", second) == [(0,)]


def test_committed_rows_survive_postgres_being_killed(postgres: Postgres) -> None:
    """What was committed is there after SIGKILL, as fsync is on."""
    name = postgres.fresh().rpartition("/")[2]
    postgres.execute("CREATE TABLE t (n int)", name)
    postgres.execute("INSERT INTO t VALUES (1), (2)", name)
    postgres.kill()
    postgres.start()
    assert postgres.execute("SELECT n FROM t ORDER BY n", name) == [(1,), (2,)]
    assert postgres.execute("SHOW fsync") == [("on",)]
    assert postgres.execute("SHOW max_connections") == [("200",)]


def test_redis_refuses_to_evict_and_starts_empty(redis_server: Redis) -> None:
    """noeviction, and nothing is kept: whatever crm1c puts there must be rebuilt from the database."""
    client = redis.Redis.from_url(redis_server.url)
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    client.set("key", "value")
    redis_server.kill()
    redis_server.start()
    assert client.get("key") is None


def test_redis_keeps_its_keys_when_asked_to() -> None:
    """With appendonly, as in docker/compose.yml, a stop keeps the keys."""
    with Redis(appendonly=True) as server:
        redis.Redis.from_url(server.url).set("key", "value")
        server.restart()
        assert redis.Redis.from_url(server.url).get("key") == b"value"


@pytest.mark.parametrize(("kind", "seconds"), [(Postgres, 10), (Redis, 5), (RabbitMQ, 30)])
def test_servers_start_soon_listen_on_loopback_only_and_leave_nothing(kind: type, seconds: float) -> None:
    """A second instance beside the session's own: its start time, its listeners, its end."""
    server = kind()
    begun = time.monotonic()
    with server:
        assert time.monotonic() - begun < seconds
        pid, folder = server.pid, server.folder
        assert {address for address, port in listening() if port == server.port} == {"127.0.0.1"}
    assert not started(pid)
    assert not folder.exists()


def listening() -> set[tuple[str, int]]:
    """(address, port) of every listening TCP socket, IPv4 and IPv6, from the kernel's own table."""
    found = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                address, port = fields[1].split(":")
                words = [bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)]
                found.add((socket.inet_ntop(family, b"".join(words)), int(port, 16)))
    return found


def test_a_killed_run_leaves_neither_processes_nor_folders() -> None:
    """When the run itself dies by SIGKILL, the guard ends its servers and removes their folders."""
    script = (
        "import sys\nfrom tests.servers.postgres import Postgres\nfrom tests.servers.redis import Redis\n"
        "one, two = Redis().start(), Postgres().start()\n"
        "print(one.pid, two.pid, one.folder, two.folder, flush=True)\nsys.stdin.read()\n"
    )
    run = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    one, two, *folders = run.stdout.readline().split()
    assert all(started(int(pid)) for pid in (one, two))
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    until(lambda: not started(int(one)) and not started(int(two)), 15, what="the servers are gone")
    until(lambda: not any(Path(folder).exists() for folder in folders), 15, what="the folders are gone")


def test_free_ports_are_not_handed_out_by_the_kernel() -> None:
    """A port of ours stays ours while its server is down."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(1024 < free_port() < low for _ in range(20))
