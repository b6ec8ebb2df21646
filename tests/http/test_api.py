"""The API: tokens, the button and its wait, events, deals."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from integration.errors import Conflict, Crm1cError, Misconfigured, Rejected, Transient
from integration.http.guard import allows
from integration.store import keys
from integration.store.engine import connect
from integration.store.schema import tokens
from integration.work import Duty, Event, Link, Outcome, Owed
from tests.http import world as made
from tests.http.world import NAME, TOKEN, World, bearer

BODY = b'[{"id":"67a1"}]'
INVOICE = {
    "number": "0000-000057",
    "date": "2026-11-24",
    "amount": "130000.50",
    "currency": "RUB",
    "url": "http://1c/invoice",
    "ref_key": "b0b2a7c1-0000-4000-8000-000000000001",
    "state": "posted",
}

# -- tokens -----------------------------------------------------------------------------------------------------------

READ, OPERATE = "/api/events", f"/api/deals/{NAME}/d1/invoice"


@pytest.mark.parametrize(
    ("scope", "needed", "manager", "allowed"),
    [
        ("operate", "operate", "", True),
        ("operate", "read", "", True),
        ("operate", "kpi", "m1", True),
        ("read", "read", "", True),
        ("read", "kpi", "m1", True),
        ("read", "operate", "", False),
        ("kpi:m1", "kpi", "m1", True),
        ("kpi:m1", "kpi", "m2", False),
        ("kpi:m1", "kpi", "", False),
        ("kpi:", "kpi", "", False),
        ("kpi:m1", "read", "", False),
        ("kpi:m1", "operate", "", False),
        ("", "read", "", False),
    ],
)
def test_what_a_scope_allows(scope: str, needed: Any, manager: str, allowed: bool) -> None:
    assert allows(scope, needed, manager) is allowed


@pytest.mark.parametrize(
    ("scope", "reads", "operates"), [("operate", 200, 202), ("read", 200, 403), ("kpi:m", 403, 403)]
)
def test_tokens_of_the_database(world: World, scope: str, reads: int, operates: int) -> None:
    token = world.token(scope)
    assert world.get(READ, token).status_code == reads
    assert world.client.post(OPERATE, headers=bearer(token)).status_code == operates


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Basic dTpw",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN} x",
        "Bearer ключ",
    ],
)
@pytest.mark.parametrize("path", ["/api/events", "/api/events/x", "/metrics", "/api/deals/espo/d1"])
def test_without_a_valid_token_it_is_401_with_a_challenge(world: World, header: str, path: str) -> None:
    answer = world.client.get(path, headers={"Authorization": header.encode().decode("latin-1")} if header else {})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.mimetype == "application/problem+json"
    assert TOKEN not in answer.text


def test_the_scheme_of_the_header_may_be_in_any_case(world: World) -> None:
    assert world.client.get(READ, headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


def test_a_revoked_or_expired_token_stops_within_seconds(world: World) -> None:
    revoked, expiring = world.token("read"), world.token("read", days=1)
    assert world.get(READ, revoked).status_code == world.get(READ, expiring).status_code == 200
    with world.store.unit("revoke") as unit:
        unit.conn.execute(update(tokens).where(tokens.c.expires_at.is_(None)).values(revoked_at=unit.now))
    world.clock.seconds += 5
    assert world.get(READ, revoked).status_code == 401
    assert world.get(READ, expiring).status_code == 200
    world.clock.seconds += 86_400
    assert world.get(READ, expiring).status_code == 401


def test_a_token_is_looked_up_once_in_a_few_seconds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    token, asked = world.token("read"), []
    check = keys.check_token
    monkeypatch.setattr(keys, "check_token", lambda *args: asked.append(1) or check(*args))
    for _ in range(10):
        world.get(READ, token)
    assert len(asked) == 1


def test_a_cookie_is_never_set(world: World) -> None:
    for answer in (world.get(READ), world.press(), world.post(BODY), world.client.get("/docs")):
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


# -- the button -------------------------------------------------------------------------------------------------------


def test_the_button_pressed_twice_is_one_event(world: World) -> None:
    first, second, other = world.press(), world.press(), world.press(deal="deal2")
    assert first.status_code == second.status_code == 202
    assert first.json == second.json
    assert other.json != first.json
    row = next(row for row in world.rows() if row.id == first.json["event"])
    assert (row.source, row.entity, row.event, row.record_id) == (NAME, "deal", "invoice.requested", "deal1")
    assert row.trace == first.headers["X-Trace"]
    assert len(world.woken) == 2


def test_pressed_while_it_runs_it_is_a_new_event(world: World) -> None:
    first = world.press().json["event"]
    world.store.claim_event(first)
    assert world.press().json["event"] != first


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/deals/other/d1/invoice", 404),
        ("/api/deals/espo/..%2Fx/invoice", 404),
        ("/api/deals/espo/d'1/invoice", 404),
        (f"/api/deals/espo/{'d' * 65}/invoice", 404),
        ("/api/deals/espo/d1/invoice?wait=soon", 400),
        ("/api/deals/espo/d1/invoice?wait=-1", 400),
        ("/api/deals/espo/d1/invoice?wait=nan", 400),
        ("/api/deals/espo/d1/invoice?wait=", 400),
    ],
)
def test_a_button_that_makes_no_sense_leaves_nothing(world: World, path: str, status: int) -> None:
    assert world.client.post(path, headers=bearer(TOKEN)).status_code == status
    assert world.count() == 0


class Worker:
    """What the flows do with a pressed button, one step per call."""

    def __init__(self, world: World) -> None:
        self.store, self.event, self.duty = world.store, "", ""
        self.rows = world.rows

    def accept(self, outcome: Outcome | None = None) -> None:
        event = self.store.claim_event(self.rows()[-1].id)
        assert isinstance(event, Event)
        owed = Owed("invoice", "onec:main", "espo:deal:deal1", {"deal": "deal1"}, merge="invoice:deal1")
        self.store.settle(event, outcome or Outcome("done", owes=(owed,)))

    def claimed(self) -> Duty:
        from integration.store.schema import outbox

        with self.store.reading() as conn:
            duty_id = conn.scalar(outbox.select().with_only_columns(outbox.c.id).where(outbox.c.kind == "invoice"))
        assert duty_id
        duty = self.store.claim_duty(duty_id)
        assert isinstance(duty, Duty)
        return duty

    def link(self, state: str) -> Link:
        agreed = {
            "number": INVOICE["number"],
            "date": "2026-11-23T22:30:00+00:00",  # already the 24th in Moscow
            "total": INVOICE["amount"],
            "currency": "RUB",
            "url": INVOICE["url"],
        }
        return Link(NAME, "deal", "deal1", "main", "invoice", INVOICE["ref_key"], "key", state, "v1", "", agreed)

    def write(self) -> None:
        with self.store.unit("bind") as unit:
            unit.links.bind(self.link("written"))

    def post(self) -> None:
        show = Owed("show_deal", f"crm:{NAME}", "espo:deal:deal1", merge="show")
        self.store.settle(self.claimed(), Outcome("done", "Счёт", owes=(show,), links=(self.link("posted"),)))

    def skip(self) -> None:
        self.store.settle(self.claimed(), Outcome("skipped", "Сделка удалена в CRM"))

    def park(self, error: Crm1cError) -> Callable[[], None]:
        return lambda: self.store.park(self.claimed(), error.kind, error)

    def put_off(self) -> None:
        self.store.put_off(self.claimed(), 30, Transient("1С не отвечает"), attempt=True)


@pytest.fixture
def worker(world: World) -> Worker:
    return Worker(world)


def test_with_wait_it_answers_as_soon_as_the_invoice_stands(world: World, worker: Worker) -> None:
    world.clock.meanwhile = [lambda: None, worker.accept, worker.write, lambda: None, worker.post]
    answer = world.press("?wait=30")
    assert answer.status_code == 200
    assert answer.json == {"event": world.rows()[0].id, "invoice": INVOICE}
    assert world.clock.pauses == sorted(world.clock.pauses)
    assert world.clock.pauses[0] == 0.02
    assert len(world.clock.pauses) == 5


@pytest.mark.parametrize(
    ("error", "status"),
    [(Rejected("ИНН неверен"), 422), (Conflict("Счёт уже оплачен"), 409), (Misconfigured("Нет прав"), 503),
     (Transient("1С не отвечает"), 503)],
)  # fmt: skip
def test_with_wait_a_refusal_is_told_with_its_reason(
    world: World, worker: Worker, error: Crm1cError, status: int
) -> None:
    world.clock.meanwhile = [worker.accept, worker.park(error)]
    answer = world.press("?wait=30")
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    assert answer.json["detail"] == error.reason
    assert answer.json["kind"] == error.kind
    assert answer.json["event"] == world.rows()[0].id


def test_with_wait_an_event_nobody_acts_on_is_told(world: World, worker: Worker) -> None:
    world.clock.meanwhile = [worker.accept, worker.skip]
    answer = world.press("?wait=30")
    assert answer.status_code == 422
    assert answer.json["detail"] == "Счёт не выставлен: сделка удалена в CRM."


def test_the_wait_ends_in_time_and_says_how_far_it_came(world: World, worker: Worker) -> None:
    world.clock.meanwhile = [worker.accept, worker.put_off]
    answer = world.press("?wait=2")
    assert answer.status_code == 202
    assert answer.json == {"event": world.rows()[0].id, "state": "due", "reason": "1С не отвечает"}
    assert world.clock.seconds == pytest.approx(2)
    assert max(world.clock.pauses) <= 0.2


def test_the_wait_is_at_most_a_minute(world: World) -> None:
    assert world.press("?wait=3600").status_code == 202
    assert world.clock.seconds == pytest.approx(60)


def test_an_invoice_that_stands_is_given_again(world: World, worker: Worker) -> None:
    world.clock.meanwhile = [worker.accept, worker.post]
    world.press("?wait=5")
    world.clock.meanwhile = [lambda: worker.accept(Outcome("unchanged"))]
    assert world.press("?wait=5").json["invoice"] == INVOICE


def test_those_who_wait_leave_threads_to_the_intake(tmp_path: Any) -> None:
    world = made.make(tmp_path, threads=2)
    inner: list[Any] = []
    # The first waits and holds the only seat: the second gets its answer at once.
    world.clock.meanwhile = [lambda: inner.append(world.press("?wait=30", deal="deal2"))]
    assert world.press("?wait=1").json["state"] == "due"
    assert inner[0].status_code == 202
    assert set(inner[0].json) == {"event"}
    assert world.press("?wait=1").json["state"] == "due"  # the seat is given back
    world.store.engine.dispose()


# -- events -----------------------------------------------------------------------------------------------------------


def test_events_are_listed_the_newest_first_page_by_page(world: World) -> None:
    for number in range(5):
        world.post(b'[{"id":"r%d"}]' % number)
    first = world.get("/api/events?limit=2").json
    second = world.get(f"/api/events?limit=2&before={first['next']}").json
    third = world.get(f"/api/events?limit=2&before={second['next']}").json
    assert [one["record_id"] for page in (first, second, third) for one in page["events"]] == [
        "r4",
        "r3",
        "r2",
        "r1",
        "r0",
    ]
    assert third["next"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 3), ("source=espo", 3), ("source=other", 0), ("state=parked", 1), ("state=due", 2), ("state=done", 0),
        ("entity=Account", 1), ("record=r1", 1), ("kind=poison", 1), ("kind=rejected", 0),
        ("since=2026-11-24T12:00:00Z", 3), ("since=2026-11-24T15:00:01%2B03:00", 0), ("until=2026-11-24T12:00:00", 0),
        ("until=2026-11-25", 3), ("state=due&entity=Account", 1),
    ],
)  # fmt: skip
def test_events_are_narrowed(world: World, query: str, found: int) -> None:
    world.post(b'[{"id":"r1"},{"name":"no id"}]')
    world.post(b'[{"id":"a1"}]', path=f"/webhooks/{NAME}/Account/create")
    assert len(world.get(f"/api/events?{query}").json["events"]) == found


@pytest.mark.parametrize(
    "query", ["state=lost", "kind=x", "limit=0", "limit=501", "limit=x", "before=x", "since=yesterday", "source=a%00b"]
)
def test_a_question_that_makes_no_sense_is_400(world: World, query: str) -> None:
    answer = world.get(f"/api/events?{query}")
    assert answer.status_code == 400
    assert answer.json["detail"]


def test_one_event_is_shown_with_its_work(world: World, worker: Worker) -> None:
    world.press()
    worker.accept()
    shown = world.get(f"/api/events/{world.rows()[0].id}").json
    assert shown["body"] == {"id": "deal1"}
    assert [one["kind"] for one in shown["work"]] == ["invoice"]
    assert shown["state"] == "due"


def test_what_was_parked_is_replayed(world: World, worker: Worker) -> None:
    world.press()
    worker.accept()
    worker.park(Rejected("ИНН неверен"))()
    path = f"/api/events/{world.rows()[0].id}"
    assert world.get(path).json["state"] == "parked"
    assert world.client.post(f"{path}/replay", headers=bearer(TOKEN)).json == {"replayed": 1}
    assert world.get(path).json["state"] == "due"


@pytest.mark.parametrize("event", ["0" * 32, "x", "%00", "../x"])
def test_an_unknown_event_is_404(world: World, event: str) -> None:
    assert world.get(f"/api/events/{event}").status_code == 404
    assert world.client.post(f"/api/events/{event}/replay", headers=bearer(TOKEN)).status_code == 404


# -- deals ------------------------------------------------------------------------------------------------------------


def test_a_deal_shows_its_invoice_and_money_is_a_string(world: World, worker: Worker) -> None:
    world.press()
    nothing = world.get(f"/api/deals/{NAME}/deal1").json
    assert nothing == {
        "percent": "0.0", "status": None, "flags": [], "advance": "0.00", "currency": None, "invoice": None,
        "acts": [], "payments": [], "allocations": [], "refunds": [], "contract": None,
    }  # fmt: skip
    worker.write()
    written = world.get(f"/api/deals/{NAME}/deal1").json
    assert (written["status"], written["invoice"]["state"]) == (None, "written")
    worker.accept()
    worker.post()
    posted = world.get(f"/api/deals/{NAME}/deal1").json
    assert (posted["status"], posted["currency"], posted["invoice"]) == ("issued", "RUB", INVOICE)
    assert world.get("/api/deals/other/deal1").status_code == 404


def test_a_deal_that_nobody_told_of_is_404_with_the_next_step(world: World, worker: Worker) -> None:
    path = f"/api/deals/{NAME}/deal1"
    world.press(deal="deal2")
    unknown = world.get(path)
    assert (unknown.status_code, unknown.mimetype) == (404, "application/problem+json")
    assert "ничего не знает" in unknown.json["detail"]
    assert "сохраните сделку" in unknown.json["detail"]
    world.press()
    assert world.get(path).status_code == 200
    worker.accept()
    worker.skip()
    assert world.get(path).json["invoice"] is None


# -- our own faults ---------------------------------------------------------------------------------------------------


def test_without_a_database_the_api_says_when_to_come_again(world: World) -> None:
    world.store.engine.dispose()
    world.store.engine = connect("sqlite:////nowhere/at/all.db")
    for answer in (world.get("/api/events"), world.press(), world.get("/metrics"), world.get(READ, "crm1c_token")):
        assert answer.status_code == 503
        assert re.fullmatch("[0-9]+", answer.headers["Retry-After"])
        assert answer.mimetype == "application/problem+json"


def test_a_bug_is_500_and_says_nothing_of_its_inside(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise KeyError("secret-inside")

    monkeypatch.setattr(world.store, "reading", broken)
    answer = world.get("/api/events")
    assert answer.status_code == 500
    assert "secret-inside" not in answer.text
    assert answer.json["trace"] == answer.headers["X-Trace"]
