"""The words that click would say in English in a command's --help."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import click

_HEADINGS = {"Options": "Ключи", "Commands": "Команды"}
_SHAPES = (
    (r"\[OPTIONS\]", "[КЛЮЧИ]"),
    (r"COMMAND \[ARGS\]", "КОМАНДА [АРГУМЕНТЫ]"),
    (r"\[COMMAND\] \[ARGS\]", "[КОМАНДА] [АРГУМЕНТЫ]"),
)
_VALUES = (
    (r" INTEGER(?: RANGE)?", " ЧИСЛО"),
    (r" FLOAT(?: RANGE)?", " ЧИСЛО"),
    (r" TEXT\b", " ТЕКСТ"),
    (r" (?:PATH|FILE|FILENAME)\b", " ПУТЬ"),
    (r" DIRECTORY\b", " ПАПКА"),
)
_SAYINGS = (
    (r"Show this message and exit\.", "Показать эту справку."),
    (r"Show the version and exit\.", "Показать версию."),
    (r"\[required\]", "[обязателен]"),
    (r"\bdefault: ", "по умолчанию: "),
    (r"; required\]", "; обязателен]"),
)


class Help(click.HelpFormatter):
    """Writes a command's help in Russian."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, _said(args, _SHAPES), "Вызов: " if prefix is None else prefix)

    def write_heading(self, heading: str) -> None:
        super().write_heading(_HEADINGS.get(heading, heading))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        said = [(_said(name, _VALUES), _said(about, _SAYINGS)) for name, about in rows]
        super().write_dl(said, col_max, col_spacing)


def _said(text: str, words: Sequence[tuple[str, str]]) -> str:
    for english, russian in words:
        text = re.sub(english, russian, text)
    return text
