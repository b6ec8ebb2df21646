"""СПАРК: SOAP by hand, a login only when it is asked for, reports by the XSDs."""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from mappers.canonical import Requisites
from mappers.dialect import Fault
from mappers.requisites.spark import IFAX, PATH, Spark
from mappers.verbs import RequisitesDialect
from mappers.wire import parse_json
from sandbox.registry import Registry
from sandbox.registry import spark as service
from sandbox.serve import serving
from tests.mappers.replay import RECORDINGS, Exchange, exchange, replay
from tests.mappers.sources import Line, tape

COMPANY, PERSON = "2901007710", "290155821355"
SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "samples" / "spark"
METHOD = "GetCompanyShortReport"


def spark(**options: Any) -> Spark:
    return Spark({"username": "severles", "password": "п&роль <1> ", **options})


def told(*names: str, inn: str = COMPANY, kpp: str = "") -> list[Requisites]:
    return replay(spark().requisites(inn, kpp), tape("spark", *names, base=Spark.home))


def refused(*names: str) -> Fault:
    with pytest.raises(Fault) as caught:
        told(*names)
    return caught.value


def soap(result: str, xml: str = "") -> Exchange:
    data = f"<xmlData>{html.escape(xml, quote=False)}</xmlData>" if xml else ""
    inside = f'<r:{METHOD}Response xmlns:r="{IFAX}" xmlns="{IFAX}"><{METHOD}Result>{result}</{METHOD}Result>{data}'
    body = f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{inside}</r:{METHOD}Response>'
    return exchange("POST", PATH, answer=f"{body}</s:Body></s:Envelope>")


def report(status: str) -> Exchange:
    return soap("True", f"<Response><Data><Report>{status}<INN>{COMPANY}</INN></Report></Data></Response>")


def test_is_a_source() -> None:
    """It speaks the protocol; the password goes into no header."""
    dialect: RequisitesDialect = spark()
    assert dialect.capabilities == {"statuses"}
    assert dialect.credentials() == {}


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"username": ""}, "username"),
        ({"password": ()}, "password"),
        ({"base_url": f"{Spark.home}/{PATH}/"}, "base_url"),
    ],
)
def test_wrong_options(options: dict[str, Any], key: str) -> None:
    """The key that is wrong is named."""
    with pytest.raises(ValueError, match=key):
        spark(**options)


def test_a_company() -> None:
    """The report inside the string, whatever encoding its declaration claims."""
    assert told("company") == [
        Requisites(
            inn=COMPANY, source="spark", kpp="290101001", ogrn="1162901051235", name='ООО "СЕВЕРНЫЙ ЛЕС"',
            full_name='ОБЩЕСТВО С ОГРАНИЧЕННОЙ ОТВЕТСТВЕННОСТЬЮ "СЕВЕРНЫЙ ЛЕС"',
            address="163000, Архангельская обл., г. Архангельск, наб. Северной Двины, д. 12, офис 4",
            status="active", head="Двинская Анна-Мария Олеговна", head_post="директор", registered=date(2016, 3, 14),
        )
    ]  # fmt: skip


def test_a_sole_trader() -> None:
    """Another method, another name of the number and of the status."""
    (row,) = told("person", inn=PERSON)
    assert (row.name, row.kpp, row.status) == ("ИП Поморцева Мария Игоревна", "", "active")
    assert (row.ogrn, row.registered) == ("320290100033001", date(2020, 3, 5))


def test_signs_in_when_told_to() -> None:
    """A session that is not there or has ended: one login, with the password escaped, then the same question."""
    assert told("signed_out", "sign_in", "company") == told("company")


def test_signs_in_once() -> None:
    """A session that isn't taken right after the login is no reason to log in again."""
    fault = refused("signed_out", "sign_in", "signed_out")
    assert (fault.kind, fault.hold) == ("misconfigured", True)


def test_bad_password() -> None:
    """A refused login holds the queue and names the keys."""
    fault = refused("signed_out", "sign_in_refused")
    assert (fault.kind, fault.hold) == ("misconfigured", True)
    assert "password" in fault.reason


def test_nobody() -> None:
    """«Data not found» is an answer."""
    assert told("nobody") == []
    assert told("company", kpp="351143001") == []


