"""The first run: what is older than the start is read for links and balances, and causes no document."""

from __future__ import annotations

from datetime import UTC, date, datetime

from integration.services import Services

STARTED = "started"  # the watermark that keeps the time of the first start, ISO 8601


def older_than_start(services: Services, crm: str, created_at: datetime) -> bool:
    """Is a record of this age older than `[crm.NAME] since` (default: the first of the month of the first start)?"""
    zone = services.settings.schedule.timezone
    return created_at.astimezone(zone).date() < starts(services, services.settings.crm[crm].since)


def starts(services: Services, since: date | None) -> date:
    """The day from which records cause documents, in 1C's zone."""
    if since is not None:
        return since
    started = services.store.watermark(STARTED)
    moment = datetime.fromisoformat(started) if started else services.now()
    return moment.astimezone(services.settings.schedule.timezone).date().replace(day=1)


def mark_start(services: Services) -> None:
    """Note the time of the first start, once."""
    if services.store.watermark(STARTED) is None:
        services.store.set_watermark(STARTED, services.now().astimezone(UTC).isoformat())
