"""The command line. A command that fails says one clear line on stderr and exits non-zero."""

from __future__ import annotations

import sys

import click

from integration.errors import Crm1cError
from integration.settings import SettingsError
from tasks.cli import admin, bonuses, look, matching, money, papers, parties, play, reconcile, serve, words

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
click.Context.formatter_class = words.Help


@click.group(context_settings=HELP, epilog="Пример: crm1c demo --once")
@click.version_option(package_name="crm1c", prog_name="crm1c")
def crm1c() -> None:
    """crm1c: посредник между CRM и 1С — счета, реквизиты, оплаты, бонусы.

    Настройки: ./crm1c.toml, другой файл — в CRM1C_CONFIG. Начать: crm1c up --sandbox (ничего настраивать не нужно),
    затем crm1c init и crm1c doctor.
    """


for module in (serve, admin, look, parties, matching, money, bonuses, papers, reconcile, play):
    for command in module.COMMANDS:
        crm1c.add_command(command)


def main() -> None:
    """The entry point of the console script."""
    try:
        crm1c(standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.Abort:
        _fail("прервано", 130)
    except click.ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a group alone, since click 8.2
            click.echo(error.format_message(), err=True)
            sys.exit(error.exit_code)
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "crm1c"
        _fail(f"{_words(error)}  (справка: {where} --help)", error.exit_code)
    except SettingsError as error:
        _fail(str(error), 2)
    except Crm1cError as error:
        reason = error.reason.replace("Повторим сами", "Повторите позже")  # here nobody does it for the person
        _fail(f"{reason}{f' [{error.detail}]' if error.detail else ''}", 1)
    except BrokenPipeError:
        sys.exit(1)


def _words(error: click.ClickException) -> str:
    """click speaks English; our people don't."""
    if isinstance(error, click.NoSuchOption):
        return f"нет ключа {error.option_name}"
    if unknown := getattr(error, "command_name", ""):  # NoSuchCommand, since click 8.4
        return f"нет команды {unknown}"
    if not isinstance(error, click.BadParameter):
        return error.format_message()
    if isinstance(error.param, click.Argument):
        name = error.param.human_readable_name
    else:
        name = error.param.opts[0] if error.param else ""
    if isinstance(error, click.MissingParameter):
        return f"не указано: {name}"
    return f"{error.param_hint or name}: {error.message}"


def _fail(text: str, code: int) -> None:
    click.echo(f"crm1c: {'; '.join(line.strip() for line in text.splitlines() if line.strip())}", err=True)
    sys.exit(code)
