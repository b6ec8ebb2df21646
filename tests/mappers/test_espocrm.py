"""EspoCRM, replayed: each talk asks what was recorded and makes of the answers what the contract says."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from mappers.canonical import AccountState, Deal, DealLine, DealState
from mappers.crm.espocrm import EspoCrm
from mappers.crm.espocrm.setup import field_defs
from mappers.crm.espocrm.talk import Api
from mappers.dialect import Fault
from mappers.verbs import CrmDialect
from tests.mappers.replay import ANY, Exchange, exchange, recorded, replay, reply

KEY = "4be0a71c59d2f8836ac5179e0d42b6f1"
DEAL = "7a1c3e90b4d25f681"
ACCOUNT = "7a1c3e8f02ab4c9d7"
REF = "b3f0a2d4-8c11-4f0e-9a57-2f6d0c1e7b90"
NOTE = "Счёт СЛ00-000214 от 02.12.2026 выставлен в 1С"
CALLBACK = "https://crm1c.severles.example/webhooks/espo"


def espo(**options: Any) -> EspoCrm:
    return EspoCrm({"api_key": KEY, **options})


def tape(*names: str) -> list[Exchange]:
    base = "https://crm.severles.example"
    return [recorded("espocrm", name, base=base, ignored=("X-Api-Key",)) for name in names]


def read_deal(crm: EspoCrm) -> Deal:
    deal = replay(crm.deal(DEAL), tape("deal_read"))
    assert deal is not None
    return deal


# Reading


def test_a_deal_is_read_with_exact_money_and_aware_times() -> None:
    """Sums stay as the wire wrote them, times become UTC, the version is text."""
    deal = read_deal(espo())
    assert (deal.amount, deal.currency, deal.stage, deal.version) == (Decimal("487310.4"), "RUB", "Proposal", "5")
    assert deal.modified_at == datetime(2026, 12, 2, 8, 41, 3, tzinfo=UTC)
    assert (deal.manager_id, deal.manager_name, deal.account_id) == ("7a1c2b0015de9f304", "Ольга Дёмина", ACCOUNT)
    assert (deal.retention_amount, deal.retention_date) == (Decimal("24365.52"), date(2027, 6, 30))
    assert deal.lines is None


@pytest.mark.parametrize("answer", [{"id": DEAL, "deleted": True}, None])
def test_a_deleted_deal_is_none(answer: Any) -> None:
    """Deleted is what EspoCRM says of the record: by its flag, or by a 404 about the record."""
    steps = tape("deal_gone") if answer is None else [exchange("GET", f"api/v1/Opportunity/{DEAL}", 200, answer)]
    assert replay(espo().deal(DEAL), steps) is None


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"amount": None, "amountCurrency": None, "stage": None, "createdAt": None, "modifiedAt": None},
        {"amount": "много", "createdAt": "вчера", "modifiedAt": 5, "name": ["x"], "assignedUserId": {}},
        {"amount": True, "cRetentionDate": "скоро", "cRetentionAmount": "часть", "versionNumber": None},
    ],
)
def test_odd_values_never_stop_a_deal(odd: dict[str, Any]) -> None:
    """What can't be read is empty; the flow judges what it needs."""
    deal = replay(espo().deal(DEAL), [exchange("GET", f"api/v1/Opportunity/{DEAL}", 200, {"id": DEAL, **odd})])
    assert deal is not None
    assert (deal.amount, deal.created_at, deal.retention_date) == (None, datetime(1970, 1, 1, tzinfo=UTC), None)


def test_a_foreign_id_leads_to_no_other_path() -> None:
    """An id that isn't one is refused before anything is asked."""
    with pytest.raises(Fault, match="не идентификатор"):
        replay(espo().deal("../Account/1"), [])


def test_a_client_is_read_with_clean_requisites() -> None:
    """Spaces go, the address is joined as Russia writes it, the phone is E.164."""
    party = replay(espo().account(ACCOUNT), tape("account_read"))
    assert party is not None
    assert (party.name, party.inn, party.kpp) == ("ООО «Северный лес»", "2901000024", "290101001")
    assert (party.phone, party.email) == ("+78182201144", "buh@severles.example")
    assert party.address == "163000, Россия, Архангельск, наб. Северной Двины, д. 12"


def test_a_wrong_inn_is_kept_for_the_flow_to_refuse() -> None:
    """A value that breaks the checksum isn't hidden: the person has to see it."""
    steps = [
        exchange("GET", f"api/v1/Account/{ACCOUNT}", 200, {"id": ACCOUNT, "cInn": "290 1000025", "phoneNumber": "нет"})
    ]
    party = replay(espo().account(ACCOUNT), steps)
    assert party is not None
    assert (party.inn, party.phone, party.name) == ("2901000025", "", "")


# Lines

FIELD_LINES = {"source": "field", "field": "cLines"}
ENTITY_LINES = {
    "source": "entity",
    "entity": "CDealItem",
    "deal": "opportunityId",
    "price": "unitPrice",
    "vat": "vatRate",
}


