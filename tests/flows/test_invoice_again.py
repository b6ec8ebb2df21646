"""A deal with an invoice changes, or people changed something in 1C: what is rewritten, and who decides the rest."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flows.neighbours import CLIENT, CONTRACTS, COUNTERPARTIES, INVOICES, PAYMENTS
from tests.flows.town import Town


def invoiced(town: Town, amount: int = 122, **values: Any) -> str:
    deal = town.deal(amount=amount, **values)
    assert town.done(deal).state == "done"
    return deal


def test_an_unchanged_deal_leaves_1c_alone(town: Town) -> None:
    deal = invoiced(town)
    before = town.invoice(deal)
    town.onec_app.log.clear()
    event = town.done(deal)
    assert (event.state, event.outcome, event.outcome_text) == (
        "done",
        "unchanged",
        "Счёт уже есть, сделка не менялась",
    )
    assert town.invoice(deal) == before
    assert not town.asked(town.onec_app)


def test_a_changed_amount_is_the_next_version_of_the_same_invoice(town: Town) -> None:
    """Same document, number and date; posted again; the CRM and its stream tell the new sum."""
    deal = invoiced(town)
    before = town.invoice(deal)
    town.pass_time(86_400)
    town.edit(deal, amount=244)
    assert town.done(deal).state == "done"
    after = town.invoice(deal)
    assert (after["СуммаДокумента"], after["Товары"][0]["СуммаНДС"], after["Posted"]) == (244, 44, True)
    assert [after[name] for name in ("Ref_Key", "Number", "Date")] == [
        before[name] for name in ("Ref_Key", "Number", "Date")
    ]
    assert [one.split(" создан")[0][-10:] for one in town.notes(deal)] == ["122,00 RUB", "244,00 RUB"]
    assert town.done(deal).outcome == "unchanged"


def test_another_client_and_another_name_are_the_next_version_too(town: Town) -> None:
    deal = invoiced(town)
    number = town.invoice(deal)["Number"]
    other = town.crm.seed({"accounts": [{"name": "АО «Василёк»", "cInn": "7800000027", "cKpp": "780001001"}]})
    town.edit(deal, accountId=other["accounts"][0], name="Наладка")
    assert town.done(deal).outcome == "done"
    document = town.invoice(deal)
    [taken] = [one for one in town.held(COUNTERPARTIES) if one["Ref_Key"] == document["Контрагент_Key"]]
    assert (taken["ИНН"], document["Number"], document["Posted"]) == ("7800000027", number, True)
    assert document["Товары"][0]["Содержание"] == "Услуги по договору: Наладка"


def test_words_that_an_accountant_added_to_the_comment_stay(town: Town) -> None:
    deal = invoiced(town)
    document = town.invoice(deal)
    comment = f"Оплатят в пятницу. {document['Комментарий']}"
    town.seed(INVOICES, Ref_Key=document["Ref_Key"], Комментарий=comment)
    town.edit(deal, amount=244)
    assert town.done(deal).state == "done"
    after = town.invoice(deal)
    assert (after["Комментарий"], after["СуммаДокумента"]) == (comment, 244)


@pytest.mark.parametrize("kind", ["status", "lost_answer", "lost_request"])
@pytest.mark.parametrize(("method", "path"), [("POST", "/Unpost$"), ("PATCH", INVOICES), ("POST", "/Post$")])
def test_a_rewrite_that_breaks_off_is_finished(town: Town, kind: str, method: str, path: str) -> None:
    """Wherever 1C broke off, our own half-done work is not taken for a person's change."""
    deal = invoiced(town)
    town.edit(deal, amount=244)
    town.fault(town.onec_app, kind, method, path, times=1)
    event = town.done(deal)
    assert (event.state, event.error) == ("done", None)
    document = town.invoice(deal)
    assert (document["СуммаДокумента"], document["Posted"]) == (244, True)


