"""How EspoCRM is spoken to: calls, their answers, and every refusal turned into a `Fault` (ESPOCRM.md §1, §3.3).

The table of refusals branches on status and X-Status-Reason, never on the body (contract §3.3).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mappers.dialect import Call, Fault, Kind, Reply, Talk
from mappers.wire import dump_json

BASE = "api/v1/"
PAGE = 200  # recordListMaxSizeLimit; more is answered with 403 (contract §3.2)

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_FIELD_REFUSAL = re.compile(r"Field validation failure; entityType: (\w+), field: (\w+), type: (\w+)")
_GATEWAY = frozenset({408, 502, 504, 520, 521, 522, 523, 524})
_LOCKOUT_SECONDS = 60.0  # authFailedAttemptsPeriod: an address that failed ten times is let in again after it

# What EspoCRM's validators are called → what is wrong, for a person.
_WRONG = {
    "required": "значение обязательно",
    "maxLength": "значение слишком длинное",
    "valid": "такое значение не допускается",
    "validOptions": "такого варианта нет в списке поля",
    "max": "значение слишком велико",
    "min": "значение слишком мало",
    "emailAddress": "это не адрес почты",
    "notInternal": "внутренний адрес не разрешён",
}


@dataclass(frozen=True, slots=True)
class Api:
    """Makes the calls; with `secret` each is signed (HMAC), else the transport adds the key itself."""

    key: str
    secret: str = ""

    def get(self, step: str, path: str, *query: tuple[str, str], headers: Mapping[str, str] | None = None) -> Call:
        return self._call(step, "GET", path, query=query, headers=headers, repeatable=True)

    def put(self, step: str, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Call:
        """A PUT sets the same values again when repeated, so a lost answer does no harm."""
        return self._call(step, "PUT", path, body=body, headers=headers, repeatable=True)

    def post(self, step: str, path: str, body: Any) -> Call:
        return self._call(step, "POST", path, body=body)

    def _call(
        self,
        step: str,
        method: str,
        path: str,
        *,
        query: tuple[tuple[str, str], ...] = (),
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
    ) -> Call:
        sent = dict(headers or {})
        if self.secret:
            # Signed: method and path without api/v1/ and without the query string (Logins/Hmac.php).
            digest = hmac.new(self.secret.encode(), f"{method} /{path}".encode(), hashlib.sha256).hexdigest()
            sent["X-Hmac-Authorization"] = base64.b64encode(f"{self.key}:{digest}".encode()).decode()
        return Call(step, method, BASE + path, query, body, sent, repeatable)


def search(**params: Any) -> tuple[str, str]:
    """The `searchParams` of a list, as JSON text (contract §3.2)."""
    return "searchParams", dump_json(params).decode()


def safe_id(value: str, what: str) -> str:
    """An id that can stand in a path. Raises Fault rejected: a foreign id must not lead to another path."""
    if not _ID.fullmatch(value):
        raise Fault("rejected", f"{what}: «{value[:40]}» — не идентификатор записи EspoCRM")
    return value


def usable_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def ask(call: Call) -> Talk[Any]:
    """The answer's JSON. Raises Fault for every refusal and for an answer that is no JSON."""
    return answer(call, (yield call))


def ask_metadata(api: Api, step: str, key: str) -> Talk[Any]:
    """The branch of the metadata that `key` names, None where there is none.

    EspoCRM says «nothing» by 200 with an empty body: ControllerActionProcessor writes no null.
    """
    call = api.get(step, "Metadata", ("key", key))
    reply = yield call
    if reply.status == 200 and not reply.body.strip():
        return None
    return answer(call, reply)


def ask_record(call: Call) -> Talk[dict[str, Any] | None]:
    """A record's attributes; None when EspoCRM says that it doesn't exist (any more)."""
    reply = yield call
    if record_gone(reply):
        return None
    record = as_object(call, answer(call, reply))
    return None if record.get("deleted") is True else record


def ask_list(call: Call) -> Talk[tuple[list[dict[str, Any]], int]]:
    """The rows of a list and its total (X-No-Total: -1 more, -2 no more)."""
    body = as_object(call, (yield from ask(call)))
    rows, total = body.get("list"), body.get("total")
    if not isinstance(rows, list):
        raise _nonsense(call, "в ответе нет списка записей")
    return [row for row in rows if isinstance(row, dict)], total if isinstance(total, int) else -2


def answer(call: Call, reply: Reply) -> Any:
    """The JSON of a good reply. Raises Fault otherwise."""
    if not 200 <= reply.status < 300:
        raise refusal(call, reply)
    try:
        return reply.json()
    except ValueError:
        told = "пустой ответ" if not reply.body.strip() else "ответ — не JSON, а, похоже, страница посредника"
        raise _nonsense(call, told, reply.text[:300]) from None


