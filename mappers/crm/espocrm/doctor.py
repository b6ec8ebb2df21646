"""What `crm1c doctor` says of an EspoCRM: reach, rights, fields, the stage, currency, webhooks."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Literal, TypeAlias

from mappers.crm.espocrm.options import FIELDS_OF, Options
from mappers.crm.espocrm.setup import EVENTS, field_defs, missing_options, no_rubles
from mappers.crm.espocrm.talk import PAGE, Api, ask, ask_list
from mappers.dialect import Call, Fault, Finding, Reply, Talk

Level: TypeAlias = Literal["ok", "warn", "FAIL"]
# What the API user's role has to allow: entity → actions. Without the first ones nothing works at all.
_NEEDED: dict[str, tuple[str, ...]] = {"Opportunity": ("read", "edit"), "Account": ("read", "edit")}
# What some settings need beside: use → entity, actions, and what fails without them.
_USED: dict[str, tuple[str, tuple[str, ...], str]] = {
    "users": ("User", ("read",), "почты, пояса и имён менеджеров не видно"),
    "letters": ("Email", ("create", "read", "edit"), "письма через CRM не отправить"),
}
_ROLE = "Администрирование → Роли → роль API-пользователя"
_NEEDED_EVENTS = ("Opportunity.create", "Opportunity.update")


def check(api: Api, options: Options) -> Talk[list[Finding]]:
    """One finding per subject. A refusal becomes a FAIL with its mend; only the first one ends the check."""
    findings: list[Finding] = []
    try:
        me = yield from ask(api.get("проверка связи", "App/user"))
    except Fault as fault:
        return [_failed(fault)]
    me = me if isinstance(me, dict) else {}
    user = me.get("user")
    name = user.get("userName") if isinstance(user, dict) else None
    findings.append(Finding("ok", f"EspoCRM отвечает, вход выполнен: {name or 'пользователь без имени'}"))
    findings += _rights(me, options)
    if rubles := no_rubles(_inside(me, "settings").get("currencyList")):
        findings.append(Finding("warn", "валюта", rubles))
    for part in (_fields(api, options), _stage(api, options), _webhooks(api)):
        findings += yield from _told(part)
    return findings


def _told(part: Talk[list[Finding]]) -> Generator[Call, Reply, list[Finding]]:
    try:
        return (yield from part)
    except Fault as fault:
        return [_failed(fault)]


def _failed(fault: Fault) -> Finding:
    what, _, mend = str(fault).partition("; ")
    return Finding("FAIL", what, mend)


def _inside(table: Any, key: str) -> Mapping[str, Any]:
    value = table.get(key) if isinstance(table, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _rights(me: Mapping[str, Any], options: Options) -> list[Finding]:
    acl = _inside(me, "acl")
    table = _inside(acl, "table")
    if not table:  # an administrator's table may be empty: everything is allowed
        return []
    found: list[Finding] = []
    level: Level
    for entity, actions in _NEEDED.items():
        scope = table.get(entity)
        levels = scope if isinstance(scope, Mapping) else {}
        lacking = [action for action in actions if levels.get(action, "no") in ("no", False)]
        if lacking:
            found.append(Finding("FAIL", f"нет прав на {entity}: {', '.join(lacking)}", f"{_ROLE}: уровень «все»"))
        elif any(levels[action] != "all" for action in actions):
            found.append(Finding("warn", f"видны не все записи {entity}", f"{_ROLE}: уровень «все»"))
    for use, (entity, actions, without) in _USED.items():
        scope = table.get(entity)
        levels = scope if isinstance(scope, Mapping) else {}
        lacking = [action for action in actions if levels.get(action, "no") in ("no", False)]
        if use in options.uses and lacking:
            level = "FAIL" if use == "letters" else "warn"
            found.append(Finding(level, f"нет прав на {entity}: {', '.join(lacking)}: {without}", f"{_ROLE}: {entity}"))
    if "letters" in options.uses and acl.get("groupEmailAccountPermission") in ("no", "not-set"):
        mend = f"{_ROLE}: «Доступ к групповым учётным записям» – все"
        found.append(Finding("FAIL", "роль не отправляет с групповой учётной записи", mend))
    if table.get("Webhook") in (None, False, "no"):
        found.append(Finding("warn", "нет права заводить вебхуки", f"{_ROLE}: включите Webhook"))
    closed = _inside(acl, "fieldTable")
    for entity, ours, theirs in _configured(options):
        if _inside(_inside(closed, entity), theirs).get("edit") == "no":
            level = "FAIL" if ours in options.explicit else "warn"
            found.append(Finding(level, f"поле {entity}.{theirs} закрыто для записи", f"{_ROLE}: откройте поле"))
    return found or [Finding("ok", "прав API-пользователя достаточно")]


def _configured(options: Options) -> list[tuple[str, str, str]]:
    return [
        (entity, ours, options.fields[ours])
        for entity, names in FIELDS_OF.items()
        for ours in names
        if ours in options.fields
    ]


def _fields(api: Api, options: Options) -> Talk[list[Finding]]:
    found: list[Finding] = []
    for entity, ours, theirs in _configured(options):
        about = yield from field_defs(api, entity, theirs)
        if about is None:
            level: Level = "FAIL" if ours in options.explicit else "warn"
            found.append(Finding(level, f"нет поля {entity}.{theirs} ({ours})", "crm1c setup создаст его"))
        elif ours == "payment_status":
            found += [Finding("warn", told) for told in missing_options(f"{entity}.{theirs}", about)]
    lines = options.lines
    if lines is not None:
        entity, field = ("Opportunity", lines.field) if lines.source == "field" else (lines.entity, lines.name("name"))
        if (yield from field_defs(api, entity, field)) is None:
            found.append(Finding("FAIL", f"нет поля {entity}.{field} (позиции сделки)", "исправьте lines в crm1c.toml"))
    return found or [Finding("ok", "все настроенные поля есть")]


def _stage(api: Api, options: Options) -> Talk[list[Finding]]:
    if not options.stage:
        return []
    about = yield from field_defs(api, "Opportunity", "stage")
    stages = (about or {}).get("options")
    if isinstance(stages, list) and options.stage not in stages:
        listed = ", ".join(str(stage) for stage in stages)
        return [Finding("FAIL", f"нет стадии «{options.stage}»", f"в [invoicing] crm_stage впишите одну из: {listed}")]
    return [Finding("ok", f"стадия «{options.stage}» есть")]


def _webhooks(api: Api) -> Talk[list[Finding]]:
    rows, _ = yield from ask_list(api.get("вебхуки", "Webhook", ("maxSize", str(PAGE))))
    live = {str(row.get("event")) for row in rows if row.get("isActive") is True}
    lacking = [event for event in EVENTS if event not in live]
    if not lacking:
        return [Finding("ok", "вебхуки заведены и включены")]
    level: Level = "FAIL" if any(event in _NEEDED_EVENTS for event in lacking) else "warn"
    return [Finding(level, f"нет включённых вебхуков: {', '.join(lacking)}", "crm1c setup заведёт их")]
