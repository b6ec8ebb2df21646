"""Commands of the administrator: settings, schema, the CRM's fields and webhooks, tokens, the doctor."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from integration.bootstrap import World, as_admin
from integration.doctor import examine
from integration.errors import Crm1cError, Misconfigured
from integration.settings import read
from integration.store import keys, migrate
from mappers.dialect import Finding, SetupDone
from tasks.app import DEAD_QUEUE, unsafe
from tasks.base import Process
from tasks.calls import prepare_broker
from tasks.cli.common import looking, settings_ready
from tasks.cli.example import EXAMPLE
from tasks.run import made

ADMIN_PASSWORD = "CRM1C_ADMIN_PASSWORD"  # noqa: S105 – the variable's name
SECRETS = ("ONEC_PASSWORD", "ESPO_API_KEY", "API_TOKEN")  # as the written file names them
SCOPES = "read, operate или kpi:МЕНЕДЖЕР"
out = Console(highlight=False, soft_wrap=True)


@click.group(epilog="Пример: crm1c db upgrade")
def db() -> None:
    """База данных crm1c."""


@db.command(epilog="Пример: crm1c db upgrade")
def upgrade() -> None:
    """Привести схему базы к этой версии crm1c; можно повторять."""
    settings = settings_ready(quiet=True)
    before, head = migrate.upgrade(settings.database.url), migrate.head()
    click.echo(f"Схема: {head} (уже была)" if before == head else f"Схема: {before or 'пусто'} → {head}")


@click.command(epilog="Пример: crm1c init --crm https://crm.company.ru --onec http://1c/bp/odata/standard.odata")
@click.option("--file", "path", type=click.Path(path_type=Path), default=Path("crm1c.toml"), show_default=True)
@click.option("--crm", prompt="Адрес CRM", help="Адрес CRM.")
@click.option("--onec", prompt="Адрес OData базы 1С", help="Адрес публикации: …/odata/standard.odata.")
@click.option("--username", prompt="Пользователь 1С", default="Обмен", help="Пользователь информационной базы 1С.")
@click.option("--organisation", prompt="ИНН нашей организации", help="ИНН нашей организации в этой базе.")
@click.option("--public-url", prompt="Адрес, по которому crm1c видна из CRM", help="Наш внешний адрес.")
@click.option("--force", is_flag=True, help="Переписать файл, если он есть.")
def init(path: Path, crm: str, onec: str, username: str, organisation: str, public_url: str, *, force: bool) -> None:
    """Написать crm1c.toml с пояснениями; секреты останутся в переменных окружения."""
    if path.exists() and not force:
        raise click.BadParameter(f"{path} уже есть; переписать: --force", param_hint="--file")
    answers = {"crm": crm, "onec": onec, "username": username, "organisation": organisation, "public_url": public_url}
    text = EXAMPLE
    for name, answer in answers.items():
        text = text.replace(f"@{name}@", json.dumps(answer, ensure_ascii=False)[1:-1])
    read(tomllib.loads(text), dict.fromkeys(SECRETS, "-"))  # a wrong answer is told now, by its key
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}", param_hint="--file") from error
    click.echo(f"Записан {path}. Задайте {', '.join(SECRETS)},")
    click.echo("затем: crm1c db upgrade, crm1c doctor, crm1c setup espo, crm1c up")


@click.command(epilog="Пример: crm1c setup espo --admin-user admin")
@click.argument("name", metavar="ИМЯ")
@click.option("--admin-user", default="admin", show_default=True, help="Администратор CRM: поля создаёт только он.")
def setup(name: str, admin_user: str) -> None:
    """Создать в CRM поля и вебхуки. Пароль администратора спросим (или возьмём из CRM1C_ADMIN_PASSWORD) и забудем."""
    settings = settings_ready(quiet=True)
    if name not in settings.crm:
        raise click.BadParameter(f"нет [crm.{name}]; есть: {', '.join(settings.crm) or 'ни одной'}", param_hint="ИМЯ")
    if settings.web.public_url is None:
        raise Misconfigured("Не задан [web] public_url: без него CRM не знает, куда слать вебхуки.")
    password = os.environ.get(ADMIN_PASSWORD) or _asked(admin_user)
    with looking(settings) as world:
        if password:
            _told("Поля", _made_by_admin(world, name, admin_user, password))
        crm = world.services.crms[name]
        done = crm.ask(crm.say.setup(f"{settings.web.public_url.rstrip('/')}/webhooks/{name}"))
        with world.store.unit("keep webhooks") as unit:
            keys.keep_webhooks(unit.conn, name, done.webhooks, unit.now)
        _told("Вебхуки", done)
    if not done.webhooks:
        raise Misconfigured("Вебхуки не заведены: сделайте то, что названо выше, и запустите crm1c setup снова.")
    if not password:
        raise Misconfigured(f"Поля не проверены: нет пароля администратора. Задайте {ADMIN_PASSWORD} и повторите.")


def _made_by_admin(world: World, name: str, user: str, password: str) -> SetupDone:
    admin = as_admin(world, name, user, password)
    try:
        done: SetupDone = admin.ask(admin.say.setup_admin())
    except Misconfigured as error:
        if not error.hold or "401" not in error.detail:
            raise
        raise Misconfigured(f"CRM не приняла имя «{user}» или пароль администратора.", detail=error.detail) from error
    return done


def _asked(user: str) -> str:
    if not sys.stdin.isatty():
        return ""
    text = f"Пароль администратора CRM ({user}; Enter — пропустить)"
    return str(click.prompt(text, hide_input=True, default="", show_default=False))


def _told(what: str, done: SetupDone) -> None:
    for label, texts in (
        ("[green]создано[/]   ", [f"{what}: {text}" for text in done.made]),
        ("[dim]уже есть[/]  ", [f"{what}: {text}" for text in done.kept]),
        ("[yellow]вручную[/]   ", done.by_hand),
    ):
        for text in texts:
            out.print(label, end="")
            out.print(text, markup=False)


@click.group(epilog="Пример: crm1c tokens create --scope read")
def tokens() -> None:
    """Токены для /api и /metrics."""


@tokens.command(epilog="Пример: crm1c tokens create --scope read --days 90 --note Grafana")
@click.option("--scope", required=True, help=f"Права: {SCOPES}.")
@click.option("--days", type=click.IntRange(1, 3650), help="Срок в днях; без него бессрочный.")
@click.option("--note", default="", help="Для кого он.")
def create(scope: str, days: int | None, note: str) -> None:
    """Создать токен. Он показывается один раз: хранится только его хеш."""
    with looking(settings_ready(quiet=True)) as world, world.store.unit("create token") as unit:
        try:
            token_id, plaintext = keys.create_token(unit.conn, scope, note, days, unit.now)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--scope") from error
    click.echo(plaintext)
    click.echo(f"id {token_id}, права {scope}; показан один раз", err=True)


@tokens.command("list", epilog="Пример: crm1c tokens list")
def list_() -> None:
    """Показать токены (без самих токенов)."""
    with looking(settings_ready(quiet=True)) as world, world.store.reading() as conn:
        now = world.services.now()
        for token in keys.list_tokens(conn):
            state = "отозван" if token.revoked_at else "действует" if token.valid(now) else "истёк"
            until = f"до {token.expires_at:%Y-%m-%d}" if token.expires_at else "бессрочный"
            click.echo(f"{token.id}  {token.scope:<12} {state:<10} {until:<14} {token.note}")


@tokens.command(epilog="Пример: crm1c tokens revoke ID")
@click.argument("token_id", metavar="ID")
def revoke(token_id: str) -> None:
    """Отозвать токен."""
    with looking(settings_ready(quiet=True)) as world, world.store.unit("revoke token") as unit:
        if not keys.revoke_token(unit.conn, token_id, unit.now):
            raise click.BadParameter(f"нет действующего токена {token_id}; список: crm1c tokens list", param_hint="ID")
    click.echo("отозван")


@click.command(epilog="Пример: crm1c doctor")
@click.option("--json", "as_json", is_flag=True, help="Одной JSON-структурой.")
def doctor(*, as_json: bool) -> None:
    """Проверить всё: настройки, базу, очереди, каждую 1С и CRM. По строке на находку, с тем, как исправить."""
    settings = settings_ready(quiet=True)
    process = made(settings)
    found: list[Mapping[str, Any]] = []
    with looking(settings, any_schema=True) as world:
        for where, finding in examine(world, lambda: _broker(process, world)):
            found.append({"where": where, "level": finding.level, "what": finding.what, "mend": finding.mend})
            if not as_json:
                _line(where, finding)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
    sys.exit(1 if any(one["level"] == "FAIL" for one in found) else 0)


def _line(where: str, finding: Finding) -> None:
    colour = {"ok": "green", "warn": "yellow", "FAIL": "bold red"}[finding.level]
    out.print(f"[{colour}]{finding.level:<4}[/] ", end="")
    out.print(f"{where}: {finding.what}" + (f" → {finding.mend}" if finding.mend else ""), markup=False)


def _broker(process: Process, world: World) -> list[Finding]:
    app = process.app
    found = [Finding("FAIL", problem, "верните значение по умолчанию") for problem in unsafe(app)]
    if world.settings.embedded:
        return [*found, Finding("ok", "встроенный брокер, живёт вместе с процессом")]
    try:
        prepare_broker(app)
        with app.connection_for_read() as connection:
            properties = connection.connection.server_properties
            version = str(properties.get("version", "?"))
            dead = _waiting(DEAD_QUEUE(connection.default_channel))
    except Crm1cError:
        raise
    except Exception as error:
        return [*found, Finding("FAIL", f"недоступен: {type(error).__name__}", "проверьте [broker] url и сам RabbitMQ")]
    found.append(Finding("ok", f"версия {version}, очереди на месте"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < (4, 0):
        found.append(Finding("warn", f"RabbitMQ {version}", "рекомендуется 4.0.1 или новее; 3.10 поддерживается"))
    if dead:
        found.append(
            Finding("warn", f"в crm1c.dead {dead} сообщений", "crm1c events list --state parked, затем replay")
        )
    return found


def _waiting(queue: Any) -> int:
    """How many messages wait in a declared queue."""
    _name, messages, _consumers = queue.queue_declare(passive=True)
    return int(messages)


COMMANDS = (db, init, setup, tokens, doctor)
