"""What a contract's money comes to, as the CRM's client shows it, and when the clock alone will change it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from integration.rules.allocation import Allocated
from integration.rules.status import Totals
from integration.rules.wording import money
from mappers.canonical import AccountState
from mappers.money import Contract

_ZERO = Decimal(0)
_ROUBLE = "RUB"
NO_CONTRACT = "Без договора"
SHOWN = "totals:"  # + CRM : account's id: the watermark that keeps which sums a client last showed


@dataclass(frozen=True, slots=True)
class Sums:
    """A contract's totals beside its name for people."""

    label: str
    totals: Totals

    def packed(self) -> dict[str, str]:
        """JSON-able, sums as text."""
        return {"label": self.label} | {one.name: str(getattr(self.totals, one.name)) for one in fields(Totals)}

    @classmethod
    def unpacked(cls, told: Mapping[str, Any]) -> Sums:
        """What was packed."""
        values = {one.name: told[one.name] for one in fields(Totals)}
        sums = {name: Decimal(value) for name, value in values.items() if name != "currency"}
        return cls(told["label"], Totals(currency=values["currency"], **sums))

    @property
    def blank(self) -> bool:
        """Nothing was delivered, received or given back yet."""
        return not (self.totals.owed or self.totals.received or self.totals.refunded)

    @property
    def line(self) -> str:
        """«Договор № 14/26 от 15.01.2026: акты 10 000 000,00, оплачено …, долг … RUB»; what is nothing is left out."""
        one = self.totals
        parts = [f"акты {money(one.owed)}", f"получено {money(one.received - one.refunded)}", f"долг {money(one.debt)}"]
        inside = [("просрочено", one.overdue), ("удержано", one.retention)]
        of_debt = ", ".join(f"{name} {money(sum_)}" for name, sum_ in inside if sum_)
        parts[-1] += f" ({of_debt})" if of_debt else ""
        parts += [f"аванс {money(one.advance)}"] if one.advance else []
        return f"{self.label}: {', '.join(parts)} {one.currency}"


@dataclass(frozen=True, slots=True)
class Untold:
    """A client of a CRM doesn't show what one of its contracts (the id of its account) comes to."""

    contract: str
    crm: str
    record_id: str
    sums: Sums


def label_of(contract: Contract | None) -> str:
    """«Договор № 14/26 от 15.01.2026», else its name."""
    if contract is None:
        return NO_CONTRACT
    if not contract.number:
        return contract.name or "Договор без номера"
    return f"Договор № {contract.number}" + (f" от {contract.date:%d.%m.%Y}" if contract.date else "")


def account_state(contracts: Iterable[Sums]) -> AccountState:
    """The client's own figures over its contracts: those in roubles, else of the first currency by its letters. The
    lines tell every contract, whatever its currency."""
    told = sorted(contracts, key=lambda one: (one.label, one.totals.currency))
    letters = {one.totals.currency for one in told}
    currency = _ROUBLE if not letters or _ROUBLE in letters else min(letters)
    counted = [one.totals for one in told if one.totals.currency == currency]
    return AccountState(
        contract_debt=sum((one.debt for one in counted), _ZERO),
        contract_overdue=sum((one.overdue for one in counted), _ZERO),
        contract_retention=sum((one.retention for one in counted), _ZERO),
        contract_advance=sum((one.advance for one in counted), _ZERO),
        contract_totals="\n".join(one.line for one in told),
        currency=currency,
    )


def turns_on(account: Allocated, today: date) -> date | None:
    """The first day after `today` on which a status will be another without any document: an unpaid instalment will
    be overdue. None: no day changes anything."""
    days = [
        part.due
        for one in account.obligations
        for part, got in zip(one.instalments, account.paid[one.ref_key], strict=True)
        if part.due is not None and part.due >= today and part.amount > got
    ]
    return min(days) + timedelta(days=1) if days else None
