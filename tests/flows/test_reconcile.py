"""The reconciliation: whatever nobody told is found, what may be repaired is, and a second look finds nothing more."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from integration import steps
from integration.flows.reconcile.run import TRIES, advance, begin
from integration.rules.findings import Finding, Run
from integration.store.links import as_link
from integration.store.schema import links as table
from integration.work import Link
from tests.flows.books import INVOICE, PAYMENT, Books
from tests.flows.neighbours import COUNTERPARTIES
from tests.flows.town import Town

LONG_AGO = "2026-10-01"  # beyond the daily window, within the nightly one


def compared(town: Town, *, over_limit: bool = False) -> tuple[Run, list[Finding]]:
    """A run from its beginning to its end, and everything that comes of it."""
    run, waits = begin(town.world.services, "test", over_limit=over_limit), False
    while not run.verdict:
        run, waits = advance(town.world.services, run, lambda *_: None)
        assert not waits
    town.work()
    with town.world.store.unit("look") as unit:
        return run, [one for _, _, one in unit.reconciling.findings(run.id)]


def told(found: list[Finding]) -> list[tuple[str, str, str, str]]:
    return [(one.kind, one.entity, one.field, one.action) for one in found]


@pytest.fixture
def books(town: Town) -> Books:
    return Books(town)


def test_where_nothing_happened_nothing_is_found(town: Town, books: Books) -> None:
    """A client, a deal, its invoice, an act, a payment: all sides agree, and the run says how much it looked at."""
    deal = books.deal(1000)
    books.act(1000, books.bill(deal))
    books.pay(600, books.bill(deal))
    books.pull()
    run, found = compared(town)
    assert (run.verdict, found) == ("ok", [])
    assert {part.name.partition(":")[0]: part.checked for part in run.parts} == {
        "documents": 3, "ledger": 1, "counterparties": 1, "clients": 1, "deals": 1, "invoices": 0, "bank": 0, "kpi": 3,
    }  # fmt: skip
    assert all(part.state == "done" for part in run.parts)


def healed(town: Town) -> None:
    """A second look finds nothing."""
    run, found = compared(town)
    assert (run.verdict, told(found)) == ("ok", [])


# -- the eight ways ---------------------------------------------------------------------------------------------------


def test_a_clients_field_changed_behind_our_back_is_set_right_by_its_owner(town: Town, books: Books) -> None:
    """The name is 1C's: what an import wrote over it in the CRM goes back; a phone is the CRM's."""
    books.deal(1000)
    [link] = links(town, "counterparty")
    silently(town, "Account", link.record_id, name="ООО «Подмена»")
    run, found = compared(town)
    assert told(found) == [("different", "client", "name", "repaired")]
    assert (found[0].said["crm"], found[0].said["onec"]) == ("ООО «Подмена»", "ООО «Ромашка»")
    assert run.verdict == "found"
    assert town.crm.state({"entity": "Account", "id": link.record_id})["name"] == "ООО «Ромашка»"
    healed(town)


def test_a_counterparty_changed_in_1c_comes_over(town: Town, books: Books) -> None:
    books.deal(1000)
    [link] = links(town, "counterparty")
    town.seed(COUNTERPARTIES, Ref_Key=link.ref_key, Description="ООО «Ромашка плюс»")
    _, found = compared(town)
    assert told(found) == [("different", "client", "name", "repaired")]
    assert town.crm.state({"entity": "Account", "id": link.record_id})["name"] == "ООО «Ромашка плюс»"
    healed(town)


@pytest.mark.parametrize("side", ["crm", "onec"])
def test_a_client_that_one_side_lost_waits_for_a_person(town: Town, books: Books, side: str) -> None:
    """Nothing is made anew, nothing is taken away."""
    books.deal(1000)
    [link] = links(town, "counterparty")
    if side == "crm":
        town.crm.act("ivanova", "DELETE", f"Account/{link.record_id}", None)
    else:
        town.seed(COUNTERPARTIES, Ref_Key=link.ref_key, DeletionMark=True)
    run, found = compared(town)
    assert ("missing", "client", "", "person") in told(found)
    assert found[0].said[side] == ""
    assert run.verdict == "found"


def test_a_deal_linked_to_another_client_silently_is_noticed(town: Town, books: Books) -> None:
    """From the client's side: no webhook, no modifiedAt, no version. The unpaid invoice is rewritten for him."""
    deal = books.deal(1000)
    other = town.deal(500, account={"name": "АО «Полесье»", "cInn": "7800000027", "cKpp": "780001001"})
    town.done(other)
    was, wanted = (town.shown(one)["accountId"] for one in (deal, other))
    town.crm.act("ivanova", "DELETE", f"Account/{was}/opportunities", {"id": deal})
    town.crm.act("ivanova", "POST", f"Account/{wanted}/opportunities", {"id": deal})
    _, found = compared(town)
    assert told(found) == [("different", "deal", "client", "repaired")]
    assert town.invoice(deal)["Контрагент_Key"] == town.invoice(other)["Контрагент_Key"]
    healed(town)


