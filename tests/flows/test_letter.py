"""The client's copy in the whole: printed once, mailed once, kept with the deal once for each version of an invoice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from integration.store.cleaning import cleanup
from integration.store.schema import outbox, papers
from sandbox.mail import Mail
from sandbox.serve import serving
from tests.flows.neighbours import CLIENT
from tests.flows.town import Town
from tests.integration.paper_reading import payment, text_of

MAILBOX = "buh@romashka.example"
WRITTEN = {**CLIENT, "emailAddress": MAILBOX}


@pytest.fixture
def post() -> Iterator[Mail]:
    with Mail() as mail:
        yield mail


def table(post: Mail, **more: Any) -> dict[str, Any]:
    told = {"host": "127.0.0.1", "port": post.port, "tls": "none", "sender": "Бухгалтерия <buh@rassvet.example>"}
    return {"mail": {**told, **more}}


@pytest.fixture
def mailing(place: Town, tmp_path: Path, post: Mail) -> Town:
    place.reset(tmp_path, table(post))
    return place


def rows(town: Town) -> list[Any]:
    with town.world.store.reading() as conn:
        return list(conn.execute(select(papers)))


def parked(town: Town) -> dict[str, str]:
    """Kind of duty → why it waits for a person."""
    with town.world.store.reading() as conn:
        found = conn.execute(select(outbox.c.kind, outbox.c.error).where(outbox.c.state == "parked"))
        return {row.kind: row.error for row in found}


def attached(town: Town, deal: str) -> list[bytes]:
    """The files that hang on posts of the deal's stream."""
    files, hung = town.crm.store.files, town.crm.store.relation("Note.attachments")
    notes = [note["id"] for note in town.crm.state({"entity": "Note"}) if note.get("parentId") == deal]
    return [files[one] for note in notes for one in hung.of("Note", note)]


def test_the_client_gets_the_invoice_and_the_deal_keeps_it(mailing: Town, post: Mail) -> None:
    """One letter with texts, the PDF and its number; the same PDF at the deal; the code in it pays this invoice."""
    deal = mailing.deal(amount=1220, account=WRITTEN)
    mailing.done(deal)
    [letter] = post.letters()
    number = mailing.invoice(deal)["Number"]
    assert letter["to"] == [MAILBOX]
    assert letter["from"] == "buh@rassvet.example"
    assert letter["headers"]["From"] == "Бухгалтерия <buh@rassvet.example>"
    assert letter["subject"] == "Счет № 1 от 24.11.2026 на 1 220,00 руб. – ООО «Рассвет-Сервис»"
    assert "счет № 1" in letter["text"]
    assert "<b>1\u00a0220,00 руб.</b>" in letter["html"]
    [file] = letter["attachments"]
    assert (file["name"], file["type"]) == ("Счет № 1 от 24.11.2026.pdf", "application/pdf")
    [kept] = attached(mailing, deal)
    assert hashlib.sha256(kept).hexdigest() == file["sha256"]
    assert number.endswith("0001")
    assert "Счет на оплату № 1 от 24 ноября 2026 г." in text_of(kept)
    assert "Одна тысяча двести двадцать рублей 00 копеек" in text_of(kept)
    assert payment(kept)["Sum"] == "122000"
    assert payment(kept)["Purpose"].startswith("Оплата по счету № 1 от 24.11.2026.")
    assert [one for one in mailing.notes(deal) if "PDF" in one] == ["Счёт № 1 от 24.11.2026 на 1\u00a0220,00 руб.: PDF"]
    assert parked(mailing) == {}


def test_a_letter_may_be_english_with_texts_of_ones_own(place: Town, tmp_path: Path, post: Mail) -> None:
    """[mail] language and templates: what the folder lacks is the shipped text of that language."""
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "subject.txt").write_text("Invoice {{ number }} by {{ supplier }}", "utf-8")
    place.reset(tmp_path, table(post, language="en", templates=str(tmp_path / "letters")))
    place.done(place.deal(amount=1220, account=WRITTEN))
    [letter] = post.letters()
    assert letter["subject"] == "Invoice 1 by ООО «Рассвет-Сервис»"
    assert "invoice No. 1 of 24.11.2026 for 1\u00a0220,00 руб. is attached" in letter["text"]


def test_the_letter_asks_to_pay_by_the_day_of_the_invoice(place: Town, tmp_path: Path, post: Mail) -> None:
    """[invoicing] due_days, by way of 1C."""
    place.reset(tmp_path, table(post) | {"invoicing": {"due_days": 5}})
    place.done(place.deal(account=WRITTEN))
    [letter] = post.letters()
    assert "Просим оплатить не позднее 29.11.2026." in letter["text"]


