"""From declarations to a schema: reads the dataclasses of the model once and makes a marshmallow schema of them.

There is no second list of keys anywhere: the schema, the environment variables and the test of the documentation all
come from `keys()`.
"""

from __future__ import annotations

import difflib
import functools
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import marshmallow as ma

from integration.settings.checks import (
    BY_TYPE,
    DERIVED,
    REFERENCE,
    SECRET_FORM,
    Check,
    matching,
    one_of,
    passwords_in,
)
from integration.settings.values import FromEnv, Secret, Wrong

Many = Literal["one", "named", "list"]
LOOPBACK = ("127.0.0.1", "::1", "localhost")
# A named table's name stands in addresses, in keys and in environment variables.
_NAME = matching("[A-Za-z][A-Za-z0-9_-]{0,31}", "имя латиницей: буквы, цифры, «_» и «-»")


@dataclass(frozen=True, slots=True)
class Key:
    """One declared key: a value (`check`) or tables of class `table`; `names` checks the names of named tables."""

    name: str
    default: Any
    check: Check | None = None
    table: type | None = None
    many: Many = "one"
    names: Check = _NAME
    inline: bool = False  # the named tables stand among the keys of their own table: [requisites.dadata]

    @property
    def required(self) -> bool:
        return self.default is MISSING


@functools.cache
def keys(cls: type) -> tuple[Key, ...]:
    """The keys of one table, in the order of their declaration."""
    hints = get_type_hints(cls, include_extras=True)
    found = []
    for one in fields(typing.cast("Any", cls)):
        hint = hints[one.name]
        if DERIVED in getattr(hint, "__metadata__", ()):
            continue
        default = one.default_factory() if one.default_factory is not MISSING else one.default
        found.append(_key(one.name, default, hint, inline=bool(one.metadata.get("inline"))))
    return tuple(found)


def _key(name: str, default: Any, hint: Any, *, inline: bool) -> Key:
    if isinstance(hint, types.UnionType) or get_origin(hint) is typing.Union:  # X | None: absent or X
        hint = next(one for one in get_args(hint) if one is not types.NoneType)
    origin = get_origin(hint)
    if origin is Annotated:
        return Key(name, default, check=next(one for one in hint.__metadata__ if isinstance(one, Check)))
    if origin is Literal:
        return Key(name, default, check=one_of(*get_args(hint)))
    if is_dataclass(hint):
        return Key(name, default, table=typing.cast("type", hint))
    if origin is tuple and is_dataclass(get_args(hint)[0]):
        return Key(name, default, table=get_args(hint)[0], many="list")
    if origin is not None and issubclass(origin, Mapping):
        word, table = get_args(hint)
        names = next((one for one in getattr(word, "__metadata__", ()) if isinstance(one, Check)), _NAME)
        return Key(name, default, table=table, many="named", names=names, inline=inline)
    return Key(name, default, check=BY_TYPE[hint])


def declared(cls: type, prefix: str = "") -> Iterator[tuple[str, Key]]:
    """Every key that a file may hold, with its full path: `onec.NAME.base_url`, `plan[].month`."""
    for key in keys(cls):
        path = prefix + ("NAME" if key.inline else key.name)
        if key.table is None:
            yield path, key
        else:
            tail = {"one": ".", "named": "." if key.inline else ".NAME.", "list": "[]."}[key.many]
            yield from declared(key.table, path + tail)


# -- references to secrets --------------------------------------------------------------------------------------------


class References:
    """Reads `env:` and `file:` references, and remembers every value for the log to mask. A relative path starts at
    `folder`, the configuration's own."""

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self.environ, self.folder, self.seen = environ, folder, dict[str, None]()

    def read(self, reference: str) -> str:
        """The value behind a reference. Raises ValueError with the reason."""
        found = REFERENCE.fullmatch(reference.strip())
        if not found:
            raise ValueError(f"секрету в файле не место; нужно {SECRET_FORM}")
        kind, name = found.groups()
        if kind == "env":
            value = self.environ.get(name, "")
            if not value:
                raise ValueError(f"переменной окружения {name} нет или она пуста")
        else:
            try:
                value = (self.folder / name).read_text(encoding="utf-8").strip("\r\n")
            except (OSError, ValueError) as error:
                raise ValueError(f"файл {name} не читается: {getattr(error, 'strerror', None) or error}") from None
            if not value:
                raise ValueError(f"файл {name} пуст")
        self.seen[value] = None
        return value

    def secrets(self, value: object) -> tuple[Secret, ...]:
        """One reference or a list of them; what an environment variable gave may be the secret itself."""
        if isinstance(value, FromEnv):
            parts = [part.strip() for part in value.split(",")]
            if not all(REFERENCE.fullmatch(part) for part in parts):
                self.seen[str(value)] = None
                return (Secret(str(value)),)
            value = parts
        listed = value if isinstance(value, list) else [value]
        words = [one for one in listed if isinstance(one, str)]
        if not listed or words != listed:
            raise ValueError(f"нужно {SECRET_FORM}")
        return tuple(Secret(self.read(one)) for one in words)


# -- the schema -------------------------------------------------------------------------------------------------------


