"""What 1C's refusals mean (contract ONEC-ODATA, section 5): one table from status, code and text to a Fault.

1C's own words go to `Fault.detail`, which logs mask. They stand in `reason` only where a business rule speaks
(500, code -1), and never when they repeat something of the query.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from mappers.dialect import Call, Fault, Kind, Reply
from mappers.onec.words import is_html, page_text, title_of, words

LICENCE_PAUSE = 60.0  # seconds: a session frees its licence when it ends, not at once
_SHOWN = 300  # characters of 1C's sentence that a person is shown
_KEPT = 2000

_LOCKED = (
    "конфликт блокировок",
    "превышено максимальное время ожидания",
    "взаимоблокировк",
    "deadlock",
    "lock conflict",
    "lock request time",
    "lock timeout",
    "не удалось заблокировать",
    "ошибка блокировки данных",
    "были изменены или удалены",  # another user's write came between: rolled back, safe to repeat
)
_LICENCE = ("лицензи", "license", "licence")
_CLOSED = ("начало сеанса", "монопольн", "session start is not allowed", "exclusive")
_DEAD_SESSION = ("сеанс отсутствует", "сеанс не найден", "session not found", "session is missing", "ibsession")
_INTERNAL = ("linenumber", "внутренняя ошибка odata", "internal error", "internal odata")
_LITERAL = re.compile(r"'([^']{3,})'")

# code → (kind, sentence): what is not here is a value that 1C would not take.
_CODES: dict[str, tuple[Kind, str]] = {
    "0": ("misconfigured", "1С не поддерживает параметр запроса: платформа старше нужной (8.3.9)"),
    "6": ("misconfigured", "1С не знает поля или метода, которого ждёт обмен: конфигурация другая или обновилась"),
    "8": (
        "misconfigured",
        "объект {set} не опубликован в OData: добавьте в состав (УстановитьСоставСтандартногоИнтерфейсаOData)",
    ),
    "9": ("rejected", "в 1С нет объекта по этой ссылке ({set}): его удалили или ссылка чужая"),
    "10": ("misconfigured", "в 1С нет свойства, которого ждёт обмен ({set}): запустите crm1c doctor"),
    "11": ("misconfigured", "в 1С нет метода, которого ждёт обмен ({set}): запустите crm1c doctor"),
    "15": ("conflict", "такая запись в 1С уже существует ({set}): обновите связь, затем повторите событие"),
    "17": ("misconfigured", "объект {set} не поддерживает режим загрузки данных"),
    "19": ("misconfigured", "публикация 1С запрещает этот метод HTTP ({set}): разрешите PATCH и POST на веб-сервере"),
    "20": (
        "misconfigured",
        "у пользователя 1С нет прав на {set}: добавьте роль на чтение и запись (или строки скрыты ограничением RLS)",
    ),
}
_UNFIT: tuple[Kind, str] = (
    "rejected",
    "1С не приняла запрос (код {code}): значение или формат ей не подходит; подробности в журнале",
)
_GONE = "по этому адресу нет OData 1С: проверьте base_url и публикацию"
_MOVED = "1С перенаправляет на другой адрес: укажите в base_url конечный"
_CHANGED = "объект в 1С изменился, пока мы его меняли: решите, какое значение верно"
_LATER = "1С сейчас не принимает запросы: повторим сами"
# HTTP status without an OData code → (kind, sentence, hold): the web server speaks, not 1C.
_STATUSES: dict[int, tuple[Kind, str, bool]] = {
    **dict.fromkeys((301, 302, 303, 307, 308), ("misconfigured", _MOVED, True)),
    **dict.fromkeys((404, 410), ("misconfigured", _GONE, True)),
    **dict.fromkeys((405, 501), ("misconfigured", _CODES["19"][1], False)),
    **dict.fromkeys((409, 412), ("conflict", _CHANGED, False)),
    **dict.fromkeys((402, 408, 429, 503), ("transient", _LATER, False)),
    403: ("misconfigured", "веб-сервер запрещает доступ к OData: проверьте права и публикацию", True),
    413: ("rejected", "запрос больше, чем принимает веб-сервер 1С", False),
}


def answer(call: Call, reply: Reply, *, absent_ok: bool = False) -> Any:
    """The JSON of a reply. With `absent_ok`, None for "no such object". Raises Fault for everything else."""
    if not 200 <= reply.status < 300:
        if absent_ok and reply.status == 404 and words(reply)[0] == "9":
            return None
        raise refused(call, reply)
    checked(call, reply)
    try:
        value = reply.json()
    except ValueError as error:
        raise garbled(call, reply) from error
    if isinstance(value, dict) and ("odata.error" in value or "exception" in value):
        raise refused(call, Reply(500, reply.headers, reply.body))
    return value


def checked(call: Call, reply: Reply) -> None:
    """Raise Fault unless the reply is a success that came from 1C and not from a page put before it (section 1)."""
    if not 200 <= reply.status < 300:
        raise refused(call, reply)
    if is_html(reply):
        said, shown = page_text(reply.text), title_of(reply)
        raise Fault(
            "transient" if call.method == "GET" else "ambiguous",
            "1С ответила страницей HTML вместо данных: "
            f"{'без слов' if not shown or _repeats_query(call, shown) else shown[:_SHOWN]}. "
            "Обычно это страница входа или ошибки перед 1С; если повторяется, проверьте адрес публикации",
            detail=f"{call.step}: HTTP {reply.status}: {said[:_KEPT]}",
        )


def garbled(call: Call, reply: Reply) -> Fault:
    """A success whose body is not what was asked for (cut off, Atom, another object)."""
    return Fault(
        "transient" if call.method == "GET" else "ambiguous",
        "1С ответила неразборчиво: тело ответа не те данные, что запрошены",
        detail=f"{call.step}: HTTP {reply.status}, {len(reply.body)} bytes: {reply.text[:200]}",
    )


def refused(call: Call, reply: Reply) -> Fault:
    """The Fault that a refusal means."""
    code, said = words(reply)
    shown = said[:_SHOWN] if said and not _repeats_query(call, said) else ""
    ruling = _ruling(call, reply.status, code, said.casefold(), shown)
    return Fault(
        ruling.kind,
        ruling.reason,
        detail=f"{call.step}: HTTP {reply.status}, code {code or '–'}: {said[:_KEPT]}",
        hold=ruling.hold,
        retry_after=reply.retry_after or ruling.wait,
    )


class _Ruling(NamedTuple):
    kind: Kind
    reason: str
    hold: bool = False
    wait: float | None = None


def _ruling(call: Call, status: int, code: str, low: str, shown: str) -> _Ruling:
    if code != "20" and status in (402, 403, 500, 503) and _has(low, _LICENCE):
        return _Ruling("transient", "в 1С нет свободной лицензии: повторим позже", wait=LICENCE_PAUSE)
    if status in (400, 500) and _has(low, _DEAD_SESSION):
        return _Ruling("transient", "сеанс 1С прерван: повторим сами")
    if status == 401 and code != "20":
        return _Ruling(
            "misconfigured", "1С не принимает ни логина, ни пароля этой базы; проверьте username и password", hold=True
        )
    if status == 500 or code == "-1":
        return _failed(call, code, low, shown)
    if code and status < 500:
        kind, sentence = _CODES.get(code, _UNFIT)
        return _Ruling(kind, sentence.format(set=set_of(call), code=code))
    return _by_status(call, status, shown)


def _failed(call: Call, code: str, low: str, shown: str) -> _Ruling:
    """500 or code -1: a lock, a closed base, a business rule's sentence, or a server that broke off."""
    if _has(low, _LOCKED):
        return _Ruling("transient", "данные 1С заняты другой операцией (конфликт блокировок): повторим сами")
    if _has(low, _CLOSED):
        return _Ruling("transient", "база 1С закрыта для работы (обслуживание, монопольный режим): повторим сами")
    if _has(low, _INTERNAL):
        return _Ruling(
            "rejected",
            "внутренняя ошибка OData в 1С: обычно строка без LineNumber или значение не того типа; "
            "причина записана в технологическом журнале 1С",
        )
    if code:
        return _Ruling("rejected", f"1С отказала: {shown}" if shown else "1С отказала; её слова в подробностях")
    # No word of 1C: the web server lost it on the way, perhaps after the write.
    return _Ruling(_doubt(call), "веб-сервер 1С ответил ошибкой 500 без объяснения")


