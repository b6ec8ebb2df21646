"""Values that the CRM works out before a save: currencies, probability, names (contracts/ESPOCRM.md §2.2, §3.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.crm.metadata import Metadata
from sandbox.crm.store import Record
from sandbox.crm.values import number


def converted(amount: float, currency: str, settings: dict[str, Any]) -> float | int | None:
    """An amount in the base currency by the configured rates; without a rate, one to one."""
    rates = settings.get("currencyRates") or {}
    rate = 1.0 if currency == settings["baseCurrency"] else float(rates.get(currency, 1.0))
    return number(round(amount * rate, 4))


class Derive:
    """The before-save hook of one CRM."""

    def __init__(self, meta: Metadata, settings: Callable[[], dict[str, Any]]) -> None:
        self._meta = meta
        self._settings = settings

    def __call__(self, entity: str, draft: Record, values: dict[str, Any], new: bool) -> None:
        for field, defs in self._meta.fields[entity].items():
            if defs["type"] == "currency":
                self._currency(field, draft, new)
            elif defs["type"] == "personName":
                self._person(entity, draft)
        if entity == "Opportunity":
            self._opportunity(draft, values, new)
        elif entity == "Email" and "subject" in draft:
            draft["name"] = draft["subject"]

    def _currency(self, field: str, draft: Record, new: bool) -> None:
        amount = draft.get(field)
        if amount is None:
            if not new:
                draft[field + "Converted"] = None
            return
        settings = self._settings()
        code = draft.setdefault(field + "Currency", settings["defaultCurrency"]) or settings["defaultCurrency"]
        draft[field + "Currency"] = code
        draft[field + "Converted"] = converted(amount, code, settings)

    @staticmethod
    def _person(entity: str, draft: Record) -> None:
        if entity == "User" and not draft.get("lastName"):
            draft["lastName"] = draft.get("userName")
        draft["name"] = " ".join(p for p in (draft.get("firstName"), draft.get("lastName")) if p) or None

    def _opportunity(self, draft: Record, values: dict[str, Any], new: bool) -> None:
        chances: dict[str, int] = self._meta.fields["Opportunity"]["stage"].get("probabilityMap") or {}
        stage = draft.get("stage")
        moved = new or ("stage" in values and stage != draft.get("lastStage"))
        if moved and values.get("probability") is None and stage in chances:
            draft["probability"] = chances[stage]
        if new or chances.get(str(stage), 1) > 0:  # a lost deal keeps the stage at which it was lost
            draft["lastStage"] = stage
        amount = draft.get("amountConverted")
        if amount is not None:
            draft["amountWeightedConverted"] = number(round(amount * (draft.get("probability") or 0) / 100, 4))