def test_a_lost_webhook_about_the_sum_is_caught(town: Town, books: Books) -> None:
    deal = books.deal(1000)
    silently(town, "Opportunity", deal, amount=1500)
    _, found = compared(town)
    assert told(found) == [("different", "deal", "amount", "repaired")]
    assert (found[0].said["crm"], found[0].said["onec"]) == ("1500.00", "1000.00")
    assert town.invoice(deal)["СуммаДокумента"] == 1500
    healed(town)


def test_a_paid_invoice_is_rewritten_by_nobody(town: Town, books: Books) -> None:
    """The same lost webhook, but money has come: a person decides, and reads of it in the deal, once."""
    deal = books.deal(1000)
    books.pay(400, books.bill(deal))
    books.pull()
    silently(town, "Opportunity", deal, amount=1500)
    for _ in range(2):
        _, found = compared(town)
        assert told(found) == [("different", "deal", "amount", "person")]
    assert town.invoice(deal)["СуммаДокумента"] == 1000
    assert sum("Сверка: сумма" in note for note in town.notes(deal)) == 1


def test_what_a_deal_shows_is_put_right(town: Town, books: Books) -> None:
    """Somebody wrote over what crm1c shows."""
    deal = books.deal(1000)
    books.pay(600, books.bill(deal))
    books.pull()
    silently(town, "Opportunity", deal, cPaymentStatus="closed", cPaidPercent=100)
    _, found = compared(town)
    assert sorted(told(found)) == [
        ("different", "deal", "paid_percent", "repaired"), ("different", "deal", "payment_status", "repaired"),
    ]  # fmt: skip
    assert books.shown(deal) == ("partially_paid", "60.0", "600.00")
    healed(town)


def test_a_document_edited_long_ago_is_read_again(town: Town, books: Books) -> None:
    """Unposted and changed beyond the daily window: told with both values, and the ledger follows."""
    deal = books.deal(1000)
    payment = books.pay(600, books.bill(deal), day=LONG_AGO)
    books.pull(nightly=True)
    books.edit(PAYMENT, payment, СуммаДокумента=500, РасшифровкаПлатежа=[
        {"LineNumber": 1, "СуммаПлатежа": 500, "СчетНаОплату_Key": books.bill(deal),
         "ДоговорКонтрагента_Key": books.head["ДоговорКонтрагента_Key"]},
    ])  # fmt: skip
    _, found = compared(town)
    assert {(one.kind, one.entity, one.action) for one in found} == {("different", "payment", "repaired")}
    [amount] = [one for one in found if one.field == "amount"]
    assert amount.said == {"ledger": "600", "onec": "500"}
    assert books.shown(deal) == ("partially_paid", "50.0", "500.00")
    healed(town)


@pytest.mark.parametrize("how", ["missing", "extra"])
def test_a_document_that_one_side_alone_has(town: Town, books: Books, how: str) -> None:
    deal = books.deal(1000)
    payment = books.pay(600, books.bill(deal), day=LONG_AGO) if how == "extra" else ""
    books.pull(nightly=True)
    if how == "extra":
        books.erase(PAYMENT, payment)
    else:
        books.pay(600, books.bill(deal), day=LONG_AGO)
    _, found = compared(town)
    assert told(found) == [(how, "payment", "", "repaired")]
    assert found[0].amount == 600
    assert books.shown(deal)[0] == ("issued" if how == "extra" else "partially_paid")
    healed(town)


