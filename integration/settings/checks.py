"""Checks: what may stand at a key. Each turns the file's value into ours or raises ValueError – empty when `allowed`
says all there is to say, else with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from importlib.metadata import entry_points
from typing import Annotated, Any, NoReturn
from urllib.parse import quote, unquote, urlsplit
from zoneinfo import ZoneInfo

from stdnum.exceptions import ValidationError as NumberError
from stdnum.ru import inn as stdnum_inn

from integration.settings.values import Cron, Every, FromEnv, Secret, duration, schedule
from mappers.wire import decimal

REFERENCE = re.compile(r"(env|file):(.+)", re.DOTALL)
DERIVED = "derived"  # marks what is worked out while loading and is no key of the file


@dataclass(frozen=True, slots=True)
class Check:
    """`parse` makes the value or raises ValueError; `allowed` tells people what may stand here.

    `secret`: only references may stand in the file, and the value is never shown. `reference`: a reference may.
    """

    parse: Callable[[Any], Any]
    allowed: str
    secret: bool = False
    reference: bool = False


def _no(reason: str = "") -> NoReturn:
    raise ValueError(reason)


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) and value.strip() else _no()


def _integer(value: object) -> int:
    if isinstance(value, str) and re.fullmatch("-?[0-9]{1,18}", value.strip()):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else _no()


_FLAGS = {"true": True, "1": True, "yes": True, "on": True, "да": True}
_FLAGS |= {"false": False, "0": False, "no": False, "off": False, "нет": False}


def _flag(value: object) -> bool:
    if isinstance(value, FromEnv) and value.strip().lower() in _FLAGS:
        return _FLAGS[value.strip().lower()]
    return value if isinstance(value, bool) else _no()


def _date(value: object) -> date:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value.strip()):
        try:
            return date.fromisoformat(value.strip())
        except ValueError:
            raise ValueError("такого дня нет") from None
    return value if isinstance(value, date) and not isinstance(value, datetime) else _no()


def whole(low: int, high: int) -> Check:
    """A whole number from `low` to `high`."""

    def parse(value: object) -> int:
        number = _integer(value)
        return number if low <= number <= high else _no()

    return Check(parse, f"целое число от {low} до {high}")


def amount(low: str, high: str, what: str) -> Check:
    """An exact number from `low` to `high`, in quotes or whole."""

    def parse(value: object) -> Decimal:
        try:
            number = decimal(value)
        except ValueError:  # its reasons are for the wire, not for people
            raise ValueError from None
        return number if Decimal(low) <= number <= Decimal(high) else _no()

    return Check(parse, what)


def matching(pattern: str, allowed: str) -> Check:
    """Text that fits the whole pattern."""
    compiled = re.compile(pattern)
    return Check(lambda value: str(value) if isinstance(value, str) and compiled.fullmatch(value) else _no(), allowed)


def one_of(*words: str) -> Check:
    """One of the words, in any case."""
    known = {word.lower(): word for word in words}

    def parse(value: object) -> str:
        word = str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)
        return known.get(word.lower()) or _no()

    return Check(parse, "одно из: " + ", ".join(words))


def many(one: Check) -> Check:
    """A list of what `one` takes, each once."""

    def parse(value: object) -> tuple[Any, ...]:
        if isinstance(value, FromEnv):
            value = [word.strip() for word in value.split(",") if word.strip()]
        if not isinstance(value, list):
            raise ValueError  # noqa: TRY004
        found = tuple(one.parse(item) for item in value)
        return found if len(set(found)) == len(found) else _no("одно и то же указано дважды")

    return Check(parse, f"список, в нём каждый раз {one.allowed}")


def plugin(group: str, *built_in: str) -> Check:
    """The name of an installed entry point of `group`, or one that needs no plug-in."""

    def parse(value: object) -> str:
        names = plugins(group, built_in)
        return (
            str(value)
            if isinstance(value, str) and value in names
            else _no(f"установлены: {', '.join(names) or 'нет'}")
        )

    return Check(parse, "название установленного модуля")


def plugins(group: str, built_in: Iterable[str] = ()) -> list[str]:
    """Names of the installed entry points of a group."""
    return sorted({*built_in, *(point.name for point in entry_points(group=group))})


def link(*schemes: str) -> Check:
    """A URL of these schemes with a host, without password, query and fragment; a closing slash is dropped."""

    def parse(value: object) -> str:
        text = _text(value)
        parts = split(text)
        if parts.scheme not in schemes or not parts.hostname or parts.query or parts.fragment:
            raise ValueError
        if parts.username is not None:
            raise ValueError("имени и паролю в адресе не место, для них есть свои ключи")
        return text.rstrip("/")

    return Check(parse, f"адрес {' или '.join(f'{scheme}://' for scheme in schemes)} без пароля и параметров")


def connection(schemes: Iterable[str], allowed: str, aliases: Iterable[tuple[str, str]] = ()) -> Check:
    """The address of a database, a broker or Redis; `aliases` are schemes written otherwise elsewhere."""
    known = tuple(schemes)
    local = ("sqlite:///", "unix://", "memory://", "embedded://")

    def one(text: str) -> str:
        for alias, scheme in aliases:
            if text.startswith(alias):
                text = scheme + text[len(alias) :]
        if not text.startswith(known):
            raise ValueError
        if not text.startswith(local) and not split(text).hostname:
            raise ValueError("в адресе нет узла")
        if text.rstrip("/") in ("sqlite:", "unix:"):
            raise ValueError("в адресе нет имени файла")
        return text

    def parse(value: object) -> str:
        return ";".join(one(part) for part in _text(value).split(";"))

    return Check(parse, allowed, reference=True)


def split(url: str) -> Any:
    """urlsplit that also refuses a port which is no number."""
    try:
        parts = urlsplit(url)
        sound = parts.port != 0 and not re.search(r"[\s\x00-\x1f]", url)
    except ValueError:
        raise ValueError("порт — число от 1 до 65535") from None
    return parts if sound else _no()


def with_password(url: str, password: str) -> str:
    """The same address (several: split by ";") with this password in it."""
    made = []
    for one in url.split(";"):
        parts = urlsplit(one)
        user, host = quote(parts.username or "", safe="%"), parts.netloc.rpartition("@")[2]
        made.append(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}").geturl())
    return ";".join(made)


def passwords_in(url: str) -> Iterator[str]:
    """The passwords in an address, as they stand there and as they are meant."""
    for one in url.split(";"):
        password = urlsplit(one).password
        if password:
            yield from {password: 0, unquote(password): 0}


def repeated(found: Iterable[object]) -> bool:
    """Something stands there twice."""
    listed = list(found)
    return len(set(listed)) < len(listed)


def _inn(value: object) -> str:
    text = _text(value)
    if not re.fullmatch("[0-9]{10}|[0-9]{12}", text):
        raise ValueError
    try:
        return str(stdnum_inn.validate(text))
    except NumberError:
        raise ValueError("контрольная цифра не сходится: в номере опечатка") from None


def _zone(value: object) -> ZoneInfo:
    try:
        return ZoneInfo(_text(value))
    except (OSError, ValueError, KeyError):  # a missing zone is a KeyError, a folder an OSError
        raise ValueError from None


def _template(value: object) -> str:
    text = _text(value)
    try:
        text.format(name="")
    except (LookupError, ValueError, AttributeError, TypeError):
        raise ValueError from None
    return text


def _table(value: object) -> dict[str, dict[str, Any]]:
    if isinstance(value, dict) and all(isinstance(inner, dict) for inner in value.values()):
        return value
    raise ValueError


def _rates(value: object) -> dict[str, Decimal]:
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004
    return {group: PERCENT.parse(rate) for group, rate in value.items()}


def _zones(value: object) -> dict[str, ZoneInfo]:
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004
    return {name: _zone(zone) for name, zone in value.items()}


TEXT = Check(_text, "непустая строка в кавычках")
BY_TYPE: dict[Any, Check] = {
    str: TEXT,
    int: whole(0, 10**9),
    bool: Check(_flag, "true или false"),
    date: Check(_date, "дата: 2026-01-31"),
    Decimal: amount("0", "1e15", 'сумма в кавычках: "1000000.00"'),
    ZoneInfo: Check(_zone, 'часовой пояс: "Europe/Moscow"'),
    tuple[str, ...]: many(TEXT),
}

SECRET_FORM = '"env:ИМЯ" или "file:ПУТЬ" (на время замены — список из старого и нового)'  # noqa: S105 – the form, not a secret
Secrets = Annotated[tuple[Secret, ...], Check(lambda value: value, SECRET_FORM, secret=True)]
Seconds = Annotated[float, Check(duration, 'секунды числом или "5s", "10m", "2h", "7d"')]
Job = Annotated[Every | Cron, Check(schedule, '"every 30m" или пять полей cron: "30 2 * * *"')]
Inn = Annotated[str, Check(_inn, "ИНН: 10 или 12 цифр в кавычках")]
PERCENT = amount("0", "100", 'процент от 0 до 100 в кавычках: "1.5"')
Percent = Annotated[Decimal, PERCENT]
Rates = Annotated[Mapping[str, Decimal], Check(_rates, f"таблица: товарная группа = {PERCENT.allowed}")]
Shares = Annotated[Mapping[str, Decimal], Check(_rates, f"таблица: менеджер = {PERCENT.allowed}")]
Zones = Annotated[Mapping[str, ZoneInfo], Check(_zones, 'таблица: менеджер = часовой пояс: "Asia/Omsk"')]
Dates = Annotated[tuple[date, ...], many(BY_TYPE[date])]
Link = Annotated[str, link("http", "https")]
Name = Annotated[str, matching(r"[^\W\d][\w.]*|", 'имя поля латиницей или "" (не использовать)')]
Hosts = Annotated[tuple[str, ...], many(matching(r"[^\W_]([\w.-]*[^\W_])?", "имя узла без схемы, порта и звёздочек"))]
Template = Annotated[str, Check(_template, "строка, в скобках только {name}")]
Tables = Annotated[dict[str, dict[str, Any]], Check(_table, "таблица таблиц: вид объекта 1С, в нём поле = значение")]
