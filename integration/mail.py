"""Letters: their texts from templates, and SMTP with its dialogue told apart in the terms of `errors`.

4xx, no connection, cut before the letter was whole  Transient: the client surely has nothing
5xx about the letter, or about all its recipients    Rejected: a person mends the address, then replays
5xx about some of its recipients                     sent to the others, and told
5xx before the letter, TLS, password                 Misconfigured
no answer after the letter was whole                 Ambiguous: sent again under the same Message-ID
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import jinja2

from integration.errors import Ambiguous, Crm1cError, Held, Misconfigured, Rejected, Transient
from integration.rules.message import all_addresses, composed, first_address, sender_address, several, usable, wire
from integration.settings import Mail as MailTable
from integration.steps import boundary
from integration.work import Letter

SYSTEM = "mail"
TEMPLATES = Path(__file__).parent / "templates" / "letter"
NAMES = ("subject.txt", "body.txt", "body.html")  # for an act with act_ before


class Gate(Protocol):
    """The circuit breaker as the mailer sees it."""

    def gate(self, system: str) -> bool: ...

    def succeeded(self, system: str, *, probe: bool) -> None: ...

    def failed(self, system: str, reason: str, *, probe: bool, hold: bool = False) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where letters are handed over, and as whom; seconds to wait for a connection and for each answer."""

    host: str
    port: int
    tls: Literal["starttls", "tls", "none"]
    sender: str
    username: str = ""
    password: str = ""
    reply_to: str = ""
    connect_timeout: float = 3.0
    read_timeout: float = 60.0


class Texts:
    """The three texts of a letter from Jinja templates, an invoice's or an act's (fact "kind"); what `folder` lacks is
    taken from those shipped."""

    def __init__(self, language: str, folder: Path | None = None) -> None:
        folders = [folder, TEMPLATES / language] if folder else [TEMPLATES / language]
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folders),
            autoescape=jinja2.select_autoescape(["html"]),
            undefined=jinja2.StrictUndefined,
        )

    def __call__(self, values: Mapping[str, Any]) -> tuple[str, str, str]:
        """(subject, plain text, HTML). Raises Misconfigured for a template that can't be used."""
        before = "act_" if values.get("kind") == "act" else ""
        try:
            made = [self._environment.get_template(before + name).render(values) for name in NAMES]
        except (jinja2.TemplateError, OSError) as error:
            reason = f"Шаблон письма не годится: {error}. Администратору: исправьте его ([mail] templates)."
            raise Misconfigured(reason, system=SYSTEM) from error
        return " ".join(made[0].split()), made[1], made[2]


