"""The OData grammar of 1C: literals, times, calls, and what every refusal means."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappers.dialect import Call, Fault, Reply
from mappers.onec import odata, refusals
from mappers.onec.learned import Learned
from mappers.onec.readback import differences, verify

RECORDINGS = Path(__file__).parent.parent / "recordings" / "accounting30"
REF = "d7f0b160-c92e-11f0-9c0a-00155d0a1b02"
MOSCOW = ZoneInfo("Europe/Moscow")

READ = odata.listing("1c: find", "Catalog_Контрагенты", "ИНН eq '7714088525'")
CREATE = odata.creating("1c: create", "Document_СчетНаОплатуПокупателю", {"Date": "2026-11-24T00:00:00"})
PATCH = odata.patching("1c: rewrite", "Document_СчетНаОплатуПокупателю", REF, {"Комментарий": ""})
POST = odata.posting("1c: post", "Document_СчетНаОплатуПокупателю", REF)


def recorded(name: str) -> bytes:
    return (RECORDINGS / f"{name}.json").read_bytes()


def reply(status: int, body: bytes | str = b"", kind: str = "application/json; charset=utf-8", **headers: str) -> Reply:
    given_headers = {"content-type": kind} | {k.replace("_", "-"): v for k, v in headers.items()}
    return Reply(status, given_headers, body.encode() if isinstance(body, str) else body)


def error(code: str, text: str) -> bytes:
    return json.dumps({"odata.error": {"code": code, "message": {"lang": "ru", "value": text}}}).encode()


def page(title: str, text: str = "") -> str:
    return f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>"


# --- literals -------------------------------------------------------------------------------------------------------


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff")))
def test_a_string_literal_holds_exactly_its_text(text: str) -> None:
    """Whatever quotes a name holds, the literal ends where it should and says the same again."""
    literal = odata.quoted(text)
    assert re.fullmatch(r"'(?:[^']|'')*'", literal, re.DOTALL)
    assert literal[1:-1].replace("''", "'") == text


@pytest.mark.parametrize("text", ["\x00", "a\x02b", "\ud800", "\uffff"])
def test_characters_that_no_1c_string_holds_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        odata.quoted(text)


@given(st.uuids())
def test_a_reference_literal_is_lower_case(value: Any) -> None:
    assert odata.guid(str(value).upper()) == f"guid'{value}'"


@pytest.mark.parametrize("text", ["", "1", REF + "'", "' or 1 eq 1", f"guid'{REF}'"])
def test_only_a_guid_gets_into_a_reference_literal(text: str) -> None:
    with pytest.raises(ValueError, match="not a reference"):
        odata.guid(text)


@pytest.mark.parametrize(
    ("composite", "expected"),
    [
        (False, f"Контрагент_Key eq guid'{REF}'"),
        (True, f"Контрагент eq cast(guid'{REF}','Catalog_Контрагенты')"),
    ],
)
def test_a_composite_reference_is_cast(composite: bool, expected: str) -> None:
    """A composite field compared with a bare guid is always empty, with 200."""
    assert odata.reference_equals("Контрагент", REF, "Catalog_Контрагенты", composite=composite) == expected


# --- times ----------------------------------------------------------------------------------------------------------


@given(st.integers(946_684_800, 2_050_000_000))
def test_times_come_back_as_they_went(seconds: int) -> None:
    """To the second; an hour that clocks showed twice comes back as the earlier one."""
    went = datetime.fromtimestamp(seconds, UTC)
    tokyo, berlin = ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/Berlin")
    assert odata.from_local(odata.to_local(went, tokyo), tokyo) == went
    assert odata.from_local(odata.to_local(went, berlin), berlin) in {went, went - timedelta(hours=1)}


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("2026-11-24T00:00:00", "Europe/Moscow", "2026-11-23T21:00:00+00:00"),
        ("2026-07-01T12:00:00", "Europe/Berlin", "2026-07-01T10:00:00+00:00"),
        ("2026-12-01T12:00:00", "Europe/Berlin", "2026-12-01T11:00:00+00:00"),
        ("2026-10-25T02:30:00", "Europe/Berlin", "2026-10-25T00:30:00+00:00"),  # shown twice: the earlier
        ("2026-03-29T02:30:00", "Europe/Berlin", "2026-03-29T01:30:00+00:00"),  # never shown: counted on
        ("2026-11-24T05:00:00", "Asia/Vladivostok", "2026-11-23T19:00:00+00:00"),
    ],
)
def test_local_time_of_the_server(text: str, zone: str, utc: str) -> None:
    got = odata.from_local(text, ZoneInfo(zone))
    assert got is not None
    assert got.astimezone(UTC).isoformat() == utc
    if not text.startswith("2026-03-29"):
        assert got.date().isoformat() == text[:10]  # the document's own date, whatever the date in UTC


def test_the_empty_date_is_none_and_a_naive_time_is_refused() -> None:
    assert odata.from_local(odata.EMPTY_DATE, MOSCOW) is None
    with pytest.raises(ValueError, match="without a zone"):
        odata.to_local(datetime(2026, 11, 24), MOSCOW)  # noqa: DTZ001 – the very mistake


# --- calls ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call", [READ, CREATE, PATCH, POST, odata.calling("1c: root", ""), odata.getting("x", "C", REF)]
)
def test_every_call_asks_for_json(call: Call) -> None:
    """Without it 1C answers in Atom."""
    assert ("$format", "json") in call.query
    assert call.headers["Accept"] == "application/json"
    assert call.step.isascii()


@pytest.mark.parametrize(("call", "repeatable"), [(READ, True), (CREATE, False), (PATCH, True), (POST, True)])
def test_only_a_create_is_not_repeatable(call: Call, repeatable: bool) -> None:
    assert call.repeatable is repeatable


def test_posting_has_an_empty_body_and_its_mode() -> None:
    assert (POST.method, POST.json) == ("POST", None)
    assert POST.path == f"Document_СчетНаОплатуПокупателю(guid'{REF}')/Post"
    assert ("PostingModeOperational", "false") in POST.query
    undo = odata.posting("1c: unpost", "D", REF, undo=True)
    assert undo.path.endswith("/Unpost")
    assert undo.query == (("$format", "json"),)


def test_nothing_in_the_package_erases() -> None:
    """DELETE over OData is physical, without mark or way back."""
    package = Path(refusals.__file__).parent
    for source in package.glob("*.py"):
        assert '"DELETE"' not in source.read_text("utf-8"), source.name


# --- reading --------------------------------------------------------------------------------------------------------


def test_padding_empty_references_and_string_integers() -> None:
    row = {
        "Code": "1                   ", "A_Key": odata.EMPTY_REF, "B": REF.upper(), "B_Type": "StandardODATA.Catalog_B",
        "C": "", "C_Type": odata.UNDEFINED, "N": "100", "D": Decimal("0.5"), "Null": None,
    }  # fmt: skip
    assert odata.text_of(row, "Code") == "1"
    assert odata.text_of(row, "Null") == odata.text_of(row, "Absent") == ""
    assert (odata.ref_of(row, "A"), odata.ref_of(row, "C"), odata.ref_of(row, "Absent")) == ("", "", "")
    assert odata.ref_of(row, "B") == odata.ref_of(row, "B", "Catalog_B") == REF
    assert odata.ref_of(row, "B", "Catalog_Другой") == ""
    assert (odata.number_of(row, "N"), odata.number_of(row, "D")) == (Decimal(100), Decimal("0.5"))
    assert odata.number_of(row, "Null") == 0


@pytest.mark.parametrize(
    ("edm", "value", "expected"),
    [
        ("Edm.Int64", Decimal("1"), "1"),
        ("Edm.Int64", Decimal("1E+2"), "100"),
        ("Edm.Double", Decimal("1E+2"), 100),
        ("Edm.Double", Decimal("130000.50"), Decimal("130000.50")),
        ("Edm.Double", Decimal("9007199254740993.01"), Decimal("9007199254740993.01")),
        ("Edm.Int16", Decimal("3"), 3),
        ("Edm.Int64", Decimal("0.5"), "0.5"),
    ],
)
def test_numbers_travel_as_their_type_does(edm: str, value: Decimal, expected: object) -> None:
    """Int64 is a string, Double a number, and none has an exponent."""
    sent = Learned({"sets": {"D": {"F": edm}}}).number("D", "F", value)
    assert sent == expected
    assert type(sent) is type(expected)


# --- read-back ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "stored", "fields"),
    [
        ({"A": "x"}, {"A": "x", "B": "more"}, []),
        ({"A": "x"}, {"A": "x    "}, []),  # fixed length
        ({"A": "x"}, {}, ["A"]),  # an unknown field is ignored with 200
        ({"A": "длинное имя"}, {"A": "длинное"}, ["A"]),  # cut with 200
        ({"A": "1"}, {"A": "1"}, []),
        ({"A": "2"}, {"A": "1"}, ["A"]),  # Int64 left as it was
        ({"A": "1"}, {"A": 1}, []),
        ({"A": Decimal("1.50")}, {"A": Decimal("1.5")}, []),
        ({"A": 1}, {"A": "1"}, []),
        ({"A": Decimal("1.505")}, {"A": Decimal("1.51")}, ["A"]),
        ({"A": True}, {"A": True}, []),
        ({"A": True}, {"A": False}, ["A"]),
        ({"A": True}, {"A": 1}, ["A"]),
        ({"A": REF.upper()}, {"A": REF}, []),
        ({"A": REF}, {"A": odata.EMPTY_REF}, ["A"]),
        ({"T": [{"N": 1}]}, {"T": [{"N": 1, "M": 2}]}, []),
        ({"T": [{"N": 1}, {"N": 2}]}, {"T": [{"N": 1}]}, ["T"]),
        ({"T": [{"N": 1}, {"N": 2}]}, {"T": [{"N": 1}, {"N": 3}]}, ["T[2].N"]),
        ({"T": [{"N": 1}]}, {"T": None}, ["T"]),
    ],
)
def test_what_1c_did_not_keep_is_named(sent: dict[str, Any], stored: dict[str, Any], fields: list[str]) -> None:
    assert [field for field, _ in differences(sent, stored)] == fields


def test_a_difference_is_a_refusal_that_names_fields_and_object() -> None:
    with pytest.raises(Fault, match="1С не приняла поле Description: записано «Полян»") as caught:
        verify("контрагент «Полянка»", {"Description": "Полянка"}, {"Ref_Key": REF, "Description": "Полян"})
    assert caught.value.kind == "rejected"
    assert caught.value.data == {"ref_key": REF, "fields": ["Description"]}


# --- refusals -------------------------------------------------------------------------------------------------------

ATOM = (
    '<?xml version="1.0" encoding="utf-8"?><m:error xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/'
    "metadata\"><m:code>-1</m:code><m:message>Ошибка обработчика - 'ОбработкаПроведения'</m:message></m:error>"
)
ONEC_PAGE = page("1C:Enterprise 8 application error", "1C:Enterprise 8 application error:<br>by reason:<br>%s")

# what it is · the call · the reply · kind · hold · part of the reason
TABLE: list[tuple[str, Call, Reply, str, bool, str]] = [
    ("object gone", POST, reply(404, recorded("error_9_no_instance")), "rejected", False, "нет объекта"),
    ("not published", READ, reply(404, recorded("error_8_not_published")), "misconfigured", False,
     "объект Catalog_Контрагенты не опубликован в OData: добавьте в состав"),
    ("sign-in", READ, reply(401, page("401", "Unauthorized"), "text/html"), "misconfigured", True, "ни логина"),
    ("sign-in, empty", CREATE, reply(401), "misconfigured", True, "ни логина"),
    ("rights", READ, reply(401, recorded("error_20_no_rights")), "misconfigured", False, "нет прав на Catalog_Контр"),
    ("forbidden by the server", READ, reply(403, page("403"), "text/html"), "misconfigured", True, "запрещает"),
    ("no OData here", READ, reply(404, page("404"), "text/html"), "misconfigured", True, "base_url"),
    ("moved", READ, reply(302, location="https://login.example"), "misconfigured", True, "перенаправляет"),
    ("method", PATCH, reply(405, error("19", "Метод запрещен")), "misconfigured", False, "метод HTTP"),
    ("method, server", PATCH, reply(501, page("501"), "text/html"), "misconfigured", False, "Document_СчетНаОплату"),
    ("unknown field", READ, reply(400, recorded("error_6_method")), "misconfigured", False, "не знает поля"),
    ("filter", READ, reply(400, recorded("error_14_filter")), "rejected", False, "код 14"),
    ("exists", CREATE, reply(400, recorded("error_15_exists")), "conflict", False, "уже существует"),
    ("stale", PATCH, reply(412, b""), "conflict", False, "изменился"),
    ("lock", CREATE, reply(500, recorded("error_locked")), "transient", False, "блокировок"),
    ("lock, English", PATCH, reply(500, error("-1", "Transaction was DEADLOCKed")), "transient", False, "блокировок"),
    ("lock, plural", POST, reply(500, error("-1", "Обнаружена взаимоблокировка")), "transient", False, "блокировок"),
    ("lock, as a page", CREATE, reply(500, ONEC_PAGE % "Конфликт блокировок", "text/html"), "transient", False, "блок"),
    ("licence", CREATE, reply(500, error("-1", "Не обнаружено свободной лицензии!")), "transient", False, "лицензии"),
    ("licence, page", CREATE, reply(500, ONEC_PAGE % "Не найдена лицензия", "text/html"), "transient", False, "лиценз"),
    ("licence, 402", READ, reply(402, page("There are no free licenses!"), "text/html"), "transient", False, "лиценз"),
    ("closed", READ, reply(500, error("-1", "Начало сеанса с информационной базой запрещено")), "transient", False,
     "закрыта"),
    ("session", CREATE, reply(400, page("400", "Сеанс отсутствует"), "text/html"), "transient", False, "прерван"),
    ("internal", CREATE, reply(500, recorded("error_internal")), "rejected", False, "LineNumber"),
    ("business", CREATE, reply(500, recorded("error_business")), "rejected", False, "Не заполнена колонка"),
    ("chain", POST, reply(500, recorded("error_exception")), "rejected", False, "Период закрыт датой запрета"),
    ("atom", POST, reply(500, ATOM, "application/xml"), "rejected", False, "ОбработкаПроведения"),
    ("1C's own page", POST, reply(500, ONEC_PAGE % "Период закрыт", "text/html"), "rejected", False, "Период закрыт"),
    ("500 of the server, read", READ, reply(500, page("500"), "text/html"), "transient", False, "500"),
    ("500 of the server, create", CREATE, reply(500, page("500"), "text/html"), "ambiguous", False, "500"),
    ("500 empty, create", CREATE, reply(500), "ambiguous", False, "500"),
    ("502, read", READ, reply(502, page("502"), "text/html"), "transient", False, "502"),
    ("502, patch", PATCH, reply(502), "transient", False, "502"),
    ("502, create", CREATE, reply(502), "ambiguous", False, "502"),
    ("504, create", CREATE, reply(504), "ambiguous", False, "504"),
    ("503", CREATE, reply(503, retry_after="7"), "transient", False, "не принимает"),
    ("too large", CREATE, reply(413), "rejected", False, "больше"),
    ("other", CREATE, reply(400, error("4", "bad property")), "rejected", False, "код 4"),
    ("page with 200, read", READ, reply(200, page("Вход в сервис"), "text/html"), "transient", False,
     "страницей HTML вместо данных: Вход в сервис"),
    ("page with 200, create", CREATE, reply(200, page("Вход"), "text/html"), "ambiguous", False, "HTML"),
    ("page with 200 as JSON", READ, reply(200, page("Вход")), "transient", False, "HTML"),
    ("cut off, read", READ, reply(200, b'{"value": [{"Ref_'), "transient", False, "неразборчиво"),
    ("cut off, create", CREATE, reply(201, b'{"Ref_Key": "'), "ambiguous", False, "неразборчиво"),
    ("error with 200", CREATE, reply(200, recorded("error_business")), "rejected", False, "Не заполнена"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "got", "kind", "hold", "part"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE])
def test_what_a_refusal_means(call: Call, got: Reply, kind: str, hold: bool, part: str) -> None:
    with pytest.raises(Fault) as caught:
        refusals.answer(call, got)
    fault = caught.value
    assert (fault.kind, fault.hold) == (kind, hold)
    assert part in fault.reason
    assert "7714088525" not in fault.reason


def test_waiting_times() -> None:
    """Retry-After in seconds wins; a licence takes longer than a lock."""
    assert refusals.refused(CREATE, reply(503, retry_after="7")).retry_after == 7
    assert refusals.refused(CREATE, reply(503, retry_after="Wed, 21 Oct 2026 07:28:00 GMT")).retry_after is None
    assert refusals.refused(CREATE, reply(500, recorded("error_locked"))).retry_after is None
    assert refusals.refused(CREATE, reply(500, error("-1", "нет лицензий"))).retry_after == refusals.LICENCE_PAUSE


@pytest.mark.parametrize("text", ["ИНН eq '7714088525'", "Значение 7714088525 не подходит"])
def test_a_reason_never_repeats_the_query(text: str) -> None:
    """Errors echo input; a person's screen is no place for it, the masked detail is."""
    fault = refusals.refused(READ, reply(500, error("-1", f"Ошибка: {text}")))
    assert "7714088525" not in fault.reason
    assert "7714088525" in fault.detail
    echo = reply(200, page("GET ИНН eq '7714088525'"), "text/html")
    with pytest.raises(Fault) as caught:
        refusals.answer(READ, echo)
    assert "7714088525" not in caught.value.reason


