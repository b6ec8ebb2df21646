"""Logs: one line per record, JSON for machines or text for people, each with its correlation id, none with secrets.

Every record is masked before a handler formats it: personal data (ИНН, phones, e-mails, accounts), credentials
(Authorization, keys, passwords, signatures) and the known secrets of the configuration. UUIDs, our own ids, sums and
dates stay readable. An ИНН keeps its first and last two digits, so that lines about one client can be told to be so.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO
from urllib.parse import quote

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

event_log = logging.getLogger("crm1c.events")  # what happens to events and duties

_trace: ContextVar[str] = ContextVar("crm1c_trace", default="")


@contextmanager
def correlated(trace: str) -> Iterator[None]:
    """Every record logged inside the block, in this thread or task, bears this correlation id."""
    token = _trace.set(trace)
    try:
        yield
    finally:
        _trace.reset(token)


def current_trace() -> str:
    """The correlation id of what runs now; empty outside of `correlated`."""
    return _trace.get()


# -- masking ----------------------------------------------------------------------------------------------------------

# A number begins where no hexadecimal neighbour makes it a part of an id; escapes (%27, \xa0, \u041d) end in such
# letters, but bound a word as a blank does. Looked at after the first digit, so that re can skip letters cheaply.
_DIGIT = r"[0-9](?:(?<![0-9A-Fa-f].)|(?<=%[0-9A-Fa-f]{2}.)|(?<=\\x[0-9A-Fa-f]{2}.)|(?<=\\u[0-9A-Fa-f]{4}.))"
_END = r"(?![0-9A-Fa-f])"
_GAP = r"(?:[\s()\u2010-\u2015-]|%20){0,3}"


def _any_case(*words: str) -> str:
    """The words in any case: re skips letters that start none of them, which it doesn't under IGNORECASE."""
    return "|".join(
        "".join(f"[{one.lower()}{one.upper()}]" if one.isalpha() else one for one in word) for word in words
    )


_KEYED = _any_case(
    *("authorization", "signature", "cookie", "ibsession", "token", "secret", "secret[_-]?key", "api[_-]?key"),
    *("password", "passwd", "pwd", "пароль", "токен"),
)
_SCHEME = _any_case("bearer", "basic", "token", "digest")
_VALUE = rf"""(?:b?\\?"[^"\r\n]*"?|b?'[^'\r\n]*'?|(?:(?:{_SCHEME})\s+)?[^\s"',;&<>)}}\]]+)"""


def _phone(first: str) -> str:
    """The ways in which Russians group ten digits behind 7, 8 or nothing."""
    groups = ("3322", "4222", "5122")
    ways = "|".join(_GAP.join(f"[0-9]{{{count}}}" for count in way) for way in groups)
    return rf"{first}{_GAP}(?:{ways}){_END}"


# What stands first wins: ids and times are passed over whole, so that no later alternative bites into them.
_KEEP = (
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![0-9a-zA-Z])"
    r"|(?:19|20)[0-9]{2}-[01][0-9]-[0-3][0-9](?:[T ][0-2][0-9]:[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,6})?)?"
    r"(?:[+-][0-1][0-9]:[0-5][0-9])?)?(?![0-9-])"
    r"|%[0-9A-Fa-f]{2}|\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}"
)
_COMMON = "|".join(
    (
        rf"(?P<keep>{_KEEP})",
        rf"(?P<plus>\+[1-9](?:{_GAP}[0-9]){{9,14}}(?![0-9]))",
        rf"(?P<phone>(?=[78])(?:{_phone(_DIGIT)}))",
        # A number with exactly two decimals is a sum.
        rf"(?P<digits>(?=[0-9]{{10}}){_DIGIT}(?:[0-9]{{19}}|[0-9]{{11}}|[0-9]{{9}}){_END}(?!\.[0-9]{{2}}(?![0-9])))",
        r"(?P<local>\(?[0-9](?<![0-9].)[0-9]{2,4}\)?[\s-][0-9]{2,3}-[0-9]{2}-[0-9]{2}(?![0-9-]))",
        rf"(?P<keyed>(?=[aAcCiIpPsStTпПтТ][uUpPoObBaAwWeEiIаАоО])(?:{_KEYED})\\?[\"']?\s{{0,3}}[:=]\s{{0,3}}){_VALUE}",
        rf"(?P<scheme>(?:{_any_case('bearer', 'basic')})\s{{1,3}})[\w.~+/=:-]{{6,}}",
    )
)
_COMMON = rf"(?=[0-9+%\\(a-fA-FiIpPsStTпПтТ])(?:{_COMMON})"  # most letters begin nothing: one look is enough
_WITH_AT = (
    r"(?P<url>://[^\s/@:\"']*:)[^\s/\"'<>]*(?=@)"
    r"|(?P<mail>(?:(?<![\w.+-])|(?<=%[0-9A-Fa-f]{2}))(?:[\w.+-]{1,64}|(?<!\*\*\*)))"
    r"(?=(?:@|%40)[\w.-]{1,253}\.[^\W\d_]{2})"
)
_SHORT = 8  # a shorter secret is masked only where it stands as a word: it may be a part of any other
_STARS = "***"


