"""A client in its comparable form, and what two systems have agreed on about it.

A side may hold an agreed value in a form of its own (a name cut to the length of its field, a field that it doesn't
keep at all): as long as it still bears that form, it counts as the agreed value, and nothing is written again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from marshmallow import ValidationError

from integration.rules.merge import Decision, Field, Owner, Side, merge
from mappers.canonical import Party
from mappers.fields import Phone
from mappers.wire import clean

FIELDS = ("name", "full_name", "inn", "kpp", "ogrn", "address", "phone", "email")
FORMS = "forms"  # of a link's agreed state: {side: {field: [what stands there, what it stands for]}}
_CODES = frozenset({"inn", "kpp", "ogrn"})


def plain(party: Party) -> dict[str, str]:
    """Every field in its one form: names cleaned, codes without spaces, phones in E.164, mails in small letters."""
    return {name: _plain(name, getattr(party, name)) for name in FIELDS}


def read_as_agreed(agreed: Mapping[str, Any], side: Side, values: Mapping[str, str]) -> dict[str, str]:
    """The side's values, those that still stand in the form that was agreed taken for what they stand for."""
    forms = (agreed.get(FORMS) or {}).get(side) or {}
    return {
        name: forms[name][1] if name in forms and forms[name][0] == value else value for name, value in values.items()
    }


def decide(
    agreed: Mapping[str, Any],
    crm: Mapping[str, str],
    onec: Mapping[str, str],
    owners: Mapping[str, Owner],
    registry: Mapping[str, str],
    fields: Collection[str],
) -> dict[str, Decision]:
    """What becomes of each field. `registry`: what one said within the day, fields that it told."""
    crm, onec = read_as_agreed(agreed, "crm", crm), read_as_agreed(agreed, "onec", onec)
    return merge(
        {
            name: Field(agreed.get(name), crm[name], onec[name], owners.get(name), registry.get(name))
            for name in FIELDS
            if name in fields
        }
    )


def agreed_after(
    agreed: Mapping[str, Any], decisions: Mapping[str, Decision], crm: Mapping[str, str], onec: Mapping[str, str]
) -> dict[str, Any]:
    """The next agreed state, `crm` and `onec` being what stands after the writes. A conflict agrees on nothing."""
    after = dict(agreed)
    forms: dict[str, dict[str, list[str]]] = {
        side: dict(kept) for side, kept in (agreed.get(FORMS) or {}).items() if kept
    }
    for name, decision in decisions.items():
        if decision.value is None:
            continue
        after[name] = decision.value
        for side, values in (("crm", crm), ("onec", onec)):
            kept = forms.setdefault(side, {})
            kept.pop(name, None)
            if values[name] != decision.value:
                kept[name] = [values[name], decision.value]
    forms = {side: kept for side, kept in forms.items() if kept}
    after.pop(FORMS, None)
    return after | ({FORMS: forms} if forms else {})


def _plain(name: str, value: str) -> str:
    text = clean(value)
    if name in _CODES:
        return text.replace(" ", "").upper()
    if name == "email":
        return text.casefold()
    if name == "phone" and text:
        try:
            return str(Phone().deserialize(text))
        except ValidationError:
            return text
    return text
