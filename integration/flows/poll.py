"""The poll: what webhooks lost comes this way (a CRM gives up after half an hour, and is silent about some changes)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol, TypeVar

from integration.flows.accept import POLLED
from integration.flows.deal import told_mark
from integration.flows.origin import starts
from integration.services import Services
from integration.work import Arrival, new_id
from mappers.canonical import Deal
from mappers.dialect import Talk


class Changed(Protocol):
    """A record with the CRM's own time of its last change."""

    @property
    def modified_at(self) -> datetime | None: ...


R = TypeVar("R", bound=Changed)


def poll(services: Services, crm_name: str) -> int:
    """Read the deals changed since the watermark; each that is news becomes an event. Returns how many."""
    beginning = _beginning(services, services.settings.crm[crm_name].since)

    def news(deal: Deal) -> Arrival | None:
        return _arrival(crm_name, deal) if _is_news(services, crm_name, deal) else None

    changed = services.crms[crm_name].say.changed_deals
    return polled(services, crm_name, f"poll:{crm_name}", beginning, changed, news)


def polled(
    services: Services,
    crm_name: str,
    mark: str,
    beginning: datetime,
    page: Callable[[datetime, int], Talk[tuple[list[R], bool]]],
    news: Callable[[R], Arrival | None],
) -> int:
    """Read the records changed since the watermark `mark` (`beginning`: before there is one), minus an overlap, page by
    page; what `news` makes of them is received. Returns how many are new. The watermark is the CRM's own latest
    modifiedAt, and moves after each page is committed."""
    crm, overlap = services.crms[crm_name], services.settings.crm[crm_name].poll_overlap
    kept = services.store.watermark(mark)
    mark_at = datetime.fromisoformat(kept) if kept else beginning
    since = mark_at - timedelta(seconds=overlap)
    found, offset, more = 0, 0, True
    while more:
        records, more = crm.ask(page(since, offset))
        found += received(services, [one for record in records if (one := news(record)) is not None])
        latest = max((record.modified_at for record in records if record.modified_at), default=since)
        # Not by offset alone: a record that is edited between two pages moves to the end and lets another slip through.
        offset = offset + len(records) if latest <= since else 0
        since = max(since, latest)
        if latest > mark_at:
            services.store.set_watermark(mark, latest.isoformat())
            mark_at = latest
        more = more and bool(records)
    return found


def received(services: Services, arrivals: Sequence[Arrival]) -> int:
    """Commit what was found; returns how many of them are new."""
    if not arrivals:
        return 0
    due, _parked = services.store.receive(arrivals, b"", {}, new_id())
    return len(due)


def _beginning(services: Services, since: date | None) -> datetime:
    day = starts(services, since)
    return datetime.combine(day, time(), services.settings.schedule.timezone).astimezone(UTC)


def _is_news(services: Services, crm: str, deal: Deal) -> bool:
    """A deal in the invoice stage without an invoice, or with one; and its version is not the one we last wrote."""
    with services.store.looking() as known:
        links = [link for link in known.of_record(crm, "deal", deal.id) if link.kind == "invoice"]
    if not links:
        asks = deal.stage == services.settings.invoicing.crm_stage
        return asks and (not deal.version or services.store.watermark(told_mark(crm, deal.id)) != deal.version)
    return all(link.crm_version != deal.version for link in links)


def _arrival(crm: str, deal: Deal) -> Arrival:
    """Each version of a deal arrives once, however often the overlap shows it."""
    return Arrival(crm, "deal", POLLED, deal.id, b"{}", event_id=f"poll:{deal.id}:{deal.version or deal.modified_at}")
