"""The schemas of the API's description (JSON Schema 2020-12, as OpenAPI 3.1 has it)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TEXT = {"type": "string"}
MAYBE_TEXT = {"type": ["string", "null"]}
COUNT = {"type": "integer", "minimum": 0}
TIME = {"type": "string", "format": "date-time"}
MAYBE_TIME = {"type": ["string", "null"], "format": "date-time"}
MONEY = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "description": "Сумма строкой: без потери копеек"}
MAYBE_MONEY = {**MONEY, "type": ["string", "null"]}
HEALTH = {"type": "string", "enum": ["ok", "away", "unusable"]}


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def listed(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": dict(items)}


def record(fields: Mapping[str, Any], required: Sequence[str] | None = None, text: str = "") -> dict[str, Any]:
    """An object; all its fields are there unless `required` says which."""
    made = {"type": "object", "required": list(fields if required is None else required), "properties": dict(fields)}
    return made | ({"description": text} if text else {})


def _told(texts: str, **others: Any) -> dict[str, Any]:
    """An object whose fields are texts (sums and dates, too), but for the `others`."""
    return record({**dict.fromkeys(texts.split(), TEXT), **others})


STATE = {"type": "string", "enum": ["due", "running", "done", "parked"]}
_EVENT = {
    "id": TEXT,
    "received_at": TIME,
    "source": TEXT,
    "entity": TEXT,
    "event": TEXT,
    "record_id": TEXT,
    "state": {**STATE, "description": "Всей работы вместе: parked, если отложена хоть какая-то её часть"},
    "kind": {"type": ["string", "null"], "description": "Вид ошибки: от него зависит, кто и что исправит"},
    "error": {"type": ["string", "null"], "description": "Что не так и что сделать, по-русски"},
    "detail": {"type": ["string", "null"], "description": "Слова другой системы"},
    "attempts": COUNT,
    "trace": TEXT,
    "outcome": MAYBE_TEXT,
    "outcome_text": MAYBE_TEXT,
    "due_at": {**MAYBE_TIME, "description": "Следующая попытка"},
    "duties": {**COUNT, "description": "Сколько работ вызвало событие"},
}
_DUTY = {
    "id": TEXT,
    "kind": {"type": "string", "description": "Что сделать"},
    "system": {"type": "string", "description": "В какой системе"},
    "key": TEXT,
    "state": STATE,
    "attempts": COUNT,
    "deaths": COUNT,
    "waits_for": {"type": ["string", "null"], "description": "Какая система не отвечает"},
    "error_kind": {"type": ["string", "null"]},
    "error": MAYBE_TEXT,
    "error_detail": MAYBE_TEXT,
    "outcome": MAYBE_TEXT,
    "outcome_text": MAYBE_TEXT,
    "result": {"description": "Что получилось"},
    "created_at": TIME,
    "due_at": TIME,
    "settled_at": MAYBE_TIME,
}
_ANYTHING = {"type": "object"}
_KPI = record(
    {
        "rank": {"type": ["integer", "null"], "description": "Место по бонусу; null — в рейтинге нет"},
        "manager": {"type": "string", "description": "id пользователя CRM"},
        "name": TEXT,
        "received": MONEY,
        "bonus": MONEY,
        "payments": COUNT,
        "plan": MAYBE_MONEY,
        "plan_percent": MAYBE_TEXT,
        "forecast": {**MAYBE_MONEY, "description": "Чем месяц кончится; только у месяца"},
        "forecast_parts": {
            "type": ["object", "null"],
            "description": "accrued начислено, run_rate по темпу рабочих дней, due по срокам оплаты",
        },
        "currency": TEXT,
    }
)
_ACCRUAL = _told(
    "id kind date payment payment_number crm deal group counted bonus currency rule before after text explanation",
    allocations=listed(_ANYTHING),
)

SCHEMAS: dict[str, dict[str, Any]] = {
    "Problem": record(
        {
            "type": TEXT,
            "title": TEXT,
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "Что не так и что сделать, по-русски"},
            "trace": {"type": "string", "description": "Номер, под которым запрос стоит в журнале"},
            "kind": {"type": "string", "description": "Вид отказа, если работа отложена"},
            "event": {"type": "string", "description": "Событие, о работе которого речь"},
        },
        ["type", "title", "status", "detail", "trace"],
        "RFC 9457",
    ),
    "Webhook": {
        "type": "array",
        "minItems": 1,
        "items": _ANYTHING,
        "description": "Как шлёт отправитель: EspoCRM — массив записей, в каждой id",
    },
    "Accepted": record(
        {"accepted": COUNT, "duplicates": COUNT, "parked": COUNT},
        text="В сумме — число элементов запроса. parked: элементы без пригодного id, отложены",
    ),
    "Invoice": record(
        {
            "number": MAYBE_TEXT,
            "date": {"type": ["string", "null"], "format": "date"},
            "amount": MAYBE_MONEY,
            "currency": MAYBE_TEXT,
            "url": MAYBE_TEXT,
            "ref_key": TEXT,
            "state": {"type": "string", "description": "posted — проведён, written — записан"},
        }
    ),
    "Asked": record(
        {
            "event": TEXT,
            "state": TEXT,
            "reason": {"type": ["string", "null"], "description": "Почему ещё не готово, если это известно"},
        },
        ["event"],
    ),
    "InvoiceReady": record({"event": TEXT, "invoice": ref("Invoice")}),
    "Deal": record(
        {
            "percent": {"type": "string", "description": "Оплачено, до одной десятой вниз: 100.0 — полностью"},
            "status": {
                "type": ["string", "null"],
                "enum": ["issued", "signed", "partially_paid", "retention_pending", "paid", "closed", None],
            },
            "flags": listed({"type": "string", "enum": ["overdue", "overpaid"]}),
            "advance": MONEY,
            "currency": MAYBE_TEXT,
            "invoice": {"anyOf": [ref("Invoice"), {"type": "null"}]},
            "acts": listed(
                _told(
                    "ref_key number date amount currency status percent paid retention",
                    signed={"type": "boolean"}, due=MAYBE_TEXT, flags=listed(TEXT),
                )
            ),
            "payments": listed(_told("ref_key number date amount currency purpose allocated advance")),
            "allocations": listed(
                _told(
                    "payment payment_number date obligation label instalment amount currency paid paid_currency rule "
                    "explanation",
                    rate=MAYBE_TEXT,
                    exchange_difference={**MAYBE_MONEY, "description": "Курсовая разница, ₽: рядом с долгом, не в нём"},
                )
            ),
            "refunds": {
                **listed(_told("ref_key number date amount currency purpose")),
                "description": "Возвраты по всему договору",
            },
            "contract": {
                "anyOf": [
                    _told(
                        "label currency invoiced owed received refunded allocated advance debt overdue retention",
                    ),
                    {"type": "null"},
                ],
                "description": "Итоги договора: акты owed, долг debt, из него overdue и retention",
            },
        }
    ),
    "Papers": record(
        {
            "papers": listed(
                record(
                    {
                        "paper": {**TEXT, "description": "invoice или ref_key акта: этим именем берут PDF"},
                        "kind": {"type": "string", "enum": ["invoice", "act"]},
                        "version": COUNT,
                        **dict.fromkeys(("number", "date", "file_name", "recipient"), TEXT),
                        "bytes": {**COUNT, "description": "0 — PDF убран за давностью"},
                        "made_at": TIME,
                        "state": {"type": "string", "enum": ["made", "sending", "sent", "void"]},
                        "sent_at": MAYBE_TIME,
                    }
                )
            )
        }
    ),
    "Leaderboard": record({"period": TEXT, "currency": TEXT, "managers": listed(_KPI)}),
    "ManagerKpi": record(
        {
            **_KPI["properties"],
            "period": TEXT,
            "others": {**listed(_KPI), "description": "То же в других валютах"},
            "accruals": {**listed(_ACCRUAL), "description": "Платёж → разнесение → правило → сумма"},
            "accuracy": {
                **listed(_told("month day foretold came", error_percent=MAYBE_TEXT)),
                "description": "Прежние прогнозы: что ожидалось в середине месяца и чем он кончился",
            },
        }
    ),
    "Requisites": record(
        {
            **dict.fromkeys(("inn", "kpp", "ogrn", "name", "full_name", "address"), TEXT),
            "status": {
                "type": "string",
                "enum": ["active", "liquidating", "liquidated", "bankrupt", "reorganizing", "unknown"],
            },
            "source": {"type": "string", "description": "Кто ответил: onec, egrul, dadata, spark"},
            "choices": listed(_ANYTHING),
            "said": {
                "type": "object",
                "description": "Кто и когда сказал каждое поле: {поле: {source, at}}; source — реестр, onec или crm",
            },
        },
        text="choices не пуст: несколько филиалов или ликвидация, выбирает человек (параметр kpp)",
    ),
    "Event": record(_EVENT),
    "Events": record(
        {
            "events": listed(ref("Event")),
            "next": {"type": ["string", "null"], "description": "Значение before для продолжения списка"},
        }
    ),
    "Duty": record(_DUTY),
    "EventDetail": record(
        {**_EVENT, "work": listed(ref("Duty")), "body": {"description": "Что пришло"}, "webhook_id": TEXT}
    ),
    "Replayed": record({"replayed": COUNT}),
    "Alive": record({"status": TEXT}),
    "Reconciliation": record(
        {
            "id": TEXT, "verdict": {"type": "string", "enum": ["ok", "found", "alarm"]}, "since": MAYBE_TEXT,
            "started_at": TIME, "finished_at": MAYBE_TIME, "checked": COUNT,
            "counts": record(dict.fromkeys(("missing", "extra", "different", "stale"), COUNT)),
            "totals": {"type": "object", "description": "Вид находки → валюта → сумма"},
            **dict.fromkeys(("repaired", "held", "person"), COUNT),
            "parts": listed(_told("name state", checked=COUNT, found=COUNT, reason=MAYBE_TEXT)),
            "findings": listed(
                record(
                    {
                        "part": TEXT, "kind": TEXT, "entity": TEXT, "title": TEXT, "field": MAYBE_TEXT,
                        "values": {"type": "object", "description": "Сторона → её значение, пусто – нет"},
                        **dict.fromkeys(("crm", "record", "base", "ref_key", "date"), MAYBE_TEXT),
                        "amount": MAYBE_MONEY, "currency": MAYBE_TEXT, "action": TEXT, "reason": TEXT,
                    }
                )
            ),
            "next": {"type": ["integer", "null"]},
        }
    ),
    "Ready": record(
        {"status": {"type": "string", "enum": ["ok", "unavailable"]}, "database": HEALTH, "broker": HEALTH,
         "redis": HEALTH, "reconciliation": record(
             {"at": TEXT, "verdict": {"type": "string", "enum": ["ok", "found", "alarm"]},
              "findings": {"type": "integer"}}
         )},
        ["status", "database"],
    ),
}  # fmt: skip
