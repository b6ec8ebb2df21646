"""The API of KPI: a period's leaderboard, one manager's figures with the way of each rouble, and the live feed."""

from __future__ import annotations

from functools import partial

from flask import Response, g, request

from integration.flows.figures import leaderboard, of_manager, whom
from integration.http.answers import Problem, answer, later
from integration.http.handover import TAKE, can_hand_over
from integration.http.routes import Answer, Param, Route
from integration.http.stream import Stream, place_of
from integration.rules.kpi import Period
from integration.services import Services

_KPI = "Показатели"
_PERIOD = "Период: день 2026-11-24, месяц 2026-11 или квартал 2026-Q4."


class KpiRoutes:
    """/api/kpi/… over this process's services and its stream."""

    def __init__(self, services: Services, stream: Stream) -> None:
        self._services, self._stream = services, stream

    def routes(self) -> tuple[Route, ...]:
        refused = (400, 401, 403, 503)
        return (
            Route(
                "GET", "/api/kpi/stream", self.stream, "Начисления бонусов по мере появления", _KPI, "kpi",
                (Param("manager", "Только начисления этого менеджера: id или имя для входа"),),
                answers={200: Answer("События SSE: bonus; id — место в ленте", mimetype="text/event-stream")},
                problems=(401, 403, 503), own=True,
                text="С заголовком Last-Event-ID придёт и пропущенное. Ключ kpi:МЕНЕДЖЕР видит только своё.",
            ),
            Route(
                "GET", "/api/kpi/{period}", self.period, "Рейтинг менеджеров за период", _KPI, "read",
                answers={200: Answer("Лучшие по бонусу первыми", "Leaderboard")}, problems=refused, text=_PERIOD,
            ),
            Route(
                "GET", "/api/kpi/{period}/{manager}", self.manager, "Показатели менеджера и путь каждого рубля бонуса",
                _KPI, "kpi", answers={200: Answer("Показатели; accruals — как получен бонус", "ManagerKpi")},
                problems=refused, text=f"{_PERIOD} Менеджер — id в CRM или имя для входа.",
            ),
        )  # fmt: skip

    def period(self, period: str) -> Response:
        return answer(leaderboard(self._services, _period(period)))

    def manager(self, period: str, manager: str) -> Response:
        return answer(of_manager(self._services, manager, _period(period)))

    def stream(self) -> Response:
        manager = self._whom(g.manager or request.args.get("manager", ""))
        after = request.headers.get("Last-Event-ID", "")
        if place_of(after) is None:  # from now on; what comes while we talk is not lost
            after = self._stream.last()
        headers = {"X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return Response(status=200, headers=headers, mimetype="text/event-stream")
        if self._stream.full:
            raise later("Ленту слушают слишком многие. Повторите позже.", 30)
        if can_hand_over(request.environ):
            request.environ[TAKE] = partial(self._stream.take, manager=manager, after=after)
            return Response(status=200, headers=headers, mimetype="text/event-stream")
        entries = self._stream.served(manager, after)
        if entries is None:
            raise later("Этот сервер отдаёт ленту лишь немногим сразу: нужен crm1c web (gunicorn).", 30)
        return Response(entries, headers=headers, mimetype="text/event-stream")

    def _whom(self, name: str) -> str:
        """The manager's id; "" for everybody."""
        if not name:
            return ""
        with self._services.store.unit("look for a manager") as unit:
            return whom(unit.holders.everybody(), name)


def _period(name: str) -> Period:
    try:
        return Period.read(name)
    except ValueError:
        raise Problem(400, f"{name[:40]}: нужен день 2026-11-24, месяц 2026-11 или квартал 2026-Q4.") from None
