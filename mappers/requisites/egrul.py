"""ЕГРЮЛ and ЕГРИП through the back end of egrul.nalog.ru: no contract, best effort (FORMATS §4, «FNS»).

Two steps: a search gives a ticket, the ticket gives the rows, now and then only after it said «wait». A captcha or a
lockout is told and ends the talk: asking again at once would only prolong it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from mappers.canonical import Requisites
from mappers.dialect import Call, Fault, Finding, Reply, Talk
from mappers.requisites.reading import arranged, as_object, detail, failed, refused, sole_trader, text

WHO = "ЕГРЮЛ (ФНС)"
KNOWN = "7707329152"  # ФНС itself: it will be found as long as there is a register
# Rests before asking for the rows again; the site's own page asks about every second.
WAITS = (0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0)
CAPTCHA_REST = 1800.0  # the site lifts its demand after a while without calls; nobody says after how long
LOCKOUT_REST = 3600.0
_FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8", "X-Requested-With": "XMLHttpRequest"}


class Egrul:
    """The public search of the Federal Tax Service; it needs no key.

    It has no rows for branches and says nothing of a liquidation under way: "active" is «not ended».
    """

    source = "egrul"
    home = "https://egrul.nalog.ru"
    capabilities: frozenset[str] = frozenset()

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Nothing to configure but the address."""

    def credentials(self) -> Mapping[str, str]:
        return {}

    def opening_headers(self) -> Mapping[str, str]:
        return {}

    def session_died(self, call: Call, reply: Reply) -> bool:  # noqa: ARG002 – the protocol's names
        return False

    def requisites(self, inn: str, kpp: str) -> Talk[list[Requisites]]:
        """As the protocol has it. Raises Fault transient, with a long `retry_after`, for a captcha or a lockout."""
        ticket = yield from _search(inn)
        rows = yield from _rows(ticket)
        return arranged((found for row in rows if (found := _read(row)) is not None and found.inn == inn), kpp)

    def check(self) -> Talk[list[Finding]]:
        try:
            found = yield from self.requisites(KNOWN, "")
        except Fault as fault:
            return [failed(fault)]
        if not found:
            return [Finding("warn", f"{WHO} отвечает, но не нашёл саму ФНС (ИНН {KNOWN})", "возможно, сайт изменился")]
        return [Finding("ok", f"{WHO} отвечает")]


def _search(inn: str) -> Talk[str]:
    form = urlencode({"vyp3CaptchaToken": "", "page": "", "query": inn, "region": "", "PreventChromeAutocomplete": ""})
    call = Call("поиск в ЕГРЮЛ", "POST", "", headers=_FORM, repeatable=True, body=form.encode())
    answer = _answer(call, (yield call))
    ticket = text(answer.get("t"))
    if not ticket.isalnum():
        raise Fault("transient", f"{WHO}, {call.step}: в ответе нет номера запроса; попробуем позже", retry_after=60.0)
    return ticket


def _rows(ticket: str) -> Talk[list[Any]]:
    for pause in (0.0, *WAITS):
        call = Call("ответ ЕГРЮЛ", "GET", f"search-result/{ticket}", repeatable=True, pause=pause)
        answer = _answer(call, (yield call))
        if isinstance(answer.get("rows"), list):
            return list(answer["rows"])
        if answer.get("status") != "wait":
            raise Fault("transient", f"{WHO}, {call.step}: ответ без строк; попробуем позже", detail=str(answer)[:300])
    raise Fault("transient", f"{WHO}: поиск так и не закончился; попробуем через минуту", retry_after=60.0)


def _answer(call: Call, reply: Reply) -> dict[str, Any]:
    if reply.status in (403, 405, 429):  # 405 is what the site says to an address that asked too much
        rest = max(reply.retry_after or 0.0, LOCKOUT_REST)
        reason = f"{WHO}: сайт временно не отвечает на запросы с нашего адреса; попробуем через час, пока без него"
        raise Fault("transient", reason, detail=detail(reply), retry_after=rest)
    if reply.status not in (200, 400):
        raise refused(WHO, call, reply)
    answer = as_object(WHO, call, reply)
    errors = answer.get("ERRORS")
    errors = errors if isinstance(errors, Mapping) else {}
    if answer.get("captchaRequired") is True or any("captcha" in str(name).casefold() for name in errors):
        reason = (
            f"{WHO}: сайт требует ввести цифры с картинки (капчу), этого мы не делаем; "
            f"проверьте ИНН вручную на {Egrul.home}, сами попробуем через полчаса"
        )
        raise Fault("transient", reason, detail=detail(reply), retry_after=CAPTCHA_REST)
    if errors or reply.status == 400:
        told = " ".join(str(one) for each in errors.values() for one in (each if isinstance(each, list) else [each]))
        # The search was refused for what was asked; of a ticket the same words mean that it has expired.
        kind: Any = "rejected" if call.method == "POST" else "transient"
        raise Fault(kind, f"{WHO}, {call.step}: {told or 'запрос не принят'}", detail=detail(reply))
    return answer


def _read(row: object) -> Requisites | None:
    """One row: `i` ИНН, `p` КПП, `o` ОГРН(ИП), `n`, `c` full and short name, `r`, `e`, `v` begun, ended, struck."""
    if not isinstance(row, Mapping):
        return None
    inn, name = text(row.get("i")), text(row.get("n"))
    short, full, head, post = text(row.get("c")) or name, name, "", ""
    if row.get("k") == "fl" or len(inn) == 12:
        short, full, head = sole_trader(name)
    elif ":" in (told := text(row.get("g"))):
        post, _, head = (part.strip() for part in told.partition(":"))
    ended, invalid = _day(row.get("e")), row.get("v") is not None
    return Requisites(
        inn=inn,
        source=Egrul.source,
        kpp=text(row.get("p")),
        ogrn=text(row.get("o")),
        name=short,
        full_name=full,
        address=text(row.get("a")),
        status="liquidated" if row.get("e") is not None else "unknown" if invalid else "active",
        head=head,
        head_post=post,
        registered=_day(row.get("r")),
        ended=ended,
        invalid=invalid,
    )


def _day(value: object) -> date | None:
    try:
        return datetime.strptime(text(value), "%d.%m.%Y").date()  # noqa: DTZ007 – a day has no zone
    except ValueError:
        return None
