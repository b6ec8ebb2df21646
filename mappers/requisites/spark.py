"""СПАРК-Интерфакс over SOAP 1.1: a login whose session lives in a cookie, short reports as XML inside a string.

By the XSDs of the service (ShortReport, CommonTypes) and FORMATS §4; the envelope is small enough to write by hand.
Everything that comes in is parsed without entities, DTDs and network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, NoReturn

from lxml import etree

from mappers.canonical import Requisites, Standing
from mappers.dialect import Call, Fault, Finding, Reply, Talk
from mappers.requisites.reading import arranged, detail, failed, refused, sole_trader
from mappers.wire import clean

WHO = "СПАРК"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
IFAX = "http://interfax.ru/ifax"
PATH = "ifaxwebservice.asmx"
_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")

NOT_FOUND = frozenset({"Data not found", "Report not found", "Company is branch"})
SIGN_IN = "Authentication error"
# ResultType of CommonTypes.xsd → what kind of trouble it is, and what to do.
TROUBLES: Mapping[str, tuple[str, bool]] = {
    "Access denied": ("нет доступа; проверьте договор и что наш адрес внесён в белый список", True),
    "Not enough money": ("на счёте нет денег; пополните его", True),
    "Queue limit exceeded": ("слишком много запросов; подождём", False),
    "Data are in progress": ("данные готовятся; подождём", False),
    "Order is in progress": ("данные готовятся; подождём", False),
    "Error": ("внутренняя ошибка СПАРК; повторим сами", False),
    "False": ("запрос не выполнен; повторим сами", False),
}
# Words of a status text → ours, the telling ones first: «ликвидировано вследствие банкротства» has ended.
_ENDED = re.compile(r"ликвидирован|прекра[тщ]|исключен", re.IGNORECASE)
_UNDER_WAY: tuple[tuple[str, Standing], ...] = (
    ("банкрот", "bankrupt"),
    ("конкурсн", "bankrupt"),
    ("наблюдени", "bankrupt"),
    ("внешнее управление", "bankrupt"),
    ("оздоровлени", "bankrupt"),
    ("реорганиз", "reorganizing"),
    ("ликвид", "liquidating"),
)


class Spark:
    """`options`: `username` and `password` of the contract.

    The talk signs in by itself when СПАРК says that it must, once; the cookie is the transport's, for as long as the
    session lives (5 to 55 minutes).
    """

    source = "spark"
    home = "https://api.spark-interfax.ru/IfaxWebService"
    capabilities: frozenset[str] = frozenset({"statuses"})

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Raises ValueError naming the key that is wrong."""
        self._login, self._password = _first(options.get("username")), _first(options.get("password"))
        for key, value in (("username", self._login), ("password", self._password)):
            if not value:
                raise ValueError(f"{key}: не задано, а СПАРК без него не отвечает")
        if str(options.get("base_url") or "").rstrip("/").casefold().endswith(".asmx"):
            raise ValueError(f"base_url: без {PATH} в конце, например {self.home}")

    def credentials(self) -> Mapping[str, str]:
        """None in headers: they go in the body of `Authmethod`."""
        return {}

    def opening_headers(self) -> Mapping[str, str]:
        return {}

    def session_died(self, call: Call, reply: Reply) -> bool:  # noqa: ARG002 – the protocol's names
        """Never: the talk itself sees it and signs in."""
        return False

    def requisites(self, inn: str, kpp: str) -> Talk[list[Requisites]]:
        """As the protocol has it; СПАРК's short report has no rows for branches."""
        method = "GetEntrepreneurShortReport" if len(inn) == 12 else "GetCompanyShortReport"
        call = _call("реквизиты в СПАРК", method, {"inn": inn})
        result, told, answer = _report(call, method, (yield call))
        if result == SIGN_IN:
            yield from self._sign_in()
            result, told, answer = _report(call, method, (yield call))
        if result == SIGN_IN:
            raise Fault("misconfigured", f"{WHO}: вход выполнен, но сеанс не принят; проверьте договор", hold=True)
        if result in NOT_FOUND:
            return []
        if result != "True" or answer is None:
            _trouble(call, result, told)
        return arranged((row for each in answer.iter("Report") if (row := _read(each)).inn == inn), kpp)

    def sign_out(self) -> Talk[None]:
        """End the session; СПАРК counts those that are open."""
        yield _call("выход из СПАРК", "End", {})

    def check(self) -> Talk[list[Finding]]:
        try:
            yield from self._sign_in()
        except Fault as fault:
            return [failed(fault)]
        return [Finding("ok", f"{WHO} отвечает, вход выполнен")]

    def _sign_in(self) -> Talk[None]:
        call = _call("вход в СПАРК", "Authmethod", {"Login": self._login, "Password": self._password})
        result = _told(_body(call, (yield call)), "AuthmethodResult")
        if result.casefold() != "true":
            told = f"{WHO}: вход не удался ({result or 'без объяснений'})"
            raise Fault("misconfigured", f"{told}; проверьте username, password и белый список адресов", hold=True)


def _call(step: str, method: str, arguments: Mapping[str, str]) -> Call:
    envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soap": SOAP})
    asked = etree.SubElement(etree.SubElement(envelope, f"{{{SOAP}}}Body"), f"{{{IFAX}}}{method}", nsmap={None: IFAX})
    for name, value in arguments.items():
        etree.SubElement(asked, f"{{{IFAX}}}{name}").text = clean(value) if name != "Password" else value
    headers = {"Content-Type": "text/xml; charset=utf-8", "Accept": "text/xml", "SOAPAction": f'"{IFAX}/{method}"'}
    body = etree.tostring(envelope, xml_declaration=True, encoding="utf-8")
    return Call(step, "POST", PATH, headers=headers, repeatable=True, body=body)


