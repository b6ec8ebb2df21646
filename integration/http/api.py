"""The API of events: read the inbox, bring back what was parked."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, datetime
from typing import cast

from flask import Response, request

from integration.http.answers import Problem, answer
from integration.http.parts import Parts
from integration.http.routes import Answer, Param, Route
from integration.store import journal
from integration.store.filters import Filters
from integration.work import State

STATES = ("due", "running", "done", "parked")
KINDS = ("exhausted", "unknown", "rejected", "misconfigured", "conflict", "poison", "bug")
_MOST, _USUAL = 500, 50
_EVENT_ID = re.compile(r"[0-9a-f]{32}")
_WORD = re.compile(r"[\w.:-]{1,128}")

_FILTERS = (
    Param("source", "Откуда пришло: имя таблицы CRM или магазина"),
    Param("state", "Состояние", {"type": "string", "enum": list(STATES)}),
    Param("entity", "Что за запись: Opportunity, Account…"),
    Param("record", "Идентификатор записи в CRM"),
    Param("kind", "Почему отложено", {"type": "string", "enum": list(KINDS)}),
    Param("since", "Пришло не раньше (ISO 8601)", {"type": "string", "format": "date-time"}),
    Param("until", "Пришло раньше (ISO 8601)", {"type": "string", "format": "date-time"}),
    Param("limit", "Сколько показать", {"type": "integer", "minimum": 1, "maximum": _MOST, "default": _USUAL}),
    Param("before", "Продолжить список: next из прошлого ответа"),
)


class Api:
    """/api/events…"""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> tuple[Route, ...]:
        refused = (400, 401, 403, 404, 503)
        return (
            Route(
                "GET", "/api/events", self.events, "События", "События", "read", _FILTERS,
                answers={200: Answer("Страница списка, сначала новые", "Events")}, problems=(400, 401, 403, 503),
            ),
            Route(
                "GET", "/api/events/{id}", self.event, "Одно событие и его работы", "События", "read",
                answers={200: Answer("Событие", "EventDetail")}, problems=refused[1:],
            ),
            Route(
                "POST", "/api/events/{id}/replay", self.replay, "Повторить событие", "События", "operate",
                answers={200: Answer("Сколько работ вызвано снова; ноль — всё уже сделано", "Replayed")},
                problems=refused[1:],
            ),
        )  # fmt: skip

    def events(self) -> Response:
        limit = _limit(request.args.get("limit", str(_USUAL)))
        before = _id("before") or None
        filters = _filters()
        with self._parts.store.reading() as conn:
            found = journal.events(conn, limit=limit + 1, before=before, **filters)
        return answer({"events": found[:limit], "next": found[limit - 1].id if len(found) > limit else None})

    def event(self, id: str) -> Response:  # noqa: A002 – the path's own word
        whole = self._known(id)
        shown = {one.name: getattr(whole.view, one.name) for one in fields(whole.view)}
        shown |= {"work": list(whole.duties), "body": whole.body, "webhook_id": whole.webhook_id}
        return answer(shown)

    def replay(self, id: str) -> Response:  # noqa: A002
        self._known(id)
        return answer({"replayed": journal.replay(self._parts.store, id)})

    def _known(self, event_id: str) -> journal.EventDetail:
        found = None
        if _EVENT_ID.fullmatch(event_id):
            with self._parts.store.reading() as conn:
                found = journal.event(conn, event_id)
        if found is None:
            raise Problem(404, "Такого события нет.")
        return found


def _filters() -> Filters:
    filters: Filters = {
        "source": _word("source"),
        "entity": _word("entity"),
        "record_id": _word("record"),
        "kind": _one_of("kind", KINDS),
        "since": _moment("since"),
        "until": _moment("until"),
    }
    state = _one_of("state", STATES)
    if state is not None:
        filters["state"] = cast(State, state)
    return filters


def _word(name: str) -> str | None:
    value = request.args.get(name) or None
    if value and not _WORD.fullmatch(value):
        raise Problem(400, f"{name}: недопустимое значение.")
    return value


def _one_of(name: str, allowed: tuple[str, ...]) -> str | None:
    value = request.args.get(name) or None
    if value and value not in allowed:
        raise Problem(400, f"{name} — одно из: {', '.join(allowed)}.")
    return value


def _id(name: str) -> str:
    value = request.args.get(name, "")
    if value and not _EVENT_ID.fullmatch(value):
        raise Problem(400, f"{name} — идентификатор события.")
    return value


def _limit(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= _MOST:
        raise Problem(400, f"limit — целое число от 1 до {_MOST}.")
    return int(text)


def _moment(name: str) -> datetime | None:
    """An ISO time; without a zone it is taken for UTC, as the answers give it."""
    value = request.args.get(name, "")
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(value.replace(" ", "+"))  # an unescaped + of the zone arrives as a space
    except ValueError:
        raise Problem(400, f"{name} — время в ISO 8601: 2026-11-24T10:00:00Z.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
