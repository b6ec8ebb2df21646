"""The main job: a deal asks for an invoice, 1C has one, the CRM knows its number."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from integration.work import Link
from tests.flows.neighbours import CLIENT, CONTRACTS, COUNTERPARTIES, INVOICES, ITEMS
from tests.flows.town import Town

REFUSED = '{"odata.error": {"code": "-1", "message": {"lang": "ru", "value": "Не указано подразделение"}}}'


def link_of(town: Town, deal: str) -> Link:
    with town.world.store.unit("look") as unit:
        [link] = [one for one in unit.links.of_record("espo", "deal", deal) if one.kind == "invoice"]
    return link


def line_of(town: Town, deal: str) -> dict[str, Any]:
    [line] = town.invoice(deal)["Товары"]
    return dict(line)


def reads_like_a_sentence(text: str | None) -> bool:
    return bool(text) and len(str(text)) > 20 and any("а" <= letter <= "я" for letter in str(text))


# -- as it should go -------------------------------------------------------------------------------------------------


def test_a_deal_becomes_an_invoice(town: Town) -> None:
    """One notice: client, contract and posted invoice in 1C; number, date, link and status in the CRM."""
    deal = town.deal(amount=1_220_000, name="Монтаж линии")
    event = town.done(deal)
    assert (event.state, event.outcome) == ("done", "done")
    document = town.invoice(deal)
    assert (document["Posted"], document["СуммаДокумента"], document["Date"]) == (
        True,
        1_220_000,
        "2026-11-24T15:00:00",
    )
    line = line_of(town, deal)
    assert (line["Содержание"], line["СтавкаНДС"], line["СуммаНДС"]) == (
        "Услуги по договору: Монтаж линии",
        "НДС22",
        220_000,
    )
    [client] = town.held(COUNTERPARTIES)
    assert (client["ИНН"], client["КПП"], client["Description"]) == ("7700000016", "770001001", "ООО «Ромашка»")
    [contract] = town.held(CONTRACTS)
    assert contract["Owner_Key"] == client["Ref_Key"] == document["Контрагент_Key"]
    assert contract["Ref_Key"] == document["ДоговорКонтрагента_Key"]
    shown = town.shown(deal)
    assert (shown["cInvoiceNumber"], shown["c1cRefKey"]) == (document["Number"], document["Ref_Key"])


def test_what_stands_in_1c_already_is_used(town: Town) -> None:
    """Client, contract and item that people made there: nothing is made beside them."""
    client = town.seed(COUNTERPARTIES, Description="Ромашка", ИНН=CLIENT["cInn"], КПП=CLIENT["cKpp"])
    [organisation] = town.held("Catalog_Организации")
    [rouble] = [one for one in town.held("Catalog_Валюты") if one["Code"] == "643"]
    contract = town.seed(
        CONTRACTS,
        Description="№ 7 от 01.02.2026",
        Owner_Key=client,
        Организация_Key=organisation["Ref_Key"],
        ВалютаВзаиморасчетов_Key=rouble["Ref_Key"],
        ВидДоговора="СПокупателем",
    )
    deal = town.deal()
    assert town.done(deal).state == "done"
    document = town.invoice(deal)
    assert (document["Контрагент_Key"], document["ДоговорКонтрагента_Key"]) == (client, contract)
    assert [len(town.held(name)) for name in (COUNTERPARTIES, CONTRACTS, ITEMS)] == [1, 1, 1]


def test_two_deals_of_one_client_share_client_contract_and_item(town: Town) -> None:
    for name in ("Первая", "Вторая"):
        assert town.done(town.deal(name=name)).state == "done"
    sets = (INVOICES, COUNTERPARTIES, CONTRACTS, ITEMS)
    assert [len(town.held(name)) for name in sets] == [2, 1, 1, 1]


@pytest.mark.parametrize(
    ("present", "told", "made"),
    [
        ("Proposal", "", 1),  # the present stage asks
        ("Negotiation", "Proposal", 1),  # it moved on before it was re-read: the event's stage asks
        ("Negotiation", "Negotiation", 0),
        ("Negotiation", "", 0),
    ],
)
def test_which_stage_asks_for_an_invoice(town: Town, present: str, told: str, made: int) -> None:
    deal = town.deal(stage=present)
    event = town.done(deal, **({"stage": told} if told else {}))
    assert (event.state, len(town.invoices(deal))) == ("done", made)
    if not made:
        assert (event.outcome, event.outcome_text) == ("skipped", "Стадия «Negotiation» счёта не просит")


def test_the_button_asks_whatever_the_stage_and_the_age(town: Town) -> None:
    """A person pressed it: no stage and no start date stands in the way; twice makes one invoice."""
    town.live({"crm": {"espo": {"since": "2027-01-01"}}})
    deal = town.deal(stage="Negotiation")
    assert town.done(deal).outcome == "skipped"
    for _ in range(2):
        event = town.press(deal)
        town.work()
        assert town.event(event).state == "done"
    assert town.invoice(deal)["Posted"] is True


def test_fifty_notices_at_once_are_one_invoice(town: Town) -> None:
    deal = town.deal()
    events = [town.tell(deal, stage="Proposal") for _ in range(50)]
    town.work()
    assert {town.event(one).state for one in events} == {"done"}
    assert town.invoice(deal)["Posted"] is True
    assert len(town.asked(town.onec_app, "POST", INVOICES)) == 2  # written and posted, once each


# -- money -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "member", "vat"),
    [
        (datetime(2025, 12, 31, 12, tzinfo=UTC), "НДС20", Decimal("20.33")),
        (datetime(2025, 12, 31, 20, 59, 59, tzinfo=UTC), "НДС20", Decimal("20.33")),
        (datetime(2025, 12, 31, 21, tzinfo=UTC), "НДС22", Decimal(22)),  # the new year has begun in Moscow
        (datetime(2026, 1, 1, 12, tzinfo=UTC), "НДС22", Decimal(22)),
    ],
)
def test_vat_by_the_date_in_1cs_zone(place: Town, tmp_path: Path, at: datetime, member: str, vat: Decimal) -> None:
    place.reset(tmp_path, start=at)
    deal = place.deal()
    assert place.done(deal).state == "done"
    line = line_of(place, deal)
    assert (line["СтавкаНДС"], line["СуммаНДС"]) == (member, vat)


def test_the_new_year_changes_no_standing_invoice(place: Town, tmp_path: Path) -> None:
    """An invoice of December keeps its rate when its deal is looked at in January; its next version too."""
    place.reset(tmp_path, start=datetime(2025, 12, 31, 12, tzinfo=UTC))
    deal = place.deal()
    place.done(deal)
    place.pass_time(86_400)
    assert place.done(deal).outcome == "unchanged"
    assert line_of(place, deal)["СтавкаНДС"] == "НДС20"
    place.edit(deal, amount=120)
    assert place.done(deal).state == "done"
    line = line_of(place, deal)
    assert (line["СтавкаНДС"], line["СуммаНДС"]) == ("НДС20", 20)


def test_the_day_to_pay_by_counts_from_the_date_in_1cs_zone(place: Town, tmp_path: Path) -> None:
    """[invoicing] due_days; none unless it is set, and the next version keeps the day that stands."""
    place.reset(tmp_path, start=datetime(2025, 12, 31, 21, tzinfo=UTC))
    deal = place.deal()
    place.done(deal)
    assert place.invoice(deal)["СрокОплаты"] == "0001-01-01T00:00:00"
    place.live({"invoicing": {"due_days": 5}})
    assert place.done(deal).outcome == "unchanged"
    other = place.deal(name="Вторая")
    place.done(other)
    assert place.invoice(other)["СрокОплаты"] == "2026-01-06T00:00:00"
    place.live({"invoicing": {"due_days": 30}})
    place.edit(other, amount=120)
    place.done(other)
    document = place.invoice(other)
    assert (document["СуммаДокумента"], document["СрокОплаты"]) == (120, "2026-01-06T00:00:00")


@pytest.mark.parametrize(
    ("terms", "member", "vat", "total"),
    [
        ({"vat": "none"}, "БезНДС", 0, 100),
        ({"vat": "10"}, "НДС10", Decimal("9.09"), 100),
        ({"vat": "22", "vat_included": False}, "НДС22", 22, 122),
        ({"vat": "none", "vat_included": False}, "БезНДС", 0, 100),
    ],
)
def test_vat_as_configured(town: Town, terms: dict[str, Any], member: str, vat: Any, total: int) -> None:
    town.live({"invoicing": terms})
    deal = town.deal(amount=100)
    assert town.done(deal).state == "done"
    document, line = town.invoice(deal), line_of(town, deal)
    assert (line["СтавкаНДС"], line["Сумма"], line["СуммаНДС"]) == (member, 100, vat)
    assert (document["СуммаДокумента"], document["СуммаВключаетНДС"]) == (total, terms.get("vat_included", True))
    assert document["ДокументБезНДС"] is (terms["vat"] == "none")


def test_dollars_with_the_rate_of_the_day(town: Town) -> None:
    """Another currency is another contract; the document carries 1C's own rate."""
    for currency in ("RUB", "USD"):
        deal = town.deal(amount=122, amountCurrency=currency)
        assert town.done(deal).state == "done"
    document = town.invoice(deal)
    assert (document["КурсВзаиморасчетов"], document["КратностьВзаиморасчетов"]) == (80, "1")
    contracts = town.held(CONTRACTS)
    assert [one["Валютный"] for one in contracts] == [False, True]
    assert document["ДоговорКонтрагента_Key"] == contracts[1]["Ref_Key"]