def with_lines(value: Any) -> list[Exchange]:
    return [exchange("GET", f"api/v1/Opportunity/{DEAL}", 200, {"id": DEAL, "cLines": value})]


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (None, None),
        ("", None),
        ("[]", None),
        (
            '[{"name":"Брус","quantity":2,"price":"1 200,50","amount":2401,"vat":"22%","item":"00-07"}]',
            (DealLine("Брус", Decimal(2), Decimal("1200.50"), Decimal(2401), "22", "00-07"),),
        ),
        (
            '[{"name":"Доставка","price":99.9,"vat":"без НДС"}]',
            (DealLine("Доставка", Decimal(1), Decimal("99.9"), Decimal("99.9"), "none"),),
        ),
        (
            '[{"name":"Доска","quantity":3,"amount":100}]',
            (DealLine("Доска", Decimal(3), Decimal("33.33"), Decimal(100)),),
        ),
    ],
)
def test_lines_of_a_text_field(value: Any, lines: Any) -> None:
    """JSON in a text field; a missing sum or price follows from the other."""
    deal = replay(espo(lines=FIELD_LINES).deal(DEAL), with_lines(value))
    assert deal is not None
    assert deal.lines == lines


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("[{", "cLines"),
        ('{"name":"Брус"}', "cLines"),
        ("[5]", "cLines, строка 1"),
        ('[{"name":"Брус","price":1},{"price":1}]', "cLines, строка 2: у позиции нет названия"),
        ('[{"name":"Брус"}]', "ни цены, ни суммы"),
        ('[{"name":"Брус","price":"дорого"}]', "price «дорого»"),
        ('[{"name":"Брус","price":1,"quantity":0}]', "больше нуля"),
        ('[{"name":"Брус","price":1,"vat":"как обычно"}]', "ставка НДС"),
        ([{"name": "Брус", "price": True}], "price «True»"),
    ],
)
def test_lines_that_cannot_be_read_are_refused_by_field_and_row(value: Any, told: str) -> None:
    """A guessed position would be a wrong invoice: a person mends it, then replays."""
    with pytest.raises(Fault, match=told) as fault:
        replay(espo(lines=FIELD_LINES).deal(DEAL), with_lines(value))
    assert fault.value.kind == "rejected"


def test_lines_of_an_entity_are_listed_by_the_deal() -> None:
    """Records of a configured entity, under its own attribute names, page after page."""
    rows = [
        {"id": f"7a1c60000000000{n:02}", "name": f"Работа {n}", "quantity": 1, "unitPrice": 10, "vatRate": 22}
        for n in (1, 2)
    ]
    steps = [
        *with_lines(None),
        exchange("GET", "api/v1/CDealItem", 200, {"total": 2, "list": rows[:1]}),
        exchange("GET", "api/v1/CDealItem", 200, {"total": 2, "list": rows[1:]}),
    ]
    deal = replay(espo(lines=ENTITY_LINES).deal(DEAL), steps)
    assert deal is not None
    assert deal.lines is not None
    assert [(line.name, line.amount, line.vat) for line in deal.lines] == [
        ("Работа 1", Decimal(10), "22"),
        ("Работа 2", Decimal(10), "22"),
    ]


def test_an_entity_without_a_vat_attribute_is_asked_for_none() -> None:
    """As the settings table writes it: no source, an empty name is not used, the manager is another link."""
    crm = espo(lines={"entity": "CDealItem", "deal": "dealId", "vat": "", "item": ""}, manager={"field": "cSeller"})
    row = {"id": "7a1c6000000000001", "name": "Работа", "price": 10, "": "22"}
    raw = {"id": DEAL, "cSellerId": "7a1c2b0015de9f399", "cSellerName": "Пётр Рогов"}
    items = exchange("GET", "api/v1/CDealItem", 200, {"total": 1, "list": [row]})
    deal = replay(crm.deal(DEAL), [exchange("GET", f"api/v1/Opportunity/{DEAL}", 200, raw), items])
    assert deal is not None
    assert (deal.manager_id, deal.manager_name) == ("7a1c2b0015de9f399", "Пётр Рогов")
    assert deal.lines == (DealLine("Работа", Decimal(1), Decimal(10), Decimal(10)),)


# Showing

FULL_STATE = DealState(
    invoice_number="СЛ00-000214",
    invoice_date=date(2026, 12, 2),
    invoice_url="https://1c.severles.example/bp/#e1cib/data/Документ.СчетНаОплатуПокупателю?ref=9a57",
    ref_key=REF,
    payment_status="partially_paid",
    paid_percent=Decimal("61.5"),
    paid_amount=Decimal("299695.90"),
    sync_status="счёт выставлен",
)
NUMBER = DealState(invoice_number="СЛ00-000214")


def test_a_state_is_written_whole_and_once() -> None:
    """Everything that differs goes in one PUT with the version; shown again, nothing is sent."""
    crm = espo()
    steps = tape("deal_show")
    shown = replay(crm.show_deal(read_deal(crm), FULL_STATE), steps)
    assert (shown.version, shown.ignored, shown.problems) == ("6", (), ())
    assert set(shown.written) == {name for name in DealState.__slots__ if getattr(FULL_STATE, name) is not None}

    after = replay(crm.deal(DEAL), [exchange("GET", f"api/v1/Opportunity/{DEAL}", 200, steps[0].reply.json())])
    assert after is not None
    again = replay(crm.show_deal(after, FULL_STATE), [])
    assert (again.version, again.written) == ("6", ())


