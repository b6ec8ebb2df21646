"""Trying crm1c out: the sandbox systems, and the demo that plays the main job beside them."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from tasks.cli.story import tell

SYSTEMS = ("onec", "crm", "registry", "mail")


@click.command(epilog="Пример: crm1c sandbox onec --port 8081")
@click.argument("system", type=click.Choice(SYSTEMS), metavar="|".join(SYSTEMS))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 — любой свободный, он будет назван.")
@click.argument("more", nargs=-1, type=click.UNPROCESSED)
def sandbox(system: str, port: int, more: tuple[str, ...]) -> None:
    """Одна учебная система. Её собственные параметры — после «--»."""
    sys.exit(import_module(f"sandbox.{system}").main(["--port", str(port), *more]))


@click.command(epilog="Пример: crm1c demo --once")
@click.option("--once", is_flag=True, help="Закончить после рассказа; 0 — только если каждый шаг проверен.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Порт crm1c; 0 — любой свободный.")
def demo(port: int, *, once: bool) -> None:
    """Сыграть главную работу по шагам рядом с учебными 1С, CRM и почтой."""
    sys.exit(tell(once=once, port=port))


COMMANDS = (sandbox, demo)