def test_no_rate_on_the_day_is_not_guessed(place: Town, tmp_path: Path) -> None:
    """1C's first rate is of the next day: refused by name, to be repeated once rates were loaded."""
    place.reset(tmp_path, start=datetime(2025, 12, 31, 12, tzinfo=UTC))
    deal = place.deal(amountCurrency="USD")
    event = place.done(deal)
    assert (event.state, event.kind) == ("parked", "rejected")
    assert "нет курса USD" in (event.error or "")
    assert not place.invoices()
    [dollar] = [one for one in place.held("Catalog_Валюты") if one["Code"] == "840"]
    place.seed("InformationRegister_КурсыВалют", Period="2025-12-01T00:00:00", Валюта_Key=dollar["Ref_Key"],
               Курс=79, Кратность=1)  # fmt: skip
    assert place.replay(event.id).state == "done"
    assert place.invoice(deal)["КурсВзаиморасчетов"] == 79


POSITIONS = [
    {"name": "Насос", "quantity": 2, "price": 100, "amount": 200, "vat": "22"},
    {"name": "Обучение", "quantity": 1, "price": 100, "amount": 100, "vat": "none"},
]


def lines_in_a_field(town: Town, positions: list[dict[str, Any]], amount: int) -> str:
    town.crm.meta.add_field("Opportunity", "positions", {"type": "text"})
    town.live({"crm": {"espo": {"lines": {"field": "cPositions"}}}})
    return town.deal(amount=amount, cPositions=json.dumps(positions, ensure_ascii=False))


