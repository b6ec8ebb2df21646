"""What the web answers: our own JSON (money is a string) and the problem details of RFC 9457, in Russian."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import simplejson
from flask import Response, request

TRACE = "crm1c.trace"  # the request's correlation id, in its WSGI environment

# Title and default detail by status. Only what we answer ourselves stands here.
WORDS: dict[int, tuple[str, str]] = {
    400: ("Неверный запрос", "Запрос не прочитан: проверьте его формат."),
    401: ("Нет доступа", "Нужен действующий ключ: заголовок Authorization: Bearer КЛЮЧ."),
    403: ("Недостаточно прав", "Ключ действует, но его права сюда не распространяются."),
    404: ("Не найдено", "Такого адреса или такой записи нет."),
    405: ("Метод не поддерживается", "По этому адресу такой метод не принимается."),
    408: ("Запрос не дошёл целиком", "Запрос не дошёл целиком. Повторите его."),
    409: ("Противоречие", "Запись изменили с обеих сторон. Решите, какое значение верно."),
    413: ("Слишком большой запрос", "Запрос больше, чем принимает сервер."),
    415: ("Не тот тип содержимого", "Нужен JSON: Content-Type: application/json."),
    422: ("Данные не приняты", "Данные не приняты. Исправьте их и повторите."),
    500: ("Внутренняя ошибка", "Внутренняя ошибка. Она записана в журнал под номером из поля trace."),
    503: ("Временно недоступно", "Сервис временно недоступен. Повторите запрос позже."),
}


class Problem(Exception):
    """A refusal on its way out: status, a Russian sentence with the mend, and members of its own."""

    def __init__(
        self, status: int, detail: str = "", *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.members = status, detail, dict(headers or {}), members

    def response(self) -> Response:
        title, default = WORDS.get(self.status) or (HTTPStatus(self.status).phrase, HTTPStatus(self.status).phrase)
        body = {
            "type": "about:blank",
            "title": title,
            "status": self.status,
            "detail": self.detail or default,
            "trace": request.environ.get(TRACE, ""),
        }
        return answer(body | self.members, self.status, self.headers, "application/problem+json")


def later(detail: str, seconds: int = 10) -> Problem:
    """503 with Retry-After: the sender is right and shall come again."""
    return Problem(503, detail, headers={"Retry-After": str(seconds)})


def answer(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None, mimetype: str = "application/json"
) -> Response:
    """`value` as JSON; a Decimal leaves as a string, a time as ISO 8601."""
    body = simplejson.dumps(value, use_decimal=False, ensure_ascii=False, ignore_nan=True, default=_plain)
    return Response(body.encode("utf-8", "replace"), status, headers, mimetype=mimetype)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
