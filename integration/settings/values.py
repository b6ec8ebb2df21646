"""Values of the configuration that Python has no type for: secrets, durations, schedules."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal


class Secret:
    """A secret that prints as ***; `reveal()` is the only way to its value."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)


class FromEnv(str):
    """A value that an environment variable gave: a secret may be literal here, a list is separated by commas."""

    __slots__ = ("variable",)
    variable: str

    def __new__(cls, value: str, variable: str) -> FromEnv:
        made = super().__new__(cls, value)
        made.variable = variable
        return made


class Wrong(ValueError):
    """What is wrong with keys of one table, taken together: {key: reason}."""

    def __init__(self, **reasons: str) -> None:
        super().__init__("; ".join(reasons.values()))
        self.reasons = reasons


# -- durations and schedules ------------------------------------------------------------------------------------------

_UNITS = {"": Decimal(1), "ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
_UNITS["d"] = Decimal(86400)
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*(ms|s|m|h|d|)")
_YEAR = 366 * 86400


def duration(value: object) -> float:
    """Seconds: a number as it is, or "500ms", "5s", "10m", "2h", "7d". More than nothing, at most a year."""
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        if not found:
            raise ValueError
        seconds = float(Decimal(found[1]) * _UNITS[found[2]])
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        seconds = float(value)
    else:
        raise ValueError  # noqa: TRY004 – one kind of error for every bad value
    if not 0 < seconds <= _YEAR:
        raise ValueError("больше нуля и не больше года")
    return seconds


@dataclass(frozen=True, slots=True)
class Every:
    """Runs at this interval, in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Cron:
    """Runs at these minutes and hours, on these days. Each field is "*" or a list of numbers ("0,30"), nothing else,
    so that no two readers of cron lines can differ. Sunday is 0."""

    minute: str
    hour: str
    day_of_month: str
    month_of_year: str
    day_of_week: str


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CRON: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("минуты", 0, 59, ()),
    ("часы", 0, 23, ()),
    ("день месяца", 1, 31, ()),
    ("месяц", 1, 12, _MONTHS),
    ("день недели", 0, 7, _DAYS),
)
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}  # days of the shorter months


def schedule(text: object) -> Every | Cron:
    """An interval, "every 30m", or a cron line of five fields. Raises ValueError with the reason."""
    if isinstance(text, Every | Cron):
        return text
    if not isinstance(text, str):
        raise ValueError  # noqa: TRY004
    words = text.lower().split()
    if words[:1] == ["every"]:
        try:
            seconds = duration("".join(words[1:]))
        except ValueError as error:
            raise ValueError("после every нужен промежуток: every 30m") from error
        if seconds < 1:
            raise ValueError("не чаще раза в секунду")
        return Every(seconds)
    if len(words) != 5:
        raise ValueError
    sets = [_cron_field(word, *field) for word, field in zip(words, _CRON, strict=True)]
    weekdays = sorted({day % 7 for day in sets[4]})
    restricted = [len(found) <= high - low for found, (_, low, high, _) in zip(sets[:4], _CRON, strict=False)]
    if restricted[2] and len(weekdays) < 7:
        raise ValueError("день месяца и день недели вместе не задаются: разные программы понимают это по-разному")
    if not any(day <= _LONGEST.get(month, 31) for day in sets[2] for month in sets[3]):
        raise ValueError("такого дня нет ни в одном из этих месяцев")
    minute, hour, day, month = (_listed(found) if some else "*" for found, some in zip(sets, restricted, strict=False))
    return Cron(minute, hour, day, month, _listed(weekdays) if len(weekdays) < 7 else "*")


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, sorted(numbers)))


def _cron_field(word: str, name: str, low: int, high: int, names: tuple[str, ...]) -> set[int]:
    found: set[int] = set()
    for part in word.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        try:
            start = low if span == "*" else _cron_number(first, low, names)
            end = high if span == "*" or (slash and not dash) else _cron_number(last if dash else first, low, names)
            stride = int(step) if slash else 1
        except ValueError:
            raise ValueError(f"{name}: «{part}» не читается") from None
        if not (low <= start <= end <= high and stride > 0):
            raise ValueError(f"{name}: «{part}», а нужно {low}–{high}")
        found.update(range(start, end + 1, stride))
    return found


def _cron_number(word: str, low: int, names: tuple[str, ...]) -> int:
    if word in names:
        return names.index(word) + low
    if not re.fullmatch("[0-9]{1,2}", word):
        raise ValueError(word)
    return int(word)
