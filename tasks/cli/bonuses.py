"""Bonuses and KPI: a leaderboard, where each rouble came from, the full recomputation."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from integration.flows.figures import leaderboard, of_manager
from integration.flows.recompute import Difference, recompute
from integration.rules.kpi import Period
from tasks.cli.common import looking, settings_ready


def _period(_ctx: click.Context, _param: click.Parameter, value: str) -> Period:
    try:
        return Period.read(value)
    except ValueError:
        raise click.BadParameter(f"{value}: нужен день 2026-11-24, месяц 2026-11 или квартал 2026-Q4") from None


@click.group("bonuses", epilog="Пример: crm1c bonuses show 2026-11")
def bonuses() -> None:
    """Бонусы менеджеров: рейтинг, откуда взялся каждый рубль, полный пересчёт."""


@bonuses.command("show", epilog="Пример: crm1c bonuses show 2026-11")
@click.argument("period", callback=_period, metavar="ПЕРИОД")
@click.option("--json", "as_json", is_flag=True, help="Для программ: только JSON.")
def show(period: Period, *, as_json: bool) -> None:
    """Рейтинг менеджеров за день, месяц или квартал."""
    with looking(settings_ready(quiet=True)) as world:
        told = leaderboard(world.services, period)
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    for one in told["managers"]:
        click.echo(f"{one['rank']:>3}. {_line(one)}")
    if not told["managers"]:
        click.echo(f"За {period.name} ничего не засчитано")


@bonuses.command("explain", epilog="Пример: crm1c bonuses explain ivanova 2026-11")
@click.argument("manager", metavar="МЕНЕДЖЕР")
@click.argument("period", callback=_period, metavar="ПЕРИОД")
@click.option("--json", "as_json", is_flag=True, help="Для программ: только JSON.")
def explain(manager: str, period: Period, *, as_json: bool) -> None:
    """Откуда взялся каждый рубль: платёж → разнесение → правило → сумма. МЕНЕДЖЕР — id в CRM или имя для входа."""
    with looking(settings_ready(quiet=True)) as world:
        told = of_manager(world.services, manager, period)
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    click.echo(_line(told))
    for one in told["accruals"]:
        click.echo(f"  {one['date']}  {one['explanation']}")
    parts = told["forecast_parts"]
    if parts:
        click.echo(
            f"Прогноз месяца {told['forecast']}: начислено {parts['accrued']}, по темпу {parts['run_rate']}, "
            f"по срокам оплаты {parts['due']}"
        )
    for one in told["accuracy"]:
        click.echo(f"  {one['month']}: {one['day']} ожидалось {one['foretold']}, вышло {one['came']}")


@bonuses.command("recompute", epilog="Пример: crm1c bonuses recompute --month 2026-11")
@click.argument("period", metavar="[МЕСЯЦ]", required=False)
@click.option("--month", help='Только этот месяц: "2026-11"; без него — все.')
@click.option("--json", "as_json", is_flag=True, help="Для программ: только JSON.")
def recompute_(period: str | None, month: str | None, *, as_json: bool) -> None:
    """Полный пересчёт по учёту. О каждом расхождении с текущими показателями сказано, и оно исправлено; код 1."""
    wanted = month or period
    if wanted is not None and _kind(wanted) != "month":
        raise click.BadParameter(f"{wanted}: нужен месяц, например 2026-11", param_hint="--month")
    with looking(settings_ready(quiet=True)) as world:
        proof = recompute(world.services, wanted)
    if as_json:
        told = {"months": proof.months, "managers": proof.managers}
        click.echo(json.dumps(told | {"differences": [_fields(one) for one in proof.differences]}, ensure_ascii=False))
    else:
        for one in proof.differences:
            click.echo(str(one))
        click.echo(f"Пересчитано: {proof}")
    if proof.differences:
        sys.exit(1)


def _kind(name: str) -> str:
    try:
        return Period.read(name).kind
    except ValueError:
        return ""


def _line(one: Mapping[str, Any]) -> str:
    told = f"{one['name'] or one['manager']}: бонус {one['bonus']} {one['currency']}, засчитано {one['received']}"
    told += f", платежей {one['payments']}"
    if one["plan"]:
        told += f", план {one['plan']} выполнен на {one['plan_percent']} %"
    return told


def _fields(one: Difference) -> dict[str, str]:
    return {
        "manager": one.manager,
        "month": one.month,
        "what": one.what,
        "currency": one.currency,
        "incremental": f"{one.incremental:.2f}",
        "recomputed": f"{one.recomputed:.2f}",
    }


COMMANDS = (bonuses,)