def put(body: Any, status: int = 200, answer: Any = None, **more: Any) -> Exchange:
    return exchange("PUT", f"api/v1/Opportunity/{DEAL}", status, answer, body=body, **more)


def refused(field: str, validator: str) -> dict[str, Any]:
    return {
        "messageTranslation": {"label": "validationFailure", "scope": None, "data": {"field": field, "type": validator}}
    }


def standing(**raw: Any) -> Deal:
    """A deal as read, with these attributes."""
    raw = {"id": DEAL, "versionNumber": 5, "amountCurrency": "RUB", **raw}
    deal = replay(espo().deal(DEAL), [exchange("GET", f"api/v1/Opportunity/{DEAL}", 200, raw)])
    assert deal is not None
    return deal


def test_a_foreign_change_is_read_again_and_written_over() -> None:
    """409 modified: one re-read, then the same wish with the new version."""
    crm = espo()
    steps = tape("deal_show_modified", "deal_read_after_modified", "deal_show_again")
    shown = replay(crm.show_deal(read_deal(crm), NUMBER), steps)
    assert (shown.version, shown.written) == ("7", ("invoice_number",))


def test_four_foreign_changes_in_a_row_are_a_conflict() -> None:
    """Three retries, then a person or a later try."""
    crm = espo()
    modified, read_again = tape("deal_show_modified", "deal_read_after_modified")
    clash = exchange("PUT", modified.path, 409, {"values": {}, "versionNumber": 9}, reason="modified")
    with pytest.raises(Fault) as fault:
        replay(crm.show_deal(read_deal(crm), NUMBER), [clash, read_again] * 3 + [clash])
    assert (fault.value.kind, fault.value.data) == ("conflict", {"values": {}, "versionNumber": 9})


def test_a_status_that_is_refused_never_blocks_the_number() -> None:
    """The field is dropped and told, the rest is written."""
    crm = espo()
    state = DealState(invoice_number="СЛ00-000214", payment_status="retention_pending")
    shown = replay(crm.show_deal(read_deal(crm), state), tape("deal_show_bad_status", "deal_show_number_only"))
    assert shown.written == ("invoice_number",)
    assert "cPaymentStatus" in shown.problems[0]


def test_several_refusals_are_dropped_one_after_another() -> None:
    """EspoCRM names the first failing field only; a currency that isn't enabled has a sentence of its own."""
    deal = standing(cInvoiceNumber=None, cPaidAmount=None, cPaidAmountCurrency=None, cSyncStatus=None)
    state = DealState(invoice_number="7", paid_amount=Decimal(5), currency="KZT", sync_status="ждём оплату")
    number = {"cInvoiceNumber": "7"}
    paid = {"cPaidAmount": 5, "cPaidAmountCurrency": "KZT"}
    steps = [
        put({**number, **paid, "cSyncStatus": "ждём оплату"}, 400, refused("cPaidAmount", "validCurrency")),
        put({**number, "cSyncStatus": "ждём оплату"}, 400, refused("cSyncStatus", "valid")),
        put(number, 200, {"id": DEAL, **number, "versionNumber": 6}),
    ]
    shown = replay(espo().show_deal(deal, state), steps)
    assert shown.written == ("invoice_number",)
    assert "Список валют" in shown.problems[0]
    assert "cSyncStatus" in shown.problems[1]


@pytest.mark.parametrize(
    ("field", "validator"), [("cInvoiceNumber", "maxLength"), ("name", "required"), ("cPaymentStatus", "valid")]
)
def test_a_refused_number_or_a_foreign_field_is_rejected(field: str, validator: str) -> None:
    """The number can't be dropped; a field that we did not send can't either, and is not asked for for ever."""
    steps = [put({"cInvoiceNumber": "СЛ00-000214"}, 400, refused(field, validator))]
    with pytest.raises(Fault, match=field) as fault:
        replay(espo().show_deal(standing(cInvoiceNumber=None, cPaymentStatus=None), NUMBER), steps)
    assert (fault.value.kind, fault.value.data) == ("rejected", {"field": field, "type": validator})


def test_a_long_status_is_shortened_to_the_field() -> None:
    """255 at first; where the field is shorter, to its own length."""
    long = "о" * 300
    deal = standing(cSyncStatus=None)
    steps = [
        put({"cSyncStatus": "о" * 254 + "…"}, 400, refused("cSyncStatus", "maxLength")),
        exchange(
            "GET",
            "api/v1/Metadata",
            200,
            {"type": "varchar", "maxLength": 100},
            query=(("key", "entityDefs.Opportunity.fields.cSyncStatus"),),
        ),
        put({"cSyncStatus": "о" * 99 + "…"}, 200, {"id": DEAL, "cSyncStatus": "о" * 99 + "…", "versionNumber": 6}),
    ]
    assert replay(espo().show_deal(deal, DealState(sync_status=long)), steps).written == ("sync_status",)


