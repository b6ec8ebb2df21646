"""Sending one batch: the exact request that EspoCRM's curl makes (contracts/ESPOCRM.md §2.2, §2.3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import ipaddress
import json
import socket
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = ["127.0.0.1:*", "localhost:*", "[::1]:*"]


class SendingImpossible(Exception):
    """An error before any connection (internal host, no such name, bad address): the batch fails at once."""


def internal(url: str, allowed: list[str]) -> bool:
    """Whether the address is one of a private network and not on the allow-list of ``host:port`` (§0.11).

    A ``*`` instead of the port is this sandbox's own addition, for servers on any free port.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    shown = f"[{host}]" if ":" in host else host
    if f"{shown}:{port}" in allowed or f"{shown}:*" in allowed:
        return False
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local"))


def encode(items: list[dict[str, Any]]) -> bytes:
    """A JSON array as PHP writes it: ``\\uXXXX`` and ``\\/``."""
    return json.dumps(items, ensure_ascii=True, separators=(",", ":")).replace("/", "\\/").encode("ascii")


def signatures(webhook_id: str, secret: str, body: bytes) -> dict[str, str]:
    """``Signature`` (hex digest, since 9.0) and ``X-Signature`` (raw digest, till 11.0)."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256)
    head = webhook_id.encode() + b":"
    return {
        "Signature": base64.b64encode(head + digest.hexdigest().encode()).decode(),
        "X-Signature": base64.b64encode(head + digest.digest()).decode(),
    }


class Sender:
    """Posts batches; answers with a status code, 0 for no connection, 408 for no answer in time."""

    def __init__(self) -> None:
        self.connect_timeout = 5.0
        self.timeout = 10.0

    def send(self, hook: dict[str, Any], items: list[dict[str, Any]], allowed: list[str]) -> int:
        if internal(hook["url"], allowed):
            raise SendingImpossible("internal host")
        body = encode(items)
        parts = urlsplit(hook["url"])
        if not parts.hostname:
            raise SendingImpossible("no host")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=self.connect_timeout)
        try:
            connection.connect()
            connection.sock.settimeout(self.timeout)
            target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
            connection.putrequest("POST", target, skip_host=True, skip_accept_encoding=True)
            headers = {
                "Host": parts.netloc.rpartition("@")[2], "Accept": "*/*", "Content-Type": "application/json",
                "Content-Length": str(len(body)), **signatures(hook["id"], hook["secretKey"], body),
            }  # fmt: skip
            if len(body) > 1024 * 1024:
                headers["Expect"] = "100-continue"
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            return connection.getresponse().status  # a redirect is not followed
        except (socket.gaierror, UnicodeError) as error:
            raise SendingImpossible(str(error)) from error
        except TimeoutError:
            return 408
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()
