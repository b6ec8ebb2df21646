"""DaData's findById/party (dadata.ru/api/find-party; FORMATS §4): companies, branches and sole traders by ИНН."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from mappers.canonical import Requisites, Standing
from mappers.dialect import Call, Fault, Finding, Quota, Reply, Talk
from mappers.requisites.reading import arranged, as_object, detail, failed, refused, sole_trader, text

WHO = "DaData"
KNOWN = "7707083893"  # DaData's own example
MOST = 300  # rows of one answer; more has no page to turn to
DAY_IS_OVER = 3600.0  # a spent day quota comes back at midnight in Moscow: asked again each hour

# DaData's state.status → ours; whatever else it may come to say is "unknown".
STATES: Mapping[str, Standing] = {
    "ACTIVE": "active",
    "LIQUIDATING": "liquidating",
    "LIQUIDATED": "liquidated",
    "BANKRUPT": "bankrupt",
    "REORGANIZING": "reorganizing",
}
# 403 is said of a bad key and of a spent day alike; only the message tells them apart.
_SPENT = re.compile(r"limit|quota|exceed|лимит|исчерпан", re.IGNORECASE)


class DaData:
    """`options`: `token` (the API key) and, for the quota alone, `secret` or `password` (the secret key)."""

    source = "dadata"
    home = "https://suggestions.dadata.ru/suggestions/api/4_1/rs"
    quota_home = "https://dadata.ru"

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Raises ValueError naming the key that is wrong."""
        self._token = _first(options.get("token"))
        self._secret = _first(options.get("secret") or options.get("password"))
        if not self._token:
            raise ValueError("token: не задан ключ API DaData (dadata.ru → личный кабинет → API-ключ)")
        self.capabilities = frozenset({"branches", "statuses"} | ({"quota"} if self._secret else set()))

    def credentials(self) -> Mapping[str, str]:
        return {"Authorization": f"Token {self._token}"}

    def opening_headers(self) -> Mapping[str, str]:
        return {}

    def session_died(self, call: Call, reply: Reply) -> bool:  # noqa: ARG002 – the protocol's names
        return False

    def requisites(self, inn: str, kpp: str) -> Talk[list[Requisites]]:
        """As the protocol has it: 200 without suggestions is «not found». Branches may have no КПП."""
        asked: dict[str, Any] = {"query": inn, "count": MOST}
        if kpp and len(inn) == 10:
            asked["kpp"] = kpp
        call = Call("реквизиты в DaData", "POST", "findById/party", json=asked, repeatable=True)
        suggestions = _answer(call, (yield call)).get("suggestions")
        if not isinstance(suggestions, list):
            raise Fault("transient", f"{WHO}, {call.step}: в ответе нет списка; попробуем позже", retry_after=60.0)
        rows = [found for each in suggestions if (found := _read(each, kpp)) is not None and found.inn == inn]
        return arranged(_under_their_heads(rows), kpp)

    def quota(self) -> Talk[Quota]:
        """What the day has used. To be asked of `quota_home`; DaData counts all its suggestion services together."""
        headers = {"X-Secret": self._secret}
        call = Call("счётчик DaData", "GET", "api/v2/stat/daily", headers=headers, repeatable=True)
        answer = _answer(call, (yield call))
        left = _inside(answer, "remaining").get("suggestions")
        try:
            return Quota(
                day=date.fromisoformat(text(answer.get("date"))) if answer.get("date") else None,
                used=int(_inside(answer, "services")["suggestions"]),
                left=None if left is None else int(left),
            )
        except (LookupError, TypeError, ValueError):
            raise Fault("transient", f"{WHO}, {call.step}: ответ не читается", detail=str(answer)[:300]) from None

    def check(self) -> Talk[list[Finding]]:
        try:
            yield from self.requisites(KNOWN, "")
        except Fault as fault:
            return [failed(fault)]
        return [Finding("ok", f"{WHO} отвечает, ключ принят")]


def _answer(call: Call, reply: Reply) -> dict[str, Any]:
    told = detail(reply)
    if reply.status == 401:
        raise Fault("misconfigured", f"{WHO}: ключ не указан; задайте token", detail=told, hold=True)
    if reply.status == 403 and _SPENT.search(reply.text):
        rest = reply.retry_after or DAY_IS_OVER
        raise Fault("transient", f"{WHO}: дневной лимит запросов исчерпан; подождём", detail=told, retry_after=rest)
    if reply.status == 403:
        reason = f"{WHO}: ключ не принят; проверьте token, подтверждена ли почта и не кончились ли деньги на счёте"
        raise Fault("misconfigured", reason, detail=told, hold=True)
    if reply.status == 402:
        raise Fault("misconfigured", f"{WHO}: на счёте нет денег; пополните его", detail=told, hold=True)
    if reply.status != 200:
        raise refused(WHO, call, reply)
    return as_object(WHO, call, reply)


def _read(suggestion: object, kpp: str) -> Requisites | None:
    data = _inside(suggestion, "data")
    if not data:
        return None
    inn, names, state = text(data.get("inn")), _inside(data, "name"), _inside(data, "state")
    management, person = _inside(data, "management"), data.get("type") == "INDIVIDUAL" or len(inn) == 12
    short, full = text(names.get("short_with_opf")), text(names.get("full_with_opf"))
    head = text(management.get("name"))
    if person:
        fio = " ".join(filter(None, (text(_inside(data, "fio").get(p)) for p in ("surname", "name", "patronymic"))))
        short, full, head = sole_trader(fio or full or short)
    own, largest = text(data.get("kpp")), text(data.get("kpp_largest"))
    address = _inside(data, "address")
    return Requisites(
        inn=inn,
        source=DaData.source,
        kpp=largest if kpp and kpp == largest else own,  # a largest taxpayer has two, both its own
        ogrn=text(data.get("ogrn")),
        name=short or full,
        full_name=full or short,
        address=text(address.get("unrestricted_value")) or text(address.get("value")),
        status=STATES.get(text(state.get("status")), "unknown"),
        is_branch=data.get("branch_type") == "BRANCH",
        head=head,
        head_post=text(management.get("post")),
        registered=_day(state.get("registration_date")) or _day(data.get("ogrn_date")),
        ended=_day(state.get("liquidation_date")),
        invalid=data.get("invalid") is True,
    )


def _under_their_heads(rows: list[Requisites]) -> list[Requisites]:
    main = next((row.kpp for row in rows if not row.is_branch and row.status != "liquidated"), "")
    return [replace(row, head_office_kpp=main) if row.is_branch else row for row in rows]


def _inside(table: object, key: str) -> Mapping[str, Any]:
    value = table.get(key) if isinstance(table, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _first(value: Any) -> str:
    """A secret, or the first of several while one is being rotated."""
    return str(value or "") if isinstance(value, str) or not value else str(value[0])


def _day(milliseconds: object) -> date | None:
    """A day of DaData's: milliseconds since 1970 in UTC; companies older than that are negative."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int):
        return None
    try:
        return date(1970, 1, 1) + timedelta(days=milliseconds // 86_400_000)
    except OverflowError:
        return None
