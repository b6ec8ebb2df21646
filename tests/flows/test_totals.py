"""A contract's money on the CRM's client, and what the clock alone changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from integration.errors import Transient
from integration.flows.changes import poll_accounts
from integration.flows.pull import pull_payments
from integration.store.schema import outbox
from tests.flows.books import Books
from tests.flows.neighbours import CLIENT
from tests.flows.town import Town

CONTRACT = "Catalog_ДоговорыКонтрагентов"
TERMS = [
    {"LineNumber": 1, "ВариантОплаты": "Аванс", "ПроцентПлатежа": 30},
    {"LineNumber": 2, "ВариантОплаты": "Кредит", "ПроцентПлатежа": 65, "Сдвиг": 10},
    {"LineNumber": 3, "ВариантОплаты": "ГарантийноеУдержание", "ПроцентПлатежа": 5,
     "ДатаПлатежа": "2027-02-24T00:00:00"},
]  # fmt: skip


@pytest.fixture
def books(town: Town) -> Books:
    return Books(town)


def client(books: Books) -> dict[str, Any]:
    """The CRM's only client with a link to 1C, as it stands now."""
    [found] = [one for one in books.town.crm.state({"entity": "Account"}) if one["cInn"] == CLIENT["cInn"]]
    return dict(found)


def sums(books: Books) -> tuple[str, ...]:
    """(debt, overdue, retention, advance) on the client's card."""
    shown = client(books)
    names = ("cContractDebt", "cContractOverdue", "cContractRetention", "cContractAdvance")
    return tuple(f"{Decimal(str(shown[name])):.2f}" for name in names)


def told(books: Books) -> list[str]:
    """What the client's stream says of money, without its moments."""
    notes = [note for note in books.town.notes(client(books)["id"]) if note.startswith("Расчёты")]
    return [note.rpartition(" (")[0].replace("\u00a0", " ") for note in notes]


def test_a_contracts_totals_stand_on_the_client(books: Books) -> None:
    """Debt, advance and retention follow each change, each told once in the client's stream."""
    retained = {"cRetentionAmount": 100, "cRetentionAmountCurrency": "RUB", "cRetentionDate": "2027-02-24"}
    deal = books.deal(1000, **retained)
    bill = books.bill(deal)
    books.act(1000, bill)
    books.pull()
    assert sums(books) == ("1000.00", "0.00", "100.00", "0.00")
    books.pay(900, bill)
    books.pull()
    assert sums(books) == ("100.00", "0.00", "100.00", "0.00")
    books.pay(150, bill)
    books.pull()
    assert sums(books) == ("0.00", "0.00", "0.00", "50.00")
    assert [line.partition(": ")[2] for line in told(books)] == [
        "акты 1 000,00, получено 0,00, долг 1 000,00 (удержано 100,00) RUB",
        "акты 1 000,00, получено 900,00, долг 100,00 (удержано 100,00) RUB",
        "акты 1 000,00, получено 1 050,00, долг 0,00, аванс 50,00 RUB",
    ]
    assert "Основной договор: акты 1\u00a0000,00" in client(books)["cContractTotals"]


def test_nothing_new_writes_nothing_and_our_own_write_is_no_news(books: Books) -> None:
    """A second look leaves the client alone; the poll doesn't take what we wrote for somebody's edit."""
    deal = books.deal(1000)
    poll_accounts(books.town.world.services, "espo")
    books.town.work()
    books.act(1000, books.bill(deal))
    books.pull()
    version = client(books)["versionNumber"]
    books.pull()
    books.pull(nightly=True)
    assert client(books)["versionNumber"] == version
    assert poll_accounts(books.town.world.services, "espo") == 0
    books.town.edit(f"Account/{client(books)['id']}", phoneNumber="+74951234567")
    books.pay(10, books.bill(deal))
    books.pull()
    assert poll_accounts(books.town.world.services, "espo") == 1


