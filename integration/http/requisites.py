"""GET /api/requisites/ИНН: a button waits for it, so it is answered here and now, or honestly not."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from math import ceil

from flask import Response, request

from integration.errors import Busy, Crm1cError, Rejected, Transient
from integration.flows.answer import Answer as Found
from integration.http.answers import Problem, answer, later
from integration.http.parts import Parts
from integration.http.routes import Answer, Param, Route

log = logging.getLogger("crm1c.http")

MAX_WAIT = 60.0
_SECONDS = re.compile(r"\d{1,4}(\.\d{1,3})?")

Ask = Callable[[str, str, str | None, str | None, float], Found]  # ИНН, КПП, whose account, which base, seconds to wait


class RequisitesRoutes:
    """`ask` has the chain carried out: flows.requisites over this process's services."""

    def __init__(self, parts: Parts, ask: Ask) -> None:
        self._parts, self._ask = parts, ask
        # Those who wait for registries may not take every thread: a quarter, at least two, stay for the intake.
        threads = parts.settings.web.threads
        self._seats = threading.BoundedSemaphore(max(1, threads - max(2, threads // 4)))

    def routes(self) -> tuple[Route, ...]:
        params = (
            Param("kpp", "КПП, если нужен определённый филиал (или выбран из choices)"),
            Param("crm", "Чью карточку клиента заполнить: имя таблицы [crm.NAME]; без него — первой"),
            Param("onec", "В какой базе искать и куда записать: имя таблицы [onec.NAME]; без него — во всех"),
            Param(
                "wait",
                f"Сколько секунд ждать свободного сеанса 1С, до {MAX_WAIT:.0f}; без него — 503 сразу.",
                {"type": "number", "minimum": 0, "maximum": MAX_WAIT},
            ),
        )
        return (
            Route(
                "GET",
                "/api/requisites/{inn}",
                self.requisites,
                "Реквизиты по ИНН",
                "Реквизиты",
                "operate",
                params,
                answers={200: Answer("Найдено; choices не пуст — выбирает человек, ничего не записано", "Requisites")},
                problems=(400, 401, 403, 404, 422, 503),
                text=(
                    "1С, затем реестры по порядку из [requisites]. Найденное вне 1С записывается в 1С и в CRM, один "
                    "раз, сколько бы людей ни спросили сразу. Неверный ИНН — 422, и никто не спрошен."
                ),
            ),
        )

    def requisites(self, inn: str) -> Response:
        crm = request.args.get("crm") or None
        if crm is not None and crm not in self._parts.settings.crm:
            raise Problem(404, f"CRM с именем «{crm[:40]}» нет в настройках.")
        onec = request.args.get("onec") or None
        if onec is not None and onec not in self._parts.settings.onec:
            raise Problem(404, f"Базы с именем «{onec[:40]}» нет в настройках.")
        wait = _seconds(request.args.get("wait", "0"))
        if not self._seats.acquire(blocking=False):
            raise later("Слишком многие ждут реквизитов сразу. Повторите через несколько секунд.", 2)
        try:
            found = self._ask(inn, request.args.get("kpp", ""), crm, onec, wait)
        except Rejected as error:
            raise Problem(422, error.reason) from error
        except Busy as error:
            raise later(error.reason, ceil(error.retry_after or 2)) from error
        except Transient as error:
            raise later(error.reason, ceil(error.retry_after or 10)) from error
        except Crm1cError as error:
            raise Problem(503, error.reason, headers={"Retry-After": "60"}, kind=error.kind) from error
        finally:
            self._seats.release()
        skipped = {"X-Skipped-Sources": ", ".join(name for name, _ in found.skipped)} if found.skipped else {}
        if not found.found:
            raise Problem(404, f"ИНН {found.inn} не найден ни в одном источнике.", headers=skipped)
        return answer(found.told(), headers=skipped)


def _seconds(text: str) -> float:
    if not _SECONDS.fullmatch(text) or float(text) > MAX_WAIT:
        raise Problem(400, f"wait — секунды, от 0 до {MAX_WAIT:.0f}.")
    return float(text)