def test_what_the_crm_lacks_or_ignores_is_told() -> None:
    """An absent field is never sent; one that comes back unchanged was ignored; a named one is a problem."""
    crm = espo(fields={"invoice_url": "cLink"}, explicit_fields=["invoice_url"])
    state = DealState(invoice_number="7", invoice_url="https://1c/7", payment_status="issued")
    deal = standing(cInvoiceNumber=None, cPaymentStatus=None)
    stands = {"id": DEAL, "cInvoiceNumber": "7", "cPaymentStatus": None, "versionNumber": 6}
    steps = [put({"cInvoiceNumber": "7", "cPaymentStatus": "issued"}, 200, stands)]
    shown = replay(crm.show_deal(deal, state), steps)
    assert (shown.written, shown.ignored) == (("invoice_number",), ("invoice_url", "payment_status"))
    assert [problem for problem in shown.problems if "cLink" in problem] == list(shown.problems)


@pytest.mark.parametrize(
    ("raw", "state"),
    [
        ({"cInvoiceNumber": " 7 "}, DealState(invoice_number="7")),
        ({"cInvoiceNumber": None}, DealState(invoice_number="")),
        ({"cPaidPercent": 95}, DealState(paid_percent=Decimal("95.0"))),
        ({"cPaidAmount": 100.5, "cPaidAmountCurrency": "RUB"}, DealState(paid_amount=Decimal("100.50"))),
        ({"cInvoiceDate": "2026-12-02"}, DealState(invoice_date=datetime(2026, 12, 1, 22, 0, tzinfo=UTC))),
        ({}, DealState()),
    ],
)
def test_what_is_equal_already_is_not_written(raw: dict[str, Any], state: DealState) -> None:
    """A PUT that changes nothing would bump version and modifiedAt, and our own poll would see it."""
    shown = replay(espo().show_deal(standing(**raw), state), [])
    assert (shown.version, shown.written, shown.ignored) == ("5", (), ())


def test_a_deal_from_a_list_is_read_before_it_is_written() -> None:
    """A list row doesn't say which fields the CRM has."""
    crm = espo()
    listed, _ = replay(crm.changed_deals(datetime(2026, 12, 2, 8, tzinfo=UTC), 2), tape("changed_page2"))
    deal = Deal(**{name: getattr(read_deal(crm), name) for name in Deal.__slots__ if name != "raw"})
    assert listed[0].raw == {}
    steps = [*tape("deal_read"), *tape("deal_show_number_only")]
    assert replay(crm.show_deal(deal, NUMBER), steps).version == "6"


def test_the_reference_is_put_on_the_client_once() -> None:
    """Read, compared, written with the version; a second time it stands there."""
    crm = espo()
    shown = replay(crm.show_account(ACCOUNT, AccountState(REF)), tape("account_read", "account_show"))
    assert (shown.version, shown.written) == ("3", ("ref_key",))
    standing_there = exchange(
        "GET", f"api/v1/Account/{ACCOUNT}", 200, {"id": ACCOUNT, "c1cRefKey": REF, "versionNumber": 3}
    )
    assert replay(crm.show_account(ACCOUNT, AccountState(REF)), [standing_there]).written == ()


@pytest.mark.parametrize(
    ("names", "written"),
    [
        (("stream_with_note",), False),
        (("stream_empty", "note_post"), True),
        (("stream_closed", "notes_own", "note_post"), True),
    ],
)
def test_a_note_is_posted_unless_it_stands_there(names: Sequence[str], written: bool) -> None:
    """The stream first, our own notes where the stream is closed; a lost answer is so found by the next try."""
    assert replay(espo().note(DEAL, NOTE + "\r\n"), tape(*names)) is written


def test_a_locked_out_address_does_not_pass_for_a_closed_stream() -> None:
    """The lockout's 403 holds the queue; taken for a closed stream it would end in a second note."""
    with pytest.raises(Fault) as fault:
        replay(espo().note(DEAL, NOTE), [exchange("GET", f"api/v1/Opportunity/{DEAL}/stream", 403)])
    assert fault.value.hold


# Polling


def test_changed_deals_come_by_pages_of_whole_seconds() -> None:
    """Raw UTC, oldest first, no total; -1 says that more follow."""
    crm = espo()
    since = datetime.fromisoformat("2026-12-02T11:00:00.750+03:00")
    first, more = replay(crm.changed_deals(since, 0), tape("changed_page1"))
    assert ([deal.version for deal in first], more) == (["3", "5"], True)
    second, more = replay(crm.changed_deals(since, 2), tape("changed_page2"))
    assert ([deal.name for deal in second], more) == (["Пиломатериалы"], False)


def test_an_old_version_that_counts_is_paged_by_its_total() -> None:
    """X-No-Total is ignored by it; a row without an id is passed over."""
    page = {"total": 3, "list": [{"id": DEAL}, {"name": "без id"}]}
    deals, more = replay(
        espo().changed_deals(datetime(2026, 12, 2, tzinfo=UTC), 0), [exchange("GET", "api/v1/Opportunity", 200, page)]
    )
    assert ([deal.id for deal in deals], more) == ([DEAL], True)


# Refusals: contract §3.3 and its traps, row by row. (status, reason, body, kind, hold, what the sentence has)

