"""Letters over SMTP: what a real server (aiosmtpd) gets, and what each of its refusals means."""

from __future__ import annotations

import email
import email.charset
import email.policy
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from integration.errors import Ambiguous, Crm1cError, Held, Misconfigured, Rejected, Transient
from integration.mail import Mailer, Server, Texts
from integration.rules.message import composed
from integration.work import Letter
from sandbox.mail import Mail

LETTER = Letter(
    "buh@romashka.example",
    "Счет № 57 от 24.11.2026 на 1 220 000,00 руб. – ООО «Рассвет-Сервис», Москва, отдел договорной работы и расчётов",
    "Здравствуйте!\n.точка в начале строки\n",
    "<p>Здравствуйте!</p>",
    "<0b5c@rassvet.example>",
    datetime(2026, 11, 24, 9, 30, tzinfo=UTC),
    (("Счет № 57 от 24.11.2026.pdf", b"%PDF-1.7\r\n.\r\n" + bytes(range(256)) * 40),),
)
FACTS = {
    "number": "57",
    "date": "24.11.2026",
    "total": "1\u00a0220,00",
    "currency": "руб.",
    "supplier": "ООО <Р>",
    "due": "",
    "qr": True,
    "issue": 1,
}


@dataclass
class Gates:
    """What the circuit breaker was told."""

    told: list[str] = field(default_factory=list)
    probing: bool = False

    def gate(self, _system: str) -> bool:
        return self.probing

    def succeeded(self, system: str, *, probe: bool) -> None:
        self.told.append("succeeded")

    def failed(self, system: str, reason: str, *, probe: bool, hold: bool = False) -> None:
        self.told.append("held" if hold else "failed")


@pytest.fixture
def gates() -> Gates:
    return Gates()


def mailer(gates: Gates, port: int, **more: Any) -> Mailer:
    server = Server(host="127.0.0.1", port=port, tls="none", sender="Бухгалтерия <buh@rassvet.example>")
    return Mailer(replace(server, **({"connect_timeout": 2.0, "read_timeout": 5.0} | more)), Texts("ru"), gates)


@pytest.fixture
def post() -> Iterator[Mail]:
    with Mail() as mail:
        yield mail


# What arrives


def test_the_letter_arrives_as_it_was_meant(post: Mail, gates: Gates) -> None:
    """Long Russian subject, both texts, the file byte for byte; a line that is a dot alone ends nothing."""
    mailer(gates, post.port, reply_to="sales@rassvet.example").send(LETTER)
    [told] = post.letters()
    message = email.message_from_bytes(post.raw(1) or b"", policy=email.policy.default)
    assert (told["from"], told["to"]) == ("buh@rassvet.example", [LETTER.to])
    assert told["subject"] == LETTER.subject
    assert told["message_id"] == LETTER.message_id
    assert told["text"].replace("\r\n", "\n") == LETTER.text
    assert told["html"].strip() == LETTER.html
    [part] = list(message.iter_attachments())
    assert (part.get_filename(), part.get_payload(decode=True)) == LETTER.files[0]
    assert str(message["From"]) == "Бухгалтерия <buh@rassvet.example>"
    assert message["Reply-To"] == "sales@rassvet.example"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime == LETTER.date
    assert gates.told == ["succeeded"]


@pytest.mark.parametrize(
    ("sender", "name"),
    [
        ("buh@rassvet.example", ""),
        ("<buh@rassvet.example>", ""),
        ("Рассвет, бухгалтерия <buh@rassvet.example>", "Рассвет, бухгалтерия"),
        ('"Rassvet, Ltd." <buh@rassvet.example>', "Rassvet, Ltd."),
    ],
)
def test_the_sender_may_have_a_name_with_anything_in_it(post: Mail, gates: Gates, sender: str, name: str) -> None:
    """A comma, quotes, Russian letters, nothing."""
    mailer(gates, post.port, sender=sender).send(LETTER)
    message = email.message_from_bytes(post.raw(1) or b"", policy=email.policy.default)
    [address] = message["From"].addresses
    assert (address.display_name, address.addr_spec) == (name, "buh@rassvet.example")
    assert post.letters()[0]["from"] == "buh@rassvet.example"


def test_lines_are_as_long_as_a_server_must_take() -> None:
    """RFC 5322: 998 at most; RFC 2047: an encoded word has 75 at most."""
    raw = composed(LETTER, "Бухгалтерия <buh@rassvet.example>")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")
    head = raw.partition(b"\r\n\r\n")[0]
    assert all(len(word) <= 75 for word in head.split() if word.startswith(b"=?"))
    assert head.isascii()


