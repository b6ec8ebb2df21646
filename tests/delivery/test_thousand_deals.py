"""A thousand deals at once while 1C loses three answers of ten after it wrote: a thousand invoices, none twice."""

from __future__ import annotations

import os
import time

import pytest

from tests.delivery.beside import CLIENTS, CONTRACTS, INVOICES
from tests.delivery.conftest import Planted, Told
from tests.delivery.evidence import blind_creates, creates, told_wrong
from tests.delivery.plant import Plant

pytestmark = pytest.mark.slow

DEALS = int(os.environ.get("CRM1C_TEST_DEALS", "200"))  # `make chaos` takes the thousand
SESSIONS = 3
LOST, REFUSED = 0.3, 0.1


def ail(plant: Plant) -> None:
    """1C loses answers of what it carried out, and refuses some calls of any kind."""
    plant.fault("onec", kind="lost_answer", match={"method": "POST|PATCH"}, probability=LOST, seed=1)
    plant.fault("onec", kind="status", status=503, probability=REFUSED, seed=2)


def test_each_deal_has_one_invoice_though_answers_are_lost(planted: Planted, told: Told) -> None:
    """One invoice a deal and one client an ИНН; no create is repeated without a search between; every deal shows its
    number; nothing is parked; 1C never sees more calls at once than it allows sessions."""
    # Rows that wait their turn are not called again meanwhile: there are a thousand of them.
    plant = planted(onec={"main": {"max_sessions": SESSIONS}}, delivery={"sweep_grace": 30})
    web, worker = plant.web(), plant.worker()
    plant.beat()
    deals = plant.deals(DEALS, accounts=max(1, DEALS // 5))
    ail(plant)
    began = time.monotonic()
    assert set(plant.send(deals)) == {202}
    sent = time.monotonic() - began
    plant.settled(900, events=DEALS)
    took = time.monotonic() - began
    calls, stats = plant.calls("onec"), plant.stats("onec")
    lost = sum(call["fault"] == "lost_answer" for call in calls)
    paused = worker.log.read_text().count("очередь приостановлена")
    told(
        f"{DEALS} deals: sent in {sent:.1f} s, done in {took:.0f} s ({DEALS / took:.1f} a second), "
        f"{len(calls)} calls to 1C, {lost} answers lost, {sum(call['status'] == 503 for call in calls)} refused, "
        f"{stats['max_concurrency']} at once, {stats['max_sessions']} sessions, "
        f"circuit opened {paused} times"
    )
    assert plant.parked() == []
    assert {state for _, state in plant.counts()} == {"done"}
    assert told_wrong(plant, deals) == []
    assert stats["documents"][INVOICES] == DEALS
    assert stats["objects"][CLIENTS] == stats["objects"][CONTRACTS] == max(1, DEALS // 5)
    assert lost > DEALS * LOST / 2, "the fault did not fire"
    assert blind_creates(calls) == []
    assert len({identity for identity in creates(calls) if identity[0] == INVOICES}) == DEALS
    assert stats["max_concurrency"] <= SESSIONS
    assert web.running
    assert worker.running
