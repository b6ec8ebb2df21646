"""README and docs/ against the product: what a reader may type, copy or follow is there and works."""

from __future__ import annotations

import re
import subprocess
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Flask
from werkzeug.exceptions import MethodNotAllowed, NotFound

from integration.http.app import create_app
from integration.http.parts import Parts
from integration.http.requisites import RequisitesRoutes
from integration.settings import read
from integration.store.engine import connect
from integration.store.store import SqlStore
from mappers.onec.bp_base import SETS
from mappers.onec.bp_contacts import CONTACT_SETS
from tasks.cli import crm1c
from tests.docs.pages import COMMANDS, PAGES, READMES, TOP, Block, Line, anchor, blocks, headings, lines, links
from tests.http.world import kpi_routes

# Programs of others that the pages may name, with what they are for.
OTHERS = {
    *("curl", "pip", "docker", "export", "openssl"),
    *("redis-cli", "rabbitmqctl", "pg_dump", "pg_restore", "sqlite3"),
}
LEAST = """
[database]
url = "sqlite:///crm1c.db"
[broker]
url = "memory://"
[redis]
url = "embedded://"
"""
LINES = lines()
OURS = [line for line in LINES if line.words[0] == "crm1c"]
HOSTS = ("company.example", "127.0.0.1", "github.com", "keepachangelog.com", "semver.org")


def test_there_is_something_to_test() -> None:
    """The pages are found, and their commands too."""
    assert len(PAGES) > 10
    assert len(OURS) > 30
    assert {line.page for line in OURS} >= set(READMES)


# -- commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", OURS, ids=str)
def test_a_command_of_crm1c_exists_with_its_options(line: Line) -> None:
    """Each word is a command, an option or an argument that crm1c has, and each value is of its kind."""
    command, words = _command([word for word in line.words[1:] if word != "…"])
    context = click.Context(command, info_name=command.name)
    if words in (["--version"], ["--help"]):
        return
    given, rest, _ = command.make_parser(context).parse_args(words)
    assert rest == []
    for parameter in command.params:
        value = given.get(parameter.name or "")
        if isinstance(value, str) and not getattr(parameter, "is_flag", False):
            parameter.type_cast_value(context, value)


@pytest.mark.parametrize("words", sorted({_words for line in OURS if (_words := line.words[1:])}), ids=" ".join)
def test_a_command_has_a_help_with_an_example(words: tuple[str, ...]) -> None:
    """Whoever reads of a command can ask it for more."""
    command, _ = _command(list(words))
    assert command.help
    assert isinstance(command, click.Group) or "Пример" in (command.epilog or "")


@pytest.mark.parametrize("line", [line for line in LINES if line.words[0] == "make"], ids=str)
def test_a_make_target_exists(line: Line) -> None:
    """Each target is one of the Makefile, each variable one that it knows."""
    makefile = (TOP / "Makefile").read_text(encoding="utf-8")
    for word in line.words[1:]:
        name, is_variable, _ = word.partition("=")
        if is_variable:
            assert f"$({name})" in makefile or f"{name} ?=" in makefile or f"$(if $({name})" in makefile, name
        else:
            assert re.search(rf"^{re.escape(name)}:", makefile, re.MULTILINE), name


def test_no_other_program_is_named() -> None:
    """Everything else in the blocks is a program that an administrator knows."""
    used = {line.words[0] for line in LINES} - {"crm1c", "make"}
    assert used <= OTHERS


@pytest.mark.parametrize("block", blocks(*COMMANDS), ids=str)
def test_a_block_is_what_a_shell_understands(block: Block) -> None:
    """It can be pasted: quotes are closed, lines continue."""
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", [line for line in LINES if line.words[0] == "docker"], ids=str)
def test_files_that_docker_is_given_exist(line: Line) -> None:
    """Compose files and Dockerfiles are where the line says (.env is made from .env.example)."""
    given = [line.words[at + 1] for at, word in enumerate(line.words) if word in ("-f", "--env-file")]
    assert given
    for name in given:
        assert (TOP / name).exists() or (TOP / f"{name}.example").exists(), name


