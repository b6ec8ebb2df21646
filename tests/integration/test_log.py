"""No line of the log gives away a person or a secret, and every line can be traced."""

from __future__ import annotations

import io
import json
import logging
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from integration import log
from integration.log import Masking, configure, correlated, current_trace, event_log, mask, register_secrets
from integration.settings import Secret


@dataclass(frozen=True)
class Format:
    level: str = "INFO"
    format: str = "json"


@pytest.fixture(autouse=True)
def clean_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers, installs and sets goes with it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    monkeypatch.setattr(log, "_masker", log._Masker())
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for handler in handlers:
        handler.filters[:] = [one for one in handler.filters if not isinstance(one, Masking)]
    logging.captureWarnings(False)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    written = io.StringIO()
    monkeypatch.setattr(log._Lines, "stream", written)
    return written


def record(lines: io.StringIO) -> dict[str, Any]:
    """The one JSON line that was written."""
    text = lines.getvalue()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    found: dict[str, Any] = json.loads(text)
    return found


def refuse(reason: str) -> None:
    raise ValueError(reason)


# -- masking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("ИНН 7707083893", "ИНН 77***93"),
        ("ИНН7707083893/770701001", "ИНН77***93/770701001"),
        ("inn=500100732259;", "inn=50***59;"),
        ("$filter=ИНН eq '7707083893'", "$filter=ИНН eq '77***93'"),
        ("ИНН%20eq%20%277707083893%27", "ИНН%20eq%20%2777***93%27"),
        ("%27500100732259%27", "%2750***59%27"),
        (r'"\u0418\u041d\u041d7707083893"', r'"\u0418\u041d\u041d77***93"'),
        (r"'ИНН\xa07707083893'", r"'ИНН\xa077***93'"),
        ("7707083893,7707083894", "77***93,77***94"),
        ("счёт 40702810900000012345", "счёт 40***45"),
        ("+79161234567", "+7***67"),
        ("%2B79161234567", "%2B79***67"),
        ("+7 (916) 123-45-67,", "+7***67,"),
        ("8 916 123 45 67", "8 ***67"),
        ("8(4712)12-34-56", "8(***56"),
        ("+7\u00a0916\u2011123\u201145\u201167", "+7***67"),
        ("+375 29 123-45-67", "+3***67"),
        ("(916) 123-45-67", "(9***67"),
        ("916 123-45-67", "91***67"),
        ("tel=79161234567&x", "tel=79***67&x"),
        ("ivan.petrov+crm@romashka.co.ru", "***@romashka.co.ru"),
        ("почта: иван@ромашка.рф.", "почта: ***@ромашка.рф."),
        ("to%3Divan%40romashka.ru", "to%3D***%40romashka.ru"),
        ("Authorization: Basic 0J7QsdC80LXQvTpzZWNyZXQ=", "Authorization: ***"),
        ("{'Authorization': 'Bearer abc.def'}", "{'Authorization': ***}"),
        ('{"X-Api-Key": "abc", "n": 1}', '{"X-Api-Key": ***, "n": 1}'),
        (r"{\"password\": \"hunter two\", \"n\": 1}", r"{\"password\": ***, \"n\": 1}"),
        ("X-Signature: NjRmMWM6YWJj==", "X-Signature: ***"),
        ("X-Hmac-Authorization: YWJjOmRlZg==", "X-Hmac-Authorization: ***"),
        ("Token 0123abcd for DaData: Authorization: Token 0123abcd", "Token 0123abcd for DaData: Authorization: ***"),
        ("sent Bearer abcdef0123", "sent Bearer ***"),
        ("GET /x?api_key=abc&y=1", "GET /x?api_key=***&y=1"),
        ("ESPO_API_KEY=abc", "ESPO_API_KEY=***"),
        ("client_secret = 'abc def'", "client_secret = ***"),
        ("Пароль: абв", "Пароль: ***"),
        ("Cookie: ibsession=12ab", "Cookie: ***"),
        ("amqp://crm1c:hunter2@rabbit:5672/crm1c", "amqp://crm1c:***@rabbit:5672/crm1c"),
        ("redis://:hun@ter@redis/0", "redis://:***@redis/0"),
        ("http://1c/?u=me&password=x", "http://1c/?u=me&password=***"),
    ],
)
def test_personal_data_and_credentials_are_masked(text: str, masked: str) -> None:
    assert mask(text) == masked
    assert mask(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "duty 0193f2a0c0de4f3a9b1a1c0c0b1c1c0c of deal 64f1c2d3e4a5b6c7d",
        "12345678901234567890123456789012",
        "Ref_Key guid'01234567-89ab-4def-8123-123456789012'",
        "uuid 11111111-2222-3333-4444-123456789012.",
        "от 2026-11-24, 2026-11-24T10:00:00.123456+03:00, 2026-11-24 10:00:00,123",
        "sum 10000000.00 RUB of 1 234 567,89 ₽; 6 000 000 and 10 000 000.00; 1234567890.00",
        "счёт № 57 от 03.02.2026, 0000-000057, 00000000057",
        "КПП 770701001, БИК 044525225, ОГРН 1027700132195",
        "1С 8.3.27.1859, took 0.412 s, attempts 7 of 40, port 5672, pid 123456",
        "amqp://crm1c@127.0.0.1:5672/crm1c, celery@worker1",
        "tokens 3, secrets kept, signed: posted",
    ],
)
def test_ids_sums_and_dates_stay_readable(text: str) -> None:
    assert mask(text) == text


