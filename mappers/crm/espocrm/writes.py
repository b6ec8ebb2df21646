"""What crm1c writes to EspoCRM: the state of a deal, the reference on the client, a note in the stream.

Compare before writing (a PUT that changes nothing still bumps version and modifiedAt, trap 14); a field that refuses
its value never blocks the invoice's number; what the CRM silently ignored is told (ESPOCRM.md §3.1, §3.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from mappers.canonical import AccountState, Deal, DealState
from mappers.crm.espocrm.options import CONTRACT_FIELDS, Options
from mappers.crm.espocrm.records import version
from mappers.crm.espocrm.talk import (
    PAGE,
    Api,
    answer,
    as_object,
    ask,
    ask_metadata,
    ask_record,
    forbidden_here,
    refusal,
    refused_field,
    safe_id,
    search,
    status_reason,
    wrong,
)
from mappers.dialect import Call, Fault, Reply, Shown, Talk
from mappers.wire import decimal

_ESSENTIAL = frozenset({"invoice_number", "ref_key"})  # without these the deal is not shown; the rest may be dropped
_SHORTENED = frozenset({"sync_status"})  # prose: may be cut. A number, a link or a key cut short would be wrong
_SYNC_STATUS_LENGTH = 255
_CONFLICTS = 3


@dataclass
class _Writing:
    """One record being brought to a state: what is wanted, what was refused on the way, what is known of lengths."""

    options: Options
    entity: str
    record_id: str
    wanted: dict[str, Any]  # ours → value
    currency: str = ""
    refused: dict[str, str] = field(default_factory=dict)  # ours → why
    lengths: dict[str, int] = field(default_factory=lambda: {"sync_status": _SYNC_STATUS_LENGTH})

    def changes(self, raw: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Ours → the attributes that differ. What the CRM lacks is never sent knowingly."""
        found: dict[str, dict[str, Any]] = {}
        for ours, value in self.wanted.items():
            theirs = self.options.fields.get(ours)
            if theirs is None or ours in self.refused or theirs not in raw:
                continue
            if isinstance(value, str) and ours in self.lengths:
                value = _shortened(value, self.lengths[ours])
            attributes = {theirs: value}
            if isinstance(value, Decimal) and f"{theirs}Currency" in raw and self.currency:
                attributes[f"{theirs}Currency"] = self.currency
            if any(not _same(raw.get(name), sent) for name, sent in attributes.items()):
                found[ours] = attributes
        return found

    def lacking(self, raw: Mapping[str, Any]) -> list[str]:
        """Ours that are configured and wanted, and that the CRM has no attribute for."""
        fields = self.options.fields
        return [ours for ours in self.wanted if ours in fields and fields[ours] not in raw]

    def ours(self, theirs: str) -> str | None:
        names = (theirs, theirs.removesuffix("Currency"))
        return next((ours for ours in self.wanted if self.options.fields.get(ours) in names), None)

    def shown(self, raw: Mapping[str, Any], written: tuple[str, ...] = (), more: tuple[str, ...] = ()) -> Shown:
        """`more`: what was sent and came back unchanged."""
        ignored = (*self.lacking(raw), *more)
        told = [
            f"поле {self.options.fields[ours]} задано в crm1c.toml, но в EspoCRM ({self.entity}) его нет "
            "или оно закрыто для API-пользователя"
            for ours in ignored
            if ours in self.options.explicit
        ]
        return Shown(version(raw), written, ignored, (*told, *self.refused.values()))


def show_deal(api: Api, options: Options, deal: Deal, state: DealState) -> Talk[Shown]:
    """Bring the deal's fields to `state`. `Shown` names our fields; an explicit field that was ignored is a problem.

    Raises Fault: conflict after three foreign changes in a row, rejected when the number or the reference is refused
    or the deal is gone, and whatever `refusal` says.
    """
    wanted = {
        "invoice_number": state.invoice_number,
        "invoice_date": _date_text(state.invoice_date, options),
        "invoice_url": state.invoice_url,
        "invoice_total": state.invoice_total,
        "ref_key": state.ref_key,
        "payment_status": state.payment_status,
        "paid_percent": state.paid_percent,
        "paid_amount": state.paid_amount,
        "overdue": state.overdue,
        "sync_status": state.sync_status,
    }
    writing = _Writing(
        options,
        "Opportunity",
        safe_id(deal.id, "сделка"),
        {ours: value for ours, value in wanted.items() if value is not None},
        currency=state.currency or deal.currency,
    )
    return (yield from _write(api, writing, deal.raw))


def show_account(api: Api, options: Options, account_id: str, state: AccountState) -> Talk[Shown]:
    """Put 1C's Ref_Key and the contracts' sums on the client. Raises as `show_deal`."""
    wanted = {name: getattr(state, name) for name in ("ref_key", *CONTRACT_FIELDS)}
    wanted = {ours: value for ours, value in wanted.items() if value is not None}
    writing = _Writing(options, "Account", safe_id(account_id, "клиент"), wanted, currency=state.currency)
    return (yield from _write(api, writing, {}))


