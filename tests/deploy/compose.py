"""Reading compose files as Docker Compose would, as far as ours need it, and running a service without Docker."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).parents[2]
FOLDER = TOP / "docker"

#: ${NAME}, ${NAME:-default}, ${NAME:?message}
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:[-?])([^}]*))?\}")


class Refused(Exception):
    """Compose would not start: a variable without a default is missing."""


@dataclass(frozen=True)
class Local:
    """A service as a local process."""

    argv: list[str]
    env: dict[str, str]


def load(name: str) -> dict[str, Any]:
    """A compose file, variables as they stand."""
    document = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def variables(name: str) -> list[tuple[str, str, str]]:
    """(name, "", ":-" or ":?", default or message) of each variable in a compose file, comments left out."""
    text = re.sub(r"^\s*#.*$", "", (FOLDER / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return VARIABLE.findall(text)


def filled(value: Any, env: Mapping[str, str]) -> Any:
    """The value with its variables replaced, as Compose does; Refused with the message where one is required."""
    if isinstance(value, dict):
        return {key: filled(inner, env) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, env) for inner in value]
    if not isinstance(value, str):
        return value

    def one(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if env.get(name):
            return env[name]
        if kind == ":?":
            raise Refused(f"{name}: {rest}")
        return rest or ""

    return VARIABLE.sub(one, value).replace("$$", "$")


def local(service: Mapping[str, Any], replaced: Mapping[str, str]) -> Local:
    """(argv, env) of a filled service for running on this machine.

    `replaced` says what stands here for what is in the compose network: `"rabbitmq:5672": "127.0.0.1:17123"`,
    `"/run/secrets": "/tmp/…"`.
    """

    def here(text: str) -> str:
        for there, ours in replaced.items():
            text = re.sub(rf"(?<![\w.-]){re.escape(there)}(?![\w.-])", ours.replace("\\", r"\\"), text)
        return text

    env = {key: here(str(value)) for key, value in service.get("environment", {}).items()}
    return Local([here(word) for word in service["command"]], env)