def test_a_worker_that_dies_after_its_note_tells_it_once(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one writes the fields that stand already, and finds the note."""
    deal = books.deal(1000)
    books.act(1000, books.bill(deal))
    store, sound, deaths = books.town.world.store, books.town.world.store.set_watermark, []

    def deadly(name: str, value: str) -> None:
        if name.startswith("totals:") and not deaths:
            deaths.append(name)
            raise Transient("the database is away", system="database")
        sound(name, value)

    monkeypatch.setattr(store, "set_watermark", deadly)
    books.pull()
    assert len(deaths) == 1
    assert (sums(books)[0], len(told(books))) == ("1000.00", 1)


def test_a_client_that_is_linked_later_shows_its_contracts_the_next_day(books: Books) -> None:
    """Nothing was owed to it when the money came; once shown, the days after owe nothing."""
    deal = books.deal(1000)
    world, account = books.town.world, client(books)["id"]
    with world.store.unit("unlink") as unit:
        [link] = [one for one in unit.links.of_record("espo", "account", account) if one.kind == "counterparty"]
        unit.links.bind(replace(link, ref_key=books.town.seed("Catalog_Контрагенты", Description="другой")))
    books.act(1000, books.bill(deal))
    books.pull()
    assert client(books).get("cContractDebt") is None
    with world.store.unit("link") as unit:
        unit.links.bind(link)
    books.pull()
    assert client(books).get("cContractDebt") is None
    books.town.pass_time(timedelta(days=1).total_seconds())
    books.pull()
    assert sums(books)[0] == "1000.00"
    assert told(books) == []
    version = client(books)["versionNumber"]
    books.town.pass_time(timedelta(days=1).total_seconds())
    books.pull()
    assert client(books)["versionNumber"] == version


def test_a_field_that_the_administrator_named_must_be_there(town: Town, tmp_path: Path) -> None:
    """A default one that the CRM lacks is passed over."""
    town.reset(tmp_path, {"crm": {"espo": {"fields": {"contract_debt": "cNoSuchField"}}}})
    books = Books(town)
    books.act(1000, books.bill(books.deal(1000)))
    pull_payments(town.world.services, "main")
    town.work(10)
    with town.world.store.reading() as conn:
        [waits] = [one for one in conn.execute(select(outbox)) if one.kind == "show_totals"]
    assert (waits.state, waits.error_kind) == ("parked", "misconfigured")
    assert "cNoSuchField (contract_debt)" in waits.error


def test_several_contracts_are_summed_and_told_one_by_one(books: Books) -> None:
    """Another contract of the client adds to the sums and has a line of its own; a foreign currency only a line."""
    deal = books.deal(1000)
    books.act(1000, books.bill(deal))
    second = books.contract("15/26", "643")
    books.act(500, ДоговорКонтрагента_Key=second)
    dollars = books.contract("16/26", "840")
    books.act(70, ДоговорКонтрагента_Key=dollars, ВалютаДокумента_Key=books.currency("840"))
    books.pull()
    assert sums(books)[0] == "1500.00"
    lines = client(books)["cContractTotals"].replace("\u00a0", " ").splitlines()
    assert [line.partition(":")[2] for line in lines if line.startswith("Договор № 1")] == [
        " акты 500,00, получено 0,00, долг 500,00 RUB",
        " акты 70,00, получено 0,00, долг 70,00 USD",
    ]


def test_people_are_told_without_a_bus(town: Town, tmp_path: Path) -> None:
    """Switched-off events silence no note, not even of what the clock alone has done."""
    town.reset(tmp_path, {"bus": {"enabled": False}})
    books = Books(town)
    retained = {"cRetentionAmount": 100, "cRetentionAmountCurrency": "RUB", "cRetentionDate": "2026-12-10"}
    deal = books.deal(1000, **retained)
    books.act(1000, books.bill(deal))
    books.pay(900, books.bill(deal))
    books.pull()
    town.pass_time(timedelta(days=17).total_seconds())
    books.pull()
    assert books.cloud_events() == []
    assert "Просрочено: срок был 10.12.2026" in town.notes(deal)[-1]
    assert "просрочено 100,00" in told(books)[-1]


def test_exchange_differences_never_eat_debt(books: Books) -> None:
    """ERPNext#35301: 200 $ of goods at 8, 100 $ prepaid at 6: 100 $ are owed, not 75, whatever the rates do later."""
    books.deal(122)
    dollars = {"ДоговорКонтрагента_Key": books.contract("17/26", "840"), "ВалютаДокумента_Key": books.currency("840")}
    books.rate("840", "2026-10-01", 6)
    books.rate("840", "2026-11-01", 8)
    row = {"LineNumber": 1, "СуммаПлатежа": 100, "ДоговорКонтрагента_Key": dollars["ДоговорКонтрагента_Key"]}
    books.pay(100, day="2026-10-05", РасшифровкаПлатежа=[row], **dollars)
    books.act(200, day="2026-11-05", **dollars)
    books.pull()
    line = "Договор № 17/26: акты 200,00, получено 100,00, долг 100,00 USD"
    assert line in client(books)["cContractTotals"].splitlines()
    books.rate("840", "2026-11-24", 95)
    books.pull(nightly=True)
    assert line in client(books)["cContractTotals"].splitlines()


def test_the_clock_alone_makes_a_debt_overdue(books: Books) -> None:
    """The day after an unpaid part's date: flag on the deal, sum on the client, a note in both streams, an event; a
    payment takes it back."""
    retained = {"cRetentionAmount": 100, "cRetentionAmountCurrency": "RUB", "cRetentionDate": "2026-12-10"}
    deal = books.deal(1000, **retained)
    bill = books.bill(deal)
    books.act(1000, bill)
    books.pay(900, bill)
    books.pull()
    assert (books.town.shown(deal)["cOverdue"], sums(books)[1]) == (False, "0.00")
    books.town.pass_time(timedelta(days=16).total_seconds())  # the day itself is still in time
    assert books.pull() == 0
    assert books.town.shown(deal)["cOverdue"] is False
    books.town.pass_time(timedelta(days=1).total_seconds())
    assert books.pull() == 0
    assert (books.town.shown(deal)["cOverdue"], sums(books)[1]) == (True, "100.00")
    assert books.shown(deal) == ("retention_pending", "90.0", "900.00")
    assert ("obligation.overdue", "retention_pending") in books.events()
    assert "Просрочено: срок был 10.12.2026" in books.town.notes(deal)[-1]
    assert "просрочено 100,00" in told(books)[-1]
    version = books.town.shown(deal)["versionNumber"]
    books.pull()
    assert books.town.shown(deal)["versionNumber"] == version
    books.pay(100, bill, "2026-12-11")
    books.pull()
    assert (books.town.shown(deal)["cOverdue"], sums(books)[1]) == (False, "0.00")
    assert books.shown(deal)[0] == "closed"


def test_a_contracts_schedule_makes_the_parts_of_every_act(books: Books) -> None:
    """30 % at once, 65 % in ten days, 5 % retained: each act is cut so; the deal waits for the retention alone."""
    deal = books.deal(1000)
    bill = books.bill(deal)
    books.edit(CONTRACT, books.head["ДоговорКонтрагента_Key"], ЭтапыГрафикаОплаты=TERMS)
    books.act(600, bill)
    books.act(400, bill)
    books.pay(950, bill)
    books.pull()
    assert books.shown(deal) == ("retention_pending", "95.0", "950.00")
    assert sums(books) == ("50.00", "0.00", "50.00", "0.00")
    parts = {(one.obligation, one.instalment): one.amount for one in books.positions()}
    assert sorted(parts.values()) == [120, 180, 260, 390]


def test_the_deals_own_retention_takes_the_place_of_the_contracts(books: Books) -> None:
    """It is the nearer word: the contract's share isn't retained beside it."""
    retained = {"cRetentionAmount": 100, "cRetentionAmountCurrency": "RUB", "cRetentionDate": "2027-02-24"}
    deal = books.deal(1000, **retained)
    books.edit(CONTRACT, books.head["ДоговорКонтрагента_Key"], ЭтапыГрафикаОплаты=TERMS)
    books.act(600, books.bill(deal))
    books.act(400, books.bill(deal))
    books.pull()
    assert sums(books) == ("1000.00", "0.00", "100.00", "0.00")


def test_a_changed_contract_is_read_again(books: Books) -> None:
    """Its schedule and its currency hold from the next look on, whatever documents do."""
    deal = books.deal(1000)
    books.act(1000, books.bill(deal))
    books.pay(950, books.bill(deal))
    books.pull()
    assert books.shown(deal)[0] == "partially_paid"
    contract = books.head["ДоговорКонтрагента_Key"]
    books.edit(CONTRACT, contract, ЭтапыГрафикаОплаты=TERMS)
    assert books.pull() == 1
    assert books.shown(deal)[0] == "retention_pending"
    assert books.pull() == 0
    books.edit(CONTRACT, contract, ЭтапыГрафикаОплаты=[], УстановленСрокОплаты=True, СрокОплаты=3)
    books.pull()
    assert books.shown(deal)[0] == "partially_paid"
    books.town.pass_time(timedelta(days=4).total_seconds())
    books.pull()
    assert (books.town.shown(deal)["cOverdue"], sums(books)[1]) == (True, "50.00")


def test_only_the_accounts_whose_day_has_come_are_computed(books: Books) -> None:
    """Whoever waits for another day, or for none, is left alone."""
    for due in ("2026-12-10", "2027-01-20"):
        deal = books.deal(1000, cRetentionAmount=100, cRetentionAmountCurrency="RUB", cRetentionDate=due)
        books.act(1000, books.bill(deal), ДоговорКонтрагента_Key=books.contract(due, "643"))
    books.pull()
    books.town.pass_time(timedelta(days=20).total_seconds())
    with books.town.world.store.unit("look") as unit:
        assert unit.ledger.wake("main", books.town.now().date()) == 1
        assert len(unit.ledger.touched("main")) == 1
