"""Intake: who is let in, what is written, and which answers a sender may get."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from integration.errors import Transient
from integration.http.parts import Sender
from integration.store import keys
from integration.store.engine import connect
from integration.store.schema import deliveries
from tests.http import world as made
from tests.http.world import HOOK, HOOK_SECRET, NAME, OLD_SECRET, SECRET, START, World, old_signature, signature

BODY = b'[{"id":"67a1","stage":"Proposal"}]'
FORBIDDEN = {410, 429, 502, 504}
Headers = Callable[[bytes], dict[str, str]]


def signed(secret: str = SECRET, hook: str = "foreignhook") -> Headers:
    return lambda body: {"Signature": signature(body, secret, hook)}


SIGNATURES: dict[str, tuple[Headers, int]] = {
    "configured secret": (signed(), 202),
    "the other live secret": (signed(OLD_SECRET), 202),
    "secret kept by setup": (signed(HOOK_SECRET, HOOK), 202),
    "before EspoCRM 9.0": (lambda body: {"X-Signature": old_signature(body)}, 202),
    "both headers": (lambda body: {"Signature": signature(body), "X-Signature": old_signature(body)}, 202),
    "secret of setup under another id": (signed(HOOK_SECRET, "anotherhook"), 401),
    "wrong secret": (signed("wrong"), 401),
    "empty secret": (signed(""), 401),
    "missing": (lambda body: {}, 401),
    "empty": (lambda body: {"Signature": ""}, 401),
    "of another body": (lambda body: {"Signature": signature(body + b" ")}, 401),
    "not base64": (lambda body: {"Signature": "***"}, 401),
    "no colon": (lambda body: {"Signature": base64.b64encode(b"nothing").decode()}, 401),
    "twice": (lambda body: {"Signature": f"{signature(body)}, {signature(body)}"}, 401),
    "letters beyond ASCII": (lambda body: {"Signature": "подпись".encode().decode("latin-1")}, 401),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_live_secret_is_let_in_and_nothing_else(world: World, name: str) -> None:
    headers, status = SIGNATURES[name]
    answer = world.client.post(f"/webhooks/{NAME}", data=BODY, headers=headers(BODY))
    assert answer.status_code == status, answer.text
    assert world.count() == (status == 202)


def test_bad_signatures_lock_nobody_out(world: World) -> None:
    for _ in range(30):
        assert world.post(BODY, secret="wrong").status_code == 401
    assert world.post(BODY).status_code == 202


BODIES: dict[str, tuple[bytes, int]] = {
    "one": (BODY, 202),
    "truncated": (BODY[:-3], 400),
    "no JSON": (b"hello", 400),
    "empty body": (b"", 400),
    "object": (b'{"id":"67a1"}', 400),
    "empty array": (b"[]", 400),
    "no usable item": (b'[{"name":"x"},5]', 400),
    "100,000 levels": (b"[" * 100_000 + b"]" * 100_000, 400),
    "100,000 levels in an item": (b'[{"id":"67a1","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}]", 400),
    "NaN": (b'[{"id":"67a1","amount":NaN}]', 400),
    "a number of 5,000 digits": (b'[{"id":"67a1","amount":' + b"9" * 5000 + b"}]", 400),
    "not UTF-8": (b'[{"id":"67a1","name":"\xff\xfe"}]', 400),
    "half of a surrogate pair": (b'[{"id":"67a1","name":"\\ud83d"}]', 202),
    "NUL in a text": (b'[{"id":"67a1","name":"\\u0000"}]', 202),
    "byte order mark": (b"\xef\xbb\xbf" + BODY, 202),
}


@pytest.mark.parametrize("name", BODIES)
def test_only_the_format_is_taken(world: World, name: str) -> None:
    body, status = BODIES[name]
    answer = world.post(body)
    assert answer.status_code == status, answer.text
    assert world.count() == (status == 202)
    if status == 400:
        assert answer.mimetype == "application/problem+json"
        assert answer.json["detail"]
        assert answer.json["trace"] == answer.headers["X-Trace"]


def test_items_without_an_id_are_parked_and_the_good_ones_taken(world: World) -> None:
    items: list[Any] = [{"id": "a1"}, {"id": "a1"}, {"id": "a2"}, {"name": "x"}, 7, None, {"id": ""}, {"id": "../x"}]
    answer = world.post(json.dumps(items).encode())
    assert answer.json == {"accepted": 2, "duplicates": 1, "parked": 5}
    parked = [row for row in world.rows() if row.state == "parked"]
    assert {row.error_kind for row in parked} == {"poison"}
    assert all(row.error for row in parked)
    assert len(world.woken) == 2


def test_the_same_body_again_is_a_duplicate_while_it_is_due(world: World) -> None:
    assert world.post(BODY).json == {"accepted": 1, "duplicates": 0, "parked": 0}
    assert world.post(BODY).json == {"accepted": 0, "duplicates": 1, "parked": 0}
    (row,) = world.rows()
    world.store.claim_event(row.id)
    assert world.post(BODY).json == {"accepted": 1, "duplicates": 0, "parked": 0}


def test_the_event_comes_from_the_path_else_from_setup_else_stays_open(world: World) -> None:
    paths = {
        f"/webhooks/{NAME}/Account/create": ("foreignhook", SECRET, ("Account", "create")),
        f"/webhooks/{NAME}/Opportunity/fieldUpdate/stage": (
            "foreignhook",
            SECRET,
            ("Opportunity", "fieldUpdate.stage"),
        ),
        f"/webhooks/{NAME}": (HOOK, HOOK_SECRET, ("Opportunity", "update")),
        f"/webhooks/{NAME}/": ("foreignhook", SECRET, ("", "")),
        f"/webhooks/{NAME}/some/where?x=1": ("foreignhook", SECRET, ("", "")),
        f"/webhooks/{NAME}/{'E' * 65}/update": ("foreignhook", SECRET, ("", "")),
    }
    for number, (path, (hook, secret, known)) in enumerate(paths.items()):
        body = json.dumps([{"id": f"r{number}"}]).encode()
        assert world.post(body, path=path, hook=hook, secret=secret).status_code == 202, path
        row = world.rows()[-1]
        assert (row.entity, row.event) == known, path
        assert row.webhook_id == hook


@pytest.mark.parametrize(
    "path", ["/webhooks", "/webhooks/", "/webhooks/other", "/webhooks/onec", f"//webhooks/{NAME}", "/webhooks/%00"]
)
def test_an_unknown_name_is_404_and_never_a_redirect(world: World, path: str) -> None:
    # An absolute form keeps the client from reading "//webhooks" as a host.
    assert world.post(BODY, path=f"http://localhost{path}").status_code == 404
    assert world.count() == 0


@pytest.mark.parametrize("tail", ["%00", "%ff%fe", "a" * 5000, "%0d%0aX-Y:%20z", "../../etc", "сделка"])
def test_a_strange_path_does_no_harm(world: World, tail: str) -> None:
    answer = world.post(BODY, path=f"/webhooks/{NAME}/x{tail}")
    assert answer.status_code in (202, 404)
    assert "X-Y" not in answer.headers
    for row in world.rows():
        assert row.tail == "" or row.tail.isascii()


def test_other_methods_are_405(world: World) -> None:
    for method in ("get", "put", "delete", "patch"):
        answer = getattr(world.client, method)(f"/webhooks/{NAME}")
        assert answer.status_code == 405
        assert "POST" in answer.headers["Allow"]
        assert answer.mimetype == "application/problem+json"


class Unreadable(io.RawIOBase):
    """A body that must not be read."""

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: Any) -> int:
        raise AssertionError("the body was read")


@pytest.mark.parametrize("length", [32 * 1024 * 1024, 33 * 1024 * 1024, 10**15])
def test_from_32_mb_on_it_is_413_before_the_signature_and_unread(world: World, length: int) -> None:
    told = {"CONTENT_LENGTH": str(length), "wsgi.input": Unreadable()}
    answer = world.client.post(f"/webhooks/{NAME}", environ_overrides=told)
    assert answer.status_code == 413
    assert answer.mimetype == "application/problem+json"


def test_20_mb_are_taken_when_they_are_signed(world: World) -> None:
    body = json.dumps([{"id": "big", "description": "x" * 20_000_000}]).encode()
    assert world.post(body).json == {"accepted": 1, "duplicates": 0, "parked": 0}
    assert world.post(body, secret="wrong").status_code == 401


@pytest.mark.parametrize(("size", "status"), [(1023, 202), (1024, 413), (5000, 413)])
def test_a_body_of_untold_length_is_read_up_to_the_limit(tmp_path: Path, size: int, status: int) -> None:
    world = made.make(tmp_path, max_body=1024)
    body = BODY.ljust(size)
    headers = {"Signature": signature(body), "Transfer-Encoding": "chunked"}
    stream, told = io.BytesIO(body), {"wsgi.input_terminated": True}
    path = f"/webhooks/{NAME}"
    answer = world.client.post(path, headers=headers, input_stream=stream, environ_overrides=told)
    assert answer.status_code == status
    assert stream.tell() <= 1024
    world.store.engine.dispose()


def test_a_body_shorter_than_told_is_400(world: World) -> None:
    told = {"CONTENT_LENGTH": "100", "wsgi.input": io.BytesIO(BODY)}
    headers = {"Signature": signature(BODY)}
    assert world.client.post(f"/webhooks/{NAME}", headers=headers, environ_overrides=told).status_code == 400
    assert world.count() == 0


# -- our own faults ---------------------------------------------------------------------------------------------------


@pytest.fixture
def away(world: World) -> World:
    """The database is out of reach."""
    world.store.engine.dispose()
    world.store.engine = connect("sqlite:////nowhere/at/all.db")
    return world


@pytest.mark.parametrize("warm", [True, False])
def test_without_a_database_the_sender_shall_come_again(world: World, request: Any, warm: bool) -> None:
    if warm:  # the secrets were read just before
        assert world.post(BODY).status_code == 202
    request.getfixturevalue("away")
    answer = world.post(BODY)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "10"
    assert answer.mimetype == "application/problem+json"
    assert "nowhere" not in answer.text


def test_without_a_database_an_unknown_name_and_a_huge_body_are_told_at_once(away: World) -> None:
    assert away.post(BODY, path="/webhooks/other").status_code == 404
    told = {"CONTENT_LENGTH": str(33 * 1024 * 1024), "wsgi.input": Unreadable()}
    assert away.client.post(f"/webhooks/{NAME}", environ_overrides=told).status_code == 413


class Died(Exception):
    """As SQLAlchemy tells of a connection that was found dead."""

    connection_invalidated = True


@pytest.mark.parametrize(("deaths", "status"), [(1, 202), (2, 503)])
def test_a_connection_that_died_idle_is_replaced_once(
    world: World, monkeypatch: pytest.MonkeyPatch, deaths: int, status: int
) -> None:
    receive, left = world.store.receive, [None] * deaths

    def dying(*args: Any) -> Any:
        if left:
            left.pop()
            raise Transient("away") from Died()
        return receive(*args)

    monkeypatch.setattr(world.store, "receive", dying)
    assert world.post(BODY).status_code == status


def test_a_lost_broker_does_not_stop_intake(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_call: Any) -> None:
        raise ConnectionError("broker away")

    monkeypatch.setattr(world.store, "wake", lost)
    assert world.post(BODY).status_code == 202
    assert world.count() == 1


class Broken:
    """A dialect with a bug."""

    def authentic(self, *_: Any) -> str:
        return "hook"

    def notices(self, *_: Any) -> Any:
        raise KeyError("secret-inside")


def test_a_bug_of_ours_is_503_and_says_nothing_of_its_inside(world: World) -> None:
    broken: Sender = Broken()
    answer = made.rebuilt(world, senders={NAME: broken}).post(f"/webhooks/{NAME}", data=BODY)
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert "secret-inside" not in answer.text


# -- secrets of setup, rate, trace ------------------------------------------------------------------------------------


def test_a_webhook_made_a_moment_ago_is_known_at_once(world: World) -> None:
    assert world.post(BODY).status_code == 202  # the kept secrets are now cached
    with world.store.unit("setup") as unit:
        keys.keep_webhooks(unit.conn, NAME, [("newhook", "Account.create", "new-secret")], START)
    answer = world.post(b'[{"id":"n1"}]', hook="newhook", secret="new-secret", path=f"/webhooks/{NAME}")
    assert answer.status_code == 202
    assert (world.rows()[-1].entity, world.rows()[-1].event) == ("Account", "create")


def test_a_secret_taken_back_is_refused_after_a_few_seconds(world: World) -> None:
    assert world.post(BODY, hook=HOOK, secret=HOOK_SECRET).status_code == 202
    with world.store.unit("gone") as unit:
        unit.conn.exec_driver_sql("DELETE FROM webhooks")
    world.clock.seconds += 5
    assert world.post(BODY, hook=HOOK, secret=HOOK_SECRET).status_code == 401


def test_there_is_no_rate_limit_unless_one_is_set(tmp_path: Path, world: World) -> None:
    assert {world.post(BODY).status_code for _ in range(200)} == {202}


def test_over_the_rate_the_sender_shall_come_again(tmp_path: Path) -> None:
    world = made.make(tmp_path, rate_limit=6)
    assert [world.post(BODY, secret="wrong").status_code for _ in range(10)] == [401] * 10  # costs the sender nothing
    assert [world.post(BODY).status_code for _ in range(8)] == [202] * 6 + [503] * 2
    refused = world.post(BODY)
    assert int(refused.headers["Retry-After"]) == 10
    world.clock.seconds += 10
    assert world.post(BODY).status_code == 202
    world.store.engine.dispose()


@pytest.mark.parametrize(
    ("given", "kept"),
    [("req-1.a_B", True), ("", False), ("a" * 41, False), ("with space", False), ('"><script>', False), ("-x", False)],
)
def test_the_trace_is_the_callers_when_it_looks_like_one(world: World, given: str, kept: bool) -> None:
    answer = world.post(BODY, headers={"X-Request-Id": given})
    trace = answer.headers["X-Trace"]
    assert (trace == given) is kept
    assert world.rows()[0].trace == trace


def test_what_is_kept_is_the_raw_body_and_the_headers_that_matter(world: World) -> None:
    told = {"Cookie": "a=b", "Authorization": "Bearer x", "User-Agent": "curl", "X-Signature": old_signature(BODY)}
    assert world.post(BODY, headers=told).status_code == 202
    with world.store.reading() as conn:
        (row,) = conn.execute(select(deliveries)).all()
    assert bytes(row.body) == BODY
    assert set(json.loads(row.headers)) == {"Signature", "X-Signature", "Content-Type", "User-Agent"}


# -- whatever comes ---------------------------------------------------------------------------------------------------

words = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=60)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.just("id"), inner, max_size=4),
    max_leaves=20,
)
bodies = st.binary(max_size=200) | anything.map(json.dumps).map(str.encode)
bodies |= st.lists(anything, max_size=5).map(json.dumps).map(str.encode)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = made.make(tmp_path_factory.mktemp("fuzz"))
    yield world
    world.store.engine.dispose()


@settings(max_examples=500, deadline=None)
@given(
    body=bodies,
    right=st.booleans(),
    tail=st.text(st.characters(codec="utf-8", exclude_characters="?#"), max_size=20),
    headers=st.dictionaries(
        st.sampled_from(["Signature", "X-Signature", "Content-Type", "X-Request-Id", "User-Agent", "Accept"]), words
    ),
)
def test_whatever_comes_a_sender_gets_an_answer_it_understands(
    lasting: World, body: bytes, right: bool, tail: str, headers: dict[str, str]
) -> None:
    if right:
        headers["Signature"] = signature(body)
    before = lasting.count()
    answer = lasting.client.post(f"/webhooks/{NAME}/{tail}", data=body, headers=headers)
    assert answer.status_code in ({202, 400, 404} if right else {401, 404}), answer.text
    assert answer.status_code not in FORBIDDEN
    if answer.status_code == 202:
        told = answer.json
        assert told["accepted"] + told["duplicates"] + told["parked"] == len(json.loads(body))
        assert lasting.count() == before + told["accepted"] + told["parked"]
    else:
        assert lasting.count() == before
        assert answer.json["status"] == answer.status_code
