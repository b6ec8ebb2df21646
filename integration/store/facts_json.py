"""Facts of money as JSON and back: sums as text, exactly; dates in ISO 8601."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from integration.rules.accounts import Fact
from mappers.canonical import Invoice
from mappers.money import Act, Contract, Covered, Instalment, Payment, PaymentRow, Refund, Term


def packed(fact: Fact) -> str:
    """The fact as one line of JSON; what is empty is left out."""
    return json.dumps(_plain(fact), ensure_ascii=False, separators=(",", ":"))


def unpacked(kind: str, body: str) -> Fact:
    """The fact again, equal to what was packed."""
    told: dict[str, Any] = json.loads(body)
    if kind in ("payment", "refund"):
        told["rows"] = tuple(PaymentRow(**_sums(row, "amount", "settled", "vat")) for row in told.get("rows", ()))
        values = _dates(_sums(told, "amount"), "date", "bank_date")
        return Refund(**values) if kind == "refund" else Payment(**values)
    if kind == "contract":
        terms = (_dates(_sums(one, "share"), "due") for one in told.get("schedule", ()))
        return Contract(**{"date": None, **_dates(told, "date"), "schedule": tuple(Term(**one) for one in terms)})
    told["instalments"] = tuple(_dates(_sums(one, "amount"), "due") for one in told.get("instalments", ()))
    told["instalments"] = tuple(Instalment(**one) for one in told["instalments"])
    if kind == "act":
        told["covers"] = tuple(Covered(**_sums(one, "amount")) for one in told.get("covers", ()))
        return Act(**_dates(_sums(told, "amount", "vat"), "date"))
    return Invoice(**_sums(told, "total") | {"date": datetime.fromisoformat(told["date"])})


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        told = {one.name: getattr(value, one.name) for one in fields(value)}
        return {name: _plain(one) for name, one in told.items() if one is not None and one != ()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat() if isinstance(value, date) else value


def _sums(told: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: Decimal(value) if name in names else value for name, value in told.items()}


def _dates(told: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: date.fromisoformat(value) if name in names else value for name, value in told.items()}
