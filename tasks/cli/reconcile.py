"""The reconciliation by hand: run it now, or show the last report."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from integration import report
from integration.bootstrap import World
from integration.errors import Busy, Rejected, Transient
from integration.flows.origin import mark_start
from integration.flows.reconcile.run import advance, begin
from integration.rules.findings import ACTIONS, ENTITIES, FIELDS, KINDS, SIDES, Finding, Run
from tasks.cli.common import looking, settings_ready

out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True)
_PAUSE = 3.0  # seconds between two tries of what did not answer
_SHOWN = 50  # findings that are listed on the screen; all of them are in the report
_COLOURS = {"ok": "green", "found": "yellow", "alarm": "bold red", "running": "cyan"}
JSON = click.option("--json", "as_json", is_flag=True, help="Отчёт одной JSON-структурой.")
HTML = click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Записать отчёт страницей HTML.")


@click.group(invoke_without_command=True, epilog="Пример: crm1c reconcile --since 2026-11-01 --html report.html")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Документы 1С с этой даты; иначе compare_days.")
@JSON
@HTML
@click.option("--over-limit", is_flag=True, help="Исправлять, сколько бы ни нашлось ([reconcile] limit не действует).")
@click.pass_context
def reconcile(
    context: click.Context, since: datetime | None, *, as_json: bool, html: Path | None, over_limit: bool
) -> None:
    """Сверить 1С, crm1c, CRM и банк сейчас: чего не хватает, что лишнее, что расходится, что устарело."""
    if context.invoked_subcommand:
        return
    with looking(settings_ready(quiet=True)) as world:
        mark_start(world.services)
        run = _compared(world, since, over_limit=over_limit, quiet=as_json)
        _tell(world, run, html, as_json=as_json)
    failed = [part for part in run.parts if part.state == "failed"]
    if failed:
        reasons = "; ".join(dict.fromkeys(part.reason for part in failed))
        raise Transient(f"Сверено не всё ({', '.join(part.name for part in failed)}): {reasons}")


@reconcile.command(epilog="Пример: crm1c reconcile show --html report.html")
@JSON
@HTML
def show(*, as_json: bool, html: Path | None) -> None:
    """Показать последний отчёт."""
    with looking(settings_ready(quiet=True)) as world:
        with world.store.unit("look for report") as unit:
            run = unit.reconciling.latest()
        if run is None:
            raise Rejected("Сверки ещё не было: crm1c reconcile.")
        _tell(world, run, html, as_json=as_json)


def _compared(world: World, since: datetime | None, *, over_limit: bool, quiet: bool) -> Run:
    run = begin(world.services, "hand", since.date() if since else None, over_limit=over_limit)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal) as progress:
        bars: dict[str, Any] = {}

        def told(name: str, checked: int) -> None:
            if name not in bars:
                kind, _, whose = name.partition(":")
                bars[name] = progress.add_task(f"{report.PARTS[kind]} {whose}".strip(), total=None)
            progress.update(bars[name], completed=checked)

        waits = False
        while not run.verdict:
            if waits:  # a system did not answer, or all its sessions were taken
                threading.Event().wait(_PAUSE)
            try:
                run, waits = advance(world.services, run, told)
            except Busy as error:
                reason = "Сверка уже идёт в другом процессе. Когда закончится, отчёт покажет crm1c reconcile show."
                raise Busy(reason) from error
    return run


def _tell(world: World, run: Run, html: Path | None, *, as_json: bool) -> None:
    with world.store.unit("read report") as unit:
        tallies = unit.reconciling.tallies(run.id)
    told = report.summary(run, tallies, world.settings.schedule.timezone)
    if html is not None:
        with html.open("w", encoding="utf-8") as file:
            file.writelines(report.page(told, _all(world, run)))
    if as_json:
        _json(told, _all(world, run))
        return
    _screen(told, _all(world, run))
    if html is not None:
        click.echo(f"Отчёт: {html}")


def _all(world: World, run: Run) -> Iterator[tuple[str, Finding]]:
    """Every finding, read in batches."""
    after = 0
    while True:
        with world.store.unit("read findings") as unit:
            some = unit.reconciling.findings(run.id, after)
        if not some:
            return
        yield from ((part, one) for _, part, one in some)
        after = some[-1][0]


def _json(told: Mapping[str, Any], found: Iterator[tuple[str, Finding]]) -> None:
    """One structure, written as it is read."""
    head = json.dumps(told, ensure_ascii=False, indent=2)
    sys.stdout.write(head.removesuffix("\n}") + ',\n  "findings": [')
    comma = ""
    for part, one in found:
        sys.stdout.write(f"{comma}\n    {json.dumps(report.line(part, one), ensure_ascii=False)}")
        comma = ","
    sys.stdout.write("\n  ]\n}\n" if comma else "]\n}\n")


def _screen(told: Mapping[str, Any], found: Iterator[tuple[str, Finding]]) -> None:
    verdict = told["verdict"]
    out.print(f"[{_COLOURS[verdict]}]{report.VERDICTS[verdict if verdict != 'running' else '']}[/]", end="")
    out.print(f": сверено {told['checked']}; " + ", ".join(f"{KINDS[k]} {n}" for k, n in told["counts"].items()))
    out.print(f"исправлено {told['repaired']}, решает человек {told['person']}, не тронуто {told['held']}")
    for part in told["parts"]:
        if part["state"] == "failed":
            out.print(f"[red]не сверено[/] {part['name']}: {part['reason']}")
    for number, (_, one) in enumerate(found):
        if number == _SHOWN:
            out.print("… остальное в отчёте: crm1c reconcile show --html report.html")
            break
        values = ", ".join(f"{SIDES[side]} «{value or 'нет'}»" for side, value in one.said.items())
        field = f", {FIELDS.get(one.field, one.field)}" if one.field else ""
        out.print(f"  {KINDS[one.kind]}: {ENTITIES[one.entity]} {one.title}{field}: {values}", markup=False)
        out.print(f"      {ACTIONS[one.action]}. {one.reason}", markup=False, style="dim")


COMMANDS = (reconcile,)