def schema(cls: type, references: References) -> ma.Schema:
    """A schema that loads one table into `cls`, or tells everything that is wrong with it."""
    made: dict[str, ma.fields.Field[Any]] = {}
    for key in keys(cls):
        if key.inline:
            continue
        made[key.name] = _Value(key, references) if key.check else _Table(key, references)
    made_class: type[ma.Schema] = type(cls.__name__, (_TableSchema,), {"target": cls, "references": references, **made})
    return made_class()


class _Value(ma.fields.Field[Any]):
    """One value: a reference is followed where one may stand, then the key's check decides."""

    def __init__(self, key: Key, references: References) -> None:
        assert key.check is not None
        super().__init__(required=key.required, error_messages=_messages(f"обязателен: {key.check.allowed}"))
        self.check, self.references = key.check, references

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        try:
            if self.check.secret:
                return () if value == [] and not self.required else self.references.secrets(value)
            if self.check.reference and isinstance(value, str):
                return self._connection(value)
            return self.check.parse(value)
        except ValueError as error:
            said = f": {error}" if str(error) else ""
            if not self.check.secret:  # whose reasons say it already
                said += f"{';' if said else ', а'} допустимо: {self.check.allowed}"
            raise ma.ValidationError(f"= {shown(value, secret=self.check.secret)}{said}") from None

    def _connection(self, value: str) -> Any:
        """An address may hold a password unless it stands in the file; there only that of a server on loopback."""
        open_text = not isinstance(value, FromEnv) and not REFERENCE.fullmatch(value)
        address = self.check.parse(self.references.read(value) if REFERENCE.fullmatch(value) else str(value))
        for one in map(urlsplit, address.split(";")):
            if open_text and one.password and one.hostname not in LOOPBACK:
                raise ValueError("паролю в файле не место: уберите его в ключ password или весь адрес в env:ИМЯ")
        self.references.seen |= dict.fromkeys(passwords_in(address))
        return address


class _Table(ma.fields.Field[Any]):
    """A table, a table of named tables, or a list of tables."""

    def __init__(self, key: Key, references: References) -> None:
        super().__init__(required=False, error_messages=_messages("таблица обязательна"))
        assert key.table is not None
        self.key, self.schema = key, schema(key.table, references)
        if key.required:  # an absent table tells what it lacks, key by key
            self.load_default = lambda: self._deserialize({})

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if self.key.many == "one":
            return self.schema.load(_a_table(value, f"[{self.key.name}]"))
        found: dict[Any, Any] = {}
        wrong: dict[Any, Any] = {}
        if self.key.many == "list":
            if not isinstance(value, list):
                raise ma.ValidationError(f"здесь нужен список таблиц: [[{self.key.name}]]")
            pairs: list[tuple[Any, Any]] = list(enumerate(value))
        else:
            pairs = list(_a_table(value, f"[{self.key.name}.ИМЯ]").items())
        for name, inner in pairs:
            try:
                checked = name if self.key.many == "list" else self.key.names.parse(name)
                found[checked] = self.schema.load(_a_table(inner, f"[{self.key.name}.{name}]"))
            except ma.ValidationError as error:
                wrong[name] = error.messages
            except ValueError as error:
                wrong[name] = [f"такого имени быть не может: {str(error) or self.key.names.allowed}"]
        if wrong:
            raise ma.ValidationError(wrong)
        return tuple(found.values()) if self.key.many == "list" else found


class _TableSchema(ma.Schema):
    target: type
    references: References

    class Meta:
        unknown = ma.INCLUDE  # unknown keys are told by `strangers`, with a hint

    @ma.validates_schema(pass_original=True, skip_on_field_errors=False)
    def strangers(self, _data: Any, original: Mapping[str, Any], **_: Any) -> None:
        known = [key.name for key in keys(self.target) if not key.inline]
        inline = any(key.inline for key in keys(self.target))
        unknown = [k for k in original if k not in known and not (inline and isinstance(original[k], dict))]
        if unknown:
            raise ma.ValidationError({name: [f"такого ключа нет{hint(name, known)}"] for name in unknown})

    @ma.post_load(pass_original=True)
    def make(self, data: dict[str, Any], original: Mapping[str, Any], **_: Any) -> Any:
        names = set(get_type_hints(self.target))
        for key in keys(self.target):
            if key.inline:
                tables = {name: data.pop(name) for name in list(data) if name not in names}
                data[key.name] = _Table(key, self.references).deserialize(tables)
            told = f"explicit_{key.name}"
            if told in names:
                data[told] = frozenset(original.get(key.name, ()))
        made = self.target(**data)
        try:
            return made.settled() if hasattr(made, "settled") else made
        except Wrong as error:
            raise ma.ValidationError({name: [reason] for name, reason in error.reasons.items()}) from None


def hint(name: str, known: list[str]) -> str:
    """The closest known name as the end of a sentence, or nothing."""
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f"; возможно, имелось в виду {close[0]}?" if close else ""


def shown(value: object, *, secret: bool) -> str:
    """A value for people: secrets and passwords as ***, long ones cut."""
    if secret:
        return "***"
    text = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    text = re.sub(r"(://[^/\s:@]*):[^\s]*@", r"\1:***@", text)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _a_table(value: Any, form: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ma.ValidationError(f"= {shown(value, secret=False)}: здесь нужна таблица {form}")


def _messages(required: str) -> dict[str, Any]:
    return {"required": required, "null": required, "validator_failed": required}
