"""The manager's side: what the deal shows, what the CRM can't take, and a CRM that shuts its door."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from integration import steps
from integration.http.app import create_app
from integration.http.parts import Parts
from integration.store import keys
from sandbox.serve import serving
from tests.flows.neighbours import INVOICES
from tests.flows.town import Town, oldest_first

STATUSES = ("cInvoiceNumber", "cInvoiceDate", "cInvoiceUrl", "cPaymentStatus", "c1cRefKey", "cSyncStatus")


@contextmanager
def at(boundary: str, act: Callable[[], object]) -> Iterator[None]:
    """Do something whenever the work passes a boundary."""

    def passed(name: str) -> None:
        if name == boundary:
            act()

    end = steps.listen(passed)
    try:
        yield
    finally:
        end()


def writes(town: Town) -> list[str]:
    """What was written to either system."""
    both = [*town.asked(town.onec_app), *town.asked(town.crm_app)]
    return [f"{one['method']} {one['path']}" for one in both if one["method"] != "GET"]


def shown_duty(town: Town, event: str) -> Any:
    [duty] = [one for one in town.whole(event).duties if one.kind == "show_deal"]
    return duty


def test_the_deal_shows_its_invoice(town: Town) -> None:
    deal = town.deal(amount=1_234_567.5)
    event = town.done(deal)
    document, shown = town.invoice(deal), town.shown(deal)
    number, ref = document["Number"], document["Ref_Key"]
    first, second, third, fourth, fifth = ref.split("-")
    url = f"{town.onec_url}/bp/#e1cib/data/Документ.СчетНаОплатуПокупателю?ref={fourth}{fifth}{third}{second}{first}"
    named = f"Счёт № {number} от 24.11.2026"
    assert [shown[name] for name in STATUSES] == [number, "2026-11-24", url, "issued", ref, f"{named} выставлен"]
    assert town.notes(deal) == [f"{named} на 1\u00a0234\u00a0567,50 RUB создан и проведён в 1С. {url}"]
    assert shown_duty(town, event.id).outcome_text == f"{named} показан в CRM"


# -- what the CRM can't take -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["cInvoiceUrl", "cPaymentStatus", "cInvoiceDate", "cSyncStatus"])
def test_a_field_that_the_crm_lacks_is_skipped_and_told(town: Town, field: str) -> None:
    town.crm.meta.drop_field("Opportunity", field)
    deal = town.deal()
    event = town.done(deal)
    assert event.state == "done"
    assert "(без полей: " in shown_duty(town, event.id).outcome_text
    assert town.shown(deal)["cInvoiceNumber"] == town.invoice(deal)["Number"]
    assert len(town.notes(deal)) == 1


def test_a_field_named_by_the_administrator_that_the_crm_lacks(town: Town) -> None:
    """He meant it: misconfigured, by its name; but number and note are written first, and only once."""
    town.live({"crm": {"espo": {"fields": {"invoice_url": "cLinkTo1c"}}}})
    deal = town.deal()
    event = town.done(deal)
    assert (event.state, event.kind) == ("parked", "misconfigured")
    assert "cLinkTo1c (invoice_url)" in (event.error or "")
    assert "crm1c setup espo" in (event.error or "")
    assert town.shown(deal)["cInvoiceNumber"] == town.invoice(deal)["Number"]
    town.crm.meta.add_field("Opportunity", "linkTo1c", {"type": "url", "maxLength": 255})
    assert town.replay(event.id).state == "done"
    assert town.shown(deal)["cLinkTo1c"].startswith(town.onec_url)
    assert len(town.notes(deal)) == 1


@pytest.mark.parametrize("name", ["cPaymentStatus", "cInvoiceUrl"])
def test_a_value_that_the_crm_refuses_blocks_nothing_else(town: Town, name: str) -> None:
    """A status that the enum doesn't know, a link too long for its field: dropped and told; the number stands."""
    town.crm.meta.change_field("Opportunity", name, {"options": ["", "другое"], "maxLength": 10})
    deal = town.deal()
    event = town.done(deal)
    assert event.state == "done"
    assert name in shown_duty(town, event.id).outcome_text
    shown = town.shown(deal)
    assert (shown["cInvoiceNumber"], shown.get(name) or "") == (town.invoice(deal)["Number"], "")


