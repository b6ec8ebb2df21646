"""The sandbox CRM put together: ``Espo`` is what tests and the command line make."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any
from wsgiref.types import WSGIApplication

from sandbox.crm.admin import Administration
from sandbox.crm.api import Api, Request
from sandbox.crm.auth import Caller, Door
from sandbox.crm.derive import Derive
from sandbox.crm.errors import ApiError
from sandbox.crm.face import Face
from sandbox.crm.files import Attachments, Letters
from sandbox.crm.listing import Lists
from sandbox.crm.metadata import Metadata
from sandbox.crm.records import Records
from sandbox.crm.render import Renderer
from sandbox.crm.seed import API_KEY, Seeder
from sandbox.crm.sender import LOOPBACK
from sandbox.crm.store import Clock, Store
from sandbox.crm.stream import Stream
from sandbox.crm.values import Cleaner
from sandbox.crm.webhooks import Webhooks


class Espo:
    """A CRM in memory that behaves like EspoCRM 9.3 (contracts/ESPOCRM.md).

    ``rub``: RUB is the currency (False: a fresh install, USD only). ``fields``: make the custom fields that crm1c
    writes by default. ``webhook_interval``: seconds between runs of the webhook job (the original's is 120); None: only
    ``run_webhooks()`` runs it. ``webhook_period``: seconds before a retry (the original's are 600).

    >>> crm = Espo(webhook_interval=None)
    >>> crm.act("ivanova", "POST", "Account", {"name": "ООО «Пример»"})[0]
    200
    """

    def __init__(self, *, api_key: str = API_KEY, rub: bool = True, fields: bool = True,
                 webhook_interval: float | None = 2.0, webhook_period: float = 600.0,
                 webhook_allowed: list[str] | None = None) -> None:  # fmt: skip
        self._options: dict[str, Any] = {"api_key": api_key, "rub": rub, "fields": fields, "period": webhook_period,
                         "allowed": LOOPBACK if webhook_allowed is None else webhook_allowed}  # fmt: skip
        self.webhook_interval = webhook_interval
        self.clock = Clock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._build()

    def _build(self) -> None:
        self.meta = Metadata()
        self.store = Store(self.clock)
        self.render = Renderer(self.meta, self.store)
        self.cleaner = Cleaner(self.meta, lambda: self.admin.settings)
        self.records = Records(self.meta, self.store, self.cleaner, self.render)
        self.admin = Administration(self.meta, self.store, self.records, self.render)
        self.door = Door(self.store)
        self.lists = Lists(self.meta, self.store, self.render)
        self.webhooks = Webhooks(self.meta, self.store, self.records, self.render)
        self.stream = Stream(self.store, self.records)
        self.attachments = Attachments(self.meta, self.store, self.records)
        self.letters = Letters(self.store, self.records)
        self.records.hooks.append(Derive(self.meta, lambda: self.admin.settings))
        self.records.listeners += [self.webhooks.heard, self.stream.heard]
        self.webhooks.period = self._options["period"]
        self.webhooks.allowed = list(self._options["allowed"])
        self.api = Api(self)
        self.seeder = Seeder(self)
        self.seeder.install(self._options["api_key"], rub=self._options["rub"], fields=self._options["fields"])

    # -- serving ------------------------------------------------------------------------------------------------

    def wsgi(self) -> WSGIApplication:
        """The application, with faults, request log and admin face; starts the webhook job."""
        self.start()
        return Face(self.api, self)

    def start(self) -> None:
        """Start the webhook job, unless it runs or has no interval."""
        if self.webhook_interval is None or self._thread is not None:
            return
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._job, args=(self._stop,), name="crm webhooks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the webhook job."""
        self._stop.set()
        self._thread = None

    def _job(self, stop: threading.Event) -> None:
        while not stop.wait(self.webhook_interval or 2.0):
            if self.webhook_interval is not None:
                self.webhooks.run()

    # -- acting -------------------------------------------------------------------------------------------------

    def caller(self, user_name: str) -> Caller:
        """The user of that name or id; ValueError when there is none."""
        for user in self.store.rows("User"):
            if user_name in (user["id"], user.get("userName")):
                return Caller(self.store, user)
        raise ValueError(f"no such user: {user_name}")

    def act(self, user: str, method: str, path: str, body: Mapping[str, Any] | None = None, *, silent: bool = False,
            headers: Mapping[str, str] | None = None) -> tuple[int, Any]:  # fmt: skip
        """What a person does in the CRM's own pages: (status, answer). ``silent``: as an import does it (§0.9)."""
        caller = self.caller(user)
        bare, _, query = path.partition("?")
        low = {k.lower(): v for k, v in (headers or {}).items()}
        request = Request(method.upper(), bare, query, low, given=body or {})
        listeners = self.records.listeners
        try:
            if not silent:
                return self.api.answer(request, caller)
            with self.store.lock:
                self.records.listeners = []
                try:
                    return self.api.answer(request, caller)
                finally:
                    self.records.listeners = listeners
        except ApiError as error:
            return error.status, error.body if error.body is not None else {"reason": error.reason}

    def run_webhooks(self) -> list[dict[str, Any]]:
        """Run the webhook job now; tells each batch that was sent, with the receiver's status."""
        return self.webhooks.run()

    # -- admin face ---------------------------------------------------------------------------------------------

    def state(self, query: Mapping[str, str]) -> Any:
        """Records as stored, by entity; ``?entity=Account`` one table, ``&id=`` one record."""
        with self.store.lock:
            if "entity" in query:
                table = self.store.table(query["entity"])
                return table.get(query["id"]) if "id" in query else list(table.values())
            return {e: list(t.values()) for e, t in self.store.tables.items() if e not in ("User", "Role")}

    def stats(self) -> dict[str, Any]:
        counts: dict[str, Any] = {e: len(t) for e, t in self.store.tables.items()}
        return {**counts, "webhooksIdle": self.webhooks.idle(), "lockedOut": self.door.locked()}

    def seed(self, body: Any) -> Any:
        return self.seeder.seed(body)

    def switches(self, body: Any | None) -> dict[str, Any]:
        """Read or set the switches named in the answer."""
        hooks = self.webhooks
        setters: dict[str, Callable[[Any], Any]] = {
            "webhookInterval": self._set_interval,
            "webhookAllowedAddressList": lambda v: setattr(hooks, "allowed", [str(x) for x in v]),
            "webhookQueueEventPortionSize": lambda v: setattr(hooks, "portion", int(v)),
            "webhookBatchSize": lambda v: setattr(hooks, "batch", int(v)),
            "webhookMaxAttemptNumber": lambda v: setattr(hooks, "max_attempts", int(v)),
            "webhookFailAttemptPeriod": lambda v: setattr(hooks, "period", float(v)),
            "webhookConnectTimeout": lambda v: setattr(hooks.sender, "connect_timeout", float(v)),
            "webhookTimeout": lambda v: setattr(hooks.sender, "timeout", float(v)),
            "raceWindow": lambda v: setattr(self.records, "race_window", float(v)),
            "lockout": lambda v: setattr(self.door, "enabled", bool(v)),
            "aclStrictMode": lambda v: setattr(self.store, "acl_strict", bool(v)),
            "resetLockout": lambda v: self.door.reset() if v else None,
            "advanceClock": lambda v: self.clock.advance(float(v)),
        }
        for name, value in (body or {}).items():
            if name not in setters:
                raise ValueError(f"no such switch: {name}; there are {', '.join(setters)}")
            setters[name](value)
        return {
            "webhookInterval": self.webhook_interval, "webhookAllowedAddressList": hooks.allowed,
            "webhookQueueEventPortionSize": hooks.portion, "webhookBatchSize": hooks.batch,
            "webhookMaxAttemptNumber": hooks.max_attempts, "webhookFailAttemptPeriod": hooks.period,
            "webhookConnectTimeout": hooks.sender.connect_timeout, "webhookTimeout": hooks.sender.timeout,
            "raceWindow": self.records.race_window, "lockout": self.door.enabled,
            "aclStrictMode": self.store.acl_strict, "clock": self.clock.text(),
        }  # fmt: skip

    def _set_interval(self, value: Any) -> None:
        self.webhook_interval = None if value in (None, 0, False) else float(value)
        self.start()

    def reset(self) -> dict[str, str]:
        """As at the start: records, custom fields, webhooks, lockout and clock."""
        with self.webhooks.running():
            self.clock.offset = 0.0
            self._build()
        return {"status": "ok"}
