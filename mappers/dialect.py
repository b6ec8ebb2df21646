"""How a dialect speaks: generators that yield a `Call` and receive a `Reply` (as httpx's auth_flow does).

A dialect does no I/O, reads no clock and no settings: it is tested by replaying recordings. What the other side
refuses leaves as a `Fault`, in the vendor's terms turned into ours; the transport makes the error of the taxonomy
(integration.errors) out of it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import date
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeAlias, TypeVar

from mappers.canonical import Deal
from mappers.wire import parse_json

T = TypeVar("T")
Kind = Literal["transient", "ambiguous", "rejected", "misconfigured", "conflict"]


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request, relative to the system's base URL.

    `path` and `query` are plain text: the transport percent-encodes them (space as %20: 1C takes no "+").
    `repeatable`: a lost answer does no harm (reads, and writes that set the same values again); otherwise a lost
    answer is `Ambiguous`. `step` is what the log and the demo call it. `body` goes as it is, in place of `json`, with
    the Content-Type that `headers` name (a form, SOAP). `pause`: seconds to rest before it leaves, where the other
    side asked to be asked again: a dialect can't sleep.
    """

    step: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    body: bytes | None = None
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8, damaged bytes replaced: for messages, never for data."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON with exact numbers. Raises ValueError."""
        return parse_json(self.body)

    @property
    def retry_after(self) -> float | None:
        """The header Retry-After in seconds (RFC 9110, 10.2.3); None without a readable one. A date counts from the
        answer's own Date, since a dialect has no clock."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdecimal() and len(value) < 10:
            return float(value)
        try:
            until, now = parsedate_to_datetime(value), parsedate_to_datetime(self.headers.get("date", ""))
            return max(0.0, (until - now).total_seconds())
        except (TypeError, ValueError, IndexError):
            return None


Talk: TypeAlias = Generator[Call, Reply, T]


class Fault(Exception):
    """The other side refused or answered nonsense.

    `kind` is one of the taxonomy; `reason` is a Russian sentence for a person, with the mend; `detail` the vendor's
    own words (masked in logs). `hold`: every further call would fare the same, so the system's queue is held.
    """

    def __init__(
        self,
        kind: Kind,
        reason: str,
        *,
        detail: str = "",
        hold: bool = False,
        retry_after: float | None = None,
        data: Any = None,
    ) -> None:
        super().__init__(reason)
        self.kind, self.reason, self.detail = kind, reason, detail
        self.hold, self.retry_after, self.data = hold, retry_after, data


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook request as it came: raw body, lower-case header names, what followed /webhooks/NAME/ in the path."""

    raw: bytes
    headers: Mapping[str, str]
    tail: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A hint that a record changed. `event_id`: the vendor's own, where it has one; `hint`: what the body says of
    the stage at that time (never trusted for anything else). `problem`: why the item cannot be used."""

    entity: str
    event: str
    record_id: str
    body: bytes
    event_id: str = ""
    webhook_id: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a write to the CRM came to: the version it answered with, what was written, what it silently ignored."""

    version: str
    written: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownDeal:
    """A deal of a list (lines and `raw` left out) and what it shows of its invoice: ours → text in its one form (""
    where nothing stands; 95 is "95"); a field that the CRM lacks is absent."""

    deal: Deal
    shown: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report; `mend` says what to do."""

    level: Literal["ok", "warn", "FAIL"]
    what: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class SetupDone:
    """What `crm1c setup` made, found in place, and leaves to a person."""

    made: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()
    webhooks: tuple[tuple[str, str, str], ...] = ()  # (webhook id, event, secret)


@dataclass(frozen=True, slots=True)
class Changes:
    """A packet of an exchange plan: what changed for `node`, (set, Ref_Key, erased) each."""

    node: str
    number: int
    refs: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True, slots=True)
class InvoiceRefs:
    """Ref_Keys that the invoice's header and lines point to. `items`: line's item → Ref_Key."""

    organisation: str
    counterparty: str
    contract: str
    currency: str
    items: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Quota:
    """How many calls of the day a paid source has counted, and how many it still allows (None: it doesn't say)."""

    day: date | None
    used: int
    left: int | None
