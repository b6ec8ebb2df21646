"""What the application does about a broker that is away, without one."""

from __future__ import annotations

import pytest
from kombu.exceptions import OperationalError
from kombu.utils import functional

from integration.settings import read
from tasks.app import RECONNECT_CAP, create


def test_a_lost_broker_is_tried_every_few_seconds_however_long_it_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between two tries stop growing at the cap."""
    monkeypatch.setattr(functional, "sleep", lambda _seconds: None)
    tables = {
        "database": {"url": "sqlite:///crm1c.db"},
        "broker": {"url": "amqp://crm1c@127.0.0.1:1/crm1c"},
        "redis": {"url": "redis://127.0.0.1:1/0"},
    }
    pauses: list[float] = []
    connection = create(read(tables, {})).connection_for_read()
    with pytest.raises(OperationalError):
        connection.ensure_connection(lambda _error, pause: pauses.append(pause), 9)
    assert max(pauses) == pauses[-1] == RECONNECT_CAP