REFUSALS: list[tuple[int, str | None, Any, str, bool, str]] = [
    (400, None, refused("amount", "required"), "rejected", False, "amount"),
    (
        400,
        "Field validation failure; entityType: X, field: amount, type: validCurrency.",
        "",
        "rejected",
        False,
        "Список валют",
    ),
    (400, "Not existing attribute 'nosuch' in where.", "", "rejected", False, "nosuch"),
    (401, None, "", "misconfigured", True, "api_key"),
    (403, None, "", "misconfigured", True, "заблокирован"),
    (403, None, "<html>WAF</html>", "misconfigured", False, "посредник"),
    (403, "", "", "misconfigured", False, "администратор"),
    (403, "No read access.", "", "misconfigured", False, "No read access."),
    (
        403,
        "Can't relate with non-existing record. entity type: Opportunity, link: account.",
        "",
        "rejected",
        False,
        "удалённую",
    ),
    (404, "Controller 'Opportunity' does not exist.", "", "misconfigured", False, "crm1c.toml"),
    (404, "Link does not exist.", "", "misconfigured", False, "crm1c.toml"),
    (404, None, "<html>nginx</html>", "misconfigured", True, "base_url"),
    (409, "duplicate", [{"id": ACCOUNT, "name": "ООО «Северный лес»"}], "rejected", False, "уже есть"),
    (409, "modified", {"values": {}, "versionNumber": 2}, "conflict", False, "изменил"),
    (409, None, "", "conflict", False, "не сочетаются"),
    (413, None, "", "rejected", False, "client_max_body_size"),
    (429, None, "", "transient", False, "подождать"),
    (500, "sendingFail", {"id": "7a1c71", "message": ""}, "rejected", False, "почту"),
    (503, None, "", "transient", False, "обслуживание"),
    (301, None, "", "misconfigured", True, "base_url"),
    (418, None, "", "rejected", False, "418"),
]
# … and those that depend on whether a lost answer does harm.
LOST = [(500, ""), (502, "<html>"), (504, ""), (408, ""), (200, "<html>вход</html>"), (200, "")]


@pytest.mark.parametrize(("status", "reason", "body", "kind", "hold", "told"), REFUSALS)
def test_every_refusal_has_its_kind_and_sentence(
    status: int, reason: str | None, body: Any, kind: str, hold: bool, told: str
) -> None:
    """Status and X-Status-Reason decide; the sentence says what to do."""
    with pytest.raises(Fault) as fault:
        replay(espo().account(ACCOUNT), [exchange("GET", ANY_PATH, status, body, reason=reason)])
    assert (fault.value.kind, fault.value.hold) == (kind, hold)
    assert told in str(fault.value)
    assert f"HTTP {status}" in fault.value.detail


ANY_PATH = f"api/v1/Account/{ACCOUNT}"


@pytest.mark.parametrize(("status", "body"), LOST)
def test_a_lost_answer_is_transient_for_a_read_and_a_doubt_for_a_creation(status: int, body: str) -> None:
    """A PUT sets the same values again; a POST may have been carried out: find first."""
    crm = espo()
    deal = standing(cInvoiceNumber=None)
    empty = tape("stream_empty")[0]
    talks: list[tuple[Any, list[Exchange], str]] = [
        (crm.account(ACCOUNT), [exchange("GET", ANY_PATH, status, body)], "transient"),
        (crm.show_deal(deal, NUMBER), [put(ANY, status, body)], "transient"),
        (crm.note(DEAL, NOTE), [empty, exchange("POST", "api/v1/Note", status, body)], "ambiguous"),
    ]
    for talk, steps, kind in talks:
        with pytest.raises(Fault) as fault:
            replay(talk, steps)
        assert fault.value.kind == kind