def as_object(call: Call, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _nonsense(call, "ответ не похож на запись")
    return value


def status_reason(reply: Reply) -> str | None:
    """X-Status-Reason, None when absent. It may hold raw UTF-8, which arrives decoded as latin-1: mended here."""
    value = reply.headers.get("x-status-reason")
    if value is None:
        return None
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def record_gone(reply: Reply) -> bool:
    """404 about the record itself: not about an unknown entity or link, and not a proxy's own 404."""
    reason = status_reason(reply)
    return reply.status == 404 and reason is not None and not _misses_shape(reason)


def forbidden_here(reply: Reply) -> bool:
    """403 about this call alone; the lockout of our address has no X-Status-Reason (trap 12)."""
    return reply.status == 403 and status_reason(reply) is not None


def refused_field(reply: Reply) -> tuple[str, str] | None:
    """The field and the validator's name of a 400 validationFailure; EspoCRM names the first failing field only."""
    if reply.status != 400:
        return None
    try:
        told = reply.json()["messageTranslation"]
        if told["label"] == "validationFailure":
            return str(told["data"]["field"]), str(told["data"]["type"])
    except (ValueError, LookupError, TypeError):
        pass
    found = _FIELD_REFUSAL.search(status_reason(reply) or "")
    return (found[2], found[3]) if found else None


def wrong(field: str, validator: str) -> str:
    """What is wrong with a field, and the mend, in Russian."""
    if validator == "validCurrency":
        return (
            f"поле {field}: валюта суммы не включена в EspoCRM; добавьте её: "
            "Администрирование → Валюта → Список валют (для рублей — RUB)"
        )
    return f"поле {field}: {_WRONG.get(validator, 'значение не принято')} ({validator})"


def refusal(call: Call, reply: Reply) -> Fault:
    """The Fault that a reply with a bad status means: one row per row of contract §3.3 and of its traps."""
    reason = status_reason(reply)
    detail = " ".join(part for part in (f"HTTP {reply.status}", reason or "", reply.text[:300].strip()) if part)

    def fault(kind: Kind, told: str, **more: Any) -> Fault:
        return Fault(kind, f"EspoCRM, {call.step}: {told}", detail=detail, **more)

    lost: Kind = "transient" if call.repeatable else "ambiguous"
    again = reply.retry_after
    match reply.status:
        case 400:
            refused = refused_field(reply)
            if refused:
                data = {"field": refused[0], "type": refused[1]}
                return fault("rejected", wrong(*refused), data=data)
            return fault("rejected", f"запрос не принят: {reason or 'причина не названа'}")
        case 401:
            return fault("misconfigured", "ключ API не принят; проверьте api_key и что пользователь активен", hold=True)
        case 403:
            return _forbidden(fault, reply, reason)
        case 404 if reason is None:
            return fault("misconfigured", "по этому адресу нет EspoCRM; проверьте base_url", hold=True)
        case 404 if reason is not None and _misses_shape(reason):
            return fault("misconfigured", f"в этой EspoCRM нет того, что настроено: {reason}; проверьте crm1c.toml")
        case 404:
            return fault("rejected", f"запись не найдена, возможно, удалена: {reason}")
        case 409 if reason == "modified":
            return fault("conflict", "запись только что изменил кто-то другой", data=_body(reply))
        case 409 if reason == "duplicate":
            return fault("rejected", "такая запись уже есть; выберите её или объедините дубли", data=_body(reply))
        case 409:
            return fault("conflict", f"изменения не сочетаются: {reason or 'причина не названа'}", data=_body(reply))
        case 413:
            return fault("rejected", "запрос больше, чем принимает сервер; увеличьте client_max_body_size")
        case 429:
            return fault("transient", "слишком много запросов, EspoCRM просит подождать", retry_after=again)
        case 500 if reason == "sendingFail":
            return fault("rejected", "письмо не отправлено; проверьте почту в EspoCRM", data=_body(reply))
        case 503:
            return fault("transient", "временно не работает (обслуживание)", retry_after=again)
        case status if status in _GATEWAY:
            return fault(lost, f"посредник перед EspoCRM не дождался ответа ({status})", retry_after=again)
        case status if status >= 500:
            return fault(lost, "внутренняя ошибка; подробности в журнале EspoCRM, data/logs", retry_after=again)
        case status if 300 <= status < 400:
            where = reply.headers.get("location", "другой адрес")
            return fault("misconfigured", f"перенаправляет на {where}; исправьте base_url", hold=True)
        case status:
            return fault("rejected", f"неожиданный ответ {status} {reason or ''}".rstrip())


def _forbidden(fault: Any, reply: Reply, reason: str | None) -> Fault:
    refused: Fault
    if reason is None and not reply.body.strip():
        # More than ten bad logins from our address within a minute shut out the good key too (trap 12).
        told = (
            "наш адрес временно заблокирован после неудачных входов; найдите, кто с этого адреса входит "
            "с неверным ключом, через минуту доступ вернётся"
        )
        refused = fault("misconfigured", told, hold=True, retry_after=_LOCKOUT_SECONDS)
    elif reason is None:
        refused = fault("misconfigured", "запрос не пропустил посредник перед EspoCRM (403)")
    elif reason.startswith("Can't relate with non-existing"):
        refused = fault("rejected", f"запись ссылается на удалённую: {reason}")
    else:
        told = f"не хватает прав ({reason or 'нужен администратор'}); дополните роль API-пользователя"
        refused = fault("misconfigured", told)
    return refused


def _misses_shape(reason: str) -> bool:
    return reason.startswith(("Controller ", "Link ", "Action ", "Route ")) or "ntity type" in reason


def _nonsense(call: Call, told: str, detail: str = "") -> Fault:
    """A good status with an answer that isn't EspoCRM's: whether a write was carried out, nobody knows."""
    kind: Kind = "transient" if call.repeatable else "ambiguous"
    return Fault(kind, f"EspoCRM, {call.step}: {told}; проверьте base_url и посредника перед CRM", detail=detail)


def _body(reply: Reply) -> Any:
    try:
        return reply.json()
    except ValueError:
        return None
