"""EspoCRM's webhooks: whose signature it is, and what the signed array says (ESPOCRM.md §2.2)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any

import simplejson

from mappers.crm.espocrm.talk import usable_id
from mappers.dialect import Delivery, Notice
from mappers.wire import parse_json

_EVENT = re.compile(r"([A-Za-z][0-9A-Za-z]{0,99})[./](create|update|delete|fieldUpdate[./][0-9A-Za-z_]{1,100})")


def authentic(delivery: Delivery, secrets: Sequence[str], by_webhook: Mapping[str, str]) -> str | None:
    """The webhook's id when `Signature` (9.0+) or the older `X-Signature` fits a live secret, else None.

    Signed are the raw bytes. Every candidate is compared in constant time and none is skipped after a hit;
    garbage in the headers is no signature, never an exception.
    """
    for header, is_hex in (("signature", True), ("x-signature", False)):
        claim = _claim(delivery.headers.get(header, ""))
        if claim is None:
            continue
        webhook_id, digest = claim
        own = by_webhook.get(webhook_id)
        # An empty secret would let anybody sign.
        candidates = [secret for secret in (own, *secrets) if secret]
        fits = False
        for secret in candidates:
            made = hmac.new(secret.encode("utf-8", "surrogatepass"), delivery.raw, hashlib.sha256)
            fits |= hmac.compare_digest(made.hexdigest().encode() if is_hex else made.digest(), digest)
        if fits:
            return webhook_id
    return None


def notices(delivery: Delivery, webhook_id: str, routes: Mapping[str, str]) -> list[Notice]:
    """One notice per item of the array; an item without a usable id carries its `problem`.

    Entity and event come from the path's tail, else from `routes`, else stay empty for `webhook_event` to find.
    Raises ValueError: no JSON, no array, empty, too deep, or no usable item.
    """
    try:
        items = parse_json(delivery.raw)
    except ValueError as error:
        deep = "deep" in str(error)
        raise ValueError("тело вебхука: слишком глубокая вложенность" if deep else "тело вебхука — не JSON") from error
    if not isinstance(items, list):
        raise ValueError("тело вебхука EspoCRM должно быть массивом JSON")  # noqa: TRY004 – the protocol says ValueError
    if not items:
        raise ValueError("массив вебхука пуст")
    entity, event = split_event(delivery.tail) or split_event(routes.get(webhook_id, "")) or ("", "")
    found = [_notice(item, entity, event, webhook_id) for item in items]
    if all(notice.problem for notice in found):
        raise ValueError(f"в массиве вебхука нет ни одной годной записи: {found[0].problem}")
    return found


def split_event(text: str) -> tuple[str, str] | None:
    """«Opportunity/update», «Opportunity.fieldUpdate.stage» → (entity, event); None for anything else."""
    found = _EVENT.fullmatch(text.strip("/"))
    return (found[1], found[2].replace("/", ".")) if found else None


def stage_of(body: bytes) -> str | None:
    """The stage that the item names, if it names one."""
    try:
        item = parse_json(body)
    except ValueError:
        return None
    stage = item.get("stage") if isinstance(item, dict) else None
    return stage if isinstance(stage, str) and stage else None


def _claim(header: str) -> tuple[str, bytes] | None:
    try:
        webhook_id, colon, digest = base64.b64decode(header, validate=True).partition(b":")
        name = webhook_id.decode("ascii")
    except ValueError:
        return None
    return (name, digest) if colon and usable_id(name) else None


def _notice(item: Any, entity: str, event: str, webhook_id: str) -> Notice:
    problem = ""
    record_id = item.get("id") if isinstance(item, dict) else None
    if not isinstance(item, dict):
        problem = "элемент массива — не объект"
    elif record_id is None or record_id == "":
        problem = "в элементе нет id записи"
    elif not usable_id(record_id):
        problem = f"непригодный id записи: {str(record_id)[:40]!r}"
    return Notice(
        entity=entity,
        event=event,
        record_id="" if problem else str(record_id),
        body=_compact(item),
        webhook_id=webhook_id,
        problem=problem,
    )


def _compact(item: Any) -> bytes:
    try:
        return _dumped(item, ascii_only=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair: JSON can say it, UTF-8 can't
        return _dumped(item, ascii_only=True).encode()
    except RecursionError as error:
        raise ValueError("тело вебхука: слишком глубокая вложенность") from error


def _dumped(item: Any, *, ascii_only: bool) -> str:
    return simplejson.dumps(item, use_decimal=True, ensure_ascii=ascii_only, separators=(",", ":"))
