"""A deal whose invoice was printed twice and whose act once, as a store holds them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from integration.store.store import SqlStore
from integration.work import Link, Printed
from mappers.canonical import Invoice
from mappers.money import Act, Covered

DEAL, BILL, ACT = "deal1", "b1110000-0000-4000-8000-000000000001", "ac110000-0000-4000-8000-000000000001"
DAY = datetime(2026, 11, 24, 9, tzinfo=UTC)
FACTS = {"number": "57", "date": "24.11.2026", "total": "1 220,00", "currency": "руб.", "supplier": "ООО «Рассвет»"}


def keep_papers(store: SqlStore, crm: str = "espo") -> None:
    """Write it down: link, facts, papers; the first version of the invoice was sent, and its PDF is cleared away."""
    agreed = {"number": "0000-000057", "date": DAY.isoformat(), "total": "1220.00", "currency": "RUB", "issue": 2}
    link = Link(crm, "deal", DEAL, "main", "invoice", BILL, state="posted", agreed=agreed)
    bill = Invoice(
        BILL,
        "0000-000057",
        DAY,
        Decimal(1220),
        "RUB",
        posted=True,
        deleted=False,
        version="1",
        counterparty="c",
        organisation="o",
    )
    act = Act(
        ACT, "0000-000031", date(2026, 11, 24), Decimal(1220), "RUB", posted=True, deleted=False,
        covers=(Covered(BILL, Decimal(1220)),), counterparty="c", organisation="o",
    )  # fmt: skip
    first = Printed(crm, DEAL, "main", 1, "Счет № 57 от 24.11.2026.pdf", b"", FACTS, DAY)
    sent = replace(first, state="sent", recipient="buh@romashka.example", sent_at=DAY)
    second = replace(first, issue=2, pdf=b"%PDF-1.7 second")
    third = Printed(
        crm, f"act:{ACT}", "main", 1, "Акт № 31 от 24.11.2026.pdf", b"%PDF-1.7 act", {**FACTS, "number": "31"}, DAY
    )
    with store.unit("seed") as unit:
        unit.links.bind(link)
        unit.ledger.keep("main", [bill, act])
        for one in (sent, second, third):
            unit.papers.keep(one)
