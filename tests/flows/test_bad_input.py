"""What people type: refused by field with the mend, seen by the manager, and never in the way of the rest."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from integration.work import Arrival
from sandbox.onec.companies import valid_inn
from tests.flows.neighbours import CLIENT, CONTRACTS, COUNTERPARTIES, ITEMS
from tests.flows.town import Town

GOOD = {"name": "АО «Василёк»", "cInn": "7800000027", "cKpp": "780001001"}
Make = Callable[[Town], str]


def told(**values: Any) -> Make:
    return lambda town: town.deal(**values)


def client(name: str = "ООО «Лютик»", **values: Any) -> Make:
    return lambda town: town.deal(account={"name": name, **values})


def amount(value: Any) -> Make:
    """An import and an add-on write what the form would not take."""

    def put(town: Town) -> str:
        deal = town.deal()
        record = town.crm.store.get("Opportunity", deal)
        assert record is not None
        record["amount"] = value
        return deal

    return put


def unknown_currency(town: Town) -> str:
    town.crm.admin.settings["currencyList"] = ["RUB", "XAU"]
    return town.deal(amountCurrency="XAU")


def client_deleted(town: Town) -> str:
    deal = town.deal(account={"name": "ООО «Лютик»", "cInn": "5400000036"})
    town.crm.act("ivanova", "DELETE", f"Account/{town.shown(deal)['accountId']}")
    return deal


def client_nameless(town: Town) -> str:
    deal = town.deal(account={"name": "ООО «Лютик»", "cInn": "5400000036"})
    account = town.crm.store.get("Account", town.shown(deal)["accountId"])
    assert account is not None
    account["name"] = "\u200b \x07"
    return deal


REFUSED: dict[str, tuple[Make, tuple[str, ...]]] = {
    "no client": (told(account=None), ("не указан клиент", "Выберите его")),
    "client deleted": (client_deleted, ("Клиент этой сделки удалён", "Выберите другого")),
    "no ИНН": (client(), ("«ООО «Лютик»»", "не заполнен ИНН", "Заполните его в карточке клиента")),
    "ИНН 10, checksum": (client(cInn="7700000017"), ("ООО «Лютик»", "неверный ИНН", "7700000017", "контрольная")),
    "ИНН 12, checksum": (client(cInn="500000000101"), ("неверный ИНН", "500000000101", "контрольная цифра")),
    "ИНН, length": (client(cInn="77000"), ("неверный ИНН", "10 или 12 цифр")),
    "ИНН, letters": (client(cInn="77OOOOOO16"), ("неверный ИНН", "только цифры")),
    "КПП": (client(cInn="5400000036", cKpp="12"), ("неверный КПП", "«12»", "9 знаков")),
    "no amount": (amount(None), ("не указана сумма", "Заполните её")),
    "amount 0": (amount(0), ("Сумма сделки 0.00 не больше нуля", "Исправьте её")),
    "amount below 0": (amount(-5), ("Сумма сделки -5.00 не больше нуля", "Исправьте её")),
    "amount too large": (amount(1e15), ("больше, чем вмещает счёт", "Исправьте её")),
    "less than a kopeck": (amount(0.001), ("не больше нуля",)),
    "unknown currency": (unknown_currency, ("валюта", "XAU", "Допустимые", "RUB")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_field_and_the_rest_flows(town: Town, name: str) -> None:
    """Parked as rejected with a sentence that names field and mend; the manager reads it on the deal; 1C knows
    nothing of it; a deal beside it is done."""
    make, words = REFUSED[name]
    deal = make(town)
    beside = town.deal(account=GOOD)
    event, other = town.tell(deal), town.tell(beside)
    town.work()
    found = town.event(event)
    assert (found.state, found.kind, town.event(other).state) == ("parked", "rejected", "done")
    for word in words:
        assert word in (found.error or "")
    [note] = town.notes(deal)
    assert note.startswith("Счёт не создан: ")
    assert town.shown(deal)["cSyncStatus"] == note
    assert words[-1] in note
    assert not town.shown(deal).get("cInvoiceNumber")
    assert [one["ИНН"] for one in town.held(COUNTERPARTIES)] == [GOOD["cInn"]]
    assert [len(town.held(one)) for one in (CONTRACTS, ITEMS)] == [1, 1]
    assert len(town.invoices()) == 1


def test_mended_and_replayed(town: Town) -> None:
    """The same wrong deal three times is one note; once the card is mended a replay makes the invoice."""
    deal = town.deal(account={"name": "ООО «Лютик»", "cInn": "7700000017"})
    events = [town.done(deal).id for _ in range(3)]
    assert len(town.notes(deal)) == 1
    town.edit(f"Account/{town.shown(deal)['accountId']}", cInn="7700000016")
    assert town.replay(events[0]).state == "done"
    assert town.shown(deal)["cSyncStatus"].endswith("выставлен")
    assert [town.replay(one).state for one in events[1:]] == ["done", "done"]
    assert len(town.invoices(deal)) == 1


@pytest.mark.parametrize("inn", ["", "7700000017"])
def test_a_mended_card_and_what_the_sentence_says_next(town: Town, inn: str) -> None:
    """The card alone asks for no invoice; the button, or a change of the deal, does."""
    pressed, saved = (town.deal(account={"name": f"ООО «Лютик {n}»", "cInn": inn}) for n in (1, 2))
    for deal in (pressed, saved):
        town.done(deal)
        told = town.shown(deal)["cSyncStatus"]
        assert "в карточке клиента, затем нажмите кнопку счёта или измените и сохраните сделку" in told
    for deal, mended in ((pressed, "7700000016"), (saved, "5400000036")):
        town.edit(f"Account/{town.shown(deal)['accountId']}", cInn=mended)
        assert not town.invoices(deal)
    town.press(pressed)
    town.work()
    town.edit(saved, description="ИНН получен")
    town.done(saved)
    assert [len(town.invoices(deal)) for deal in (pressed, saved)] == [1, 1]


def test_an_inn_that_a_spreadsheet_spoilt(town: Town) -> None:
    """Spaces go; a lost leading zero is put back, for the checksum then fits."""
    whole = valid_inn("010500000")
    for number, inn in enumerate((" 77 0000 0016 ", whole.removeprefix("0"))):
        town.crm.meta.change_field("Account", "cInn", {"maxLength": 20})
        assert town.done(town.deal(account={"name": f"ООО «Ноль {number}»", "cInn": inn})).state == "done"
    assert [one["ИНН"] for one in town.held(COUNTERPARTIES)] == ["7700000016", whole]


def test_a_sole_trader_has_no_kpp(town: Town) -> None:
    deal = town.deal(account={"name": "ИП Ветров", "cInn": "500000000100", "cKpp": "770001001"})
    assert town.done(deal).state == "done"
    [made] = town.held(COUNTERPARTIES)
    assert (made["ЮридическоеФизическоеЛицо"], made["КПП"]) == ("ФизическоеЛицо", "")


AWKWARD = {
    "quotes": 'ООО «Рога "и" копыта»',
    "apostrophes": "ООО 'Д''Артаньян'",
    "an OData filter": "' or 1 eq 1 or '",
    "a url": "100% + скидка #1 & co? a=b;c/d",
    "markup": "<b>ООО</b> &amp; </d:Description>",
    "emoji": "Цветы 🌻🌻",
    "letters in two parts": "Йод-Ёлка",
    "backslashes": "C:\\new\\table $1 {name} %s",
}


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD)
def test_awkward_names_arrive_as_they_are(town: Town, text: str) -> None:
    """Client, deal and position so named: found and not doubled the second time. (A name with <, > or = EspoCRM
    refuses by itself; positions hold anything.)"""
    plain = re.sub("[<>=]", "", text)
    town.crm.meta.add_field("Opportunity", "positions", {"type": "jsonArray"})
    town.live({"crm": {"espo": {"lines": {"field": "cPositions"}}}})
    line = {"name": f"Товар {text}", "amount": 122}
    for _ in range(2):
        deal = town.deal(name=plain, account={**CLIENT, "name": plain}, cPositions=[line])
        assert town.done(deal).state == "done"
        assert town.invoice(deal)["Товары"][0]["Содержание"] == f"Товар {text}"
    assert [one["Description"] for one in town.held(COUNTERPARTIES)] == [plain]
    assert sum(one["Description"] == f"Товар {text}" for one in town.held(ITEMS)) == 1


def test_control_characters_are_dropped(town: Town) -> None:
    deal = town.deal(name="Мон\x00таж\x1f\n\tлинии", account={**CLIENT, "name": "ООО\x01  «Ромашка»\ufffe"})
    assert town.done(deal).state == "done"
    assert town.held(COUNTERPARTIES)[0]["Description"] == "ООО «Ромашка»"
    assert town.invoice(deal)["Товары"][0]["Содержание"] == "Услуги по договору: Монтаж линии"


def test_long_names_are_cut_where_1c_cuts_and_whole_where_it_does_not(town: Town) -> None:
    """A name longer than 1C's field is found again the second time; the full name stands whole."""
    long = "Общество " * 33
    town.crm.meta.change_field("Account", "name", {"maxLength": 300})
    town.crm.meta.change_field("Opportunity", "name", {"maxLength": 300})
    for _ in range(2):
        deal = town.deal(name=long, account={**CLIENT, "name": long})
        assert town.done(deal).state == "done"
    [made] = town.held(COUNTERPARTIES)
    assert made["НаименованиеПолное"] == long.strip()
    assert made["Description"] == long[:100].strip()


