"""GET /api/deals/NAME/ID: the whole story of a deal's money, sums as text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from integration.http.app import create_app
from integration.http.parts import Parts
from tests.flows.books import Books
from tests.flows.town import Town

TOKEN = "a-token-for-reading"


def test_the_whole_story_of_a_deal(town: Town, tmp_path: Path) -> None:
    """What was invoiced, delivered and paid, where each payment went and why, and what is left on the account."""
    town.secrets["API"] = TOKEN
    town.reset(tmp_path, {"security": {"tokens": ["env:API"]}})
    books = Books(town)
    retained = {"cRetentionAmount": 500_000, "cRetentionAmountCurrency": "RUB", "cRetentionDate": "2027-02-24"}
    deal = books.deal(10_000_000, **retained)
    assert (told(town, deal)["status"], told(town, deal)["acts"]) == ("issued", [])
    bill = books.bill(deal)
    books.act(10_000_000, bill)
    books.pay(6_000_000, bill)
    books.pay(5_000_000, purpose=f"Оплата по счету № {town.invoice(deal)['Number']}")
    books.pull()
    story = told(town, deal)
    assert (story["percent"], story["status"], story["flags"], story["advance"], story["currency"]) == (
        "100.0", "closed", ["overpaid"], "1000000.00", "RUB",
    )  # fmt: skip
    assert (story["invoice"]["amount"], story["invoice"]["ref_key"]) == ("10000000.00", bill)
    [act] = story["acts"]
    assert (act["amount"], act["paid"], act["status"], act["signed"]) == ("10000000.00", "10000000.00", "closed", True)
    assert [(one["amount"], one["allocated"], one["advance"]) for one in story["payments"]] == [
        ("6000000.00", "6000000.00", "0.00"), ("5000000.00", "4000000.00", "1000000.00"),
    ]  # fmt: skip
    assert sorted((one["amount"], one["rule"], one["instalment"]) for one in story["allocations"]) == [
        ("3500000.00", "purpose", "regular"), ("500000.00", "purpose", "retention"),
        ("6000000.00", "explicit", "regular"),
    ]  # fmt: skip
    assert (story["refunds"], story["contract"]["debt"], story["contract"]["advance"]) == ([], "0.00", "1000000.00")
    books.refund(1_200_000)
    books.pull()
    story = told(town, deal)
    assert [(one["amount"], one["currency"]) for one in story["refunds"]] == [("1200000.00", "RUB")]
    assert (story["percent"], story["contract"]["debt"], story["contract"]["refunded"]) == (
        "98.0", "200000.00", "1200000.00",
    )  # fmt: skip
    assert all(one["exchange_difference"] is None for one in story["allocations"])
    assert all(one["explanation"] and one["rate"] is None for one in story["allocations"])


def test_the_exchange_difference_stands_beside_the_debt(town: Town, tmp_path: Path) -> None:
    """A dollar deal paid before it was owed: what rates made of it is told in roubles, the debt is in dollars alone."""
    town.secrets["API"] = TOKEN
    town.reset(tmp_path, {"security": {"tokens": ["env:API"]}})
    books = Books(town)
    for day, rate in (("2026-11-20", 90), ("2026-11-24", 95)):
        books.rate("840", day, rate)
    deal = books.deal(200, amountCurrency="USD")
    books.pay(100, books.bill(deal), "2026-11-21")
    books.act(200, books.bill(deal))
    books.pull()
    story = told(town, deal)
    assert (story["percent"], story["contract"]["debt"], story["contract"]["currency"]) == ("50.0", "100.00", "USD")
    [allocation] = story["allocations"]
    assert (allocation["amount"], allocation["exchange_difference"]) == ("100.00", "-500.00")


def told(town: Town, deal: str) -> dict[str, Any]:
    world = town.world
    parts = Parts(world.settings, world.store, {}, {}, town.now, clock=time.monotonic)
    client = create_app(parts).test_client()
    answer = client.get(f"/api/deals/espo/{deal}", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())
