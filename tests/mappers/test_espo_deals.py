"""All deals of an EspoCRM, with what each shows: what a list says and what a whole deal says is told alike."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from mappers.crm.espocrm import EspoCrm
from sandbox.crm import API_KEY, Espo
from sandbox.crm.face import Face
from sandbox.serve import serving
from tests.mappers.replay import exchange, replay
from tests.mappers.test_parties import Way

ROW: dict[str, Any] = {
    "id": "d1", "name": "Монтаж", "stage": "Proposal", "amount": 122, "amountCurrency": "RUB", "accountId": "a1",
    "createdAt": "2026-11-24 10:00:00", "modifiedAt": "2026-11-24 10:00:00", "versionNumber": 4,
    "cInvoiceNumber": "0000-000057", "cPaymentStatus": "partially_paid", "cPaidPercent": 60,
    "cPaidAmount": 73.2, "cInvoiceDate": None,
}  # fmt: skip


def test_a_deal_says_what_it_shows_in_one_form() -> None:
    """Numbers without needless zeros, nothing as "", what the CRM lacks not at all."""
    crm = EspoCrm({"api_key": "k"})
    page = {"total": -1, "list": [ROW, {"name": "без id"}]}
    [one], more = replay(crm.all_deals(0), [exchange("GET", "api/v1/Opportunity", 200, page)])
    assert more
    assert (one.deal.id, one.deal.amount, one.deal.version, one.deal.raw) == ("d1", Decimal(122), "4", {})
    assert one.shown == {
        "invoice_number": "0000-000057", "invoice_date": "", "payment_status": "partially_paid",
        "paid_percent": "60", "paid_amount": "73.2",
    }  # fmt: skip
    whole = replace(one.deal, raw=ROW | {"cPaidPercent": "60.0"})
    assert crm.shown(whole) == one.shown


@pytest.mark.parametrize(("total", "rows", "more"), [(-2, 1, False), (3, 1, True), (1, 1, False), (-1, 0, False)])
def test_the_last_page_is_known(total: int, rows: int, more: bool) -> None:
    page = {"total": total, "list": [ROW] * rows}
    talk = EspoCrm({"api_key": "k"}).all_deals(0)
    assert replay(talk, [exchange("GET", "api/v1/Opportunity", 200, page)])[1] is more


def test_the_sandbox_tells_what_a_silent_link_changed() -> None:
    """Linked from the client's side: no version moves, but the list says whose the deal is."""
    books = Espo(webhook_interval=None)
    with serving(Face(books.api, books)) as url:
        crm = EspoCrm({"api_key": API_KEY})
        line = Way(crm, url)
        made = books.seeder.deal({"name": "Тихо", "stage": "Proposal", "amount": 1, "account": {"name": "Первый"}})
        other = books.act("ivanova", "POST", "Account", {"name": "Второй"})[1]["id"]
        [before], _ = line.ask(crm.all_deals(0))
        deal = made["body"]["id"]
        books.act("ivanova", "DELETE", f"Account/{before.deal.account_id}/opportunities", {"id": deal})
        status, _ = books.act("ivanova", "POST", f"Account/{other}/opportunities", {"id": deal})
        assert status == 200
        [after], _ = line.ask(crm.all_deals(0))
    assert after.deal.account_id == other
    assert (after.deal.version, after.deal.modified_at) == (before.deal.version, before.deal.modified_at)
