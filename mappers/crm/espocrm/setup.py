"""What `crm1c setup` makes in EspoCRM: webhooks as the API user, fields as an administrator (ESPOCRM.md §2.1, §3.1)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from mappers.crm.espocrm.options import FIELDS_OF, Options
from mappers.crm.espocrm.talk import (
    PAGE,
    Api,
    answer,
    as_object,
    ask,
    ask_list,
    ask_metadata,
    forbidden_here,
    refused_field,
    search,
    status_reason,
)
from mappers.dialect import Fault, SetupDone, Talk

EVENTS = ("Opportunity.create", "Opportunity.update", "Opportunity.delete", "Account.create", "Account.update")
# The statuses of DOMAIN, as people read them; the empty one stands for a deal without an invoice.
STATUSES: Mapping[str, str] = {
    "": "",
    "issued": "Счёт выставлен",
    "signed": "Акт подписан",
    "partially_paid": "Частично оплачен",
    "retention_pending": "Ожидается гарантийное удержание",
    "paid": "Оплачен",
    "closed": "Полностью закрыт",
}
# Ours → (type, label, further parameters of the field manager).
FIELD_TYPES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "inn": ("varchar", "ИНН", {"maxLength": 12}),
    "kpp": ("varchar", "КПП", {"maxLength": 9}),
    "ogrn": ("varchar", "ОГРН", {"maxLength": 15}),
    "full_name": ("varchar", "Полное наименование", {"maxLength": 255}),
    "ref_key": ("varchar", "Ссылка 1С", {"maxLength": 36}),
    "organisation": ("varchar", "ИНН нашей организации", {"maxLength": 12}),
    "invoice_number": ("varchar", "Номер счёта", {"maxLength": 40}),
    "invoice_date": ("date", "Дата счёта", {}),
    "invoice_url": ("url", "Счёт в 1С", {}),
    "invoice_total": ("currency", "Сумма счёта", {}),
    "invoice_file": ("file", "Счёт, PDF", {"accept": [".pdf"]}),
    "payment_status": (
        "enum",
        "Статус оплаты",
        {"options": list(STATUSES), "translatedOptions": dict(STATUSES), "default": ""},
    ),
    "paid_percent": ("float", "Оплачено, %", {}),
    "paid_amount": ("currency", "Оплачено", {}),
    "retention_amount": ("currency", "Гарантийное удержание", {}),
    "retention_date": ("date", "Срок гарантийного удержания", {}),
    "overdue": ("bool", "Оплата просрочена", {}),
    "sync_status": ("varchar", "Обмен с 1С", {"maxLength": 255}),
    "contract_debt": ("currency", "Долг по договорам", {}),
    "contract_overdue": ("currency", "Из него просрочено", {}),
    "contract_retention": ("currency", "Из него гарантийные удержания", {}),
    "contract_advance": ("currency", "Авансы по договорам", {}),
    "contract_totals": ("text", "Расчёты по договорам", {}),
}
_PORTION = 100


def admin_credentials(user: str, password: str) -> dict[str, str]:
    """The headers of an administrator's call, in place of the API user's (contract §1, Basic); never logged."""
    return {"Espo-Authorization": base64.b64encode(f"{user}:{password}".encode()).decode()}


def setup(api: Api, callback_url: str) -> Talk[SetupDone]:
    """The webhooks, as the API user, who becomes their owner; what stands already is kept, or switched on again.

    `callback_url`: where /webhooks/NAME is seen from the CRM; each event gets `callback_url/Entity/event`.
    Secrets are read back from the list: EspoCRM shows them to the owner (contract §2.1).
    """
    base = callback_url.rstrip("/")
    standing, _ = yield from ask_list(api.get("вебхуки", "Webhook", ("maxSize", str(PAGE))))
    made: list[str] = []
    kept: list[str] = []
    by_hand: list[str] = []
    webhooks: list[tuple[str, str, str]] = []
    for event in EVENTS:
        url = f"{base}/{event.replace('.', '/')}"
        own = [one for one in standing if one.get("event") == event and str(one.get("url")).rstrip("/") == url]
        own.sort(key=lambda one: one.get("isActive") is not True)  # a live one first: the others are its doubles
        if own:
            webhook, told = yield from _mended(api, own[0])
            kept.append(f"вебхук {event}{told}")
            doubles = ", ".join(str(one.get("id")) for one in own[1:])
            if doubles:
                by_hand.append(
                    f"вебхук {event} заведён несколько раз, события придут дважды; удалите лишние: {doubles}"
                )
        else:
            found, refused = yield from _created(api, event, url)
            if found is None:
                by_hand += [] if refused in by_hand else [refused]
                continue
            webhook = found
            made.append(f"вебхук {event}")
        secret = webhook.get("secretKey")
        if isinstance(secret, str) and secret:
            webhooks.append((str(webhook.get("id")), event, secret))
        else:
            by_hand.append(f"вебхук {event}: EspoCRM не показала ключ подписи; впишите его в webhook_secret")
    return SetupDone(tuple(made), tuple(kept), tuple(by_hand), tuple(webhooks))


def setup_admin(api: Api, options: Options) -> Talk[SetupDone]:
    """Custom fields and the duplicate check, sent with `admin_credentials`; the rest is told, to be done by hand."""
    made: list[str] = []
    kept: list[str] = []
    by_hand: list[str] = []
    for entity, names in FIELDS_OF.items():
        for ours in names:
            theirs = options.fields.get(ours)
            if theirs is None:
                continue
            about = yield from field_defs(api, entity, theirs)
            if about is not None:
                kept.append(f"поле {entity}.{theirs}")
                by_hand += _unfit(entity, theirs, ours, about)
                continue
            refused = yield from _field_made(api, entity, theirs, ours)
            (by_hand if refused else made).append(refused or f"поле {entity}.{theirs}")
    if made:
        by_hand.append("новые поля не видны на карточках: Администрирование → Менеджер макетов → добавьте их на форму")
    for part in (_duplicate_check(api, options, made, kept), _settings(api), _job(api)):
        by_hand += yield from _told(part)
    return SetupDone(tuple(made), tuple(kept), tuple(by_hand))


def field_defs(api: Api, entity: str, field: str) -> Talk[dict[str, Any] | None]:
    """The field's definition; None when the entity has no such field (contract §3.1)."""
    about = yield from ask_metadata(api, "описание поля", f"entityDefs.{entity}.fields.{field}")
    return about if isinstance(about, dict) and about else None


