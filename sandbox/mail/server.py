"""The SMTP side: letters kept in memory (and in a folder), and faults at each step of a session."""

from __future__ import annotations

import asyncio
import email
import email.policy
import hashlib
import re
import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

STEPS = ("ehlo", "mail", "rcpt", "data")
TEXTS = {421: "Service not available, closing channel", 451: "Local error in processing", 452: "Insufficient storage",
         550: "Mailbox unavailable", 552: "Message too large", 554: "Transaction failed"}  # fmt: skip


@dataclass(slots=True)
class MailFault:
    """One fault of the mail server.

    ``kind`` ``reply``: answer ``code`` at step ``at`` (``ehlo``, ``mail``, ``rcpt``, ``data``); a 421 also closes.
    ``cut``: the connection ends after DATA without an answer; the letter is kept all the same if ``kept``.
    ``latency``: wait ``seconds`` before answering DATA. ``to``: a regular expression that a recipient must match.
    ``times``: how often at most (None: always).
    """

    kind: str
    at: str = "data"
    code: int = 451
    to: str | None = None
    times: int | None = None
    seconds: float = 1.0
    kept: bool = True
    id: int = 0
    fired: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("reply", "cut", "latency"):
            raise ValueError("kind: one of reply, cut, latency")
        if self.at not in STEPS:
            raise ValueError(f"at: one of {', '.join(STEPS)}")
        if not 400 <= int(self.code) <= 599:
            raise ValueError("code: 400 to 599")


@dataclass(slots=True)
class Letter:
    """One accepted letter."""

    n: int
    at: str
    sender: str
    recipients: list[str]
    raw: bytes
    answered: bool = True
    user: str | None = None
    parsed: EmailMessage = field(init=False)

    def __post_init__(self) -> None:
        self.parsed = email.message_from_bytes(self.raw, policy=email.policy.default)

    def told(self) -> dict[str, Any]:
        """JSON form: envelope, headers, both texts, attachments by name, type, size and digest."""
        letter = self.parsed
        plain, html = letter.get_body(("plain",)), letter.get_body(("html",))
        files = []
        for part in letter.iter_attachments():
            content = part.get_payload(decode=True)
            content = content if isinstance(content, bytes) else b""
            files.append({"name": part.get_filename(), "type": part.get_content_type(), "size": len(content),
                          "sha256": hashlib.sha256(content).hexdigest()})  # fmt: skip
        return {
            "n": self.n, "at": self.at, "from": self.sender, "to": self.recipients, "user": self.user,
            "subject": str(letter["subject"] or ""), "message_id": str(letter["message-id"] or ""),
            "headers": {k: str(v) for k, v in letter.items()},
            "text": plain.get_content() if plain else None, "html": html.get_content() if html else None,
            "attachments": files, "size": len(self.raw), "answered": self.answered,
        }  # fmt: skip