def lines_of_an_entity(town: Town, positions: list[dict[str, Any]], amount: int) -> str:
    made, _ = town.crm.act("admin", "POST", "EntityManager/action/createEntity", {
        "name": "Position", "type": "Base", "labelSingular": "Позиция", "labelPlural": "Позиции",
    })  # fmt: skip
    assert made == 200
    for role in town.crm.store.rows("Role"):
        role["data"]["CPosition"] = {"read": "all"}
    for name, kind in (("quantity", "float"), ("unitPrice", "float"), ("amount", "float"), ("vat", "varchar")):
        town.crm.meta.add_field("CPosition", name, {"type": kind})
    town.crm.meta.add_field("CPosition", "opportunityId", {"type": "varchar"})
    names = {"quantity": "cQuantity", "price": "cUnitPrice", "amount": "cAmount", "vat": "cVat"}
    town.live({"crm": {"espo": {"lines": {"entity": "CPosition", "deal": "cOpportunityId", **names}}}})
    deal = town.deal(amount=amount)
    for position in positions:
        body = {names.get(name, name): value for name, value in position.items()} | {"cOpportunityId": deal}
        status, answer = town.crm.act("admin", "POST", "CPosition", body)
        assert status == 200, answer
    return deal


@pytest.mark.parametrize("kept", [lines_in_a_field, lines_of_an_entity])
def test_the_deals_own_lines(town: Town, kept: Any) -> None:
    """Each position is a line with its own item and rate, wherever the CRM keeps positions."""
    deal = kept(town, POSITIONS, 300)
    assert town.done(deal).state == "done"
    lines = town.invoice(deal)["Товары"]
    assert [(one["Содержание"], one["Количество"], one["Сумма"], one["СтавкаНДС"]) for one in lines] == [
        ("Насос", 2, 200, "НДС22"),
        ("Обучение", 1, 100, "БезНДС"),
    ]
    assert [one["СуммаНДС"] for one in lines] == [Decimal("36.07"), 0]
    assert {one["Description"] for one in town.held(ITEMS)} >= {"Насос", "Обучение"}


@pytest.mark.parametrize("kept", [lines_in_a_field, lines_of_an_entity])
def test_lines_that_do_not_add_up(town: Town, kept: Any) -> None:
    """No document is made of sums that contradict each other."""
    deal = kept(town, POSITIONS, 301)
    event = town.done(deal)
    assert (event.state, event.kind) == ("parked", "rejected")
    assert "Сумма строк 300.00 не равна сумме сделки 301.00 RUB" in (event.error or "")
    assert not town.invoices()


# -- 1C is ill -------------------------------------------------------------------------------------------------------