def _body(call: Call, reply: Reply) -> Any:
    """The SOAP body; a SOAP fault comes with 500 and says what the service choked on."""
    if reply.status not in (200, 500):
        raise _refused(call, reply)
    try:
        envelope = _parsed(reply.body)
    except ValueError:
        if reply.status == 500:
            raise _refused(call, reply) from None
        told = f"{WHO}, {call.step}: ответ не читается; попробуем позже"
        raise Fault("transient", told, detail=detail(reply), retry_after=60.0) from None
    if reply.status == 500 or envelope.find(f".//{{{SOAP}}}Fault") is not None:
        said = clean(envelope.findtext(".//faultstring") or "")
        told = f"{WHO}, {call.step}: внутренняя ошибка; повторим сами"
        raise Fault("transient", told, detail=said or detail(reply), retry_after=60.0)
    return envelope


def _refused(call: Call, reply: Reply) -> Fault:
    if reply.status in (401, 403):
        told = f"{WHO}: доступ закрыт; проверьте договор и что наш адрес внесён в белый список"
        return Fault("misconfigured", told, detail=detail(reply), hold=True)
    return refused(WHO, call, reply)


def _report(call: Call, method: str, reply: Reply) -> tuple[str, str, Any]:
    """The result word, what СПАРК says about an error, and the parsed `xmlData` (None: there is none)."""
    envelope = _body(call, reply)
    result, inner = _told(envelope, f"{method}Result"), envelope.findtext(f".//{{{IFAX}}}xmlData") or ""
    if not inner.strip():
        return result, "", None
    try:
        # A string has been decoded already: what its declaration says of an encoding no longer holds.
        answer = _parsed(_DECLARATION.sub("", inner).strip().encode())
    except ValueError:
        told = f"{WHO}, {call.step}: отчёт не читается; попробуем позже"
        raise Fault("transient", told, detail=inner[:300], retry_after=60.0) from None
    info = answer.find("ResultInfo")
    told = clean(" ".join(info.itertext())) if info is not None else ""
    if info is not None and result in ("", "True"):
        result = info.get("ResultType", result)
    return result, told, answer


def _trouble(call: Call, result: str, told: str) -> NoReturn:
    reason, hold = TROUBLES.get(result, (f"неожиданный ответ «{result[:60]}»; сообщите в поддержку", False))
    kind: Any = "misconfigured" if hold else "transient" if result in TROUBLES else "rejected"
    wait = 60.0 if kind == "transient" else None
    raise Fault(kind, f"{WHO}, {call.step}: {reason}", detail=f"{result} {told}".strip(), hold=hold, retry_after=wait)


def _read(report: Any) -> Requisites:
    """A `Report` of ShortReport.xsd, or the one of a sole trader (OGRNIP, DateReg, Status/@Text)."""
    inn, full = _text(report, "INN"), _text(report, "FullNameRus")
    short, status = _text(report, "ShortNameRus") or full, report.find("Status")
    leader, address = report.find("LeaderList/Leader"), report.find("LegalAddresses/Address")
    head, post = ("", "") if leader is None else (clean(leader.get("FIO", "")), clean(leader.get("Position", "")))
    if len(inn) == 12:
        short, full, head = sole_trader(full)
    standing = _standing(status)
    until = "" if status is None or standing != "liquidated" else status.get("Date", "")
    return Requisites(
        inn=inn,
        source=Spark.source,
        kpp=_text(report, "KPP"),
        ogrn=_text(report, "OGRN") or _text(report, "OGRNIP"),
        name=short,
        full_name=full,
        address="" if address is None else _address(address),
        status=standing,
        head=head,
        head_post=post,
        registered=_day(_text(report, "DateFirstReg") or _text(report, "DateReg")),
        ended=_day(until),
    )


def _standing(status: Any) -> Standing:
    if status is None:
        return "unknown"
    said = f"{status.get('Type') or status.get('Text') or ''} {status.get('GroupName') or ''}".replace("ё", "е")
    acting = status.get("IsActing", "").casefold() in ("1", "true")
    if _ENDED.search(said):  # «принято решение об исключении» is said of a company that still acts
        return "liquidating" if acting else "liquidated"
    for word, standing in _UNDER_WAY:
        if word in said.casefold():
            return standing
    return "active" if acting else "unknown"


def _address(element: Any) -> str:
    code, line = clean(element.get("PostCode", "")), clean(element.get("Address", ""))
    return line if not code or code in line else f"{code}, {line}"


def _text(report: Any, name: str) -> str:
    """The text of a child, not of a deeper element: owners and leaders have ИНН of their own."""
    return clean(report.findtext(name) or "")


def _told(envelope: Any, name: str) -> str:
    return clean(envelope.findtext(f".//{{{IFAX}}}{name}") or "")


def _parsed(raw: bytes) -> Any:
    """An XML tree without entities, DTD and network. Raises ValueError for what is no XML or brings a DTD."""
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(raw, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(str(error)) from error
    if root.getroottree().docinfo.doctype:
        raise ValueError("a DTD has no place in this answer")
    return root


def _first(value: Any) -> str:
    return str(value or "") if isinstance(value, str) or not value else str(value[0])


def _day(value: str) -> date | None:
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        return None