def test_the_same_letter_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a second one is a copy of the first to every filter on the way, whatever else a process has imported:
    Apprise changes how Python writes UTF-8 into letters."""
    sender = "Бухгалтерия <buh@rassvet.example>"
    first = composed(LETTER, sender)
    for table in (
        {"utf-8": (email.charset.QP, email.charset.QP, "utf-8")},
        {"utf-8": (email.charset.SHORTEST, email.charset.BASE64, "utf-8")},
    ):
        monkeypatch.setattr(email.charset, "CHARSETS", table)
        assert composed(LETTER, sender) == first


@pytest.mark.parametrize(
    ("to", "wire"),
    [("info@почта.рф", "info@xn--80a1acny.xn--p1ai"), ("Info@Romashka.Example", "Info@Romashka.Example")],
)
def test_a_russian_domain_is_written_as_dns_has_it(post: Mail, gates: Gates, to: str, wire: str) -> None:
    """On the envelope and in the header."""
    mailer(gates, post.port).send(replace(LETTER, to=to))
    assert post.letters()[0]["to"] == [wire]


@pytest.mark.parametrize(
    "to", ["", "нет", "a@b", "a b@c.ru", "a@b.ru\r\nRCPT TO:<x@y.ru>", "бух@ромашка.рф", "<a@b.ru>"]
)
def test_what_is_no_address_is_told_and_not_sent(post: Mail, gates: Gates, to: str) -> None:
    """Nothing goes over the wire."""
    with pytest.raises(Rejected, match=r"[аА]дрес"):
        mailer(gates, post.port).send(replace(LETTER, to=to))
    assert post.letters() == []


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("a@b.ru", "a@b.ru"),
        ("Анна <a@b.ru>; второй@c.ru", "a@b.ru"),
        ("a@b.ru, c@d.ru", "a@b.ru"),
        (" a.b-c+d@sub.domain.example. ", "a.b-c+d@sub.domain.example"),
        ("нет почты", ""),
        ("", ""),
    ],
)
def test_the_first_address_of_what_people_write_is_taken(gates: Gates, written: str, found: str) -> None:
    """A name before it, several of them, a full stop after it."""
    assert mailer(gates, 1).address(written) == found


def test_several_recipients_get_one_letter_and_copies_are_not_seen(post: Mail, gates: Gates) -> None:
    """One session, one message; our own people stand on the envelope alone."""
    letter = replace(LETTER, to="buh@romashka.example, info@почта.рф", copies=("archive@rassvet.example",))
    assert mailer(gates, post.port).send(letter) == ()
    [told] = post.letters()
    assert told["to"] == ["buh@romashka.example", "info@xn--80a1acny.xn--p1ai", "archive@rassvet.example"]
    assert told["headers"]["To"] == "buh@romashka.example, info@xn--80a1acny.xn--p1ai"
    assert b"archive" not in (post.raw(1) or b"")


def test_one_dead_address_of_several_is_told_and_the_others_get_it(post: Mail, gates: Gates) -> None:
    """550 of one of them; 550 of all of them is a refusal."""
    post.add_fault({"kind": "reply", "at": "rcpt", "code": 550, "to": "dead"})
    letter = replace(LETTER, to="a@romashka.example, dead@romashka.example")
    [said] = mailer(gates, post.port).send(letter)
    assert said.startswith("dead@romashka.example: ")
    assert "550" in said
    assert post.letters()[0]["to"] == ["a@romashka.example"]
    with pytest.raises(Rejected, match="550"):
        mailer(gates, post.port).send(replace(LETTER, to="dead@romashka.example, dead2@romashka.example"))
    assert len(post.letters()) == 1


def test_nobody_gets_it_while_one_of_them_is_put_off(post: Mail, gates: Gates) -> None:
    """The next try would be a second letter to the others."""
    post.add_fault({"kind": "reply", "at": "rcpt", "code": 451, "to": "busy", "times": 1})
    letter = replace(LETTER, to="a@romashka.example, busy@romashka.example")
    with pytest.raises(Transient):
        mailer(gates, post.port).send(letter)
    assert post.letters() == []
    assert mailer(gates, post.port).send(letter) == ()
    assert len(post.letters()) == 1


def test_a_copy_that_is_refused_keeps_nothing_from_the_client(post: Mail, gates: Gates) -> None:
    """Whatever the code; it is told."""
    post.add_fault({"kind": "reply", "at": "rcpt", "code": 451, "to": "archive"})
    [said] = mailer(gates, post.port).send(replace(LETTER, copies=("archive@rassvet.example",)))
    assert "archive@rassvet.example" in said
    assert post.letters()[0]["to"] == [LETTER.to]


@pytest.mark.parametrize(
    ("fields", "to"),
    [
        (["a@b.ru", "c@d.ru; a@b.ru"], "a@b.ru, c@d.ru"),
        (["Анна <a@b.ru>, b@c.ru."], "a@b.ru, b@c.ru"),
        (["", "нет"], ""),
    ],
)
def test_all_addresses_are_each_taken_once(gates: Gates, fields: list[str], to: str) -> None:
    """From what people write in several fields."""
    assert mailer(gates, 1).addresses(fields) == to


def test_more_addresses_than_a_row_holds_are_left_out_whole(gates: Gates) -> None:
    """None is cut in the middle."""
    found = mailer(gates, 1).addresses([f"user{n}@{'long' * 10}.example" for n in range(20)])
    assert len(found) <= 320
    assert all(one.endswith(".example") for one in found.split(", "))
    assert len(found.split(", ")) > 4


# What refusals mean


@pytest.mark.parametrize(
    ("at", "code", "error", "told"),
    [
        ("rcpt", 450, Transient, "succeeded"),
        ("data", 451, Transient, "succeeded"),
        ("mail", 452, Transient, "succeeded"),
        ("data", 421, Transient, "failed"),
        ("ehlo", 421, Transient, "failed"),
        ("rcpt", 550, Rejected, "succeeded"),
        ("data", 554, Rejected, "succeeded"),
        ("mail", 552, Rejected, "succeeded"),
        ("mail", 530, Misconfigured, "held"),
    ],
)
def test_each_refusal_has_its_meaning(
    post: Mail, gates: Gates, at: str, code: int, error: type[Crm1cError], told: str
) -> None:
    """4xx comes back, 5xx of a letter is a person's, 5xx before it an administrator's; one letter opens no circuit."""
    post.add_fault({"kind": "reply", "at": at, "code": code})
    with pytest.raises(Crm1cError) as raised:
        mailer(gates, post.port).send(LETTER)
    assert type(raised.value) is error
    assert str(code) in f"{raised.value.reason} {raised.value.detail}" or code == 421 or told == "held"
    assert gates.told == [told]
    assert post.letters() == []


def test_no_answer_after_the_letter_was_whole_is_a_doubt(post: Mail, gates: Gates) -> None:
    """It may have gone."""
    post.add_fault({"kind": "cut"})
    with pytest.raises(Ambiguous, match="тем же Message-ID"):
        mailer(gates, post.port).send(LETTER)
    assert len(post.letters()) == 1


def test_silence_after_the_letter_is_a_doubt_too(post: Mail, gates: Gates) -> None:
    """A server that thinks longer than we wait."""
    post.add_fault({"kind": "latency", "seconds": 1.5})
    with pytest.raises(Ambiguous):
        mailer(gates, post.port, read_timeout=0.2).send(LETTER)


def test_a_server_that_is_not_there_is_waited_for(gates: Gates) -> None:
    """Nobody listens; as a probe it costs the letter no attempt."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        with pytest.raises(Transient, match="не отвечает"):
            mailer(gates, port).send(LETTER)
        gates.probing = True
        with pytest.raises(Held):
            mailer(gates, port).send(LETTER)
    assert gates.told == ["failed", "failed"]


