"""A letter as the wire carries it, and addresses as people and as DNS write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from email.charset import BASE64, SHORTEST, Charset
from email.header import Header
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import format_datetime, formataddr

from integration.errors import Rejected
from integration.work import Letter

_LONGEST = 320  # characters of all recipients of a letter together, as they are kept
_SENDER = re.compile(r"([^<>]*)<([^<>]+)>")
POLICY = compat32.clone(linesep="\r\n")
_ADDRESS = re.compile(r"[^@\s,;:<>()\"\[\]\\]+@[^@\s,;:<>()\"\[\]\\]+\.[^@\s,;:<>()\"\[\]\\]+")


def composed(letter: Letter, sender: str, reply_to: str = "") -> bytes:
    """The whole message as it goes over the wire; the same letter gives the same bytes.

    Made with the classic headers: the newer ones lose a space where they fold a long Russian subject.
    """
    name, address = _named(sender)
    message = MIMEMultipart("mixed")
    message["From"] = formataddr((name, wire(address)), _utf8())
    message["To"] = ", ".join(wire(one) for one in several(letter.to))
    message["Subject"] = Header(
        " ".join(letter.subject.split()), _utf8(), maxlinelen=75, header_name="Subject"
    ).encode()
    message["Date"] = format_datetime(letter.date)
    message["Message-ID"] = letter.message_id
    if reply_to:
        message["Reply-To"] = wire(reply_to)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: holiday replies stay away
    texts = MIMEMultipart("alternative")
    texts.attach(MIMEText(letter.text, "plain", _utf8()))  # type: ignore[arg-type]  # a Charset serves too
    texts.attach(MIMEText(letter.html, "html", _utf8()))  # type: ignore[arg-type]
    message.attach(texts)
    for file_name, content in letter.files:
        part = MIMEApplication(content, "pdf")
        part.add_header("Content-Disposition", "attachment", filename=("utf-8", "", file_name))
        message.attach(part)
    mark = re.sub(r"[^0-9a-zA-Z]", "", letter.message_id)[:40]
    for number, whole in enumerate((message, texts)):
        whole.set_boundary(f"=_crm1c_{mark}_{number}")  # else a new one each time
    return message.as_bytes(policy=POLICY)


def _utf8() -> Charset:
    """UTF-8 as Python ships it: Apprise changes how the whole process writes it, and a letter's bytes must not change
    with what else was imported."""
    made = Charset("utf-8")
    made.header_encoding, made.body_encoding = SHORTEST, BASE64
    return made


def first_address(text: str) -> str:
    """The first usable address of a field where people also write several, or a name; empty when there is none."""
    found = _ADDRESS.search(text)
    return found[0].strip(".") if found else ""


def all_addresses(texts: Iterable[str]) -> str:
    """Every usable address of these fields, each once, as a letter's `to` has them; no more than a row holds."""
    found = dict.fromkeys(one.strip(".") for text in texts for one in _ADDRESS.findall(text))
    kept: list[str] = []
    for one in found:
        if len(", ".join([*kept, one])) <= _LONGEST:
            kept.append(one)
    return ", ".join(kept)


def several(to: str) -> list[str]:
    """The addresses of a letter's `to`."""
    return [one.strip() for one in to.split(",")]


def sender_address(sender: str) -> str:
    """The sender's bare address."""
    return _named(sender)[1]


def _named(sender: str) -> tuple[str, str]:
    """(name, address) of «Отдел продаж, Москва <a@b.ru>»: people put no quotes round a name with a comma."""
    found = _SENDER.fullmatch(sender.strip())
    return (found[1].strip(' "'), found[2].strip()) if found else ("", sender.strip())


def usable(address: str) -> str:
    if not _ADDRESS.fullmatch(address):
        raise Rejected(f"«{address[:100]}» — не адрес почты. Исправьте его в карточке клиента и повторите.")
    written = wire(address)
    if not written.isascii():
        raise Rejected(f"Адрес «{address[:100]}» не отправить: слева от @ нужны латинские буквы.")
    return written


def wire(address: str) -> str:
    """The address with its domain as DNS has it: почта.рф → xn--….xn--p1ai."""
    local, at, domain = address.rpartition("@")
    with suppress(UnicodeError):
        domain = domain.encode("idna").decode()
    return f"{local}{at}{domain}"