@pytest.mark.parametrize("name", ["err_bad_key", "err_lockout", "err_no_read_access", "err_proxy_page"])
def test_recorded_refusals_never_pass_for_a_deleted_deal(name: str) -> None:
    """Only EspoCRM's own word on the record makes a deal deleted."""
    with pytest.raises(Fault):
        replay(espo().deal(DEAL), tape(name))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": "Wed, 02 Dec 2026 08:43:17 GMT", "date": "Wed, 02 Dec 2026 08:41:17 GMT"}, 120.0),
        ({"retry-after": "Wed, 02 Dec 2026 08:43:17 GMT"}, None),
        ({"retry-after": "скоро"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_taken_from_either_form(headers: dict[str, str], seconds: float | None) -> None:
    """A date counts from the answer's own Date: a dialect has no clock."""
    with pytest.raises(Fault) as fault:
        replay(espo().account(ACCOUNT), [exchange("GET", ANY_PATH, 503, "", headers=headers)])
    assert fault.value.retry_after == seconds


def test_a_reason_in_raw_utf8_is_mended() -> None:
    """Headers arrive decoded as latin-1 (contract §3.3)."""
    raw = "Поле «ИНН» закрыто.".encode().decode("latin-1")
    with pytest.raises(Fault, match="Поле «ИНН» закрыто"):
        replay(espo().account(ACCOUNT), [exchange("GET", ANY_PATH, 403, "", reason=raw)])


@pytest.mark.parametrize(
    ("make", "steps"),
    [
        (lambda crm: crm.account(ACCOUNT), [exchange("GET", ANY_PATH, 200, [])]),
        (
            lambda crm: crm.changed_deals(datetime(2026, 1, 1, tzinfo=UTC), 0),
            [exchange("GET", "api/v1/Opportunity", 200, {})],
        ),
    ],
)
def test_json_of_another_shape_is_told(make: Callable[[EspoCrm], Any], steps: list[Exchange]) -> None:
    """JSON, but not EspoCRM's."""
    with pytest.raises(Fault) as fault:
        replay(make(espo()), steps)
    assert fault.value.kind == "transient"


# Signing in, options


def test_the_key_goes_in_one_header_and_hmac_signs_every_call() -> None:
    """HMAC signs method and path without api/v1/ and without the query (contract §1); the key itself isn't sent."""
    assert espo().credentials() == {"X-Api-Key": KEY}
    crm = EspoCrm({"hmac": {"api_key": KEY, "secret_key": "s3cr"}})
    digest = hmac.new(b"s3cr", b"GET /Opportunity", hashlib.sha256).hexdigest()
    call = next(crm.changed_deals(datetime(2026, 1, 1, tzinfo=UTC), 0))
    assert crm.credentials() == {}
    assert base64.b64decode(call.headers["X-Hmac-Authorization"]).decode() == f"{KEY}:{digest}"
    assert not crm.session_died(call, reply(401))
    assert crm.opening_headers() == {}
    beside = EspoCrm({"api_key": KEY, "hmac_secret": "s3cr"})
    assert next(beside.changed_deals(datetime(2026, 1, 1, tzinfo=UTC), 0)) == call


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"api_key": ""}, "api_key"),
        ({"hmac": {"api_key": "x"}}, "secret_key"),
        ({"fields": {"innn": "cInn"}}, "fields.innn"),
        ({"fields": {"inn": "c Inn"}}, "fields.inn"),
        ({"lines": "cLines"}, "lines"),
        ({"lines": {"source": "table"}}, "lines.source"),
        ({"lines": {"source": "field"}}, "lines.field"),
        ({"lines": {"source": "field", "field": "x", "colour": "y"}}, "lines.colour"),
        ({"timezone": "Moscow"}, "timezone"),
    ],
)
def test_wrong_options_are_named_by_their_key(options: dict[str, Any], told: str) -> None:
    """A table that can't work is refused when it is read, not when the first deal comes."""
    with pytest.raises(ValueError, match=told):
        espo(**options)


def test_the_dialect_speaks_the_protocol() -> None:
    """A type checker's matter; here that the names are there."""
    crm: CrmDialect = espo(lines=FIELD_LINES)
    assert "lines" in crm.capabilities
    assert "lines" not in espo().capabilities


# Setting up


def test_setup_makes_the_webhooks_and_keeps_their_secrets() -> None:
    """Five events, each to a path of its own, our own changes left out."""
    events = ("opportunity_create", "opportunity_update", "opportunity_delete", "account_create", "account_update")
    done = replay(espo().setup(CALLBACK + "/"), tape("webhooks_none", *(f"webhook_create_{event}" for event in events)))
    assert len(done.made) == 5
    assert [event for _, event, _ in done.webhooks][:2] == ["Opportunity.create", "Opportunity.update"]
    assert done.webhooks[0] == (
        "7a1c2c44f0e19b3d0",
        "Opportunity.create",
        hashlib.md5(b"Opportunity.create").hexdigest(),
    )
    assert (done.kept, done.by_hand) == ((), ())


def test_setup_keeps_what_stands_and_switches_on_what_sleeps() -> None:
    """Matched by event and address; a double is told, a webhook of somebody else is left alone."""
    done = replay(espo().setup(CALLBACK), tape("webhooks_standing", "webhook_reactivate"))
    assert (done.made, len(done.kept), len(done.webhooks)) == ((), 5, 5)
    assert "вебхук Opportunity.delete (включён снова)" in done.kept
    assert {event: secret for _, event, secret in done.webhooks}["Opportunity.update"] == "33cc" * 8
    assert len(done.by_hand) == 1
    assert "7a1c2c44f0e19b3e1" in done.by_hand[0]


def test_an_internal_address_is_told_with_the_line_to_add() -> None:
    """Since 9.3.2 EspoCRM refuses private hosts; the line is told once, for all five."""
    kept = tape("webhooks_none", "webhook_create_internal")
    more = [exchange("POST", "api/v1/Webhook", 400, refused("url", "notInternal")) for _ in range(4)]
    done = replay(espo().setup("http://10.20.0.7:8080/webhooks/espo"), kept + more)
    assert len(done.by_hand) == 1
    assert "'webhookAllowedAddressList' => ['10.20.0.7:8080']" in done.by_hand[0]


def test_a_forbidden_event_leaves_the_others_to_be_made() -> None:
    """403 with a reason is about that event; a secret that isn't shown is told."""
    steps = [
        *tape("webhooks_none", "webhook_create_opportunity_create", "webhook_create_opportunity_update"),
        exchange("POST", "api/v1/Webhook", 201, {"id": "7a1c2c44f0e19b3d2"}),
        *[exchange("POST", "api/v1/Webhook", 403, "", reason="Entity type is forbidden.")] * 2,
    ]
    done = replay(espo().setup(CALLBACK), steps)
    assert (len(done.webhooks), len(done.by_hand)) == (2, 3)
    assert "Entity type is forbidden." in done.by_hand[1]


def meta(field: str, about: Any) -> Exchange:
    return exchange("GET", "api/v1/Metadata", 200, dump(about), query=(("key", f"entityDefs.{field}"),))


