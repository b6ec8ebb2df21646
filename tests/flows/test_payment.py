"""Money in 1C becomes the deal's status, the ledger's entries and events: the stories of the domain, and reversals."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from integration.flows.changes import pull_counterparties
from integration.flows.payment import settle_accounts
from integration.flows.pull import pull_money
from integration.rules.accounting import computed
from integration.rules.positions import Pin, summed
from integration.work import Arrival, new_id
from tests.flows.books import ACT, PAYMENT, RATES, REFUND, Books
from tests.flows.town import START, Town

MILLION = 1_000_000


@pytest.fixture
def books(town: Town) -> Books:
    return Books(town)


def later(books: Books, **delta: float) -> None:
    books.town.pass_time(timedelta(**delta).total_seconds())


def test_ten_millions_with_a_retention(books: Books) -> None:
    """60 % today, 95 % tomorrow with the retention pending, closed three months later: the field's own story."""
    retained = {"cRetentionAmount": 500_000, "cRetentionAmountCurrency": "RUB", "cRetentionDate": "2027-02-24"}
    deal = books.deal(10 * MILLION, **retained)
    bill = books.bill(deal)
    books.act(10 * MILLION, bill)
    books.pull()
    assert books.shown(deal) == ("signed", "0.0", "0.00")
    books.pay(6 * MILLION, bill)
    books.pull()
    assert books.shown(deal) == ("partially_paid", "60.0", "6000000.00")
    later(books, days=1)
    books.pay(3_500_000, bill, "2026-11-25")
    books.pull()
    assert books.shown(deal) == ("retention_pending", "95.0", "9500000.00")
    later(books, days=91)
    books.pay(500_000, bill, "2027-02-24")
    books.pull()
    assert books.shown(deal) == ("closed", "100.0", "10000000.00")
    notes = [note for note in books.town.notes(deal) if note.startswith("Оплата")]
    assert [note.partition(" — ")[0] for note in notes] == [
        "Оплата: акт подписан, 0,0\u00a0%",
        "Оплата: частично оплачен, 60,0\u00a0%",
        "Оплата: оплачен, кроме гарантийного удержания, 95,0\u00a0%",
        "Оплата: полностью закрыт, 100,0\u00a0%",
    ]
    told = books.events()
    assert told.count(("obligation.closed", "closed")) == 1
    assert [kind for kind, _ in told].count("payment.received") == 3


def test_one_advance_over_three_acts(books: Books) -> None:
    """It is spent by itself as acts appear: closed, closed, half paid, nothing left."""
    deal = books.deal(122)
    books.pay(MILLION, purpose="Аванс по договору")
    acts = []
    for amount in (400_000, 350_000, 500_000):
        later(books, hours=1)
        acts.append(books.act(amount))
        books.pull()
    paid = {act: sum(one.amount for one in books.positions() if one.obligation == act) for act in acts}
    assert list(paid.values()) == [400_000, 350_000, 250_000]
    assert books.shown(deal) == ("issued", "0.0", "0.00")
    [account] = books.accounts()
    with books.town.world.store.unit("look") as unit:
        held = unit.ledger.held(account)
    now = computed(account, held, books.town.world.settings.allocation, date(2026, 11, 24))
    assert now.moved == ()
    assert now.allocated.advance == 0
    assert [now.statuses[act].code for act in acts] == ["closed", "closed", "partially_paid"]
    assert now.statuses[acts[2]].percent == 50


def test_unposted_marked_and_erased_payments_are_taken_back(books: Books) -> None:
    """Each is a reversal in the ledger, and the deal and its stream say so."""
    deal = books.deal(300)
    bill = books.bill(deal)
    first, second, third = (books.pay(100, bill) for _ in range(3))
    books.pull()
    assert books.shown(deal) == ("paid", "100.0", "300.00")
    books.edit(PAYMENT, first, Posted=False)
    books.pull()
    assert books.shown(deal) == ("partially_paid", "66.6", "200.00")
    books.edit(PAYMENT, second, DeletionMark=True, Posted=False)
    books.pull()
    assert books.shown(deal) == ("partially_paid", "33.3", "100.00")
    books.erase(PAYMENT, third)
    books.pull()
    assert books.shown(deal) == ("issued", "0.0", "0.00")
    assert books.positions() == []
    assert "Было 33,3\u00a0%" in books.town.notes(deal)[-1]
    books.edit(PAYMENT, first, Posted=True)
    books.pull()
    assert books.shown(deal) == ("partially_paid", "33.3", "100.00")
    kinds = [kind for kind, _ in books.events()]
    assert (kinds.count("payment.received"), kinds.count("payment.reversed")) == (4, 3)


