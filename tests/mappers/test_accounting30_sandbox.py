"""The talks of Бухгалтерия 3.0 against the sandbox 1C, over a real socket: neither shares code with the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote

import pytest
import requests

from mappers.canonical import Invoice, InvoiceDraft, InvoiceLine, Party
from mappers.dialect import Call, Fault, InvoiceRefs, Reply, Talk
from mappers.onec.accounting30 import Accounting30
from mappers.wire import dump_json
from sandbox.onec import OneC
from sandbox.serve import serving

T = TypeVar("T")
INVOICE = "Document_СчетНаОплатуПокупателю"
PAYMENT = "Document_ПоступлениеНаРасчетныйСчет"
CLIENT = Party("Полянка ООО", inn="7714088525", kpp="771401001", ogrn="1187746009123", full_name='ООО "Полянка"')
KEY = "5d0b3a8e-2f41-5c77-9e0d-1a2b3c4d5e6f"
LONG = "Сопровождение обмена между бухгалтерией и CRM с дежурством по выходным дням, " * 3
DRAFT = InvoiceDraft(
    KEY, datetime(2026, 11, 24, 11, 5, 9, tzinfo=UTC), "RUB", Decimal("130000.50"), True,
    (
        InvoiceLine("Настройка обмена", "Настройка обмена по договору 14/26", Decimal(1), Decimal(130000),
                    Decimal(130000), "22", Decimal("23442.62")),
        InvoiceLine(LONG, "д'Арк & \"Плюс\" + 100%", Decimal("0.5"), Decimal(1), Decimal("0.50"), "22",
                    Decimal("0.09")),
    ),
    "Сделка «Обмен» из CRM",
)  # fmt: skip
DEARER = replace(
    DRAFT,
    total=Decimal(122),
    lines=(replace(DRAFT.lines[0], price=Decimal(122), amount=Decimal(122), vat=Decimal(22)),),
)


class Rig:
    """A base and a dialect in front of it; `ask` has a talk over HTTP, as a transport does."""

    def __init__(self, url: str, onec: OneC, **options: Any) -> None:
        self.url, self.onec = url, onec
        self.options = {
            "base_url": f"{url}/bp/odata/standard.odata", "username": "Обмен", "password": "obmen",
            "organisation": "7707083893", "timezone": "Europe/Moscow",
        } | options  # fmt: skip
        self.say = Accounting30(self.options)
        self.http = requests.Session()
        self.http.trust_env = False
        self.calls: list[tuple[Call, int]] = []

    def ask(self, talk: Talk[T]) -> T:
        try:
            call = next(talk)
            while True:
                reply = self._carry(call)
                self.calls.append((call, reply.status))
                call = talk.send(reply)
        except StopIteration as end:
            value: T = end.value
            return value

    def _carry(self, call: Call) -> Reply:
        had_cookie = bool(self.http.cookies)
        reply = self._send(call, opening=not had_cookie)
        if had_cookie and self.say.session_died(call, reply):
            self.http.cookies.clear()
            reply = self._send(call, opening=True)
        return reply

    def _send(self, call: Call, *, opening: bool) -> Reply:
        query = "&".join(f"{quote(key, safe='$')}={quote(value, safe='')}" for key, value in call.query)
        url = "/".join((str(self.options["base_url"]), quote(call.path, safe="/()',=$"))) + f"?{query}"
        headers = {**self.say.credentials(), **call.headers, **(self.say.opening_headers() if opening else {})}
        body = None if call.json is None else dump_json(call.json)
        if body is not None:
            headers["Content-Type"] = "application/json; charset=utf-8"
        got = self.http.request(call.method, url, data=body, headers=headers, timeout=10, allow_redirects=False)
        return Reply(got.status_code, {k.lower(): v for k, v in got.headers.items()}, got.content)

    def admin(self, name: str, body: Any) -> Any:
        got = requests.post(f"{self.url}/_sandbox/{name}", json=body, timeout=10)
        assert got.status_code == 200, got.text
        return got.json()

    def seed(self, set_name: str, *bodies: dict[str, Any]) -> list[str]:
        keys: list[str] = self.admin("seed", {set_name: list(bodies)})[set_name]
        return keys

    def state(self, set_name: str) -> list[dict[str, Any]]:
        got = requests.get(f"{self.url}/_sandbox/state", params={"set": set_name}, timeout=10)
        found: list[dict[str, Any]] = got.json()
        return found

    def learn(self) -> None:
        self.say.learn(self.ask(self.say.read_model()))

    def refs(self, draft: InvoiceDraft = DRAFT, currency: str = "RUB") -> InvoiceRefs:
        """Everything found, or created where there is none."""
        say = self.say
        organisation, money = self.ask(say.organisation()), self.ask(say.currency(currency))
        assert organisation is not None
        assert money is not None
        found = self.ask(say.counterparties(CLIENT.inn, CLIENT.kpp))
        client = found[0] if found else self.ask(say.create_counterparty(CLIENT, KEY))
        standing = self.ask(say.contracts(client.ref_key, organisation.ref_key, money.ref_key))
        contract = standing[0] if standing else self.ask(
            say.create_contract(client.ref_key, organisation.ref_key, money.ref_key, "", KEY)
        )  # fmt: skip
        items = {
            line.item: (self.ask(say.item(line.item)) or self.ask(say.create_item(line.item))).ref_key
            for line in draft.lines
        }
        return InvoiceRefs(organisation.ref_key, client.ref_key, contract.ref_key, money.ref_key, items)

    def fails(self, talk: Talk[Any]) -> Fault:
        with pytest.raises(Fault) as caught:
            self.ask(talk)
        return caught.value


Make = Callable[..., Rig]


@pytest.fixture
def make() -> Iterator[Make]:
    with ExitStack() as stack:

        def made(options: dict[str, Any] | None = None, **switches: Any) -> Rig:
            onec = OneC(**switches)
            rig = Rig(stack.enter_context(serving(onec.wsgi())), onec, **(options or {}))
            rig.learn()
            return rig

        yield made


# The other shape of dual fields: the owner of a contract is a field that the sandbox takes as an addition only.
COMPOSITE = {
    "composite": [
        f"{INVOICE}.Контрагент", f"{INVOICE}.Товары.Номенклатура", f"{PAYMENT}.Контрагент",
        f"{PAYMENT}.РасшифровкаПлатежа.СчетНаОплату",
    ],
    "added": {"Catalog_ДоговорыКонтрагентов.Owner": "any Catalog_Контрагенты Catalog_Организации"},
}  # fmt: skip


@pytest.mark.parametrize("switches", [{}, COMPOSITE], ids=["keys", "composite"])
def test_from_nothing_to_a_posted_invoice_and_its_payment(make: Make, switches: dict[str, Any]) -> None:
    rig = make(**switches)
    dual = bool(switches)
    assert rig.say.model.composite("Catalog_ДоговорыКонтрагентов", "Owner") is dual
    say = rig.say
    assert say.lacking() == []
    refs = rig.refs()
    assert rig.refs() == refs  # found again: nothing is made twice
    assert rig.ask(say.find_invoice(KEY, refs.counterparty)) == []

    made = rig.ask(say.create_invoice(DRAFT, refs))
    assert (made.total, made.currency, made.posted, made.counterparty) == (
        Decimal("130000.5"), "RUB", False, refs.counterparty,
    )  # fmt: skip
    assert made.date == DRAFT.date
    assert rig.ask(say.find_invoice(KEY, refs.counterparty)) == [made]
    assert rig.ask(say.find_invoice(KEY, "")) == [made]

    posted = rig.ask(say.post_invoice(made.ref_key))
    assert posted.posted
    assert rig.ask(say.post_invoice(made.ref_key)).posted
    posted = rig.ask(say.invoice(made.ref_key)) or posted
    assert not rig.ask(say.paid(posted))

    again = rig.ask(say.rewrite_invoice(posted, DEARER, refs))
    assert (again.number, again.total, again.posted) == (made.number, Decimal(122), False)
    assert len(rig.state(INVOICE)[0]["Товары"]) == 1
    assert rig.ask(say.rewrite_invoice(posted, DEARER, refs)) == again  # an old version, but our own content
    assert rig.fails(say.rewrite_invoice(posted, DRAFT, refs)).kind == "conflict"
    assert rig.ask(say.post_invoice(made.ref_key)).posted

    pay(rig, again)
    assert rig.ask(say.paid(again))
    assert "DELETE" not in {call.method for call, _ in rig.calls}


def pay(rig: Rig, invoice: Invoice) -> None:
    def reference(set_name: str, name: str, ref_key: str, target: str) -> dict[str, str]:
        return rig.say.model.reference(set_name, name, ref_key, target)

    row = reference(f"{PAYMENT}_РасшифровкаПлатежа", "СчетНаОплату", invoice.ref_key, INVOICE)
    client = reference(PAYMENT, "Контрагент", invoice.counterparty, "Catalog_Контрагенты")
    other = {"Date": "2026-11-25T00:00:00", "Posted": True, "РасшифровкаПлатежа": [{"LineNumber": "1"}], **client}
    rig.seed(PAYMENT, *([other] * 120), other | {"РасшифровкаПлатежа": [{"LineNumber": "1", **row}]})


def test_a_sample_and_defaults_fill_the_house_fields(make: Make) -> None:
    rig = make({"sample_invoice": "0000-000777"})
    refs = rig.refs()
    fault = rig.fails(rig.say.create_invoice(DRAFT, refs))
    assert (fault.kind, "0000-000777" in fault.reason) == ("misconfigured", True)
    account = rig.state("Catalog_БанковскиеСчета")[0]["Ref_Key"]
    sample = {"Number": "0000-000777", "Date": "2026-02-01T00:00:00", "Организация_Key": refs.organisation}
    rig.seed(INVOICE, sample | {"СтруктурнаяЕдиница_Key": account})
    made = rig.ask(rig.say.create_invoice(DRAFT, refs))
    (stored,) = (row for row in rig.state(INVOICE) if row["Ref_Key"] == made.ref_key)
    assert stored["СтруктурнаяЕдиница_Key"] == account


def test_a_foreign_currency_takes_the_rate_of_the_day(make: Make) -> None:
    rig = make()
    refs = rig.refs(currency="USD")
    made = rig.ask(rig.say.create_invoice(replace(DRAFT, currency="USD"), refs))
    assert made.currency == "USD"
    assert rig.state(INVOICE)[0]["КурсВзаиморасчетов"] == 80
    assert rig.state("Catalog_ДоговорыКонтрагентов")[0]["Валютный"] is True


def test_what_the_release_lacks_is_named(make: Make) -> None:
    rig = make(without=[f"{INVOICE}.Комментарий", PAYMENT])
    assert rig.say.lacking() == [f"{INVOICE}.Комментарий"]
    assert rig.say.advised() == [f"{PAYMENT} (не опубликован в OData)"]


def test_a_stale_model_is_caught_by_the_read_back(make: Make) -> None:
    """A base that lost a field since its model was read ignores it with 200."""
    rig = make()
    refs = rig.refs()
    rig.admin("switches", {"without": [f"{INVOICE}.ДокументБезНДС"]})
    fault = rig.fails(rig.say.create_invoice(DRAFT, refs))
    assert (fault.kind, fault.data["fields"]) == ("rejected", ["ДокументБезНДС"])
    assert fault.data["ref_key"] == rig.state(INVOICE)[0]["Ref_Key"]


def test_a_price_that_1c_rounds_is_caught_by_the_read_back(make: Make) -> None:
    rig = make()
    draft = replace(DRAFT, lines=(replace(DRAFT.lines[0], price=Decimal("130000.005")),))
    fault = rig.fails(rig.say.create_invoice(draft, rig.refs()))
    assert fault.data["fields"] == ["Товары[1].Цена"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "lock"}, "transient"),
        ({"kind": "licence"}, "transient"),
        ({"kind": "licence", "status": 402}, "transient"),
        ({"kind": "html"}, "ambiguous"),
        ({"kind": "status", "status": 503}, "transient"),
        ({"kind": "status", "status": 502}, "ambiguous"),
        ({"kind": "status", "status": 401}, "misconfigured"),
    ],
)
def test_troubles_of_a_create(make: Make, fault: dict[str, Any], kind: str) -> None:
    rig = make()
    refs = rig.refs()
    rig.admin("faults", fault | {"match": {"method": "POST"}, "times": 1})
    assert rig.fails(rig.say.create_invoice(DRAFT, refs)).kind == kind
    made = rig.ask(rig.say.create_invoice(DRAFT, refs))  # it passed by itself
    assert rig.ask(rig.say.find_invoice(KEY, refs.counterparty)) == [made]


def test_a_lost_answer_is_found_by_its_key(make: Make) -> None:
    """1C had written it: the search by our key finds the one document, whole, and a second look changes nothing."""
    rig = make()
    refs = rig.refs()
    rig.admin("faults", {"kind": "lost_answer", "match": {"method": "POST"}, "times": 1})
    with pytest.raises(requests.ConnectionError):
        rig.ask(rig.say.create_invoice(DRAFT, refs))
    (found,) = rig.ask(rig.say.find_invoice(KEY, refs.counterparty))
    assert rig.ask(rig.say.rewrite_invoice(found, DRAFT, refs)) == found
    assert len(rig.state(INVOICE)) == 1


def test_a_dead_session_is_opened_anew(make: Make) -> None:
    rig = make()
    assert "ibsession" in rig.http.cookies
    rig.admin("switches", {"expire_sessions": True})
    assert rig.ask(rig.say.organisation()) is not None


def test_marked_documents_are_not_posted_nor_rewritten(make: Make) -> None:
    rig = make()
    refs = rig.refs()
    made = rig.ask(rig.say.create_invoice(DRAFT, refs))
    rig.seed(INVOICE, {"Ref_Key": made.ref_key, "DeletionMark": True})
    (found,) = rig.ask(rig.say.find_invoice(KEY, refs.counterparty))
    assert found.deleted
    assert rig.fails(rig.say.rewrite_invoice(found, DEARER, refs)).kind == "conflict"
    assert rig.fails(rig.say.post_invoice(made.ref_key)).kind == "rejected"


def test_rights_and_sign_in(make: Make) -> None:
    rig = make(forbidden=["Catalog_Валюты"])
    fault = rig.fails(rig.say.currency("RUB"))
    assert (fault.kind, fault.hold) == ("misconfigured", False)
    stranger = Rig(rig.url, rig.onec, password="чужой")
    fault = stranger.fails(stranger.say.organisation())
    assert (fault.kind, fault.hold) == ("misconfigured", True)


def test_the_doctor(make: Make) -> None:
    rig = make()
    fresh = Rig(rig.url, rig.onec)
    findings = fresh.ask(fresh.say.check(date(2026, 11, 24)))
    assert [each for each in findings if each.level != "ok"] == []
    assert len(findings) == 6
