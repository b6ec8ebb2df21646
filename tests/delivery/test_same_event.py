"""The same fact told many times, at once and in any order, is one piece of work; 1C's sessions are never exceeded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.delivery.beside import INVOICES
from tests.delivery.conftest import Planted, Told
from tests.delivery.evidence import changes_of, creates, posts_of, told_wrong

pytestmark = pytest.mark.slow

TIMES, PAIRS, SESSIONS = 50, 20, 3


def test_the_same_webhook_fifty_times_at_once_is_one_event(planted: Planted) -> None:
    """While it waits, an identical body merges into the waiting event: one row, one duty, one invoice."""
    plant = planted(web={"processes": 2})
    plant.web()
    (deal,) = plant.deals(1)
    assert set(plant.send([deal] * TIMES, threads=TIMES)) == {202}
    assert plant.counts() == {("inbox", "due"): 1}
    plant.worker()
    plant.settled(60, events=1)
    assert plant.counts()["inbox", "done"] == 1
    assert plant.rows("SELECT count(*) FROM outbox WHERE kind = 'invoice'") == [(1,)]
    assert plant.parked() == []
    assert told_wrong(plant, [deal]) == []


def test_webhooks_that_come_while_the_work_goes_on_make_one_invoice(planted: Planted, told: Told) -> None:
    """Two workers, and the same webhook fifty times while they work; and "create" with "update" of twenty deals in
    both orders, at once: one invoice, one write of the deal and one post each, never more calls in 1C than sessions."""
    plant = planted(onec={"main": {"max_sessions": SESSIONS}}, web={"processes": 2})
    plant.web()
    for _ in range(2):
        plant.worker("--concurrency", "4")
    plant.beat()
    same, *pairs = plant.deals(PAIRS + 1, accounts=5)
    plant.fault("onec", kind="latency", seconds=0.05)  # so that calls meet
    notices = [(same, "update")] * TIMES
    for number, deal in enumerate(pairs):
        notices += [(deal, "create"), (deal, "update")] if number % 2 else [(deal, "update"), (deal, "create")]
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda notice: plant.notify(*notice), notices)) == {202}
    plant.settled(180, events=PAIRS * 2)
    assert plant.parked() == []
    assert told_wrong(plant, [same, *pairs]) == []
    written, posts = changes_of(plant), posts_of(plant)
    assert {written[deal] for deal in (same, *pairs)} == {1}
    assert {posts[deal] for deal in (same, *pairs)} == {1}
    made = [times for (name, _), times in creates(plant.calls("onec")).items() if name == INVOICES]
    assert made == [1] * (PAIRS + 1)
    stats = plant.stats("onec")
    assert stats["max_concurrency"] == SESSIONS
    told(
        f"{len(notices)} webhooks about {PAIRS + 1} deals, two workers of four: {plant.counts()}, "
        f"{stats['max_concurrency']} calls to 1C at once"
    )
