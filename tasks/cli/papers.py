"""Papers: what was printed for a deal, a kept PDF, and any invoice or act of 1C drawn on the spot."""

from __future__ import annotations

from pathlib import Path

import click

from integration.bootstrap import World
from integration.errors import Rejected
from integration.flows.deal import invoice_link
from integration.flows.drawing import ACT, drawn
from integration.flows.paper import copies
from integration.paper import TEMPLATES, Press, look_of
from integration.rules.specimen import specimen
from integration.work import Link, Printed
from mappers.paper import PaperKind
from tasks.cli.common import looking, settings_ready

STATES = {"made": "не отправлялся", "sending": "отправляется", "sent": "отправлен", "void": "акт не проведён"}
_OUT = click.option(
    "--out", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Куда записать; иначе — имя документа."
)


@click.group(epilog="Пример: crm1c papers list espo 6926f0f0aaaa00001")
def papers() -> None:
    """Печатные счета и акты: что напечатано по сделке, сам PDF."""


@papers.command("list", epilog="Пример: crm1c papers list espo 6926f0f0aaaa00001")
@click.argument("crm", metavar="CRM")
@click.argument("deal", metavar="СДЕЛКА")
def list_(crm: str, deal: str) -> None:
    """Показать счёт и акты сделки, каждую версию, и что с ней стало."""
    with looking(settings_ready(quiet=True)) as world:
        found = _copies(world, crm, deal)
    for one in found:
        kind = f"акт {one.record_id.removeprefix(ACT)}" if one.record_id.startswith(ACT) else "счёт"
        sent = f" {one.sent_at:%d.%m.%Y %H:%M} UTC: {one.recipient}" if one.sent_at else ""
        state = STATES[one.state]
        click.echo(f"{kind} № {one.facts['number']} от {one.facts['date']}, версия {one.issue}: {state}{sent}")
    if not found:
        click.echo("По этой сделке ничего не напечатано.")


@papers.command(epilog="Пример: crm1c papers get espo 6926f0f0aaaa00001 --out счет.pdf")
@click.argument("crm", metavar="CRM")
@click.argument("deal", metavar="СДЕЛКА")
@click.option("--act", metavar="REF_KEY", help="Акт вместо счёта: его ref_key из crm1c papers list.")
@click.option("--version", type=click.IntRange(1), help="Какая версия; без неё последняя.")
@_OUT
def get(crm: str, deal: str, act: str | None, version: int | None, out: Path | None) -> None:
    """Взять PDF таким, каким он напечатан и отправлен."""
    record = f"{ACT}{act}" if act else deal
    with looking(settings_ready(quiet=True)) as world:
        found = [one for one in _copies(world, crm, deal) if one.record_id == record]
    found = [one for one in found if version is None or one.issue == version]
    if not found or not found[-1].pdf:
        raise Rejected("Такого PDF нет: не напечатан или убран за давностью. Снова из 1С: crm1c papers draw.")
    _write(found[-1].file_name, found[-1].pdf, out)


@papers.command(epilog="Пример: crm1c papers draw act 3f2b8c1e-0d7a-11f0-9c55-00155d0a0b01 --out акт.pdf")
@click.argument("kind", metavar="invoice|act", type=click.Choice(["invoice", "act"]))
@click.argument("ref_key", metavar="REF_KEY")
@click.option("--base", metavar="ИМЯ", help="База 1С; нужна, если их несколько.")
@_OUT
def draw(kind: str, ref_key: str, base: str | None, out: Path | None) -> None:
    """Прочитать счёт или акт в 1С и напечатать; никому ничего не отправляется. Так проверяют и свой шаблон."""
    with looking(settings_ready(quiet=True)) as world:
        names = list(world.services.bases)
        if base is None and len(names) == 1:
            base = names[0]
        if base not in names:
            raise click.BadParameter(f"назовите одну из баз: {', '.join(names)}", param_hint="--base")
        with world.store.looking() as known:
            links = known.by_ref(base, "invoice", ref_key) if kind == "invoice" else []
        link = links[0] if links else Link("", "deal", "", base, "invoice", ref_key)
        if kind == "invoice" and not links and world.settings.onec[base].print_url:
            raise Rejected("Этот счёт выставлен не crm1c: его печатает сама 1С (print_url).")
        made = drawn(world.services, link, ref_key if kind == "act" else "")
    if made is None:
        raise Rejected("Акт в 1С не проведён или удалён.")
    _write(made.name, made.pdf, out)


@papers.command(epilog="Пример: crm1c papers sample invoice --out образец.pdf")
@click.argument("kind", metavar="invoice|act", type=click.Choice(["invoice", "act"]))
@_OUT
def sample(kind: PaperKind, out: Path | None) -> None:
    """Напечатать образец по шаблону из настроек: так смотрят на свой шаблон, не трогая 1С."""
    press = Press(look_of(settings_ready(quiet=True)))
    paper = specimen(kind)
    _write(press.named(kind, paper.number, paper.day), press.pdf(paper), out)


@papers.command(epilog="Пример: crm1c papers templates шаблоны")
@click.argument("folder", metavar="ПАПКА", type=click.Path(file_okay=False, path_type=Path))
@click.option("--language", type=click.Choice(["ru", "en"]), default="ru", show_default=True, help="Язык писем.")
def templates(folder: Path, language: str) -> None:
    """Скопировать шаблоны счёта, акта и писем, чтобы изменить их по-своему. Готовых файлов не трогает."""
    shipped = [*sorted(TEMPLATES.glob("*.typ")), *sorted((TEMPLATES / "letter" / language).iterdir())]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in shipped:
            if not (folder / one.name).exists():
                (folder / one.name).write_bytes(one.read_bytes())
                click.echo(folder / one.name)
    except OSError as error:
        raise click.BadParameter(f"{folder}: {error.strerror}", param_hint="ПАПКА") from error


def _copies(world: World, crm: str, deal: str) -> list[Printed]:
    if crm not in world.settings.crm:
        raise click.BadParameter(f"нет [crm.{crm}]; есть: {', '.join(world.settings.crm)}", param_hint="CRM")
    link = invoice_link(world.services, crm, deal)
    if link is None:
        return []
    with world.store.unit("look for papers") as unit:
        return copies(unit.papers, unit.ledger, link)


def _write(name: str, pdf: bytes, out: Path | None) -> None:
    path = out or Path(name)
    try:
        path.write_bytes(pdf)
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}", param_hint="--out") from error
    click.echo(f"{path}: {len(pdf)} байт")


COMMANDS = (papers,)
