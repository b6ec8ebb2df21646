"""Commands of the administrator: init, db, setup, tokens."""

from __future__ import annotations

import sqlite3

import click
import pytest

from integration.settings import load
from sandbox.crm import ADMIN_PASSWORD
from tasks.cli import crm1c
from tests.cli.shell import Shell, one_line


def commands(group: click.Group, path: str = "crm1c") -> dict[str, click.Command]:
    """Every command by what one types."""
    found: dict[str, click.Command] = {path: group}
    for name, command in group.commands.items():
        inside = commands(command, f"{path} {name}") if isinstance(command, click.Group) else {}
        found |= inside or {f"{path} {name}": command}
    return found


ALL = commands(crm1c)


@pytest.mark.parametrize("path", ALL)
def test_every_command_has_help_with_an_example(shell: Shell, path: str) -> None:
    said = shell.run(*path.split()[1:], "--help")
    assert said.code == 0
    if not isinstance(ALL[path], click.Group):
        assert f"Пример: {path}" in " ".join(said.out.split()) or "Пример: CRM1C_" in said.out
    assert any("а" <= letter <= "я" for letter in ALL[path].help or "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nonsense"], "nonsense"),
        (["db", "downgrade"], "downgrade"),
        (["events", "--nonsense"], "--nonsense"),
        (["tokens", "create"], "--scope"),
        (["setup"], "ИМЯ"),
        (["events", "list", "--limit", "0"], "--limit"),
        (["worker", "--queues", "onec,nonsense"], "nonsense"),
        (["doctor"], "crm1c init"),  # there is no crm1c.toml
        (["db", "upgrade"], "crm1c init"),
    ],
)
def test_a_failure_is_one_line_on_stderr(shell: Shell, words: list[str], told: str) -> None:
    said = shell.run(*words)
    assert told in one_line(said)
    assert said.out == ""


def test_a_group_alone_shows_its_commands(shell: Shell) -> None:
    said = shell.run("events")
    assert "replay" in said.out + said.err


# -- init, db ----------------------------------------------------------------------------------------------------------


def test_init_writes_a_file_that_loads(shell: Shell) -> None:
    said = shell.init(username='Обмен "CRM"')
    assert said.code == 0
    assert "ONEC_PASSWORD, ESPO_API_KEY, API_TOKEN" in said.out
    settings = load()
    base, crm = settings.onec["main"], settings.crm["espo"]
    assert (base.organisation, base.username, str(base.timezone)) == ("7707083893", 'Обмен "CRM"', "Europe/Moscow")
    assert (crm.base_url, settings.web.public_url) == (shell.systems.crm_url, "http://127.0.0.1:9")
    assert settings.embedded


def test_init_overwrites_nothing_unasked(shell: Shell) -> None:
    shell.init()
    before = (shell.folder / "crm1c.toml").read_bytes()
    assert "--force" in one_line(shell.init(username="другой"))
    assert (shell.folder / "crm1c.toml").read_bytes() == before
    assert shell.run(
        "init", "--force", "--crm", "http://crm", "--onec", "http://1c", "--username", "u",
        "--organisation", "7707083893", "--public-url", "https://crm1c.ru",
    ).code == 0  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        ({"organisation": "7707083894"}, "onec.main.organisation"),
        ({"crm": "crm.company.ru"}, "crm.espo.base_url"),
        ({"public-url": "внутри"}, "web.public_url"),
        ({"file": "нет/такой/папки/crm1c.toml"}, "--file"),
    ],
)
def test_init_refuses_a_wrong_answer_by_its_key(shell: Shell, answer: dict[str, str], key: str) -> None:
    assert key in one_line(shell.init(**answer))
    assert not (shell.folder / "crm1c.toml").exists()


def test_db_upgrade_twice(shell: Shell) -> None:
    shell.init()
    first, second = shell.run("db", "upgrade"), shell.run("db", "upgrade")
    assert (first.code, second.code) == (0, 0)
    assert "пусто → " in first.out
    assert "уже была" in second.out


@pytest.mark.parametrize("words", [["events", "list"], ["tokens", "list"], ["setup", "espo"]])
def test_a_database_without_a_schema_names_the_mend(shell: Shell, words: list[str]) -> None:
    shell.init()
    assert "crm1c db upgrade" in one_line(shell.run(*words))


def test_a_database_out_of_reach(shell: Shell) -> None:
    shell.init()
    shell.configure("sqlite:///crm1c.db", "sqlite:////нет/такой/папки/crm1c.db")
    line = one_line(shell.run("db", "upgrade"))
    assert "База данных crm1c недоступна" in line
    assert "Повторим сами" not in line


