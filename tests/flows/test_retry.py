"""When a failed piece of work is tried again, when everybody waits, and when a person is asked."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from integration.errors import (
    Ambiguous,
    Conflict,
    Doubt,
    Misconfigured,
    Poison,
    Rejected,
    Transient,
)
from integration.retry import POLICIES, Again, Park, Policy, decide
from tests.flows.town import Town, oldest_first

ONEC = POLICIES["onec"]


@pytest.mark.parametrize(
    ("attempt", "luck", "delay"),
    [
        (1, 0.0, 0.5),
        (1, 0.5, 0.75),
        (1, 0.999, 0.9995),
        (2, 0.0, 1.0),
        (5, 0.5, 12.0),
        (11, 0.0, 512.0),
        (12, 0.0, 900.0),
        (40, 0.5, 1350.0),
        (10_000, 0.0, 900.0),
    ],
)
def test_delays_grow_and_are_never_zero(attempt: int, luck: float, delay: float) -> None:
    assert ONEC.delay(attempt, luck) == pytest.approx(delay)


def test_1c_is_waited_for_half_a_day() -> None:
    hours = sum(ONEC.delay(attempt, 0.5) for attempt in range(1, ONEC.attempts)) / 3600
    assert 10 < hours < 14


@pytest.mark.parametrize(
    ("error", "attempts", "verdict"),
    [
        (ValueError("?"), 1, Park("bug")),
        (Transient(), 1, Again(0.5)),
        (Transient(), 5, Again(8.0)),
        (Transient(), 39, Again(900.0)),
        (Transient(), 40, Park("exhausted")),
        (Transient(retry_after=7), 9, Again(7)),
        (Transient(retry_after=0), 9, Again(0.5)),
        (Transient(retry_after=1e9), 1, Again(1800)),
        (Transient(retry_after=7), 40, Park("exhausted")),
        (Ambiguous(), 1, Again(0.5)),
        (Ambiguous(), 20, Again(0.5)),
        (Ambiguous(), 40, Park("unknown")),
        (Doubt(retry_after=10), 3, Again(10)),
        (Rejected(), 1, Park("rejected")),
        (Misconfigured(), 1, Park("misconfigured")),
        (Misconfigured(hold=True), 99, Again(0.5)),
        (Conflict(), 1, Park("conflict")),
        (Poison(), 1, Park("poison")),
    ],
)
def test_what_becomes_of_a_failure(error: BaseException, attempts: int, verdict: Again | Park) -> None:
    assert decide(error, attempts, ONEC, 0.0) == verdict


def test_a_policy_is_a_value() -> None:
    assert decide(Transient(), 2, Policy(first=4, cap=6, attempts=3), 0.0) == Again(3.0)
    assert decide(Transient(), 3, Policy(first=4, cap=6, attempts=3), 0.0) == Park("exhausted")


# -- circuits ----------------------------------------------------------------------------------------------------------


def calls(town: Town) -> int:
    return len(town.asked(town.onec_app))


def attempts(town: Town, events: list[str]) -> int:
    return sum(duty.attempts for event in events for duty in town.whole(event).duties)


def down(town: Town, **more: Any) -> None:
    town.fault(town.onec_app, "status", **more)


def test_a_circuit_opens_after_five_failures_in_a_row_and_probes_alone(town: Town) -> None:
    """Ten deals while 1C is down for five minutes: five failures, then one probe after 5, 10, 20, 40 and 60 seconds
    each; nobody spends an attempt on it. When 1C is back a probe closes it, and all go on, oldest first."""
    deals = [town.deal(name=f"Сделка {number}") for number in range(10)]
    events = [town.tell(deal) for deal in deals]
    down(town)
    town.work(4)
    assert (calls(town), attempts(town, events)) == (5, 5)
    standing = town.world.circuits.standing("onec:main")
    assert standing is not None
    assert (standing.held, standing.pause) == (False, 5)
    town.work(296)  # probes at 5, 15, 35, 75, 135, 195, 255
    assert (calls(town), attempts(town, events)) == (12, 5)
    assert {town.event(event).state for event in events} == {"due"}
    town.onec_app.faults.clear()
    town.work()
    assert {town.event(event).state for event in events} == {"done"}
    assert town.world.circuits.standing("onec:main") is None
    assert oldest_first(town, deals, events)
    assert town.seconds < 300 + 61


def test_a_night_of_maintenance_parks_nobody(town: Town) -> None:
    """Eleven hours down: the oldest piece of work probes more often than it has attempts, and it costs it nothing."""
    town.live({"delivery": {"probe_cap": "10m"}})
    events = [town.tell(town.deal()) for _ in range(3)]
    down(town)
    town.work(11 * 3600)
    assert calls(town) > ONEC.attempts
    assert {town.event(event).state for event in events} == {"due"}
    town.onec_app.faults.clear()
    town.work()
    assert {town.event(event).state for event in events} == {"done"}


def test_a_success_between_failures_keeps_the_circuit_closed(town: Town) -> None:
    """Four failures, a success, four failures: not five in a row."""
    for _ in range(3):
        down(town, times=4)
        assert town.done(town.deal()).state == "done"
    assert town.seconds < 60


def test_a_circuit_is_one_systems_own(town: Town) -> None:
    """1C is down; the CRM still hears why a deal is refused."""
    down(town)
    waiting = [town.tell(town.deal()) for _ in range(6)]
    town.work(10)
    deal = town.deal(account=None)
    event = town.tell(deal)
    town.work(1)
    assert town.event(event).state == "parked"
    assert town.notes(deal)
    assert {town.event(one).state for one in waiting} == {"due"}


def test_a_refused_password_of_1c_holds_its_queue(town: Town) -> None:
    """Longer pauses than for an outage: 60 seconds, doubling to 15 minutes."""
    events = [town.tell(town.deal()) for _ in range(4)]
    down(town, status=401)
    town.work(3600)
    assert calls(town) < 10
    assert {(town.event(one).state, town.event(one).attempts) for one in events} == {("due", 0)}
    standing = town.world.circuits.standing("onec:main")
    assert standing is not None
    assert (standing.held, standing.pause) == (True, 900)
    town.onec_app.faults.clear()
    town.work()
    assert {town.event(one).state for one in events} == {"done"}


def test_redis_is_away(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Circuits count as closed; work goes on by the retry policy alone."""

    def away(*_: Any, **__: Any) -> Any:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(town.world.redis, "execute_command", away)
    down(town, times=8)
    deal = town.deal()
    assert town.done(deal).state == "done"
    assert town.shown(deal)["cInvoiceNumber"]