def test_a_long_reason_is_cut_in_the_field_and_whole_in_the_stream(town: Town) -> None:
    words = "Не заполнено обязательное поле. " * 9
    body = f'{{"odata.error": {{"code": "-1", "message": {{"value": "{words}"}}}}}}'
    town.fault(town.onec_app, "status", "POST", "/Post$", status=500, body=body, content_type="application/json")
    deal = town.deal()
    town.done(deal)
    [note] = town.notes(deal)
    status = town.shown(deal)["cSyncStatus"]
    assert len(note) > 255 >= len(status)
    assert status.endswith("…")
    assert note.startswith(status[:-1].rstrip())


def test_a_reason_reaches_the_stream_though_the_field_is_missing(town: Town) -> None:
    town.crm.meta.drop_field("Opportunity", "cSyncStatus")
    deal = town.deal(account=None)
    town.done(deal)
    assert town.notes(deal) == ["Счёт не создан: в сделке не указан клиент. Выберите его и сохраните сделку."]


# -- others write too --------------------------------------------------------------------------------------------------


def test_a_person_saves_between_our_read_and_our_write(town: Town) -> None:
    """409 modified: read again and written over nothing of his."""
    deal = town.deal()
    edits = iter(["раз", "два"])

    def edit() -> None:
        if (text := next(edits, None)) is not None:
            town.edit(deal, description=text)

    with at("показ в CRM: before", edit):
        event = town.done(deal)
    assert event.state == "done"
    assert 409 in {one["status"] for one in town.asked(town.crm_app, "PUT")}
    shown = town.shown(deal)
    assert (shown["description"], shown["cInvoiceNumber"]) == ("два", town.invoice(deal)["Number"])


def test_somebody_saves_all_the_time(town: Town) -> None:
    """It is no conflict that anybody could solve: we wait, and show the number when it gets quiet."""
    deal = town.deal()
    edits = iter(range(9))

    def edit() -> None:
        if (number := next(edits, None)) is not None:
            town.edit(deal, description=str(number))

    with at("показ в CRM: before", edit):
        event = town.done(deal)
    assert event.state == "done"
    assert town.shown(deal)["cInvoiceNumber"] == town.invoice(deal)["Number"]


@contextmanager
def webhooks(town: Town, *, own: bool) -> Iterator[Callable[[], int]]:
    """The CRM's webhooks lead to a real intake; `own`: our own changes come back too, as before EspoCRM 9.2. The call
    lets the CRM send what waits, and has the work done; it says how many notices came."""
    world = town.world
    app = create_app(Parts(world.settings, world.store, world.dialects, {}, town.now))
    with serving(app) as url:
        crm = world.services.crms["espo"]
        made = crm.ask(crm.say.setup(f"{url}/webhooks/espo"))
        with world.store.unit("keep webhooks") as unit:
            keys.keep_webhooks(unit.conn, "espo", made.webhooks, unit.now)
        for hook in town.crm.store.rows("Webhook"):
            hook["skipOwn"] = not own

        def run() -> int:
            sent = town.crm.run_webhooks()
            assert all(one["code"] == 202 for one in sent), sent
            town.work()
            return sum(one["count"] for one in sent)

        yield run


def test_our_own_echo_ends_without_a_write(town: Town) -> None:
    with webhooks(town, own=True) as run:
        deal = town.deal()
        assert run() == 2  # the client's card and the deal
        assert town.shown(deal)["cInvoiceNumber"]
        town.onec_app.log.clear()
        town.crm_app.log.clear()
        assert run() >= 1
        assert writes(town) == []
        assert run() == 0


def test_own_changes_do_not_even_come_back(town: Town) -> None:
    with webhooks(town, own=False) as run:
        deal = town.deal()
        run()
        assert town.shown(deal)["cInvoiceNumber"]
        assert run() == 0


