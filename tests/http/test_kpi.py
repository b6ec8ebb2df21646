"""The API of KPI: leaderboards, one manager's roubles, and the live feed over real sockets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from integration import cache
from integration.board import Board
from integration.errors import Transient
from integration.http.app import create_app
from integration.http.handover import handing_over
from integration.http.stream import Stream
from integration.rules.accrual import Accrual
from integration.rules.bonus import Forecast
from integration.rules.earnings import Key, Sums
from integration.rules.kpi import Told
from integration.settings.money import Plan
from mappers.canonical import User
from tests.http.world import World, bearer, kpi_routes
from tests.servers.wait import until

ANNA, BORIS = "anna0000000000000", "boris000000000000"


@pytest.fixture
def board() -> Board:
    return Board(cache.connect("embedded://"))


@pytest.fixture
def app(world: World, board: Board) -> Flask:
    """The application with two managers: Anna has earned 1 000 ₽ of 100 000 ₽, Boris 200 ₽."""
    with world.store.unit("seed") as unit:
        unit.holders.keep_users("espo", [User(ANNA, "anna", "Анна Ким"), User(BORIS, "boris", "Борис Ли")])
        unit.bonuses.enter("account", "RUB", [accrual(ANNA, "100000", "1000"), accrual(BORIS, "20000", "200")], "тест")
    return create_app(world.parts, kpi_routes(world.parts, board).routes())


def accrual(manager: str, gross: str, bonus: str) -> Accrual:
    day = date(2026, 11, 24)
    key = Key(f"payment-{manager}", manager, "", day, ("espo", "deal"))
    part = {"label": "акт № 1 от 24.11.2026", "amount": gross, "explanation": "назван в строке 1"}
    detail = {"allocations": [part], "rule": "правило с 01.01.2026 для *: 1 %", "before": "0", "after": gross,
              "label": "Платёж № 5 от 24.11.2026", "text": "Вам начислен бонус"}  # fmt: skip
    sums = Sums(Decimal(gross), Decimal(gross))
    return Accrual("accrual", key, "2026-11", "", day, sums, Decimal(bonus), detail)


@pytest.mark.parametrize("period", ["2026-11-24", "2026-11", "2026-Q4"])
def test_the_leaderboard_of_a_period(app: Flask, period: str) -> None:
    """The best bonus first, sums as text, names beside the ids."""
    told = app.test_client().get(f"/api/kpi/{period}", headers=bearer("operator-token")).json
    assert [(one["rank"], one["manager"], one["name"], one["bonus"]) for one in told["managers"]] == [
        (1, ANNA, "Анна Ким", "1000.00"), (2, BORIS, "Борис Ли", "200.00")
    ]  # fmt: skip
    assert (told["period"], told["managers"][0]["received"], told["managers"][0]["payments"]) == (
        period, "100000.00", 1
    )  # fmt: skip


def test_where_each_rouble_came_from(app: Flask) -> None:
    """Payment → allocation → rule → sum, by id or by user name."""
    for name in (ANNA, "anna"):
        told = app.test_client().get(f"/api/kpi/2026-11/{name}", headers=bearer("operator-token")).json
        [one] = told["accruals"]
        assert (told["rank"], told["bonus"], one["bonus"], one["counted"]) == (1, "1000.00", "1000.00", "100000.00")
        assert one["explanation"] == (
            "Платёж № 5 от 24.11.2026: засчитано 100 000 ₽ → акт № 1 от 24.11.2026: 100 000 ₽ (назван в строке 1) → "
            "правило с 01.01.2026 для *: 1 % → засчитано за 2026-11: было 0 ₽, стало 100 000 ₽ → бонус +1 000 ₽"
        )


def test_who_has_nothing_yet_is_shown_zeros(app: Flask) -> None:
    told = app.test_client().get("/api/kpi/2026-10/anna", headers=bearer("operator-token")).json
    assert (told["rank"], told["bonus"], told["accruals"]) == (None, "0.00", [])
    assert (told["plan"], told["plan_percent"]) == (None, None)


@pytest.mark.parametrize("name", [ANNA, "anna"])
def test_who_has_nothing_yet_is_shown_his_plan(world: World, app: Flask, name: str) -> None:
    """A month that begins: nothing received of what was planned. `app`: for its users."""
    plan = [Plan(manager="anna", month="2026-12", amount=Decimal(300000))]
    parts = replace(world.parts, settings=replace(world.settings, plan=plan))
    client = create_app(parts, kpi_routes(parts).routes()).test_client()
    told = client.get(f"/api/kpi/2026-12/{name}", headers=bearer("operator-token")).json
    assert (told["received"], told["plan"], told["plan_percent"]) == ("0.00", "300000.00", "0.0")


def test_a_month_ends_by_the_clock_of_1c(world: World, app: Flask) -> None:
    """The 30th in Moscow is the 1st in Vladivostok: November's forecast is held against what it came to. `app`: for
    its accruals."""
    with world.store.unit("seed") as unit:
        one = Forecast(Decimal(800), Decimal(150), Decimal(50))
        unit.kpi.keep_forecasts("2026-11", date(2026, 11, 15), {(ANNA, "RUB"): one})
    main = replace(world.settings.onec["main"], timezone=ZoneInfo("Asia/Vladivostok"))
    parts = replace(
        world.parts,
        settings=replace(world.settings, onec={"main": main}),
        now=lambda: datetime(2026, 11, 30, 20, tzinfo=UTC),
    )
    client = create_app(parts, kpi_routes(parts).routes()).test_client()
    told: Any = client.get(f"/api/kpi/2026-11/{ANNA}", headers=bearer("operator-token")).json
    [month] = told["accuracy"]
    assert (month["month"], month["foretold"], month["came"], month["error_percent"]) == (
        "2026-11", "1000.00", "1000.00", "0.0"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("scope", "path", "status"),
    [
        ("read", "2026-11", 200),
        ("read", f"2026-11/{ANNA}", 200),
        (f"kpi:{ANNA}", f"2026-11/{ANNA}", 200),
        (f"kpi:{ANNA}", f"2026-11/{BORIS}", 403),
        (f"kpi:{ANNA}", "2026-11", 403),
        ("read", "2026-13", 400),
        ("read", "2026-Q5", 400),
        ("read", "2026-02-30", 400),
    ],
)
def test_who_may_see_what(world: World, app: Flask, scope: str, path: str, status: int) -> None:
    """A manager's token shows his own figures alone."""
    answer = app.test_client().get(f"/api/kpi/{path}", headers=bearer(world.token(scope)))
    assert answer.status_code == status


