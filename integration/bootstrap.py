"""The composition root: real parts behind the protocols, made once per process from the settings."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis

from integration import cache
from integration.bell import bell
from integration.board import Board
from integration.cache import Circuits
from integration.errors import Misconfigured
from integration.mail import mailer_of
from integration.paper import Press, look_of
from integration.retry import POLICIES, Policy
from integration.services import Services
from integration.settings import Secret, Settings, Source
from integration.store.engine import connect
from integration.store.store import SqlStore
from integration.store.unit import Wake
from integration.transport import Gate, NoGate, System
from mappers.verbs import AccountingDialect, CrmDialect, RequisitesDialect

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The one clock of production: aware UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class World:
    """Everything of one process."""

    settings: Settings
    store: SqlStore
    redis: redis.Redis
    circuits: Circuits
    services: Services
    dialects: Mapping[str, CrmDialect]

    def close(self) -> None:
        """Give connections back."""
        self.store.engine.dispose()
        self.redis.close()


def build(
    settings: Settings,
    wake: Wake,
    *,
    now: Clock = utc_now,
    luck: Callable[[], float] = random.random,
    gate: Gate | None = None,
    bus: Callable[[str, Mapping[str, Any]], None] | None = None,
) -> World:
    """Make the parts. `wake(queue, kind, id, delay)` sends a wake-up call and never raises. `gate`: in place of the
    circuits that all processes share. `bus`: publishes domain events; without it they are settled unpublished."""
    engine = connect(settings.database.url, pool_size=10)
    store = SqlStore(engine, now, settings.delivery, wake)
    client = cache.connect(settings.redis.url)
    circuits = Circuits(
        client,
        settings.delivery,
        clock=lambda: now().timestamp(),
        on_open=lambda system, pause: wake("periodic", "probe", system, pause),
        on_close=lambda system: wake("periodic", "release", system, 0),
    )
    dialects = {name: _crm_dialect(settings, name) for name in settings.crm}
    services = Services(
        settings=settings,
        policies=_policies(settings),
        store=store,
        crms={name: _crm(settings, name, dialect, gate or circuits) for name, dialect in dialects.items()},
        bases={name: _base(settings, name, gate or circuits, store) for name in settings.onec},
        now=now,
        luck=luck,
        registries=registries(settings, gate or circuits),
        **_papers(settings, gate or circuits),
        shelf=cache.RedisShelf(client),
        board=Board(client),
        bus=bus,
    )
    return World(settings, store, client, circuits, services, dialects)


def _papers(settings: Settings, gate: Gate) -> dict[str, Any]:
    """What makes papers and sends them, as far as it is configured. Raises Misconfigured for a missing file."""
    made: dict[str, Any] = {}
    if settings.papers:
        made["press"] = Press(look_of(settings))
    if settings.mail is not None:
        made["mailer"] = mailer_of(settings.mail, gate, settings.origin.parent if settings.origin else Path())
    if "apprise" in settings.notices.channels:
        made["bell"] = bell([one.reveal() for one in settings.notices.apprise])
    printers = {}
    for name, one in settings.onec.items():
        for kind, url in (("invoice", one.print_url), ("act", one.act_print_url)):
            if url:
                printers[f"{kind}:{name}"] = _printer(settings, name, url, gate)
    made["printers"] = printers
    return made


def _printer(settings: Settings, name: str, address: str, gate: Gate) -> System[AccountingDialect]:
    """The site of a 1C HTTP service that prints, signed in to as the base itself."""
    table = settings.onec[name]
    url = urlsplit(address)
    dialect: AccountingDialect = _plugin("crm1c.onec", table.profile)(plain(table))
    timeouts = (table.connect_timeout, table.read_timeout)
    return System(f"onec:{name}", dialect, f"{url.scheme}://{url.netloc}", gate, timeouts=timeouts)


def _policies(settings: Settings) -> dict[str, Policy]:
    """The policies of integration.retry, with what [retry.*] overrides."""
    made = {}
    for name, policy in POLICIES.items():
        over = settings.retry.get(name)
        made[name] = Policy(
            first=policy.first if over is None or over.first is None else over.first,
            cap=policy.cap if over is None or over.cap is None else over.cap,
            attempts=policy.attempts if over is None or over.attempts is None else over.attempts,
        )
    return made


def _crm_dialect(settings: Settings, name: str) -> CrmDialect:
    table = settings.crm[name]
    options = plain(table) | {"stage": settings.invoicing.crm_stage, "timezone": settings.schedule.timezone}
    options["uses"] = _used(settings)
    if table.hmac_secret:
        options["hmac"] = {"api_key": options["api_key"], "secret_key": options["hmac_secret"]}
    dialect: CrmDialect = _plugin("crm1c.crm", table.kind)(options)
    return dialect


def _used(settings: Settings) -> list[str]:
    """What these settings ask of a CRM that others don't."""
    notices, made = settings.notices, []
    if "mail" in notices.channels or notices.zones or settings.bonus.rule or settings.plan:
        made.append("users")
    if settings.mail is not None and settings.mail.via == "crm":
        made.append("letters")
    return made


