"""The schedule as points in time: the slot of a moment, and what was missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.rules.clockwork import missed, slot_at
from integration.settings.values import Cron, Every, schedule

MOSCOW, BERLIN = ZoneInfo("Europe/Moscow"), ZoneInfo("Europe/Berlin")
GRACE = timedelta(minutes=2)
LINES = ["0 2 * * *", "*/15 * * * *", "30 2 1 * *", "5 9-17 * * mon-fri", "59 23 31 12 *", "0 0 29 2 *", "0 2,14 * * 0"]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "now", "slot"),
    [
        ("0 2 * * *", "2026-11-24T23:00:00", "2026-11-24T23:00:00"),  # two o'clock in Moscow
        ("0 2 * * *", "2026-11-24T22:59:59", "2026-11-23T23:00:00"),
        ("0 2 * * *", "2026-11-25T22:00:00", "2026-11-24T23:00:00"),
        ("30 2 1 * *", "2026-11-24T12:00:00", "2026-10-31T23:30:00"),
        ("0 12 * * mon", "2026-11-24T12:00:00", "2026-11-23T09:00:00"),
        ("0 12 * * 0", "2026-11-24T12:00:00", "2026-11-22T09:00:00"),
        ("0 0 29 2 *", "2026-11-24T12:00:00", "2024-02-28T21:00:00"),
        ("every 30m", "2026-11-24T12:29:59", "2026-11-24T12:00:00"),
        ("every 60s", "2026-11-24T12:29:59", "2026-11-24T12:29:00"),
    ],
)
def test_the_slot_of_a_moment_is_the_last_point_of_the_schedule(line: str, now: str, slot: str) -> None:
    """In the configured zone; the same for whoever asks within it, and however late."""
    assert slot_at(schedule(line), at(now), MOSCOW) == at(slot)


@given(st.sampled_from(LINES), st.integers(0, 5 * 366 * 86_400))
def test_a_slot_is_before_its_moment_and_its_own_slot(line: str, seconds: int) -> None:
    """And nothing lies between: the slot of any moment in between is the same."""
    when, now = schedule(line), at("2025-01-01T00:00:00") + timedelta(seconds=seconds)
    for zone in (MOSCOW, BERLIN):
        slot = slot_at(when, now, zone)
        assert slot is not None
        assert slot <= now
        assert slot_at(when, slot, zone) == slot
        assert slot_at(when, slot + (now - slot) / 2, zone) == slot


@pytest.mark.parametrize("line", ["0 2 * * *", "every 30m"])
def test_what_was_missed_is_caught_up_once(line: str) -> None:
    """Beats stood still for three days: the last slot alone is run now, and after it nothing is missed."""
    when, now, taken = schedule(line), at("2026-11-24T12:10:00"), set[datetime]()

    def look(moment: datetime = now, started: str = "2026-11-01T00:00:00") -> datetime | None:
        return missed(when, moment, MOSCOW, started=at(started), grace=GRACE, taken=taken.__contains__)

    slot = look()
    assert slot == slot_at(when, now, MOSCOW)
    assert slot is not None
    taken.add(slot)
    assert look() is None
    assert look(slot + timedelta(minutes=1)) is None


@pytest.mark.parametrize(("minutes", "caught"), [(0, False), (1, False), (2, True), (60, True)])
def test_the_beats_own_message_comes_first(minutes: int, caught: bool) -> None:
    """Within the grace it is left to do its work."""
    when = Cron("0", "2", "*", "*", "*")
    now = at("2026-11-23T23:00:00") + timedelta(minutes=minutes)
    found = missed(when, now, MOSCOW, started=at("2026-01-01T00:00:00"), grace=GRACE, taken=lambda _: False)
    assert (found is not None) == caught


def test_nothing_was_missed_before_the_first_start() -> None:
    """Installed at noon: last night is not caught up."""
    for when in (Cron("0", "2", "*", "*", "*"), Every(1800.0)):
        now = at("2026-11-24T12:10:00")
        assert missed(when, now, MOSCOW, started=now - timedelta(minutes=5), grace=GRACE, taken=lambda _: False) is None
