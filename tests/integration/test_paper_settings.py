"""[mail], [paper] and [notices]: what may stand there, and files that they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from integration.errors import Misconfigured
from integration.paper import TEMPLATES, look_of
from integration.settings import Settings, SettingsError, read

SMALL = {"database": {"url": "sqlite:///x.db"}, "broker": {"url": "memory://"}, "redis": {"url": "embedded://"}}
SENDER = {"sender": "Бухгалтерия <buh@rassvet.example>"}


def settings(folder: Path | None = None, **tables: Any) -> Settings:
    return read({**SMALL, **tables}, {"TOKEN": "tgram://1/2"}, origin=folder / "crm1c.toml" if folder else None)


def test_nothing_is_printed_unless_somebody_gets_it() -> None:
    """Neither table: no papers; either of them: papers."""
    assert not settings().papers
    assert settings(paper={}).papers
    assert settings(mail={"via": "crm", **SENDER}).papers


@pytest.mark.parametrize(
    ("table", "values", "told"),
    [
        ("mail", SENDER, "mail.host"),
        ("mail", {"via": "pigeon", **SENDER}, "mail.via"),
        ("mail", {"host": "smtp"}, "mail.sender"),
        ("notices", {"channels": ["apprise"]}, "notices.apprise"),
        ("notices", {"quiet": "9-17"}, "notices.quiet"),
        ("paper", {"acts": "always"}, "paper.acts"),
        ("paper", {"acts": "mail"}, "нужна таблица .mail."),
        ("notices", {"channels": ["sms"]}, "notices.channels"),
        ("notices", {"channels": ["mail"]}, "нужна таблица .mail. с host"),
        ("notices", {"zones": {"petrov": "Mars/Base"}}, "notices.zones"),
        ("notices", {"zones": "Asia/Omsk"}, "notices.zones"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_key(table: str, values: dict[str, Any], told: str) -> None:
    """Before anything runs."""
    with pytest.raises(SettingsError, match=told):
        settings(**{table: values})


@pytest.mark.parametrize("url", ["http://1c/bp/hs/print", "ftp://1c/{ref_key}", "http://u:p@1c/{ref_key}"])
def test_a_print_service_has_the_reference_in_its_address_and_no_password(url: str) -> None:
    """It is signed in to as the base itself."""
    base = {"base_url": "http://1c/bp", "username": "u", "password": "env:TOKEN", "organisation": "7707083893"}
    with pytest.raises(SettingsError, match=r"onec\.main\.print_url"):
        settings(onec={"main": {**base, "print_url": url}})


def test_files_are_found_from_the_configurations_folder(tmp_path: Path) -> None:
    """Template, pictures and the folder of copies."""
    (tmp_path / "mine.typ").write_text("#data")
    (tmp_path / "logo.svg").write_text("<svg/>")
    look = look_of(settings(tmp_path, paper={"template": "mine.typ", "logo": "logo.svg", "folder": "papers"}))
    assert (look.template, look.act_template) == (tmp_path / "mine.typ", TEMPLATES / "act.typ")
    assert (look.logo, look.stamp, look.folder) == (b"<svg/>", b"", tmp_path / "papers")


@pytest.mark.parametrize("key", ["template", "act_template", "logo", "stamp", "fonts"])
def test_a_file_that_is_not_there_is_told_at_the_start(tmp_path: Path, key: str) -> None:
    """Not at the first invoice."""
    with pytest.raises(Misconfigured, match=rf"\[paper\] {key}: файла .*нет"):
        look_of(settings(tmp_path, paper={key: "nothing"}))
