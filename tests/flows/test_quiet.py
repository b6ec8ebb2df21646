"""Quiet hours: how long a notice waits."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from integration.flows.notice import seconds_of_quiet

MOSCOW = ZoneInfo("Europe/Moscow")


@pytest.mark.parametrize(
    ("quiet", "clock", "hours"),
    [
        ("21:00-08:00", "20:59", 0),
        ("21:00-08:00", "21:00", 11),
        ("21:00-08:00", "23:30", 8.5),
        ("21:00-08:00", "00:00", 8),
        ("21:00-08:00", "07:30", 0.5),
        ("21:00-08:00", "08:00", 0),
        ("12:00-14:00", "13:00", 1),
        ("12:00-14:00", "14:00", 0),
        ("12:00-14:00", "11:59", 0),
    ],
)
def test_a_notice_waits_until_the_hours_end(quiet: str, clock: str, hours: float) -> None:
    """Over midnight, and within a day."""
    now = datetime.fromisoformat(f"2026-11-24T{clock}").replace(tzinfo=MOSCOW)
    assert seconds_of_quiet(quiet, now) == hours * 3600
