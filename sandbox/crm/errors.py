"""Errors as EspoCRM answers them (contracts/ESPOCRM.md §3.3): a status, a reason header, and only sometimes a body."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An answer other than success. ``reason`` None means that there is no X-Status-Reason header at all."""

    def __init__(self, status: int, reason: str | None = None, body: Any = None, headers: dict[str, str] | None = None):
        super().__init__(f"{status} {reason or ''}")
        self.status = status
        self.reason = reason
        self.body = body
        self.headers = headers or {}


def translated(label: str, **data: Any) -> dict[str, Any]:
    return {"messageTranslation": {"label": label, "scope": None, "data": data}}


def invalid(entity: str, field: str, kind: str) -> ApiError:
    """400 with the first failing field."""
    reason = f"Field validation failure; entityType: {entity}, field: {field}, type: {kind}."
    return ApiError(400, reason, translated("validationFailure", field=field, type=kind))


def bad_request(reason: str) -> ApiError:
    return ApiError(400, reason)


def forbidden(reason: str = "") -> ApiError:
    return ApiError(403, reason)


def dangling(entity: str, link: str, foreign: str) -> ApiError:
    """403, not 404 or 400: an id in the body that leads nowhere."""
    reason = f"Can't relate with non-existing record. entity type: {entity}, link: {link}."
    return ApiError(403, reason, translated("cannotRelateNonExisting", foreignEntityType=foreign))


def missing(id_: str, *, reading: bool = False) -> ApiError:
    return ApiError(404, f"Record {id_} {'does not exist' if reading else 'not found'}.")


def conflict(reason: str, body: Any) -> ApiError:
    """409: ``duplicate`` with an array of records, ``modified`` with values and versionNumber."""
    return ApiError(409, reason, body)


def crash() -> ApiError:
    """500 with nothing in it: malformed JSON, no SMTP, any PHP error (§0.13)."""
    return ApiError(500)
