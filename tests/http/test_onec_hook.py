"""POST /webhooks/onec: 1C's own notices, signed with the base's secret."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from integration.http.app import create_app
from mappers.dialect import Delivery
from mappers.onec.hook import OnecHook
from tests.http.world import World, rebuilt

SECRET = "secret-of-the-base"
REF = "5d0b3a8e-2f41-5c77-9e0d-1a2b3c4d5e6f"
ITEM = {
    "set": "Catalog_Контрагенты",
    "ref": REF.upper(),
    "event": "write",
    "id": "0c8f7f6e-5f4a-4c1f-9b1a-1c0c0b1c1c0c",
}
HOOK = OnecHook({"main": (SECRET, "the-old-one"), "other": ("of-another",)})


def post(world: World, items: Any, secret: str = SECRET, base: str = "main") -> Any:
    raw = json.dumps(items, ensure_ascii=False).encode()
    digest = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    client = rebuilt(world, senders={"onec": HOOK})
    return client.post("/webhooks/onec", data=raw, headers={"X-Crm1c-Signature": f"{base}:{digest}"})


def test_a_notice_of_1c_is_written_down(world: World) -> None:
    answer = post(world, [ITEM])
    assert (answer.status_code, answer.json) == (202, {"accepted": 1, "duplicates": 0, "parked": 0})
    [row] = world.rows()
    assert (row.source, row.entity, row.event, row.record_id, row.webhook_id) == (
        "onec", "Catalog_Контрагенты", "write", REF, "main"
    )  # fmt: skip


def test_a_repeated_row_of_the_outbox_is_known(world: World) -> None:
    post(world, [ITEM])
    assert post(world, [ITEM]).json == {"accepted": 0, "duplicates": 1, "parked": 0}


@pytest.mark.parametrize(
    ("secret", "base"), [("wrong", "main"), ("of-another", "main"), (SECRET, "other"), ("", "main")]
)
def test_a_signature_of_nobody(world: World, secret: str, base: str) -> None:
    assert post(world, [ITEM], secret, base).status_code == 401
    assert world.count() == 0


def test_both_secrets_live_while_one_is_rotated(world: World) -> None:
    assert post(world, [ITEM], "the-old-one").status_code == 202


@pytest.mark.parametrize("items", [[], {}, [{"set": "x"}], [{**ITEM, "ref": "1"}], ["text"], [{**ITEM, "set": "../x"}]])
def test_what_is_not_the_format(world: World, items: Any) -> None:
    assert post(world, items).status_code == 400


def test_one_bad_item_stops_no_other(world: World) -> None:
    assert post(world, [ITEM, {"set": "?"}]).json == {"accepted": 1, "duplicates": 0, "parked": 1}


def test_an_odd_header_is_no_signature() -> None:
    for header in ("", "main", "main:zz", "main:" + "0" * 63, "é:" + "0" * 64):
        assert HOOK.authentic(Delivery(b"[]", {"x-crm1c-signature": header}), (), {}) is None


def test_without_a_secret_there_is_no_such_door(world: World) -> None:
    client = create_app(world.parts).test_client()
    answer = client.post("/webhooks/onec", data=b"[]")
    assert answer.status_code == 404
    assert "не задан webhook_secret ни в одной таблице [onec.NAME]" in answer.json["detail"]
    assert "webhook_secret" not in client.post("/webhooks/nobody", data=b"[]").json["detail"]