def test_only_code_9_is_an_absence() -> None:
    call = odata.getting("1c: read", "Document_X", REF)
    assert refusals.answer(call, reply(404, recorded("error_9_no_instance")), absent_ok=True) is None
    for other in (reply(404, recorded("error_8_not_published")), reply(404, page("404"), "text/html")):
        with pytest.raises(Fault):
            refusals.answer(call, other, absent_ok=True)


def test_a_packed_description_is_unpacked() -> None:
    packed = base64.b64encode("Недопустимый символ в строке".encode()).decode()
    body = json.dumps({"exception": {"descr": "Ошибка записи", "inner": {"descr": packed}}})
    assert "Недопустимый символ" in refusals.refused(CREATE, reply(500, body)).reason


def test_an_error_page_with_entities_reads_nothing_from_outside() -> None:
    told = '<m:error xmlns:m="u"><m:message>&x;</m:message></m:error>'
    bomb = f'<!DOCTYPE e [<!ENTITY x SYSTEM "file:///etc/passwd">]>{told}'
    fault = refusals.refused(READ, reply(400, bomb, "application/xml"))
    assert fault.kind == "rejected"
    assert "root" not in fault.detail


DEAD = page("Bad Request", "Сеанс отсутствует или удален")


@pytest.mark.parametrize(
    ("call", "got", "died"),
    [
        (READ, reply(400, DEAD, "text/html"), True),
        (CREATE, reply(400, DEAD, "text/html"), True),
        (CREATE, reply(400), True),
        (READ, reply(500), True),
        (PATCH, reply(500, page("500"), "text/html"), True),
        (CREATE, reply(500, page("500"), "text/html"), False),  # perhaps written
        (CREATE, reply(500, DEAD, "text/html"), True),
        (READ, reply(400, recorded("error_14_filter")), False),
        (READ, reply(500, recorded("error_business")), False),
        (READ, reply(500, ATOM, "application/xml"), False),
        (READ, reply(500, ONEC_PAGE % "Не обнаружено свободной лицензии!", "text/html"), False),
        (READ, reply(500, ONEC_PAGE % "Конфликт блокировок", "text/html"), False),
        (READ, reply(401), False),
        (READ, reply(502), False),
        (READ, reply(200, b"{}"), False),
    ],
)
def test_a_dead_session_is_told_from_everything_else(call: Call, got: Reply, died: bool) -> None:
    assert refusals.session_died(call, got) is died