@pytest.mark.parametrize(
    ("name", "kind", "hold"),
    [
        ("no_money", "misconfigured", True),
        ("access_denied", "misconfigured", True),
        ("failed", "transient", False),
        ("soap_fault", "transient", False),
    ],
)
def test_result_strings(name: str, kind: str, hold: bool) -> None:
    """Each result string has its kind."""
    fault = refused(name)
    assert (fault.kind, fault.hold) == (kind, hold)


def test_what_spark_says_of_an_error_is_kept() -> None:
    """The vendor's own words are the detail."""
    assert "тайм-аут базы" in refused("failed").detail
    assert "unable to process" in refused("soap_fault").detail


@pytest.mark.parametrize(
    ("step", "kind", "hold"),
    [
        (soap("Something new"), "rejected", False),
        (soap("Queue limit exceeded"), "transient", False),
        (soap("True"), "rejected", False),
        (soap("True", "<Response><Data>"), "transient", False),
        (exchange("POST", PATH, 200, "<html>работы"), "transient", False),
        (exchange("POST", PATH, 500, "oops"), "transient", False),
        (exchange("POST", PATH, 503, "", headers={"retry-after": "9"}), "transient", False),
        (exchange("POST", PATH, 403, "Forbidden"), "misconfigured", True),
        (exchange("POST", PATH, 404, ""), "misconfigured", True),
    ],
)
def test_other_troubles(step: Exchange, kind: str, hold: bool) -> None:
    """Every other answer is a Fault of the taxonomy."""
    with pytest.raises(Fault) as caught:
        replay(spark().requisites(COMPANY, ""), [step])
    assert (caught.value.kind, caught.value.hold) == (kind, hold)


@pytest.mark.parametrize("where", ["outside", "inside"])
def test_entities_are_not_opened(where: str) -> None:
    """A DTD, in the envelope or in the string, is refused: no file of ours and no bomb gets into a field."""
    bomb = '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
    text = "<Response><Data><Report><INN>&x;</INN></Report></Data></Response>"
    step = soap("True", bomb + text) if where == "inside" else exchange("POST", PATH, 200, f"{bomb}<r>&x;</r>")
    with pytest.raises(Fault, match="не читается"):
        replay(spark().requisites(COMPANY, ""), [step])


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        ('<Status IsActing="1" Type="Действующее"/>', "active"),
        ('<Status IsActing="true" Type="Находится в стадии ликвидации"/>', "liquidating"),
        ('<Status IsActing="1" Type="Принято решение о предстоящем исключении из ЕГРЮЛ"/>', "liquidating"),
        ('<Status IsActing="1" Type="В отношении введено наблюдение"/>', "bankrupt"),
        ('<Status IsActing="1" Type="В процессе реорганизации в форме присоединения"/>', "reorganizing"),
        ('<Status IsActing="0" Type="Прекратило деятельность путём реорганизации"/>', "liquidated"),
        ('<Status IsActing="0" Text="Индивидуальный предприниматель прекратил деятельность"/>', "liquidated"),
        ('<Status IsActing="0" Type="Нечто новое"/>', "unknown"),
        ("", "unknown"),
    ],
)
def test_statuses(status: str, ours: str) -> None:
    """The text of the status decides, with whether the company still acts."""
    (row,) = replay(spark().requisites(COMPANY, ""), [report(status)])
    assert row.status == ours


def test_end_and_bankruptcy() -> None:
    """A company that ended tells when; one that is bankrupt hasn't ended yet."""
    (bankrupt,) = told("company_bankrupt")
    assert (bankrupt.status, bankrupt.ended) == ("bankrupt", None)
    (ended,) = told("company_ended")
    assert (ended.status, ended.ended) == ("liquidated", date(2025, 3, 19))


def test_deeper_numbers_are_not_the_companys() -> None:
    """ИНН of a part of the report is not the ИНН of the company."""
    xml = f"<Response><Data><Report><Owner><INN>{COMPANY}</INN></Owner></Report></Data></Response>"
    assert replay(spark().requisites(COMPANY, ""), [soap("True", xml)]) == []


def test_sign_out_and_check() -> None:
    """The session can be ended; the doctor signs in and says how that went."""
    assert replay(spark().sign_out(), tape("spark", "sign_out", base=Spark.home)) is None
    assert replay(spark().check(), tape("spark", "sign_in", base=Spark.home))[0].level == "ok"
    assert replay(spark().check(), tape("spark", "sign_in_refused", base=Spark.home))[0].level == "FAIL"