def test_no_letter_and_no_paper_without_the_table(town: Town) -> None:
    """Nothing is configured: nothing is printed, and the deal's stream has one line."""
    deal = town.deal(account=WRITTEN)
    town.done(deal)
    assert rows(town) == []
    assert len(town.notes(deal)) == 1


def test_notices_of_the_same_deal_send_no_second_letter(mailing: Town, post: Mail) -> None:
    """The webhook again, the button, a replay: the version was mailed."""
    deal = mailing.deal(account=WRITTEN)
    event = mailing.done(deal)
    mailing.done(deal)
    mailing.press(deal)
    mailing.work()
    assert event.state == "done"
    assert len(post.letters()) == 1
    assert len(attached(mailing, deal)) == 1


def test_a_changed_deal_is_mailed_again_as_its_next_version(mailing: Town, post: Mail) -> None:
    """Another sum: another paper, another Message-ID, and the letter says that it is a revised one."""
    deal = mailing.deal(amount=1220, account=WRITTEN)
    mailing.done(deal)
    mailing.edit(deal, amount=2440)
    mailing.done(deal)
    first, second = post.letters()
    assert "(исправленный) на 2 440,00 руб." in second["subject"]
    assert first["message_id"] != second["message_id"]
    assert [row.issue for row in rows(mailing)] == [1, 2]
    assert len(attached(mailing, deal)) == 2


@pytest.mark.parametrize(("code", "at"), [(421, "data"), (451, "rcpt"), (451, "data"), (421, "ehlo")])
def test_what_the_server_puts_off_is_sent_later(mailing: Town, post: Mail, code: int, at: str) -> None:
    """Any 4xx: the letter goes by itself, once."""
    post.add_fault({"kind": "reply", "at": at, "code": code, "times": 2})
    mailing.done(mailing.deal(account=WRITTEN))
    assert len(post.letters()) == 1
    assert [row.again for row in rows(mailing)] == [0]
    assert parked(mailing) == {}


def test_a_refused_address_waits_for_the_manager_who_is_told(mailing: Town, post: Mail) -> None:
    """550 is a person's matter: one line in the stream says so, and the replay after the mend sends the letter."""
    post.add_fault({"kind": "reply", "at": "rcpt", "code": 550})
    deal = mailing.deal(account=WRITTEN)
    event = mailing.done(deal)
    assert "550" in parked(mailing)["letter"]
    [told] = [one for one in mailing.notes(deal) if "не отправлен" in one]
    assert told.startswith("Клиенту не отправлен счёт № ")
    post.clear_faults()
    mailing.replay(event.id)
    assert len(post.letters()) == 1
    assert parked(mailing) == {}


def test_a_letter_of_unknown_fate_is_sent_again_under_its_own_name(mailing: Town, post: Mail) -> None:
    """Cut after DATA: whether it went nobody knows, so it goes again with the same Message-ID and bytes, counted."""
    post.add_fault({"kind": "cut", "times": 1})
    mailing.done(mailing.deal(account=WRITTEN))
    first, second = post.letters()
    assert (first["answered"], second["answered"]) == (False, True)
    assert first["message_id"] == second["message_id"]
    assert post.raw(1) == post.raw(2)
    assert [row.again for row in rows(mailing)] == [1]


def test_the_contact_of_the_deal_gets_it_when_the_client_has_no_address(mailing: Town, post: Mail) -> None:
    """The account's address first, then the deal's contact."""
    _status, made = mailing.crm.act(
        "ivanova", "POST", "Contact", {"lastName": "Ким", "emailAddress": "kim@romashka.example"}
    )
    deal = mailing.deal(account=CLIENT)
    mailing.edit(deal, contactsIds=[made["id"]])
    mailing.done(deal)
    [letter] = post.letters()
    assert letter["to"] == ["kim@romashka.example"]


def test_without_an_address_the_manager_is_told_and_may_mend_it(mailing: Town, post: Mail) -> None:
    """The invoice stands all the same; with the address written down, the replay sends it."""
    deal = mailing.deal(account=CLIENT)
    event = mailing.done(deal)
    assert mailing.shown(deal)["cInvoiceNumber"]
    assert any("нет адреса почты" in one for one in mailing.notes(deal))
    mailing.edit(f"Account/{mailing.shown(deal)['accountId']}", emailAddress=MAILBOX)
    mailing.replay(event.id)
    assert [letter["to"] for letter in post.letters()] == [[MAILBOX]]