AROUND = st.text(max_size=12).map(lambda text: f"{text} ")
BEHIND = st.text(max_size=12).map(lambda text: f" {text}")


def digits(count: int) -> st.SearchStrategy[str]:
    return st.text(alphabet="0123456789", min_size=count, max_size=count)


@given(AROUND, st.one_of(digits(10), digits(12), digits(20)), BEHIND)
def test_no_number_of_a_person_survives_in_any_surroundings(before: str, number: str, behind: str) -> None:
    assume(number not in before + behind)
    assert number not in mask(before + number + behind)


@given(
    st.text(alphabet="ИНН:='\"(<№/,;\n", max_size=6),
    digits(10),
    st.text(alphabet="'\"),;:/&\n<>", max_size=6),
)
def test_no_inn_survives_beside_punctuation(before: str, inn: str, behind: str) -> None:
    assert inn not in mask(before + inn + behind)


@given(AROUND, st.sampled_from(["+7", "8", "+7 ", "8-", "7"]), digits(10), st.sampled_from(["", " ", "-"]), BEHIND)
def test_no_phone_survives(before: str, code: str, number: str, gap: str, behind: str) -> None:
    phone = f"{code}{gap}{gap.join((number[:3], number[3:6], number[6:8], number[8:]))}"
    assert phone not in mask(before + phone + behind)


@given(AROUND, st.emails(), BEHIND)
def test_no_address_of_a_person_survives(before: str, email: str, behind: str) -> None:
    assume(email not in before + behind)
    assume(not email.startswith("*"))  # which a mask could not be told from
    assert email not in mask(before + email + behind)


@given(st.text(min_size=8, max_size=40), st.text(max_size=10), st.text(max_size=10))
def test_no_known_secret_survives(secret: str, before: str, behind: str) -> None:
    masker = log._Masker([secret])
    for form in (secret, json.dumps(secret), repr(secret)):
        masked = masker.mask(f"{before}{form}{behind}")
        assert secret not in masked.replace("***", "")


def test_a_short_secret_is_masked_as_a_word_and_leaves_longer_ones_alone() -> None:
    register_secrets(["1234", "ab"])
    assert mask("1234, 12345, about ab") == "***, 12345, about ab"


def test_secrets_add_up() -> None:
    register_secrets(["first secret"])
    register_secrets(["second secret"])
    register_secrets(["first secret"])
    assert mask("first secret and second secret") == "*** and ***"


@given(st.text())
def test_masking_never_fails_and_masks_once(text: str) -> None:
    assert mask(mask(text)) == mask(text)


def test_long_text_is_masked_in_time_that_grows_with_it() -> None:
    """No input makes the pattern go back and forth."""
    for piece in ("a", "1", "7 ", "+7", "a@", "token", "8 916 ", "://a:", "%", "((((", "a.b-", "@a.", "\\"):
        assert mask(piece * 20_000)


# -- records ----------------------------------------------------------------------------------------------------------


def test_a_line_is_json_with_time_level_trace_and_extra(lines: io.StringIO) -> None:
    configure(Format())
    with correlated("trace-1"):
        event_log.info(
            "счёт %s выставлен", "0000-000057", extra={"event": "e" * 32, "attempts": 2, "sum": Decimal("1.50")}
        )
    found = record(lines)
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "level": "INFO",
        "logger": "crm1c.events",
        "message": "счёт 0000-000057 выставлен",
        "trace": "trace-1",
        "event": "e" * 32,
        "attempts": 2,
        "sum": "1.50",
    }


def test_the_trace_belongs_to_its_block_and_thread() -> None:
    seen = []
    with correlated("outer"):
        with correlated("inner"):
            seen.append(current_trace())
        thread = threading.Thread(target=lambda: seen.append(current_trace()))
        thread.start()
        thread.join()
        seen.append(current_trace())
    assert [*seen, current_trace()] == ["inner", "", "outer", ""]


