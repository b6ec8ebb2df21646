"""Bonuses: what an account's payments earn their managers, entered in the transaction that allocates them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any

from integration.flows.holder import Whose, owed_managers, settings_body
from integration.flows.kpi import owed_kpi
from integration.flows.notice import owed_notice
from integration.flows.publish import owed_event
from integration.rules.accounts import Account, Held
from integration.rules.accrual import Accrual, accrued, adjusted, packed, spoken, telling
from integration.rules.allocation import Allocated
from integration.rules.bonus import Month, month_of
from integration.rules.earnings import Deal, Moved, Part, Shares, counted, divided, movements, parts
from integration.rules.obligations import short
from integration.services import Services, Unit
from integration.settings.money import BonusRule
from integration.work import Owed
from mappers.money import Payment

CLIENT = "counterparty"  # the kind of a client's link


def accrue(
    services: Services, unit: Unit, account: Account, held: Held, now: Allocated, day: date, fresh: date, cause: str
) -> list[Owed]:
    """Enter the accruals that this allocation causes; what follows from them is owed. `day`: today in 1C's zone;
    payments dated before `fresh` earn nothing."""
    deals = deals_of(held, now, services.crms)
    told = parts(held, now, deals, fresh)
    stood = unit.bonuses.stood(account.id)
    if not told and not stood and not deals:
        return []
    links = unit.links.by_ref(account.base, CLIENT, account.counterparty)
    clients = [link for link in links if link.crm in services.crms]
    zone = services.settings.onec[account.base].timezone
    whose = Whose(services, unit, clients, {*deals.values(), *(part.deal for part in told)}, zone)
    keeper = Rules(services, unit, whose, now.currency, month_of(day))
    _dues(unit, account, now, deals, whose, day)

    kept = unit.bonuses.shares(account.id)
    new: dict[tuple[str, Deal], Shares] = {}

    def shares(part: Part) -> Shares | None:
        place = (part.payment.ref_key, part.deal)
        if (known := kept.get(place) or new.get(place)) is not None:
            return known
        found = whose.of(part.deal, part.payment.date)
        if found is not None:
            new[place] = found
        return found

    first = unit.bonuses.first_payment(account.base, account.counterparty)
    if told or stood:  # the one that is gone may have been the first
        unit.bonuses.touch_firsts(account.base, account.counterparty, account.id, first)
    what = counted(told, shares, keeper.advances, first, now.currency)
    unit.bonuses.keep_shares(account.id, new)
    moves = movements(what, stood, day)
    made = [one for month in _by_month(moves) for one in keeper.accrued(month, day)]
    entered = _told(made, held, now.currency, clients[0].agreed.get("name", "") if clients else "")
    ids = unit.bonuses.enter(account.id, now.currency, entered, cause)
    owes = list(owed_managers(services, whose.unknown, account))
    if ids or keeper.changed:
        owes.append(owed_kpi())
    for accrual_id, one in zip(ids, entered, strict=True):
        owes += _owed(services, accrual_id, one, now.currency)
    return owes


def deals_of(held: Held, now: Allocated, crms: Mapping[str, Any]) -> dict[str, Deal]:
    """Whose deal each obligation is: its invoice's, or that of the first invoice that an act was made from."""
    linked = {link.ref_key: (link.crm, link.record_id) for link in held.deals if link.crm in crms}
    found = {}
    for one in now.obligations:
        mine = [linked[ref] for ref in (one.ref_key, *one.invoices) if ref in linked]
        if mine:
            found[one.ref_key] = mine[0]
    return found