def no_rubles(currencies: Any) -> str:
    """What to do when RUB isn't among the currencies that the CRM knows; empty when it is, or nothing is known."""
    if not isinstance(currencies, list) or "RUB" in currencies:
        return ""
    return "валюта RUB не включена: Администрирование → Валюта → Список валют → добавьте RUB"


def _mended(api: Api, webhook: dict[str, Any]) -> Talk[tuple[dict[str, Any], str]]:
    changes: dict[str, Any] = {}
    if webhook.get("isActive") is not True:
        changes["isActive"] = True
    if webhook.get("skipOwn") is False:  # absent before 9.2
        changes["skipOwn"] = True
    path = f"Webhook/{webhook.get('id')}"
    told = ""
    if changes:
        yield from ask(api.put("включить вебхук", path, changes))
        told = " (включён снова)" if "isActive" in changes else " (свои изменения больше не приходят эхом)"
    if not webhook.get("secretKey"):
        read = api.get("ключ вебхука", path)
        webhook = as_object(read, (yield from ask(read)))
    return webhook, told


def _created(api: Api, event: str, url: str) -> Talk[tuple[dict[str, Any] | None, str]]:
    call = api.post("завести вебхук", "Webhook", {"event": event, "url": url, "skipOwn": True})
    reply = yield call
    refused = refused_field(reply)
    if refused == ("url", "notInternal"):
        address = urlsplit(url)
        port = address.port or (443 if address.scheme == "https" else 80)
        return None, (
            "EspoCRM не шлёт вебхуки на внутренние адреса; добавьте в data/config-internal.php строку "
            f"'webhookAllowedAddressList' => ['{address.hostname}:{port}'], очистите кэш и запустите crm1c setup снова"
        )
    if refused is None and forbidden_here(reply):
        return None, f"вебхук {event} не разрешён: {status_reason(reply) or 'нет прав'}; включите Webhook в роли"
    return as_object(call, answer(call, reply)), ""