def test_an_invoice_that_a_person_changed_in_1c_is_left_to_people(town: Town, books: Books) -> None:
    """The ledger takes the sum as it stands; whose is right is not for crm1c to say. One finding, not two."""
    deal = books.deal(1000)
    books.pull(nightly=True)
    books.edit(INVOICE, books.bill(deal), СуммаДокумента=900)
    _, found = compared(town)
    assert [one for one in told(found) if one[1] == "invoice"] == [("different", "invoice", "amount", "person")]
    assert town.invoice(deal)["СуммаДокумента"] == 900


def test_a_second_invoice_of_a_deal_is_told(town: Town, books: Books) -> None:
    """It bears our key, but no deal knows of it: which one is to stay, a person says."""
    deal = books.deal(1000)
    twin = {name: value for name, value in town.invoice(deal).items() if name not in ("Ref_Key", "Number")}
    town.seed(INVOICE, **twin, Number="0000-000099")
    books.pull()
    _, found = compared(town)
    assert told(found) == [("extra", "invoice", "", "person")]
    assert "0000-000099" in found[0].title


def test_an_invoice_marked_in_1c_is_told_as_missing(town: Town, books: Books) -> None:
    deal = books.deal(1000)
    books.edit(INVOICE, books.bill(deal), DeletionMark=True, Posted=False)
    _, found = compared(town)
    assert told(found) == [("missing", "invoice", "", "person")]
    assert len(town.invoices(deal)) == 1


def test_a_deal_deleted_with_its_invoice_left_is_told_until_both_are_gone(town: Town, books: Books) -> None:
    deal = books.deal(1000)
    invoice = books.bill(deal)
    town.crm.act("ivanova", "DELETE", f"Opportunity/{deal}", None)
    _, found = compared(town)
    assert told(found) == [("missing", "deal", "", "person")]
    books.edit(INVOICE, invoice, DeletionMark=True, Posted=False)
    books.pull()
    healed(town)


def test_a_deal_whose_webhook_was_lost_gets_its_invoice(town: Town, books: Books) -> None:
    deal = town.deal(700)
    _, found = compared(town)
    assert told(found) == [("missing", "invoice", "", "repaired")]
    assert town.invoice(deal)["Posted"] is True
    healed(town)


def test_a_client_imported_silently_is_linked(town: Town, books: Books) -> None:
    """No webhook comes of an import; 1C has its ИНН and КПП, nobody had linked it."""
    town.seed(COUNTERPARTIES, Description="АО «Полесье»", НаименованиеПолное="АО «Полесье»", ИНН="7800000027",
              КПП="780001001", ЮридическоеФизическоеЛицо="ЮридическоеЛицо")  # fmt: skip
    body = {"name": "АО «Полесье»", "cInn": "7800000027", "cKpp": "780001001"}
    town.crm.act("ivanova", "POST", "Account", body)
    _, found = compared(town)
    assert told(found) == [("extra", "client", "", "repaired")]
    assert links(town, "counterparty")
    healed(town)


# -- how it goes ------------------------------------------------------------------------------------------------------


def test_too_many_repairs_are_none(town: Town, books: Books) -> None:
    """Over the limit nothing is touched and somebody is called; who has looked lets it go on."""
    town.live({"reconcile": {"limit": 1}})
    deals = [books.deal(1000 + number) for number in range(2)]
    books.pull()
    for deal in deals:
        silently(town, "Opportunity", deal, cPaymentStatus="closed")
    run, found = compared(town)
    assert (run.verdict, {one.action for one in found}) == ("alarm", {"held"})
    assert {town.shown(deal)["cPaymentStatus"] for deal in deals} == {"closed"}
    assert "over-limit" in found[0].reason
    run, found = compared(town, over_limit=True)
    assert (run.verdict, {one.action for one in found}) == ("found", {"repaired"})
    assert {town.shown(deal)["cPaymentStatus"] for deal in deals} == {"issued"}


def test_a_repair_that_does_not_hold_is_given_to_a_person(town: Town, books: Books) -> None:
    """Somebody writes the same over it each day: the second night doesn't fight him."""
    deal, actions = books.deal(1000), []
    books.pull()
    for _ in range(2):
        silently(town, "Opportunity", deal, cPaymentStatus="closed")
        _, found = compared(town)
        actions += [one.action for one in found]
    assert actions == ["repaired", "person"]