class Rules:
    """The rules of managers' months in one currency, within a transaction. `changed`: a month got another rule."""

    def __init__(self, services: Services, unit: Unit, whose: Whose, currency: str, present: Month) -> None:
        self._services, self._unit, self._whose = services, unit, whose
        self._currency, self._present = currency, present
        self._advances: dict[tuple[str, Month], bool] = {}
        self.changed = False
        body = settings_body(services.settings.bonus.rule)
        if unit.bonuses.settings_of(present) != body:
            unit.bonuses.keep_settings(present, body)

    def advances(self, manager: str, month: Month) -> bool:
        """Do advances count for him? As the month's own rule says, which an ended month keeps."""
        if (manager, month) not in self._advances:
            key = (manager, self._currency, month)
            standing = self._unit.bonuses.rules([key]) if month < self._present else {}
            rule = standing[key] if key in standing else self.present(manager, month)
            self._advances[manager, month] = rule is not None and rule.counts == "received"
        return self._advances[manager, month]

    def present(self, manager: str, month: Month) -> BonusRule | None:
        """The rule by the settings: of now, or as an ended month last knew them."""
        return self._whose.rule(manager, month, self._currency, ended=month < self._present)

    def accrued(self, moves: Sequence[Moved], day: date) -> list[Accrual]:
        """The accruals of one manager's month. Its rule follows the settings as long as the month runs."""
        manager, month = moves[0].key.manager, moves[0].month
        key = (manager, self._currency, month)
        rule = self.held(manager, month, day)
        return accrued(moves, self._unit.bonuses.raw(key), rule, day)[0]

    def held(self, manager: str, month: Month, day: date) -> BonusRule | None:
        """Take the month; a rule that has changed while it runs is applied to what stands, and told."""
        key = (manager, self._currency, month)
        wanted = self.present(manager, month)
        rule = self._unit.bonuses.hold(key, wanted)
        if month < self._present or packed(rule) == packed(wanted):
            return rule
        made = adjusted(self._unit.bonuses.raw(key), rule, wanted, manager, month, day)
        told = [telling(one, _changed(one, month, self._currency)) for one in made]
        self._unit.bonuses.enter("", self._currency, told, "правило бонуса изменилось")
        self._unit.bonuses.rule(key, wanted)
        if (rule.counts if rule else "") != (wanted.counts if wanted else ""):
            self._unit.bonuses.touch_month(month)  # what counts is another thing now
        self.changed = True
        return wanted


def _by_month(moves: Iterable[Moved]) -> list[list[Moved]]:
    """The movements of one manager's month together, in one order everywhere: no two workers wait for each other."""

    def place(move: Moved) -> tuple[str, Month]:
        return move.key.manager, move.month

    return [list(some) for _, some in groupby(sorted(moves, key=place), key=place)]


def _dues(unit: Unit, account: Account, now: Allocated, deals: Mapping[str, Deal], whose: Whose, day: date) -> None:
    """What is still to come, for the forecast: by whoever holds the deal now."""
    rows: list[tuple[str, int, str, date, Decimal]] = []
    for one in now.obligations:
        shares = whose.of(deals[one.ref_key], day) if one.ref_key in deals else None
        if shares is None:
            continue
        for number, (instalment, paid) in enumerate(zip(one.instalments, now.paid[one.ref_key], strict=True)):
            lacks = instalment.amount - paid
            if lacks > 0 and instalment.due is not None:
                by_manager = divided(lacks, shares.managers, now.currency)
                rows += [(one.ref_key, number, who, instalment.due, lack) for who, lack in by_manager.items()]
    unit.bonuses.owe_dues(account.id, now.currency, rows)


# -- telling ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Words:
    payment: Payment | None
    client: str
    currency: str

    def of(self, one: Accrual) -> str:
        """The sentence for the manager."""
        bonus = spoken(abs(one.bonus), self.currency)
        whole = spoken(self.payment.amount, self.payment.currency) if self.payment else ""
        paid = f"{whole} от {self.client or 'клиента'}".strip()
        if one.bonus < 0:
            back = spoken(abs(one.sums.gross), self.currency)
            return f"Платёж {paid} отменён, изменён или возвращён: {back}. Бонус уменьшен на {bonus}"
        same = self.payment and (self.payment.amount, self.payment.currency) == (one.sums.gross, self.currency)
        part = "" if same else f", из него вам засчитано {spoken(one.sums.gross, self.currency)}"
        return f"Получен платёж {paid}{part}. Вам начислен бонус {bonus}"


def _changed(one: Accrual, month: Month, currency: str) -> str:
    more = "больше" if one.bonus > 0 else "меньше"
    return f"Правило бонуса за {month} изменилось: бонус {more} на {spoken(abs(one.bonus), currency)}"


def _told(made: Iterable[Accrual], held: Held, currency: str, client: str) -> list[Accrual]:
    payments = {one.ref_key: one for one in held.payments}
    found = []
    for one in made:
        payment = payments.get(one.key.payment)
        text = _Words(payment, client, currency).of(one) if one.bonus else ""
        number = payment.number if payment else ""
        label = f"Платёж № {short(number)} от {one.key.day:%d.%m.%Y}"
        found.append(telling(one, text, number=number, label=label))
    return found


def _owed(services: Services, accrual_id: int, one: Accrual, currency: str) -> Iterable[Owed]:
    """Who is told of an accrual: the bus, and the manager in the CRM; one notice an accrual."""
    if not one.bonus:
        return
    crm, deal = one.key.deal
    data = {
        "manager": one.key.manager, "bonus": str(one.bonus), "currency": currency, "payment": one.key.payment,
        "month": one.month, "given": one.given.isoformat(), "crm": crm, "deal": deal,
    }  # fmt: skip
    yield from owed_event(services, "bonus.accrued", (str(accrual_id),), data)
    if crm in services.crms and deal:
        yield from owed_notice(services, crm, deal, f"accrual:{accrual_id}", one.detail["text"])
