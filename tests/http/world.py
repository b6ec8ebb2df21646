"""A web over a store in a SQLite file, with a real EspoCRM dialect and a clock that only the test moves."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from integration import cache
from integration.board import Board
from integration.flows.answer import Answer
from integration.flows.requisites import Unasked
from integration.http.app import create_app
from integration.http.kpi import KpiRoutes
from integration.http.parts import Parts
from integration.http.requisites import RequisitesRoutes
from integration.http.stream import Stream
from integration.rules.findings import Finding
from integration.services import Services
from integration.settings import Broker, Crm, Database, Onec, Redis, Secret, Security, Settings, Web
from integration.store import keys
from integration.store.engine import connect
from integration.store.schema import inbox, metadata
from integration.store.store import SqlStore
from mappers.crm.espocrm import EspoCrm

NAME, SECRET, OLD_SECRET, HOOK = "espo", "configured-secret", "secret-being-rotated-out", "hookmadebysetup01"
HOOK_SECRET, TOKEN = "secret-of-setup", "operator-token"
START = datetime(2026, 11, 24, 12, tzinfo=UTC)


def settings(path: Path, url: str = "", **web: Any) -> Settings:
    return Settings(
        database=Database(url=url or f"sqlite:///{path / 'crm1c.db'}"),
        broker=Broker(url="memory://"),
        redis=Redis(url="embedded://"),
        web=Web(**web),
        security=Security(tokens=(Secret(TOKEN),)),
        onec={
            "main": Onec(base_url="http://1c", username="u", password=(Secret("p"),), organisation="7707083893"),
        },
        crm={
            NAME: Crm(
                kind="espocrm",
                base_url="http://crm",
                api_key=(Secret("key"),),
                webhook_secret=(Secret(SECRET), Secret(OLD_SECRET)),
            )
        },
    )


@dataclass
class Clock:
    """Time that only a test moves; `meanwhile`: what happens during the next pauses, one each."""

    seconds: float = 0.0
    pauses: list[float] = field(default_factory=list)
    meanwhile: list[Callable[[], object]] = field(default_factory=list)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds
        if self.meanwhile:
            self.meanwhile.pop(0)()


@dataclass
class World:
    path: Path
    settings: Settings
    store: SqlStore
    parts: Parts
    client: FlaskClient
    clock: Clock
    woken: list[Any]

    def post(self, body: bytes, *, secret: str = SECRET, hook: str = "foreignhook", **more: Any) -> TestResponse:
        """A webhook about an updated Opportunity, signed as EspoCRM 9 signs."""
        headers = {"Signature": signature(body, secret, hook), **more.pop("headers", {})}
        path = more.pop("path", f"/webhooks/{NAME}/Opportunity/update")
        return self.client.post(path, data=body, headers=headers, content_type="application/json", **more)

    def get(self, path: str, token: str = TOKEN) -> TestResponse:
        return self.client.get(path, headers=bearer(token))

    def press(self, query: str = "", deal: str = "deal1", token: str = TOKEN) -> TestResponse:
        return self.client.post(f"/api/deals/{NAME}/{deal}/invoice{query}", headers=bearer(token))

    def token(self, scope: str, days: int | None = None) -> str:
        with self.store.unit("token") as unit:
            return keys.create_token(unit.conn, scope, "", days, unit.now)[1]

    def rows(self) -> list[Any]:
        with self.store.reading() as conn:
            return list(conn.execute(select(inbox).order_by(inbox.c.created_at, inbox.c.id)))

    def count(self) -> int:
        with self.store.reading() as conn:
            return int(conn.scalar(select(func.count()).select_from(inbox)) or 0)


def make(path: Path, url: str = "", **web: Any) -> World:
    """A fresh world, in a file of SQLite unless `url` names an empty database; `web` are keys of [web]."""
    told = settings(path, url, **web)
    engine = connect(told.database.url)
    metadata.create_all(engine)
    clock = Clock()
    woken: list[Any] = []

    def wake(*call: Any) -> None:
        woken.append(call)

    store = SqlStore(engine, clock.now, told.delivery, wake)
    options = {"base_url": "http://crm", "api_key": "key"}
    parts = Parts(
        settings=told,
        store=store,
        senders={NAME: EspoCrm(options)},
        probes={"broker": lambda: True, "redis": lambda: True},
        now=clock.now,
        clock=lambda: clock.seconds,
        pause=clock.pause,
    )
    with engine.begin() as conn:
        keys.keep_webhooks(conn, NAME, [(HOOK, "Opportunity.update", HOOK_SECRET)], START)
    return World(path, told, store, parts, served(parts).test_client(), clock, woken)


def served(parts: Parts) -> Flask:
    """The application as a process makes it, with sources of requisites that nobody can ask."""

    def nobody(*_: Any) -> Answer:
        raise Unasked

    more = (*RequisitesRoutes(parts, nobody).routes(), *kpi_routes(parts).routes())
    return create_app(parts, more)


def kpi_routes(parts: Parts, feed: Board | None = None) -> KpiRoutes:
    """KPI over the same store, with a feed of its own."""
    nothing: Any = {}
    services = Services(parts.settings, nothing, parts.store, nothing, nothing, parts.now, lambda: 0.5)
    return KpiRoutes(services, Stream(feed or Board(cache.connect("embedded://")), seats=2, poll=0.01))


def rebuilt(world: World, **parts: Any) -> FlaskClient:
    """A client over the same world with some parts replaced."""
    return served(replace(world.parts, **parts)).test_client()


def reconciled(world: World) -> str:
    """A reconciliation that found something; its id."""
    one = Finding("missing", "bank", "№ 57", {"bank": "100.00", "onec": ""}, amount=Decimal("100.00"), currency="RUB")
    with world.store.unit("test") as unit:
        run = unit.reconciling.begin("test", None, ["bank"], over_limit=False)
        unit.reconciling.find(run.id, "bank", [one, one, one])
        unit.reconciling.end(run, "found", {"missing": 3, "person": 3}, {"missing": {"RUB": "100.00"}})
    return run.id


def signature(body: bytes, secret: str = SECRET, hook: str = "foreignhook") -> str:
    """`Signature` of EspoCRM 9.0 and later."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return base64.b64encode(f"{hook}:{digest}".encode()).decode()


def old_signature(body: bytes, secret: str = SECRET, hook: str = "foreignhook") -> str:
    """`X-Signature`: the raw digest of EspoCRM before 9.0."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return base64.b64encode(hook.encode() + b":" + digest).decode()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
