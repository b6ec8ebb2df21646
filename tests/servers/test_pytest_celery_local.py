"""pytest-celery's fixtures on private processes."""

from __future__ import annotations

import pytest
from pytest_celery import CeleryTestSetup
from pytest_celery.vendors.worker.tasks import add, identity

from tests.servers.wait import until

pytestmark = pytest.mark.servers


def test_a_task_is_sent_executed_and_answered(celery_setup: CeleryTestSetup) -> None:
    """The plugin's own readiness checks pass, with a task, a control command and the nodes' states."""
    assert celery_setup.ready(ping=True, control=True, docker=True)
    assert add.s(2, 3).apply_async().get(timeout=20) == 5
    assert celery_setup.app.conf.broker_url.startswith("amqp://")


def test_a_killed_worker_comes_back_to_its_queue(celery_setup: CeleryTestSetup) -> None:
    """The nodes' kill and restart act on the real process; what was sent meanwhile is executed."""
    assert celery_setup.ready()
    celery_setup.worker.kill()
    assert celery_setup.worker.container.status == "exited"
    result = identity.s("waited").apply_async()
    celery_setup.worker.restart()
    assert result.get(timeout=20) == "waited"


def test_a_task_waits_while_the_broker_is_away(celery_setup: CeleryTestSetup) -> None:
    """The worker connects again by itself after the broker was restarted."""
    assert celery_setup.ready()
    celery_setup.broker.restart()
    until(lambda: celery_setup.app.control.ping(timeout=1), 30, what="the worker is back", ignoring=(OSError,))
    assert identity.s("after").apply_async().get(timeout=20) == "after"
