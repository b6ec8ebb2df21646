"""A create whose answer was lost: one object in the end, and never a second POST without a look in between."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integration import steps
from tests.flows.neighbours import CONTRACTS, COUNTERPARTIES, INVOICES, ITEMS
from tests.flows.town import Town

CREATED = [COUNTERPARTIES, CONTRACTS, ITEMS, INVOICES]
NOTHING_FOUND = {"status": 200, "body": '{"odata.metadata": "", "value": []}', "content_type": "application/json"}
DOUBT = 90.0  # [delivery] doubt
NEW_ITEM = {"invoicing": {"line": "Пусконаладка: {name}"}}


def posts(town: Town, name: str) -> int:
    """How often an object of the set was tried to be created."""
    return sum(one["path"].endswith(name) for one in town.asked(town.onec_app, "POST"))


def looked_before_each_post(town: Town, name: str) -> bool:
    looked = False
    for call in town.asked(town.onec_app, path=name):
        if call["method"] == "GET" and call["path"].endswith(name):
            looked = True
        elif call["method"] == "POST" and call["path"].endswith(name):
            if not looked:
                return False
            looked = False
    return True


def count_of(town: Town, name: str) -> int:
    return len(town.held(name))


@pytest.mark.parametrize("name", CREATED)
def test_a_lost_answer_makes_no_second_object(town: Town, name: str) -> None:
    """1C wrote it, the answer was lost: the next try finds it within a few seconds, and nothing is written twice."""
    town.live(NEW_ITEM)
    before = count_of(town, name)
    town.fault(town.onec_app, "lost_answer", "POST", f"{name}$", times=1)
    deal = town.deal()
    assert town.done(deal).state == "done"
    assert (count_of(town, name), posts(town, name)) == (before + 1, 1)
    assert looked_before_each_post(town, name)
    assert town.seconds < 5
    assert town.shown(deal)["cInvoiceNumber"] == town.invoice(deal)["Number"]


@pytest.mark.parametrize("name", CREATED)
def test_a_request_that_never_arrived_is_sent_again_after_the_doubt_and_not_earlier(town: Town, name: str) -> None:
    town.live(NEW_ITEM)
    before = count_of(town, name)
    town.fault(town.onec_app, "lost_request", "POST", f"{name}$", times=1)
    event = town.tell(town.deal())
    town.work(DOUBT - 1)
    assert (count_of(town, name), posts(town, name)) == (before, 1)
    assert town.event(event).state == "due"
    assert "ищем, создан ли документ" in (town.event(event).error or "")
    town.work()
    assert (town.event(event).state, count_of(town, name), posts(town, name)) == ("done", before + 1, 2)
    assert looked_before_each_post(town, name)
    assert town.seconds < DOUBT + 15


@pytest.mark.parametrize("name", CREATED)
def test_1c_shows_late_what_it_wrote(town: Town, name: str) -> None:
    """The written object is not found at first; it is searched for, not written again."""
    town.live(NEW_ITEM)
    before = count_of(town, name)
    town.fault(town.onec_app, "lost_answer", "POST", f"{name}$", times=1)
    event = town.tell(town.deal())
    town.work(0)
    town.fault(town.onec_app, "status", "GET", f"{name}$", times=4, **NOTHING_FOUND)
    town.work()
    assert (town.event(event).state, count_of(town, name), posts(town, name)) == ("done", before + 1, 1)


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_proxy_that_gave_up_waiting(town: Town, status: int) -> None:
    """The server before 1C answers with an error of its own after 1C has written the invoice."""
    town.fault(town.onec_app, "status", "POST", f"{INVOICES}$", status=status, times=1, after=True, body="<h1>?</h1>")
    deal = town.deal()
    assert town.done(deal).state == "done"
    assert posts(town, INVOICES) == 1
    assert town.invoice(deal)["Posted"] is True


def test_a_login_page_in_place_of_the_answer_to_a_create(town: Town) -> None:
    """HTML with 200 says nothing about the write: it is searched for, then written anew."""
    town.fault(town.onec_app, "html", "POST", f"{INVOICES}$", times=1)
    deal = town.deal()
    assert town.done(deal).state == "done"
    assert (len(town.invoices(deal)), posts(town, INVOICES)) == (1, 2)
    assert town.seconds >= DOUBT


def test_another_deal_of_the_same_client_does_not_create_what_is_in_doubt(town: Town) -> None:
    """The first deal's answer about the counterparty was lost and 1C shows it late: the second deal waits too."""
    first, second = town.deal(name="Первая"), town.deal(name="Вторая")
    town.fault(town.onec_app, "lost_answer", "POST", f"{COUNTERPARTIES}$", times=1)
    events = [town.tell(first)]
    town.work(0)
    town.fault(town.onec_app, "status", "GET", f"{COUNTERPARTIES}$", times=6, **NOTHING_FOUND)
    events.append(town.tell(second))
    town.work()
    assert [town.event(one).state for one in events] == ["done", "done"]
    assert (count_of(town, COUNTERPARTIES), posts(town, COUNTERPARTIES)) == (1, 1)