# -- attempts ----------------------------------------------------------------------------------------------------------

IMPATIENT = {"retry": {"onec": {"attempts": 3}}, "delivery": {"circuit_failures": 1000}}


def test_exhausted_attempts_are_parked_and_told(town: Town) -> None:
    """The manager reads what to do, not that we would repeat it ourselves; a replay begins anew."""
    town.live(IMPATIENT)
    down(town)
    deal = town.deal()
    event = town.done(deal)
    assert (event.state, event.kind, event.attempts) == ("parked", "exhausted", 3)
    assert town.notes(deal)[0].startswith("Счёт не создан: система слишком долго не отвечала")
    assert "Нажмите кнопку счёта" in town.notes(deal)[0]
    town.onec_app.faults.clear()
    assert town.replay(event.id).state == "done"


def test_an_answer_that_stays_lost_is_parked_as_unknown(town: Town) -> None:
    town.live(IMPATIENT | {"delivery": {"circuit_failures": 1000, "doubt": "1s"}})
    town.fault(town.onec_app, "lost_request", "POST", "Catalog_Контрагенты$")
    deal = town.deal()
    event = town.done(deal)
    assert (event.state, event.kind) == ("parked", "unknown")
    assert "сначала он ищется" in town.notes(deal)[0]


def test_retry_after_is_obeyed(town: Town) -> None:
    down(town, times=1, retry_after=7)
    assert town.done(town.deal()).state == "done"
    assert 7 <= town.seconds < 8


def test_waits_too_long_for_a_message_are_called_by_the_sweep(town: Town) -> None:
    """Beyond countdown_max no message waits in the broker: the row's own time and the sweep do it."""
    down(town, times=1, retry_after=1500)
    event = town.tell(town.deal())
    town.work(1499)
    assert town.event(event).state == "due"
    town.work(1 + 60)
    assert town.event(event).state == "done"


def test_an_unforeseen_error_is_a_bug_and_not_retried(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parked at once; the manager is told without our insides; a deal of another kind goes on."""

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("0/0")

    monkeypatch.setattr(type(town.world.services.bases["main"].say), "organisation", broken)
    deal = town.deal()
    event = town.done(deal)
    assert (event.state, event.kind, event.attempts) == ("parked", "bug", 1)
    assert town.notes(deal) == ["Счёт не создан: внутренняя ошибка crm1c. Администратор увидит её в журнале событий."]
    monkeypatch.undo()
    assert town.replay(event.id).state == "done"
