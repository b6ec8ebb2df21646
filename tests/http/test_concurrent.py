"""Many at once, on both databases; and a PostgreSQL that goes away and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from tests.http.world import NAME, TOKEN, World, bearer, make, signature
from tests.servers.postgres import Postgres

MANY = 50
BODY = b'[{"id":"67a1","stage":"Proposal"}]'


@pytest.fixture(params=["sqlite", "postgres"])
def busy(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    url = request.getfixturevalue("postgres").fresh() if request.param == "postgres" else ""
    world = make(tmp_path, url=url)
    yield world
    world.store.engine.dispose()


@pytest.fixture
def served(tmp_path: Path, postgres: Postgres) -> Iterator[World]:
    world = make(tmp_path, url=postgres.fresh())
    yield world
    world.store.engine.dispose()


def at_once(world: World, path: str, **sent: Any) -> list[Any]:
    """The same request by many threads that start together."""
    ready = Barrier(MANY)

    def one(_: int) -> Any:
        client = world.client.application.test_client()
        ready.wait(30)
        return client.post(path, **sent)

    with ThreadPoolExecutor(MANY) as threads:
        return list(threads.map(one, range(MANY)))


def test_the_same_body_fifty_times_at_once_is_one_event(busy: World) -> None:
    answers = at_once(busy, f"/webhooks/{NAME}", data=BODY, headers={"Signature": signature(BODY)})
    assert {answer.status_code for answer in answers} == {202}
    assert sum(answer.json["accepted"] for answer in answers) == 1
    assert sum(answer.json["duplicates"] for answer in answers) == MANY - 1
    assert busy.count() == 1
    assert len(busy.woken) == 1


def test_the_button_fifty_times_at_once_is_one_event(busy: World) -> None:
    answers = at_once(busy, f"/api/deals/{NAME}/deal1/invoice", headers=bearer(TOKEN))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json["event"] for answer in answers}) == 1
    assert busy.count() == 1


def test_a_database_that_came_back_is_used_at_once(served: World, postgres: Postgres) -> None:
    assert served.post(BODY).status_code == 202  # a connection now lies in the pool
    postgres.stop()
    refused = served.post(b'[{"id":"during"}]')
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert served.client.get("/health/ready").status_code == 503
    assert served.get("/api/events").status_code == 503
    postgres.start()
    assert served.post(b'[{"id":"after"}]').status_code == 202
    assert served.client.get("/health/ready").status_code == 200
    assert served.count() == 2


def test_connections_that_died_idle_cost_nobody_an_answer(served: World, postgres: Postgres) -> None:
    assert served.post(BODY).status_code == 202
    postgres.kill()
    postgres.start()
    assert served.post(b'[{"id":"after"}]').status_code == 202
    postgres.kill()
    postgres.start()
    assert served.get("/api/events").status_code == 200
    postgres.kill()
    postgres.start()
    assert served.press().status_code == 202


def test_what_postgresql_cannot_keep_is_no_fault_of_ours(served: World) -> None:
    odd = (
        b'[{"id":"a1","name":"\\u0000"}]',
        b'[{"id":"a2","name":"\\ud83d"}]',
        b'[{"id":"a3","x":"\xf0\x9f\x98\x80"}]',
    )
    for body in odd:
        assert served.post(body, path=f"/webhooks/{NAME}/x%00y").status_code == 202
    assert served.count() == 3
    assert served.get("/api/events?record=a1").json["events"][0]["record_id"] == "a1"
