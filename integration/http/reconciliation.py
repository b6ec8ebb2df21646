"""The API of the reconciliation: the last report, page by page."""

from __future__ import annotations

from flask import Response, request

from integration import report
from integration.http.answers import Problem, answer
from integration.http.parts import Parts
from integration.http.routes import Answer, Param, Route
from integration.store.reconciling import SqlReconciling

_MOST, _USUAL = 500, 100


class Reconciled:
    """/api/reconciliation"""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> tuple[Route, ...]:
        whole = {"type": "integer", "minimum": 0}
        return (
            Route(
                "GET", "/api/reconciliation", self.latest, "Последняя сверка и её находки", "Сверка", "read",
                (
                    Param("limit", "Сколько находок показать", {**whole, "maximum": _MOST, "default": _USUAL}),
                    Param("after", "Продолжить: next из прошлого ответа", whole),
                ),
                answers={200: Answer("Отчёт", "Reconciliation")}, problems=(400, 401, 403, 404, 503),
                text="То же, что crm1c reconcile show --json, по частям. 404 – сверки ещё не было.",
            ),
        )  # fmt: skip

    def latest(self) -> Response:
        limit, after = _number("limit", _USUAL, _MOST), _number("after", 0, 2**62)
        with self._parts.store.reading() as conn:
            store = SqlReconciling(conn, self._parts.now())
            run = store.latest()
            if run is None:
                raise Problem(404, "Сверки ещё не было: она идёт по расписанию или по команде crm1c reconcile.")
            told = report.summary(run, store.tallies(run.id), self._parts.settings.schedule.timezone)
            found = store.findings(run.id, after, limit + 1)
        shown = [report.line(part, one) for _, part, one in found[:limit]]
        more = found[limit - 1][0] if len(found) > limit > 0 else None
        return answer({**told, "findings": shown, "next": more})


def _number(name: str, usual: int, most: int) -> int:
    text = request.args.get(name, str(usual))
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= most):
        raise Problem(400, f"{name}: целое число от 0 до {most}")
    return int(text)