def _field_made(api: Api, entity: str, theirs: str, ours: str) -> Talk[str]:
    """Make the field; what a person has to do instead, when EspoCRM can't give it this name."""
    kind, label, more = FIELD_TYPES[ours]
    size = f", длина {more['maxLength']}" if "maxLength" in more else ""
    by_hand = f"создайте поле {theirs} у {entity} (тип {kind}{size}) или впишите имя своего поля в crm1c.toml"
    bare = theirs[1:]
    if not theirs.startswith("c") or not bare or bare[0].islower():
        return by_hand  # EspoCRM puts «c» before the name of every custom field and makes the next letter a capital
    name = bare[0].lower() + bare[1:]
    try:
        yield from ask(
            api.post(
                "завести поле", f"Admin/fieldManager/{entity}", {"name": name, "type": kind, "label": label, **more}
            )
        )
    except Fault as fault:
        if fault.kind not in ("rejected", "conflict"):
            raise
        return f"{by_hand}: {fault}"
    # An installation with customPrefixDisabled takes the name as it is: ours is then still missing.
    return "" if (yield from field_defs(api, entity, theirs)) is not None else by_hand


def _unfit(entity: str, theirs: str, ours: str, about: Mapping[str, Any]) -> list[str]:
    """What a field that stands already can't hold."""
    kind, _, more = FIELD_TYPES[ours]
    told: list[str] = []
    longest, needed = about.get("maxLength"), more.get("maxLength")
    if isinstance(longest, int) and isinstance(needed, int) and longest < needed and about.get("type") == kind:
        told.append(f"поле {entity}.{theirs}: длина {longest}, нужно не меньше {needed}")
    told += missing_options(f"{entity}.{theirs}", about) if ours == "payment_status" else []
    return told


def missing_options(field: str, about: Mapping[str, Any]) -> list[str]:
    """Status codes that an enum doesn't know: EspoCRM would refuse them."""
    options = about.get("options")
    if about.get("type") != "enum" or not isinstance(options, list):
        return []
    lacking = [code for code in STATUSES if code and code not in options]
    return [f"поле {field}: добавьте варианты {', '.join(lacking)}"] if lacking else []


def _duplicate_check(api: Api, options: Options, made: list[str], kept: list[str]) -> Talk[list[str]]:
    """Put ИНН among the fields by which EspoCRM looks for doubles, keeping those that are there (contract §3.4)."""
    inn = options.fields.get("inn")
    if inn is None or f"поле Account.{inn}" not in (*made, *kept):
        return []
    current = yield from ask_metadata(api, "поиск дублей", "scopes.Account.duplicateCheckFieldList")
    names = [name for name in current if isinstance(name, str)] if isinstance(current, list) else []
    if inn in names:
        kept.append("поиск дублей по ИНН")
        return []
    body = {"name": "Account", "duplicateCheckFieldList": [*names, inn]}
    yield from ask(api.post("поиск дублей по ИНН", "EntityManager/action/updateEntity", body))
    made.append("поиск дублей по ИНН")
    return []


def _settings(api: Api) -> Talk[list[str]]:
    """Rubles, and how many events one run of the webhook job sends (trap 10)."""
    settings = yield from ask(api.get("настройки", "Settings"))
    settings = settings if isinstance(settings, dict) else {}
    told = [rubles] if (rubles := no_rubles(settings.get("currencyList"))) else []
    portion = settings.get("webhookQueueEventPortionSize")
    if not isinstance(portion, int) or portion < _PORTION:
        told.append(
            "за один запуск EspoCRM отправляет 20 событий; добавьте в data/config.php строку "
            f"'webhookQueueEventPortionSize' => {_PORTION},"
        )
    return told


def _job(api: Api) -> Talk[list[str]]:
    """Whether the webhook job runs, and each minute: every two by default (contract §2.3)."""
    where = [{"type": "equals", "attribute": "job", "value": "ProcessWebhookQueue"}]
    jobs, _ = yield from ask_list(api.get("задание вебхуков", "ScheduledJob", search(where=where, maxSize=5)))
    if not any(job.get("status") == "Active" for job in jobs):
        return ["вебхуки не отправляются: Администрирование → Задания → включите Process Webhook Queue"]
    if any(job.get("scheduling") in ("* * * * *", "*/1 * * * *") for job in jobs):
        return []
    return [
        "вебхуки отправляются не каждую минуту: Администрирование → Задания → Process Webhook Queue → * * * * *; "
        "cron.php должен запускаться каждую минуту"
    ]


def _told(part: Talk[list[str]]) -> Talk[list[str]]:
    """What can't be looked at is told: it must not undo the telling of what has been made."""
    try:
        return (yield from part)
    except Fault as fault:
        return [f"не проверено: {fault}"]
