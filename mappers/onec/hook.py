"""What 1C itself posts to /webhooks/onec: a signed list of objects that changed (docs/onec-extension.md).

`X-Crm1c-Signature: BASE:HEX`, where BASE is the NAME of [onec.NAME] and HEX the HMAC-SHA256 of the raw body by its
webhook_secret. The body: `[{"set": "Catalog_Контрагенты", "ref": "GUID", "event": "write", "id": "GUID"}, …]`; `id` is
the outbox row's own, so that a repeated post is recognised for ever.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mappers.dialect import Delivery, Notice
from mappers.onec.odata import is_ref
from mappers.wire import dump_json, parse_json

HEADER = "x-crm1c-signature"
_CLAIM = re.compile(r"([A-Za-z][A-Za-z0-9_-]{0,31}):([0-9a-fA-F]{64})")
_SET = re.compile(r"[A-Za-z]{3,40}_[^\W\d]\w{0,80}")


class OnecHook:
    """Speaks for all bases at once, as they share one address. `secrets`: base → its live secrets."""

    def __init__(self, secrets: Mapping[str, Sequence[str]]) -> None:
        self._secrets = {name: tuple(secret for secret in several if secret) for name, several in secrets.items()}

    def authentic(self, delivery: Delivery, secrets: Sequence[str], by_webhook: Mapping[str, str]) -> str | None:  # noqa: ARG002 – the protocol's names; each base has secrets of its own
        """The base's name when the signature fits one of its secrets (constant time), else None."""
        claim = _CLAIM.fullmatch(delivery.headers.get(HEADER, "").strip())
        if claim is None:
            return None
        fits = False
        for secret in self._secrets.get(claim[1], ()):
            made = hmac.new(secret.encode("utf-8", "surrogatepass"), delivery.raw, hashlib.sha256).hexdigest()
            fits |= hmac.compare_digest(made, claim[2].lower())
        return claim[1] if fits else None

    def notices(self, delivery: Delivery, webhook_id: str, routes: Mapping[str, str]) -> list[Notice]:  # noqa: ARG002
        """One notice an item. Raises ValueError: no JSON, no list, or no usable item."""
        try:
            items = parse_json(delivery.raw)
        except ValueError:
            raise ValueError("тело — не JSON") from None
        if not isinstance(items, list) or not items:
            raise ValueError("нужен непустой массив объектов с полями set, ref, event")
        found = [_notice(item, webhook_id) for item in items]
        if all(one.problem for one in found):
            raise ValueError(f"нет ни одной годной записи: {found[0].problem}")
        return found


def _notice(item: Any, base: str) -> Notice:
    item = item if isinstance(item, dict) else {}
    table, ref, event, own = (str(item.get(name) or "") for name in ("set", "ref", "event", "id"))
    problem = ""
    if not _SET.fullmatch(table):
        problem = f"set «{table[:40]}» — не имя объекта, например Catalog_Контрагенты"
    elif not is_ref(ref):
        problem = f"ref «{ref[:40]}» — не ссылка (GUID)"
    elif own and not is_ref(own):
        problem = f"id «{own[:40]}» — не GUID"
    return Notice(
        entity="" if problem else table[:64],
        event=event[:32] if re.fullmatch(r"\w{1,32}", event) else "write",
        record_id="" if problem else ref.lower(),
        body=dump_json({"set": table[:100], "ref": ref[:64]}),
        event_id=f"onec:{base}:{own.lower()}" if own and not problem else "",
        webhook_id=base,
        problem=problem,
    )
