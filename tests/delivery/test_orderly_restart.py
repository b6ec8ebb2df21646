"""Parts that are told to stop make their calls first: a restart costs nobody the sweep's pause."""

from __future__ import annotations

import pytest

from tests.delivery.conftest import Planted
from tests.delivery.evidence import told_wrong
from tests.servers.wait import until

pytestmark = pytest.mark.slow

DEALS = 200  # more than the web can have called for when the last one is answered


def test_a_restart_of_web_and_worker_leaves_nothing_to_the_sweep(planted: Planted) -> None:
    """The web stops right after its last answer, a worker amid its work; another one does the rest, and no row had to
    be called by the sweep (none runs)."""
    plant = planted(delivery={"sweep_grace": 600})
    web = plant.web()
    deals = plant.deals(DEALS, accounts=10)
    assert set(plant.send(deals)) == {202}
    web.stop()
    assert plant.called("crm1c.inbox") == {row for (row,) in plant.rows("SELECT id FROM inbox")}
    worker = plant.worker()
    until(lambda: len(plant.invoices()) > DEALS // 4, 60, what="the work is under way")
    worker.stop()
    assert len(plant.invoices()) < DEALS, "the worker had done everything before it was told to stop"
    assert not any(state == "running" for _, state in plant.counts())
    plant.worker()
    plant.settled(120, events=DEALS)
    assert told_wrong(plant, deals) == []
    assert plant.rows("SELECT max(wakes), max(deaths) FROM outbox") == [(0, 0)]