def test_another_notice_of_the_same_deal_does_not_create_what_is_in_doubt(town: Town) -> None:
    """An edit arrives while the invoice is searched for: it is another piece of work with the same doubt."""
    deal = town.deal()
    town.fault(town.onec_app, "lost_answer", "POST", f"{INVOICES}$", times=1)
    events = [town.tell(deal, stage="Proposal")]
    town.work(0)
    town.fault(town.onec_app, "status", "GET", f"{INVOICES}$", times=6, **NOTHING_FOUND)
    events.append(town.tell(deal))
    events.append(town.press(deal))
    town.work()
    assert [town.event(one).state for one in events] == ["done"] * 3
    assert (len(town.invoices(deal)), posts(town, INVOICES)) == (1, 1)


def test_the_client_is_changed_while_the_invoice_is_in_doubt(town: Town) -> None:
    """The invoice that stands under the former client is the deal's invoice: it is rewritten, none is added."""
    deal = town.deal()
    town.fault(town.onec_app, "lost_answer", "POST", f"{INVOICES}$", times=1)
    event = town.tell(deal)
    town.work(0)
    other = town.crm.seed({"accounts": [{"name": "АО «Василёк»", "cInn": "7800000027", "cKpp": "780001001"}]})
    town.edit(deal, accountId=other["accounts"][0])
    town.work()
    assert town.event(event).state == "done"
    [client] = [one for one in town.held(COUNTERPARTIES) if one["ИНН"] == "7800000027"]
    assert town.invoice(deal)["Контрагент_Key"] == client["Ref_Key"]


def test_an_edit_between_the_lost_answer_and_the_find_is_not_lost(town: Town) -> None:
    """The found invoice says what the deal said before: it is brought up to what the deal says now."""
    deal = town.deal(amount=122)
    town.fault(town.onec_app, "lost_answer", "POST", f"{INVOICES}$", times=1)
    event = town.tell(deal)
    town.work(0)
    town.edit(deal, amount=244)
    town.work()
    assert town.event(event).state == "done"
    document = town.invoice(deal)
    assert (document["СуммаДокумента"], document["Товары"][0]["СуммаНДС"], document["Posted"]) == (244, 44, True)
    assert town.done(deal).outcome == "unchanged"


@pytest.mark.parametrize("name", CREATED)
def test_a_worker_that_dies_in_the_middle_of_a_create_leaves_a_doubt(town: Town, name: str) -> None:
    """1C went on writing after its caller was dead, and shows the object late: it is waited for, not written again."""
    town.live(NEW_ITEM | {"delivery": {"lease": 45}})  # the sweep comes before two leases have passed
    before = count_of(town, name)
    event = town.tell(town.deal())
    ended = steps.listen(_dies_before_answer(town, name))
    with pytest.raises(SystemExit):
        town.work()
    ended()
    town.fault(town.onec_app, "status", "GET", f"{name}$", times=1, **NOTHING_FOUND)
    town.work()
    assert (town.event(event).state, count_of(town, name), posts(town, name)) == ("done", before + 1, 1)


def _dies_before_answer(town: Town, name: str) -> Callable[[str], None]:
    """A listener that ends the worker as soon as the object's POST was answered."""

    def listener(boundary: str) -> None:
        if boundary.endswith(": answered") and posts(town, name) == 1:
            raise SystemExit(boundary)

    return listener
