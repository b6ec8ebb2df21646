"""The least that durable intake can do: verify, one INSERT and commit, one confirmed publish. No crm1c in it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

import psycopg
from amqp import Connection, Message

SECRET = os.environ["ESPO_WEBHOOK_SECRET"].encode()
DATABASE = os.environ["BENCH_DATABASE"].replace("+psycopg", "")
BROKER = os.environ["BENCH_BROKER"]
_local = threading.local()


def _parts() -> tuple[psycopg.Connection[Any], Any]:
    if not hasattr(_local, "db"):
        _local.db = psycopg.connect(DATABASE)
        user, _, rest = BROKER.removeprefix("amqp://").partition(":")
        password, _, rest = rest.partition("@")
        host, _, vhost = rest.partition("/")
        broker = Connection(host, user, password, virtual_host=vhost.replace("%2F", "/"), confirm_publish=True)
        broker.connect()
        _local.channel = broker.channel()
        _local.channel.queue_declare("bare", durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
    return _local.db, _local.channel


def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """One webhook."""
    raw = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    webhook, _, digest = base64.b64decode(environ["HTTP_SIGNATURE"]).decode().partition(":")
    if not hmac.compare_digest(hmac.new(SECRET, raw, hashlib.sha256).hexdigest(), digest):
        start("401 Unauthorized", [])
        return [b""]
    db, channel = _parts()
    with db.cursor() as cursor:
        cursor.execute("INSERT INTO bare (webhook, body) VALUES (%s, %s) RETURNING id", (webhook, raw))
        (row,) = cursor.fetchone() or (0,)
    db.commit()
    channel.basic_publish(Message(str(row).encode(), delivery_mode=2), routing_key="bare")
    start("202 Accepted", [("Content-Type", "application/json"), ("Content-Length", "15")])
    return [b'{"accepted": 1}']