def dump(about: Any) -> Any:
    """EspoCRM's answer where the metadata hold nothing: 200 and an empty body."""
    return "" if about is None else about


def made(entity: str, body: Any) -> Exchange:
    return exchange("POST", f"api/v1/Admin/fieldManager/{entity}", 200, {"isCustom": True}, body=body)


UNUSED = (
    *("kpp", "invoice_number", "invoice_date", "invoice_url", "paid_percent", "paid_amount"),
    *("retention_amount", "retention_date", "overdue", "sync_status"),
    *("contract_debt", "contract_overdue", "contract_retention", "contract_advance", "contract_totals"),
)
ONLY = dict.fromkeys(UNUSED, "")  # ИНН, the reference and the payment status are left


def test_metadata_that_hold_nothing_may_also_be_told_as_null() -> None:
    """A proxy or a later version may spell it out; a page of HTML is still no answer."""
    nothing = exchange("GET", "api/v1/Metadata", 200, "null")
    assert replay(field_defs(Api("key"), "Account", "cInn"), [nothing]) is None
    page = exchange("GET", "api/v1/Metadata", 200, "<html>")
    with pytest.raises(Fault, match="страница посредника"):
        replay(field_defs(Api("key"), "Account", "cInn"), [page])


def test_an_administrator_makes_missing_fields_under_the_configured_names() -> None:
    """EspoCRM puts «c» before the name; statuses get Russian labels; ИНН joins the duplicate check."""
    inn = {"name": "inn", "type": "varchar", "label": "ИНН", "maxLength": 12}
    ref = {"name": "1cRefKey", "type": "varchar", "label": "Ссылка 1С", "maxLength": 36}
    steps = [
        meta("Account.fields.cInn", None),
        made("Account", inn),
        meta("Account.fields.cInn", {"type": "varchar"}),
        meta("Account.fields.c1cRefKey", {"type": "varchar", "maxLength": 20}),
        meta("Opportunity.fields.cPaymentStatus", None),
        exchange("POST", "api/v1/Admin/fieldManager/Opportunity", 200, {"type": "enum"}),
        meta("Opportunity.fields.cPaymentStatus", {"type": "enum"}),
        meta("Opportunity.fields.c1cRefKey", None),
        made("Opportunity", ref),
        meta("Opportunity.fields.c1cRefKey", {"type": "varchar"}),
        exchange("GET", "api/v1/Metadata", 200, ["name", "emailAddress"]),
        exchange(
            "POST",
            "api/v1/EntityManager/action/updateEntity",
            200,
            "true",
            body={"name": "Account", "duplicateCheckFieldList": ["name", "emailAddress", "cInn"]},
        ),
        exchange("GET", "api/v1/Settings", 200, {"currencyList": ["USD"], "webhookQueueEventPortionSize": 200}),
        exchange(
            "GET", "api/v1/ScheduledJob", 200, {"total": 1, "list": [{"status": "Active", "scheduling": "*/2 * * * *"}]}
        ),
    ]
    done = replay(espo(fields=ONLY).setup_admin(), steps)
    assert done.made == (
        "поле Account.cInn",
        "поле Opportunity.cPaymentStatus",
        "поле Opportunity.c1cRefKey",
        "поиск дублей по ИНН",
    )
    assert done.kept == ("поле Account.c1cRefKey",)
    told = " ".join(done.by_hand)
    for word in ("длина 20, нужно не меньше 36", "Менеджер макетов", "RUB", "* * * * *"):
        assert word in told


def test_names_that_espocrm_would_change_are_left_to_a_person() -> None:
    """A name without the prefix, a refusal, and an installation without prefixes end in one sentence each."""
    fields = {**ONLY, "inn": "inn", "payment_status": "cstatus"}
    steps = [
        meta("Account.fields.inn", None),
        meta("Account.fields.c1cRefKey", None),
        exchange(
            "POST",
            "api/v1/Admin/fieldManager/Account",
            409,
            "",
            reason="Field 'c1cRefKey' already exists in 'Account'.",
        ),
        meta("Opportunity.fields.cstatus", None),
        meta("Opportunity.fields.c1cRefKey", None),
        exchange("POST", "api/v1/Admin/fieldManager/Opportunity", 200, {"type": "varchar"}),
        meta("Opportunity.fields.c1cRefKey", None),
        exchange("GET", "api/v1/Settings", 200, {"currencyList": ["RUB"], "webhookQueueEventPortionSize": 100}),
        exchange("GET", "api/v1/ScheduledJob", 200, {"total": 0, "list": []}),
    ]
    done = replay(espo(fields=fields).setup_admin(), steps)
    assert (done.made, done.kept, len(done.by_hand)) == ((), (), 5)
    assert "Process Webhook Queue" in done.by_hand[-1]
    assert EspoCrm.admin_credentials("админ", "п") == {
        "Espo-Authorization": base64.b64encode("админ:п".encode()).decode()
    }


