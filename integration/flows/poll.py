"""The poll: what webhooks lost comes this way (a CRM gives up after half an hour, and is silent about some changes)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from integration.flows.accept import POLLED
from integration.flows.deal import told_mark
from integration.flows.origin import starts
from integration.services import Services
from integration.work import Arrival, new_id
from mappers.canonical import Deal


def poll(services: Services, crm_name: str) -> int:
    """Read the deals changed since the watermark, minus an overlap; each that is news becomes an event. Returns how
    many. The watermark is the CRM's own latest modifiedAt, and moves after each page is committed."""
    crm, table = services.crms[crm_name], services.settings.crm[crm_name]
    mark = f"poll:{crm_name}"
    kept = services.store.watermark(mark)
    mark_at = datetime.fromisoformat(kept) if kept else _beginning(services, table.since)
    since = mark_at - timedelta(seconds=table.poll_overlap)
    found, offset, more = 0, 0, True
    while more:
        deals, more = crm.ask(crm.say.changed_deals(since, offset))
        arrivals = [_arrival(crm_name, deal) for deal in deals if _is_news(services, crm_name, deal)]
        if arrivals:
            due, _parked = services.store.receive(arrivals, b"", {}, new_id())
            found += len(due)
        latest = max((deal.modified_at for deal in deals), default=since)
        # Not by offset alone: a deal that is edited between two pages moves to the end and lets another slip through.
        offset = offset + len(deals) if latest <= since else 0
        since = max(since, latest)
        if latest > mark_at:
            services.store.set_watermark(mark, latest.isoformat())
            mark_at = latest
        more = more and bool(deals)
    return found


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