@pytest.mark.parametrize("until", [b"", b"220 here", b"EHLO", b"MAIL", b"RCPT", b"DATA", b"part"])
def test_a_connection_lost_before_the_letter_was_whole_is_no_doubt(gates: Gates, until: bytes) -> None:
    """Cut at each step, and amid the letter: the client surely has nothing."""
    with cutting(until) as port, pytest.raises(Transient) as raised:
        mailer(gates, port).send(replace(LETTER, files=(("a.pdf", b"%PDF" + b"x" * 40_000_000),)))
    assert not isinstance(raised.value, Ambiguous)


@contextmanager
def cutting(step: bytes) -> Iterator[int]:
    """A server that goes away at that step: at once, after its greeting, at a command, or amid the letter's lines."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_cut, args=(server, step), daemon=True)
        thread.start()
        yield server.getsockname()[1]
    thread.join(10)


def _cut(server: socket.socket, step: bytes) -> None:
    connection, _ = server.accept()
    with connection, connection.makefile("rb") as lines:
        if not step:
            return
        connection.sendall(b"220 here\r\n")
        if step == b"220 here":
            return
        for line in lines:
            command = line[:4].upper()
            if command == step:
                return
            connection.sendall(b"354 go on\r\n" if command == b"DATA" else b"250 OK\r\n")
            if command == b"DATA":
                lines.read(1000)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, not an end
                return


# TLS and the password


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, in one file."""
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", file, "-out", f"{file}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_bytes(file.read_bytes() + Path(f"{file}.crt").read_bytes())
    return file