def test_what_an_administrator_cannot_see_is_told_not_raised() -> None:
    """The fields stand already: a closed list must not hide that."""
    steps = [
        meta("Account.fields.cInn", {"type": "varchar", "maxLength": 12}),
        exchange("GET", "api/v1/Metadata", 200, ["cInn"]),
        exchange("GET", "api/v1/Settings", 403, "", reason=""),
        exchange("GET", "api/v1/ScheduledJob", 404, "", reason="Controller 'ScheduledJob' does not exist."),
    ]
    done = replay(espo(fields={**ONLY, "ref_key": "", "payment_status": ""}).setup_admin(), steps)
    assert (done.made, done.kept) == ((), ("поле Account.cInn", "поиск дублей по ИНН"))
    assert [told.startswith("не проверено") for told in done.by_hand] == [True, True]


def test_the_doctor_names_every_trouble_with_its_mend() -> None:
    """A named field that is missing is FAIL, a defaulted one a warning; stage, currency and webhooks are looked at."""
    crm = espo(
        fields={**ONLY, "invoice_url": "cInvoiceUrl"}, explicit_fields=["ref_key"], stage="Счёт", lines=FIELD_LINES
    )
    steps = [
        *tape("app_user"),
        meta("Account.fields.cInn", None),
        meta("Account.fields.c1cRefKey", {"type": "varchar"}),
        meta("Opportunity.fields.cInvoiceUrl", {"type": "url"}),
        meta("Opportunity.fields.cPaymentStatus", {"type": "enum", "options": ["issued", "paid"]}),
        meta("Opportunity.fields.c1cRefKey", None),
        meta("Opportunity.fields.cLines", None),
        meta("Opportunity.fields.stage", {"type": "enum", "options": ["Prospecting", "Proposal"]}),
        exchange(
            "GET", "api/v1/Webhook", 200, {"total": 1, "list": [{"event": "Opportunity.update", "isActive": True}]}
        ),
    ]
    findings = replay(crm.check(), steps)
    lines = {(finding.level, finding.what) for finding in findings}
    assert ("ok", "EspoCRM отвечает, вход выполнен: crm1c") in lines
    assert ("warn", "поле Opportunity.cInvoiceUrl закрыто для записи") in lines
    assert ("warn", "нет поля Account.cInn (inn)") in lines
    assert ("FAIL", "нет поля Opportunity.c1cRefKey (ref_key)") in lines
    assert ("FAIL", "нет поля Opportunity.cLines (позиции сделки)") in lines
    assert ("FAIL", "нет стадии «Счёт»") in lines
    assert any(finding.level == "FAIL" and "Opportunity.create" in finding.what for finding in findings)
    assert any("RUB" in finding.mend for finding in findings)


RIGHTS = {"read": "all", "edit": "all", "create": "yes"}
SCOPES = {"Opportunity": RIGHTS, "Account": RIGHTS, "Webhook": True}


@pytest.mark.parametrize(
    ("more", "permission", "found"),
    [
        ({"User": RIGHTS, "Email": RIGHTS}, "all", []),
        ({"Email": RIGHTS}, "all", [("warn", "User: read")]),
        ({"User": RIGHTS, "Email": {"read": "all"}}, "all", [("FAIL", "Email: create, edit")]),
        ({"User": RIGHTS, "Email": RIGHTS}, "no", [("FAIL", "групповой учётной записи")]),
        ({"User": RIGHTS, "Email": RIGHTS}, None, []),  # a release that doesn't tell it
    ],
)
def test_rights_that_the_settings_ask_for_are_looked_at(
    more: dict[str, Any], permission: str | None, found: list[tuple[str, str]]
) -> None:
    """Managers' addresses for notices, letters that the CRM sends; without such settings nobody asks."""
    acl = {"table": SCOPES | more} | ({"groupEmailAccountPermission": permission} if permission else {})
    me = {"user": {"userName": "crm1c"}, "acl": acl, "settings": {"currencyList": ["RUB"]}}
    fields = {**ONLY, "inn": "", "ref_key": "", "payment_status": ""}
    steps = [exchange("GET", "api/v1/App/user", 200, me), exchange("GET", "api/v1/Webhook", 403, "", reason="No.")]
    told = replay(espo(fields=fields, uses=["users", "letters"]).check(), steps)
    troubles = [one for one in told if one.level != "ok"][: len(found)]
    assert [one.level for one in troubles] == [level for level, _ in found]
    assert all(words in one.what for one, (_, words) in zip(troubles, found, strict=True))
    idle = replay(espo(fields=fields).check(), steps)
    assert not any("User" in one.what or "Email" in one.what or "групповой" in one.what for one in idle)


def test_the_doctor_ends_at_a_bad_key_but_not_at_a_closed_list() -> None:
    """What can't be asked is a finding, not a crash."""
    refusal = replay(espo().check(), [exchange("GET", "api/v1/App/user", 401)])
    assert [finding.level for finding in refusal] == ["FAIL"]
    assert "api_key" in refusal[0].mend
    healthy = {"user": {"userName": "admin"}, "acl": {"table": {}}, "settings": {"currencyList": ["RUB"]}}
    fields = {**ONLY, "inn": "", "ref_key": "", "payment_status": ""}
    steps = [
        exchange("GET", "api/v1/App/user", 200, healthy),
        exchange("GET", "api/v1/Webhook", 403, "", reason="No access."),
    ]
    assert [finding.level for finding in replay(espo(fields=fields).check(), steps)] == ["ok", "ok", "FAIL"]