def note(api: Api, deal_id: str, text: str) -> Talk[bool]:
    """A post in the deal's stream, unless the same text stands there; True when written.

    A lost answer is ambiguous: the next try finds the post and writes none.
    """
    post = _lines(text)
    parent = safe_id(deal_id, "сделка")
    if post in (yield from posts(api, parent)):
        return False
    body = {"type": "Post", "post": post, "parentType": "Opportunity", "parentId": parent}
    yield from ask(api.post("запись в ленту сделки", "Note", body))
    return True


def _write(api: Api, writing: _Writing, raw: Mapping[str, Any]) -> Talk[Shown]:
    path = f"{writing.entity}/{writing.record_id}"
    if not raw:  # a deal from a list, or a client: what stands there is not known yet
        raw = yield from _read_again(api, path)
    conflicts = 0
    while changes := writing.changes(raw):
        sent = {name: value for attributes in changes.values() for name, value in attributes.items()}
        stands = version(raw)
        call = api.put("показ в CRM", path, sent, {"X-Version-Number": stands} if stands else None)
        reply = yield call
        if reply.status == 409 and status_reason(reply) == "modified" and conflicts < _CONFLICTS:
            conflicts += 1
            raw = yield from _read_again(api, path)
        elif (refused := refused_field(reply)) and writing.ours(refused[0]) in changes:
            yield from _take_refusal(api, writing, call, reply, *refused)
        else:
            after = as_object(call, answer(call, reply))
            kept = tuple(ours for ours, attributes in changes.items() if _kept(raw, after, attributes))
            return writing.shown(_with_gaps(raw, after), tuple(ours for ours in changes if ours not in kept), kept)
    return writing.shown(raw)


def _kept(before: Mapping[str, Any], after: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    """The field that was sent came back absent or as it was: the CRM ignored it with 200 (contract §3.1)."""
    name, value = next(iter(sent.items()))
    if name not in after:
        return True
    return _same(after[name], before.get(name)) and not _same(after[name], value)


def _with_gaps(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The answer, with the attributes known before that it leaves out: they are told once, as kept."""
    return {**dict.fromkeys(before), **after}


def _take_refusal(api: Api, writing: _Writing, call: Call, reply: Reply, theirs: str, validator: str) -> Talk[None]:
    """Shorten prose, drop a lesser field, or raise. EspoCRM names one failing field at a time, so we may come again."""
    ours = writing.ours(theirs)
    if ours is None or ours in _ESSENTIAL:  # None: the caller saw that it is ours
        raise refusal(call, reply)
    if validator == "maxLength" and ours in _SHORTENED:
        key = f"entityDefs.{writing.entity}.fields.{theirs}"
        about = yield from ask_metadata(api, "длина поля", key)
        limit = about.get("maxLength") if isinstance(about, Mapping) else None
        if isinstance(limit, int) and 0 < limit < writing.lengths[ours]:
            writing.lengths[ours] = limit
            return
    writing.refused[ours] = f"EspoCRM: {wrong(theirs, validator)}; поле пропущено, остальное записано"


def _read_again(api: Api, path: str) -> Talk[dict[str, Any]]:
    raw = yield from ask_record(api.get("перечитать запись", path))
    if raw is None:
        raise Fault("rejected", f"EspoCRM: запись {path} удалена, показывать состояние негде")
    return raw


def posts(api: Api, deal_id: str) -> Talk[set[str]]:
    """The posts of the deal's stream; of our own notes where the stream is closed; none where both are."""
    where = [
        {"type": "equals", "attribute": "parentType", "value": "Opportunity"},
        {"type": "equals", "attribute": "parentId", "value": deal_id},
        {"type": "equals", "attribute": "type", "value": "Post"},
    ]
    for call in (
        api.get("лента сделки", f"Opportunity/{deal_id}/stream", ("maxSize", str(PAGE))),
        api.get("заметки сделки", "Note", search(where=where, orderBy="createdAt", order="desc", maxSize=PAGE)),
    ):
        reply = yield call
        if forbidden_here(reply) or (reply.status == 404 and status_reason(reply) is not None):
            continue
        rows = as_object(call, answer(call, reply)).get("list")
        found = rows if isinstance(rows, list) else []
        return {_lines(row["post"]) for row in found if isinstance(row, dict) and isinstance(row.get("post"), str)}
    return set()


def _date_text(value: date | None, options: Options) -> str | None:
    """A date of 1C's zone; a moment is first brought to that zone."""
    if isinstance(value, datetime):
        value = value.astimezone(options.timezone).date()
    return value.isoformat() if value is not None else None


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def _same(stands: Any, sent: Any) -> bool:
    """Equal for a person: "" is null, 95 is 95.0, blanks at the ends don't count (EspoCRM trims them)."""
    if isinstance(sent, Decimal):
        try:
            return bool(decimal(stands) == sent)
        except ValueError:
            return False
    return bool(_plain(stands) == _plain(sent))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip() or None
    return str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value
