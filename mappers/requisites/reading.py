"""What the sources of requisites have in common: their JSON, their waits, names of sole traders, the order of rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mappers.canonical import Requisites
from mappers.dialect import Call, Fault, Finding, Reply
from mappers.wire import clean

_PREFIX = "индивидуальный предприниматель"


def as_object(who: str, call: Call, reply: Reply) -> dict[str, Any]:
    """The JSON object of an answer. Raises Fault transient for anything else: a proxy's or a maintenance page."""
    try:
        value = reply.json()
    except ValueError:
        value = None
    if isinstance(value, dict):
        return value
    raise Fault(
        "transient", f"{who}, {call.step}: ответ не читается; попробуем позже", detail=detail(reply), retry_after=60.0
    )


def refused(who: str, call: Call, reply: Reply) -> Fault:
    """The Fault of a bad status that means the same at every source."""
    where, told, again = f"{who}, {call.step}", detail(reply), reply.retry_after
    if 300 <= reply.status < 400:
        target = reply.headers.get("location", "другой адрес")
        return Fault(
            "misconfigured", f"{where}: перенаправляет на {target}; исправьте base_url", detail=told, hold=True
        )
    if reply.status == 404:
        return Fault(
            "misconfigured", f"{where}: по этому адресу ничего нет; исправьте base_url", detail=told, hold=True
        )
    if reply.status == 429:
        return Fault("transient", f"{where}: слишком много запросов; подождём", detail=told, retry_after=again or 10.0)
    if reply.status == 408 or reply.status >= 500:
        return Fault(
            "transient", f"{where}: не работает ({reply.status}); повторим сами", detail=told, retry_after=again
        )
    return Fault("rejected", f"{where}: запрос не принят ({reply.status})", detail=told)


def detail(reply: Reply) -> str:
    return f"HTTP {reply.status} {reply.text[:300].strip()}".rstrip()


def text(value: object) -> str:
    """A text of the answer, cleaned; "" for null, numbers and whatever else isn't text."""
    return clean(value) if isinstance(value, str) else ""


def sole_trader(name: str) -> tuple[str, str, str]:
    """(short name, full name, who it is) of a sole trader, whether the register writes his form before it or not."""
    person = clean(name)
    if person.casefold().startswith(_PREFIX):
        person = person[len(_PREFIX) :].strip()
    elif person.casefold().startswith("ип "):
        person = person[3:].strip()
    if person.isupper():
        person = person.title()
    return (f"ИП {person}", f"Индивидуальный предприниматель {person}", person) if person else ("", "", "")


def arranged(rows: Iterable[Requisites], kpp: str) -> list[Requisites]:
    """Rows that bear `kpp` ("": all; a sole trader bears none), those to be taken first, the source's order else."""
    fitting = [row for row in rows if not kpp or row.is_person or row.kpp == kpp]
    return sorted(fitting, key=lambda row: (row.invalid, row.status == "liquidated", row.is_branch))


def failed(fault: Fault) -> Finding:
    """A Fault as a line of the doctor's report: what, and the mend after the semicolon."""
    what, _, mend = fault.reason.partition("; ")
    return Finding("warn" if fault.kind == "transient" else "FAIL", what, mend)
