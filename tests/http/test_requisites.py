"""GET /api/requisites/ИНН: what is answered when, and that nobody waits who need not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from integration.errors import Busy, Misconfigured, Rejected
from integration.flows.answer import Answer
from integration.flows.requisites import Unasked
from integration.http.app import create_app
from integration.http.requisites import RequisitesRoutes
from integration.rules.requisites import Choice, valid_inn
from mappers.canonical import Requisites
from tests.http.world import World, bearer, make

INN = "7800000027"
ROW = Requisites(INN, "egrul", kpp="780001001", ogrn="1027800000022", name="АО «П»", full_name="АО «ПОЛЕСЬЕ»",
                 address="г Санкт-Петербург", status="active")  # fmt: skip
FOUND = Answer(
    INN, ROW, source="egrul", skipped=(("dadata", "не работает"),), asked=("onec", "egrul"),
    said={"kpp": ["egrul", "2026-11-24T12:00:00+00:00"]},
)  # fmt: skip


def client(world: World, ask: Callable[..., Answer]) -> FlaskClient:
    return create_app(world.parts, RequisitesRoutes(world.parts, ask).routes()).test_client()


def get(world: World, ask: Callable[..., Answer], path: str = f"/api/requisites/{INN}") -> Any:
    return client(world, ask).get(path, headers=bearer("operator-token"))


def test_the_answer_has_exactly_the_promised_fields(world: World) -> None:
    answer = get(world, lambda *_: FOUND)
    assert answer.status_code == 200
    assert json.loads(answer.data) == {
        "inn": INN, "kpp": "780001001", "ogrn": "1027800000022", "name": "АО «П»", "full_name": "АО «ПОЛЕСЬЕ»",
        "address": "г Санкт-Петербург", "status": "active", "source": "egrul", "choices": [],
        "said": {"kpp": {"source": "egrul", "at": "2026-11-24T12:00:00+00:00"}},
    }  # fmt: skip
    assert answer.headers["X-Skipped-Sources"] == "dadata"


def test_a_choice_names_what_to_choose_by(world: World) -> None:
    branch = Requisites(INN, "dadata", kpp="540043001", name="Филиал", is_branch=True)
    answer = get(world, lambda *_: Answer(INN, choices=(Choice(branch, "филиал"),), source="dadata"))
    assert answer.status_code == 200
    [choice] = answer.json["choices"]
    assert (choice["kpp"], choice["reason"], choice["is_branch"]) == ("540043001", "филиал", True)
    assert (answer.json["kpp"], answer.json["source"]) == ("", "dadata")


def raising(error: Exception) -> Callable[..., Answer]:
    def ask(*_: Any) -> Answer:
        raise error

    return ask


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (Rejected("ИНН «1»: нужно 10 или 12 цифр."), 422, "нужно 10 или 12"),
        (Unasked("не у кого", retry_after=30), 503, "не у кого"),
        (Busy("Все сеансы 1С заняты.", system="onec:main", retry_after=2), 503, "сеансы"),
        (Misconfigured("нет организации"), 503, "нет организации"),
    ],
)
def test_what_keeps_the_answer_away_is_told(world: World, error: Exception, status: int, told: str) -> None:
    answer = get(world, raising(error))
    assert (answer.status_code, told in answer.json["detail"]) == (status, True)
    assert ("Retry-After" in answer.headers) is (status == 503)


def test_not_found_anywhere(world: World) -> None:
    answer = get(world, lambda *_: Answer(INN, asked=("onec", "egrul")))
    assert answer.status_code == 404
    assert INN in answer.json["detail"]


def test_the_parameters_are_handed_on(world: World) -> None:
    seen: list[Any] = []

    def ask(*given: Any) -> Answer:
        seen.append(given)
        return FOUND

    assert get(world, ask, f"/api/requisites/{INN}?kpp=780001001&crm=espo&onec=main&wait=7.5").status_code == 200
    assert get(world, ask).status_code == 200
    assert seen == [(INN, "780001001", "espo", "main", 7.5), (INN, "", None, None, 0.0)]


@pytest.mark.parametrize(
    ("query", "status"),
    [("?wait=61", 400), ("?wait=soon", 400), ("?wait=-1", 400), ("?crm=nowhere", 404), ("?onec=nowhere", 404)],
)
def test_parameters_that_make_no_sense(world: World, query: str, status: int) -> None:
    assert get(world, raising(AssertionError()), f"/api/requisites/{INN}{query}").status_code == status


def test_it_takes_a_token_that_may_write(world: World) -> None:
    """What is found is saved, so reading alone is not enough."""
    asked = client(world, lambda *_: FOUND)
    assert asked.get(f"/api/requisites/{INN}").status_code == 401
    assert asked.get(f"/api/requisites/{INN}", headers=bearer(world.token("read"))).status_code == 403
    assert asked.get(f"/api/requisites/{INN}", headers=bearer(world.token("operate"))).status_code == 200


def test_those_who_wait_leave_threads_for_the_intake(tmp_path: Any) -> None:
    world = make(tmp_path, threads=4)
    gate, inside = threading.Event(), threading.Semaphore(0)

    def ask(*_: Any) -> Answer:
        inside.release()
        gate.wait(10)
        return FOUND

    app = create_app(world.parts, RequisitesRoutes(world.parts, ask).routes())
    path, headers = f"/api/requisites/{INN}", bearer("operator-token")
    threads = [threading.Thread(target=lambda: app.test_client().get(path, headers=headers)) for _ in range(2)]
    for one in threads:
        one.start()
    for _ in threads:
        inside.acquire()
    third = app.test_client().get(path, headers=headers)
    gate.set()
    for one in threads:
        one.join()
    assert (third.status_code, third.headers["Retry-After"]) == (503, "2")
    world.store.engine.dispose()


def test_an_inn_is_checked_by_the_rules_of_fns() -> None:
    assert valid_inn(" 7800000027 ") == INN
