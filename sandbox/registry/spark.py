"""СПАРК-Интерфакс: SOAP 1.1, a session in ASP.NET's cookie, short reports as XML inside a string (ShortReport.xsd)."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie
from xml.etree import ElementTree as ET

from sandbox.answers import Answer, page
from sandbox.registry.companies import Company

PATH = "/IfaxWebService/ifaxwebservice.asmx"
USER, PASSWORD = "sandbox", "sandbox-spark"
COOKIE = "ASP.NET_SessionId"
SOAP, IFAX = "http://schemas.xmlsoap.org/soap/envelope/", "http://interfax.ru/ifax"

Find = Callable[[str], list[Company]]


class Spark:
    """The service over the registry's companies. `find` gives those with an ИНН or ОГРН; branches have no report.

    `result`: a ResultType that every report is answered with ("Not enough money", …), "" for real ones.
    """

    def __init__(self, find: Find) -> None:
        self._find = find
        self._lock = threading.Lock()
        self._sessions: set[str] = set()
        self.result = ""

    @property
    def sessions(self) -> int:
        """How many sessions are open."""
        return len(self._sessions)

    def expire(self) -> None:
        """End all sessions, as the service does after their time."""
        with self._lock:
            self._sessions.clear()

    def __call__(self, method: str, action: str, cookie: str, body: bytes) -> Answer:
        if method != "POST":
            return page(405, "Method Not Allowed")
        asked = _asked(body)
        if asked is None or action.strip('"') != f"{IFAX}/{_local(asked)}":
            return _fault("Server did not recognize the value of HTTP Header SOAPAction.")
        name, told = _local(asked), {_local(each): each.text or "" for each in asked}
        if name == "Authmethod":
            return self._sign_in(told)
        if name == "End":
            return self._end(_session(cookie))
        if name in ("GetCompanyShortReport", "GetEntrepreneurShortReport"):
            return self._report(name, told, _session(cookie))
        return _fault(f"Unknown method {name}.")

    def _sign_in(self, told: dict[str, str]) -> Answer:
        if (told.get("Login"), told.get("Password")) != (USER, PASSWORD):
            return _answer("Authmethod", "False")
        session = secrets.token_hex(12)
        with self._lock:
            self._sessions.add(session)
        return _answer("Authmethod", "True", cookie=f"{COOKIE}={session}; path=/; HttpOnly; SameSite=Lax")

    def _end(self, session: str) -> Answer:
        with self._lock:
            known = session in self._sessions
            self._sessions.discard(session)
        return _answer("End", "True" if known else "False")

    def _report(self, name: str, told: dict[str, str], session: str) -> Answer:
        if session not in self._sessions:
            return _answer(name, "Authentication error", _response("Authentication error", []))
        if self.result:
            return _answer(name, self.result, _response(self.result, []))
        person = name == "GetEntrepreneurShortReport"
        wanted = told.get("inn") or told.get("ogrn") or ""
        found = [
            one for one in self._find(wanted) if wanted and one.person == person and not (one.branch or one.invalid)
        ]
        result = "True" if found else "Data not found"
        return _answer(name, result, _response(result, [_person(c) if person else _company(c) for c in found]))


def _company(company: Company) -> ET.Element:
    """A `Report` in the order and with everything that the schema demands."""
    c, today = company, datetime.now(UTC).date().isoformat()
    report = ET.Element("Report", ActualDate=today)
    _add(report, "SparkID", str(int(c.ogrn[:-1]) % 100_000_000))
    _add(report, "CompanyType", "1")
    report.append(_status(c, "Type", today))
    _add(report, "DateFirstReg", c.registered)
    _add(report, "ShortNameRus", c.short)
    _add(report, "FullNameRus", c.full)
    _add(report, "INN", c.inn)
    if c.kpp:
        _add(report, "KPP", c.kpp)
    _add(report, "OGRN", c.ogrn)
    if c.head:
        leaders = ET.SubElement(report, "LeaderList")
        ET.SubElement(leaders, "Leader", ActualDate=today, FIO=c.head, Position=c.post.casefold())
    code, _, rest = c.address.partition(", ")
    address = {"PostCode": code, "Address": rest} if code.isdigit() else {"Address": c.address}
    ET.SubElement(ET.SubElement(report, "LegalAddresses"), "Address", address)
    ET.SubElement(report, "IndexOfDueDiligence", Index="*", IndexDesc="*")
    same = ET.SubElement(report, "CompanyWithSameInfo")
    for name in ("TelephoneCount", "AddressCount", "AddressWithoutRoomCount", "AddressNotAffiliatedCount",
                 "AddressFTSCount", "ManagerCountInCountry", "ManagerCountInRegion", "ManagerInnCount"):  # fmt: skip
        _add(same, name, "1")
    ended = ET.SubElement(report, "CompanyLiquidatedWithSameInfo")
    for name in ("AddressCount", "AddressWithoutRoomCount"):
        _add(ended, name, "0")
    return report


def _person(company: Company) -> ET.Element:
    """A sole trader's report: no КПП, no address, the name without his legal form."""
    report = ET.Element("Report")
    _add(report, "SparkID", str(int(company.ogrn[:-1]) % 100_000_000))
    report.append(_status(company, "Text", datetime.now(UTC).date().isoformat()))
    _add(report, "DateReg", company.registered)
    _add(report, "FullNameRus", company.head or company.full)
    _add(report, "INN", company.inn)
    _add(report, "OGRNIP", company.ogrn)
    return report


