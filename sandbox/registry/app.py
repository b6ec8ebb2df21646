"""The three interfaces over one list of companies."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import simplejson

from sandbox.answers import Answer, decoded_path, json_answer
from sandbox.faults import Sandbox
from sandbox.registry import spark
from sandbox.registry.companies import COMPANIES, Company

TOKEN = "sandbox-token"
PARTY = "/suggestions/api/4_1/rs/findById/party"


def _ms(day: str | None) -> int | None:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000) if day else None


def _dotted(day: str | None) -> str | None:
    return date.fromisoformat(day).strftime("%d.%m.%Y") if day else None


def suggestion(company: Company) -> dict[str, Any]:
    """One suggestion of DaData; for a sole trader the address is only the city."""
    c = company
    last, first, middle = (*(c.head or "").split(" "), "", "", "")[:3]
    data: dict[str, Any] = {
        "inn": c.inn, "kpp": c.kpp, "kpp_largest": None, "ogrn": c.ogrn, "ogrn_date": _ms(c.registered),
        "hid": secrets.token_hex(32), "type": "INDIVIDUAL" if c.person else "LEGAL",
        "name": {"full_with_opf": c.full, "short_with_opf": c.short, "full": c.full, "short": c.short, "latin": None},
        "opf": {"type": "2014", "code": "50102" if c.person else "12300", "full": None,
                "short": "ИП" if c.person else c.short.split(" ")[0]},
        "okpo": None, "okato": None, "oktmo": None, "okved": c.okved,
        "address": {"value": c.address, "unrestricted_value": c.address, "invalidity": None, "data": None},
        "state": {"status": c.status, "code": None, "actuality_date": _ms("2026-11-01"),
                  "registration_date": _ms(c.registered), "liquidation_date": _ms(c.ended)},
        "invalid": True if c.invalid else None, "phones": None, "emails": None,
    }  # fmt: skip
    if c.person:
        data["fio"] = {"surname": last, "name": first, "patronymic": middle, "gender": None}
    else:
        data["management"] = {"name": c.head, "post": c.post.upper(), "disqualified": None} if c.head else None
        data["branch_type"], data["branch_count"] = ("BRANCH", 0) if c.branch else ("MAIN", 0)
    return {"value": c.short, "unrestricted_value": c.short, "data": data}


def egrul_row(company: Company, total: int) -> dict[str, Any]:
    """One row of egrul.nalog.ru: ``e`` terminated, ``v`` struck out."""
    c = company
    row = {"cnt": str(total), "tot": str(total), "pg": "1", "i": c.inn, "k": "fl" if c.person else "ul", "n": c.full,
           "c": None if c.person else c.short, "o": c.ogrn, "p": c.kpp, "r": _dotted(c.registered),
           "e": _dotted(c.ended), "v": _dotted(c.invalid), "a": None if c.person else c.address,
           "g": f"{c.post.upper()}: {c.head}" if c.head and not c.person else None,
           "t": secrets.token_hex(80).upper()}  # fmt: skip
    return {k: v for k, v in row.items() if v is not None}


class Registry:
    """The interfaces, and what the admin face asks for. ``switches``: ``captcha``, ``waits``, ``spark``, ``expire``."""

    def __init__(self, *, token: str = TOKEN) -> None:
        self._token = token
        self._lock = threading.Lock()
        self._companies = list(COMPANIES)
        self._searches: dict[str, tuple[int, list[dict[str, Any]]]] = {}
        self._captcha, self._waits = False, 1
        self._spark = spark.Spark(lambda number: [c for c in self._companies if number in (c.inn, c.ogrn)])

    def wsgi(self) -> WSGIApplication:
        return Sandbox(self, self)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], decoded_path(environ)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if method == "POST" and path == PARTY:
            answer = self._party(environ.get("HTTP_AUTHORIZATION", ""), body)
        elif path == spark.PATH:
            action, cookie = (environ.get(name, "") for name in ("HTTP_SOAPACTION", "HTTP_COOKIE"))
            answer = self._spark(method, action, cookie, body)
        elif method == "POST" and path == "/":
            answer = self._egrul_search(parse_qs(body.decode("utf-8", "replace")).get("query", [""])[0].strip())
        elif method == "GET" and path.startswith("/search-result/"):
            answer = self._egrul_result(path.removeprefix("/search-result/"))
        else:
            answer = Answer(404)
        return answer.send(start_response)

    def _party(self, authorization: str, body: bytes) -> Answer:
        if not authorization:
            return json_answer({"family": "CLIENT_ERROR", "reason": "Unauthorized", "message": "No token"}, 401)
        if authorization != f"Token {self._token}":
            return json_answer({"family": "CLIENT_ERROR", "reason": "Forbidden", "message": "Invalid token"}, 403)
        try:
            asked = simplejson.loads(body)
            query = str(asked["query"]).strip()
        except (ValueError, KeyError, TypeError):
            return json_answer({"family": "CLIENT_ERROR", "reason": "Bad Request", "message": "No query"}, 400)
        found = [c for c in self._companies if query in (c.inn, c.ogrn) and not c.invalid]
        if asked.get("kpp"):
            found = [c for c in found if c.kpp == asked["kpp"]]
        if asked.get("branch_type"):
            found = [c for c in found if not c.person and c.branch == (asked["branch_type"] == "BRANCH")]
        if asked.get("type"):
            found = [c for c in found if c.person == (asked["type"] == "INDIVIDUAL")]
        if asked.get("status"):
            found = [c for c in found if c.status in asked["status"]]
        return json_answer({"suggestions": [suggestion(c) for c in found[: min(int(asked.get("count", 10)), 300)]]})

    def _egrul_search(self, query: str) -> Answer:
        if self._captcha:
            return json_answer({"ERRORS": {"captchaSearch": ["Требуется ввести цифры с картинки"]}}, 400)
        if not query:
            return json_answer({"ERRORS": {"query": ["Поле должно быть заполнено"]}}, 400)
        low = query.casefold()
        # branches have no row of their own there
        rows = [c for c in self._companies if not c.branch and (query in (c.inn, c.ogrn) or low in c.full.casefold())]
        ticket = secrets.token_hex(80).upper()
        with self._lock:
            self._searches[ticket] = (self._waits, [egrul_row(c, len(rows)) for c in rows])
        return json_answer({"t": ticket, "captchaRequired": False})

    def _egrul_result(self, ticket: str) -> Answer:
        with self._lock:
            if ticket not in self._searches:
                return json_answer({"ERRORS": {"query": ["Срок действия запроса истёк"]}}, 400)
            waits, rows = self._searches[ticket]
            if waits:
                self._searches[ticket] = (waits - 1, rows)
                return json_answer({"status": "wait"})
        return json_answer({"rows": rows})

    # -- admin face ---------------------------------------------------------------------------------------------

    def state(self, _query: Mapping[str, str]) -> list[dict[str, Any]]:
        return [asdict(c) for c in self._companies]

    def stats(self) -> dict[str, int]:
        return {"companies": len(self._companies), "spark_sessions": self._spark.sessions}

    def seed(self, body: Any) -> dict[str, int]:
        """``{"companies": [{"inn", "ogrn", "full", "short", "address", "kpp", …}]}``: added before the others."""
        known = {f.name for f in fields(Company)}
        for row in body.get("companies") or ():
            if set(row) - known:
                raise ValueError(f"company: only {', '.join(sorted(known))}")
            try:
                self._companies.insert(0, Company(**row))
            except TypeError as error:
                raise ValueError(str(error)) from error
        return self.stats()

    def switches(self, body: Any | None) -> dict[str, Any]:
        """``captcha``: ЕГРЮЛ demands one. ``waits``: how often a result says ``wait`` first. ``spark``: what СПАРК
        answers every report with ("": as it should). ``expire``: end СПАРК's sessions now."""
        body = dict(body or {})
        if set(body) - {"captcha", "waits", "spark", "expire"}:
            raise ValueError("only captcha, waits, spark, expire")
        self._captcha = bool(body.get("captcha", self._captcha))
        self._waits = int(body.get("waits", self._waits))
        self._spark.result = str(body.get("spark", self._spark.result))
        if body.get("expire"):
            self._spark.expire()
        return {"captcha": self._captcha, "waits": self._waits, "spark": self._spark.result}

    def reset(self) -> dict[str, str]:
        self._companies = list(COMPANIES)
        self._searches.clear()
        self._captcha, self._waits, self._spark.result = False, 1, ""
        self._spark.expire()
        return {"status": "ok"}