# -- the feed -----------------------------------------------------------------------------------------------------


def say(board: Board, number: int, manager: str = ANNA) -> str:
    board.tell(Told(number, manager, (), {"manager": manager, "text": f"бонус {number}"}))
    return board.last()


@contextmanager
def listening(app: Flask, token: str = "operator-token", **headers: str) -> Iterator[socket.socket]:
    """The application as gunicorn calls it, with a connection of which the test holds the other end."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    environ = app.test_request_context("/api/kpi/stream", headers={**bearer(token), **headers}).request.environ
    environ["gunicorn.socket"] = theirs
    with theirs, pytest.raises(BrokenPipeError):
        app.wsgi_app(environ, lambda *_: lambda _: None)
    with ours:
        yield ours


def heard(connection: socket.socket, until_text: str) -> str:
    """What comes up to a text."""
    got = b""
    while until_text.encode() not in got:
        part = connection.recv(65536)
        assert part, got
        got += part
    return got.decode()


def texts(raw: str) -> list[str]:
    return [json.loads(line[6:])["text"] for line in raw.splitlines() if line.startswith("data: ")]


def test_every_listener_hears_each_accrual_once(app: Flask, board: Board) -> None:
    """From now on; the server's own socket is left closed, the connection is the stream's."""
    say(board, 1)
    with listening(app) as one, listening(app) as other:
        say(board, 2)
        say(board, 3)
        for connection in (one, other):
            raw = heard(connection, "бонус 3")
            assert raw.startswith("HTTP/1.1 200 OK\r\n")
            assert "Content-Type: text/event-stream" in raw
            assert "Content-Length" not in raw
            assert texts(raw) == ["бонус 2", "бонус 3"]


def test_who_comes_back_gets_what_he_missed(app: Flask, board: Board) -> None:
    """Last-Event-ID: nothing twice, nothing lost, whether the process still knows the entries or not."""
    first = say(board, 1)
    say(board, 2)
    with listening(app, **{"Last-Event-ID": first}) as connection:
        say(board, 3)
        assert texts(heard(connection, "бонус 3")) == ["бонус 2", "бонус 3"]
    with listening(app, **{"Last-Event-ID": first}) as connection:
        assert texts(heard(connection, "бонус 3")) == ["бонус 2", "бонус 3"]


def test_a_managers_token_hears_his_own_alone(world: World, app: Flask, board: Board) -> None:
    with listening(app, world.token(f"kpi:{ANNA}")) as connection:
        say(board, 1, BORIS)
        say(board, 2)
        assert texts(heard(connection, "бонус 2")) == ["бонус 2"]


def test_a_listener_that_left_is_let_go(world: World, board: Board) -> None:
    """Its socket is closed, the others go on."""
    stream = Stream(board, seats=1, poll=0.01)
    ours, theirs = socket.socketpair()
    stream.take(theirs, b"", "", "0-0")
    ours.recv(100)
    ours.close()
    until(lambda: theirs.fileno() == -1, 5)


class Shaky:
    """A feed that a test stops: `moments` are called with each place that is asked for, and may raise."""

    def __init__(self, board: Board) -> None:
        self.board, self.after = board, ""
        self.moments: list[Callable[[str], None]] = []

    def last(self) -> str:
        return self.board.last()

    def feed(self, after: str, count: int = 500) -> list[tuple[str, Mapping[str, str]]]:
        self.after = after
        found = self.board.feed(after, count)
        for moment in self.moments:
            moment(after)
        return found

    def fail(self) -> None:
        self.moments.clear()
        raise Transient("Redis недоступен", system="redis")


def following(stream: Stream, after: str) -> socket.socket:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    stream.take(theirs, b"", "", after)
    return ours


def test_redis_that_fails_while_a_listener_is_welcomed(board: Board) -> None:
    """It gets everything all the same, and the loop lives on."""
    first, feed = say(board, 1), Shaky(board)
    say(board, 2)
    feed.moments.append(lambda after: feed.fail() if after == first else None)
    with following(Stream(feed, seats=1, poll=0.01), first) as connection:
        assert texts(heard(connection, "бонус 2")) == ["бонус 2"]
        say(board, 3)
        assert texts(heard(connection, "бонус 3")) == ["бонус 3"]


def test_what_came_while_redis_was_away_is_heard(board: Board) -> None:
    """Also by those who wait for the first entry of their process."""
    first, feed = say(board, 1), Shaky(board)
    with following(Stream(feed, seats=1, poll=0.01), first) as connection:
        heard(connection, "retry")

        def away(_after: str) -> None:
            say(board, 2)
            feed.fail()

        feed.moments.append(away)
        until(lambda: not feed.moments, 5)
        say(board, 3)
        assert texts(heard(connection, "бонус 3")) == ["бонус 2", "бонус 3"]


def test_who_has_missed_much_keeps_nobody_waiting(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two pages of it the loop looks at what is new."""
    monkeypatch.setattr("integration.http.stream._PAGE", 5)
    ids = [say(board, number) for number in range(30)]
    feed, asked = Shaky(board), list[str]()
    feed.moments.append(asked.append)
    with following(Stream(feed, seats=1, poll=0.01), "0-0") as connection:
        assert texts(heard(connection, "бонус 29")) == [f"бонус {number}" for number in range(30)]
    pages = [at for at, after in enumerate(asked) if after != ids[-1]]
    assert len(pages) == 6
    assert all(later - earlier > 1 for earlier, later in pairwise(pages))