def test_a_missing_secret_is_named(shell: Shell) -> None:
    shell.init()
    shell.environ("ESPO_API_KEY", None)
    assert "ESPO_API_KEY" in one_line(shell.run("events", "list"))


def test_every_wrong_key_is_told_at_once(shell: Shell) -> None:
    shell.init()
    shell.configure("port = 8080", 'port = "восемь"\nnonsense = 1')
    line = one_line(shell.run("doctor"))
    assert "web.port" in line
    assert "web.nonsense" in line


# -- setup -------------------------------------------------------------------------------------------------------------


def hooks(shell: Shell) -> dict[str, bool]:
    return {hook["event"]: hook["skipOwn"] for hook in shell.systems.crm.store.rows("Webhook")}


def kept_secrets(shell: Shell) -> int:
    with sqlite3.connect(shell.folder / "crm1c.db") as database:
        return int(database.execute("SELECT count(*) FROM webhooks").fetchone()[0])


def test_setup_makes_fields_and_webhooks(shell: Shell) -> None:
    """Once: made. Twice: kept. The webhooks leave out our own changes, and their secrets are kept."""
    shell.ready()
    said = shell.setup()
    assert said.code == 0, said
    fields = shell.systems.crm.meta.fields
    assert {"cInn", "cKpp", "c1cRefKey"} <= set(fields["Account"])
    assert {"cInvoiceNumber", "cInvoiceUrl", "cPaymentStatus", "cSyncStatus"} <= set(fields["Opportunity"])
    made = hooks(shell)
    assert {"Opportunity.create", "Opportunity.update"} <= set(made)
    assert all(made.values())
    assert kept_secrets(shell) == len(made)
    assert "создано" in said.out
    again = shell.setup()
    assert again.code == 0
    assert "создано" not in again.out
    assert "уже есть" in again.out
    assert hooks(shell) == made
    assert ADMIN_PASSWORD not in said.out + said.err + again.out


def test_setup_where_the_crm_refuses_internal_addresses(shell: Shell) -> None:
    """What the administrator has to write into EspoCRM's own file is told, word for word."""
    shell.ready(**{"public-url": "http://10.1.2.3:8080"})
    said = shell.setup()
    assert "Вебхуки не заведены" in one_line(said)
    assert "'webhookAllowedAddressList' => ['10.1.2.3:8080']" in said.out
    assert hooks(shell) == {}
    assert "cInvoiceNumber" in shell.systems.crm.meta.fields["Opportunity"]


def test_setup_with_a_wrong_admin_password_holds_nobody(shell: Shell) -> None:
    """It is named; and the CRM's queue of the running workers is not held for it."""
    shell.ready()
    shell.environ("CRM1C_ADMIN_PASSWORD", "wrong")
    line = one_line(shell.run("setup", "espo"))
    assert "пароль администратора" in line
    assert "api_key" not in line
    assert shell.setup().code == 0


def test_setup_without_a_password_makes_the_webhooks_and_says_what_is_missing(shell: Shell) -> None:
    shell.ready()
    shell.environ("CRM1C_ADMIN_PASSWORD", None)
    assert "CRM1C_ADMIN_PASSWORD" in one_line(shell.run("setup", "espo"))
    assert "Opportunity.update" in hooks(shell)


@pytest.mark.parametrize(
    ("words", "told"),
    [(["setup", "other"], "есть: espo"), (["setup", "espo"], "[web] public_url")],
)
def test_setup_that_cannot_begin(shell: Shell, words: list[str], told: str) -> None:
    shell.ready()
    shell.configure('public_url = "http', '# public_url = "http')
    assert told in one_line(shell.run(*words))


# -- tokens ------------------------------------------------------------------------------------------------------------


def test_tokens_from_birth_to_end(shell: Shell) -> None:
    """The token itself is on stdout, once; the list shows it without, a revoked one as such."""
    shell.ready()
    made = shell.run("tokens", "create", "--scope", "read", "--days", "90", "--note", "Grafana")
    [token] = made.out.splitlines()
    assert (made.code, token.startswith("crm1c_")) == (0, True)
    listed = shell.run("tokens", "list").out
    assert "Grafana" in listed
    assert "действует" in listed
    assert token not in listed
    token_id = listed.split()[0]
    assert shell.run("tokens", "revoke", token_id).code == 0
    assert "отозван" in shell.run("tokens", "list").out
    assert token_id in one_line(shell.run("tokens", "revoke", token_id))


@pytest.mark.parametrize("words", [["--scope", "everything"], ["--scope", "read", "--days", "0"], ["--scope", "kpi:"]])
def test_tokens_of_no_kind(shell: Shell, words: list[str]) -> None:
    shell.ready()
    assert words[-2] in one_line(shell.run("tokens", "create", *words))
