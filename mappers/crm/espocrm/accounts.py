"""Clients in EspoCRM: found by ИНН, made once, brought to agreed values, told why (ESPOCRM.md §3.1–§3.5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from mappers.canonical import Party
from mappers.crm.espocrm import records
from mappers.crm.espocrm.options import ACCOUNT_FIELDS, Options
from mappers.crm.espocrm.talk import (
    PAGE,
    Api,
    answer,
    as_object,
    ask,
    ask_list,
    ask_record,
    forbidden_here,
    refusal,
    refused_field,
    safe_id,
    search,
    status_reason,
    usable_id,
    wrong,
)
from mappers.dialect import Fault, Shown, Talk
from mappers.fields import EspoTime

_TIME = EspoTime()
_STANDARD: Mapping[str, str] = {"name": "name", "phone": "phoneNumber", "email": "emailAddress"}
_ADDRESS = tuple(f"billingAddress{part}" for part in ("PostalCode", "Country", "State", "City", "Street"))
_BLIND_FIELDS = 4  # fields that one record may refuse before it is given up: EspoCRM names one at a time


class Accounts:
    """Talks about clients. All of them raise Fault as `talk.refusal` says."""

    api: Api
    options: Options

    @property
    def party_fields(self) -> frozenset[str]:
        """The fields of a Party that this CRM keeps, as configured."""
        return frozenset({*_STANDARD, "address", *(name for name in ACCOUNT_FIELDS if name in self.options.fields)})

    def accounts_by(self, inn: str, kpp: str | None) -> Talk[list[Party]]:
        """By ИНН, and by КПП unless that is None; nothing where the CRM keeps no ИНН."""
        theirs = self.options.fields.get("inn")
        if theirs is None:
            return []
        where = [{"type": "equals", "attribute": theirs, "value": inn}]
        rows, _ = yield from ask_list(self._listing("клиенты с этим ИНН", where, 0, "createdAt"))
        found = [party for party in self._parties(rows) if party.inn == inn]
        return [party for party in found if kpp is None or party.kpp == kpp]

    def create_account(self, party: Party, key: str) -> Talk[Party]:
        """Find by `key` in the reference field, else create. The caller holds the lock of this ИНН, so the CRM's own
        duplicate check, which takes branches of one name for doubles, is skipped."""
        theirs = self.options.fields.get("ref_key")
        if theirs and key:
            where = [{"type": "equals", "attribute": theirs, "value": key}]
            rows, _ = yield from ask_list(self._listing("клиент по ссылке 1С", where, 0, "createdAt"))
            if rows:
                return records.party(self.options, rows[0])
        body = self._attributes({**_values(party), "ref_key": key})
        call = self.api.post("новый клиент", "Account", body)
        call = replace(call, headers={**call.headers, "X-Skip-Duplicate-Check": "true"})
        return records.party(self.options, as_object(call, answer(call, (yield call))))

    def update_account(self, account: Party, changes: Mapping[str, str]) -> Talk[Shown]:
        """Bring fields (ours → value) to their values: compared before anything is written, and written only over the
        version that `account` was read at. Raises Fault conflict when somebody changed it since."""
        path = f"Account/{safe_id(account.id, 'клиент')}"
        raw = yield from ask_record(self.api.get("чтение клиента", path))
        if raw is None:
            raise Fault("rejected", f"EspoCRM: клиент {account.id} удалён, обновлять нечего")
        if account.version and records.version(raw) != account.version:
            raise Fault("conflict", "EspoCRM: клиента только что изменил кто-то другой")
        refused: dict[str, str] = {}
        while True:
            ours = {name: value for name, value in changes.items() if name not in refused}
            sent = {name: value for name, value in self._attributes(ours).items() if name in raw}
            sent = {name: value for name, value in sent.items() if (raw.get(name) or None) != (value or None)}
            ignored = tuple(name for name in ours if not self._present(name, raw))
            if not sent:
                return Shown(records.version(raw), (), ignored, tuple(refused.values()))
            stands = records.version(raw)
            call = self.api.put("обновление клиента", path, sent, {"X-Version-Number": stands} if stands else None)
            reply = yield call
            if (told := refused_field(reply)) and len(refused) < _BLIND_FIELDS and (name := self._ours(told[0], ours)):
                refused[name] = f"EspoCRM: {wrong(*told)}; поле пропущено, остальное записано"
                continue
            if reply.status == 409 and status_reason(reply) == "modified":
                raise refusal(call, reply)
            after = as_object(call, answer(call, reply))
            written = tuple(name for name in ours if name not in ignored and self._attributes({name: ""}).keys() & sent)
            return Shown(records.version(after), written, ignored, tuple(refused.values()))

    def changed_accounts(self, since: datetime, offset: int) -> Talk[tuple[list[Party], bool]]:
        """Clients modified at or after `since` (aware), oldest first, one page; and whether more follow."""
        moment = _TIME.serialize("since", {"since": since})
        where = [{"type": "greaterThanOrEquals", "attribute": "modifiedAt", "value": moment}]
        return (yield from self._page("изменённые клиенты", where, offset, "modifiedAt"))

    def all_accounts(self, offset: int) -> Talk[tuple[list[Party], bool]]:
        """Every client, in the order of their birth, one page from `offset`; and whether more follow."""
        return (yield from self._page("все клиенты", [], offset, "createdAt"))

    def tell_account(self, account_id: str, text: str) -> Talk[bool]:
        """A post in the client's stream, unless the same text stands there; True when written."""
        post, parent = text.replace("\r\n", "\n").strip(), safe_id(account_id, "клиент")
        call = self.api.get("лента клиента", f"Account/{parent}/stream", ("maxSize", str(PAGE)))
        reply = yield call
        if not forbidden_here(reply):
            rows = as_object(call, answer(call, reply)).get("list")
            if any(isinstance(row, dict) and row.get("post") == post for row in rows or ()):
                return False
        body = {"type": "Post", "post": post, "parentType": "Account", "parentId": parent}
        yield from ask(self.api.post("запись в ленту клиента", "Note", body))
        return True

    # -- shapes ---------------------------------------------------------------------------------------------------

    def _page(self, step: str, where: list[Any], offset: int, order: str) -> Talk[tuple[list[Party], bool]]:
        rows, total = yield from ask_list(self._listing(step, where, offset, order))
        # -1: more follow, -2: no more (contract §3.2); a total proper from a version that takes no X-No-Total.
        return self._parties(rows), bool(rows) and (total == -1 or total > offset + len(rows))

    def _listing(self, step: str, where: list[Any], offset: int, order: str) -> Any:
        own = [self.options.fields[name] for name in ACCOUNT_FIELDS if name in self.options.fields]
        select = ["id", *_STANDARD.values(), *_ADDRESS, *own, "createdAt", "modifiedAt", "versionNumber"]
        params = search(
            **({"where": where} if where else {}),
            select=select,
            orderBy=order,
            order="asc",
            offset=offset,
            maxSize=PAGE,
        )
        return self.api.get(step, "Account", params, headers={"X-No-Total": "true"})

    def _parties(self, rows: Iterable[Mapping[str, Any]]) -> list[Party]:
        return [records.party(self.options, row) for row in rows if usable_id(row.get("id"))]

    def _attributes(self, values: Mapping[str, str]) -> dict[str, Any]:
        """Ours → EspoCRM's attributes; an address goes whole into the street, the other parts are cleared."""
        made: dict[str, Any] = {}
        for name, value in values.items():
            if name == "address":
                made |= dict.fromkeys(_ADDRESS, None) | {_ADDRESS[-1]: value or None}
            elif theirs := _STANDARD.get(name) or self.options.fields.get(name):
                made[theirs] = value or None
        return made

    def _present(self, ours: str, raw: Mapping[str, Any]) -> bool:
        made = self._attributes({ours: ""})
        return bool(made) and any(name in raw for name in made)

    def _ours(self, theirs: str, names: Iterable[str]) -> str | None:
        for name in names:
            made = self._attributes({name: ""})
            if theirs in made or (name == "address" and theirs == "billingAddress"):
                return name
        return None


def _values(party: Party) -> dict[str, str]:
    names = ("name", "phone", "email", "address", "inn", "kpp", "ogrn", "full_name")
    return {name: value for name in names if (value := getattr(party, name))}