def test_a_burst_while_a_listener_is_welcomed_stops_nobody(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a page of entries comes between the loop's own look and the listener's."""
    monkeypatch.setattr("integration.http.stream._PAGE", 5)
    first, feed, joined = say(board, 1), Shaky(board), threading.Event()

    def burst(_after: str) -> None:
        feed.moments.clear()
        assert joined.wait(5)
        for number in range(2, 12):
            say(board, number)

    feed.moments.append(burst)
    with following(Stream(feed, seats=1, poll=0.01), first) as connection:
        joined.set()
        assert len(texts(heard(connection, "бонус 11"))) == 10


def test_a_reader_that_does_not_read_is_let_go(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for it does not grow with the feed: its answer ends, and it comes back with the last id it has."""
    monkeypatch.setattr("integration.http.stream._KEPT", 100)
    monkeypatch.setattr("integration.http.stream.BEAT", 1.0)
    feed = Shaky(board)
    answer = Stream(feed, seats=1, poll=0.01).served("", "0-0")
    assert answer is not None
    assert next(answer).startswith(b"retry")
    for number in range(300):
        say(board, number)
    until(lambda: feed.after == board.last(), 10)
    got = list(islice(answer, 300))
    assert 90 < len(got) < 300


def test_a_server_that_hides_its_sockets_serves_a_few(app: Flask, board: Board) -> None:
    """From its own threads; one more is asked to come later."""
    client = app.test_client()
    answers = [client.get("/api/kpi/stream", headers=bearer("operator-token")) for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 503]
    say(board, 1)
    heard_ = iter(answers[0].response)
    raw = ""
    while "бонус 1" not in raw:
        part: Any = next(heard_)
        raw += part.decode()
    assert texts(raw) == ["бонус 1"]
    answers[0].close()
    assert client.get("/api/kpi/stream", headers=bearer("operator-token")).status_code == 200


def test_the_rest_is_served_as_ever() -> None:
    """Only a view that asks for it gives its connection away."""
    app = handing_over(lambda environ, start: [start("200 OK", []) or b"body"])
    assert app({}, lambda *_: None) == [b"body"]