_STATUSES = {
    "ACTIVE": ("1", "Действующее"),
    "LIQUIDATING": ("1", "В стадии ликвидации"),
    "BANKRUPT": ("1", "Конкурсное производство"),
    "REORGANIZING": ("1", "В процессе реорганизации"),
    "LIQUIDATED": ("0", "Ликвидировано"),
}


def _status(company: Company, attribute: str, today: str) -> ET.Element:
    acting, text = _STATUSES[company.status]
    told = {"IsActing": acting, "Code": "24", attribute: text, "GroupId": "1", "GroupName": text}
    return ET.Element("Status", told | {"Date": company.ended or today})


def _response(result: str, reports: list[ET.Element]) -> str:
    response = ET.Element("Response")
    if reports:
        ET.SubElement(response, "Data").extend(reports)
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0).isoformat()
    ET.SubElement(response, "ResultInfo", ResultType=result, DateTime=now, ExecutionTime="31")
    # The string was made from bytes of windows-1251, and its declaration goes on saying so.
    return '<?xml version="1.0" encoding="windows-1251"?>\n' + ET.tostring(response, encoding="unicode")


def _answer(method: str, result: str, xml: str = "", cookie: str = "") -> Answer:
    envelope = ET.Element(f"{{{SOAP}}}Envelope")
    inside = ET.SubElement(ET.SubElement(envelope, f"{{{SOAP}}}Body"), f"{{{IFAX}}}{method}Response")
    ET.SubElement(inside, f"{{{IFAX}}}{method}Result").text = result
    if xml:
        ET.SubElement(inside, f"{{{IFAX}}}xmlData").text = xml
    body: bytes = ET.tostring(envelope, encoding="utf-8", xml_declaration=True)
    return Answer(200, body, "text/xml; charset=utf-8", (("Set-Cookie", cookie),) if cookie else ())


def _fault(text: str) -> Answer:
    envelope = ET.Element(f"{{{SOAP}}}Envelope")
    fault = ET.SubElement(ET.SubElement(envelope, f"{{{SOAP}}}Body"), f"{{{SOAP}}}Fault")
    _add(fault, "faultcode", "soap:Server")
    _add(fault, "faultstring", text)
    return Answer(500, ET.tostring(envelope, encoding="utf-8", xml_declaration=True), "text/xml; charset=utf-8")


def _asked(body: bytes) -> ET.Element | None:
    """The method's element of an envelope; None for anything else, and for whatever brings a DTD."""
    if b"<!DOCTYPE" in body:
        return None
    try:
        inside = ET.fromstring(body).find(f"{{{SOAP}}}Body")
    except ET.ParseError:
        return None
    return inside[0] if inside is not None and len(inside) else None


def _session(header: str) -> str:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _add(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = text