def test_an_edit_storm_ends(town: Town) -> None:
    """Thirty edits of sums while notices and echoes go round: one invoice with the last sum, then silence."""
    with webhooks(town, own=True) as run:
        deal = town.deal(amount=100)
        for number in range(1, 31):
            town.edit(deal, amount=100 + number)
            if number % 7 == 0:
                run()
        rounds = 0
        while run():
            rounds += 1
            assert rounds < 6
    document = town.invoice(deal)
    assert (document["СуммаДокумента"], document["Posted"]) == (130, True)
    assert town.shown(deal)["cSyncStatus"].endswith("выставлен")
    assert sum(one["path"].endswith(INVOICES) for one in town.asked(town.onec_app, "POST")) == 1


# -- once --------------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The worker dies here."""


@pytest.mark.parametrize("where", ["показ в CRM: answered", "запись в ленту сделки: answered", "settle: before commit"])
def test_a_worker_that_dies_while_showing_leaves_one_note(town: Town, where: str) -> None:
    deal = town.deal()
    lives = iter([Killed(), Killed()])

    def die() -> None:
        if town.invoices(deal) and (blow := next(lives, None)) is not None:
            raise blow

    event = town.tell(deal)
    with at(where, die):
        for _ in range(3):
            try:
                town.work()
            except Killed:
                continue
    assert town.event(event).state == "done"
    assert (len(town.notes(deal)), len(town.invoices(deal))) == (1, 1)
    assert town.invoice(deal)["Posted"] is True


@pytest.mark.parametrize("kind", ["lost_answer", "lost_request", "status", "html"])
@pytest.mark.parametrize(("method", "path"), [("PUT", "Opportunity"), ("POST", "Note"), ("GET", "stream")])
def test_an_ill_crm_is_shown_the_number_once(town: Town, kind: str, method: str, path: str) -> None:
    town.fault(town.crm_app, kind, method, path, times=2)
    deal = town.deal()
    assert town.done(deal).state == "done"
    assert (len(town.notes(deal)), town.shown(deal)["cInvoiceNumber"]) == (1, town.invoice(deal)["Number"])


# -- the key is refused ------------------------------------------------------------------------------------------------


def key_of_the_crm(town: Town, key: str) -> str:
    """Change the API user's key in the CRM; the former one."""
    [user] = [one for one in town.crm.store.rows("User") if one.get("userName") == "onec_integration"]
    former, user["apiKey"] = user["apiKey"], key
    return str(former)


def refused(town: Town) -> int:
    return sum(one["status"] in (401, 403) for one in town.asked(town.crm_app))


def test_a_refused_key_holds_the_queue_without_hammering(town: Town) -> None:
    """Twenty deals wait on one refused key: a probe now and then, no lockout of our address, no attempt spent, nobody
    parked; when the key is right again everything goes on by itself, oldest first."""
    deals = [town.deal(name=f"Сделка {number}") for number in range(20)]
    key = key_of_the_crm(town, "replaced")
    events = [town.tell(deal) for deal in deals]
    town.work(3600)
    assert refused(town) < 12
    assert town.crm.stats()["lockedOut"] == []
    found = [town.event(one) for one in events]
    assert {(one.state, one.attempts) for one in found} == {("due", 0)}
    assert "ключ API не принят" in (found[0].error or "")
    key_of_the_crm(town, key)
    town.work()
    assert {town.event(one).state for one in events} == {"done"}
    assert oldest_first(town, deals, events)


def test_a_refused_key_holds_only_its_own_system(town: Town) -> None:
    """The invoice stands in 1C by then; what the CRM is owed waits, and 1C's queue does not."""
    deal = town.deal()
    key = ""

    def refuse() -> None:
        nonlocal key
        key = key or key_of_the_crm(town, "replaced")

    event = town.tell(deal)
    with at("проведение счёта: answered", refuse):
        town.work(600)
    assert town.invoice(deal)["Posted"] is True
    assert (town.event(event).state, town.world.circuits.standing("onec:main")) == ("due", None)
    standing = town.world.circuits.standing("crm:espo")
    assert standing is not None
    assert standing.held
    key_of_the_crm(town, key)
    town.work()
    assert town.event(event).state == "done"
    assert town.shown(deal)["cInvoiceNumber"] == town.invoice(deal)["Number"]
