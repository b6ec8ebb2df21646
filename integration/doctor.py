"""Is everything in place? One finding a line, each with its mend: database, broker, Redis, every system, the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import redis
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from integration.bootstrap import World
from integration.cache import CANARY_AGE, canaries
from integration.errors import Crm1cError
from integration.report import VERDICTS
from integration.rules.findings import KINDS
from integration.rules.payqr import doubts
from integration.rules.specimen import specimen
from integration.store import migrate
from integration.transport import NoGate, System
from integration.work import Queue
from mappers.dialect import Finding
from mappers.paper import PaperKind

QUEUES: tuple[str, ...] = get_args(Queue)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
PAPERS: tuple[PaperKind, ...] = ("invoice", "act")
STALE = timedelta(days=3)  # without a reconciliation
DATABASE = "база данных"
UNASKED = Finding("FAIL", "не проверено: сначала база данных crm1c", "исправьте названное выше, повторите crm1c doctor")
SKEW = 5.0  # seconds by which the database's clock may differ from ours


def examine(world: World, broker: Callable[[], list[Finding]]) -> Iterator[tuple[str, Finding]]:
    """(where, finding) as they are found; `broker` asks the broker (only tasks know it)."""
    yield "crm1c.toml", Finding("ok", f"настройки прочитаны: {world.settings.origin or 'из памяти'}")
    for where, look in ((DATABASE, _database), ("Redis", _redis)):
        yield from _all(where, lambda look=look: look(world))  # type: ignore[misc]
    yield from _all("RabbitMQ", broker)
    for name, base in world.services.bases.items():
        yield from _all(f"1С {name}", lambda base=base: _one_base(base))  # type: ignore[misc]
    for name, crm in world.services.crms.items():
        yield from _all(f"CRM {name}", lambda crm=crm: crm.ask(crm.say.check()))  # type: ignore[misc]
    for name, registry in world.services.registries.items():
        yield from _all(f"реквизиты {name}", lambda registry=registry: registry.ask(registry.say.check()))  # type: ignore[misc]
        if "quota" in registry.say.capabilities:
            yield from _all(f"счётчик {name}", lambda name=name, registry=registry: _quota(name, registry.say))  # type: ignore[misc]
    if world.services.press is not None:
        yield from _all("печать", lambda: _paper(world))
    for name, base in world.services.bases.items():
        if world.services.press is not None and "papers" in base.say.capabilities:
            yield from _all(f"печать {name}", lambda name=name, base=base: _account(world, name, base))  # type: ignore[misc]
    if world.services.mailer is not None:
        yield from _all("почта", lambda: _mail(world))
    yield from _all("уведомления", lambda: _notices(world))
    yield from _all("сверка", lambda: _reconciliation(world))
    yield from _all("очереди", lambda: _canaries(world))
    if not world.settings.onec or not world.settings.crm:
        yield "crm1c.toml", Finding("FAIL", "нет ни одной базы 1С или CRM", "добавьте [onec.ИМЯ] и [crm.ИМЯ]")
    if world.settings.web.public_url is None:
        mend = "укажите [web] public_url: этот адрес crm1c setup пропишет в вебхуках CRM"
        yield "crm1c.toml", Finding("warn", "внешний адрес crm1c не задан", mend)


def _all(where: str, look: Callable[[], list[Finding]]) -> Iterator[tuple[str, Finding]]:
    """One part's findings; a part that can't be asked is a finding too, and never stops the others."""
    try:
        found = look()
    except Crm1cError as error:
        told_there = error.system == "database" and where != DATABASE
        found = [UNASKED if told_there else Finding("FAIL", error.reason, error.detail)]
    except ProgrammingError as error:  # PostgreSQL's word for a table that isn't there yet
        found = [Finding("FAIL", str(error).splitlines()[0][:200]) if where == DATABASE else UNASKED]
    except Exception as error:  # the doctor tells of every trouble, foreseen or not
        found = [Finding("FAIL", f"{type(error).__name__}: {str(error).splitlines()[0][:200]}")]
    yield from ((where, finding) for finding in found)


def _quota(name: str, say: Any) -> list[Finding]:
    """How much of the day a paid source has counted. It counts at an address of its own, asked by the doctor alone."""
    counted = System(f"registry:{name}", say, say.quota_home, NoGate(), timeouts=(3.0, 15.0)).ask(say.quota())
    told = f"за день запросов: {counted.used}" + ("" if counted.left is None else f", осталось {counted.left}")
    if counted.left is not None and counted.left * 10 < counted.used + counted.left:
        return [Finding("warn", told, "когда кончатся, источник будет пропускаться до полуночи; расширьте тариф")]
    return [Finding("ok", told)]


def _one_base(base: Any) -> list[Finding]:
    with base.session(fresh=True):  # whether 1C keeps sessions shows at the first call of one
        found: list[Finding] = base.ask(base.say.check())
    return found


def _paper(world: World) -> list[Finding]:
    """Both templates draw a sample."""
    press = world.services.press
    assert press is not None
    for kind in PAPERS:
        press.pdf(specimen(kind))
    return [Finding("ok", "шаблоны счёта и акта собираются")]


def _account(world: World, name: str, base: Any) -> list[Finding]:
    """The bank details that an invoice would name, where crm1c itself draws it."""
    if world.settings.onec[name].print_url:
        return [Finding("ok", "счета печатает сама 1С (print_url)")]
    with base.session():
        account = base.ask(base.say.own_account())
    mend = "исправьте банковский счёт организации в 1С: по QR-коду с этими реквизитами не заплатить"
    wrong = [Finding("warn", doubt, mend) for doubt in doubts(account)]
    return wrong or [Finding("ok", f"счёт для оплаты: {account.number}, {account.bank}, БИК {account.bic}")]


def _mail(world: World) -> list[Finding]:
    """The texts of both letters, then the server itself, without a letter."""
    mailer, press, table = world.services.mailer, world.services.press, world.settings.mail
    assert mailer is not None
    assert press is not None
    assert table is not None
    for kind in PAPERS:
        mailer.texts({**press.facts(specimen(kind)), "kind": kind, "issue": 1})
    found = [Finding("ok", "шаблоны писем собираются")]
    if table.via == "crm":
        told = f"письма отправляет CRM с адреса {mailer.sender}"
        return [*found, Finding("warn", told, "проверьте в CRM её групповую учётную запись с этим адресом и SMTP")]
    mailer.greet()
    signed = ", вход выполнен" if table.username else ""
    found.append(Finding("ok", f"{table.host}:{table.port} отвечает ({table.tls}){signed}"))
    if table.tls == "none" and table.host not in LOOPBACK:
        found.append(Finding("warn", "письма и пароль идут без шифрования", 'укажите [mail] tls = "starttls"'))
    return found


def _notices(world: World) -> list[Finding]:
    """The channels; that each has what it needs is the settings' matter, and addresses are known since the start."""
    notices = world.settings.notices
    quiet = f", часы покоя {notices.quiet}" if notices.quiet else ""
    services = f", служб Apprise: {len(notices.apprise)}" if "apprise" in notices.channels else ""
    return [Finding("ok", f"каналы: {', '.join(notices.channels)}{services}{quiet}")]