@pytest.mark.skipif(not SAMPLES.exists(), reason="the shared samples aren't here")
@pytest.mark.parametrize("name", ["company", "company_bankrupt", "company_ended", "nobody", "failed"])
def test_recordings_follow_the_schema(name: str) -> None:
    """What the tests are told is what the service's own XSD allows."""
    schema = etree.XMLSchema(etree.parse(SAMPLES / "ShortReport.xsd"))
    kept = parse_json((RECORDINGS / "spark" / f"{name}.json").read_bytes())
    envelope = etree.fromstring(kept["response"]["body"].encode())
    inner = envelope.findtext(f".//{{{IFAX}}}xmlData").partition("?>")[2]
    schema.assertValid(etree.fromstring(inner.strip()))


class Desk:
    """The sandbox registry's СПАРК over a real socket."""

    def __init__(self, registry: Registry, url: str, password: str = service.PASSWORD) -> None:
        self.registry = registry
        self.say = Spark({"username": service.USER, "password": password})
        self.line = Line(self.say, f"{url}{service.PATH.rpartition('/')[0]}")

    def ask(self, inn: str) -> list[Requisites]:
        return self.line.ask(self.say.requisites(inn, ""))

    @property
    def steps(self) -> list[str]:
        return [call.step for call in self.line.calls]


@pytest.fixture
def desk() -> Iterator[Desk]:
    registry = Registry()
    with serving(registry.wsgi()) as url:
        yield Desk(registry, url)


def test_one_login_serves_many_questions_until_the_session_ends(desk: Desk) -> None:
    """The cookie is asked for once; when the service drops the session, once more."""
    (company,) = desk.ask("7800000027")
    assert (company.name, company.kpp) == ("АО «Полесье-Станкоимпорт»", "780001001")
    assert company.address == "190000, г Санкт-Петербург, наб Небывалая, д 2, литера А"
    assert (company.head, company.head_post, company.registered) == (
        "Полесский Ян Янович", "генеральный директор", date(2015, 3, 2),
    )  # fmt: skip
    assert desk.steps == ["реквизиты в СПАРК", "вход в СПАРК", "реквизиты в СПАРК"]
    (person,) = desk.ask("500000000100")
    assert (person.name, person.kpp, person.ogrn[:1]) == ("ИП Ветров Илья Павлович", "", "3")
    assert len(desk.steps) == 4
    desk.registry.switches({"expire": True})
    living, ended = desk.ask("5400000036")
    assert (living.status, ended.status, ended.ended) == ("active", "liquidated", date(2019, 6, 30))
    assert desk.registry.stats()["spark_sessions"] == 1


def test_branches_and_strangers_have_no_report(desk: Desk) -> None:
    assert [row.kpp for row in desk.ask("7700000016")] == ["770001001"]
    assert desk.ask("7707083893") == []


@pytest.mark.parametrize(
    ("result", "kind"),
    [("Not enough money", "misconfigured"), ("Access denied", "misconfigured"), ("Queue limit exceeded", "transient")],
)
def test_what_the_service_refuses_for(desk: Desk, result: str, kind: str) -> None:
    desk.registry.switches({"spark": result})
    with pytest.raises(Fault) as caught:
        desk.ask("7800000027")
    assert caught.value.kind == kind


def test_a_wrong_password_is_tried_once(desk: Desk) -> None:
    wrong = Desk(desk.registry, desk.line.url.removesuffix("/IfaxWebService"), "другой")
    with pytest.raises(Fault, match="вход не удался"):
        wrong.ask("7800000027")
    assert len(wrong.steps) == 2


@pytest.mark.skipif(not SAMPLES.exists(), reason="the shared samples aren't here")
@pytest.mark.parametrize("inn", ["7800000027", "6600000042", "7707083893"])
def test_the_sandbox_follows_the_schema(desk: Desk, inn: str) -> None:
    """What the sandbox says is what the service's own XSD allows."""
    schema = etree.XMLSchema(etree.parse(SAMPLES / "ShortReport.xsd"))
    desk.ask("500000000100")
    call = next(desk.say.requisites(inn, ""))
    envelope = etree.fromstring(desk.line._carry(call).body)
    inner = envelope.findtext(f".//{{{IFAX}}}xmlData").partition("?>")[2]
    schema.assertValid(etree.fromstring(inner.strip()))