def _by_status(call: Call, status: int, shown: str) -> _Ruling:
    if status in _STATUSES:
        kind, sentence, hold = _STATUSES[status]
        return _Ruling(kind, sentence.format(set=set_of(call)), hold)
    if status >= 500:
        return _Ruling(_doubt(call), f"веб-сервер перед 1С ответил ошибкой {status}")
    return _Ruling("rejected", f"1С не приняла запрос (HTTP {status})" + (f": {shown}" if shown else ""))


def session_died(call: Call, reply: Reply) -> bool:
    """Whether a call made with a session cookie failed because the session is gone, and surely was not carried out.

    1C tells it by 400 or 500 without an OData error (section 6). A 500 may also be a web server that lost 1C halfway:
    then only a repeatable call, or a text that names the session, is sure.
    """
    if reply.status not in (400, 500):
        return False
    code, said = words(reply)
    low = said.casefold()
    if _has(low, _DEAD_SESSION):
        return True
    if (code and not is_html(reply)) or _has(low, _LICENCE) or _has(low, _LOCKED) or _has(low, _CLOSED):
        return False
    return reply.status == 400 or call.repeatable


def set_of(call: Call) -> str:
    """The set that a call is about."""
    return call.path.partition("(")[0].partition("/")[0] or "OData"


def _repeats_query(call: Call, said: str) -> bool:
    """Errors echo input (probe P7); a person's screen and the CRM are no place for a raw query."""
    values = [value for name, value in call.query if name not in ("$format", "PostingModeOperational")]
    pieces = [piece for value in values for piece in (value, *_LITERAL.findall(value))]
    return any(len(piece) > 2 and piece in said for piece in pieces)


def _doubt(call: Call) -> Kind:
    return "transient" if call.repeatable else "ambiguous"


def _has(low: str, needles: tuple[str, ...]) -> bool:
    return any(needle in low for needle in needles)