_COMMON_PATTERN = re.compile(_COMMON)
_WHOLE_PATTERN = re.compile(f"{_WITH_AT}|{_COMMON}")  # for text with "@", which is seldom


class _Masker:
    """Masks known secrets first, in a pass of their own: no other alternative may bite off a part of one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.secrets = frozenset(secrets)
        forms = sorted({form for secret in self.secrets for form in _forms(secret)}, key=len, reverse=True)
        known = [re.escape(form) if len(form) >= _SHORT else rf"(?<!\w){re.escape(form)}(?!\w)" for form in forms]
        self.known = re.compile("|".join(known)) if known else None

    def mask(self, text: str) -> str:
        if self.known:
            text = self.known.sub(_STARS, text)
        pattern = _WHOLE_PATTERN if "@" in text or "%40" in text else _COMMON_PATTERN
        return pattern.sub(_masked, text)


def _forms(secret: str) -> set[str]:
    """The ways in which a secret may be written down; nothing for one too short to be told from ordinary text."""
    if len(secret) < 4:
        return set()
    return {secret, quote(secret, safe=""), quote(secret), repr(secret)[1:-1], json.dumps(secret)[1:-1]}


def _masked(found: re.Match[str]) -> str:
    kind, text = found.lastgroup, found[0]
    if kind == "keep":
        return text
    if kind in ("keyed", "scheme", "url"):
        return f"{found[kind]}{_STARS}"
    return _STARS if kind == "mail" else f"{text[:2]}{_STARS}{text[-2:]}"


_lock = threading.Lock()
_masker = _Masker()


def register_secrets(secrets: Iterable[str]) -> None:
    """Values that no line may show from now on, whatever stands around them (`settings.known_secrets`)."""
    global _masker  # swapped whole, so that readers need no lock
    with _lock:
        if not _masker.secrets.issuperset(more := frozenset(secrets)):
            _masker = _Masker(_masker.secrets | more)


def mask(text: str) -> str:
    """The text with personal data and credentials masked."""
    return _masker.mask(text)


_SECRET_KEY = re.compile(rf".*(?:{_KEYED})", re.DOTALL)
_DEPTH = 6  # of nested values; deeper ones become text


def _clean(value: object, depth: int = 0) -> Any:
    """A value of `extra` as JSON can hold it, masked; what stands under a key that names a secret is not shown."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if mask(str(value)) == str(value) else mask(str(value))
    if isinstance(value, bytes):
        return mask(value.decode("utf-8", "replace"))
    if depth < _DEPTH:
        if isinstance(value, Mapping):
            pairs = ((str(key), inner) for key, inner in value.items())
            return {mask(key): _under(key, inner, depth + 1) for key, inner in pairs}
        if isinstance(value, list | tuple | set | frozenset):
            return [_clean(inner, depth + 1) for inner in value]
    return mask(str(value))