class Mailer:
    """Hands letters over to one SMTP server, each in a session of its own."""

    def __init__(self, server: Server, texts: Texts, gate: Gate) -> None:
        self.server, self.texts, self._gate = server, texts, gate
        self.sender = sender_address(server.sender)

    def message_id(self, key: str) -> str:
        """The letter's own id for ever: of the invoice's key with its version, at the sender's domain."""
        return f"<{key}@{wire(self.sender).rpartition('@')[2]}>"

    def address(self, text: str) -> str:
        """The first usable address of a field where people also write several, or a name; empty when there is none."""
        return first_address(text)

    def greet(self) -> None:
        """Connect, start TLS and sign in as for a letter, and leave without one. Raises Transient or Misconfigured;
        nobody's queue is held for it."""
        session = self._opened()
        with suppress(OSError, smtplib.SMTPException):
            session.quit()
        session.close()

    def addresses(self, texts: Iterable[str]) -> str:
        """Every usable address of these fields, as a letter's `to` has them; empty when there is none."""
        return all_addresses(texts)

    def send(self, letter: Letter) -> tuple[str, ...]:
        """Hand the letter over; returns what the server said of recipients that it refused while it took the letter for
        others. Raises as the module's docstring has it; Held while the circuit is open."""
        to = [usable(one) for one in several(letter.to)]
        raw = composed(letter, self.server.sender, self.server.reply_to)
        probe = self._gate.gate(SYSTEM)
        try:
            refused = self._deliver(raw, to, letter.copies)
        except Crm1cError as error:
            # What the server says of one letter is no trouble of the server.
            if (isinstance(error, Transient) and not error.detail[:1].isdigit()) or error.hold:
                self._gate.failed(SYSTEM, error.reason, probe=probe, hold=error.hold)
                if probe and not isinstance(error, Ambiguous):  # a probe costs its letter no attempt
                    raise Held(error.reason, system=SYSTEM, detail=error.detail) from error
            else:
                self._gate.succeeded(SYSTEM, probe=probe)
            raise
        self._gate.succeeded(SYSTEM, probe=probe)
        return refused

    def _deliver(self, raw: bytes, to: list[str], copies: tuple[str, ...]) -> tuple[str, ...]:
        session = self._opened()
        try:
            _told(session.mail(wire(self.sender)), "отправителя")
            refused = _to_all(session, to)
            refused += [f"{one}: {error.reason}" for one in copies if (error := _untold(session, wire(one)))]
            _told(session.docmd("DATA"), "письма", good=354)
            boundary("letter: before")
            # From here on as smtplib's own data(), but with the two ways of losing the connection told apart.
            session.send(_dotted(raw))
            _whole(session)
        except (OSError, smtplib.SMTPServerDisconnected) as error:
            told = "Почтовый сервер прервал связь раньше, чем принял письмо. Отправим ещё раз."
            raise Transient(told, system=SYSTEM, detail=type(error).__name__) from error
        else:
            return tuple(refused)
        finally:
            with suppress(OSError, smtplib.SMTPException):
                session.putcmd("quit")  # nobody waits for its answer: what was sent is to be written down at once
            session.close()

    def _opened(self) -> smtplib.SMTP:
        """A session, signed in. Raises Transient or Misconfigured."""
        server, context = self.server, ssl.create_default_context()
        try:
            session = _Session(server, context)
        except ssl.SSLError as error:
            raise _wrong("сертификат TLS почтового сервера не принят", error) from error
        except smtplib.SMTPConnectError as error:
            raise _refused(error.smtp_code, error.smtp_error, "приветствие") from error
        except (OSError, smtplib.SMTPException) as error:
            told = f"Почтовый сервер {server.host} не отвечает. Отправим сами, как только ответит."
            raise Transient(told, system=SYSTEM, detail=type(error).__name__) from error
        try:
            session.ehlo_or_helo_if_needed()
            if server.tls == "starttls":
                session.starttls(context=context)
                session.ehlo_or_helo_if_needed()
            if server.username:
                session.login(server.username, server.password)
        except BaseException as error:
            session.close()
            if isinstance(error, ssl.SSLError):
                raise _wrong("сертификат TLS почтового сервера не принят", error) from error
            if isinstance(error, smtplib.SMTPNotSupportedError):
                raise _wrong("почтовый сервер не умеет того, что настроено (tls, username)", error) from error
            if isinstance(error, smtplib.SMTPResponseException):
                raise _refused(error.smtp_code, error.smtp_error, "вход") from error
            if isinstance(error, OSError | smtplib.SMTPException):
                told = "Почтовый сервер прервал связь. Отправим ещё раз."
                raise Transient(told, system=SYSTEM, detail=type(error).__name__) from error
            raise
        return session


def mailer_of(table: MailTable, gate: Gate, folder: Path) -> Mailer:
    """[mail] as a mailer; `folder` is the configuration's own."""
    server = Server(
        host=table.host or "",
        port=table.port,
        tls=table.tls,
        sender=table.sender,
        username=table.username or "",
        password=table.password[0].reveal() if table.password else "",
        reply_to=table.reply_to or "",
        connect_timeout=table.connect_timeout,
        read_timeout=table.read_timeout,
    )
    return Mailer(server, Texts(table.language, folder / table.templates if table.templates else None), gate)


