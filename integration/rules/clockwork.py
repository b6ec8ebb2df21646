"""Slots of periodic work: which of them a moment falls into, and which one was missed. Pure; times are aware.

A slot is a point of the schedule, whoever runs it and however late: two beats, a delayed message and a catching-up all
name the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from integration.settings.values import Cron, Every

_LOOK_BACK = 366 * 4 + 1  # days: the 29th of February comes that seldom


def slot_at(when: Every | Cron, now: datetime, zone: ZoneInfo) -> datetime | None:
    """The latest point of the schedule at or before `now`; UTC. None: a cron line that never came true yet."""
    if isinstance(when, Every):
        return datetime.fromtimestamp(now.timestamp() // when.seconds * when.seconds, UTC)
    local = now.astimezone(zone)
    for back in range(_LOOK_BACK):
        day = local.date() - timedelta(days=back)
        if not _on(when, day):
            continue
        hours, minutes = _numbers(when.hour, 24), _numbers(when.minute, 60)
        for hour in reversed(hours):
            for minute in reversed(minutes):
                # Of an hour that clocks show twice the first is meant; one that they skip comes right after the gap.
                at = datetime.combine(day, time(hour, minute), zone).astimezone(UTC)
                if at <= now:
                    return at
    return None


def missed(
    when: Every | Cron,
    now: datetime,
    zone: ZoneInfo,
    *,
    started: datetime,
    grace: timedelta,
    taken: Callable[[datetime], bool],
) -> datetime | None:
    """The slot that nobody took though its time is over by `grace`: the latest one alone, however many were missed
    before it. What was due before crm1c's first start was never missed."""
    slot = slot_at(when, now, zone)
    if slot is None or slot < started or slot > now - grace or taken(slot):
        return None
    return slot


def _on(when: Cron, day: date) -> bool:
    weekday = str((day.weekday() + 1) % 7)  # Sunday is 0
    fields = ((when.month_of_year, str(day.month)), (when.day_of_month, str(day.day)), (when.day_of_week, weekday))
    return all(field == "*" or value in field.split(",") for field, value in fields)


def _numbers(field: str, end: int) -> list[int]:
    return list(range(end)) if field == "*" else [int(one) for one in field.split(",")]
