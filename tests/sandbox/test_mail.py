"""The sandbox mail server keeps letters and fails as told; the sandbox registry answers as the real ones."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.crm import Espo
from sandbox.mail import Mail
from sandbox.mail.face import MailFace
from sandbox.registry import TOKEN, Registry
from sandbox.serve import serving


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[Mail]:
    with Mail(folder=tmp_path / "letters") as server:
        yield server


@pytest.fixture
def face(mail: Mail) -> Iterator[str]:
    with serving(MailFace(mail)) as url:
        yield url


def letter(to: str = "buh@romashka.example") -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "crm@company.example", to, "Счёт № 1"
    made["Message-ID"] = "<1@crm1c>"
    made.set_content("Добрый день!")
    made.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="Счёт.pdf")
    return made


def send(mail: Mail, made: EmailMessage | None = None) -> None:
    with smtplib.SMTP("127.0.0.1", mail.port, timeout=5) as smtp:
        smtp.send_message(made or letter())


def fault(face: str, **body: Any) -> None:
    assert requests.post(f"{face}/_sandbox/faults", json=body, timeout=5).status_code == 200


def test_a_letter_is_kept_whole(mail: Mail, face: str, tmp_path: Path) -> None:
    send(mail)
    told = requests.get(f"{face}/letters", timeout=5).json()[0]
    assert (told["from"], told["to"], told["subject"]) == ("crm@company.example", ["buh@romashka.example"], "Счёт № 1")
    assert (told["message_id"], told["text"].strip()) == ("<1@crm1c>", "Добрый день!")
    assert [(a["name"], a["type"], a["size"]) for a in told["attachments"]] == [("Счёт.pdf", "application/pdf", 8)]
    assert b"Message-ID: <1@crm1c>" in requests.get(f"{face}/letters/1", timeout=5).content
    assert (tmp_path / "letters" / "00001.eml").exists()
    assert mail.wait(1) == mail.letters()
    assert requests.get(f"{face}/_sandbox/stats", timeout=5).json()["letters"] == 1
    requests.delete(f"{face}/_sandbox/state", timeout=5)
    assert mail.letters() == []


@pytest.mark.parametrize(("at", "code"), [("mail", 451), ("rcpt", 550), ("data", 451), ("data", 552), ("ehlo", 421)])
def test_a_step_is_refused_as_often_as_told(mail: Mail, face: str, at: str, code: int) -> None:
    fault(face, kind="reply", at=at, code=code, times=1)
    with pytest.raises((smtplib.SMTPException, OSError)) as caught:
        send(mail)
    assert str(code) in str(caught.value) or at == "ehlo"  # there the line is closed before HELO is tried
    assert mail.letters() == []
    send(mail)
    assert len(mail.letters()) == 1


def test_only_the_named_recipient_is_refused(mail: Mail, face: str) -> None:
    fault(face, kind="reply", at="rcpt", code=550, to="@bad")
    send(mail)
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(mail, letter("x@bad.example"))
    assert requests.get(f"{face}/_sandbox/faults", timeout=5).json()[0]["fired"] == 1


@pytest.mark.parametrize("kept", [True, False])
def test_the_line_is_cut_after_data(mail: Mail, face: str, kept: bool) -> None:
    fault(face, kind="cut", times=1, kept=kept)
    with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
        send(mail)
    assert [x["answered"] for x in mail.letters()] == ([False] if kept else [])


def test_a_nonsensical_fault_is_refused(face: str) -> None:
    for body in ({"kind": "nosuch"}, {"kind": "reply", "at": "nosuch"}, {"kind": "reply", "code": 200}, {"x": 1}):
        assert requests.post(f"{face}/_sandbox/faults", json=body, timeout=5).status_code == 400


def test_a_password_is_asked_for_when_set() -> None:
    with Mail(password="secret") as mail, smtplib.SMTP("127.0.0.1", mail.port, timeout=5) as smtp:
        with pytest.raises(smtplib.SMTPException):
            smtp.send_message(letter())
        smtp.login("crm1c", "secret")
        smtp.send_message(letter())
        assert mail.letters()[0]["user"] == "crm1c"


def test_the_crm_sends_through_its_group_account(mail: Mail) -> None:
    crm = Espo(webhook_interval=None)
    account = {"name": "CRM", "emailAddress": "crm@company.example", "useSmtp": True, "smtpIsShared": True,
               "smtpHost": "127.0.0.1", "smtpPort": mail.port}  # fmt: skip
    assert crm.act("admin", "POST", "InboundEmail", account)[0] == 200
    body = {
        "status": "Sending",
        "from": "crm@company.example",
        "to": "a@b.example",
        "subject": "Счёт",
        "body": "<p>б</p>",
    }
    status, sent = crm.act("onec_integration", "POST", "Email", body)
    assert (status, sent["status"]) == (200, "Sent")
    mail.add_fault({"kind": "reply", "at": "data", "code": 554, "times": 1})
    status, failed = crm.act("onec_integration", "POST", "Email", body)
    assert (status, set(failed)) == (500, {"id", "message"})
    status, sent = crm.act("onec_integration", "PUT", f"Email/{failed['id']}", {"status": "Sending"})
    assert (status, sent["status"]) == (200, "Sent")
    assert [x["subject"] for x in mail.letters()] == ["Счёт", "Счёт"]


# -- the registry -------------------------------------------------------------------------------------------------


@pytest.fixture
def registry() -> Iterator[str]:
    with serving(Registry().wsgi()) as url:
        yield url


def party(url: str, token: str | None = TOKEN, **body: Any) -> requests.Response:
    headers = {"Authorization": f"Token {token}"} if token else {}
    return requests.post(f"{url}/suggestions/api/4_1/rs/findById/party", json=body, headers=headers, timeout=5)


@pytest.mark.parametrize(
    ("body", "kpps"),
    [
        ({"query": "7700000016"}, ["770001001", "540043001", None]),
        ({"query": "7700000016", "branch_type": "MAIN"}, ["770001001"]),
        ({"query": "7700000016", "kpp": "540043001"}, ["540043001"]),
        ({"query": "500000000100", "type": "INDIVIDUAL"}, [None]),
        ({"query": "6600000042", "status": ["ACTIVE"]}, []),
        ({"query": "7707083893"}, []),
    ],
)
def test_dadata_finds_by_inn(registry: str, body: dict[str, Any], kpps: list[str | None]) -> None:
    answer = party(registry, **body)
    assert answer.status_code == 200
    assert [s["data"]["kpp"] for s in answer.json()["suggestions"]] == kpps


def test_dadata_wants_its_token(registry: str) -> None:
    assert party(registry, None, query="1").status_code == 401
    assert party(registry, "wrong", query="1").status_code == 403


def test_egrul_answers_in_two_steps_and_may_ask_to_wait(registry: str) -> None:
    def search(query: str) -> requests.Response:
        return requests.post(f"{registry}/", data={"query": query}, timeout=5)

    ticket = search("5400000036").json()
    assert ticket["captchaRequired"] is False
    result = f"{registry}/search-result/{ticket['t']}"
    assert requests.get(result, timeout=5).json() == {"status": "wait"}
    rows = requests.get(result, timeout=5).json()["rows"]
    assert [("e" in r, r["k"], r["p"]) for r in rows] == [(False, "ul", "540001001"), (True, "ul", "540001001")]
    requests.post(f"{registry}/_sandbox/switches", json={"captcha": True}, timeout=5)
    assert "captchaSearch" in search("5400000036").json()["ERRORS"]
    assert "error" in requests.post(f"{registry}/_sandbox/seed", json={"companies": [{"x": 1}]}, timeout=5).json()