def test_one_system_away_stops_no_other(town: Town, books: Books) -> None:
    """The CRM does not answer: 1C and the ledger are compared all the same, and the report says what was not."""
    deal = books.deal(1000)
    payment = books.pay(600, books.bill(deal), day=LONG_AGO)
    books.pull(nightly=True)
    books.erase(PAYMENT, payment)
    town.fault(town.crm_app, "status", "GET", status=500)
    run = begin(town.world.services, "test")
    for _ in range(TRIES):
        run, _waits = advance(town.world.services, run, lambda *_: None)
    with town.world.store.unit("look") as unit:
        found = [one for _, _, one in unit.reconciling.findings(run.id)]
    assert run.verdict == "alarm"
    assert {part.name for part in run.parts if part.state == "failed"} == {"clients:espo", "deals:espo"}
    assert all(part.reason for part in run.parts if part.state == "failed")
    assert told(found) == [("extra", "payment", "", "repaired")]


def test_a_turn_that_ends_goes_on_where_it_was(town: Town, books: Books) -> None:
    """A clock that runs: each turn does a step, no step is done twice, the findings are those of one long turn."""
    deal = books.deal(1000)
    books.pull()
    silently(town, "Opportunity", deal, amount=1500, cPaymentStatus="closed")
    run, turns = begin(town.world.services, "test"), 0
    while not run.verdict:
        before = len(town.asked(town.crm_app, "GET", "Account"))
        run, waits = advance(town.world.services, run, lambda *_: town.pass_time(1), seconds=0.5)
        assert not waits
        turns += 1
        assert len(town.asked(town.crm_app, "GET", "Account")) - before <= 1
        assert turns < 100
    assert turns > 5
    with town.world.store.unit("look") as unit:
        found = [one for _, _, one in unit.reconciling.findings(run.id)]
    assert sorted(told(found)) == [
        ("different", "deal", "amount", "repaired"), ("different", "deal", "payment_status", "repaired"),
    ]  # fmt: skip


class Death(BaseException):
    """The worker is gone in the middle of it."""


def test_a_worker_that_dies_again_and_again_finds_the_same(town: Town, books: Books) -> None:
    """Before or after the commit of one step, of two more, of three more …: whoever comes next goes on; nothing is
    found twice, and nothing is lost."""
    deal = books.deal(1000)
    books.pay(600, books.bill(deal))
    books.pull()
    silently(town, "Opportunity", deal, cPaidPercent=7)
    town.deal(700)
    boundaries, deaths = count(1), 0
    fatal = {number * (number + 1) // 2 for number in range(100)}

    def die(boundary: str) -> None:
        if boundary.startswith("reconcile: ") and next(boundaries) in fatal:
            raise Death

    run = begin(town.world.services, "test")
    while not run.verdict:
        end = steps.listen(die)
        try:
            run, _waits = advance(town.world.services, run, lambda *_: None)
        except Death:
            deaths += 1
        finally:
            end()
        with town.world.store.unit("look") as unit:
            run = unit.reconciling.run(run.id) or run
    assert deaths > 5
    with town.world.store.unit("look") as unit:
        found = [one for _, _, one in unit.reconciling.findings(run.id)]
    assert sorted(told(found)) == [
        ("different", "deal", "paid_percent", "repaired"), ("missing", "invoice", "", "repaired"),
    ]  # fmt: skip


def test_who_comes_second_goes_on_with_the_first(town: Town) -> None:
    """The slot and a person at once: one run. A run that never ended is closed after a day, and told as such."""
    first = begin(town.world.services, "schedule")
    assert begin(town.world.services, "hand").id == first.id
    town.pass_time(86_400)
    second = begin(town.world.services, "schedule")
    assert second.id != first.id
    with town.world.store.unit("look") as unit:
        old = unit.reconciling.run(first.id)
    assert old is not None
    assert old.verdict == "alarm"
    assert "сутки" in old.parts[0].reason


def silently(town: Town, entity: str, record_id: str, **values: Any) -> None:
    """Written past every hook: no webhook, no version, no modifiedAt."""
    record = town.crm.store.get(entity, record_id)
    assert record is not None
    record.update(values)


def links(town: Town, kind: str) -> list[Link]:
    with town.world.store.reading() as conn:
        return [as_link(row) for row in conn.execute(table.select().where(table.c.kind == kind))]