def pay(town: Town, deal: str) -> None:
    document = town.invoice(deal)
    town.seed(
        PAYMENTS,
        Контрагент_Key=document["Контрагент_Key"],
        Date="2026-11-24T16:00:00",
        Posted=True,
        СуммаДокумента=50,
        РасшифровкаПлатежа=[{"СчетНаОплату_Key": document["Ref_Key"], "СуммаПлатежа": 50}],
    )


def edit_by_hand(town: Town, deal: str) -> None:
    document = town.invoice(deal)
    lines = [{**line, "Сумма": 150, "Цена": 150} for line in document["Товары"]]
    town.seed(INVOICES, Ref_Key=document["Ref_Key"], СуммаДокумента=150, Товары=lines)


def word_by_hand(town: Town, deal: str) -> None:
    document = town.invoice(deal)
    lines = [{**line, "Содержание": "Монтаж по договору № 7"} for line in document["Товары"]]
    town.seed(INVOICES, Ref_Key=document["Ref_Key"], Товары=lines)


def mark(town: Town, deal: str) -> None:
    town.seed(INVOICES, Ref_Key=town.invoice(deal)["Ref_Key"], DeletionMark=True, Posted=False)


def erase(town: Town, deal: str) -> None:
    with town.onec.base.lock:
        town.onec.base.delete(INVOICES, town.invoice(deal)["Ref_Key"])


@pytest.mark.parametrize(
    ("meanwhile", "reason"),
    [
        (pay, "уже оплачен (полностью или частично)"),
        (edit_by_hand, "изменён"),
        (word_by_hand, "изменён"),
        (mark, "помечен на удаление"),
        (erase, "удалён в 1С"),
    ],
)
def test_what_a_person_must_decide(town: Town, meanwhile: Any, reason: str) -> None:
    """Both sides changed: a conflict, 1C stays as the person left it, and the manager is told what is the matter."""
    deal = invoiced(town)
    number = town.invoice(deal)["Number"]
    meanwhile(town, deal)
    before = town.invoices(deal)
    town.edit(deal, amount=244)
    event = town.done(deal)
    assert (event.state, event.kind) == ("parked", "conflict")
    assert reason in (event.error or "")
    assert number in (event.error or "")
    assert town.invoices(deal) == before
    told = town.shown(deal)["cSyncStatus"]
    assert told.startswith(f"Счёт № {number} не обновлён: ")
    assert reason in told
    assert len(town.notes(deal)) == 2


def test_the_amount_goes_back_to_what_was_agreed(town: Town) -> None:
    """The manager undoes his change: nothing is left to decide, and the status says so."""
    deal = invoiced(town)
    pay(town, deal)
    town.edit(deal, amount=244)
    town.done(deal)
    town.edit(deal, amount=122)
    assert town.done(deal).state == "done"
    assert town.shown(deal)["cSyncStatus"] == f"Счёт № {town.invoice(deal)['Number']} от 24.11.2026 выставлен"


def test_reposting_in_1c_is_no_change(town: Town) -> None:
    """Accountants re-post whole months: the version moves, the content does not."""
    deal = invoiced(town)
    town.onec.base.unpost(INVOICES, town.invoice(deal)["Ref_Key"])
    town.onec.base.post(INVOICES, town.invoice(deal)["Ref_Key"])
    town.edit(deal, amount=244)
    assert town.done(deal).state == "done"
    assert town.invoice(deal)["СуммаДокумента"] == 244


def test_the_button_on_an_invoice_that_was_marked_for_deletion(town: Town) -> None:
    """The person who asks again is not told that all is well."""
    deal = invoiced(town)
    mark(town, deal)
    event = town.press(deal)
    town.work()
    assert (town.event(event).state, town.event(event).kind) == ("parked", "conflict")
    assert "помечен на удаление" in town.shown(deal)["cSyncStatus"]