def test_an_edited_sum_moves_by_its_difference(books: Books) -> None:
    """The entries say what changed; they add up to what stands."""
    deal = books.deal(1000)
    bill = books.bill(deal)
    payment = books.pay(400, bill)
    books.pull()
    row = {"LineNumber": 1, "СуммаПлатежа": 250, "СчетНаОплату_Key": bill}
    books.edit(PAYMENT, payment, СуммаДокумента=250, РасшифровкаПлатежа=[row])
    books.pull()
    assert books.shown(deal) == ("partially_paid", "25.0", "250.00")
    [account] = books.accounts()
    with books.town.world.store.unit("look") as unit:
        entries = [entry for entry, _, _ in unit.ledger.entries(account)]
    assert [(one.kind, one.position.amount) for one in entries] == [("allocation", 400), ("reversal", -150)]
    assert summed(entries) == unit_positions(books)


def test_nothing_new_is_nothing_done(books: Books) -> None:
    """A second look reads versions alone, and writes nothing anywhere."""
    deal = books.deal(1000)
    books.pay(400, books.bill(deal))
    assert books.pull() > 0
    version, events = books.town.shown(deal)["versionNumber"], books.events()
    books.town.onec_app.log.clear()
    assert books.pull() == 0
    assert books.pull(nightly=True) == 0
    assert (books.town.shown(deal)["versionNumber"], books.events()) == (version, events)
    asked = [one["query"] for one in books.town.asked(books.town.onec_app, "GET", "Document_")]
    assert asked
    assert all("select" in str(query) for query in asked)


