"""The sandbox: training systems beside crm1c on loopback, each a process of its own, and settings that fit them."""

from __future__ import annotations

import queue
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from integration import log
from integration.errors import Transient
from integration.settings import Settings, read

START_TIMEOUT = 30.0  # seconds for a sandbox system to say that it is ready

# What the sandbox systems are made with; they live on loopback and for one run.
ONEC_USER, ONEC_PASSWORD = "Обмен", "obmen"
CRM_KEY = "5a4db0c0ffee4cafe0a11ce0b0bca750"
CRM_ADMIN, CRM_ADMIN_PASSWORD = "admin", "sandbox-admin"
ORGANISATION = "7707083893"
REGISTRY_TOKEN = "sandbox-token"  # noqa: S105 – of the sandbox registry, which asks everybody for this one
SPARK_USER, SPARK_PASSWORD = "sandbox", "sandbox-spark"
SENDER = "Рассвет-Сервис, бухгалтерия <buh@rassvet.example>"


@dataclass(frozen=True)
class Sandbox:
    """The running systems' addresses and the settings of a crm1c beside them."""

    onec: str
    crm: str
    mail: str
    registry: str
    folder: Path
    token: str
    settings: Settings


@contextmanager
def sandboxed(
    port: int = 8080,
    folder: Path | None = None,
    *,
    papers: Path | None = None,
    crm_options: Sequence[str] = (),
    **more: Any,
) -> Iterator[Sandbox]:
    """Start the sandbox systems; they end with the block. `papers`: where printed invoices stay, else they go with the
    rest. `more`: further tables of the configuration."""
    with ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crm1c-")))
        onec = stack.enter_context(started("onec"))
        crm = stack.enter_context(started("crm", "--interval", "0.2", "--retry-period", "2", *crm_options))
        mail = stack.enter_context(started("mail"))
        registry = stack.enter_context(started("registry"))
        token = f"crm1c_{secrets.token_urlsafe(32)}"
        environ = {
            "ONEC_PASSWORD": ONEC_PASSWORD,
            "ESPO_API_KEY": CRM_KEY,
            "ESPO_WEBHOOK_SECRET": secrets.token_hex(16),
            "API_TOKEN": token,
            "DADATA_TOKEN": REGISTRY_TOKEN,
            "SPARK_PASSWORD": SPARK_PASSWORD,
        }
        document = {
            "database": {"url": f"sqlite:///{place / 'crm1c.db'}"},
            "broker": {"url": "memory://"},
            "redis": {"url": "embedded://"},
            "web": {"port": port, "public_url": f"http://127.0.0.1:{port}"},
            "log": {"format": "text"},
            "onec": {
                "main": {
                    "base_url": f"{onec}/bp/odata/standard.odata",
                    "username": ONEC_USER,
                    "password": "env:ONEC_PASSWORD",
                    "organisation": ORGANISATION,
                }
            },
            "crm": {
                "espo": {
                    "kind": "espocrm",
                    "base_url": crm,
                    "api_key": "env:ESPO_API_KEY",
                    "webhook_secret": ["env:ESPO_WEBHOOK_SECRET"],
                }
            },
            "requisites": {
                "order": ["onec", "egrul", "dadata", "spark"],
                "egrul": {"base_url": registry},
                "dadata": {"base_url": f"{registry}/suggestions/api/4_1/rs", "token": "env:DADATA_TOKEN"},
                "spark": {
                    "base_url": f"{registry}/IfaxWebService",
                    "username": SPARK_USER,
                    "password": "env:SPARK_PASSWORD",
                },
            },
            "security": {"tokens": ["env:API_TOKEN"]},
            "mail": {"host": "127.0.0.1", "port": smtp_port(mail), "tls": "none", "sender": SENDER},
            "paper": {"folder": str(papers or place / "papers"), "director": "Песочкина Вера Ильинична"},
            **more,
        }
        settings = read(document, environ)
        log.configure(settings.log)
        log.register_secrets(settings.known_secrets)
        yield Sandbox(onec, crm, mail, registry, place, token, settings)


def smtp_port(mail: str) -> int:
    """Where the sandbox mail server at that address takes letters."""
    stats: dict[str, Any] = requests.get(f"{mail}/_sandbox/stats", timeout=10).json()
    return int(stats["smtp"]["port"])


@contextmanager
def started(system: str, *arguments: str) -> Iterator[str]:
    """One sandbox system as a process; yields its address once it says that it is ready."""
    command = [sys.executable, "-m", "sandbox", system, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 – our own module
        try:
            yield _ready(process, system)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def _ready(process: subprocess.Popen[str], system: str) -> str:
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    stdout = process.stdout

    def read_lines() -> None:
        for line in stdout:
            lines.put(line)
        lines.put("")

    threading.Thread(target=read_lines, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=START_TIMEOUT)
        except queue.Empty:
            line = ""
        if line.startswith("ready "):
            return line.split()[1]
        if not line:
            raise Transient(f"Учебная система {system} не запустилась: повторите или посмотрите её вывод выше.")
