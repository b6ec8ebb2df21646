"""Clients: requisites by ИНН."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table

from integration.flows.answer import Answer
from integration.flows.requisites import requisites
from tasks.cli.common import looking, settings_ready

out = Console(highlight=False)
SOURCES = {"onec": "1С", "egrul": "ЕГРЮЛ", "dadata": "DaData", "spark": "СПАРК", "crm": "CRM"}
LABELS = {
    "inn": "ИНН",
    "kpp": "КПП",
    "ogrn": "ОГРН",
    "name": "Название",
    "full_name": "Полное",
    "address": "Адрес",
    "status": "Состояние",
}
STATUSES = {
    "active": "действует",
    "liquidating": "ликвидируется",
    "liquidated": "прекращена",
    "bankrupt": "банкротство",
    "reorganizing": "реорганизуется",
    "unknown": "не известно",
}


@click.command("requisites", epilog="Пример: crm1c requisites 7707083893;  crm1c requisites 7707083893 --json")
@click.argument("inn", metavar="ИНН")
@click.option("--kpp", default="", help="КПП, если нужен определённый филиал.")
@click.option("--crm", help="Чью карточку клиента заполнить: имя таблицы [crm.ИМЯ].")
@click.option("--onec", help="В какой базе искать и куда записать: имя таблицы [onec.ИМЯ]; без него – во всех.")
@click.option("--wait", type=click.FloatRange(0, 600), default=30, show_default=True, help="Ждать сеанса 1С, секунд.")
@click.option("--json", "as_json", is_flag=True, help="Одной JSON-структурой, как отвечает API.")
def requisites_(inn: str, kpp: str, crm: str | None, onec: str | None, wait: float, *, as_json: bool) -> None:
    """Реквизиты по ИНН: 1С, затем реестры по порядку; найденное вне 1С записывается в 1С и в CRM."""
    settings = settings_ready(quiet=True)
    for option, name, there in (("crm", crm, settings.crm), ("onec", onec, settings.onec)):
        if name is not None and name not in there:
            told = f"нет [{option}.{name}]; есть: {', '.join(there) or 'ни одной'}"
            raise click.BadParameter(told, param_hint=f"--{option}")
    with looking(settings) as world:
        found = requisites(world.services, inn, kpp, crm=crm, onec=onec, patience=wait)
    for name, reason in found.skipped:
        source, _, base = name.partition(":")
        click.echo(f"пропущен {' '.join((SOURCES.get(source, source), base)).rstrip()}: {reason}", err=True)
    if not found.found:
        asked = ", ".join(SOURCES.get(name, name) for name in found.asked)
        click.echo(f"crm1c: ИНН {found.inn} не найден: {asked}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(found.told(), ensure_ascii=False, indent=2))
        return
    _show(found, settings.schedule.timezone)


def _show(found: Answer, zone: ZoneInfo) -> None:
    source = SOURCES.get(found.source, found.source)
    if found.row is not None:
        out.print(f"[green]Найдено:[/] {source}", highlight=False)
        told = found.told()
        for name, label in LABELS.items():
            value = STATUSES.get(told[name], told[name]) if name == "status" else told[name]
            out.print(f"  {label:<10} {value or '—'}{_who(found, name, zone)}", markup=False)
        if found.saved:
            owed = any(one.endswith("owed") for one in found.saved)
            out.print("  записано позже: система не отвечает" if owed else f"  записано: {', '.join(found.saved)}")
        return
    out.print(f"[yellow]Нужно выбрать[/] ({source}); ничего не записано. Затем: crm1c requisites ИНН --kpp КПП")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("КПП", "название", "адрес", "почему"):
        table.add_column(title, overflow="fold")
    for one in found.choices:
        table.add_row(one.row.kpp or "—", one.row.name, one.row.address, one.reason)
    out.print(table)


def _who(found: Answer, name: str, zone: ZoneInfo) -> str:
    """Who said this field and when, where that is not simply the source that answered now."""
    source, at = found.said.get(name) or (found.source, found.at)
    if source == found.source:
        return ""
    return f"  ({SOURCES.get(source, source)}, {datetime.fromisoformat(at).astimezone(zone):%d.%m.%Y %H:%M})"


COMMANDS = (requisites_,)