ILL = {
    "503": ("status", {}),
    "503 with Retry-After": ("status", {"retry_after": 7}),
    "lock conflict": ("lock", {}),
    "no licence": ("licence", {}),
    "no licence, 402": ("licence", {"status": 402}),
    "login page": ("html", {}),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("ill", ILL.values(), ids=ILL)
def test_an_ill_1c_is_waited_for(town: Town, ill: tuple[str, dict[str, Any]], method: str) -> None:
    kind, more = ill
    town.fault(town.onec_app, kind, method, times=3, **more)
    deal = town.deal()
    event = town.done(deal)
    assert (event.state, event.attempts) == ("done", event.attempts)
    assert town.invoice(deal)["Posted"] is True
    assert [len(town.held(name)) for name in (COUNTERPARTIES, CONTRACTS)] == [1, 1]
    assert len(town.notes(deal)) == 1


def test_posting_is_a_step_of_its_own(town: Town) -> None:
    """1C fell ill between writing and posting: the written invoice is posted later, none is added."""
    town.fault(town.onec_app, "status", "POST", "/Post$", times=3)
    deal = town.deal()
    assert town.done(deal).state == "done"
    assert town.invoice(deal)["Posted"] is True
    assert sum(one["path"].endswith(INVOICES) for one in town.asked(town.onec_app, "POST")) == 1


def test_a_lost_answer_to_posting(town: Town) -> None:
    town.fault(town.onec_app, "lost_answer", "POST", "/Post$", times=1)
    deal = town.deal()
    assert town.done(deal).state == "done"
    assert town.invoice(deal)["Posted"] is True


def test_1c_refuses_to_post(town: Town) -> None:
    """Its own words reach the manager, the invoice stays written; after the mend a replay posts that same one."""
    town.fault(town.onec_app, "status", "POST", "/Post$", status=500, body=REFUSED, content_type="application/json")
    deal = town.deal()
    event = town.done(deal)
    assert (event.state, event.kind, link_of(town, deal).state) == ("parked", "rejected", "written")
    number = town.invoice(deal)["Number"]
    told = f"Счёт № {number} записан в 1С, но не проведён: 1С отказала: Не указано подразделение"
    assert town.shown(deal)["cSyncStatus"] == told
    assert town.notes(deal) == [told]
    assert not town.shown(deal).get("cPaymentStatus")
    town.onec_app.faults.clear()
    assert town.replay(event.id).state == "done"
    document = town.invoice(deal)
    assert (document["Number"], document["Posted"], link_of(town, deal).state) == (number, True, "posted")
    assert town.shown(deal)["cSyncStatus"] == f"Счёт № {number} от 24.11.2026 выставлен"


# -- what 1C lacks ---------------------------------------------------------------------------------------------------


def usd_away(town: Town) -> str:
    [usd] = [one for one in town.held("Catalog_Валюты") if one["Code"] == "840"]
    town.seed("Catalog_Валюты", Ref_Key=usd["Ref_Key"], DeletionMark=True)
    return town.deal(amountCurrency="USD")


def other_organisation(town: Town) -> str:
    town.live({"onec": {"main": {"organisation": "7800000027"}}})
    return town.deal()


def switched(**switches: Any) -> Any:
    def lack(town: Town) -> str:
        town.onec.switches(switches)
        return town.deal()

    return lack


@pytest.mark.parametrize(
    ("lack", "named"),
    [
        (other_organisation, "нет организации с ИНН 7800000027"),
        (usd_away, "справочнике валют 1С нет USD"),
        (switched(without=["СтавкиНДС.НДС22"]), "Перечисление СтавкиНДС: НДС22"),
        (switched(without=[INVOICES]), f"{INVOICES} (не опубликован в OData)"),
        (switched(without=[f"{INVOICES}.Комментарий"]), f"{INVOICES}.Комментарий"),
        (switched(forbidden=[COUNTERPARTIES]), f"нет прав на {COUNTERPARTIES}"),
    ],
)
def test_what_1c_lacks_is_named(town: Town, lack: Any, named: str) -> None:
    """An administrator's matter: parked as such, naming the thing; the manager knows; nothing is half-written."""
    deal = lack(town)
    event = town.done(deal)
    assert (event.state, event.kind) == ("parked", "misconfigured")
    assert named in (event.error or "")
    assert named in town.notes(deal)[0]
    town.onec.switches({"without": [], "forbidden": []})
    assert not town.invoices()
    assert not town.held(COUNTERPARTIES)


def test_what_was_added_to_1c_is_noticed(town: Town) -> None:
    """The administrator published the missing object: five minutes later a replay goes through, without a restart."""
    town.onec.switches({"without": [f"{INVOICES}.Комментарий"]})
    event = town.done(town.deal())
    town.onec.switches({"without": []})
    town.pass_time(301)
    assert town.replay(event.id).state == "done"
