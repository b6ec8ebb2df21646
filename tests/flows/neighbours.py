"""The systems beside crm1c, and the people who work in them: a sandbox 1C and CRM with what they hold and heard."""

from __future__ import annotations

from typing import Any

from sandbox.crm import Espo
from sandbox.crm.face import Face
from sandbox.onec import OneC

CLIENT = {"name": "ООО «Ромашка»", "cInn": "7700000016", "cKpp": "770001001"}
INVOICES, COUNTERPARTIES = "Document_СчетНаОплатуПокупателю", "Catalog_Контрагенты"
CONTRACTS, ITEMS, PAYMENTS = (
    "Catalog_ДоговорыКонтрагентов",
    "Catalog_Номенклатура",
    "Document_ПоступлениеНаРасчетныйСчет",
)


class Neighbours:
    """1C and the CRM, each with its application (`…_app`: faults and log) and, once served, its address."""

    def __init__(self) -> None:
        self.onec, self.crm = OneC(), Espo(webhook_interval=None)
        self.onec_app, self.crm_app = self.onec.wsgi(), Face(self.crm.api, self.crm)
        self.onec_url = self.crm_url = ""

    def as_new(self) -> None:
        for system, app in ((self.onec, self.onec_app), (self.crm, self.crm_app)):
            app.faults.clear()
            system.reset()
            app.log.clear()

    def deal(self, amount: Any = 122, **values: Any) -> str:
        """A person's deal in the stage that asks for an invoice. `account`: a dict (found or made), or None."""
        body = {"name": "Монтаж", "stage": "Proposal", "amount": amount, "amountCurrency": "RUB", "account": CLIENT}
        body |= values
        if body["account"] is None:
            del body["account"]
        made = self.crm.seeder.deal(body)
        assert made["status"] == 200, made
        return str(made["body"]["id"])

    def edit(self, path: str, **values: Any) -> None:
        """A person changes a record: `path` is a deal's id, or «Account/ID»."""
        path = path if "/" in path else f"Opportunity/{path}"
        status, answer = self.crm.act("ivanova", "PUT", path, values)
        assert status == 200, answer

    def shown(self, deal: str) -> dict[str, Any]:
        """The deal as the CRM holds it."""
        return dict(self.crm.state({"entity": "Opportunity", "id": deal}))

    def notes(self, deal: str) -> list[str]:
        """What was posted to the deal's stream, oldest first."""
        notes = self.crm.state({"entity": "Note"})
        return [note["post"] for note in notes if note.get("parentId") == deal and note.get("post")]

    def held(self, name: str) -> list[dict[str, Any]]:
        """All objects of a set of 1C."""
        return list(self.onec.state({"set": name}))

    def invoices(self, deal: str = "") -> list[dict[str, Any]]:
        return [one for one in self.held(INVOICES) if deal in one["Комментарий"]]

    def invoice(self, deal: str) -> dict[str, Any]:
        """The deal's one invoice in 1C."""
        [one] = self.invoices(deal)
        return one

    def seed(self, name: str, **values: Any) -> str:
        """Something in 1C that a person made there, or changed (with Ref_Key)."""
        return self.onec.seed({name: [values]})[name][0]

    def fault(self, app: Any, kind: str, method: str = "", path: str = "", **more: Any) -> None:
        match = {name: value for name, value in (("method", method), ("path", path)) if value}
        app.faults.add({"kind": kind, "match": match, **more})

    def asked(self, app: Any, method: str = "", path: str = "") -> list[dict[str, Any]]:
        """The calls that a system received, narrowed down."""
        return [one for one in app.log.since() if method in ("", one["method"]) and path in one["path"]]