class _Session(smtplib.SMTP):
    """smtplib's session with a timeout of its own for the connection, and the sender's domain as our name."""

    def __init__(self, server: Server, context: ssl.SSLContext) -> None:
        self._server, self._context = server, context
        name = wire(sender_address(server.sender)).rpartition("@")[2]
        super().__init__(server.host, server.port, name, server.read_timeout)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made = socket.create_connection((host, port), self._server.connect_timeout)
        made.settimeout(timeout)
        return self._context.wrap_socket(made, server_hostname=host) if self._server.tls == "tls" else made


def _to_all(session: smtplib.SMTP, to: list[str]) -> list[str]:
    """Name the recipients; what the server said of those that it will never take. None of them gets the letter while it
    puts one off: else the next try would be a second letter to the others."""
    refused: list[tuple[str, Rejected]] = []
    for one in to:
        error = _untold(session, one)
        if isinstance(error, Rejected):
            refused.append((one, error))
        elif error is not None:
            raise error
    if len(refused) == len(to):
        raise refused[0][1]
    return [f"{one}: {error.reason}" for one, error in refused]


def _untold(session: smtplib.SMTP, address: str) -> Crm1cError | None:
    """What speaks against this recipient; None: nothing. Raises OSError when the connection goes."""
    try:
        _told(session.rcpt(address), "получателя")
    except Crm1cError as error:
        return error
    return None


def _whole(session: smtplib.SMTP) -> None:
    """The answer to the whole letter: only now does a lost connection leave a doubt."""
    try:
        answer = session.getreply()
    except (OSError, smtplib.SMTPServerDisconnected) as error:
        told = "Почтовый сервер не подтвердил письмо: неизвестно, ушло ли оно. Отправим ещё раз с тем же Message-ID."
        raise Ambiguous(told, system=SYSTEM, detail=type(error).__name__) from error
    boundary("letter: answered")
    _told(answer, "письма")


def _told(answer: tuple[int, bytes], what: str, good: int = 250) -> None:
    code, said = answer
    if code == good or (good == 250 and code == 251):
        return
    words = said.decode("utf-8", "replace")
    detail = f"{code} {words}"
    if code == 530:
        raise _wrong("почтовый сервер требует входа: проверьте username и password в [mail]", None, detail)
    if code == -1:  # smtplib: the connection went while the line was read
        raise smtplib.SMTPServerDisconnected(words)
    if 400 <= code < 500:
        told = f"Почтовый сервер отложил приём {what} ({code}). Отправим ещё раз."
        raise Transient(told, system=SYSTEM, detail="" if code == 421 else detail)
    short = " ".join(words.split())[:150]
    raise Rejected(
        f"Почтовый сервер не принял {what} ({code} {short}). Исправьте адрес почты и повторите.",
        system=SYSTEM,
        detail=detail,
    )


def _refused(code: int, said: bytes | str, step: str) -> Crm1cError:
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    if 400 <= code < 500 or code == -1:
        told = f"Почтовый сервер сейчас не принимает писем ({code}). Отправим ещё раз."
        return Transient(told, system=SYSTEM, detail="" if code in (421, -1) else words)
    return _wrong(f"почтовый сервер отказал на шаге «{step}» ({code}): проверьте [mail]", None, words)


def _wrong(told: str, error: Exception | None, detail: str = "") -> Misconfigured:
    return Misconfigured(f"Почта: {told}.", system=SYSTEM, detail=detail or str(error), hold=True)


def _dotted(raw: bytes) -> bytes:
    """The letter as DATA carries it: a line's first dot doubled, and the dot that ends it (RFC 5321, 4.5.2)."""
    body = re.sub(rb"(?m)^\.", b"..", raw)
    return body + (b"" if body.endswith(b"\r\n") else b"\r\n") + b".\r\n"
