"""Other channels of notices (Telegram, Mattermost, …) through Apprise, where it is installed: crm1c[apprise]."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from integration.errors import Misconfigured, Transient


def bell(addresses: Sequence[str]) -> Callable[[str], None]:
    """A call that tells a text to every address. Raises Misconfigured without Apprise or for an address it doesn't
    know; the call raises Transient when a service took nothing."""
    try:
        apprise: Any = importlib.import_module("apprise")
    except ImportError as error:
        raise Misconfigured("Для канала apprise нужен пакет: pip install 'crm1c[apprise]'.") from error
    services = apprise.Apprise()
    for number, address in enumerate(addresses, 1):
        if not services.add(address):
            raise Misconfigured(f"[notices] apprise: адрес № {number} службе Apprise незнаком.")

    def ring(text: str) -> None:
        if not services.notify(body=text):
            raise Transient("Служба уведомлений не приняла сообщение. Повторим сами.", system="bell")

    return ring
