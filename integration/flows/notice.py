"""Notices to managers: something waits for you, money came, a bonus accrued. One notice a cause and channel.

The CRM is written to at once: a line in a stream wakes nobody. Mail and other services wait for the end of the
manager's quiet hours, which are looked at when the notice is about to go, in his own time zone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from integration.services import Remote, Services
from integration.work import Duty, Letter, Outcome, Owed, own_key
from mappers.verbs import CrmDialect


def owed_notice(
    services: Services, crm: str, deal: str, cause: str, text: str, *, account: str = "", told: Collection[str] = ()
) -> tuple[Owed, ...]:
    """One duty a channel, for the manager of the deal (of the client, where only `account` is named). `cause`: what the
    notice is about, for ever the same: a second one of it says nothing. `told`: channels that say it otherwise."""
    record = {"deal": deal} if deal else {"account": account}
    payload = {"crm": crm, **record, "cause": cause[:200], "text": text}
    channels = [one for one in services.settings.notices.channels if one not in told]
    return tuple(_owed({**payload, "channel": channel}) for channel in channels)


def notice(services: Services, duty: Duty) -> Outcome:
    """The duty "notice": payload {crm, deal or account, cause, text, channel}."""
    cause, text, channel = duty.payload["cause"], duty.payload["text"], duty.payload["channel"]
    with services.store.unit("look for notice") as unit:
        if unit.papers.noticed(cause, channel):
            return Outcome("unchanged", "Об этом уже сказано")
    about = _about(services, duty.payload)
    if about is None:
        return Outcome("skipped", "Запись удалена в CRM")
    if channel == "crm":
        about.write(text)
    elif left := _quiet(services, about):
        again = _owed(duty.payload, delay=left)
        return Outcome("skipped", f"Часы покоя менеджера: скажем, когда они кончатся ({channel})", owes=(again,))
    elif channel == "mail":
        if not _mailed(services, about, cause, text):
            return Outcome("skipped", "Почта менеджера неизвестна")
    elif services.bell is not None:
        services.bell(f"{about.name}: {text}")
    with services.store.unit("note notice") as unit:
        unit.papers.note(cause, channel)
    return Outcome("done", f"Менеджеру сказано ({channel}): {text}")


def seconds_of_quiet(quiet: str, now: datetime) -> float:
    """How long "21:00-08:00" still lasts at `now`, a time in the zone of its hours."""
    begins, ends = (part.split(":") for part in quiet.split("-"))
    start = now.replace(hour=int(begins[0]), minute=int(begins[1]), second=0, microsecond=0)
    end = now.replace(hour=int(ends[0]), minute=int(ends[1]), second=0, microsecond=0)
    if end <= start:  # over midnight
        start, end = (start - timedelta(days=1), end) if now < end else (start, end + timedelta(days=1))
    return (end.astimezone(_UTC) - now.astimezone(_UTC)).total_seconds() if start <= now < end else 0.0


_UTC = ZoneInfo("UTC")


@dataclass(frozen=True)
class _Record:
    """What a notice is about: a deal or a client, as the CRM has it now."""

    crm_name: str
    crm: Remote[CrmDialect]
    deal_id: str
    account_id: str
    name: str
    manager: str

    def write(self, text: str) -> None:
        """A line in its stream, unless it stands there."""
        if self.deal_id:
            self.crm.ask(self.crm.say.note(self.deal_id, text))
        else:
            self.crm.ask(self.crm.say.tell_account(self.account_id, text))


def _about(services: Services, payload: Mapping[str, Any]) -> _Record | None:
    crm_name, deal_id, account_id = payload["crm"], payload.get("deal", ""), payload.get("account", "")
    crm = services.crms[crm_name]
    if deal_id:
        deal = crm.ask(crm.say.deal(deal_id))
        return _Record(crm_name, crm, deal_id, "", deal.name, deal.manager_id) if deal else None
    party = crm.ask(crm.say.account(account_id))
    return _Record(crm_name, crm, "", account_id, party.name, party.manager_id) if party else None


def _quiet(services: Services, about: _Record) -> float:
    """Seconds until the manager's quiet hours end; 0 outside of them."""
    notices = services.settings.notices
    if not notices.quiet:
        return 0.0
    return seconds_of_quiet(notices.quiet, services.now().astimezone(_zone(services, about)))


def _zone(services: Services, about: _Record) -> ZoneInfo:
    """The manager's: by his id, user name or team in [notices.zones], else that of the schedule."""
    zones = services.settings.notices.zones
    if zones and about.manager:
        user = about.crm.ask(about.crm.say.user(about.manager))
        for name in (user.id, user.user_name, *user.teams):
            if name in zones:
                return zones[name]
    return services.settings.schedule.timezone


def _mailed(services: Services, about: _Record, cause: str, text: str) -> bool:
    """A short letter to the manager; the same cause has the same Message-ID."""
    mailer = services.mailer
    to = about.crm.ask(about.crm.say.user_email(about.manager)) if about.manager else ""
    if mailer is None or not mailer.address(to):
        return False
    body, day = f"{about.name}\n\n{text}\n", services.now()
    html = f"<p><b>{_plain(about.name)}</b></p><p>{_plain(text)}</p>"
    message_id = mailer.message_id(own_key(about.crm_name, "notice", cause))
    mailer.send(Letter(mailer.address(to), f"{about.name}: {text}"[:150], body, html, message_id, day))
    return True


def _owed(payload: Mapping[str, Any], delay: float = 0.0) -> Owed:
    crm, cause = payload["crm"], hashlib.sha256(payload["cause"].encode()).hexdigest()[:32]
    key = f"{crm}:notice-{payload['channel']}:{cause}:{payload.get('deal') or payload.get('account')}"
    return Owed("notice", f"crm:{crm}", key, dict(payload), merge=key, delay=delay)


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
