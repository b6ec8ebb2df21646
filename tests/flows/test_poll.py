"""What no webhook told is found by the poll, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integration import steps
from integration.errors import Transient
from integration.flows.poll import poll
from integration.store import journal
from tests.flows.neighbours import INVOICES
from tests.flows.town import START, Town

PAGE = 200


def polled(town: Town) -> int:
    found = poll(town.world.services, "espo")
    town.work()
    return found


def events(town: Town) -> list[journal.EventView]:
    with town.world.store.reading() as conn:
        return journal.events(conn, limit=1000)


def mark(town: Town) -> datetime | None:
    kept = town.world.store.watermark("poll:espo")
    return datetime.fromisoformat(kept) if kept else None


def many(town: Town, count: int, *, apart: float = 0, **values: Any) -> list[str]:
    """Deals that ask for nothing, each so many seconds after the other."""
    deals = []
    for number in range(count):
        body = {"name": f"Сделка {number}", "amount": 122, "stage": "Prospecting"} | values
        deals += town.crm.seed({"deals": [body]})["deals"]
        town.pass_time(apart)
    return deals


def test_a_lost_webhook_is_caught(town: Town) -> None:
    deal = town.deal()
    assert polled(town) == 1
    assert town.shown(deal)["cInvoiceNumber"] == town.invoice(deal)["Number"]


def test_a_silent_import_is_caught(town: Town) -> None:
    """EspoCRM's import sends no webhooks."""
    town.crm.act("ivanova", "POST", "Account", {"name": "ООО «Лютик»", "cInn": "7700000016"}, silent=True)
    body = {"name": "Ввезённая", "stage": "Proposal", "amount": 122, "amountCurrency": "RUB", "closeDate": "2026-12-31"}
    [client] = town.crm.store.rows("Account")
    _, made = town.crm.act("ivanova", "POST", "Opportunity", body | {"accountId": client["id"]}, silent=True)
    assert polled(town) == 1
    assert town.invoice(made["id"])["Posted"] is True


def test_the_overlap_doubles_nothing(town: Town) -> None:
    """The last ten minutes are read each time; what is known is no event again, refused deals neither."""
    deals = [town.deal(), town.deal(account=None)]
    assert polled(town) == 2
    states = [one.state for one in events(town)]
    for _ in range(3):
        town.pass_time(30)
        assert polled(town) == 0
    assert [one.state for one in events(town)] == states
    assert len(town.notes(deals[1])) == 1


def test_what_we_told_about_a_standing_invoice_is_no_news(town: Town) -> None:
    """A conflict is parked once, not anew with each poll."""
    deal = town.deal()
    town.done(deal)
    town.seed(INVOICES, Ref_Key=town.invoice(deal)["Ref_Key"], DeletionMark=True, Posted=False)
    town.edit(deal, amount=244)
    assert [polled(town) for _ in range(3)] == [1, 0, 0]
    assert "помечен на удаление" in town.shown(deal)["cSyncStatus"]


def test_a_lost_webhook_about_an_edit_is_caught(town: Town) -> None:
    deal = town.deal()
    town.done(deal)
    assert polled(town) == 0  # its version is the one that we wrote
    town.pass_time(60)
    town.edit(deal, amount=244)
    assert polled(town) == 1
    assert town.invoice(deal)["СуммаДокумента"] == 244


def test_a_deal_that_asks_for_nothing_is_no_event(town: Town) -> None:
    town.deal(stage="Negotiation")
    assert (polled(town), events(town)) == (0, [])


@pytest.mark.parametrize("apart", [0, 1], ids=["all in one second", "a second apart"])
def test_more_deals_than_a_page_holds(town: Town, apart: float) -> None:
    many(town, PAGE + 5, apart=apart)
    first = town.deal()
    many(town, PAGE, apart=apart)
    last = town.deal()
    assert polled(town) == 2
    assert all(town.invoice(deal)["Posted"] for deal in (first, last))


def test_an_edit_between_two_pages_hides_no_deal(town: Town) -> None:
    """The edited deal moves to the end, so that a deal of the next page moves up where it was already read."""
    early = many(town, PAGE, apart=1)
    hidden = town.deal()
    many(town, 5, apart=1)
    pages = iter([1])

    def edit(boundary: str) -> None:
        if boundary == "изменённые сделки: answered" and next(pages, None):
            town.edit(early[3], description="правка между страницами")

    end = steps.listen(edit)
    try:
        assert polled(town) == 1
    finally:
        end()
    assert town.invoice(hidden)["Posted"] is True


def test_the_watermark_is_the_crms_own_time(town: Town) -> None:
    """The CRM's clock is two hours behind ours: nothing that it says later is missed."""
    assert polled(town) == 0
    assert mark(town) is None
    town.crm.clock.offset -= 7200
    deal = town.deal(stage="Prospecting")
    poll(town.world.services, "espo")
    assert mark(town) == START - timedelta(hours=2)
    town.crm.clock.offset += 60
    town.edit(deal, stage="Proposal")
    assert poll(town.world.services, "espo") == 1
    assert mark(town) == START - timedelta(hours=2) + timedelta(seconds=60)


def test_deals_older_than_the_start_cause_nothing(town: Town) -> None:
    """Created before the month of the first start, edited today: read, and left alone."""
    town.crm.clock.offset -= 40 * 86_400
    deal = town.deal()
    assert polled(town) == 0
    town.pass_time(1)
    town.edit(deal, description="вспомнили")
    assert polled(town) == 1
    assert [one.outcome for one in events(town)] == ["skipped"]
    assert not town.invoices()


@pytest.mark.parametrize(
    ("created", "made"),
    [
        (datetime(2026, 10, 31, 20, 59, tzinfo=UTC), 0),
        (datetime(2026, 10, 31, 21, tzinfo=UTC), 1),  # November has begun in Moscow
    ],
)
def test_the_start_is_a_day_of_1cs_zone(town: Town, created: datetime, made: int) -> None:
    town.crm.clock.offset += (created - START).total_seconds()
    deal = town.deal()
    town.pass_time(1)
    town.done(deal)
    assert len(town.invoices(deal)) == made


def test_a_poll_that_breaks_off_goes_on_where_it_was(town: Town) -> None:
    """The second page fails: the first one's finds stand, the rest comes with the next slot."""
    first = town.deal()
    many(town, PAGE, apart=1)
    last = town.deal()
    pages = iter([0, 1])

    def break_off(boundary: str) -> None:
        if boundary == "изменённые сделки: before" and next(pages, None):
            town.fault(town.crm_app, "status", "GET", "Opportunity$", times=1)

    end = steps.listen(break_off)
    with pytest.raises(Transient):
        poll(town.world.services, "espo")
    end()
    assert mark(town) is not None
    assert polled(town) == 1
    assert all(town.invoice(deal)["Posted"] for deal in (first, last))
