"""Files and letters in EspoCRM: what is asked, in which order, what never twice (ESPOCRM.md §3.6, §3.7)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from mappers.canonical import Deal
from mappers.crm.espocrm import EspoCrm
from mappers.dialect import Fault
from tests.mappers.replay import ANY, Exchange, exchange, replay

DEAL, FILE, EMAIL = "6b05d44bd9c27c810", "6b05d50d074341954", "6b05d53ccc3c77c7e"
PDF, NAME, TEXT = b"%PDF-1.7 \xff\x00", "Счет № 15 от 24.11.2026.pdf", "Счёт № 15 от 24.11.2026 на 1 220,00 руб.: PDF"
LETTER = {"from": "crm@company.example", "to": "buh@romashka.example", "subject": "Счёт № 15", "body": "<p>Счёт</p>"}
MOMENT = datetime(2026, 11, 24, tzinfo=UTC)


def espo(**options: Any) -> EspoCrm:
    return EspoCrm({"api_key": "4be0a71c59d2f8836ac5179e0d42b6f1", **options})


def deal(**raw: Any) -> Deal:
    return Deal(DEAL, "Поставка", "Proposal", None, "RUB", "", MOMENT, MOMENT, raw=raw)


def stream(*posts: str) -> Exchange:
    rows = [{"type": "Post", "post": post} for post in posts]
    return exchange("GET", f"api/v1/Opportunity/{DEAL}/stream", 200, {"list": rows, "total": len(rows)})


def uploaded(**owner: str) -> Exchange:
    file = "data:application/pdf;base64," + base64.b64encode(PDF).decode()
    body = {"name": NAME, "type": "application/pdf", "role": "Attachment", **owner, "file": file}
    return exchange("POST", "api/v1/Attachment", 200, {"id": FILE}, body=body)


def found(*rows: dict[str, Any]) -> Exchange:
    return exchange("GET", "api/v1/Email", 200, {"list": list(rows), "total": len(rows)}, query=ANY)


def draft(**more: Any) -> Exchange:
    return exchange("GET", f"api/v1/Email/{EMAIL}", 200, {"id": EMAIL, "status": "Draft", **more})


# Files


def test_a_pdf_hangs_on_a_post_of_the_deals_stream() -> None:
    """Upload first, then the post that links it."""
    post = {"type": "Post", "post": TEXT, "parentType": "Opportunity", "parentId": DEAL, "attachmentsIds": [FILE]}
    steps = [
        stream("другое"),
        uploaded(parentType="Note", field="attachments"),
        exchange("POST", "api/v1/Note", 200, {"id": "n1"}, body=post),
    ]
    assert replay(espo().attach(deal(), NAME, PDF, TEXT), steps) is True


def test_a_post_that_stands_is_not_written_again() -> None:
    """Nor is the file uploaded: the answer to the last try was lost."""
    assert replay(espo().attach(deal(), NAME, PDF, TEXT), [stream(TEXT)]) is False


def test_a_file_field_takes_it_where_one_is_named() -> None:
    """The pair relatedType and field, then the field of the deal."""
    crm = espo(fields={"invoice_file": "cInvoiceFile"})
    steps = [
        uploaded(relatedType="Opportunity", field="cInvoiceFile"),
        exchange("PUT", f"api/v1/Opportunity/{DEAL}", 200, {"id": DEAL}, body={"cInvoiceFileId": FILE}),
    ]
    assert replay(crm.attach(deal(cInvoiceFileId=None, cInvoiceFileName=None), NAME, PDF, TEXT), steps) is True
    assert replay(crm.attach(deal(cInvoiceFileId=FILE, cInvoiceFileName=NAME), NAME, PDF, TEXT), []) is False


def test_a_named_field_that_the_crm_lacks_is_no_obstacle() -> None:
    """The file goes to the stream."""
    crm = espo(fields={"invoice_file": "cInvoiceFile"})
    assert replay(crm.attach(deal(), NAME, PDF, TEXT), [stream(TEXT)]) is False


# Letters


def test_a_letter_begins_as_a_draft_of_the_deal() -> None:
    """Searched for first, by deal and subject; nothing is sent yet."""
    body = {
        "status": "Draft", "isHtml": True, "attachmentsIds": [FILE], **LETTER,
        "parentType": "Opportunity", "parentId": DEAL,
    }  # fmt: skip
    steps = [
        found(),
        uploaded(parentType="Email", field="attachments"),
        exchange("POST", "api/v1/Email", 200, {"id": EMAIL, "status": "Draft"}, body=body),
    ]
    assert replay(espo().draft_letter(DEAL, LETTER, NAME, PDF), steps) == EMAIL


def test_a_draft_whose_answer_was_lost_is_found() -> None:
    """No second one is made; what the CRM fetched from a mailbox is no draft of ours."""
    rows = [{"id": "6b05d53ccc3c77c70", "status": "Archived"}, {"id": EMAIL, "status": "Draft"}]
    assert replay(espo().draft_letter(DEAL, LETTER, NAME, PDF), [found(*rows)]) == EMAIL


def test_a_draft_is_sent_by_its_status() -> None:
    """One PUT."""
    sent = exchange("PUT", f"api/v1/Email/{EMAIL}", 200, {"id": EMAIL, "status": "Sent"}, body={"status": "Sending"})
    assert replay(espo().send_letter(EMAIL), [draft(), sent]) is True


def test_what_was_sent_is_not_sent_again() -> None:
    """The answer was lost, the letter was not."""
    assert replay(espo().send_letter(EMAIL), [draft(status="Sent")]) is False


def test_a_failing_mail_server_leaves_the_draft_for_the_next_try() -> None:
    """500 sendingFail: retried by the same PUT, never by a new letter."""
    failed = exchange("PUT", f"api/v1/Email/{EMAIL}", 500, {"id": EMAIL, "message": "421"}, reason="sendingFail")
    with pytest.raises(Fault, match="осталось черновиком") as raised:
        replay(espo().send_letter(EMAIL), [draft(), failed])
    assert raised.value.kind == "transient"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ('Expected response code "250/251/252" but got code "550", with message "550 5.1.1 User unknown".', "rejected"),
        ('Expected response code "250" but got code "552", with message "552 too big".', "rejected"),
        ('Expected response code "250/251/252" but got code "451", with message "451 4.7.1 later".', "transient"),
        ('Connection could not be established with host "smtp.company.example:465"', "transient"),
        ("No system SMTP settings.", "misconfigured"),
    ],
)
def test_what_the_crms_mail_server_said_decides(message: str, kind: str) -> None:
    """5xx is a person's matter, a missing server an administrator's, all else is tried again with the same draft."""
    failed = exchange("PUT", f"api/v1/Email/{EMAIL}", 500, {"id": EMAIL, "message": message}, reason="sendingFail")
    with pytest.raises(Fault) as raised:
        replay(espo().send_letter(EMAIL), [draft(), failed])
    assert raised.value.kind == kind


def test_a_draft_may_be_sent_to_a_mended_address() -> None:
    """In the same PUT."""
    body = {"status": "Sending", "to": "new@romashka.example"}
    sent = exchange("PUT", f"api/v1/Email/{EMAIL}", 200, {"id": EMAIL, "status": "Sent"}, body=body)
    assert replay(espo().send_letter(EMAIL, "new@romashka.example"), [draft(), sent]) is True


def test_a_letter_of_another_version_is_no_draft_of_this_one() -> None:
    """Its subject may be the same."""
    steps = [
        found({"id": "6b05d53ccc3c77c70", "status": "Sent"}),
        uploaded(parentType="Email", field="attachments"),
        exchange("POST", "api/v1/Email", 200, {"id": EMAIL, "status": "Draft"}),
    ]
    assert replay(espo().draft_letter(DEAL, LETTER, NAME, PDF, ["6b05d53ccc3c77c70"]), steps) == EMAIL


def test_every_address_of_a_client_that_may_be_written_to() -> None:
    """The main one first; dead ones and those who want no letters are left out."""
    told = [
        {"emailAddress": "second@a.example", "primary": False, "optOut": False, "invalid": False},
        {"emailAddress": "dead@a.example", "primary": False, "invalid": True},
        {"emailAddress": "main@a.example", "primary": True},
        {"emailAddress": "silent@a.example", "optOut": True},
    ]
    step = exchange("GET", "api/v1/Account/a1", 200, {"id": "a1", "emailAddressData": told})
    assert replay(espo().account_emails("a1"), [step]) == ["main@a.example", "second@a.example"]
    assert replay(espo().account_emails("a1"), [exchange("GET", "api/v1/Account/a1", 200, {"id": "a1"})]) == []


def test_an_address_that_cannot_be_right_is_a_persons_matter() -> None:
    """400 about `to`."""
    told = {"messageTranslation": {"label": "validationFailure", "data": {"field": "to", "type": "valid"}}}
    refused = exchange("PUT", f"api/v1/Email/{EMAIL}", 400, told, reason="Field validation failure")
    with pytest.raises(Fault) as raised:
        replay(espo().send_letter(EMAIL), [draft(), refused])
    assert raised.value.kind == "rejected"


def test_a_draft_that_a_person_deleted_is_told() -> None:
    """Whether the letter is still wanted, nobody knows."""
    gone = exchange("GET", f"api/v1/Email/{EMAIL}", 404, None, reason="Record does not exist.")
    with pytest.raises(Fault, match="черновик письма удалён"):
        replay(espo().send_letter(EMAIL), [gone])


# Whom to write to


@pytest.mark.parametrize(("status", "body", "address"), [(200, {"emailAddress": "i@crm.example"}, "i@crm.example"),
                                                         (200, {}, ""), (403, None, ""), (404, None, "")])  # fmt: skip
def test_a_users_address_where_the_role_shows_it(status: int, body: Any, address: str) -> None:
    """A role without users is no trouble."""
    step = exchange("GET", "api/v1/User/u1", status, body, reason=None if status == 200 else "No access")
    assert replay(espo().user_email("u1"), [step]) == address


@pytest.mark.parametrize(
    ("raw", "contact"),
    [({"contactId": "c2", "contactsIds": ["c1", "c2"]}, "c2"), ({"contactsIds": ["c1"]}, "c1"), ({}, ""),
     ({"contactsIds": ["../x"]}, "")],
)  # fmt: skip
def test_a_deals_main_contact_goes_before_the_others(raw: dict[str, Any], contact: str) -> None:
    """And nothing else gets into a path."""
    steps = [exchange("GET", f"api/v1/Opportunity/{DEAL}", 200, {"id": DEAL, **raw})]
    read = replay(espo().deal(DEAL), steps)
    assert read is not None
    assert read.contact_id == contact


def test_an_address_that_the_crm_knows_to_be_dead_is_not_taken() -> None:
    """emailAddressIsInvalid: a letter came back from there."""
    row = {"id": "c1", "name": "Ким", "emailAddress": "kim@romashka.example"}
    for more, address in (({}, "kim@romashka.example"), ({"emailAddressIsInvalid": True}, "")):
        person = replay(espo().contact("c1"), [exchange("GET", "api/v1/Contact/c1", 200, row | more)])
        assert person is not None
        assert person.email == address
