"""Parts that run: web, worker, beat, flower; and `up`, which runs them all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import click

from integration.settings import Settings
from tasks import run
from tasks.app import QUEUES
from tasks.cli.common import running, settings_ready
from tasks.cli.sandbox import sandboxed


@click.command(epilog="Пример: crm1c web")
def web() -> None:
    """Приём вебхуков и API."""
    settings = settings_ready()
    _not_embedded(settings, "web")
    run.serve_web(running(settings))


@click.command(epilog="Пример: crm1c worker --queues onec --concurrency 3")
@click.option(
    "--queues", default="", help=f"Очереди через запятую, без приставки: {','.join(QUEUES)}. По умолчанию все."
)
@click.option("--concurrency", type=click.IntRange(1, 256), help="Процессов сразу. По умолчанию [worker] concurrency.")
def worker(queues: str, concurrency: int | None) -> None:
    """Исполнитель: делает то, что записано в очередях."""
    names = [name.strip().removeprefix("crm1c.") for name in queues.split(",") if name.strip()]
    unknown = sorted(set(names) - set(QUEUES))
    if unknown:
        raise click.BadParameter(f"нет очереди {', '.join(unknown)}; есть {', '.join(QUEUES)}", param_hint="--queues")
    settings = settings_ready()
    _not_embedded(settings, "worker")
    sys.exit(run.work(running(settings), names, concurrency))


@click.command(epilog="Пример: crm1c beat")
@click.option("--schedule-file", type=click.Path(path_type=Path), help="Файл расписания, когда Redis встроенный.")
def beat(schedule_file: Path | None) -> None:
    """Часы: запускает работу по расписанию."""
    settings = settings_ready()
    _not_embedded(settings, "beat")
    run.beat(running(settings), schedule_file)


@click.command(epilog="Пример: CRM1C_FLOWER_PASSWORD=… crm1c flower --conf flower.conf")
@click.option("--conf", type=click.Path(path_type=Path), help="По умолчанию ./flower.conf, иначе тот, что с crm1c.")
def flower(conf: Path | None) -> None:
    """Flower: очереди, исполнители и задачи, только просмотр, по паролю."""
    found = flower_conf(conf)
    settings = settings_ready()
    _not_embedded(settings, "flower")
    table = settings.flower
    if table.password and "CRM1C_FLOWER_PASSWORD" not in os.environ:
        os.environ["CRM1C_FLOWER_PASSWORD"] = table.password[0].reveal()
    os.environ.setdefault("CRM1C_FLOWER_USER", table.user)
    os.environ.setdefault("CRM1C_FLOWER_HOST", table.host)
    os.environ.setdefault("CRM1C_FLOWER_PORT", str(table.port))
    run.made(settings).app.start(["flower", f"--conf={found.resolve()}"])


def flower_conf(conf: Path | None) -> Path:
    """The file of Flower's settings: the one named, that of this folder, the package's, or that of the source tree."""
    ours = (Path(sys.prefix, "share", "crm1c"), Path(__file__).resolve().parents[2])
    places = [conf] if conf else [Path("flower.conf"), *(folder / "flower.conf" for folder in ours)]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        where = conf or "flower.conf"
        raise click.BadParameter(f"нет файла {where}: возьмите flower.conf из исходного кода", param_hint="--conf")
    return found


@click.command(epilog="Пример: crm1c up --sandbox")
@click.option("--sandbox", is_flag=True, help="Рядом с учебными 1С, CRM и почтой; ничего настраивать не нужно.")
def up(sandbox: bool) -> None:
    """Всё на этой машине одной командой: приём, исполнитель, часы."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with ExitStack() as stack:
        if sandbox:
            place = stack.enter_context(sandboxed())
            click.echo(f"Учебная 1С:  {place.onec}\nУчебная CRM: {place.crm}\nПочта:       {place.mail}")
            settings = place.settings
        else:
            settings = settings_ready()
        if settings.embedded:
            url = stack.enter_context(run.everything(running(settings)))
            click.echo(f"crm1c работает: {url}  (Ctrl+C — остановить)")
            stopped.wait()
            return
        running(settings)
        sys.exit(_supervise(stopped))


def _supervise(stopped: threading.Event) -> int:
    """Web, worker and beat as processes of their own; when one ends by itself, the others are stopped too."""
    parts = {name: subprocess.Popen([sys.executable, "-m", "tasks.cli", name]) for name in ("web", "worker", "beat")}  # noqa: S603
    click.echo("crm1c работает: web, worker, beat  (Ctrl+C — остановить)")
    try:
        while not stopped.wait(0.5):
            ended = {name: part.returncode for name, part in parts.items() if part.poll() is not None}
            if ended:
                click.echo(f"crm1c: остановилось само: {', '.join(ended)}; останавливаю остальное", err=True)
                return 1
        return 0
    finally:
        for part in parts.values():
            if part.poll() is None:
                part.terminate()
        for part in parts.values():
            try:
                part.wait(timeout=45)
            except subprocess.TimeoutExpired:
                part.kill()


def _not_embedded(settings: Settings, part: str) -> None:
    if settings.embedded:
        raise click.UsageError(
            f"брокер memory:// живёт в одном процессе, отдельного {part} при нём нет. Запустите crm1c up "
            'или укажите [broker] url = "amqp://…"'
        )


COMMANDS = (web, worker, beat, flower, up)
