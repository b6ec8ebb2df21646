"""The client in 1C: linked, else found by ИНН and КПП, else created; and the contract that the invoice belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from integration.errors import Conflict
from integration.flows.once import create_once
from integration.rules.identity import checked
from integration.rules.provenance import SAID, said_by
from integration.services import Base, Services
from integration.work import Link, own_key
from mappers.canonical import Found, Party


def ensure_counterparty(services: Services, base: Base, crm: str, account: Party) -> str:
    """The Ref_Key of the client's counterparty. Raises Rejected when its ИНН can't be right, Conflict when 1C holds
    several that fit."""
    with services.store.looking() as known:
        link = known.find(crm, "account", account.id, _name(base), "counterparty")
    if link is not None:
        return link.ref_key
    party = checked(account)
    key = own_key(crm, "account", account.id, _name(base))
    found = create_once(
        services,
        "counterparty",
        (base.name, party.inn),
        find=lambda: _the_one(party, base.ask(base.say.counterparties(party.inn, None))),
        create=lambda: base.ask(base.say.create_counterparty(party, key)),
    )
    agreed: dict[str, Any] = {"inn": party.inn, "kpp": party.kpp, "name": party.name}
    agreed[SAID] = said_by(agreed, "crm", services.now().isoformat())
    _bind(services, Link(crm, "account", account.id, _name(base), "counterparty", found.ref_key, key), found, agreed)
    return found.ref_key


def ensure_contract(
    services: Services,
    base: Base,
    crm: str,
    account: Party,
    counterparty: str,
    organisation: str,
    currency: tuple[str, str],
) -> str:
    """The Ref_Key of the contract: the linked one, else the only one of this client, organisation and currency, else
    a new one. `currency`: (letters, Ref_Key). Raises Conflict when there are several: a person chooses."""
    letters, currency_ref = currency
    kind = f"contract:{letters}"
    with services.store.looking() as known:
        link = known.find(crm, "account", account.id, _name(base), kind)
    if link is not None:
        return link.ref_key
    key = own_key(crm, "contract", account.id, _name(base), letters)
    name = services.settings.onec[_name(base)].contract_name
    found = create_once(
        services,
        "contract",
        (base.name, counterparty, organisation, letters),
        find=lambda: _the_only(base.ask(base.say.contracts(counterparty, organisation, currency_ref)), letters),
        create=lambda: base.ask(base.say.create_contract(counterparty, organisation, currency_ref, name, key)),
    )
    _bind(services, Link(crm, "account", account.id, _name(base), kind, found.ref_key, key), found, {})
    return found.ref_key


def _bind(services: Services, link: Link, found: Found, agreed: Mapping[str, Any]) -> None:
    """Commit the foreign id at once."""
    with services.store.unit(f"bind {link.kind.partition(':')[0]}") as unit:
        unit.links.bind(replace(link, state="linked", version=found.version, agreed=agreed))


def _name(base: Base) -> str:
    return base.name.partition(":")[2]


def _the_one(party: Party, candidates: list[Found]) -> Found | None:
    """Which of 1C's counterparties with this ИНН is meant; None: there is none, one may be created."""
    if not candidates:
        return None
    fitting = [one for one in candidates if not party.kpp or one.detail == party.kpp] or [
        one for one in candidates if not one.detail
    ]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        there = ", ".join(sorted(one.detail for one in candidates))
        raise Conflict(
            f"В 1С есть контрагент с ИНН {party.inn}, но с другим КПП ({there}), в CRM указан {party.kpp}. "
            "Исправьте КПП в CRM или заведите филиал в 1С, затем нажмите кнопку счёта."
        )
    names = "; ".join(f"{one.name} (КПП {one.detail or 'нет'})" for one in fitting[:5])
    raise Conflict(
        f"В 1С несколько контрагентов с ИНН {party.inn}: {names}. Укажите КПП в CRM или уберите лишних в 1С."
    )


def _the_only(contracts: list[Found], currency: str) -> Found | None:
    if len(contracts) > 1:
        names = "; ".join(one.name for one in contracts[:5])
        raise Conflict(
            f"У клиента несколько договоров в {currency}: {names}. Оставьте в 1С один действующий или выберите договор."
        )
    return contracts[0] if contracts else None
