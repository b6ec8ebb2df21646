"""The CRM's own additions to the admin face: webhook queue and acting as a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from wsgiref.types import WSGIApplication

from sandbox.faults import Sandbox

if TYPE_CHECKING:
    from sandbox.crm.espo import Espo


def undecimal(value: Any) -> Any:
    """JSON numbers as the API's own parser gives them."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {k: undecimal(v) for k, v in value.items()}
    return [undecimal(v) for v in value] if isinstance(value, list) else value


class Face(Sandbox):
    """``/_sandbox/…`` of the CRM.

    ============================== ===================================================================================
    ``GET /_sandbox/webhooks``      ``{"webhooks": […], "events": […], "items": […]}``
    ``POST /_sandbox/webhooks/run`` run the job now -> ``[{"url", "event", "count", "code", "status", "attempts", …}]``
    ``POST /_sandbox/act``          ``{"user": "ivanova", "method": "PUT", "path": "Opportunity/ID", "body": {…}}``
                                    -> ``{"status": 200, "body": {…}}``; ``"silent": true`` as an import does it
    ``POST /_sandbox/deals``        a person's deal: fields of Opportunity, with ``user``, and ``account`` (an object:
                                    found by cInn or made) instead of accountId; with ``id`` an update
    ============================== ===================================================================================
    """

    def __init__(self, app: WSGIApplication, crm: Espo) -> None:
        super().__init__(app, crm)
        self._crm = crm

    def close(self) -> None:
        super().close()
        self._crm.close()

    def _commands(self, query: Mapping[str, str], body: Any) -> dict[tuple[str, str], Callable[[], Any]]:
        body = undecimal(body)
        return {
            **super()._commands(query, body),
            ("GET", "webhooks"): self._crm.webhooks.queue,
            ("POST", "webhooks/run"): self._crm.run_webhooks,
            ("POST", "act"): lambda: self._act(body or {}),
            ("POST", "deals"): lambda: self._crm.seeder.deal(body or {}),
        }

    def _act(self, body: dict[str, Any]) -> dict[str, Any]:
        for name in ("user", "method", "path"):
            if not isinstance(body.get(name), str):
                raise ValueError(f"{name} is missing")  # noqa: TRY004 – the face answers ValueError with 400
        status, answer = self._crm.act(body["user"], body["method"], body["path"], body.get("body"),
                                       silent=bool(body.get("silent")), headers=body.get("headers"))  # fmt: skip
        return {"status": status, "body": answer}
