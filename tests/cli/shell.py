"""crm1c's command line beside a sandbox 1C and CRM: what a person types, and what he reads."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.crm import ADMIN_PASSWORD, API_KEY, Espo
from sandbox.crm.face import Face
from sandbox.onec import PASSWORD, OneC
from sandbox.serve import serving
from tasks.cli import main

SECRETS = {"ONEC_PASSWORD": PASSWORD, "ESPO_API_KEY": API_KEY, "API_TOKEN": "token-of-the-file"}


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str


class Systems:
    """The sandbox systems, served."""

    def __init__(self) -> None:
        self.onec, self.crm = OneC(), Espo(webhook_interval=None, fields=False)
        self.onec_app, self.crm_app = self.onec.wsgi(), Face(self.crm.api, self.crm)
        self.onec_url = self.crm_url = ""

    def reset(self) -> None:
        for system, app in ((self.onec, self.onec_app), (self.crm, self.crm_app)):
            app.faults.clear()
            system.reset()


@contextmanager
def served() -> Iterator[Systems]:
    systems = Systems()
    with serving(systems.onec_app) as systems.onec_url, serving(systems.crm_app) as systems.crm_url:
        yield systems


class Shell:
    """One folder with its crm1c.toml, one environment."""

    def __init__(
        self, systems: Systems, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.systems, self.folder = systems, folder
        self._patch, self._capsys = monkeypatch, capsys
        monkeypatch.chdir(folder)
        for name, value in SECRETS.items():
            self.environ(name, value)

    def environ(self, name: str, value: str | None) -> None:
        if value is None:
            self._patch.delenv(name, raising=False)
        else:
            self._patch.setenv(name, value)

    def run(self, *words: str) -> Said:
        """Type a command."""
        self._patch.setattr(sys, "argv", ["crm1c", *words])
        self._capsys.readouterr()
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        try:
            main()
            code: Any = 0
        except SystemExit as left:
            code = left.code
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
        out, err = self._capsys.readouterr()
        return Said(int(code or 0), out, err)

    def init(self, **answers: str) -> Said:
        told = {
            "crm": self.systems.crm_url,
            "onec": f"{self.systems.onec_url}/bp/odata/standard.odata",
            "username": "Обмен",
            "organisation": "7707083893",
            "public-url": "http://127.0.0.1:9",
        } | answers
        return self.run("init", *(word for name, value in told.items() for word in (f"--{name}", value)))

    def ready(self, **answers: str) -> None:
        """A written configuration and a database."""
        assert self.init(**answers).code == 0
        assert self.run("db", "upgrade").code == 0

    def configure(self, old: str, new: str) -> None:
        """Change the text of crm1c.toml."""
        file = self.folder / "crm1c.toml"
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new), "utf-8")

    def setup(self) -> Said:
        self.environ("CRM1C_ADMIN_PASSWORD", ADMIN_PASSWORD)
        return self.run("setup", "espo")


def one_line(said: Said) -> str:
    """The one line on stderr of a command that failed."""
    assert said.code != 0, said
    [line] = said.err.splitlines()
    assert line.startswith("crm1c: ")
    return line