def test_arguments_extra_exception_and_stack_are_masked(lines: io.StringIO) -> None:
    configure(Format())
    register_secrets(["hunter-number-2"])
    try:
        refuse("ИНН 7707083893: hunter-number-2")
    except ValueError:
        logging.getLogger("x").exception(
            "client %(inn)s",
            {"inn": "7707083893"},
            stack_info=True,
            extra={
                "inn": 7707083893,
                "api_key": "abc",
                "body": b"+79161234567",
                "nested": {"password": ["x"], "list": [{"mail": "a@b.ru"}, UUID(int=7)], 7707083893: 1},
                "secret": Secret("x"),
                "token": "",
                "error_of": ValueError("7707083893"),
                "share": 0.5,
                "none": None,
            },
        )
    text = lines.getvalue()
    for told in ("7707083893", "hunter-number-2", "9161234567", "abc", "a@b.ru"):
        assert told not in text
    found = record(lines)
    assert found["message"] == "client 77***93"
    assert found["error"].endswith("ValueError: ИНН 77***93: ***")
    assert "Traceback" in found["error"]
    assert found["stack"].startswith("Stack")
    assert (found["inn"], found["api_key"], found["body"], found["share"]) == ("77***93", "***", "+7***67", 0.5)
    assert found["nested"] == {
        "password": "***",
        "list": [{"mail": "***@b.ru"}, str(UUID(int=7))],
        "77***93": 1,
    }
    assert (found["secret"], found["token"], found["none"]) == ("***", "", None)


def test_wrong_arguments_and_objects_that_cannot_be_shown_still_give_a_masked_line(lines: io.StringIO) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    configure(Format())
    logging.getLogger("x").info("%d of %s", "7707083893")
    assert record(lines)["message"] == "%d of %s ('77***93',)"
    lines.seek(0)
    lines.truncate()
    logging.getLogger("x").info("fine", extra={"broken": Broken(), "inn": "7707083893"})
    found = record(lines)
    assert found["message"] == "a record could not be masked and is left out (RuntimeError)"
    assert "inn" not in found


def test_text_is_one_line_for_people_and_nobody_forges_a_second(lines: io.StringIO) -> None:
    configure(Format(format="text"))
    with correlated("t-1"):
        logging.getLogger("x").warning("made\nERROR forged \x1b[31m\u2028", extra={"inn": "7707083893"})
    line = lines.getvalue()
    assert line.count("\n") == 1
    assert "WARNING x: made\\nERROR forged \\x1b[31m\\x2028  inn=77***93  [t-1]" in line


def test_text_shows_a_traceback_below(lines: io.StringIO) -> None:
    configure(Format(format="text"))
    try:
        refuse("7707083893")
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert lines.getvalue().endswith("ValueError: 77***93\n")


def test_configuring_twice_changes_the_one_handler(lines: io.StringIO) -> None:
    configure(Format(level="DEBUG"))
    configure(Format(level="WARNING", format="text"))
    logging.getLogger("x").info("hidden")
    logging.getLogger("x").warning("shown")
    assert lines.getvalue().count("\n") == 1
    assert sum(isinstance(one, log._Lines) for one in logging.getLogger().handlers) == 1


def test_handlers_of_others_get_the_mask_too(lines: io.StringIO) -> None:
    written = io.StringIO()
    other = logging.getLogger("other.library")
    other.propagate = False
    handler = logging.StreamHandler(written)
    other.addHandler(handler)
    try:
        configure(Format())
        configure(Format())
        other.error("ИНН 7707083893")
        assert written.getvalue() == "ИНН 77***93\n"
        assert len(handler.filters) == 1
    finally:
        other.removeHandler(handler)
        other.propagate = True


def test_warnings_go_to_the_log(lines: io.StringIO) -> None:
    configure(Format())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("client 7707083893", stacklevel=1)
        logging.captureWarnings(False)
    found = record(lines)
    assert found["logger"] == "py.warnings"
    assert "client 77***93" in found["message"]


@given(st.dictionaries(st.text(max_size=8), st.recursive(st.text(max_size=20), st.lists, max_leaves=5), max_size=3))
def test_any_extra_gives_one_line_of_json(extra: dict[str, Any]) -> None:
    made = logging.LogRecord("x", logging.INFO, __file__, 1, "text", None, None)
    made.__dict__["data"] = extra
    assert Masking().filter(made)
    assert "\n" not in log._Json(json_ensure_ascii=False).format(made)
