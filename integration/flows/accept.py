"""A notice is a hint: which piece of work does this event ask for?"""

from __future__ import annotations

from collections.abc import Callable

from integration.errors import Misconfigured, Rejected
from integration.flows.pair import sync_duty
from integration.flows.pull import SETS, owed_pull
from integration.flows.saving import KIND
from integration.services import Services
from integration.work import Event, Outcome, Owed

BUTTON = "invoice.requested"  # a person pressed the button: POST /api/deals/NAME/ID/invoice
POLLED = "polled"  # our own poll found the record changed, no notice came
ONEC = "onec"  # the source of what 1C itself tells: POST /webhooks/onec, the exchange plan, the poll
COUNTERPARTIES = "Catalog_Контрагенты"


def accept(services: Services, event: Event) -> Outcome:
    """The routing table, applied to one event. Raises Rejected for what nothing here knows."""
    entity, action = event.entity, event.event
    if event.source == ONEC:
        return _from_onec(services, event)
    if event.source not in services.crms:
        raise Misconfigured(f"CRM «{event.source}» больше нет в настройках: верните таблицу [crm.{event.source}].")
    if not entity:
        entity, action = _asked_of_the_crm(services, event)
    kind = services.crms[event.source].say.kinds.get(entity, entity)
    route = _ROUTES.get(kind)
    if route is None:
        raise Rejected(f"Событие {entity}.{action} никому не нужно: отключите этот вебхук в CRM.")
    return route(services, event, action)


def _asked_of_the_crm(services: Services, event: Event) -> tuple[str, str]:
    """A webhook that crm1c did not make: the CRM itself knows its event."""
    crm = services.crms[event.source]
    full = crm.ask(crm.say.webhook_event(event.webhook_id)) if event.webhook_id else None
    if not full or "." not in full:
        raise Rejected("Неизвестно, о чём этот вебхук: укажите путь /webhooks/ИМЯ/Opportunity/update в его адресе.")
    entity, _, action = full.partition(".")
    return entity, action


def _deal(services: Services, event: Event, action: str) -> Outcome:
    if action == "delete":
        return Outcome("skipped", "Сделка удалена в CRM")
    why = _why(services, event, action)
    system = _system(services)
    payload = {"crm": event.source, "deal": event.record_id, "why": why}
    key = f"{event.source}:deal:{event.record_id}"
    owed = Owed("invoice", system, key, payload, merge=f"invoice:{key}:{why}")
    return Outcome("done", owes=(owed,))


def _why(services: Services, event: Event, action: str) -> str:
    """Who asks: a person by the button, the stage that the event names, or nobody yet (then the deal decides)."""
    if action == BUTTON:
        return "button"
    stage = services.crms[event.source].say.stage_of(event.body)
    return "stage" if stage == services.settings.invoicing.crm_stage else "look"


def _system(services: Services) -> str:
    names = list(services.bases)
    return f"onec:{names[0]}" if len(names) == 1 else "onec"


def _account(services: Services, event: Event, action: str) -> Outcome:
    if action == "delete":
        return Outcome("skipped", "Клиент удалён в CRM")
    key = f"{event.source}:account:{event.record_id}"
    payload = {"crm": event.source, "account": event.record_id, "side": "crm"}
    owed = Owed("counterparty", _system(services), key, payload, merge=f"counterparty:{key}:crm")
    return Outcome("done", owes=(owed,))


def _from_onec(services: Services, event: Event) -> Outcome:
    """A change in 1C; `webhook_id` says in which base. Each CRM's account that is linked to it is a duty of its own."""
    base, ref_key = event.webhook_id, event.record_id
    if base not in services.bases:
        raise Misconfigured(f"Базы 1С «{base}» больше нет в настройках: верните таблицу [onec.{base}].")
    if event.entity in SETS:
        return Outcome("done", owes=(owed_pull(base),))
    if event.entity != COUNTERPARTIES:
        return Outcome("skipped", f"Изменения {event.entity} читаются по расписанию")
    with services.store.looking() as known:
        links = known.by_ref(base, KIND, ref_key)
    if links:
        return Outcome("done", owes=tuple(sync_duty(services, link, "onec") for link in links))
    key, payload = f"{base}:counterparty:{ref_key}", {"base": base, "ref": ref_key}
    return Outcome("done", owes=(Owed(KIND, f"onec:{base}", key, payload, merge=f"{KIND}:{key}"),))


_ROUTES: dict[str, Callable[[Services, Event, str], Outcome]] = {"deal": _deal, "account": _account}
