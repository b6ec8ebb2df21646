"""Notices to managers: something waits for you, money came, a bonus accrued. One notice a cause and channel.

The CRM is written to at once: a line in a stream wakes nobody. Mail and other services wait for the end of quiet hours.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from integration.services import Services
from integration.work import Duty, Letter, Outcome, Owed, own_key
from mappers.canonical import Deal


def owed_notice(services: Services, crm: str, deal: str, cause: str, text: str) -> tuple[Owed, ...]:
    """One duty a channel. `cause`: what the notice is about, for ever the same: a second one of it says nothing."""
    made = []
    for channel in services.settings.notices.channels:
        key = f"{crm}:notice-{channel}:{hashlib.sha256(cause.encode()).hexdigest()[:32]}:{deal}"
        payload = {"crm": crm, "deal": deal, "cause": cause, "text": text, "channel": channel}
        delay = 0.0 if channel == "crm" else _until_morning(services)
        made.append(Owed("notice", f"crm:{crm}", key, payload, merge=key, delay=delay))
    return tuple(made)


def notice(services: Services, duty: Duty) -> Outcome:
    """The duty "notice": payload {crm, deal, cause, text, channel}."""
    crm_name, deal_id, cause = duty.payload["crm"], duty.payload["deal"], duty.payload["cause"]
    text, channel = duty.payload["text"], duty.payload["channel"]
    with services.store.unit("look for notice") as unit:
        if unit.papers.noticed(cause, channel):
            return Outcome("unchanged", "Об этом уже сказано")
    crm = services.crms[crm_name]
    deal = crm.ask(crm.say.deal(deal_id))
    if deal is None:
        return Outcome("skipped", "Сделка удалена в CRM")
    if channel == "crm":
        crm.ask(crm.say.note(deal_id, text))
    elif channel == "mail":
        if not _mailed(services, crm_name, deal, cause, text):
            return Outcome("skipped", "Почта менеджера неизвестна")
    elif services.bell is not None:
        services.bell(f"{deal.name}: {text}")
    with services.store.unit("note notice") as unit:
        unit.papers.note(cause, channel)
    return Outcome("done", f"Менеджеру сказано ({channel}): {text}")


def _mailed(services: Services, crm_name: str, deal: Deal, cause: str, text: str) -> bool:
    """A short letter to the deal's manager; the same cause has the same Message-ID."""
    crm, mailer = services.crms[crm_name], services.mailer
    to = crm.ask(crm.say.user_email(deal.manager_id)) if deal.manager_id else ""
    if mailer is None or not mailer.address(to):
        return False
    body, day = f"{deal.name}\n\n{text}\n", services.now()
    html = f"<p><b>{_plain(deal.name)}</b></p><p>{_plain(text)}</p>"
    message_id = mailer.message_id(own_key(crm_name, "notice", cause))
    mailer.send(Letter(mailer.address(to), f"{deal.name}: {text}"[:150], body, html, message_id, day))
    return True


def _until_morning(services: Services) -> float:
    """Seconds until the quiet hours end; 0 outside of them."""
    quiet = services.settings.notices.quiet
    return seconds_of_quiet(quiet, services.now().astimezone(services.settings.schedule.timezone)) if quiet else 0.0


def seconds_of_quiet(quiet: str, now: datetime) -> float:
    """How long "21:00-08:00" still lasts at `now`, a time in the zone of its hours."""
    begins, ends = (part.split(":") for part in quiet.split("-"))
    start = now.replace(hour=int(begins[0]), minute=int(begins[1]), second=0, microsecond=0)
    end = now.replace(hour=int(ends[0]), minute=int(ends[1]), second=0, microsecond=0)
    if end <= start:  # over midnight
        start, end = (start - timedelta(days=1), end) if now < end else (start, end + timedelta(days=1))
    return (end - now).total_seconds() if start <= now < end else 0.0


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