def test_a_lost_number_in_the_crm_comes_back_by_the_button(town: Town) -> None:
    deal = invoiced(town)
    town.edit(deal, cInvoiceNumber="")
    event = town.press(deal)
    town.work()
    assert town.event(event).state == "done"
    assert town.shown(deal)["cInvoiceNumber"] == town.invoice(deal)["Number"]
    assert len(town.notes(deal)) == 1


# -- several that fit ------------------------------------------------------------------------------------------------


def client(town: Town, name: str, kpp: str = CLIENT["cKpp"], **more: Any) -> str:
    return town.seed(COUNTERPARTIES, Description=name, ИНН=CLIENT["cInn"], КПП=kpp, **more)


def contract(town: Town, owner: str, name: str, **more: Any) -> str:
    [organisation] = town.held("Catalog_Организации")
    [rouble] = [one for one in town.held("Catalog_Валюты") if one["Code"] == "643"]
    values = {"Организация_Key": organisation["Ref_Key"], "ВалютаВзаиморасчетов_Key": rouble["Ref_Key"]}
    return town.seed(CONTRACTS, Description=name, Owner_Key=owner, **values | {"ВидДоговора": "СПокупателем"} | more)


def doubles(town: Town) -> None:
    client(town, "Ромашка")
    client(town, "Ромашка ООО (дубль)")


def other_branch(town: Town) -> None:
    client(town, "Ромашка, филиал", kpp="780001001")


def two_contracts(town: Town) -> None:
    owner = client(town, "Ромашка")
    contract(town, owner, "№ 1 от 01.01.2026")
    contract(town, owner, "№ 2 от 01.02.2026")


@pytest.mark.parametrize(
    ("standing", "named"),
    [
        (doubles, ("несколько контрагентов с ИНН 7700000016", "Ромашка (КПП", "Ромашка ООО (дубль) (КПП")),
        (other_branch, ("с другим КПП (780001001)", "указан 770001001")),
        (two_contracts, ("несколько договоров в RUB", "№ 1 от 01.01.2026", "№ 2 от 01.02.2026")),
    ],
)
def test_several_that_fit_are_a_persons_choice(town: Town, standing: Any, named: tuple[str, ...]) -> None:
    """Nothing is made beside them and nothing is guessed; the manager reads which ones are meant."""
    standing(town)
    before = {name: len(town.held(name)) for name in (COUNTERPARTIES, CONTRACTS, INVOICES)}
    deal = town.deal()
    event = town.done(deal)
    assert (event.state, event.kind) == ("parked", "conflict")
    for words in named:
        assert words in (event.error or "")
        assert words in town.notes(deal)[0]
    assert {name: len(town.held(name)) for name in before} == before


def deleted_double(town: Town) -> None:
    client(town, "Ромашка")
    client(town, "Ромашка (удалить)", DeletionMark=True)


def without_kpp(town: Town) -> None:
    client(town, "Ромашка", kpp="")


def head_and_branch(town: Town) -> None:
    client(town, "Ромашка")
    client(town, "Ромашка, филиал", kpp="780001001")


def other_kinds_of_contract(town: Town) -> None:
    owner = client(town, "Ромашка")
    [usd] = [one for one in town.held("Catalog_Валюты") if one["Code"] == "840"]
    contract(town, owner, "Ромашка")
    contract(town, owner, "закупка", ВидДоговора="СПоставщиком")
    contract(town, owner, "валютный", ВалютаВзаиморасчетов_Key=usd["Ref_Key"])
    contract(town, owner, "старый", DeletionMark=True)


@pytest.mark.parametrize("standing", [deleted_double, without_kpp, head_and_branch, other_kinds_of_contract])
def test_the_one_that_fits_is_taken(town: Town, standing: Any) -> None:
    standing(town)
    before = len(town.held(COUNTERPARTIES))
    deal = town.deal()
    assert town.done(deal).state == "done"
    [taken] = [one for one in town.held(COUNTERPARTIES) if one["Ref_Key"] == town.invoice(deal)["Контрагент_Key"]]
    assert (taken["Description"], len(town.held(COUNTERPARTIES))) == ("Ромашка", before)
