"""The tables of running: where things are kept and carried, how much at once, when, how long to wait."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from integration.settings import checks as c
from integration.settings.checks import Hosts, Job, Link, Seconds, Secrets, Zones
from integration.settings.values import Cron, Every, Wrong

DatabaseUrl = Annotated[
    str,
    c.connection(
        ("sqlite:///", "postgresql+psycopg://"),
        "sqlite:///ФАЙЛ или postgresql+psycopg://…",
        (("postgres://", "postgresql+psycopg://"), ("postgresql://", "postgresql+psycopg://")),
    ),
]
BrokerUrl = Annotated[
    str, c.connection(("amqp://", "amqps://", "memory://"), "amqp://, amqps:// (несколько — через «;») или memory://")
]
RedisUrl = Annotated[
    str,
    c.connection(("redis://", "rediss://", "unix://", "embedded://"), "redis://, rediss://, unix:///… или embedded://"),
]
ADDRESS = c.matching(r"[^@\s]+@[^@\s]+", "адрес почты")
T = TypeVar("T", bound="Database | Broker | Redis")

MINUTE, HALF_HOUR = Every(60.0), Every(1800.0)
AT_TWO, HALF_PAST_TWO = Cron("0", "2", "*", "*", "*"), Cron("30", "2", "*", "*", "*")
MOSCOW = ZoneInfo("Europe/Moscow")


def _signed_in(table: T) -> T:
    """The address with the table's own password in it."""
    if not table.password:
        return table
    if not urlsplit(table.url).hostname or "memory:" in table.url:
        raise Wrong(password="у такого адреса пароля нет")  # noqa: S106 – the reason, not a password
    return replace(table, url=c.with_password(table.url, table.password[0].reveal()))


@dataclass(frozen=True, kw_only=True)
class Database:
    url: DatabaseUrl = field(repr=False)
    password: Secrets = ()

    def settled(self) -> Database:
        return _signed_in(self)


@dataclass(frozen=True, kw_only=True)
class Broker:
    url: BrokerUrl = field(repr=False)
    password: Secrets = ()
    management_url: Link | None = None

    def settled(self) -> Broker:
        return _signed_in(self)


@dataclass(frozen=True, kw_only=True)
class Redis:
    url: RedisUrl = field(repr=False)
    password: Secrets = ()
    beat_url: RedisUrl | None = field(default=None, repr=False)

    def settled(self) -> Redis:
        return _signed_in(self)


@dataclass(frozen=True, kw_only=True)
class Web:
    host: str = "127.0.0.1"
    port: Annotated[int, c.whole(1, 65535)] = 8080
    public_url: Link | None = None
    processes: Annotated[int, c.whole(1, 64)] = 2
    threads: Annotated[int, c.whole(1, 256)] = 32
    max_body: Annotated[int, c.whole(1024, 2**30)] = 33_554_432
    rate_limit: Annotated[int, c.whole(1, 10**6)] | None = None
    trusted_proxies: Annotated[int, c.whole(0, 10)] = 0


@dataclass(frozen=True, kw_only=True)
class Worker:
    concurrency: Annotated[int, c.whole(1, 256)] = 4
    max_tasks_per_child: Annotated[int, c.whole(1, 10**6)] = 1000
    max_memory_per_child: Annotated[int, c.whole(64_000, 10**8)] = 400_000


@dataclass(frozen=True, kw_only=True)
class Log:
    level: Annotated[str, c.one_of("DEBUG", "INFO", "WARNING", "ERROR")] = "INFO"
    format: Literal["json", "text"] = "json"


@dataclass(frozen=True, kw_only=True)
class Flower:
    host: str = "127.0.0.1"
    port: Annotated[int, c.whole(1, 65535)] = 5555
    user: Annotated[str, c.matching("[^:\\s]+", "имя без двоеточия и пробелов")] = "crm1c"
    password: Secrets = ()


