"""Whose a deal is: its manager on the day of a payment by our own history, what the CRM says of him, how he shares."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import date, tzinfo
from decimal import Decimal

from integration.errors import Crm1cError
from integration.rules.accounts import Account
from integration.rules.accrual import packed, unpacked
from integration.rules.bonus import Month, rule_for
from integration.rules.earnings import NO_DEAL, Deal, Record, Shares, holding
from integration.services import Services, Unit
from integration.settings.money import BonusRule, Split
from integration.work import Duty, Event, Link, Outcome, Owed, new_id
from mappers.canonical import Deal as CrmDeal
from mappers.canonical import User

log = logging.getLogger("crm1c.work")

_WHOLE = Decimal(100)


def keep_holder(services: Services, crm: str, deal: CrmDeal) -> None:
    """Note whose a deal is that was just read; what is known already is written nowhere."""
    record = (crm, "deal", deal.id)
    groups = groups_of(deal)
    with services.store.unit("look whose the deal is") as unit:
        known = unit.holders.histories([record]).get(record)
    if known and (known[-1].manager, known[-1].groups) == (deal.manager_id, groups):
        return
    with services.store.unit("note whose the deal is") as unit:
        unit.holders.hold(record, deal.manager_id, groups)


def groups_of(deal: CrmDeal) -> dict[str, Decimal]:
    """How much of a deal belongs to each product group; all of it to none where its lines don't say."""
    found: dict[str, Decimal] = {}
    for line in deal.lines or ():
        if line.amount > 0:
            found[line.group[:64]] = found.get(line.group[:64], Decimal(0)) + line.amount
    return found or {"": _WHOLE}


class Whose:
    """Whose deals and clients are, within one transaction. `unknown`: what the CRM has to be asked of."""

    def __init__(
        self,
        services: Services,
        unit: Unit,
        clients: Collection[Link],
        deals: Collection[Deal],
        zone: tzinfo,
        *,
        everybody: bool = False,  # all users are about to be asked for
    ) -> None:
        self._settings, self._unit, self._zone = services.settings, unit, zone
        self._client: Record | None = None
        if NO_DEAL in deals and clients:
            link = min(clients, key=lambda one: (one.crm, one.record_id))
            self._client = (link.crm, "account", link.record_id)
        records = {(crm, "deal", deal_id) for crm, deal_id in deals if crm}
        self._histories = unit.holders.histories(records | ({self._client} if self._client else set()))
        seen: dict[str, set[str]] = {crm: set() for crm in services.crms}
        for record, history in self._histories.items():
            seen[record[0]] |= {one.manager for one in history if one.manager}
        self._users = {crm: unit.holders.users(crm, None if everybody else ids) for crm, ids in seen.items()}
        self._bodies: dict[Month, list[BonusRule] | None] = {}
        self.unknown: set[Record] = set()

    def of(self, deal: Deal, day: date) -> Shares | None:
        """Who shares in a payment of that day for this deal (or, without one, of the client); None: nobody is known,
        or nobody is anybody's."""
        record = (deal[0], "deal", deal[1]) if deal != NO_DEAL else self._client
        if record is None:
            return None
        history = self._histories.get(record)
        if history is None:
            self.unknown.add(record)
            return None
        crm, held = record[0], holding(history, day, self._zone)
        manager = held.manager or self._id(crm, self._settings.crm[crm].manager.fallback or "")
        if not manager:
            return None
        if self.user(manager, crm) is None:
            self.unknown.add((crm, "user", manager))
            return None
        return Shares(self._shared(crm, manager, deal, day), held.groups)

    def rule(self, manager: str, month: Month, currency: str, *, ended: bool) -> BonusRule | None:
        """The rule of his month by the settings of now, or as an ended month last knew them."""
        rules: Collection[BonusRule] = self._settings.bonus.rule
        if ended:
            rules = self._as_known(month) or rules
        user = self.user(manager) or User(manager)
        return rule_for(rules, month, names_of(user), user.teams, currency)

    def user(self, manager: str, crm: str = "") -> User | None:
        """What is known of a user; of one CRM, or of whichever has him."""
        for name in [crm] if crm else self._users:
            if manager not in self._users[name]:
                self._users[name] |= self._unit.holders.users(name, [manager])
            if manager in self._users[name]:
                return self._users[name][manager]
        return None

    def _shared(self, crm: str, manager: str, deal: Deal, day: date) -> Mapping[str, Decimal]:
        names = names_of(self.user(manager, crm) or User(manager))
        fits = [
            one for one in self._settings.bonus.split
            if one.since <= day and (one.deal == deal[1] if one.deal else one.manager in names)
        ]  # fmt: skip
        if not fits:
            return {manager: _WHOLE}
        split: Split = max(fits, key=lambda one: (one.deal is not None, one.since))
        shares: dict[str, Decimal] = {}
        for name, percent in split.shares.items():
            share = self._id(crm, name)
            shares[share] = shares.get(share, Decimal(0)) + percent
        return shares

    def _id(self, crm: str, name: str) -> str:
        """The user's id, where a person wrote his name."""
        return (self._unit.holders.called(crm, name) if name else None) or name

    def _as_known(self, month: Month) -> list[BonusRule] | None:
        if month not in self._bodies:
            body = self._unit.bonuses.settings_of(month)
            told = None if body is None else [unpacked(one) for one in json.loads(body)]
            self._bodies[month] = None if told is None else [one for one in told if one is not None]
        return self._bodies[month]