def _database(world: World) -> list[Finding]:
    have, want = migrate.current(world.settings.database.url), migrate.head()
    if have != want:
        return [Finding("FAIL", f"схема {have or 'пуста'}, нужна {want}", "выполните crm1c db upgrade")]
    found = [Finding("ok", f"доступна, схема {have}")]
    if world.store.engine.dialect.name == "postgresql":
        with world.store.reading() as conn:
            theirs: datetime = conn.execute(text("SELECT clock_timestamp()")).scalar_one()
        skew = abs((theirs.astimezone(UTC) - world.services.now()).total_seconds())
        if skew > SKEW:
            found.append(Finding("FAIL", f"часы базы расходятся с нашими на {skew:.0f} с", "настройте NTP на машинах"))
        else:
            found.append(Finding("ok", "часы совпадают"))
    return found


def _redis(world: World) -> list[Finding]:
    try:
        world.redis.ping()
    except redis.RedisError as error:
        return [Finding("FAIL", "недоступен", f"проверьте [redis] url: {type(error).__name__}")]
    if world.settings.redis.url.startswith("embedded://"):
        return [Finding("ok", "встроенный, живёт вместе с процессом")]
    try:
        policy = str(world.redis.config_get("maxmemory-policy").get("maxmemory-policy"))
    except redis.RedisError:
        return [Finding("ok", "доступен"), Finding("warn", "политика памяти не видна", "нужна noeviction")]
    if policy != "noeviction":
        mend = "CONFIG SET maxmemory-policy noeviction: вытесненный ключ останавливает расписание"
        return [Finding("warn", f"политика памяти {policy}", mend)]
    return [Finding("ok", "доступен, noeviction")]


def _reconciliation(world: World) -> list[Finding]:
    """When all sides were last compared, and what came of it."""
    with world.store.unit("look for reconciliation") as unit:
        run = unit.reconciling.latest()
    if run is None or run.finished_at is None:
        return [Finding("ok", "ещё не было; проведите: crm1c reconcile")]
    local = run.finished_at.astimezone(world.settings.schedule.timezone)
    found = sum(run.counts.get(kind, 0) for kind in KINDS)
    told = f"{local:%d.%m.%Y %H:%M}, {VERDICTS[run.verdict]}, расхождений {found}"
    if run.verdict == "alarm":
        return [Finding("warn", told, "crm1c reconcile show")]
    if world.services.now() - run.finished_at > STALE:
        return [Finding("warn", told, "сверки давно не было: идут ли часы (crm1c beat)?")]
    return [Finding("ok", told)]


def _canaries(world: World) -> list[Finding]:
    """Queues that nobody receives from, where somebody once did."""
    if world.settings.embedded:
        return []
    late = {name: age for name, age in canaries(world.redis, QUEUES, world.services.now()).items() if age is not None}
    silent = {name: age for name, age in late.items() if age > CANARY_AGE}
    mend = "запущены ли часы и исполнитель этой очереди (crm1c beat, crm1c worker)?"
    told = [Finding("warn", f"crm1c.{name} молчит {age:.0f} с", mend) for name, age in sorted(silent.items())]
    return told or ([Finding("ok", "через каждую очередь проходят пробы")] if late else [])
