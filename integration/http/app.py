"""The web application: routes registered from their declarations, tokens checked, every refusal a problem detail."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, request
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response as AnyResponse

from integration.errors import Transient
from integration.http.answers import TRACE, Problem, later
from integration.http.api import Api
from integration.http.button import Button
from integration.http.guard import Guard
from integration.http.handover import handing_over
from integration.http.health import Health
from integration.http.hooks import Bucket, Door
from integration.http.intake import Intake
from integration.http.openapi import Description
from integration.http.papers import PaperRoutes
from integration.http.parts import Parts
from integration.http.reconciliation import Reconciled
from integration.http.routes import Route
from integration.log import correlated
from integration.settings import Crm, Shop
from integration.work import new_id

log = logging.getLogger("crm1c.http")

SMALL_BODY = 1 << 20  # of every request but a webhook
_TRUSTED_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,39}")
_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("Cache-Control", "no-store"),
)


def create_app(parts: Parts, more: Iterable[Route] = ()) -> Flask:
    """The Flask application over `parts`; `more`: routes of later modules, registered and described alike."""
    app = Flask("integration.http", static_folder=None, template_folder="templates")
    app.config["MAX_CONTENT_LENGTH"] = SMALL_BODY
    # A redirect in front of the intake loses events (EspoCRM takes 3xx for success): none is ever made.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    guard = Guard(parts)
    described = [
        *Intake(_doors(parts), parts.store, parts.settings.web.max_body).routes(),
        *Button(parts).routes(),
        *PaperRoutes(parts).routes(),
        *Api(parts).routes(),
        *Reconciled(parts).routes(),
        *Health(parts).routes(),
        *more,
    ]
    for route in (*described, *Description(described).routes()):
        _register(app, guard, route)
    app.register_error_handler(Problem, Problem.response)
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(Transient, _away)
    app.register_error_handler(Exception, _broken)
    app.wsgi_app = handing_over(_traced(app.wsgi_app))  # type: ignore[method-assign]
    if hops := parts.settings.web.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    return app


def _doors(parts: Parts) -> dict[str, Door]:
    web = parts.settings.web
    known: dict[str, Crm | Shop] = {**parts.settings.crm, **parts.settings.shop}
    return {
        name: Door(
            name,
            sender,
            # 1C's bases share one address; its sender knows the secret of each.
            tuple(secret.reveal() for secret in known[name].webhook_secret) if name in known else (),
            parts.store,
            parts.clock,
            Bucket(web.rate_limit, parts.clock) if web.rate_limit else None,
        )
        for name, sender in parts.senders.items()
    }


def _register(app: Flask, guard: Guard, route: Route) -> None:
    view = guard.guarded(route) if route.scope else route.view
    app.add_url_rule(route.rule, route.id, view, methods=[route.method])


def _traced(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Give each request a correlation id (the caller's, if it looks like one, or a new one), and each answer that id
    and the security headers that it doesn't set itself."""

    def outer(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        environ[TRACE] = trace = given if _TRUSTED_ID.fullmatch(given) else new_id()

        def started(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            own = {name for name, _ in headers}
            headers += (pair for pair in _HEADERS if pair[0] not in own)
            headers.append(("X-Trace", trace))
            return start(status, headers, exc_info)

        with correlated(trace):
            return inner(environ, started)

    return outer


def _refused(error: HTTPException) -> AnyResponse:
    kept = {name: value for name, value in error.get_headers() if name == "Allow"}
    return Problem(error.code or 500, headers=kept).response()


def _away(error: Transient) -> AnyResponse:
    log.warning("request refused: the database is out of reach", extra={"path": request.path})
    return later(error.reason).response()


def _broken(_error: Exception) -> AnyResponse:
    log.exception("request failed: a bug", extra={"path": request.path})
    return Problem(500).response()
