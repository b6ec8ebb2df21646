"""Looking at the inbox, and bringing back or discarding what was parked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import click
from rich.console import Console
from rich.table import Table

from integration.bootstrap import World
from integration.store import journal
from integration.store.filters import Filters
from tasks.cli.common import looking, settings_ready

out = Console(highlight=False)
_WIDE = 140  # columns that the table of events needs to be read
KINDS = ("rejected", "misconfigured", "conflict", "exhausted", "unknown", "poison", "bug")
STATES = ("due", "running", "done", "parked")
WORDS = {"due": "ждёт", "running": "в работе", "done": "сделано", "parked": "отложено"}


def _filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that narrow events down, the same for list and replay."""
    for option in reversed(
        (
            click.option("--source", help="Имя CRM или магазина."),
            click.option("--state", type=click.Choice(STATES), help="Состояние."),
            click.option("--kind", type=click.Choice(KINDS), help="Вид ошибки."),
            click.option("--record", "record_id", help="id записи в CRM."),
            click.option("--since", type=click.DateTime(), help="Не раньше (UTC)."),
            click.option("--until", type=click.DateTime(), help="Раньше (UTC)."),
        )
    ):
        command = option(command)
    return command


def _narrowed(options: dict[str, Any]) -> Filters:
    """The options as the journal takes them; times without a zone are UTC."""
    filters: Any = {
        name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for name, value in options.items()
    }
    return cast(Filters, filters)


@click.group(epilog="Пример: crm1c events list --state parked")
def events() -> None:
    """Входящие события: что пришло и что с ним стало."""


@events.command("list", epilog="Пример: crm1c events list --state parked")
@_filters
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Одной JSON-структурой.")
def list_(limit: int, *, as_json: bool, **options: Any) -> None:
    """Показать события, новые сверху."""
    with looking(settings_ready(quiet=True)) as world, world.store.reading() as conn:
        found = journal.events(conn, limit=limit, **_narrowed(options))
    if as_json:
        click.echo(_json([dataclasses.asdict(one) for one in found]))
        return
    if not found:
        click.echo("Событий нет.")
        return
    if out.width < _WIDE:
        for one in found:
            click.echo(
                f"{one.id}  {one.received_at:%Y-%m-%d %H:%M:%S}  {one.source} {one.entity}.{one.event}  {one.record_id}"
            )
            click.echo(f"    {_state(one)}, попыток: {one.attempts}. {_told(one)}".rstrip())
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("id", "пришло (UTC)", "откуда", "что", "запись", "состояние", "попыток", "чем кончилось"):
        table.add_column(title, overflow="fold", no_wrap=title == "id")
    for one in found:
        row = (f"{one.received_at:%Y-%m-%d %H:%M:%S}", one.source, f"{one.entity}.{one.event}", one.record_id)
        table.add_row(one.id, *row, _state(one), str(one.attempts), _told(one))
    out.print(table)


def _state(one: journal.EventView) -> str:
    return f"{WORDS[one.state]} ({one.kind})" if one.state == "parked" else WORDS[one.state]


def _told(one: journal.EventView) -> str:
    return one.error or one.outcome_text or one.outcome or ""


@events.command(epilog="Пример: crm1c events show ID")
@click.argument("event_id", metavar="ID")
def show(event_id: str) -> None:
    """Показать событие целиком: тело, работы по нему, ошибки со всеми словами другой стороны."""
    with looking(settings_ready(quiet=True)) as world, world.store.reading() as conn:
        found = journal.event(conn, event_id)
    if found is None:
        raise _unknown(event_id)
    click.echo(_json(dataclasses.asdict(found)))


@events.command(epilog="Пример: crm1c events replay ID;  crm1c events replay --state parked --kind rejected")
@click.argument("event_id", metavar="ID", required=False)
@_filters
def replay(event_id: str | None, **options: Any) -> None:
    """Вернуть в работу одно событие или все подходящие."""
    if event_id is None and not any(options.values()):
        raise click.UsageError("назовите ID или условие, например --state parked")
    with looking(settings_ready(quiet=True)) as world:
        if event_id is not None:
            count = journal.replay(world.store, event_id)
            _known(world, event_id, count)
        else:
            count = journal.replay_matching(world.store, **_narrowed(options))
    click.echo(f"Возвращено в работу: {count}")


@events.command(epilog='Пример: crm1c events discard ID --reason "сделка отменена"')
@click.argument("event_id", metavar="ID")
@click.option("--reason", required=True, help="Почему; останется в журнале.")
def discard(event_id: str, reason: str) -> None:
    """Снять отложенное событие: делать его не нужно."""
    with looking(settings_ready(quiet=True)) as world:
        count = journal.discard(world.store, event_id, reason)
        _known(world, event_id, count)
    click.echo(f"Снято: {count}")


def _known(world: World, event_id: str, count: int) -> None:
    """Raises BadParameter when nothing was done because there is no such event (or work) at all."""
    with world.store.reading() as conn:
        if not count and journal.event(conn, event_id) is None:
            raise _unknown(event_id)


def _unknown(event_id: str) -> click.BadParameter:
    return click.BadParameter(f"нет события {event_id}; список: crm1c events list", param_hint="ID")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


COMMANDS = (events,)
