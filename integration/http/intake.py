"""Intake of webhooks: verified, written down whole, committed, and only then answered with 202.

What a sender makes of the answer decides which ones may be given: EspoCRM drops an event for good on 410, 429, 502 and
504, takes any 3xx for success, and comes again (four times) on 401, 404 and 503. So whatever is our fault is 503.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

from flask import Response, request
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

from integration.errors import Transient
from integration.http.answers import TRACE, Problem, answer, later
from integration.http.hooks import Door
from integration.http.parts import once_more
from integration.http.routes import Answer, Route
from integration.store.store import SqlStore
from integration.work import Arrival
from mappers.dialect import Delivery, Notice

log = logging.getLogger("crm1c.http")

_TAIL = re.compile(r"[0-9A-Za-z_./-]{1,200}")
_ENTITY, _EVENT = 64, 128  # what the inbox keeps of these names


class Intake:
    """POST /webhooks/NAME[/ENTITY/EVENT…]"""

    def __init__(self, doors: Mapping[str, Door], store: SqlStore, max_body: int) -> None:
        self._doors, self._store, self._max = doors, store, max_body

    def routes(self) -> tuple[Route, ...]:
        about = {
            "summary": "Принять вебхук",
            "tag": "Вебхуки",
            "takes": "Webhook",
            "answers": {202: Answer("События записаны", "Accepted")},
            "problems": (400, 401, 404, 413, 503),
            "text": (
                "NAME — имя таблицы [crm.NAME] или [shop.NAME]. Ответ 202 даётся после записи событий в базу. "
                "Подпись — в заголовках отправителя (у EspoCRM — Signature или X-Signature)."
            ),
        }
        return (
            Route("POST", "/webhooks/{name}", self.receive, **about),  # type: ignore[arg-type]
            Route("POST", "/webhooks/{name}/{tail}", self.receive, **about),  # type: ignore[arg-type]
        )

    def receive(self, name: str, tail: str = "") -> Response:
        """The checks in their order, from the cheapest; nothing is stored before the last one has passed."""
        try:
            return self._receive(name, tail)
        except (Problem, HTTPException):
            raise
        except Transient as error:
            log.warning("webhook not taken: the database is out of reach", extra={"source": name})
            raise later("События не записаны: база данных недоступна. Повторите запрос.") from error
        except Exception as error:
            log.exception("webhook not taken: a bug", extra={"source": name})
            raise later("События не записаны из-за внутренней ошибки. Повторите запрос.") from error

    def _receive(self, name: str, tail: str) -> Response:
        door = self._doors.get(name)
        if door is None:
            raise Problem(
                404, _NO_DOOR.get(name, "Отправителя с таким именем нет в настройках: проверьте адрес вебхука.")
            )
        length = request.content_length
        if length is not None and length >= self._max:
            raise self._too_large()
        delivery = Delivery(self._body(), {key.lower(): value for key, value in request.headers}, tail)
        signer = door.signer(delivery)
        if signer is None:
            raise Problem(401, "Подпись не подошла ни к одному секрету этого отправителя.")
        wait = door.full()
        if wait:
            raise later("Слишком много запросов от этого отправителя. Повторите позже.", wait)
        try:
            notices = door.notices(delivery, signer)
        except ValueError as error:
            raise Problem(400, f"Тело запроса не принято: {error}.") from error
        arrivals = [_arrival(name, tail, notice) for notice in notices]
        due, parked = self._commit(arrivals, delivery.raw)
        duplicates = len(arrivals) - len(due) - parked
        return answer({"accepted": len(due), "duplicates": duplicates, "parked": parked}, 202)

    def _body(self) -> bytes:
        request.max_content_length = self._max
        try:
            raw = request.get_data(cache=False)
        except RequestEntityTooLarge as error:
            raise self._too_large() from error
        except ClientDisconnected as error:
            raise Problem(400, "Запрос оборван: тело короче, чем обещано.") from error
        if len(raw) >= self._max:  # it didn't tell its length, and reading stopped at the limit
            raise self._too_large()
        return raw

    def _too_large(self) -> Problem:
        return Problem(413, f"Тело запроса больше, чем принимается: допустимо меньше {self._max} байт.")

    def _commit(self, arrivals: list[Arrival], raw: bytes) -> tuple[list[str], int]:
        sent = request.headers
        kept = {name: value for name in _KEPT if (value := sent.get(name)) is not None}
        trace = request.environ[TRACE]
        return once_more(lambda: self._store.receive(arrivals, raw, kept, trace))


# 1C's bases share one address, which is there as soon as one of them has a secret.
_NO_DOOR = {
    "onec": "Вебхуки 1С не принимаются: в crm1c.toml не задан webhook_secret ни в одной таблице [onec.NAME]. Задайте "
    "его, то же значение укажите в 1С (константа crm1c_Секрет) и перезапустите crm1c."
}

_KEPT = ("Signature", "X-Signature", "Content-Type", "User-Agent", "X-Request-Id")


def _arrival(source: str, tail: str, notice: Notice) -> Arrival:
    fits = len(notice.entity) <= _ENTITY and len(notice.event) <= _EVENT
    return Arrival(
        source=source,
        entity=notice.entity if fits else "",
        event=notice.event if fits else "",
        record_id=notice.record_id,
        body=notice.body,
        event_id=notice.event_id,
        webhook_id=notice.webhook_id,
        tail=tail if _TAIL.fullmatch(tail) else "",
        problem=notice.problem,
    )
