"""Small things that are kept: API tokens, webhook secrets, watermarks, 1C models, slots of periodic work.

Every function takes the connection of the caller's transaction.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from integration.store.boxes import as_json, insert_for, upsert
from integration.store.schema import models, slots, tokens, watermarks, webhooks
from integration.work import new_id

# -- API tokens -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Token:
    """An API token without its secret. `scope`: `read`, `operate` or `kpi:MANAGER`."""

    id: str
    scope: str
    note: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def valid(self, now: datetime) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def create_token(conn: Connection, scope: str, note: str, days: int | None, now: datetime) -> tuple[str, str]:
    """Make a token for `days` days (None: without end). Returns its id and its plaintext, which is kept nowhere.

    Raises ValueError for an unknown scope or days below 1.
    """
    kind, _, manager = scope.partition(":")
    if not (scope in ("read", "operate") or (kind == "kpi" and 0 < len(manager) <= 64)):
        raise ValueError(f"права «{scope}»: допустимы read, operate, kpi:МЕНЕДЖЕР (id менеджера в CRM)")
    if days is not None and days < 1:
        raise ValueError(f"срок {days} дней: не меньше одного")
    token_id, plaintext = new_id(), f"crm1c_{secrets.token_urlsafe(32)}"
    ends = None if days is None else now + timedelta(days=days)
    values = {"id": token_id, "hash": _hash(plaintext), "scope": scope, "note": note[:200], "created_at": now}
    conn.execute(insert(tokens).values(**values, expires_at=ends))
    return token_id, plaintext


def check_token(conn: Connection, plaintext: str, now: datetime) -> Token | None:
    """The token, if it is known, not revoked and not expired. The look-up is by hash: its time tells nothing."""
    row = conn.execute(select(*_SHOWN).where(tokens.c.hash == _hash(plaintext))).one_or_none()
    token = None if row is None else Token(**row._asdict())
    return token if token and token.valid(now) else None


def list_tokens(conn: Connection) -> list[Token]:
    """All tokens, the newest first; revoked and expired ones too."""
    return [Token(**row._asdict()) for row in conn.execute(select(*_SHOWN).order_by(tokens.c.id.desc()))]


def revoke_token(conn: Connection, token_id: str, now: datetime) -> bool:
    """Revoke it from now on; False when there is no such token, or it was revoked before."""
    mine = (tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
    return conn.execute(update(tokens).where(*mine).values(revoked_at=now)).rowcount == 1


_SHOWN = [column for column in tokens.c if column.name != "hash"]


def _hash(plaintext: str) -> str:
    return hashlib.sha256(plaintext.encode("utf-8", "replace")).hexdigest()


# -- webhooks ---------------------------------------------------------------------------------------------------------


def keep_webhooks(conn: Connection, crm: str, made: Iterable[tuple[str, str, str]], now: datetime) -> None:
    """Keep the (webhook id, event, secret) of webhooks that setup made; a known id gets its new event and secret."""
    for webhook_id, event, secret in made:
        state = {"event": event, "secret": secret}
        statement = upsert(conn, webhooks).values(crm=crm, webhook_id=webhook_id, **state, created_at=now)
        conn.execute(statement.on_conflict_do_update(index_elements=["crm", "webhook_id"], set_=state))


def webhook_secrets(conn: Connection, crm: str) -> dict[str, str]:
    """{webhook id: secret}."""
    mine = select(webhooks.c.webhook_id, webhooks.c.secret).where(webhooks.c.crm == crm)
    return {row.webhook_id: row.secret for row in conn.execute(mine)}


def webhook_events(conn: Connection, crm: str) -> dict[str, str]:
    """{webhook id: event}, as `Opportunity.update`."""
    mine = select(webhooks.c.webhook_id, webhooks.c.event).where(webhooks.c.crm == crm)
    return {row.webhook_id: row.event for row in conn.execute(mine)}


# -- watermarks and models --------------------------------------------------------------------------------------------


def watermark(conn: Connection, name: str) -> str | None:
    """How far a periodic pull has come; None before the first."""
    value: str | None = conn.scalar(_WATERMARK, {"name": name})
    return value


def set_watermark(conn: Connection, name: str, value: str, now: datetime) -> None:
    """Remember how far a periodic pull has come."""
    conn.execute(_set_watermark(conn.dialect.name), {"name": name, "value": value, "updated_at": now})


_WATERMARK = select(watermarks.c.value).where(watermarks.c.name == bindparam("name"))


@cache
def _set_watermark(dialect: str) -> Any:
    put = insert_for(dialect, watermarks)
    state = {name: put.excluded[name] for name in ("value", "updated_at")}
    return put.on_conflict_do_update(index_elements=["name"], set_=state)


def model(conn: Connection, base: str, max_age: float, now: datetime) -> dict[str, Any] | None:
    """The base's reduced $metadata, if it was read within `max_age` seconds."""
    fresh = (models.c.base == base, models.c.read_at >= now - timedelta(seconds=max_age))
    text = conn.scalar(select(models.c.model).where(*fresh))
    return None if text is None else json.loads(text)


def keep_model(conn: Connection, base: str, model: Mapping[str, Any], now: datetime) -> None:
    """Keep the base's reduced $metadata, read now."""
    state = {"model": as_json(model), "read_at": now}
    statement = upsert(conn, models).values(base=base, **state)
    conn.execute(statement.on_conflict_do_update(index_elements=["base"], set_=state))


# -- slots ------------------------------------------------------------------------------------------------------------


TRIES = 5  # of one slot whose runner died or failed


def take_slot(conn: Connection, job: str, slot: str, now: datetime, tries: int = 1) -> bool:
    """Whether this run of the job is ours: True for one caller per slot, however many beats there are.

    `tries` above 1: the caller knows that no runner lives (it holds the job's lock), so a slot that was begun and never
    ended is taken again, so many times in all.
    """
    statement = upsert(conn, slots).values(job=job, slot=slot, started_at=now)
    open_ = slots.c.finished_at.is_(None) & (slots.c.tries < tries)
    set_ = {"started_at": now, "tries": slots.c.tries + 1}
    statement = statement.on_conflict_do_update(index_elements=["job", "slot"], set_=set_, where=open_)
    return conn.execute(statement.returning(slots.c.job)).one_or_none() is not None


def finish_slot(conn: Connection, job: str, slot: str, outcome: str, now: datetime) -> None:
    """The run ended; `outcome` is a sentence for the console."""
    mine = (slots.c.job == job, slots.c.slot == slot)
    conn.execute(update(slots).where(*mine).values(finished_at=now, outcome=outcome))
