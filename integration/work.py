"""Work as flows see it: events that arrived, duties owed, links between two systems. Values alone."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

State = Literal["due", "running", "done", "parked"]
Queue = Literal["inbox", "onec", "crm", "mail", "periodic"]

# The namespace of every key that crm1c writes into another system. Never change it: finds depend on it.
_NAMESPACE = uuid.UUID("6d0f3c0e-5f4a-5c1f-9b1a-1c0c0b1c1c0c")


def own_key(*parts: str) -> str:
    """Our own key of an object in another system: uuid5 of (system, kind, id, …). The same parts, the same key."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(parts)))


def new_id() -> str:
    """A row's id: 32 hex digits, ordered by time of birth (milliseconds, then chance)."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


@dataclass(frozen=True, slots=True)
class Event:
    """One fact that arrived (a row of the inbox)."""

    id: str
    source: str
    entity: str
    event: str
    record_id: str
    body: bytes
    trace: str
    webhook_id: str = ""
    tail: str = ""
    attempts: int = 0
    deaths: int = 0
    token: str = ""
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Duty:
    """One piece of work owed (a row of the outbox), claimed by the worker that holds `token`."""

    id: str
    kind: str
    system: str
    key: str
    payload: Mapping[str, Any]
    trace: str
    attempts: int = 0
    deaths: int = 0
    token: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Owed:
    """A duty to be written down. Duties of one `key` never run side by side; a still waiting one with the same
    `merge` takes this one in."""

    kind: str
    system: str
    key: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    merge: str = ""
    delay: float = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A CRM record ⇄ a 1C object. `agreed` is the last state both sides agreed on, JSON-able."""

    crm: str
    entity: str
    record_id: str
    base: str
    kind: str
    ref_key: str
    key: str = ""
    state: str = ""
    version: str = ""
    crm_version: str = ""
    agreed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter to be handed over; `to`: one address or several, with commas; `copies`: our own people, whom the client
    doesn't see; `files`: (name, PDF). The same letter gives the same bytes."""

    to: str
    subject: str
    text: str
    html: str
    message_id: str
    date: datetime
    files: tuple[tuple[str, bytes], ...] = ()
    copies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Printed:
    """The paper of one version (`issue`) of a deal's invoice, or of an act (`record_id` "act:Ref_Key"), and what became
    of it. `state`: made → sending → sent, or void while its act is not posted; `again`: how many times it was sent
    without knowing whether the time before had succeeded."""

    crm: str
    record_id: str
    base: str
    issue: int
    file_name: str
    pdf: bytes
    facts: Mapping[str, Any]
    made_at: datetime
    state: str = "made"
    recipient: str = ""
    message_id: str = ""
    letter_id: str = ""
    again: int = 0
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a flow came to. Nothing to do is an answer. `links` and `owes` are written with the settling, or not."""

    kind: Literal["done", "unchanged", "skipped"]
    text: str = ""
    owes: tuple[Owed, ...] = ()
    links: tuple[Link, ...] = ()
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One item of a webhook body on its way into the inbox. `problem`: parked as poison at once."""

    source: str
    entity: str
    event: str
    record_id: str
    body: bytes
    event_id: str = ""
    webhook_id: str = ""
    tail: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Clash:
    """A field of a client that both sides changed. `take`: whose value a person chose ("crm", "onec"), "" before;
    `state`: "open", or "over"."""

    id: str
    crm: str
    record_id: str
    base: str
    ref_key: str
    field: str
    agreed: str
    crm_value: str
    onec_value: str
    reason: str
    state: str = "open"
    take: str = ""

    @classmethod
    def of(cls, link: Link, name: str, agreed: str, crm_value: str, onec_value: str, reason: str) -> Clash:
        """The conflict of one field of one linked client: its id is its own for ever."""
        clash_id = own_key("conflict", link.crm, link.record_id, link.base, name)
        return cls(
            clash_id, link.crm, link.record_id, link.base, link.ref_key, name, agreed, crm_value, onec_value, reason
        )


@dataclass(frozen=True, slots=True)
class Proposed:
    """Two clients that seem to be one. `kind`: "link" (record of the CRM, `other` a Ref_Key of `base`), "double_crm"
    (two records) or "double_onec" (two Ref_Keys). `title`: both, for the person who decides."""

    kind: str
    crm: str
    record_id: str
    base: str
    other: str
    score: float
    reasons: tuple[str, ...]
    title: str
    state: str = "open"

    @property
    def id(self) -> str:
        """The same pair, whichever way round, the same id."""
        pair = (self.record_id, self.other) if self.kind == "link" else sorted((self.record_id, self.other))
        return own_key("proposal", self.kind, self.crm, self.base, *pair)


@dataclass(frozen=True, slots=True)
class Wait:
    """The row cannot be claimed yet; come back in `seconds`."""

    seconds: float
