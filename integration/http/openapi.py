"""The description of the API: /openapi.json (OpenAPI 3.1) and /docs, both made of the routes themselves."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import simplejson
from flask import Response, render_template, request

from integration.http.answers import WORDS, answer
from integration.http.routes import Answer, Param, Route
from integration.http.schemas import SCHEMAS, ref

_PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SCOPES = {
    "read": "права read, operate",
    "operate": "права operate",
    "kpi": "права read, operate или kpi:МЕНЕДЖЕР (только его показатели)",
}


class Description:
    """The routes as a document for machines and a page for people."""

    def __init__(self, routes: Sequence[Route]) -> None:
        described = [route for route in (*routes, *self.routes()) if not route.hidden]
        self.document = document(described)

    def routes(self) -> tuple[Route, ...]:
        about = "Описание"
        return (
            Route("GET", "/openapi.json", self.json, "Это описание для программ", about, answers={200: Answer("JSON")}),
            Route(
                "GET", "/docs", self.page, "Это описание для людей", about,
                answers={200: Answer("Страница", mimetype="text/html")},
            ),
        )  # fmt: skip

    def json(self) -> Response:
        return answer(self.document | {"servers": [{"url": request.host_url.rstrip("/")}]})

    def page(self) -> Response:
        text = render_template("docs.html", document=self.document, scopes=_SCOPES, schemas=_readable())
        return Response(text, headers={"Content-Security-Policy": _PAGE_POLICY}, mimetype="text/html")


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI document of these routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "crm1c",
            "version": _version(),
            "description": "Обмен между CRM и 1С. Деньги в JSON — строки; время — ISO 8601; отказы — RFC 9457.",
        },
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "crm1c tokens create --scope …"}
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": route.id,
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in route.names
        ]
        + [_parameter(param) for param in route.params],
        "responses": {str(status): _answer(one) for status, one in route.answers.items()}
        | {str(status): _problem(status) for status in route.problems if status not in route.answers},
    }
    if route.text:
        made["description"] = route.text
    if route.takes:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": ref(route.takes)}}}
    if route.scope:
        made["security"] = [{"token": []}]
        made["x-scope"] = route.scope
    return made


def _parameter(param: Param) -> dict[str, Any]:
    return {"name": param.name, "in": "query", "description": param.text, "schema": dict(param.schema)}


def _answer(one: Answer) -> dict[str, Any]:
    schema = ref(one.schema) if one.schema else {"type": "string"} if one.mimetype.startswith("text/") else {}
    return {"description": one.text, "content": {one.mimetype: {"schema": schema}}}


def _problem(status: int) -> dict[str, Any]:
    title, detail = WORDS[status]
    made: dict[str, Any] = {
        "description": f"{title}. {detail}",
        "content": {"application/problem+json": {"schema": ref("Problem")}},
    }
    if status == 503:
        made["headers"] = {
            "Retry-After": {"schema": {"type": "integer"}, "description": "Через сколько секунд повторить"}
        }
    return made


def _readable() -> dict[str, str]:
    """The schemas as indented JSON, for reading."""
    return {name: simplejson.dumps(schema, ensure_ascii=False, indent=2) for name, schema in SCHEMAS.items()}


def _version() -> str:
    try:
        return version("crm1c")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"
