"""A client that one of the systems told of: brought together with its other half, or found it and linked."""

from __future__ import annotations

from dataclasses import replace

from integration.flows.answer import Answer
from integration.flows.pair import Pair, sync_duty
from integration.flows.requisites import requisites
from integration.flows.saving import KIND
from integration.rules.merge import Side
from integration.rules.requisites import as_party
from integration.rules.sentence import inside
from integration.services import Base, Services
from integration.work import Clash, Duty, Event, Link, Outcome, Proposed, own_key
from mappers.canonical import Party


def counterparty(services: Services, duty: Duty) -> Outcome:
    """The duty "counterparty": payload {crm, account, side} or {base, ref}, `side` being who changed ("crm", "onec", or
    "" for a person's decision, when nothing is taken for unchanged)."""
    payload = duty.payload
    if "account" not in payload:
        return _from_onec(services, payload["base"], payload["ref"])
    crm_name, account_id, side = payload["crm"], payload["account"], payload["side"]
    with services.store.looking() as known:
        links = [link for link in known.of_record(crm_name, "account", account_id) if link.kind == KIND]
    crm = services.crms[crm_name]
    account = crm.ask(crm.say.account(account_id))
    if account is None:
        return Outcome("skipped", "Клиент удалён в CRM")
    if not links:
        return _joined(services, crm_name, account)
    if side == "crm" and all(link.crm_version and link.crm_version == account.version for link in links):
        return Outcome("unchanged", "Это наша собственная запись")
    return _together([Pair(services, link, account, side).synced() for link in links if link.base in services.bases])


def tell_account(services: Services, duty: Duty) -> Outcome:
    """The duty "tell_account": why a client is not kept alike, in its stream. Payload {crm, account, reason}; or `text`
    as it shall stand there."""
    crm = services.crms[duty.payload["crm"]]
    text = duty.payload.get("text") or f"Обмен с 1С остановлен: {inside(duty.payload['reason'])}"
    written = crm.ask(crm.say.tell_account(duty.payload["account"], text))
    return Outcome("done" if written else "unchanged", text)


def resolve(services: Services, clash: Clash, take: Side) -> bool:
    """A person's decision: the side whose value both shall bear. False when the conflict is over meanwhile."""
    with services.store.unit("resolve conflict") as unit:
        if not unit.parties.take(clash.id, take):
            return False
        link = unit.links.find(clash.crm, "account", clash.record_id, clash.base, KIND)
        if link is not None:
            unit.owe(sync_duty(services, link, ""), cause=by_hand(clash.record_id))
    return True


def by_hand(record_id: str) -> Event:
    """The cause of what a person asked for at the command line."""
    return Event("", "cli", "account", "decided", record_id, b"", trace="")


def _together(outcomes: list[Outcome]) -> Outcome:
    done = [one for one in outcomes if one.kind == "done"] or outcomes
    if not done:
        return Outcome("skipped", "Базы этого клиента больше нет в настройках")
    return replace(
        done[0],
        owes=tuple(owed for one in outcomes for owed in one.owes),
        links=tuple(link for one in outcomes for link in one.links),
    )


# -- a client that is in one system only ----------------------------------------------------------------------------


def _joined(services: Services, crm_name: str, account: Party) -> Outcome:
    """An account that is linked to nothing yet: its requisites are filled in, and 1C's counterparty found or made."""
    if not account.inn:
        return Outcome("skipped", "У клиента не заполнен ИНН")
    answer = requisites(services, account.inn, account.kpp, crm=crm_name, account=account)
    if answer.row is None:
        return _unjoined(services, crm_name, account, answer)
    with services.store.looking() as known:
        bound = [link for link in known.of_record(crm_name, "account", account.id) if link.kind == KIND]
    if bound or not services.bases:
        return Outcome("done", f"Реквизиты получены: {answer.source}")
    if not answer.ref_key:
        return Outcome("skipped", "Реквизиты найдены, контрагента в 1С ещё нет или их несколько")
    there = replace(as_party(answer.row), id=answer.ref_key, ref_key=answer.ref_key)
    return _bound(services, services.bases[answer.base], crm_name, account, there)


def _unjoined(services: Services, crm_name: str, account: Party, answer: Answer) -> Outcome:
    if not answer.choices:
        return Outcome("skipped", f"ИНН {answer.inn} не найден: {', '.join(answer.asked)}")
    told = "; ".join(
        f"КПП {one.row.kpp or '—'} {one.row.name} ({one.reason or 'действует'})" for one in answer.choices[:5]
    )
    if len(answer.choices) > 1 and len({one.row.kpp for one in answer.choices}) == 1:
        return Outcome("skipped", f"В 1С несколько контрагентов с ИНН {answer.inn}: crm1c duplicates list")
    text = f"По ИНН {answer.inn} нужно выбрать, какая это компания: {told}. Укажите КПП в карточке клиента."
    crm = services.crms[crm_name]
    crm.ask(crm.say.tell_account(account.id, text))
    return Outcome("skipped", text)


def _bound(services: Services, base: Base, crm_name: str, account: Party, there: Party) -> Outcome:
    """Link the two, unless the counterparty belongs to another account of this CRM: those two are doubles."""
    name = base.name.partition(":")[2]
    with services.store.unit("look for doubles") as unit:
        others = [link for link in unit.links.by_ref(name, KIND, there.ref_key) if link.crm == crm_name]
        others = [link for link in others if link.record_id != account.id]
        if others:
            reasons = (f"оба клиента CRM — контрагент 1С с ИНН {there.inn} и КПП {there.kpp or 'нет'}",)
            double = Proposed("double_crm", crm_name, account.id, "", others[0].record_id, 1.0, reasons, account.name)
            unit.parties.propose([double])
            return Outcome("skipped", "Такой клиент в CRM уже есть: crm1c duplicates list")
    key = own_key(KIND, base.name, there.inn, there.kpp)
    link = Link(crm_name, "account", account.id, name, KIND, there.ref_key, key, state="linked")
    with services.store.unit("bind counterparty") as unit:
        unit.links.bind(link)
    return Pair(services, link, account, "").synced()


def _from_onec(services: Services, base_name: str, ref_key: str) -> Outcome:
    """A counterparty of 1C that no link knows: linked by itself where one account has its ИНН and КПП."""
    base = services.bases[base_name]
    with base.session():
        there = base.ask(base.say.party(ref_key))
    if there is None or not there.inn:
        return Outcome("skipped", "Контрагент без ИНН или помечен на удаление")
    for crm_name, crm in services.crms.items():
        found = crm.ask(crm.say.accounts_by(there.inn, there.kpp))
        if len(found) == 1:
            return _bound(services, base, crm_name, found[0], there)
        if len(found) > 1:
            reasons = (f"совпадают ИНН {there.inn} и КПП {there.kpp or 'нет'}",)
            with services.store.unit("propose doubles") as unit:
                for one in found[1:]:
                    unit.parties.propose(
                        [Proposed("double_crm", crm_name, one.id, "", found[0].id, 1.0, reasons, one.name)]
                    )
            return Outcome("skipped", f"В CRM несколько клиентов с ИНН {there.inn}: crm1c duplicates list")
    return Outcome("skipped", f"Клиента с ИНН {there.inn} в CRM нет")