def test_the_crm_sends_the_letter_itself(place: Town, tmp_path: Path, post: Mail) -> None:
    """via = "crm": the deal's letter goes through the group account; a failure leaves a draft, which is sent later."""
    place.reset(tmp_path, {"mail": {"via": "crm", "sender": "crm@company.example"}})
    account = {"name": "CRM", "emailAddress": "crm@company.example", "status": "Active", "useSmtp": True}
    account |= {"smtpIsShared": True, "smtpHost": "127.0.0.1", "smtpPort": post.port}
    status, told = place.crm.act("admin", "POST", "InboundEmail", account)
    assert status == 200, told
    post.add_fault({"kind": "reply", "at": "data", "code": 451, "times": 1})
    deal = place.deal(account=WRITTEN)
    place.done(deal)
    [letter] = post.letters()
    [kept] = place.crm.state({"entity": "Email"})
    assert (kept["status"], kept["parentId"]) == ("Sent", deal)
    assert letter["attachments"][0]["name"] == "Счет № 1 от 24.11.2026.pdf"
    assert parked(place) == {}


def test_an_answer_lost_while_the_crm_sends_is_looked_up(place: Town, tmp_path: Path, post: Mail) -> None:
    """The letter went, the answer did not come: its state says "Sent", and it is not sent again."""
    place.reset(tmp_path, {"mail": {"via": "crm", "sender": "crm@company.example"}})
    account = {"name": "CRM", "emailAddress": "crm@company.example", "status": "Active", "useSmtp": True}
    place.crm.act(
        "admin",
        "POST",
        "InboundEmail",
        {**account, "smtpIsShared": True, "smtpHost": "127.0.0.1", "smtpPort": post.port},
    )
    for method, path in (("POST", "Email$"), ("PUT", "Email/")):
        place.fault(place.crm_app, "lost_answer", method=method, path=path, times=1)
    place.done(place.deal(account=WRITTEN))
    assert len(post.letters()) == 1
    assert len(place.crm.state({"entity": "Email"})) == 1


MAIN, SECOND = "buh@romashka.example", "dir@romashka.example"
ADDRESSES = [
    {"emailAddress": MAIN, "primary": True},
    {"emailAddress": SECOND, "primary": False},
    {"emailAddress": "old@romashka.example", "invalid": True},
]


def group_account(town: Town, post: Mail) -> None:
    """The CRM's own mail: a group account that integrations may send from."""
    account = {"name": "CRM", "emailAddress": "crm@company.example", "status": "Active", "useSmtp": True}
    account |= {"smtpIsShared": True, "smtpHost": "127.0.0.1", "smtpPort": post.port}
    status, told = town.crm.act("admin", "POST", "InboundEmail", account)
    assert status == 200, told


@pytest.mark.parametrize("via", ["smtp", "crm"])
def test_every_address_of_the_client_gets_it_by_wish(place: Town, tmp_path: Path, post: Mail, via: str) -> None:
    """recipients = "all", and a copy to our own people: one letter, by our server or by the CRM's."""
    wish = {"recipients": "all", "copies": ["archive@rassvet.example"]}
    over_crm = {"mail": {"via": "crm", "sender": "crm@company.example", **wish}}
    place.reset(tmp_path, table(post, **wish) if via == "smtp" else over_crm)
    group_account(place, post)
    place.done(place.deal(account={**CLIENT, "emailAddressData": ADDRESSES}))
    [letter] = post.letters()
    assert letter["to"] == [MAIN, SECOND, "archive@rassvet.example"]
    assert letter["headers"]["To"] == f"{MAIN}, {SECOND}"
    assert [row.recipient for row in rows(place)] == [f"{MAIN}, {SECOND}"]


def test_a_letter_that_one_of_several_never_got_is_told(place: Town, tmp_path: Path, post: Mail) -> None:
    """550 of the second address: the first has the letter, the manager hears of the other, nothing is parked."""
    place.reset(tmp_path, table(post, recipients="all"))
    post.add_fault({"kind": "reply", "at": "rcpt", "code": 550, "to": "dir@"})
    deal = place.deal(account={**CLIENT, "emailAddressData": ADDRESSES})
    place.done(deal)
    assert [letter["to"] for letter in post.letters()] == [[MAIN]]
    [told] = [one for one in place.notes(deal) if "не всем" in one]
    assert f"{SECOND}: " in told
    assert parked(place) == {}


