"""The REST interface ``/api/v1/…`` as a WSGI application (contracts/ESPOCRM.md §3)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

from sandbox.answers import decoded_path, status_line
from sandbox.crm.auth import Caller
from sandbox.crm.errors import ApiError, bad_request, crash
from sandbox.crm.listing import parse

if TYPE_CHECKING:
    from sandbox.crm.espo import Espo

PREFIX = "/api/v1/"


class Request:
    """One call, with its body already understood as far as PHP would."""

    def __init__(self, method: str, path: str, query: str = "", headers: dict[str, str] | None = None, raw: bytes = b"",
                 ip: str = "127.0.0.1", given: Mapping[str, Any] | None = None) -> None:  # fmt: skip
        self.given = given
        self.method, self.path, self.query, self.raw, self.ip = method, path.strip("/"), query, raw, ip
        self.headers = headers or {}
        self.parts = self.path.split("/")

    def body(self) -> dict[str, Any]:
        """The JSON object or form; malformed JSON is a 500 with nothing in it (§0.13)."""
        if self.given is not None or not self.raw:
            return dict(self.given or {})
        if "x-www-form-urlencoded" in self.headers.get("content-type", ""):
            return {k: v[-1] for k, v in parse_qs(self.raw.decode("utf-8", "replace"), keep_blank_values=True).items()}
        try:
            value = json.loads(self.raw)
        except ValueError as error:
            raise crash() from error
        if isinstance(value, list):
            return {str(n): v for n, v in enumerate(value)}
        if not isinstance(value, dict):
            raise bad_request("Bad body.")
        return value

    def flag(self, name: str) -> bool:
        return self.headers.get(name, "").lower() == "true"

    def version(self) -> int | None:
        text = self.headers.get("x-version-number", "")
        return int(text) if text.isdigit() else None


class Api:
    """Routes calls to the parts of one CRM."""

    def __init__(self, crm: Espo) -> None:
        self._crm = crm

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = decoded_path(environ)
        headers = {k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")}
        headers["content-type"] = environ.get("CONTENT_TYPE", "").lower()
        raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        query, ip = environ.get("QUERY_STRING", ""), environ.get("REMOTE_ADDR", "127.0.0.1")
        request = Request(environ["REQUEST_METHOD"], path.removeprefix(PREFIX), query, headers, raw, ip)
        if not path.startswith(PREFIX):
            return self._refuse(ApiError(404), start_response)
        try:
            caller = self._crm.door.enter(headers, ip, request.method, request.path)
            status, value = self.answer(request, caller)
        except ApiError as error:
            return self._refuse(error, start_response)
        except Exception:  # any PHP error: 500 with an empty body
            return self._refuse(crash(), start_response)
        if isinstance(value, tuple):
            return self._file(value, start_response)
        body = b"" if value is None else dump(value)  # ControllerActionProcessor writes no null
        now = self._crm.clock.now()
        start_response(status_line(status), [
            ("X-Powered-By", "PHP/8.4.27"), ("Content-Type", "application/json"), ("Content-Length", str(len(body))),
            ("X-App-Timestamp", str(int(now))), ("Expires", "0"), ("Last-Modified", formatdate(now, usegmt=True)),
            ("Cache-Control", "no-store, no-cache, must-revalidate, post-check=0, pre-check=0"),
        ])  # fmt: skip
        return [body]

    @staticmethod
    def _refuse(error: ApiError, start_response: StartResponse) -> Iterable[bytes]:
        body = b"" if error.body is None else dump(error.body)
        kind = "text/html; charset=UTF-8" if error.status in (401, 403) and error.reason is None else "application/json"
        headers = [("Content-Type", kind), ("Content-Length", str(len(body))), *error.headers.items()]
        if error.reason is not None:  # may hold raw UTF-8, which WSGI carries as latin-1
            headers.append(("X-Status-Reason", error.reason.encode().decode("latin-1")))
        start_response(status_line(error.status), headers)
        return [body]

    @staticmethod
    def _file(value: tuple[bytes, str, str], start_response: StartResponse) -> Iterable[bytes]:
        content, kind, name = value
        disposition = f'attachment; filename="{name}"'.encode().decode("latin-1")
        start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(content))),
                                  ("Content-Disposition", disposition)])  # fmt: skip
        return [content]

    # -- routing ------------------------------------------------------------------------------------------------

    def answer(self, request: Request, caller: Caller) -> tuple[int, Any]:
        """Status and value of a call by an authenticated user; also how the admin face acts for a person."""
        method, parts = request.method, request.parts
        special = self._special(request, caller)
        if special is not None:
            return special
        entity = parts[0]
        if not self._crm.meta.has(entity):
            raise ApiError(404, f"Controller '{entity}' does not exist.")
        if len(parts) == 1:
            if method == "GET":
                return 200, self._list(request, entity, caller)
            if method == "POST":
                return self._create(request, entity, caller)
        elif len(parts) == 2:
            return 200, self._record(request, entity, parts[1], caller)
        elif len(parts) == 3:
            return 200, self._link(request, entity, parts[1], parts[2], caller)
        raise ApiError(404, "Not found.")

    def _special(self, request: Request, caller: Caller) -> tuple[int, Any] | None:
        crm, method, parts = self._crm, request.method, request.parts
        head = parts[0]
        if head == "Metadata" and method == "GET":
            return 200, crm.admin.metadata(parse_qs(request.query).get("key", [None])[0], caller)
        if head == "Settings":
            return 200, (crm.admin.shown_settings(caller) if method == "GET"
                         else crm.admin.put_settings(request.body(), caller))  # fmt: skip
        if request.path == "App/user":
            return 200, crm.admin.app_user(caller, request.ip)
        if head == "Admin":
            if not caller.admin:
                raise ApiError(403, "")
            if len(parts) >= 3 and parts[1] == "fieldManager":
                name = parts[3] if len(parts) > 3 else None
                body = request.body() if method != "GET" else {}
                return 200, crm.admin.field_manager(method, parts[2], name, body, caller)
            return 200, True  # rebuild, clearCache
        if head == "EntityManager" and len(parts) == 3 and parts[1] == "action":
            return 200, crm.admin.entity_manager(parts[2], request.body(), caller)
        if head == "MassAction" and method == "POST":
            return 200, crm.admin.mass_action(request.body(), caller)
        if head == "Attachment" and len(parts) == 3 and parts[1] == "file":
            return 200, crm.attachments.download(parts[2])
        if len(parts) == 3 and parts[1:] == ["action", "restoreDeleted"]:
            if not caller.admin:
                raise ApiError(403, "")
            crm.records.restore(head, str(request.body().get("id")))
            return 200, True
        return None

    def _list(self, request: Request, entity: str, caller: Caller) -> dict[str, Any]:
        answer = self._crm.lists.of(entity, parse(request.query), caller, no_total=request.flag("x-no-total"))
        if entity == "Webhook" and not caller.admin:
            for row in answer["list"]:
                hide_owner(row)
        return answer

    def _create(self, request: Request, entity: str, caller: Caller) -> tuple[int, Any]:
        crm, body = self._crm, request.body()
        if entity == "Webhook":
            return 201, hide_owner(crm.render.created(entity, crm.webhooks.create(body, caller), caller.id))
        if entity == "Note":
            return 200, crm.stream.show(crm.stream.post(body, caller), caller)
        if entity == "Email":
            return 200, crm.letters.create(body, caller)
        if entity == "Attachment":
            record = crm.attachments.upload(body, caller)
            return 200, {**crm.render.created(entity, record, caller.id), **crm.attachments.extra()}
        if entity == "User":
            return 200, crm.render.created(entity, crm.admin.create_user(body, caller), caller.id)
        record = crm.records.create(entity, body, caller, skip_duplicates=request.flag("x-skip-duplicate-check"))
        with crm.store.lock:
            return 200, crm.render.created(entity, record, caller.id)

    def _record(self, request: Request, entity: str, id_: str, caller: Caller) -> Any:
        crm, method = self._crm, request.method
        if method == "GET":
            answer = crm.records.read(entity, id_, caller)
            return hide_owner(answer) if entity == "Webhook" and not caller.admin else answer
        if method in ("PUT", "PATCH"):
            body = request.body()
            if entity == "Webhook":
                answer = crm.render.loaded(entity, crm.webhooks.update(id_, body, caller), caller.id)
                return answer if caller.admin else hide_owner(answer)
            if entity == "Email":
                return crm.letters.update(id_, body, caller)
            return crm.records.update(entity, id_, body, caller, version=request.version())
        if method == "DELETE":
            if entity == "Webhook":
                crm.webhooks.delete(id_, caller)
            else:
                crm.records.delete(entity, id_, caller)
            return True
        raise ApiError(404, "Not found.")

    def _link(self, request: Request, entity: str, id_: str, link: str, caller: Caller) -> Any:
        crm, method = self._crm, request.method
        if method == "GET" and link in ("stream", "posts"):
            search = parse(request.query)
            return crm.stream.of(entity, id_, caller, search.offset, search.size)
        _, other, _ = crm.records.link_of(entity, link)
        if method == "GET":
            record = crm.records.find(entity, id_, caller)
            ids = set(crm.lists.linked(entity, record, link))
            no_total = request.flag("x-no-total")
            return crm.lists.of(other, parse(request.query), caller, no_total=no_total, among=lambda r: r["id"] in ids)
        body = request.body()
        ids_ = body.get("ids") if isinstance(body.get("ids"), list) else [body.get("id")]
        wanted = [i for i in ids_ or () if isinstance(i, str)]
        if not wanted:
            raise bad_request("No `id` or `ids`.")
        if method == "POST":
            crm.records.link(entity, id_, link, wanted, caller)
        elif method == "DELETE":
            crm.records.unlink(entity, id_, link, wanted, caller)
        else:
            raise ApiError(404, "Not found.")
        return True


def hide_owner(webhook: dict[str, Any]) -> dict[str, Any]:
    """Only administrators see whose webhook it is (recorded 53, 54)."""
    webhook.pop("userId", None)
    webhook.pop("userName", None)
    return webhook


def dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