def test_every_change_of_money_is_a_cloud_event_once(books: Books) -> None:
    """Received, changed, reversed; owed, closed, cancelled; given back: each with an id of its own and its sums."""
    deal = books.deal(1000)
    bill = books.bill(deal)
    payment, act = books.pay(400, bill), books.act(1000, bill)
    books.pull()
    row = {"LineNumber": 1, "СуммаПлатежа": 1000, "СчетНаОплату_Key": bill}
    books.edit(PAYMENT, payment, СуммаДокумента=1000, РасшифровкаПлатежа=[row])
    books.pull()
    books.refund(100)
    books.pull()
    books.edit(PAYMENT, payment, Posted=False)
    books.edit(ACT, act, DeletionMark=True, Posted=False)
    books.pull()
    told = of_money(books)
    assert {one["type"] for one in told} == {
        "payment.received", "payment.changed", "payment.reversed", "refund.made",
        "obligation.changed", "obligation.closed", "obligation.cancelled",
    }  # fmt: skip
    names = {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"}
    assert all(set(one) == names and one["specversion"] == "1.0" for one in told)
    assert len({one["id"] for one in told}) == len(told)
    [closed] = [one["data"] for one in told if one["type"] == "obligation.closed"]
    assert (closed["ref_key"], closed["amount"], closed["paid"], closed["percent"], closed["overdue"]) == (
        act, "1000.00", "1000.00", "100.0", False,
    )  # fmt: skip
    books.pull()
    books.pull(nightly=True)
    assert of_money(books) == told


def test_documents_dated_back_are_seen_now_or_at_night(books: Books) -> None:
    """Five days back: at the next look; two months back: at night."""
    deal = books.deal(1000)
    bill = books.bill(deal)
    books.pay(100, bill)
    books.pull()
    books.pay(200, bill, "2026-11-19")
    books.pull()
    assert books.shown(deal)[1] == "30.0"
    books.pay(300, bill, "2026-09-24")
    books.pull()
    assert books.shown(deal)[1] == "30.0"
    books.pull(nightly=True)
    assert books.shown(deal)[1] == "60.0"


def test_a_payment_edited_late_is_seen_at_night(books: Books) -> None:
    """However old its date is within the nightly window."""
    deal = books.deal(1000)
    payment = books.pay(400, books.bill(deal))
    books.pull()
    later(books, days=60)
    books.pay(1, day="2027-01-23")
    books.pull()
    books.edit(PAYMENT, payment, Posted=False)
    books.pull()
    assert books.shown(deal)[1] == "40.1"  # the rouble of January goes to the oldest that is open
    books.pull(nightly=True)
    assert books.shown(deal)[1] == "0.1"


def test_a_date_mistyped_into_the_future_does_not_move_the_window(books: Books) -> None:
    """What is dated today is still seen."""
    deal = books.deal(1000)
    bill = books.bill(deal)
    books.pay(100, bill, "2062-11-24")
    books.pull()
    books.pay(200, bill)
    books.pull()
    assert books.shown(deal)[1] == "30.0"


def test_a_refund_takes_the_advance_first(books: Books) -> None:
    """Then the latest allocation."""
    deal = books.deal(1000)
    books.pay(1200, books.bill(deal))
    books.pull()
    assert books.shown(deal) == ("paid", "100.0", "1000.00")
    refund = books.refund(200)
    books.pull()
    assert books.shown(deal) == ("paid", "100.0", "1000.00")
    books.refund(300)
    books.pull()
    assert books.shown(deal) == ("partially_paid", "70.0", "700.00")
    assert [one for one in books.events() if one[0].startswith("refund")] == [
        ("refund.made", "200"), ("refund.made", "300"),
    ]  # fmt: skip
    books.edit(REFUND, refund, Posted=False)
    books.pull()
    assert books.events().count(("refund.reversed", "200")) == 1
    assert books.shown(deal) == ("partially_paid", "90.0", "900.00")


def test_a_payment_in_another_currency(books: Books) -> None:
    """By the rate of its day, both sums and the rate kept; a missing rate stops it visibly until it comes."""
    deal = books.deal(100_000)
    bill, yuan = books.bill(deal), books.town.onec.seed({"Catalog_Валюты": [{"Code": "949", "Description": "TRY"}]})
    key = yuan["Catalog_Валюты"][0]
    books.pay(1000, bill, ВалютаДокумента_Key=key)
    books.pull()
    assert books.shown(deal) == ("issued", "0.0", "0.00")
    [(kind, reason)] = books.questions()
    assert kind == "stopped"
    assert "нет курса TRY на 24.11.2026" in reason
    row = {"Валюта_Key": key, "Period": "2026-11-20T00:00:00", "Курс": Decimal("24.5"), "Кратность": 10}
    books.town.onec.seed({RATES: [row]})
    books.pull()
    assert books.questions() == []
    assert books.shown(deal) == ("partially_paid", "2.4", "2450.00")
    [position] = books.positions()
    assert (position.amount, position.paid, position.paid_currency, position.rate) == (
        Decimal(2450), Decimal(1000), "TRY", Decimal("2.45"),
    )  # fmt: skip


def test_the_sum_that_1c_settled_counts(books: Books) -> None:
    """СуммаВзаиморасчетов of the row beats any rate."""
    deal = books.deal(100_000)
    books.pay(1000, books.bill(deal), settled=77_000, ВалютаДокумента_Key=books.town.onec.seed(
        {"Catalog_Валюты": [{"Code": "949", "Description": "TRY"}]})["Catalog_Валюты"][0])  # fmt: skip
    books.pull()
    assert books.shown(deal) == ("partially_paid", "77.0", "77000.00")


def test_what_is_older_than_the_start_is_told_to_nobody(town: Town, tmp_path: Path) -> None:
    """Balances are right, the fields too; no note, no event."""
    town.reset(tmp_path, {"onec": {"main": {"since": "2026-11-20"}}})
    books = Books(town)
    deal = books.deal(1000)
    books.pay(400, books.bill(deal), "2026-11-10")
    books.pull()
    assert books.shown(deal) == ("partially_paid", "40.0", "400.00")
    assert not [note for note in town.notes(deal) if note.startswith("Оплата")]
    assert not [one for one in books.events() if one[0].startswith("payment")]
    books.pay(100, books.bill(deal))
    books.pull()
    assert [one for one in books.events() if one[0].startswith("payment")] == [("payment.received", "100")]


def test_a_text_that_can_not_be_resolved_waits_for_a_person(books: Books) -> None:
    """The pin is his answer, survives the next computing, and goes when it is taken off."""
    deal = books.deal(1000)
    payment = books.pay(400, purpose="Оплата по счету № 987654 от 01.11.2026")
    books.pull()
    [(kind, _)] = books.questions()
    assert (kind, books.shown(deal)[1]) == ("proposal", "0.0")
    decide(books, payment, books.bill(deal))
    assert books.shown(deal)[1] == "40.0"
    assert books.questions() == []
    assert [one.explanation.rule for one in books.positions()] == ["pinned"]
    with books.town.world.store.unit("unpin") as unit:
        unit.ledger.unpin("main", payment)
    settle(books)
    assert books.shown(deal)[1] == "0.0"


def test_the_robot_leaves_a_persons_match_alone(books: Books) -> None:
    """10 000 with 8 000 matched by hand; 1 500 that name the invoice fill the rest alone."""
    deal = books.deal(10_000)
    bill = books.bill(deal)
    payment = books.pay(9_000, purpose="По договору")
    books.pull()
    with books.town.world.store.unit("pin") as unit:
        unit.ledger.pin("main", Pin(payment, bill, Decimal(8_000), "ivanova"), new_id())
    other = books.act(1_000)
    books.pay(1_500, purpose=f"Оплата по счету {books.town.invoice(deal)['Number']}")
    books.pull()
    pinned = [one.amount for one in books.positions() if one.explanation.rule == "pinned"]
    assert pinned == [8_000]
    assert sum(one.amount for one in books.positions() if one.obligation == bill) == 9_500
    assert sum(one.amount for one in books.positions() if one.obligation == other) == 1_000


def test_1c_calls_and_is_looked_at_at_once(books: Books) -> None:
    """Its notice about a payment is one look, however many it sends."""
    deal = books.deal(1000)
    books.pay(400, books.bill(deal))
    arrivals = [Arrival("onec", PAYMENT, "write", f"{n}", b"{}", f"{n}", webhook_id="main") for n in range(5)]
    books.town.world.store.receive(arrivals, b"[]", {}, new_id())
    books.town.work()
    assert books.shown(deal)[1] == "40.0"


def test_an_exchange_plan_tells_of_money_however_old(town: Town, tmp_path: Path) -> None:
    """A document far outside every window is read by its key, of our organisation alone; one erased is taken back."""
    town.reset(tmp_path, {"onec": {"main": {"exchange_plan": "Обмен", "pull_days": 1, "compare_days": 30}}})
    books = Books(town)
    deal = books.deal(1000)
    old = books.pay(400, books.bill(deal), "2026-02-24")
    books.pay(300, books.bill(deal), "2026-02-24", Организация_Key=books.head["Контрагент_Key"])
    books.pull(nightly=True)
    assert books.shown(deal)[1] == "0.0"
    told(books)
    assert books.shown(deal)[1] == "40.0"
    row = {"LineNumber": 1, "СуммаПлатежа": 250, "СчетНаОплату_Key": books.bill(deal)}
    books.edit(PAYMENT, old, СуммаДокумента=250, РасшифровкаПлатежа=[row])
    told(books)
    assert books.shown(deal)[1] == "25.0"
    books.erase(PAYMENT, old)
    told(books)
    assert books.shown(deal)[1] == "0.0"
    assert set(town.onec.stats()["changes_waiting"].values()) <= {0}


def test_a_retention_that_the_deal_names_later(books: Books) -> None:
    """The deal's own fields are read with the deal, and its account is computed anew."""
    deal = books.deal(1000)
    bill = books.bill(deal)
    books.act(1000, bill)
    books.pay(900, bill)
    books.pull()
    assert books.shown(deal)[0] == "partially_paid"
    books.town.edit(deal, cRetentionAmount=100, cRetentionAmountCurrency="RUB", cRetentionDate="2027-01-01")
    books.town.done(deal)
    assert books.shown(deal) == ("retention_pending", "90.0", "900.00")


def test_a_signature_in_the_register(town: Town, tmp_path: Path) -> None:
    """It moves no version of the act, and is seen all the same; taken back, too."""
    town.reset(tmp_path, {"onec": {"main": {"signed": "register:СтатусыДокументов"}}})
    books = Books(town)
    deal = books.deal(1000)
    bill = books.bill(deal)
    act = books.act(1000, bill)
    books.pay(1000, bill)
    books.pull()
    assert books.shown(deal)[0] == "paid"
    row = {"Документ": act, "Документ_Type": f"StandardODATA.{ACT}", "Статус": "Подписан"}
    town.onec.seed({"InformationRegister_СтатусыДокументов": [row]})
    books.pull()
    assert books.shown(deal)[0] == "closed"


def test_other_organisations_money_is_not_ours(books: Books) -> None:
    """A base may keep several companies; each is a table of its own."""
    deal = books.deal(1000)
    books.pay(400, books.bill(deal), Организация_Key=books.head["Контрагент_Key"])
    assert books.pull() == 2  # the invoice and its contract
    assert books.shown(deal)[1] == "0.0"


def test_closed_months_keep_what_they_have(town: Town, tmp_path: Path) -> None:
    """[allocation] closed_until: what was allocated there stays, whatever would fit better today."""
    town.reset(tmp_path)
    books = Books(town)
    books.deal(122)
    first = books.act(500, day="2026-10-20")
    books.pay(500, day="2026-10-25")
    books.pull()
    town.live({"allocation": {"closed_until": "2026-10-31"}})
    books.act(500, day="2026-10-10")
    books.pull(nightly=True)
    assert [one.obligation for one in books.positions()] == [first]


def test_a_crash_between_facts_and_computing_loses_nothing(books: Books) -> None:
    """The account stays marked; whoever comes next computes it."""
    deal = books.deal(1000)
    books.pay(400, books.bill(deal))
    pull_money(books.town.world.services, "main")
    assert books.positions() == []
    assert books.pull() == 0
    assert books.shown(deal)[1] == "40.0"


def test_one_account_that_fails_stops_no_other(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays marked and is computed when it can be."""
    deal = books.deal(1000)
    books.pay(400, books.bill(deal))
    books.pay(5, ДоговорКонтрагента_Key=books.bill(deal), РасшифровкаПлатежа=[])
    pull_money(books.town.world.services, "main")
    sound = computed

    def failing(account: Any, *rest: Any) -> Any:
        if account.contract == books.head["ДоговорКонтрагента_Key"]:
            raise LookupError
        return sound(account, *rest)

    with monkeypatch.context() as broken:
        broken.setattr("integration.flows.payment.computed", failing)
        assert settle_accounts(books.town.world.services, "main", "test") == 1
    settle(books)
    assert books.shown(deal)[1] == "40.0"


def test_the_start_of_the_town_is_the_day_of_these_stories() -> None:
    """Documents are dated by hand here: this is the day that they mean."""
    assert START.astimezone(UTC) == datetime(2026, 11, 24, 12, tzinfo=UTC)


def of_money(books: Books) -> list[dict[str, Any]]:
    kinds = ("payment", "refund", "obligation")
    return [one for one in books.cloud_events() if one["type"].partition(".")[0] in kinds]


def told(books: Books) -> None:
    """The periodic reading of the exchange plan, and everything that comes of it."""
    pull_counterparties(books.town.world.services, "main")
    books.town.work()


def decide(books: Books, payment: str, obligation: str) -> None:
    with books.town.world.store.unit("pin") as unit:
        assert unit.ledger.pin("main", Pin(payment, obligation, None, "ivanova"), new_id())
    settle(books)


def settle(books: Books) -> None:
    settle_accounts(books.town.world.services, "main", "test")
    books.town.work()


def unit_positions(books: Books) -> tuple[Any, ...]:
    return tuple(books.positions())
