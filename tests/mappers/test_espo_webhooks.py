"""EspoCRM's webhooks: signatures of our own recordings and of the observed ones, routing, and garbage."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers.crm.espocrm import EspoCrm
from mappers.dialect import Delivery
from tests.mappers.replay import RECORDINGS, recorded, replay

ESPO = EspoCrm({"api_key": "k"})
SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "samples" / "espocrm"


def requests_in(folder: Path) -> list[Path]:
    """The recorded requests; the folder also holds exchanges and notes on experiments."""
    return [path for path in sorted(folder.glob("webhook_*.json")) if '"body_raw"' in path.read_text()]


OWN, OBSERVED = requests_in(RECORDINGS / "espocrm"), requests_in(SAMPLES)
WEBHOOK = "7a1c2c44f0e19b3d1"
DEAL = "7a1c3e90b4d25f681"


def received(path: Path) -> tuple[Delivery, dict[str, str]]:
    kept = json.loads(path.read_text())
    headers = {name.lower(): value for name, value in kept["headers"]}
    tail = kept["path"].removeprefix("/webhooks/espo/").removeprefix("/ok/")
    return Delivery(kept["body_raw"].encode(), headers, tail), kept["webhook"]


def signed(raw: bytes, secret: str = "тайна", webhook: str = WEBHOOK, tail: str = "") -> Delivery:
    digest = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    return Delivery(raw, {"signature": base64.b64encode(f"{webhook}:{digest}".encode()).decode()}, tail)


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_our_recordings_are_authentic(path: Path) -> None:
    """By the webhook's own secret or by a configured one; not by another, and not with a byte changed."""
    prove(path)


@pytest.mark.skipif(not OBSERVED, reason="the observed requests are not beside this checkout")
@pytest.mark.parametrize("path", OBSERVED, ids=lambda path: path.stem)
def test_observed_requests_are_authentic(path: Path) -> None:
    """The same, of requests that a real EspoCRM 9.3.10 sent."""
    prove(path)


def prove(path: Path) -> None:
    delivery, webhook = received(path)
    secret, own = webhook["secretKey"], webhook["id"]
    assert ESPO.authentic(delivery, [], {own: secret}) == own
    assert ESPO.authentic(delivery, ["stale", secret], {own: "rotated"}) == own
    assert ESPO.authentic(delivery, ["stale"], {"another": secret}) is None
    assert ESPO.authentic(Delivery(delivery.raw + b" ", delivery.headers), [secret], {}) is None
    older = {name: value for name, value in delivery.headers.items() if name != "signature"}
    assert ESPO.authentic(Delivery(delivery.raw, older), [secret], {}) == own
    found = ESPO.notices(delivery, own, {own: webhook["event"]})
    assert {f"{notice.entity}.{notice.event}".lower() for notice in found} == {webhook["event"].lower()}
    assert all(notice.webhook_id == own for notice in found)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "!",
        "AAAA",
        "подпись",
        base64.b64encode(b"no colon").decode(),
        base64.b64encode(b"../x:00").decode(),
        "\x00" * 9,
    ],
)
def test_garbage_is_no_signature(header: str) -> None:
    """Whatever stands in the headers, the answer is None."""
    for name in ("signature", "x-signature"):
        assert ESPO.authentic(Delivery(b"[]", {name: header}), ["secret"], {}) is None


def test_an_empty_secret_lets_nobody_sign() -> None:
    """An unset secret in the configuration isn't a key that everybody knows."""
    forged = signed(b"[]", secret="")
    assert ESPO.authentic(forged, [""], {WEBHOOK: ""}) is None


@settings(max_examples=10_000, deadline=None)
@given(
    raw=st.binary(max_size=60) | st.text(alphabet='[]{}":,\\u0123456789abcdefNaInfty. ', max_size=40).map(str.encode),
    signature=st.text(max_size=60) | st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode()),
    older=st.none() | st.binary(max_size=60).map(lambda data: base64.b64encode(b"a:" + data).decode()),
    secret=st.text(max_size=10),
)
def test_nothing_that_arrives_raises(raw: bytes, signature: str, older: str | None, secret: str) -> None:
    """10 000 random requests: no signature passes, a body is taken or refused by ValueError."""
    headers = {"signature": signature} | ({"x-signature": older} if older is not None else {})
    delivery = Delivery(raw, headers, "Opportunity/update")
    assert ESPO.authentic(delivery, [secret], {"a": secret}) is None
    ESPO.stage_of(raw)
    try:
        found = ESPO.notices(delivery, "a", {})
    except ValueError:
        return
    assert any(not notice.problem for notice in found)


