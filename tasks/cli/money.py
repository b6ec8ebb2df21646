"""Money: bank statements, and people's decisions on payments."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from integration.bootstrap import World
from integration.errors import Rejected
from integration.flows.payment import settle_accounts
from integration.rules.positions import Pin
from integration.rules.statements import compared
from integration.store.ledger import SqlLedger
from integration.store.statements import SqlStatements
from integration.work import new_id
from mappers.bank.clientbank import NotAStatement, statement
from mappers.money import Refund, Statement, StatementLine
from tasks.cli.common import looking, settings_ready

_SHOWN = 50  # differences that are listed; the rest is counted
_AROUND = timedelta(days=10)
_WAY = {"in": "приход", "out": "возврат"}


@click.group("statements", epilog="Пример: crm1c statements import kl_to_1c.txt")
def statements() -> None:
    """Банковские выписки: второй источник сведений о деньгах."""


@statements.command("import", epilog="Пример: crm1c statements import kl_to_1c.txt")
@click.argument("files", metavar="ФАЙЛ…", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
def import_(files: Sequence[str]) -> None:
    """Прочитать выписки (1CClientBankExchange) и сверить с поступлениями и возвратами 1С. Повтор ничего не меняет."""
    read = [(Path(file).name, _read(Path(file))) for file in files]  # all of them, before anything is taken
    with looking(settings_ready(quiet=True)) as world:
        with world.store.unit("keep statements") as unit:
            store = SqlStatements(unit.conn, unit.now)
            before = store.accounts()
            for name, found in read:
                _tell(name, found, store.keep(found.lines, name), before)
        _compare(world, [line for _, found in read for line in found.lines])


def _read(file: Path) -> Statement:
    try:
        return statement(file.read_bytes())
    except NotAStatement as error:
        raise Rejected(f"{file.name}: {error} Ничего не принято.") from error


def _tell(name: str, found: Statement, new: int, before: set[str]) -> None:
    for problem in found.problems:
        where = f"{name}, строка {problem.line}" if problem.line else name
        click.echo(f"{where}: {problem.text}", err=True)
    for account in found.accounts:
        if before and account not in before:
            click.echo(f"{name}: счёт {account} раньше не встречался: проверьте, что он ваш", err=True)
    lost = sum(problem.lost for problem in found.problems)
    skipped = f", пропущено повреждённых {lost}" if lost else ""
    click.echo(f"{name}: движений {len(found.lines)}, новых {new}{skipped}")


def _compare(world: World, lines: Sequence[StatementLine]) -> None:
    """Within the days of these statements; what other statements told of them counts too."""
    if not lines:
        return
    since, until = min(line.date for line in lines), max(line.date for line in lines)
    with world.store.reading() as conn:
        store = SqlStatements(conn, world.services.now())
        told = store.lines(since - _AROUND, until + _AROUND)
        result = compared(told, store.payments(since - 2 * _AROUND, until + 2 * _AROUND))
    currencies = {line.currency for line in lines}
    bank = [line for line in result.bank_only if since <= line.date <= until]
    onec = [one for one in result.onec_only if since <= one.date <= until and one.currency in currencies]
    click.echo(f"Сверка с 1С за {since:%d.%m.%Y}–{until:%d.%m.%Y}: сошлось {result.paired}")
    _list("есть в банке, нет в 1С", [
        f"{_WAY[line.direction]} {line.date:%d.%m.%Y} № {line.number} {line.amount} {line.currency} "
        f"{line.name} {line.inn}".rstrip()
        for line in bank
    ])  # fmt: skip
    _list("есть в 1С, нет в выписках", [
        f"{_WAY['out' if isinstance(one, Refund) else 'in']} {one.date:%d.%m.%Y} {one.number} "
        f"(банк № {one.bank_number or '—'}) {one.amount} {one.currency}"
        for one in onec
    ])  # fmt: skip
    if result.others:
        click.echo(f"  прочих списаний, не возвратов клиентам: {result.others}")


def _list(title: str, rows: Sequence[str]) -> None:
    click.echo(f"  {title}: {len(rows)}")
    for row in rows[:_SHOWN]:
        click.echo(f"    {row}")
    if len(rows) > _SHOWN:
        click.echo(f"    … ещё {len(rows) - _SHOWN}")


@click.group("allocations", epilog="Пример: crm1c allocations list")
def allocations() -> None:
    """Разнесение платежей: что ждёт решения, решения людей."""


@allocations.command("list", epilog="Пример: crm1c allocations list")
def list_() -> None:
    """Платежи, которые ждут решения, с кандидатами; документы, которые не участвуют, с причиной."""
    with looking(settings_ready(quiet=True)) as world:
        with world.store.reading() as conn:
            waiting = SqlLedger(conn, world.services.now()).questions()
        for account, one in waiting:
            kind = "ждёт решения" if one.kind == "proposal" else "не участвует"
            click.echo(f"{account.base} {one.document} {kind}: {one.reason}")
            if one.kind == "proposal":
                click.echo(f"    сумма {one.amount} {one.currency}")
            for each in one.candidates:
                click.echo(f"    {each['obligation']} {each['label']}, не оплачено {each['lacks']}")
        if not waiting:
            click.echo("Решений не ждёт ничего.")


@allocations.command("pin", epilog="Пример: crm1c allocations pin main ПЛАТЁЖ АКТ --amount 8000")
@click.argument("base", metavar="БАЗА")
@click.argument("payment", metavar="ПЛАТЁЖ")
@click.argument("obligation", metavar="ДОКУМЕНТ", default="")
@click.option("--amount", help="Сколько, в валюте договора; без него — всё, что от платежа осталось.")
@click.option("--by", default="", help="Кто решил; по умолчанию — вы.")
def pin(base: str, payment: str, obligation: str, amount: str | None, by: str) -> None:
    """Платёж — на этот счёт или акт (Ref_Key). Без документа: «ничего из предложенного», дальше как обычно."""
    decision = Pin(payment.lower(), obligation.lower(), _amount(amount), by or getpass.getuser())
    with _deciding(base) as world:
        with world.store.unit("pin") as unit:
            if not unit.ledger.pin(base, decision, new_id()):
                raise Rejected(f"Платежа {payment} crm1c не знает: проверьте Ref_Key (crm1c allocations list).")
        settle_accounts(world.services, base, f"решение: {decision.by}")
    click.echo("Решение записано.")


@allocations.command("unpin", epilog="Пример: crm1c allocations unpin main ПЛАТЁЖ")
@click.argument("base", metavar="БАЗА")
@click.argument("payment", metavar="ПЛАТЁЖ")
def unpin(base: str, payment: str) -> None:
    """Снять решения по платежу: дальше он разносится по правилам."""
    with _deciding(base) as world:
        with world.store.unit("unpin") as unit:
            ended = unit.ledger.unpin(base, payment.lower())
        if not ended:
            raise Rejected(f"Решений по платежу {payment} нет.")
        settle_accounts(world.services, base, "решение снято")
    click.echo(f"Снято решений: {ended}.")


def _deciding(base: str) -> AbstractContextManager[World]:
    settings = settings_ready(quiet=True)
    if base not in settings.onec:
        raise click.BadParameter(f"нет [onec.{base}]; есть: {', '.join(settings.onec)}", param_hint="БАЗА")
    return looking(settings)


def _amount(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        amount = Decimal(text.replace(" ", "").replace(",", "."))
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0 or amount != round(amount, 2):
        raise click.BadParameter("нужна сумма больше нуля, например 8000.50", param_hint="--amount")
    return amount


COMMANDS = (statements, allocations)
