"""The grammar of 1C's standard OData interface: literals, calls, replies (contract ONEC-ODATA, sections 1 to 4).

Texts here are plain: the transport percent-encodes them (a space as %20, for 1C takes no "+"). What 1C refuses is
read by `refusals`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from mappers.dialect import Call, Talk
from mappers.onec.refusals import answer, checked, garbled
from mappers.wire import decimal

EMPTY_REF = "00000000-0000-0000-0000-000000000000"
EMPTY_DATE = "0001-01-01T00:00:00"
UNDEFINED = "StandardODATA.Undefined"
NAMESPACE = "StandardODATA."

# Without it 1C answers in Atom (trap 6); the header alone is not obeyed by every publication.
_JSON = ("$format", "json")
_ACCEPT = {"Accept": "application/json"}
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_XML_REFUSES = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def is_ref(text: str) -> bool:
    """Whether the text is a reference's GUID, the empty one included."""
    return bool(_GUID.fullmatch(text))


def guid(ref_key: str) -> str:
    """A reference literal. Raises ValueError for what is no GUID, so that nothing else gets into a filter."""
    if not is_ref(ref_key):
        raise ValueError(f"not a reference: {ref_key[:60]!r}")
    return f"guid'{ref_key.lower()}'"


def quoted(text: str) -> str:
    """A string literal, quotes doubled. Raises ValueError for characters that no 1C string can hold."""
    if _XML_REFUSES.search(text):
        raise ValueError(f"control characters in a filter value: {text[:60]!r}")
    return "'" + text.replace("'", "''") + "'"


def moment(local: str) -> str:
    """A datetime literal of a naive local time as `to_local` makes it."""
    return f"datetime'{local}'"


def reference_equals(field: str, ref_key: str, set_name: str, *, composite: bool) -> str:
    """A filter on a reference. A composite field compared with a bare guid is always empty, with 200 (section 3)."""
    literal = guid(ref_key)
    return f"{field} eq cast({literal},'{set_name}')" if composite else f"{field}_Key eq {literal}"


def to_local(moment_: datetime, zone: ZoneInfo) -> str:
    """An aware time as the naive local time of the 1C server, to the second. Raises ValueError for a naive one."""
    if moment_.tzinfo is None:
        raise ValueError(f"a time without a zone: {moment_!r}")
    return moment_.astimezone(zone).replace(tzinfo=None, microsecond=0).isoformat()


def from_local(text: str, zone: ZoneInfo) -> datetime | None:
    """1C's naive local time as an aware one in the server's zone; None for the empty date.

    The zone is kept, so that `.date()` is the document's own date. Of an hour that clocks showed twice the earlier
    is meant; a time that clocks skipped counts on from before the gap. Raises ValueError for what is no time.
    """
    if text.startswith("0001-01-01"):
        return None
    naive = datetime.fromisoformat(text)
    if naive.tzinfo is not None:
        return naive.astimezone(zone)
    # The way over UTC moves a time that does not exist to the one that the clocks showed instead.
    return naive.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)


def text_of(entity: Mapping[str, Any], field: str) -> str:
    """A string field without the padding of fixed-length ones; "" when absent or null."""
    value = entity.get(field)
    return value.rstrip() if isinstance(value, str) else ""


def ref_of(entity: Mapping[str, Any], name: str, set_name: str = "") -> str:
    """A reference whichever way it stands: `X_Key`, or `X` with `X_Type` (of `set_name`, when given); "" when empty."""
    value = entity.get(f"{name}_Key")
    if value is None:
        kind = entity.get(f"{name}_Type")
        if set_name and kind not in (None, NAMESPACE + set_name):
            return ""
        value = entity.get(name)
    return value.lower() if isinstance(value, str) and is_ref(value) and value != EMPTY_REF else ""


def number_of(entity: Mapping[str, Any], field: str) -> Decimal:
    """A number field, Int64's string included; 0 when absent. Raises ValueError for what is none."""
    value = entity.get(field)
    return Decimal(0) if value is None or value == "" else decimal(value)


def listing(
    step: str,
    set_name: str,
    filter_: str = "",
    *,
    top: int | None = None,
    skip: int = 0,
    order: str = "",
    select: str = "",
) -> Call:
    """GET of a set. Paging needs an order by the full key: ties lose rows (trap 2)."""
    query = [_JSON]
    options = (("$filter", filter_), ("$select", select), ("$orderby", order), ("$top", top), ("$skip", skip))
    for name, value in options:
        if value not in ("", None, 0):
            query.append((name, str(value)))
    return Call(step, "GET", set_name, tuple(query), headers=_ACCEPT, repeatable=True)


def getting(step: str, set_name: str, ref_key: str) -> Call:
    """GET of one object."""
    return Call(step, "GET", f"{set_name}({guid(ref_key)})", (_JSON,), headers=_ACCEPT, repeatable=True)


def calling(step: str, path: str) -> Call:
    """GET of the service document (path ""), or of a virtual table."""
    return Call(step, "GET", path, (_JSON,), headers=_ACCEPT, repeatable=True)


def creating(step: str, set_name: str, body: Mapping[str, Any]) -> Call:
    """POST of a new object. Never repeatable: 1C has no idempotency key (section 4)."""
    return Call(step, "POST", set_name, (_JSON,), json=dict(body), headers=_ACCEPT)


def patching(step: str, set_name: str, ref_key: str, body: Mapping[str, Any]) -> Call:
    """PATCH that sets the given fields, sections as a whole (trap 4): the same once more does no harm."""
    path = f"{set_name}({guid(ref_key)})"
    return Call(step, "PATCH", path, (_JSON,), json=dict(body), headers=_ACCEPT, repeatable=True)


def posting(step: str, set_name: str, ref_key: str, *, undo: bool = False) -> Call:
    """POST …/Post or …/Unpost, with an empty body. Harmless when repeated."""
    path = f"{set_name}({guid(ref_key)})/{'Unpost' if undo else 'Post'}"
    query = (_JSON,) if undo else (("PostingModeOperational", "false"), _JSON)
    return Call(step, "POST", path, query, headers=_ACCEPT, repeatable=True)


def read_entity(call: Call) -> Talk[dict[str, Any] | None]:
    """One object, or None when 1C has none by that key. Raises Fault."""
    reply = yield call
    value = answer(call, reply, absent_ok=True)
    if value is None:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("Ref_Key"), str):
        raise garbled(call, reply)
    return value


def read_rows(call: Call) -> Talk[list[dict[str, Any]]]:
    """The objects of a list. Raises Fault."""
    reply = yield call
    value = answer(call, reply)
    rows = value.get("value") if isinstance(value, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise garbled(call, reply)
    return rows


def write(call: Call) -> Talk[dict[str, Any]]:
    """A create or a patch: the object that 1C answers with, of which only the Ref_Key is to be relied on."""
    reply = yield call
    value = answer(call, reply)
    if not isinstance(value, dict) or not isinstance(value.get("Ref_Key"), str):
        raise garbled(call, reply)
    return value


def carry_out(call: Call) -> Talk[None]:
    """Post and Unpost: what the body holds on success differs between releases and is not read."""
    reply = yield call
    checked(call, reply)
