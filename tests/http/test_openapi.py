"""The description is of exactly what is served."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from integration.http.app import create_app
from integration.http.routes import Answer, Route
from integration.http.schemas import SCHEMAS
from tests.http.world import NAME, TOKEN, World, bearer, reconciled


def test_every_route_is_described_and_every_description_served(world: World) -> None:
    app = world.client.application
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    document = world.client.get("/openapi.json").json
    described = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert served == described


def test_every_reference_leads_somewhere_and_every_operation_has_its_own_name(world: World) -> None:
    document = world.client.get("/openapi.json").json
    found = set(re.findall(r"#/components/schemas/(\w+)", world.client.get("/openapi.json").text))
    assert found == set(document["components"]["schemas"])
    names = [route["operationId"] for methods in document["paths"].values() for route in methods.values()]
    assert len(names) == len(set(names))
    assert document["openapi"].startswith("3.1")


def test_what_needs_a_token_says_so(world: World) -> None:
    for path, methods in world.client.get("/openapi.json").json["paths"].items():
        for route in methods.values():
            needs = path.startswith("/api") or path == "/metrics"
            assert ("security" in route) is needs, path
            assert ("401" in route["responses"]) is (needs or path.startswith("/webhooks")), path


@pytest.mark.parametrize(
    ("method", "path", "schema"),
    [
        ("GET", "/api/events", "Events"),
        ("GET", "/api/events/{event}", "EventDetail"),
        ("POST", "/api/events/{event}/replay", "Replayed"),
        ("GET", f"/api/deals/{NAME}/deal1", "Deal"),
        ("GET", "/api/reconciliation", "Reconciliation"),
        ("GET", "/health/live", "Alive"),
        ("GET", "/health/ready", "Ready"),
        ("GET", "/nowhere", "Problem"),
    ],
)
def test_answers_have_the_fields_that_are_described(world: World, method: str, path: str, schema: str) -> None:
    event = world.press().json["event"]
    reconciled(world)
    answer = world.client.open(path.format(event=event), method=method, headers=bearer(TOKEN))
    _fits(answer.json, SCHEMAS[schema])


def _fits(value: Any, schema: dict[str, Any]) -> None:
    schema = SCHEMAS[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if schema.get("type") == "object" and "properties" in schema:
        assert set(schema["required"]) <= set(value) <= set(schema["properties"])
        for name, inner in value.items():
            _fits(inner, schema["properties"][name])
    elif schema.get("type") == "array":
        for one in value:
            _fits(one, schema["items"])


class Page(HTMLParser):
    """Links, ids and what a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag in ("script", "link", "img", "iframe") or "src" in told:
            self.fetched.append(tag)
        if href := told.get("href"):
            self.links.append(href)
        if name := told.get("id"):
            self.ids.append(name)


def test_the_page_is_russian_and_whole_without_anything_else(world: World) -> None:
    answer = world.client.get("/docs")
    assert answer.mimetype == "text/html"
    page = Page()
    page.feed(answer.text)
    assert page.fetched == []
    assert not re.search(r"url\(|@import|https?://", answer.text)
    assert set(page.links) == {"openapi.json", *(link for link in page.links if link.startswith("#"))}
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert 'lang="ru"' in answer.text
    document = world.client.get("/openapi.json").json
    assert all(path in answer.text for path in document["paths"])
    assert all(f"schema-{name}" in page.ids for name in SCHEMAS)


def test_routes_of_later_modules_are_served_guarded_and_described(world: World) -> None:
    from flask import Response

    own = Route(
        "GET", "/api/kpi/{period}/{manager}", lambda period, manager: Response(f"{period} {manager}"), "Показатели",
        "KPI", "kpi", answers={200: Answer("Показатели")}, problems=(401, 403),
    )  # fmt: skip
    page = Route("GET", "/", lambda: Response("page"), "Консоль", "", hidden=True)
    client = create_app(world.parts, (own, page)).test_client()
    mine = world.token("kpi:ivanova")
    assert client.get("/api/kpi/2026-11/ivanova", headers=bearer(mine)).text == "2026-11 ivanova"
    assert client.get("/api/kpi/2026-11/petrova", headers=bearer(mine)).status_code == 403
    assert client.get("/").text == "page"
    paths = client.get("/openapi.json").json["paths"]
    assert "/api/kpi/{period}/{manager}" in paths
    assert "/" not in paths