class Keeper:
    """Keeps what a server of aiosmtpd takes."""

    def __init__(self) -> None:
        self.letters: list[bytes] = []
        self.users: list[str] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.letters.append(envelope.content)
        return "250 OK"

    def authenticator(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        self.users.append(data.login.decode())
        return AuthResult(success=data.password == b"right", handled=False)


@contextmanager
def secure(certificate: Path, tls: str) -> Iterator[tuple[Keeper, int]]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    keeper = Keeper()
    whole: dict[str, Any] = {"ssl_context": context} if tls == "tls" else {}

    class Served(Controller):
        def factory(self) -> SMTP:
            more = {} if tls == "tls" else {"tls_context": context, "require_starttls": True}
            return SMTP(keeper, authenticator=keeper.authenticator, auth_require_tls=tls != "tls", **more)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Served(keeper, hostname="127.0.0.1", port=port, **whole)
    server.start()
    try:
        yield keeper, port
    finally:
        server.stop()


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_letters_go_over_tls_with_a_password(
    certificate: Path, gates: Gates, monkeypatch: pytest.MonkeyPatch, tls: Any
) -> None:
    """Both ways of TLS, the certificate checked against the machine's authorities."""
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    with secure(certificate, tls) as (keeper, port):
        mailer(gates, port, tls=tls, username="crm1c", password="right").send(LETTER)
        mailer(gates, port, tls=tls, username="crm1c", password="right").greet()
    assert len(keeper.letters) == 1
    assert keeper.users == ["crm1c", "crm1c"]


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for_is_not_taken(certificate: Path, gates: Gates, tls: Any) -> None:
    """The queue is held until an administrator has mended it."""
    with secure(certificate, tls) as (keeper, port), pytest.raises(Misconfigured, match="сертификат") as raised:
        mailer(gates, port, tls=tls).send(LETTER)
    assert raised.value.hold
    assert keeper.letters == []


def test_a_wrong_password_holds_the_queue(certificate: Path, gates: Gates, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each further letter would fare the same."""
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    with secure(certificate, "tls") as (_, port), pytest.raises(Misconfigured, match="вход") as raised:
        mailer(gates, port, tls="tls", username="crm1c", password="wrong").send(LETTER)
    assert raised.value.hold
    assert "wrong" not in f"{raised.value.reason} {raised.value.detail}"


def test_a_server_without_starttls_is_not_spoken_to_in_the_open(post: Mail, gates: Gates) -> None:
    """tls = "starttls" is a promise."""
    with pytest.raises(Misconfigured, match="не умеет"):
        mailer(gates, post.port, tls="starttls").send(LETTER)
    assert post.letters() == []


# The texts


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize("issue", [1, 2])
def test_texts_tell_what_is_attached(language: str, issue: int) -> None:
    """Number, sum and supplier in each of the three; names are text in HTML."""
    subject, text, html = Texts(language)({**FACTS, "issue": issue})
    for said in ("57", "24.11.2026"):
        assert said in subject
        assert said in text
        assert said in html
    assert "1\u00a0220,00" in text
    assert "ООО <Р>" in text
    assert "ООО &lt;Р&gt;" in html
    revised = {"ru": "исправлен", "en": "revised"}[language]
    assert (revised in subject) == (revised in text) == (revised in html) == (issue == 2)


@pytest.mark.parametrize(("language", "said"), [("ru", ("Акт № 57", "подписать")), ("en", ("Act No. 57", "sign it"))])
def test_an_acts_letter_asks_to_sign_and_not_to_pay(language: str, said: tuple[str, str]) -> None:
    """Its own three texts."""
    subject, text, html = Texts(language)({**FACTS, "kind": "act", "qr": False})
    assert subject.startswith(said[0])
    assert said[1] in text
    assert said[1] in html
    assert "QR" not in text + html
    revised = Texts(language)({**FACTS, "kind": "act", "issue": 2})
    assert all(({"ru": "исправлен", "en": "revised"}[language]) in one for one in revised)


def test_an_own_template_stands_in_place_of_ours(tmp_path: Path) -> None:
    """File by file: the others stay."""
    (tmp_path / "subject.txt").write_text("Ваш счёт {{ number }}")
    subject, text, _ = Texts("ru", tmp_path)(FACTS)
    assert subject == "Ваш счёт 57"
    assert "Во вложении счет № 57" in text


@pytest.mark.parametrize("template", ["{{ nothing }}", "{% if %}"])
def test_a_broken_template_is_told_to_the_administrator(tmp_path: Path, template: str) -> None:
    """An unknown name, or no Jinja at all."""
    (tmp_path / "body.txt").write_text(template)
    with pytest.raises(Misconfigured, match="Шаблон письма"):
        Texts("ru", tmp_path)(FACTS)


def test_letter_ids_are_of_the_key_and_the_sender(gates: Gates) -> None:
    """The same key, the same id."""
    make: Callable[[str], str] = mailer(gates, 1).message_id
    assert make("k-1") == make("k-1") == "<k-1@rassvet.example>"
    assert make("k-1") != make("k-2")
