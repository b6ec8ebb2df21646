"""Every command explains itself, in Russian, with an example."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from tasks.cli import crm1c

ENGLISH = (
    *("Usage:", "Options:", "Commands:", "Show th", "OPTIONS", "COMMAND", "ARGS", "INTEGER", "TEXT", "PATH"),
    *("required", "default"),
)


def commands(one: click.Command = crm1c, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(one, click.Group):
        for name, below in one.commands.items():
            yield from commands(below, (*path, name))


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_help_is_in_russian_with_an_example(path: tuple[str, ...]) -> None:
    said = CliRunner().invoke(crm1c, [*path, "--help"], prog_name="crm1c")
    assert said.exit_code == 0
    assert said.output.startswith(f"Вызов: {' '.join(('crm1c', *path))}")
    assert "Пример" in said.output
    assert "Показать эту справку." in said.output
    assert [word for word in ENGLISH if word in said.output] == []