def test_the_crms_draft_goes_to_the_mended_address(place: Town, tmp_path: Path, post: Mail) -> None:
    """550 at the CRM's mail server: the manager is told; once the client's card is mended the same draft goes there."""
    place.reset(tmp_path, {"mail": {"via": "crm", "sender": "crm@company.example"}})
    group_account(place, post)
    post.add_fault({"kind": "reply", "at": "rcpt", "code": 550, "to": "wrong@"})
    deal = place.deal(account={**CLIENT, "emailAddress": "wrong@romashka.example"})
    event = place.done(deal)
    assert "550" in parked(place)["letter"]
    assert any("не отправлен" in one for one in place.notes(deal))
    [draft] = place.crm.state({"entity": "Email"})
    assert draft["status"] == "Draft"
    place.edit(f"Account/{place.shown(deal)['accountId']}", emailAddress=MAILBOX)
    place.replay(event.id)
    assert [letter["to"] for letter in post.letters()] == [[MAILBOX]]
    [sent] = place.crm.state({"entity": "Email"})
    assert (sent["id"], sent["status"]) == (draft["id"], "Sent")
    assert [row.recipient for row in rows(place)] == [MAILBOX]


def test_versions_with_the_same_subject_are_letters_of_their_own(place: Town, tmp_path: Path, post: Mail) -> None:
    """via = "crm": the third version is not taken for the second, which bears the same words."""
    place.reset(tmp_path, {"mail": {"via": "crm", "sender": "crm@company.example"}})
    group_account(place, post)
    deal = place.deal(amount=1220, account=WRITTEN)
    place.done(deal)
    for name in ("Наладка", "Пуск"):
        place.edit(deal, name=name)
        place.done(deal)
    assert [row.issue for row in rows(place)] == [1, 2, 3]
    first, second, third = post.letters()
    assert second["subject"] == third["subject"] != first["subject"]
    assert len({letter["attachments"][0]["sha256"] for letter in post.letters()}) == 3


def test_the_copy_goes_into_the_deals_file_field_where_there_is_one(place: Town, tmp_path: Path, post: Mail) -> None:
    """[crm.espo.fields] invoice_file: the field holds it, the stream stays as it was."""
    place.reset(tmp_path, table(post) | {"crm": {"espo": {"fields": {"invoice_file": "cInvoiceFile"}}}})
    place.crm.meta.add_field("Opportunity", "invoiceFile", {"type": "file"})
    deal = place.deal(account=WRITTEN)
    place.done(deal)
    _status, shown = place.crm.act("ivanova", "GET", f"Opportunity/{deal}")
    assert shown["cInvoiceFileName"] == "Счет № 1 от 24.11.2026.pdf"
    assert len(place.notes(deal)) == 1


def test_a_print_form_of_1c_is_taken_where_one_is_configured(place: Town, tmp_path: Path, post: Mail) -> None:
    """[onec.NAME] print_url: what the HTTP service answers is what the client gets; a page instead is told."""
    asked: list[tuple[str, bool]] = []
    answers = [(b"<html>404</html>", "text/html"), (b"%PDF-1.7 made by 1C", "application/pdf")]

    def service(environ: dict[str, Any], start: Any) -> list[bytes]:
        asked.append((environ["PATH_INFO"], environ.get("HTTP_AUTHORIZATION", "").startswith("Basic ")))
        body, kind = answers[min(len(asked), len(answers)) - 1]
        start("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    with serving(service) as address:
        url = f"{address}/bp/hs/print/invoice/{{ref_key}}"
        place.reset(tmp_path, table(post) | {"onec": {"main": {"print_url": url}}})
        deal = place.deal(account=WRITTEN)
        place.done(deal)
    assert asked == [(f"/bp/hs/print/invoice/{place.invoice(deal)['Ref_Key']}", True)] * 2
    [letter] = post.letters()
    assert letter["attachments"][0]["sha256"] == hashlib.sha256(answers[1][0]).hexdigest()
    assert letter["subject"].startswith("Счет № 1 от 24.11.2026 на 122,00 руб.")


def test_old_papers_make_room_but_are_remembered(mailing: Town, post: Mail) -> None:
    """The PDF of a sent letter goes with old work; that it was sent, when and to whom, stays for five years."""
    mailing.done(mailing.deal(account=WRITTEN))
    for days, left in ((89, [True]), (2, [False]), (5 * 366, [])):
        mailing.pass_time(days * 86_400)
        cleanup(mailing.world.store)
        assert [bool(row.pdf) for row in rows(mailing)] == left
        assert all((row.state, row.recipient) == ("sent", MAILBOX) for row in rows(mailing))
