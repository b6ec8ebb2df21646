"""The papers of a deal: which were printed, what became of each, and the PDF itself."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from flask import Response, request

from integration.flows.drawing import ACT
from integration.flows.paper import copies
from integration.http.answers import Problem, answer
from integration.http.button import invoice_link, known_deal
from integration.http.parts import Parts
from integration.http.routes import Answer, Param, Route
from integration.store.ledger import SqlLedger
from integration.store.papers import SqlPapers
from integration.work import Printed

_VERSION = re.compile(r"[1-9]\d{0,5}")


class PaperRoutes:
    """GET /api/deals/NAME/ID/papers and …/papers/PAPER"""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> tuple[Route, ...]:
        version = Param("version", "Какая версия; без неё последняя", {"type": "integer", "minimum": 1})
        return (
            Route(
                "GET", "/api/deals/{name}/{id}/papers", self.papers, "Что напечатано по сделке", "Сделки", "read",
                answers={200: Answer("Счёт и акты, каждая версия", "Papers")}, problems=(401, 403, 404, 503),
            ),
            Route(
                "GET", "/api/deals/{name}/{id}/papers/{paper}", self.pdf, "PDF счёта или акта", "Сделки", "read",
                (version,), answers={200: Answer("PDF", mimetype="application/pdf")},
                problems=(400, 401, 403, 404, 503),
                text="PAPER — invoice или ref_key акта. Отправленное хранится 90 дней, сведения о нём — пять лет.",
            ),
        )  # fmt: skip

    def papers(self, name: str, id: str) -> Response:  # noqa: A002 – the path's own word
        return answer({"papers": [told(one) for one in self._copies(name, id)]})

    def pdf(self, name: str, id: str, paper: str) -> Response:  # noqa: A002
        wanted = request.args.get("version", "")
        if wanted and not _VERSION.fullmatch(wanted):
            raise Problem(400, "version — номер версии, с 1.")
        found = [one for one in self._copies(name, id) if names(one)["paper"] == paper]
        found = [one for one in found if not wanted or one.issue == int(wanted)]
        if not found:
            raise Problem(404, "Такого счёта или акта по этой сделке не напечатано.")
        if not found[-1].pdf:
            raise Problem(404, "PDF убран за давностью: напечатайте его снова из 1С.")
        name_ = f"inline; filename*=UTF-8''{quote(found[-1].file_name)}"
        return Response(found[-1].pdf, mimetype="application/pdf", headers={"Content-Disposition": name_})

    def _copies(self, name: str, deal: str) -> list[Printed]:
        known_deal(self._parts, name, deal)
        now = self._parts.now()
        with self._parts.store.reading() as conn:
            link = invoice_link(self._parts, conn, name, deal)
            return copies(SqlPapers(conn, now), SqlLedger(conn, now), link) if link else []


def names(one: Printed) -> dict[str, str]:
    """Under which name the API gives it ("invoice", or the act's Ref_Key), and its kind."""
    if one.record_id.startswith(ACT):
        return {"paper": one.record_id.removeprefix(ACT), "kind": "act"}
    return {"paper": "invoice", "kind": "invoice"}


def told(one: Printed) -> dict[str, Any]:
    """One version as the API tells it."""
    facts = one.facts
    return {
        **names(one),
        "version": one.issue,
        "number": facts["number"],
        "date": facts["date"],
        "file_name": one.file_name,
        "bytes": len(one.pdf),
        "made_at": one.made_at,
        "state": one.state,
        "recipient": one.recipient,
        "sent_at": one.sent_at,
    }
