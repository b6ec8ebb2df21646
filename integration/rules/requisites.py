"""What the rows that a source gave for one ИНН come to: one company to be taken, or a choice for a person (DOMAIN)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any

from marshmallow import ValidationError

from integration.errors import Rejected
from mappers.canonical import Party, Requisites
from mappers.fields import Inn, Kpp, Ogrn
from mappers.wire import clean

# Why a row is not simply taken; empty: nothing speaks against it.
_STANDINGS: Mapping[str, str] = {
    "liquidating": "в процессе ликвидации",
    "liquidated": "деятельность прекращена",
    "bankrupt": "банкротство",
    "reorganizing": "в процессе реорганизации",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A row that a person may choose (by its КПП), and what is to be known about it."""

    row: Requisites
    reason: str


def valid_inn(inn: str) -> str:
    """The ИНН in its one form. Raises Rejected saying which rule it breaks: nothing is asked of anybody then."""
    try:
        return str(Inn().deserialize(clean(inn)))
    except ValidationError as error:
        raise Rejected(f"{' '.join(map(str, error.messages))}.") from error


def valid_kpp(inn: str, kpp: str) -> str:
    """The КПП in its one form, "" for none. Raises Rejected, also for a sole trader's: he has none."""
    if not kpp.strip():
        return ""
    if len(inn) == 12:
        raise Rejected(f"У ИП (ИНН {inn}) не бывает КПП, а указан «{kpp[:20]}». Уберите его.")
    try:
        return str(Kpp().deserialize(clean(kpp)))
    except ValidationError as error:
        raise Rejected(f"{' '.join(map(str, error.messages))}.") from error


def decided(rows: Sequence[Requisites], kpp: str) -> tuple[Requisites | None, tuple[Choice, ...]]:
    """(the one to be taken, or None; the choices when there is none). `kpp`: a person chose this one already.

    Taken is the only live row that stands well. Rows struck out as mistaken and rows that ended beside a live one are
    left out; a company under liquidation, and one with several branches, are a choice.
    """
    known = [row for row in rows if not row.invalid]
    live = [row for row in known if row.status != "liquidated"]
    if chosen := [row for row in live if kpp and row.kpp == kpp]:
        return chosen[0], ()
    if len(live) == 1 and not kpp and not _against(live[0], 1):
        return live[0], ()
    shown = live or known
    other = f"КПП {kpp} здесь нет, " if kpp else ""
    return None, tuple(Choice(row, (other + _against(row, len(shown))).rstrip(", ")) for row in shown)


def _against(row: Requisites, together: int) -> str:
    reasons = [_STANDINGS[row.status]] if row.status in _STANDINGS else []
    if row.ended is not None and row.status == "liquidated":
        reasons[0] += f" {row.ended:%d.%m.%Y}"
    if row.is_branch:
        reasons.append("филиал или обособленное подразделение" + ("" if row.kpp else ", КПП у него нет"))
    elif together > 1:
        reasons.append("головная организация")
    return ", ".join(reasons)


def as_party(row: Requisites) -> Party:
    """The company as a counterparty, codes checked: what can't be right is left out rather than written down."""
    kpp = "" if row.is_person else _checked(Kpp(), row.kpp)
    return Party(
        name=row.name or row.full_name,
        inn=row.inn,
        kpp=kpp,
        ogrn=_checked(Ogrn(), row.ogrn),
        full_name=row.full_name or row.name,
        address=row.address,
    )


def of_party(party: Party, source: str) -> Requisites:
    """A counterparty of 1C as a row of the chain; 1C keeps no status."""
    return Requisites(
        inn=party.inn,
        source=source,
        kpp=party.kpp,
        ogrn=party.ogrn,
        name=party.name,
        full_name=party.full_name,
        address=party.address,
    )


def shown_fields(row: Requisites) -> dict[str, str]:
    """What the row says of the company, ours → value; what it doesn't say is left out."""
    names = ("inn", "kpp", "ogrn", "name", "full_name", "address", "status")
    said = {name: str(getattr(row, name)) for name in names}
    return {name: value for name, value in said.items() if value and (name, value) != ("status", "unknown")}


def _checked(field: Kpp | Ogrn, value: str) -> str:
    try:
        return str(field.deserialize(value)) if value else ""
    except ValidationError:
        return ""


_DATES = ("registered", "ended")


def as_json(row: Requisites) -> dict[str, Any]:
    """The row as it is kept on the shelf."""
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in asdict(row).items()}


def from_json(kept: Mapping[str, Any]) -> Requisites:
    """And back. Raises TypeError or ValueError for what an older crm1c kept otherwise."""
    values: dict[str, Any] = {one.name: kept[one.name] for one in fields(Requisites) if one.name in kept}
    days = {name: date.fromisoformat(kept[name]) if kept.get(name) else None for name in _DATES}
    return Requisites(**values | days)