def _under(key: str, value: object, depth: int = 0) -> Any:
    return _STARS if value and _SECRET_KEY.fullmatch(key) else _clean(value, depth)


class Masking(logging.Filter):
    """Masks a record in place, once: message, exception, stack and everything given by `extra`. Never raises."""

    def filter(self, record: logging.LogRecord) -> bool:
        fields = record.__dict__
        if "_masked" in fields:
            return True
        fields["_masked"] = True
        try:
            text = record.getMessage()
        except Exception:  # wrong arguments are the caller's bug; the line still goes out
            text = f"{record.msg!s} {record.args!r}"
        try:
            record.msg, record.args = mask(text), None
            if record.exc_info and not record.exc_text:
                record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            record.exc_info = None  # a handler would format it anew
            record.exc_text = mask(record.exc_text) if record.exc_text else None
            record.stack_info = mask(record.stack_info) if record.stack_info else None
            for name in [name for name in fields if name not in _OWN]:
                fields[name] = _under(name, fields[name])
        except Exception as error:
            for name in [name for name in fields if name not in _OWN]:
                del fields[name]
            record.msg, record.args = f"a record could not be masked and is left out ({type(error).__name__})", None
            record.exc_info = record.exc_text = record.stack_info = None
        fields.setdefault("trace", _trace.get())
        return True


_OWN = frozenset(RESERVED_ATTRS) | {"_masked", "taskName"}


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _OWN and name != "trace"}


# -- lines ------------------------------------------------------------------------------------------------------------


class _Json(JsonFormatter):
    """`time` (UTC), `level`, `logger`, `message`, `trace`, what `extra` gave, `error` and `stack`."""

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        log_data["time"] = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        log_data.update(level=record.levelname, logger=record.name, message=record.message)
        if trace := record.__dict__.get("trace"):
            log_data["trace"] = trace
        log_data.update((name, value) for name, value in _extras(record).items() if name not in log_data)
        log_data.update((to, message_dict[name]) for name, to in _DETAILS if message_dict.get(name))


_DETAILS = (("exc_info", "error"), ("stack_info", "stack"))
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029)} | {10: "\\n", 9: " "}


class _Text(logging.Formatter):
    """Local time, level, logger, message, `extra` as key=value, trace; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
        parts = [f"{when} {record.levelname:<7} {record.name}: {record.getMessage()}"]
        parts += [f"{name}={value}" for name, value in _extras(record).items()]
        if trace := record.__dict__.get("trace"):
            parts.append(f"[{trace}]")
        line = "  ".join(parts).translate(_CONTROL)  # nobody's text begins a line of its own
        return "\n".join(text for text in (line, record.exc_text, record.stack_info) if text)


class _Lines(logging.StreamHandler[TextIO]):
    """Writes to what standard error is now: standard output belongs to the commands."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class LogSettings(Protocol):
    """[log] of the settings."""

    @property
    def level(self) -> str: ...

    @property
    def format(self) -> str: ...


_MASKING = Masking()
_TALKATIVE = (
    *("alembic", "amqp", "asyncio", "kombu", "urllib3"),
    *("celery.app.trace", "celery.utils.functional", "celery.worker.strategy"),  # our own lines tell it better
)


def configure(settings: LogSettings) -> None:
    """Send every record through one masked handler on the root logger. May be called again, with other settings too.

    Handlers that others installed before get the mask as well.
    """
    root = logging.getLogger()
    with _lock:
        ours = next((one for one in root.handlers if isinstance(one, _Lines)), None)
        if ours is None:
            ours = _Lines()
            root.handlers.insert(0, ours)
        ours.setFormatter(_Json(json_ensure_ascii=False) if settings.format == "json" else _Text())
    root.setLevel(settings.level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    loggers = [one for one in logging.Logger.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    for handler in [one for logger in (root, *loggers) for one in logger.handlers]:
        if _MASKING not in handler.filters:
            handler.addFilter(_MASKING)
    logging.captureWarnings(True)