def _crm(settings: Settings, name: str, dialect: CrmDialect, gate: Gate) -> System[CrmDialect]:
    table = settings.crm[name]
    timeouts = (table.connect_timeout, table.read_timeout)
    return System(f"crm:{name}", dialect, table.base_url, gate, timeouts=timeouts)


class _AsAdmin:
    """A CRM's dialect with an administrator's credentials in place of the API user's."""

    def __init__(self, dialect: Any, headers: Mapping[str, str]) -> None:
        self._dialect, self._headers = dialect, headers

    def credentials(self) -> Mapping[str, str]:
        return self._headers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dialect, name)


def as_admin(world: World, name: str, user: str, password: str) -> System[Any]:
    """The CRM spoken to as its administrator, for one command; the password is kept nowhere, and a wrong one holds
    nobody's queue."""
    table = world.settings.crm[name]
    dialect: Any = world.dialects[name]
    speaker = _AsAdmin(dialect, dialect.admin_credentials(user, password))
    timeouts = (table.connect_timeout, max(table.read_timeout, 60.0))  # a rebuild of its metadata takes its time
    return System(f"crm:{name}", speaker, table.base_url, NoGate(), timeouts=timeouts)


def _base(settings: Settings, name: str, gate: Gate, store: SqlStore) -> System[AccountingDialect]:
    table = settings.onec[name]
    options = plain(table) | {"vat_included": settings.invoicing.vat_included}
    dialect: AccountingDialect = _plugin("crm1c.onec", table.profile)(options)
    return System(
        f"onec:{name}",
        dialect,
        table.base_url,
        gate,
        timeouts=(table.connect_timeout, table.read_timeout),
        slots=store.holding,
        max_sessions=table.max_sessions,
        slot_wait=settings.delivery.slot_wait,
    )


def registries(settings: Settings, gate: Gate) -> dict[str, System[RequisitesDialect]]:
    """The sources of requisites that may be asked, in configured order. Nothing leaves the perimeter unnamed: a source
    has a table [requisites.NAME], or its host stands in [security] egress. Raises Misconfigured for a table that its
    dialect does not take."""
    made: dict[str, System[RequisitesDialect]] = {}
    for name in settings.requisites.order:
        table = settings.requisites.sources.get(name)
        if name == "onec":
            continue
        kind = _plugin("crm1c.requisites", name)
        if table is None and urlsplit(kind.home).hostname not in settings.security.egress:
            continue
        table = table or Source()
        try:
            dialect: RequisitesDialect = kind(plain(table))
        except ValueError as error:
            raise Misconfigured(f"[requisites.{name}] {error}") from error
        timeouts = (table.connect_timeout, table.read_timeout)
        made[name] = System(f"registry:{name}", dialect, table.base_url or kind.home, gate, timeouts=timeouts)
    return made


@lru_cache
def _plugin(group: str, name: str) -> Any:
    """A dialect's class by its entry point; settings made sure that it is installed."""
    (found,) = entry_points(group=group, name=name)
    return found.load()


def plain(table: Any) -> dict[str, Any]:
    """A settings table as the mapping that a dialect's constructor takes: secrets revealed (the first where two live),
    what is not set left out."""
    made = {}
    for field in fields(table):
        value = getattr(table, field.name)
        if isinstance(value, tuple) and value and isinstance(value[0], Secret):
            value = value[0].reveal()
        elif is_dataclass(value):
            value = plain(value)
        if value is not None and value != ():
            made[field.name] = value
    return made
