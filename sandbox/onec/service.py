"""The HTTP face: addresses, authentication, formats, statuses (contract sections 1, 4 and 5)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIEnvironment

import simplejson

from sandbox.answers import Answer, decoded_path, page
from sandbox.onec import atom, wire
from sandbox.onec.addresses import RESOURCE, ROOT, SLICE, parsed_key, slice_arguments, wanted_format
from sandbox.onec.base import Base
from sandbox.onec.errors import ODataError, internal, no_instance, no_method, no_rights
from sandbox.onec.metadata import csdl
from sandbox.onec.query import Query, Reader, Source
from sandbox.onec.show import Show
from sandbox.onec.store import Record

VERSION = ("DataServiceVersion", "3.0")


@dataclass
class Request:
    """One call, taken apart."""

    method: str
    root: str  # the service's own address
    rest: str
    environ: WSGIEnvironment
    query: Query
    json: bool
    level: str

    def body(self) -> dict[str, Any]:
        """The JSON body; a broken one is 500/-1 (section 5)."""
        raw = self.environ["wsgi.input"].read()
        try:
            value = simplejson.loads(raw or b"{}", use_decimal=True)
        except ValueError:
            raise internal() from None
        if not isinstance(value, dict):
            raise ODataError(2, "Bad request format")
        return value


class Service:
    """WSGI application: the standard OData interface of one base."""

    def __init__(self, base: Base, user: str, password: str) -> None:
        self.base = base
        self.reader = Reader(base)
        self.user, self.password = user, password
        self._metadata: tuple[int, bytes] = (-1, b"")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = self.answer(environ)
        session = environ.get("onec.set_session")
        if session:
            cookie = ("Set-Cookie", f"ibsession={session}; path=/; HttpOnly")
            answer = Answer(answer.status, answer.body, answer.content_type, (*answer.headers, cookie))
        return answer.send(start_response)

    def answer(self, environ: WSGIEnvironment) -> Answer:
        """The answer to one call."""
        path = decoded_path(environ)
        limit = self.base.switches.segment_limit
        if limit and any(len(segment) > limit for segment in path.split("/")):
            return page(400, "Bad Request - Invalid URL", "HTTP Error 400. The request URL is invalid.")
        found = ROOT.match(path)
        if found is None:
            return page(404, "404 - File or directory not found.")
        if not self._known(environ.get("HTTP_AUTHORIZATION", "")):
            refusal = page(401, "401 - Unauthorized", "HTTP Error 401.5")
            return Answer(401, refusal.body, refusal.content_type, (("WWW-Authenticate", 'Basic realm="1C"'),))
        as_json, level = wanted_format(environ)
        root = f"http://{environ.get('HTTP_HOST', 'localhost')}{found['base']}"
        try:
            query = Query.parse(environ.get("QUERY_STRING", ""))
            request = Request(environ["REQUEST_METHOD"], root, found["rest"] or "/", environ, query, as_json, level)
            return self._route(request)
        except ODataError as error:
            return error_answer(error, as_json=as_json)

    def _known(self, header: str) -> bool:
        """Basic authentication; the login must be UTF-8 (section 1)."""
        try:
            user, _, password = b64decode(header.removeprefix("Basic "), validate=True).decode("utf-8").partition(":")
        except ValueError:
            return False
        return header.startswith("Basic ") and (user, password) == (self.user, self.password)

    def _route(self, request: Request) -> Answer:
        fixed: dict[str, tuple[str, Callable[[Request], Answer]]] = {
            "/": ("GET", self._service), "/$metadata": ("GET", self._csdl),
            "/SelectChanges": ("POST", self._select_changes), "/NotifyChangesReceived": ("POST", self._notify),
        }  # fmt: skip
        if request.rest in fixed:
            method, act = fixed[request.rest]
            allow(request, method)
            return act(request)
        found = RESOURCE.match(request.rest)
        if found is None:
            raise no_method()
        name, key, tail = found["set"], found["key"], found["tail"] or ""
        with self.base.lock:
            source = self.reader.source(name)
            if source.table.entity.name in self.base.switches.forbidden:
                raise no_rights()
            if not key:
                return self._set(request, source, name, tail)
            return self._object(request, source, name, parsed_key(source, key), tail)

    # --- the service itself

    def _service(self, request: Request) -> Answer:
        schema = self.base.schema
        names = [n for e in schema.entities.values() for n in (e.name, *(f"{e.name}_{s}" for s in e.rows))]
        if not request.json:
            return xml(200, atom.service(names, request.root))
        value = {"odata.metadata": f"{request.root}/$metadata", "value": [{"name": n, "url": n} for n in names]}
        return as_json(200, wire.dumps(value), request.level)

    def _csdl(self, _request: Request) -> Answer:
        release, text = self._metadata
        if release != self.base.release:
            release, text = self._metadata = (self.base.release, csdl(self.base.schema).encode())
        return Answer(200, text, "application/xml; charset=utf-8", (VERSION,))

    def _exchange(self, request: Request) -> tuple[str, int]:
        point, number = request.query.get("DataExchangePoint").strip("'"), request.query.get("MessageNo")
        if not point or not number.isdigit():
            raise ODataError(12, "Missing argument: DataExchangePoint, MessageNo")
        return point, int(number)

    def _select_changes(self, request: Request) -> Answer:
        with self.base.lock:
            return xml(200, self.base.exchange.select(*self._exchange(request), request.root))

    def _notify(self, request: Request) -> Answer:
        with self.base.lock:
            self.base.exchange.notify(*self._exchange(request))
        return Answer(200, headers=(VERSION,))

    # --- sets

    def _set(self, request: Request, source: Source, name: str, tail: str) -> Answer:
        sliced = SLICE.match(tail)
        if sliced and source.entity.kind == "InformationRegister" and "Period" in source.entity.keys:
            allow(request, "GET")
            period, condition = slice_arguments(sliced[2])
            found = self.reader.last_slice(name, period, condition, first=sliced[1] == "SliceFirst")
            return self._show(request, source).listing(found, None)
        if tail == "/$count" and self.base.switches.count:
            allow(request, "GET")
            found = self.reader.select(name, request.query.get("$filter"), allowed_only=request.query.allowed_only)
            return Answer(200, str(len(found)).encode(), "text/plain; charset=utf-8", (VERSION,))
        if tail:
            raise no_method()
        allow(request, "GET", "POST")
        if request.method == "POST":
            return self._create(request, source)
        show = self._show(request, source)
        return show.listing(*self.reader.page(name, request.query))

    def _create(self, request: Request, source: Source) -> Answer:
        if source.section:
            raise ODataError(13, "Cоздание строк табличной части напрямую не поддерживается")
        record = self.base.create(source.entity.name, request.body())
        address = f"{request.root}/{wire.key_text(source.entity, record.data)}"
        if self.base.switches.raw_location:
            location = address.encode().decode("latin-1")
        else:
            location = quote(address, safe="/:()=',")
        return self._show(request, source).single(record, 201, (("Location", location),))

    def _show(self, request: Request, source: Source) -> Show:
        return Show(self.base, source, request.query, json=request.json, level=request.level, root=request.root)

    # --- objects

    def _object(self, request: Request, source: Source, name: str, key: Any, tail: str) -> Answer:
        action = tail.removeprefix("/").removesuffix("()")
        entity = source.entity
        if source.section:
            return self._row(request, source, key, tail)
        if action in ("Post", "Unpost"):
            allow(request, "POST")
            if entity.kind != "Document":
                raise no_method()
            (self.base.post if action == "Post" else self.base.unpost)(name, key)
            return Answer(200, headers=(VERSION,))
        record = self.base.record(name, key)
        self.reader.permit(name, record.data)
        if tail:
            allow(request, "GET")
            return self._part(request, source, record, tail[1:])
        allow(request, "GET", "PATCH", "MERGE", "PUT", "DELETE")
        if request.method == "DELETE":
            self.base.delete(name, key)
            return Answer(204, headers=(VERSION,))
        if request.method != "GET":
            match = request.environ.get("HTTP_IF_MATCH")
            record = self.base.change(name, key, request.body(), whole=request.method == "PUT", if_match=match)
        return self._show(request, source).single(record, 200)

    def _part(self, request: Request, source: Source, record: Record, part: str) -> Answer:
        """What a navigation property leads to, or a section."""
        field = source.entity.navs.get(part)
        if field is not None:
            target = self.reader.source(field.targets[0])
            found = target.table.records.get(record.data[field.name])
            if found is None:
                raise no_instance()
            return self._show(request, target).single(found, 200)
        if part in source.entity.rows:
            rows = self.reader.source(f"{source.entity.name}_{part}")
            return self._show(request, rows).listing(record.data[part], None)
        raise no_method()

    def _row(self, request: Request, source: Source, key: Any, tail: str) -> Answer:
        if tail:
            raise no_method()
        allow(request, "GET")
        parent = source.table.records.get(key[0])
        rows = [row for row in parent.data[source.section] if row["LineNumber"] == key[1]] if parent else []
        if not rows:
            raise no_instance()
        return self._show(request, source).single(Record(dict(rows[0]), 0), 200)


def allow(request: Request, *methods: str) -> None:
    """Refuse other HTTP methods, HEAD included (section 1)."""
    if request.method not in methods:
        raise ODataError(19, f"HTTP method {request.method} is not allowed")


def xml(status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An Atom answer."""
    return Answer(status, text.encode(), "application/atom+xml;type=feed;charset=utf-8", (VERSION, *headers))


def as_json(status: int, text: str, level: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """A JSON answer."""
    kind = f"application/json;odata={level};streaming=true;charset=utf-8"
    return Answer(status, text.encode(), kind, (VERSION, *headers))


def error_answer(error: ODataError, *, as_json: bool) -> Answer:
    """An error in the shape of the samples; its code is text."""
    if as_json:
        value: Mapping[str, Any] = {
            "odata.error": {"code": str(error.code), "message": {"lang": "ru", "value": error.message}}
        }
        return Answer(error.status, wire.dumps(value).encode(), "application/json;charset=utf-8", (VERSION,))
    return Answer(
        error.status, atom.error(error.code, error.message).encode(), "application/xml;charset=utf-8", (VERSION,)
    )