class Mail:
    """An SMTP server on loopback, as a context manager; ``port`` is known once it is entered.

    ``password``: what AUTH must bring (None: anything goes, and AUTH is not required).
    """

    def __init__(self, port: int = 0, *, folder: Path | None = None, password: str | None = None) -> None:
        self.port = port
        self.folder = folder
        self.password = password
        self._lock = threading.Condition()
        self._letters: list[Letter] = []
        self._count = 0
        self._faults: list[MailFault] = []
        self._fault_count = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sandbox smtp", daemon=True)
        self._server: asyncio.AbstractServer | None = None

    # -- life ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> Mail:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        return self

    def __exit__(self, *_exc: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        """Take no more sessions, and end those that still go on."""
        if self._server is not None:
            self._server.close()
        going = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)

    async def _listen(self) -> asyncio.AbstractServer:
        def session() -> SMTP:
            return SMTP(self, hostname="mail.sandbox.example", enable_SMTPUTF8=True, auth_require_tls=False,
                        authenticator=self._authenticate,
                        data_size_limit=64 << 20, loop=self._loop)  # fmt: skip

        return await self._loop.create_server(session, "127.0.0.1", self.port)

    def _authenticate(
        self, _server: SMTP, session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        given = data.password.decode("utf-8", "replace")
        session.user = data.login.decode("utf-8", "replace")  # type: ignore[attr-defined]
        return AuthResult(success=self.password is None or given == self.password, handled=False)

    # -- faults -------------------------------------------------------------------------------------------------

    def add_fault(self, body: dict[str, Any]) -> int:
        """A fault from its JSON form (see :class:`MailFault`); ValueError when it makes no sense."""
        if not isinstance(body, dict):
            raise ValueError("a JSON object is expected")  # noqa: TRY004 – the face answers ValueError with 400
        try:
            fault = MailFault(**{k: v for k, v in body.items() if k not in ("id", "fired")})
            re.compile(fault.to or "")
        except (TypeError, re.error) as error:
            raise ValueError(str(error)) from error
        with self._lock:
            self._fault_count += 1
            fault.id = self._fault_count
            self._faults.append(fault)
        return fault.id

    def faults(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(f) for f in self._faults]

    def clear_faults(self) -> None:
        with self._lock:
            self._faults.clear()

    def _draw(self, step: str, recipients: list[str], kinds: tuple[str, ...] = ("reply",)) -> MailFault | None:
        with self._lock:
            for fault in self._faults:
                if fault.kind not in kinds or (fault.kind == "reply" and fault.at != step):
                    continue
                if fault.times is not None and fault.fired >= fault.times:
                    continue
                if fault.to and not any(re.search(fault.to, r) for r in recipients):
                    continue
                fault.fired += 1
                return fault
        return None

    def _reply(self, server: SMTP, step: str, recipients: list[str]) -> str | None:
        fault = self._draw(step, recipients)
        if fault is None:
            return None
        code = int(fault.code)
        if code == 421:  # the server says so and goes
            transport: Any = server.transport
            self._loop.call_soon(transport.close)  # after the answer, which aiosmtpd writes in this very step
        return f"{code} {TEXTS.get(code, 'Refused')}"

    # -- the session, as aiosmtpd calls it ----------------------------------------------------------------------

    async def handle_EHLO(self, server: SMTP, session: Session, _envelope: Envelope, hostname: str,
                          responses: list[str]) -> list[str]:  # fmt: skip
        session.host_name = hostname
        refusal = self._reply(server, "ehlo", [])
        return [refusal] if refusal else responses

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str,
                          options: list[str]) -> str:  # fmt: skip
        if self.password is not None and not session.authenticated:
            return "530 5.7.0 Authentication required"
        refusal = self._reply(server, "mail", [])
        if refusal:
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server: SMTP, _session: Session, envelope: Envelope, address: str,
                          options: list[str]) -> str:  # fmt: skip
        refusal = self._reply(server, "rcpt", [address])
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        recipients = [str(r) for r in envelope.rcpt_tos]
        slow = self._draw("data", recipients, ("latency",))
        if slow is not None:
            await asyncio.sleep(float(slow.seconds))
        refusal = self._reply(server, "data", recipients)
        if refusal:
            return refusal
        cut = self._draw("data", recipients, ("cut",))
        if cut is None or cut.kept:
            content = envelope.content or b""
            raw = content if isinstance(content, bytes) else content.encode()
            self._keep(str(envelope.mail_from), recipients, raw, cut is None, getattr(session, "user", None))
        if cut is not None:  # accepted or not: the client cannot know
            _hang_up(server)
        return "250 OK"

    def _keep(self, sender: str, recipients: list[str], raw: bytes, answered: bool, user: str | None) -> None:
        with self._lock:
            self._count += 1
            letter = Letter(self._count, datetime.now(UTC).isoformat(), sender, recipients, raw, answered, user)
            self._letters.append(letter)
            self._lock.notify_all()
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{letter.n:05d}.eml").write_bytes(raw)

    # -- reading ------------------------------------------------------------------------------------------------

    def letters(self, since: int = 0, to: str | None = None) -> list[dict[str, Any]]:
        """Letters after number ``since``, oldest first; ``to``: only those with that recipient."""
        with self._lock:
            found = [x for x in self._letters if x.n > since and (to is None or to in x.recipients)]
        return [letter.told() for letter in found]

    def raw(self, n: int) -> bytes | None:
        with self._lock:
            return next((x.raw for x in self._letters if x.n == n), None)

    def wait(self, count: int = 1, timeout: float = 10.0) -> list[dict[str, Any]]:
        """The letters, as soon as there are ``count``; TimeoutError when there are fewer for too long."""
        until = time.monotonic() + timeout
        with self._lock:
            if not self._lock.wait_for(lambda: len(self._letters) >= count, until - time.monotonic()):
                raise TimeoutError(f"{len(self._letters)} letters of {count}")
        return self.letters()

    def clear(self) -> None:
        with self._lock:
            self._letters.clear()


def _hang_up(server: SMTP) -> None:
    transport: Any = server.transport
    if transport is not None:
        transport.abort()