# -- notices -----------------------------------------------------------------------------------------------------------


def test_a_deleted_deal_is_nothing_to_do(town: Town) -> None:
    deal = town.deal()
    event = town.tell(deal)
    town.crm.act("ivanova", "DELETE", f"Opportunity/{deal}")
    town.work()
    assert town.event(event).outcome == "skipped"
    assert "удалена" in (town.event(event).outcome_text or "")
    assert town.done(deal, event="delete").outcome == "skipped"
    assert not town.invoices()


@pytest.mark.parametrize(
    ("arrival", "state", "kind", "words"),
    [
        (Arrival("espo", "Lead", "update", "x1", b"{}"), "parked", "rejected", "Lead.update никому не нужно"),
        (Arrival("espo", "", "", "x1", b"{}", webhook_id="5e1f"), "parked", "rejected", "Неизвестно, о чём"),
        (Arrival("espo", "", "", "x1", b"{}"), "parked", "rejected", "/webhooks/ИМЯ/Opportunity/update"),
        (Arrival("old", "Opportunity", "update", "x1", b"{}"), "parked", "misconfigured", "«old» больше нет"),
        (Arrival("espo", "Account", "update", "x1", b"{}"), "done", None, ""),
        (Arrival("espo", "Opportunity", "update", "x1", b"{}"), "done", None, ""),
        (Arrival("espo", "Opportunity", "fieldUpdate.stage", "x1", b"not json"), "done", None, ""),
        (Arrival("espo", "Opportunity", "update", "../Account", b"{}"), "parked", "rejected", "не идентификатор"),
    ],
)
def test_notices_that_lead_nowhere(town: Town, arrival: Arrival, state: str, kind: str | None, words: str) -> None:
    """What nothing here knows is parked with a way out; what concerns no invoice is done; a deal beside it is done."""
    [event], _ = town.world.store.receive([arrival], b"", {}, "trace")
    beside = town.done(town.deal())
    found = town.event(event)
    assert (found.state, found.kind, beside.state) == (state, kind, "done")
    assert words in (found.error or "")


def test_a_webhook_that_crm1c_did_not_make(town: Town) -> None:
    """Its event is asked of the CRM."""
    made, hook = town.crm.act("onec_integration", "POST", "Webhook", {
        "event": "Opportunity.update", "url": "http://127.0.0.1:1/webhooks/espo",
    })  # fmt: skip
    assert made == 201
    deal = town.deal()
    [event], _ = town.world.store.receive([Arrival("espo", "", "", deal, b"{}", webhook_id=hook["id"])], b"", {}, "t")
    town.work()
    assert (town.event(event).state, len(town.invoices(deal))) == ("done", 1)