@pytest.mark.parametrize("line", [line for line in LINES if line.words[0] == "curl"], ids=str)
def test_an_address_is_one_that_crm1c_serves(line: Line, app: Flask) -> None:
    """Method and path of each call are a route, and what is guarded gets a token."""
    url = next(word for word in line.words if "://" in word)
    method = line.words[line.words.index("-X") + 1] if "-X" in line.words else "GET"
    path = re.sub(r"^https?://[^/]+", "", url).partition("?")[0]
    try:
        app.url_map.bind("crm1c").match(path, method)
    except (NotFound, MethodNotAllowed) as error:
        pytest.fail(f"{method} {path}: {error.name}")
    guarded = path.startswith("/api") or path == "/metrics"
    assert guarded == any(word.startswith("Authorization: Bearer ") for word in line.words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_path_in_the_text_is_one_that_crm1c_serves(page: Path, app: Flask) -> None:
    """`/health/live` and the like in the running text are routes too."""
    rules = {re.sub(r"<[^>]+>", "x", rule.rule) for rule in app.url_map.iter_rules()}
    for path in re.findall(r"`(?:POST |GET )?(/(?:api|health|metrics|docs|openapi)[\w/.]*)`", page.read_text("utf-8")):
        asked = re.sub(r"/(EVENT_ID|DEAL_ID|ID|NAME|PERIOD|MANAGER)(?=/|$)", "/x", path)
        assert any(rule == asked or rule.startswith(f"{asked}/") for rule in rules), path


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_a_block_of_settings_is_accepted(block: Block) -> None:
    """Each piece of crm1c.toml loads, beside the least that every file has."""
    piece = tomllib.loads(block.text, parse_float=Decimal)
    read({**tomllib.loads(LEAST), **piece}, _secrets(block.text))


def test_the_example_is_accepted() -> None:
    """docs/example/crm1c.toml loads as it stands, its secrets given."""
    text = (TOP / "docs/example/crm1c.toml").read_text(encoding="utf-8")
    read(tomllib.loads(text, parse_float=Decimal), _secrets(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_key_in_the_text_is_a_key_of_the_settings(page: Path) -> None:
    """`[web] trusted_proxies` names a table and a key that docs/configuration.md has."""
    known = (TOP / "docs/configuration.md").read_text(encoding="utf-8")
    tables = dict(re.findall(r"^### `\[+([\w.]+)\]+`\n(.*?)(?=^##|\Z)", known, re.MULTILINE | re.DOTALL))
    for table, key in re.findall(r"`\[([a-z]+)\] ([a-z_]+)", page.read_text(encoding="utf-8")):
        assert f"| `{key}` |" in tables[table], f"[{table}] {key}"


@pytest.mark.parametrize("name", ["runbook.md", "runbook.en.md"])
def test_what_is_to_be_published_is_what_the_dialect_reads(name: str) -> None:
    """The list of 1C's objects is the mapping's own."""
    named = set(
        re.findall(r"`((?:Document|Catalog|InformationRegister)_\w+)`", (TOP / "docs" / name).read_text("utf-8"))
    )
    assert named == {one for one in (*SETS, *CONTACT_SETS) if one.count("_") == 1}


# -- pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link is a file of the checkout, each anchor a heading there."""
    for link in links(page):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(TOP), link
        if fragment:
            assert fragment in [anchor(text) for _, text in headings(target)], link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_nobodys_machine_is_on_a_page(page: Path) -> None:
    """No path of a home, a checkout or a temporary folder; no host but examples and those that are meant."""
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(work|home|root|tmp|Users|mnt)/", text)
    for host in re.findall(r"[a-z]+://(?:[^/\s@`]*@)?([\w.-]+)", text):
        known = "СЕРВЕР" in host or any(host.endswith(one) for one in HOSTS)
        assert known or page.name == "configuration.md" or "." not in host, host


def test_both_readmes_say_the_same() -> None:
    """As many headings of the same level, the same commands, the same pictures and links to files."""
    english, russian = READMES
    assert [level for level, _ in headings(english)] == [level for level, _ in headings(russian)]
    here, there = ([block.text for block in blocks(*COMMANDS, "text", pages=(page,))] for page in READMES)
    assert [_uncommented(text) for text in here] == [_uncommented(text) for text in there]
    swapped = {"README.ru.md": "README.md", "docs/runbook.md": "docs/runbook.en.md"}
    seen = []
    for page in READMES:
        paths = [link.partition("#")[0] for link in links(page)]
        seen.append({swapped.get(path, path) for path in paths if path not in ("README.md",)} - {"README.md"})
    assert seen[0] == seen[1]


def test_the_picture_is_what_its_source_makes() -> None:
    """docs/flow.svg was made by docs/flow.py as it stands: run it after a change."""
    made: dict[str, Any] = {"__name__": "flow", "__file__": str(TOP / "docs/flow.py")}
    exec(compile((TOP / "docs/flow.py").read_text(encoding="utf-8"), "flow.py", "exec"), made)
    assert (TOP / "docs/flow.svg").read_text(encoding="utf-8") == made["picture"]()


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_an_example_in_python_runs(block: Block) -> None:
    """It runs as it stands, with its assertions."""
    exec(compile(block.text, str(block.page), "exec"), {"__name__": "example"})


def test_decisions_are_numbered_and_say_the_same_things() -> None:
    """0001, 0002, …: each with its context, choice, consequences and alternatives."""
    pages = sorted((TOP / "docs/decisions").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04d}" for number in range(1, len(pages) + 1)]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {page.name[:4]}. ")
        assert list(re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE)) == [
            "Context", "Choice", "Consequences", "Alternatives",
        ]  # fmt: skip


# -- what the tests need ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """The web application, for its routes alone."""
    settings = read(tomllib.loads(LEAST), {})
    engine = connect(f"sqlite:///{tmp_path_factory.mktemp('docs') / 'crm1c.db'}")
    store = SqlStore(engine, lambda: pytest.fail("no clock is needed"), settings.delivery, lambda *_: None)
    clock = lambda: pytest.fail("no clock is needed")  # noqa: E731
    parts = Parts(settings=settings, store=store, senders={}, probes={}, now=clock)
    asks = RequisitesRoutes(parts, lambda *_: pytest.fail("nobody asks"))
    return create_app(parts, (*asks.routes(), *kpi_routes(parts).routes()))


def _command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words lead to, and what is left of them."""
    command: click.Command = crm1c
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        assert words[0] in command.commands, f"no command {words[0]}"
        command = command.commands[words.pop(0)]
    return command, words


def _secrets(text: str) -> dict[str, str]:
    """A value for each env:NAME."""
    return {name: f"value-of-{name.lower()}-0123456789" for name in re.findall(r"env:(\w+)", text)}


def _uncommented(text: str) -> str:
    return re.sub(r"\s+# .*$", "", text, flags=re.MULTILINE)