def names_of(user: User) -> tuple[str, ...]:
    """What the configuration may call him by: id, user name, or the name that the CRM shows."""
    return tuple(one for one in (user.id, user.user_name, user.name) if one)


def settings_body(rules: Iterable[BonusRule]) -> str:
    """The rules as a month keeps them."""
    return json.dumps([packed(one) for one in rules], ensure_ascii=False)


# -- asking the CRM -----------------------------------------------------------------------------------------------


def owed_managers(services: Services, unknown: Collection[Record], account: Account) -> Iterable[Owed]:
    """The duty to ask each CRM whose these records are, and to count the account again then."""
    for crm in sorted({record[0] for record in unknown}):
        mine = sorted([list(record[1:]) for record in unknown if record[0] == crm])
        key = f"{crm}:managers:{account.id}"
        payload = {"crm": crm, "records": mine, "account": account.id, "base": account.base}
        if crm in services.crms:
            same = hashlib.sha256(json.dumps(mine).encode()).hexdigest()[:32]  # they may be many, a merge key is short
            yield Owed("managers", f"crm:{crm}", key, payload, merge=f"{key}:{same}")


def managers(services: Services, duty: Duty) -> Outcome:
    """The duty "managers": payload {crm, records: [[entity, id]…], account, base}."""
    name, records = duty.payload["crm"], [(entity, record_id) for entity, record_id in duty.payload["records"]]
    crm = services.crms[name]
    holders: dict[Record, tuple[str, Mapping[str, Decimal]]] = {}
    for entity, record_id in records:
        if entity == "deal":
            deal = crm.ask(crm.say.deal(record_id))
            holders[name, entity, record_id] = (deal.manager_id, groups_of(deal)) if deal else ("", {"": _WHOLE})
        elif entity == "account":
            client = crm.ask(crm.say.account(record_id))
            holders[name, entity, record_id] = (client.manager_id if client else "", {"": _WHOLE})
    with services.store.unit("look for users") as unit:
        known = unit.holders.users(name)
    asked = {record_id for entity, record_id in records if entity == "user"}
    asked |= {manager for manager, _ in holders.values() if manager and manager not in known}
    users = [crm.ask(crm.say.user(one)) for one in sorted(asked)]
    with services.store.unit("note whose these are") as unit:
        for record, (manager, groups) in holders.items():
            unit.holders.hold(record, manager, groups)
        unit.holders.keep_users(name, users)
        unit.bonuses.touch(duty.payload["account"])
        unit.owe(_settling(duty.payload["base"]), cause=Event("", "ledger", "", "", "", b"", new_id()))
    return Outcome("done", f"Менеджеров узнали: {len(users)}, сделок и клиентов: {len(holders)}")


def refresh_users(services: Services) -> int:
    """Read the known users of every CRM again: names, teams and rights change. One CRM that fails stops no other."""
    read = 0
    for name, crm in services.crms.items():
        with services.store.unit("look for users") as unit:
            known = unit.holders.users(name)
        try:
            users = [crm.ask(crm.say.user(one)) for one in sorted(known)]
        except Crm1cError as error:
            log.warning("менеджеры %s не перечитаны: %s", name, error)
            continue
        with services.store.unit("note users") as unit:
            unit.holders.keep_users(name, users)
        read += len(users)
    return read


def _settling(base: str) -> Owed:
    return Owed("settle", f"onec:{base}", f"{base}:payments", {"base": base}, merge=f"settle:{base}")
