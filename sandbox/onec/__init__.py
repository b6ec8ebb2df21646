"""A simulated 1C Бухгалтерия 3.0: its standard OData interface, with the traps of the real one on by default.

In a test::

    from sandbox.onec import OneC
    from sandbox.serve import serving

    base = OneC(max_sessions=3)
    with serving(base.wsgi()) as url:
        root = f"{url}/bp/odata/standard.odata"

Alone: ``python -m sandbox onec --port 8081``. What it does is written in ONEC-ODATA.md; what can be switched, in
``switches.Switches``; the admin face, in ``sandbox.faults``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping
from typing import Any
from wsgiref.types import WSGIEnvironment

from sandbox.answers import Answer, page
from sandbox.faults import Fault, Sandbox
from sandbox.onec.addresses import wanted_format
from sandbox.onec.base import Base
from sandbox.onec.companies import ORGANISATION_INN, start
from sandbox.onec.errors import LOCKED, ODataError, internal
from sandbox.onec.schema import Entity
from sandbox.onec.service import Service, error_answer
from sandbox.onec.sessions import Sessions, licence_page
from sandbox.onec.switches import Switches
from sandbox.onec.wire import wire_object
from sandbox.serve import serve

__all__ = ["OneC", "main"]

USER, PASSWORD = "Обмен", "obmen"


class OneC:
    """One simulated base with its admin face. Keyword arguments are the switches."""

    def __init__(
        self, *, user: str = USER, password: str = PASSWORD, organisation: str = ORGANISATION_INN, **switches: Any
    ) -> None:
        self._start = start(organisation)
        self._switches = Switches().changed(switches)
        self.base = Base()
        self.sessions = Sessions(lambda: self.base.switches)
        self.service = Service(self.base, user, password)
        self.reset()
        self._app = Sandbox(
            self.service,
            self,
            answers={"lock": lock_answer, "licence": licence_answer, "html": login_page},
            gate=self.sessions.gate,
        )

    def wsgi(self) -> Sandbox:
        """The WSGI application; its ``faults`` and ``log`` can be used directly."""
        return self._app

    # --- sandbox.faults.System

    def state(self, query: Mapping[str, str]) -> Any:
        """``?set=Document_X``: the objects of a set; without it, of all."""
        with self.base.lock:
            tables = self.base.store.tables
            name = query.get("set")
            if name is None:
                return {name: self._dump(table.entity, name) for name, table in tables.items()}
            if name not in tables:
                raise ValueError(f"set: one of {', '.join(tables)}")
            return self._dump(tables[name].entity, name)

    def _dump(self, entity: Entity, name: str) -> list[dict[str, Any]]:
        records = self.base.store.tables[name].records.values()
        return [wire_object(entity, record.data, "nometadata") for record in records]

    def stats(self) -> Any:
        """Counts of objects, calls, sessions and writes."""
        with self.base.lock:
            sizes = {name: len(table.records) for name, table in self.base.store.tables.items()}
            return {
                "objects": sizes,
                "documents": {name: n for name, n in sizes.items() if name.startswith("Document_")},
                "writes": dict(self.base.writes),
                "deletes": len(self.base.deleted),
                "deleted": list(self.base.deleted),
                "changes_waiting": self.base.exchange.told(),
                **self.sessions.told(),
            }

    def seed(self, body: Any) -> dict[str, list[str]]:
        """Create or change objects without checks: ``{"Catalog_Контрагенты": [{…}]}`` -> ``{set: [keys]}``."""
        if not isinstance(body, dict) or not all(isinstance(objects, list) for objects in body.values()):
            raise ValueError("an object of lists is expected: {set: [{…}, …]}")
        return self.base.seed(body)

    def switches(self, body: Any | None) -> Any:
        """Set switches; besides them ``expire_sessions`` and ``reset_stats`` (true) act at once."""
        if body:
            body = dict(body)
            if body.pop("expire_sessions", False):
                self.sessions.expire()
            if body.pop("reset_stats", False):
                self.sessions.reset()
            self._switch(self.base.switches.changed(body))
        return self.base.switches.told()

    def _switch(self, switches: Switches) -> None:
        before = self.base.switches
        self.base.switch(switches)
        try:
            for name, rule in switches.rls.items():
                self.service.reader.compiled(name, rule)
        except ODataError as error:
            self.base.switch(dataclasses.replace(before))
            raise ValueError(f"rls: {error.message}") from error

    def reset(self) -> Any:
        """Back to the seed and to the switches of the start."""
        with self.base.lock:
            self.base.clear()
            self.base.seed(self._start)
            self.base.settle()
            self._switch(self._switches)
        self.sessions.expire()
        self.sessions.reset()
        return {"status": "ok"}


def lock_answer(environ: WSGIEnvironment, _fault: Fault) -> Answer:
    """A lock conflict: 500/-1 with a text that says so; nothing was written (contract section 5)."""
    return error_answer(internal(LOCKED), as_json=wanted_format(environ)[0])


def licence_answer(_environ: WSGIEnvironment, fault: Fault) -> Answer:
    """No free licence; ``status`` 402 or, by default, 500."""
    return licence_page(402 if fault.status == 402 else 500)


def login_page(_environ: WSGIEnvironment, _fault: Fault) -> Answer:
    """A login page with status 200, as hosting puts in front (contract section 1)."""
    return page(200, "1С:Предприятие", "Вход в систему")


def main(argv: list[str]) -> int:
    """``python -m sandbox onec``."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox onec", description="A simulated 1C base.",
        epilog="example: python -m sandbox onec --port 8081 --switch max_sessions=3 "
        "--switch 'without=[\"СтавкиНДС.НДС22\"]'",
    )  # fmt: skip
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--user", default=USER)
    parser.add_argument("--password", default=PASSWORD)
    parser.add_argument("--organisation", default=ORGANISATION_INN, help="ИНН of the own organisation")
    parser.add_argument("--switch", action="append", default=[], metavar="NAME=JSON", help="see switches.Switches")
    args = parser.parse_args(argv)
    try:
        switches = {name: json.loads(value) for name, _, value in (text.partition("=") for text in args.switch)}
        base = OneC(user=args.user, password=args.password, organisation=args.organisation, **switches)
    except ValueError as error:
        parser.error(str(error))
    serve(base.wsgi(), args.port)
    return 0
