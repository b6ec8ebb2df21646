"""Intake on PostgreSQL and RabbitMQ, 16 connections, beside the least that durable intake can do, in the same run."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import itertools
import json
import statistics
import sys
import threading
import time

import psycopg

from bench.plant import SECRET, configured, free_port, running, servers, wait_for_port

BAR = 0.7
CONNECTIONS, REQUESTS, ROUNDS = 16, 4000, 5


def measure(*, quick: bool = False) -> bool:
    """Print both rates and their ratio; True when the ratio is over the bar."""
    requests = REQUESTS // 10 if quick else REQUESTS
    with (
        servers() as (postgres, rabbitmq, redis),
        configured(postgres, rabbitmq, redis, "http://127.0.0.1:1", "http://127.0.0.1:1") as (environ, port),
    ):
        with psycopg.connect(environ["BENCH_DATABASE"].replace("+psycopg", "")) as db:
            db.execute("CREATE TABLE bare (id bigserial PRIMARY KEY, webhook text, body bytea)")
        bare_port = free_port()
        gunicorn = [
            sys.executable,
            "-m",
            "gunicorn",
            "-k",
            "gthread",
            "-w",
            "2",
            "--threads",
            "8",
            "--keep-alive",
            "15",
        ]
        bare = [*gunicorn, "-b", f"127.0.0.1:{bare_port}", "--log-level", "warning", "bench.bare:application"]
        ours = [sys.executable, "-m", "tasks.cli", "web"]
        with running(bare, environ), running(ours, environ):
            wait_for_port(bare_port)
            wait_for_port(port)
            for warm in (bare_port, port):
                rate(warm, 200)
            rates: dict[int, list[float]] = {bare_port: [], port: []}
            for _ in range(1 if quick else ROUNDS):
                for one in rates:
                    rates[one].append(rate(one, requests))
    least, mine = statistics.median(rates[bare_port]), statistics.median(rates[port])
    ratio = statistics.median(a / b for a, b in zip(rates[port], rates[bare_port], strict=True))
    print(f"intake: crm1c {mine:.0f}/s, the least {least:.0f}/s, ratio {ratio:.2f} (bar {BAR})")
    return ratio >= BAR


_numbers = itertools.count(1)


def rate(port: int, requests: int) -> float:
    """Webhooks a second over 16 connections kept alive; each has a body of its own. Raises when one is refused."""
    bodies = [_signed(next(_numbers)) for _ in range(requests)]
    work = iter(bodies)
    guard, refused = threading.Lock(), []

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while True:
            with guard:
                one = next(work, None)
            if one is None:
                return
            raw, signature = one
            headers = {"Signature": signature, "Content-Type": "application/json"}
            connection.request("POST", "/webhooks/espo/Opportunity/update", raw, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 202:
                refused.append(answer.status)

    threads = [threading.Thread(target=send) for _ in range(CONNECTIONS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    if refused:
        raise RuntimeError(f"refused: {refused[:3]}")
    return requests / took


def _signed(number: int) -> tuple[bytes, str]:
    raw = json.dumps([{"id": f"{number:017x}", "stage": "Proposal", "probability": 50}]).encode()
    digest = hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
    return raw, base64.b64encode(f"6b05d42fe6105adf0:{digest}".encode()).decode()
