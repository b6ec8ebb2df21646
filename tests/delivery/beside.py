"""The sandbox 1C and CRM seen from outside: what they hold, what they were asked, what goes wrong there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests

INVOICES, CLIENTS = "Document_СчетНаОплатуПокупателю", "Catalog_Контрагенты"
CONTRACTS, ITEMS = "Catalog_ДоговорыКонтрагентов", "Catalog_Номенклатура"


class Beside:
    """The admin faces of the sandbox systems at the addresses `onec` and `crm`; a `system` is one of these words."""

    onec = crm = ""

    def state(self, system: str, **query: str) -> Any:
        """What the sandbox system holds."""
        return self._admin("GET", system, "state", params=query)

    def invoices(self) -> list[dict[str, Any]]:
        """1C's invoices as stored."""
        found: list[dict[str, Any]] = self.state("onec", set=INVOICES)
        return found

    def calls(self, system: str) -> list[dict[str, Any]]:
        """The calls that the sandbox system received, oldest first."""
        found: list[dict[str, Any]] = self._admin("GET", system, "log")
        return found

    def stats(self, system: str) -> dict[str, Any]:
        """Counts of the sandbox system."""
        found: dict[str, Any] = self._admin("GET", system, "stats")
        return found

    def seed(self, system: str, body: Any) -> Any:
        """Put records into the sandbox system past its checks."""
        return self._admin("POST", system, "seed", json=body)

    def fault(self, system: str, **fault: Any) -> None:
        """Something that goes wrong there from now on."""
        self._admin("POST", system, "faults", json=fault)

    def act(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """A person does this in the CRM's pages; no webhook comes of it."""
        answer = self._admin(
            "POST", "crm", "act", json={"user": "admin", "method": method, "path": path, "body": body, "silent": True}
        )
        assert answer["status"] == 200, answer
        return answer["body"]

    def mend(self, system: str) -> None:
        """Nothing goes wrong there any more."""
        self._admin("DELETE", system, "faults")

    def _admin(self, method: str, system: str, name: str, **more: Any) -> Any:
        url = f"{self.onec if system == 'onec' else self.crm}/_sandbox/{name}"
        answer = requests.request(method, url, timeout=60, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()