@dataclass(frozen=True, kw_only=True)
class Mail:
    """Letters to clients. `via`: our own SMTP, or the deal's CRM, which keeps the letter and sends it itself."""

    via: Literal["smtp", "crm"] = "smtp"
    host: str | None = None
    port: Annotated[int, c.whole(1, 65535)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: Secrets = ()
    sender: Annotated[str, c.matching(r"[^@\r\n]+@[^@\r\n]+", 'адрес отправителя: "Бухгалтерия <buh@company.ru>"')]
    reply_to: Annotated[str, ADDRESS] | None = None
    recipients: Literal["first", "all"] = "first"
    copies: Annotated[tuple[str, ...], c.many(ADDRESS)] = ()
    language: Literal["ru", "en"] = "ru"
    templates: str | None = None
    connect_timeout: Seconds = 3.0
    read_timeout: Seconds = 60.0

    def settled(self) -> Mail:
        if self.via == "smtp" and not self.host:
            raise Wrong(host='нужен сервер SMTP (или via = "crm")')
        return self


@dataclass(frozen=True, kw_only=True)
class Paper:
    """How papers look, and where their copies go; file names are relative to the configuration's folder."""

    template: str | None = None
    act_template: str | None = None
    fonts: str | None = None
    logo: str | None = None
    stamp: str | None = None
    director: str | None = None
    director_post: str | None = None
    accountant: str | None = None
    notice: str | None = None
    qr: bool = True
    attach: bool = True
    acts: Literal["none", "deal", "mail"] = "deal"
    folder: str | None = None


@dataclass(frozen=True, kw_only=True)
class Notices:
    """What managers are told, and how; `quiet`: when only the CRM is written to, by each manager's own clock
    (`zones`)."""

    channels: Annotated[tuple[str, ...], c.many(c.one_of("crm", "mail", "apprise"))] = ("crm",)
    quiet: (
        Annotated[str, c.matching(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", 'часы покоя: "21:00-08:00"')]
        | None
    ) = None
    zones: Zones = field(default_factory=dict)
    apprise: Secrets = ()

    def settled(self) -> Notices:
        if "apprise" in self.channels and not self.apprise:
            raise Wrong(apprise="нужны адреса служб: канал apprise включён")
        return self


@dataclass(frozen=True, kw_only=True)
class Bus:
    enabled: bool = True
    exchange: Annotated[str, c.matching("[A-Za-z0-9._-]{1,127}", "латинские буквы, цифры, точки и дефисы")] = (
        "crm1c.events"
    )
    source: str = "/crm1c"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    payments: Job = HALF_HOUR
    sweep: Job = MINUTE
    canary: Job = MINUTE
    poll: Job = HALF_HOUR
    reconcile: Job = AT_TWO
    bonuses: Job = HALF_PAST_TWO
    timezone: ZoneInfo = MOSCOW

    @property
    def jobs(self) -> dict[str, Every | Cron]:
        """Name of the job → when it runs."""
        return {name: job for name, job in vars(self).items() if isinstance(job, Every | Cron)}


@dataclass(frozen=True, kw_only=True)
class Reconcile:
    """`limit`: how many repairs of one part are made without a person; more of them mean that something bigger
    happened. `mail`: who gets the report, when something was found (`mail_always`: every time)."""

    limit: Annotated[int, c.whole(0, 10**6)] = 200
    notes: bool = True
    mail: Annotated[tuple[str, ...], c.many(c.matching(r"[^@\s]+@[^@\s]+", "адрес почты"))] = ()
    mail_always: bool = False


@dataclass(frozen=True, kw_only=True)
class Security:
    egress: Hosts = ()
    tokens: Secrets = ()


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Seconds and counts that decide how work is carried through faults."""

    lease: Seconds = 15.0
    heartbeat: Seconds = 5.0
    doubt: Seconds = 90.0
    circuit_failures: Annotated[int, c.whole(1, 1000)] = 5
    probe_first: Seconds = 5.0
    probe_cap: Seconds = 60.0
    hold_first: Seconds = 60.0
    hold_cap: Seconds = 900.0
    poison_deaths: Annotated[int, c.whole(1, 1000)] = 10
    delivery_limit: Annotated[int, c.whole(1, 1000)] = 5
    countdown_max: Seconds = 600.0
    sweep_grace: Seconds = 60.0
    slot_wait: Seconds = 5.0

    def settled(self) -> Delivery:
        wrong = {}
        if self.heartbeat > self.lease / 2:
            wrong["heartbeat"] = f"не больше половины lease ({self.lease / 2:g} с), иначе живой теряет свои записи"
        if self.probe_cap < self.probe_first:
            wrong["probe_cap"] = f"не меньше probe_first ({self.probe_first:g} с)"
        if self.hold_cap < self.hold_first:
            wrong["hold_cap"] = f"не меньше hold_first ({self.hold_first:g} с)"
        if self.countdown_max > 900:
            wrong["countdown_max"] = "не больше 900 с: RabbitMQ рвёт связь с тем, кто держит сообщение полчаса"
        if wrong:
            raise Wrong(**wrong)
        return self


@dataclass(frozen=True, kw_only=True)
class RetryOverride:
    """What stands instead of integration.retry.POLICIES; None: as there. Seconds, seconds, tries in all."""

    first: Seconds | None = None
    cap: Seconds | None = None
    attempts: Annotated[int, c.whole(1, 10_000)] | None = None

    def settled(self) -> RetryOverride:
        if self.first and self.cap and self.cap < self.first:
            raise Wrong(cap="не меньше first")
        return self


RetryName = Annotated[str, c.one_of("onec", "crm", "registry", "mail", "bus")]
