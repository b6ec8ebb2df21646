"""Reading the configuration: the file, the environment over it, the whole checked at once.

No other module reads the environment.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import marshmallow as ma

from integration.settings.model import Settings
from integration.settings.shape import References, hint, keys, schema
from integration.settings.values import FromEnv

PREFIX = "CRM1C_"
NOT_KEYS = {"CRM1C_CONFIG", "CRM1C_ADMIN_PASSWORD"}  # the file itself; the password that `crm1c setup` forgets


class SettingsError(ValueError):
    """Настройки не приняты: исправьте названные ключи в crm1c.toml."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(path: str | os.PathLike[str] | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings from `path`, else from $CRM1C_CONFIG, else from ./crm1c.toml, with CRM1C_* variables over them.

    Raises SettingsError with everything that is wrong, each problem naming its key.
    """
    file = Path(path or environ.get("CRM1C_CONFIG") or "crm1c.toml")
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8-sig"), parse_float=Decimal)
    except FileNotFoundError:
        said = f"нет файла настроек {file}: создайте его командой crm1c init или назовите другой в CRM1C_CONFIG"
        raise SettingsError([said]) from None
    except OSError as error:
        raise SettingsError([f"файл настроек {file} не читается: {error.strerror}"]) from None
    except ValueError as error:  # TOML's own errors and bytes that are no UTF-8
        raise SettingsError([f"файл настроек {file} — не TOML в UTF-8: {error}"]) from None
    return read(document, environ, origin=file.absolute())


def read(document: Mapping[str, Any], environ: Mapping[str, str], *, origin: Path | None = None) -> Settings:
    """The settings from an already parsed document (floats as Decimal), with CRM1C_* variables over it."""
    references = References(environ, origin.parent if origin else Path())
    whole, problems = _overlaid(document, environ)
    try:
        settings: Settings = schema(Settings, references).load(whole)
    except ma.ValidationError as error:
        problems += _told(error.messages_dict, whole)
        raise SettingsError(problems) from None
    if problems:
        raise SettingsError(problems)
    known = dict.fromkeys([*references.seen, *settings.passwords()])
    return replace(settings, origin=origin, known_secrets=tuple(known))


# -- problems ---------------------------------------------------------------------------------------------------------


def _told(messages: Mapping[Any, Any], document: Any, path: str = "") -> list[str]:
    """The tree of messages as lines, each beginning with its key (and the variable that gave the value)."""
    lines = []
    for name, inner in messages.items():
        where = f"{path}[{name + 1}]" if isinstance(name, int) else f"{path}.{name}" if path else str(name)
        if name == "_schema":
            where = path
        value = _at(document, name)
        if isinstance(inner, Mapping):
            lines += _told(inner, value, where)
        else:
            given = f" (из {value.variable})" if isinstance(value, FromEnv) else ""
            lines += [f"{where}{given}{text if text.startswith(' =') else f': {text}'}" for text in map(_spaced, inner)]
    return lines


def _spaced(text: str) -> str:
    return f" {text}" if text.startswith("= ") else text


def _at(document: Any, name: Any) -> Any:
    try:
        return document[name]
    except (LookupError, TypeError):
        return None


# -- the environment over the file ------------------------------------------------------------------------------------


def _overlaid(document: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The document with CRM1C_<TABLE>_<KEY> in it. An empty variable counts as none.

    A variable that fits no key is a problem when it begins like one of our tables; others are not ours to judge
    (CRM1C_IMAGE in a compose file).
    """
    whole = _copied(document)
    problems = []
    tables = [key.name for key in keys(Settings)]
    for variable in sorted(environ):
        value = environ[variable]
        if not variable.startswith(PREFIX) or variable in NOT_KEYS or not value.strip():
            continue
        rest = variable.removeprefix(PREFIX).lower()
        place = next(_places(rest, Settings, whole), None)
        if place is not None:
            _put(whole, place, FromEnv(value.strip(), variable))
            continue
        table = rest.partition("_")[0]
        if table in tables or hint(table, tables):
            problems.append(f"{variable}: такого ключа нет{hint(rest, [name.replace('.', '_') for name in _plain()])}")
    return whole, problems


def _places(rest: str, cls: type, table: Any) -> Iterator[tuple[str, ...]]:
    """Where a variable's name leads: tables that stand in the file before new ones, the longest name first."""
    table = table if isinstance(table, Mapping) else {}
    for key in keys(cls):
        if key.check is not None:
            if rest == key.name and not key.check.allowed.startswith("таблица"):
                yield (key.name,)
            continue
        if key.table is None or key.many == "list":
            continue
        if not key.inline and not rest.startswith(f"{key.name}_"):
            continue
        inner = rest if key.inline else rest.removeprefix(f"{key.name}_")
        above = () if key.inline else (key.name,)
        held = table if key.inline else table.get(key.name)
        if key.many == "one":
            yield from ((*above, *tail) for tail in _places(inner, key.table, held))
            continue
        held = held if isinstance(held, Mapping) else {}
        words = inner.split("_")
        new = ["_".join(words[:count]) for count in range(len(words) - 1, 0, -1)]
        for name in [*sorted((name for name in held if isinstance(held[name], Mapping)), key=len, reverse=True), *new]:
            start = f"{name.lower().replace('-', '_')}_"
            if inner.startswith(start):
                tails = _places(inner.removeprefix(start), key.table, held.get(name))
                yield from ((*above, name, *tail) for tail in tails)


def _plain() -> Iterator[str]:
    for key in keys(Settings):
        if key.table is not None and key.many == "one":
            yield from (f"{key.name}.{inner.name}" for inner in keys(key.table) if inner.check is not None)


def _put(table: dict[str, Any], place: tuple[str, ...], value: FromEnv) -> None:
    for name in place[:-1]:
        inner = table.get(name)
        if not isinstance(inner, dict):
            inner = table[name] = {}
        table = inner
    table[place[-1]] = value


def _copied(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _copied(inner) if isinstance(inner, Mapping) else inner for name, inner in table.items()}
