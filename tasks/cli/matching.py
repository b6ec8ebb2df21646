"""Clients of two systems: conflicts, doubles, links, the first day."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from integration.bootstrap import World
from integration.flows import firstday
from integration.flows.firstday import Findings, Told
from integration.flows.pair import sync_duty
from integration.flows.saving import KIND
from integration.flows.sync import by_hand, resolve
from integration.settings import Settings
from integration.store.unit import SqlUnit
from integration.work import Clash, Link, Proposed, own_key
from mappers.onec.odata import is_ref
from tasks.cli.common import looking, settings_ready
from tasks.cli.report import VERDICTS, write

T = TypeVar("T")
out = Console(highlight=False)
FIELDS = {
    "name": "название", "full_name": "полное название", "inn": "ИНН", "kpp": "КПП", "ogrn": "ОГРН",
    "address": "адрес", "phone": "телефон", "email": "почта",
}  # fmt: skip
KINDS = {"link": "CRM ↔ 1С", "double_crm": "двойник в CRM", "double_onec": "двойник в 1С"}


# -- conflicts ------------------------------------------------------------------------------------------------------


@click.group(epilog="Пример: crm1c conflicts list")
def conflicts() -> None:
    """Поля клиентов, которые изменили с обеих сторон: ждут решения, ни одна сторона не тронута."""


@conflicts.command("list", epilog="Пример: crm1c conflicts list")
def list_conflicts() -> None:
    """Показать, что ждёт решения."""
    with looking(settings_ready(quiet=True)) as world, world.store.unit("conflicts") as unit:
        found = unit.parties.open_clashes()
    if not found:
        click.echo("Противоречий нет.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("id", "клиент в CRM", "поле", "в CRM", "в 1С", "решено"):
        table.add_column(title, overflow="fold", no_wrap=title == "id")
    for one in found:
        taken = {"crm": "взять из CRM", "onec": "взять из 1С"}.get(one.take, "—")
        record = f"{one.crm} {one.record_id}"
        table.add_row(one.id[:8], record, FIELDS.get(one.field, one.field), one.crm_value, one.onec_value, taken)
    out.print(table)


@conflicts.command("show", epilog="Пример: crm1c conflicts show 1a2b3c4d")
@click.argument("conflict_id", metavar="ID")
def show_conflict(conflict_id: str) -> None:
    """Показать одно противоречие целиком."""
    with looking(settings_ready(quiet=True)) as world:
        one = _clash(world, conflict_id)
    for label, value in (
        ("id", one.id), ("клиент", f"{one.crm} {one.record_id}"), ("контрагент 1С", f"{one.base} {one.ref_key}"),
        ("поле", FIELDS.get(one.field, one.field)), ("было согласовано", one.agreed), ("в CRM", one.crm_value),
        ("в 1С", one.onec_value), ("причина", one.reason),
        ("состояние", "ждёт" if one.state == "open" else "решено"),
    ):  # fmt: skip
        out.print(f"{label:<18}{value or '—'}", markup=False)


@conflicts.command("resolve", epilog="Пример: crm1c conflicts resolve 1a2b3c4d --take onec")
@click.argument("conflict_id", metavar="ID")
@click.option("--take", type=click.Choice(["crm", "onec"]), required=True, help="Чьё значение верно.")
def resolve_conflict(conflict_id: str, take: str) -> None:
    """Решить: это значение получат обе стороны."""
    with looking(settings_ready(quiet=True)) as world:
        one = _clash(world, conflict_id)
        if not resolve(world.services, one, "crm" if take == "crm" else "onec"):
            raise click.ClickException("противоречие уже снято: стороны согласны")
    click.echo(f"Решено: {FIELDS.get(one.field, one.field)} = {one.crm_value if take == 'crm' else one.onec_value}")


def _clash(world: World, clash_id: str) -> Clash:
    return _the_one(world, lambda unit: unit.parties.clash_by_id(clash_id), f"противоречия {clash_id}", "conflicts")


def _the_one(world: World, find: Callable[[SqlUnit], T | None], what: str, command: str) -> T:
    """What `find` finds. Raises BadParameter naming the list to look in."""
    with world.store.unit("look") as unit:
        found = find(unit)
    if found is None:
        raise click.BadParameter(f"нет {what}; список: crm1c {command} list", param_hint="ID")
    return found


# -- doubles and proposals ------------------------------------------------------------------------------------------


@click.group(epilog="Пример: crm1c duplicates list")
def duplicates() -> None:
    """Похожие клиенты: связать ли CRM с 1С, и двойники внутри каждой. Отказ запоминается."""


@duplicates.command("list", epilog="Пример: crm1c duplicates list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
def list_duplicates(limit: int) -> None:
    """Показать предложения, сначала самые похожие."""
    with looking(settings_ready(quiet=True)) as world, world.store.unit("proposals") as unit:
        found = unit.parties.proposals(limit=limit)
    if not found:
        click.echo("Предложений нет.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("id", "что", "кто", "сходство", "почему"):
        table.add_column(title, overflow="fold", no_wrap=title == "id")
    for one in found:
        table.add_row(one.id[:8], KINDS[one.kind], one.title, f"{one.score:.0%}", "; ".join(one.reasons))
    out.print(table)


@duplicates.command("accept", epilog="Пример: crm1c duplicates accept 1a2b3c4d")
@click.argument("proposal_id", metavar="ID")
def accept_duplicate(proposal_id: str) -> None:
    """Это один клиент: CRM ↔ 1С — связать; двойников объединяют в самой системе, здесь они только отмечаются."""
    with looking(settings_ready(quiet=True)) as world:
        one = _proposal(world, proposal_id)
        if not firstday.accept(world.services, one):
            raise click.ClickException("об этом уже решено")
        if one.kind == "link":
            link = Link(one.crm, "account", one.record_id, one.base, KIND, one.other)
            with world.store.unit("sync accepted link") as unit:
                unit.owe(sync_duty(world.services, link, ""), cause=by_hand(one.record_id))
    click.echo("Связано." if one.kind == "link" else "Отмечено. Объедините записи в самой системе.")


@duplicates.command("refuse", epilog="Пример: crm1c duplicates refuse 1a2b3c4d")
@click.argument("proposal_id", metavar="ID")
def refuse_duplicate(proposal_id: str) -> None:
    """Это разные клиенты; больше не предлагать."""
    with looking(settings_ready(quiet=True)) as world:
        one = _proposal(world, proposal_id)
        with world.store.unit("refuse proposal") as unit:
            if not unit.parties.judge(one.id, "refused"):
                raise click.ClickException("об этом уже решено")
    click.echo("Запомнено: это разные клиенты.")


def _proposal(world: World, proposal_id: str) -> Proposed:
    named = f"предложения {proposal_id}"
    return _the_one(world, lambda unit: unit.parties.proposal(proposal_id), named, "duplicates")


# -- links ----------------------------------------------------------------------------------------------------------


@click.group(epilog="Пример: crm1c links build")
def links() -> None:
    """Связи клиентов CRM с контрагентами 1С; первый день двух баз."""


def _one_of(names: list[str], given: str | None, hint: str) -> str:
    if given is None and len(names) == 1:
        return names[0]
    if given not in names:
        raise click.BadParameter(f"назовите одно из: {', '.join(names) or 'ничего не настроено'}", param_hint=hint)
    return given


def _named(settings: Settings, crm: str | None, base: str | None) -> tuple[str, str]:
    return _one_of(list(settings.crm), crm, "--crm"), _one_of(list(settings.onec), base, "--onec")


@links.command("list", epilog="Пример: crm1c links list")
@click.option("--crm", help="Имя таблицы [crm.ИМЯ], если их несколько.")
@click.option("--onec", "base", help="Имя таблицы [onec.ИМЯ], если их несколько.")
def list_links(crm: str | None, base: str | None) -> None:
    """Показать связи: запись CRM и ссылка 1С через табуляцию, как их берёт links import."""
    settings = settings_ready(quiet=True)
    crm_name, base_name = _named(settings, crm, base)
    with looking(settings) as world, world.store.unit("links") as unit:
        found = unit.parties.linked(crm_name, base_name, KIND)
    for record, ref in found:
        click.echo(f"{record}\t{ref}")


@links.command("import", epilog="Пример: crm1c links import clients.csv --confirm")
@click.argument("file", type=click.Path(path_type=Path), metavar="ФАЙЛ")
@click.option("--crm", help="Имя таблицы [crm.ИМЯ], если их несколько.")
@click.option("--onec", "base", help="Имя таблицы [onec.ИМЯ], если их несколько.")
@click.option("--confirm", is_flag=True, help="Записать; без этого файл только проверяется.")
def import_links(file: Path, crm: str | None, base: str | None, *, confirm: bool) -> None:
    """Взять связи из CSV: id записи CRM и ссылка 1С (GUID); разделитель — «,», «;» или табуляция."""
    if not file.is_file():
        raise click.BadParameter(f"нет файла {file}", param_hint="ФАЙЛ")
    settings = settings_ready(quiet=True)
    crm_name, base_name = _named(settings, crm, base)
    with looking(settings) as world:
        with world.store.unit("links") as unit:
            standing = dict(unit.parties.linked(crm_name, base_name, KIND))
        taken = {ref: record for record, ref in standing.items()}
        new: list[Link] = []
        same = wrong = 0
        for number, record, ref in _pairs(file):
            if not is_ref(ref) or not record or len(record) > 64:
                trouble = f"строка {number}: нужны id записи CRM и GUID, а там «{record[:40]}», «{ref[:40]}»"
            elif standing.get(record) == ref:
                same += 1
                continue
            elif record in standing or ref in taken:
                trouble = f"строка {number}: {record} или {ref} уже связаны с другими"
            else:
                standing[record], taken[ref] = ref, record
                key = own_key(KIND, base_name, ref)
                new.append(Link(crm_name, "account", record, base_name, KIND, ref, key, state="linked"))
                continue
            wrong += 1
            click.echo(trouble, err=True)
        if confirm:
            firstday.confirm(world.services, Findings(links=new), lambda _stage, _at: None)
    done = "записано" if confirm else "можно записать (--confirm)"
    click.echo(f"Новых связей {done}: {len(new)}; уже были: {same}; не приняты: {wrong}")
    if wrong:
        raise click.ClickException(f"не приняты строки: {wrong}; остальные {'записаны' if confirm else 'годятся'}")


def _pairs(file: Path) -> Iterator[tuple[int, str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        first = lines.readline()
        delimiter = next((sign for sign in "\t;" if sign in first), ",")
        lines.seek(0)
        for number, row in enumerate(csv.reader(lines, delimiter=delimiter), 1):
            cells = [cell.strip() for cell in row]
            if len(cells) < 2 or (number == 1 and not is_ref(cells[1])):
                continue  # an empty line, or the names of the columns
            yield number, cells[0], cells[1].lower()


@links.command("build", epilog="Пример: crm1c links build;  crm1c links build --confirm")
@click.option("--crm", help="Имя таблицы [crm.ИМЯ], если их несколько.")
@click.option("--onec", "base", help="Имя таблицы [onec.ИМЯ], если их несколько.")
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), default=Path("crm1c-links"),
              show_default=True, help="Папка отчёта: links.csv и links.html.")  # fmt: skip
@click.option("--fresh", is_flag=True, help="Прочитать обе базы заново, а не продолжить прерванное.")
@click.option("--confirm", is_flag=True, help="Записать связи и предложения; без этого — только отчёт.")
def build_links(crm: str | None, base: str | None, report: Path, *, fresh: bool, confirm: bool) -> None:
    """Первый день: прочитать обе базы, сопоставить, показать отчёт. Записывается только с --confirm; прерванное
    продолжается с того же места."""
    settings = settings_ready(quiet=True)
    crm_name, base_name = _named(settings, crm, base)
    findings = Findings()
    with looking(settings) as world, _progress() as told:
        if fresh:
            firstday.forget(world.services)
        firstday.read(world.services, crm_name, base_name, told)
        report.mkdir(parents=True, exist_ok=True)
        write(report, firstday.matched(world.services, crm_name, base_name, findings, told), findings)
        new = firstday.confirm(world.services, findings, told) if confirm else 0
        if confirm:
            firstday.forget(world.services)
    counted = ", ".join(f"{label} {findings.counts[name]}" for name, label in VERDICTS.items())
    click.echo(f"{counted}. Отчёт: {report / 'links.html'}")
    click.echo(f"Записано связей: {new}" if confirm else "Ничего не записано: посмотрите отчёт и повторите с --confirm")


@contextmanager
def _progress() -> Iterator[Told]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, object] = {}

        def told(stage: str, at: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=None)
            progress.update(tasks[stage], completed=at)  # type: ignore[arg-type]

        yield told


COMMANDS = (conflicts, duplicates, links)