@given(
    items=st.lists(
        st.fixed_dictionaries({"id": st.just(DEAL)}, optional={"name": st.text(), "amount": st.integers()}),
        min_size=1,
        max_size=5,
    )
)
def test_every_well_formed_array_is_taken_whole(items: list[dict[str, Any]]) -> None:
    """One notice per item, in order, each keeping its own item."""
    found = ESPO.notices(signed(json.dumps(items).encode(), tail="Opportunity/update"), WEBHOOK, {})
    assert [json.loads(notice.body) for notice in found] == items


@pytest.mark.parametrize(
    ("tail", "routed", "entity", "event"),
    [
        ("Opportunity/update", "", "Opportunity", "update"),
        ("/Opportunity/update/", "", "Opportunity", "update"),
        ("Opportunity.update", "", "Opportunity", "update"),
        ("Opportunity/fieldUpdate.stage", "", "Opportunity", "fieldUpdate.stage"),
        ("CInvoice/create", "Account.update", "CInvoice", "create"),
        ("", "Account.delete", "Account", "delete"),
        ("что угодно", "Account.fieldUpdate.cInn", "Account", "fieldUpdate.cInn"),
        ("", "", "", ""),
        ("Opportunity/updated", "", "", ""),
        ("../Opportunity/update", "", "", ""),
    ],
)
def test_the_event_comes_from_the_path_then_from_setup(tail: str, routed: str, entity: str, event: str) -> None:
    """Neither known: empty, to be found by `webhook_event`."""
    found = ESPO.notices(Delivery(b'[{"id":"a1"}]', {}, tail), WEBHOOK, {WEBHOOK: routed})
    assert (found[0].entity, found[0].event) == (entity, event)


def test_items_without_a_usable_id_are_marked_and_the_rest_is_taken() -> None:
    """The recorded array has one good item of five."""
    delivery, webhook = received(RECORDINGS / "espocrm" / "webhook_mixed_items.json")
    found = ESPO.notices(delivery, webhook["id"], {})
    assert [(notice.record_id, bool(notice.problem)) for notice in found] == [(DEAL, False)] + [("", True)] * 4
    assert found[0].body == b'{"stage":"Negotiation","id":"%s"}' % DEAL.encode()
    assert ESPO.stage_of(found[0].body) == "Negotiation"


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "не JSON"),
        (b"not json", "не JSON"),
        (b"\xff\xfe", "не JSON"),
        (b'{"id":"a1"}', "массивом"),
        (b"[]", "пуст"),
        (b"[NaN]", "не JSON"),
        (b'[{"id":""},{"id":5},7]', "ни одной годной"),
        (b'[{"id":"' + b"a" * 65 + b'"}]', "ни одной годной"),
        (b"[" * 200_000, "вложенность"),
        (b'[{"id":"a1","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}]", "вложенность"),
    ],
)
def test_what_is_not_the_format_is_refused_in_words(raw: bytes, told: str) -> None:
    """ValueError, so that the sender gets 400 and knows why."""
    with pytest.raises(ValueError, match=told):
        ESPO.notices(Delivery(raw, {}, "Opportunity/update"), WEBHOOK, {})


def test_half_a_character_in_an_item_does_not_lose_it() -> None:
    """JSON can spell half of a surrogate pair; the item is kept in ASCII."""
    found = ESPO.notices(Delivery(b'[{"id":"a1","name":"\\ud83d"}]', {}), WEBHOOK, {})
    assert found[0].body == b'{"id":"a1","name":"\\ud83d"}'


@pytest.mark.parametrize(
    ("body", "stage"),
    [
        (b'{"stage":"Proposal","id":"a1"}', "Proposal"),
        (b'{"stage":null}', None),
        (b'{"id":"a1"}', None),
        (b"[1]", None),
        (b"{", None),
    ],
)
def test_the_stage_is_told_where_an_item_names_it(body: bytes, stage: str | None) -> None:
    """A hint, never more."""
    assert ESPO.stage_of(body) == stage


@pytest.mark.parametrize(("name", "event"), [("webhook_read", "Opportunity.update"), ("webhook_gone", None)])
def test_the_event_of_a_foreign_webhook_is_asked(name: str, event: str | None) -> None:
    """A webhook that a person made by hand; None when EspoCRM doesn't show it."""
    step = recorded("espocrm", name, base="https://crm.severles.example", ignored=("X-Api-Key",))
    assert replay(ESPO.webhook_event("7a1c2c44f0e19b3d8"), [step]) == event
    assert replay(ESPO.webhook_event("../User"), []) is None
