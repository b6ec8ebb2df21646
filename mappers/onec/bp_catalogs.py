"""Бухгалтерия 3.0: our organisation, currencies, counterparties, contracts, items (contract, sections 8 and 12)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mappers.canonical import CURRENCIES, Found, Party
from mappers.dialect import Fault, Talk
from mappers.onec.bp_base import (
    CONTRACT,
    COUNTERPARTY,
    CURRENCY,
    ITEM,
    ORGANISATION,
    currency_code,
    live,
    marker,
)
from mappers.onec.bp_contacts import CONTACTS, readable
from mappers.onec.bp_parties import Parties
from mappers.onec.odata import creating, getting, is_ref, listing, quoted, read_entity, read_rows, text_of, write
from mappers.onec.readback import verify
from mappers.wire import clean

_DESCRIPTION = 100  # length of Description in the catalogs written here, where $metadata tells none
_CODE = re.compile(r"(?=.*\d)[0-9A-Za-zА-Яа-яЁё-]{1,11}")
_ROUBLE = CURRENCIES["RUB"][0]


class Catalogs(Parties):
    """Talks about catalogs. All of them raise Fault as `refusals` says."""

    def organisation(self) -> Talk[Found | None]:
        """Our own company, by the configured ИНН."""
        if not self.inn:
            raise Fault("misconfigured", "не указан ИНН своей организации: organisation в таблице [onec.…]")
        rows = yield from read_rows(listing("поиск организации", ORGANISATION, f"ИНН eq {quoted(self.inn)}"))
        fit = [row for row in rows if live(row) and text_of(row, "ИНН") == self.inn]
        return _found(fit[0], text_of(fit[0], "КПП")) if fit else None

    def currency(self, letters: str) -> Talk[Found | None]:
        """A currency by its ISO letters. The whole catalog is read: codes stand padded in some bases."""
        if letters not in CURRENCIES:
            raise Fault("rejected", f"валюта {letters[:10]!r} не поддерживается: нужен код ISO, например RUB")
        code = CURRENCIES[letters][0]
        rows = yield from read_rows(listing("поиск валюты", CURRENCY))
        for row in rows:
            if live(row) and currency_code(row) == code:
                return _found(row, text_of(row, "Code"))
        return None

    def counterparties(self, inn: str, kpp: str | None) -> Talk[list[Found]]:
        """By ИНН, and by КПП unless that is None; `detail` holds the КПП."""
        filter_ = f"ИНН eq {quoted(inn)}" + ("" if kpp is None else f" and КПП eq {quoted(kpp)}")
        rows = yield from read_rows(listing("поиск контрагента", COUNTERPARTY, filter_))
        return [
            _found(row, text_of(row, "КПП"))
            for row in rows
            if live(row) and text_of(row, "ИНН") == inn and kpp in (None, text_of(row, "КПП"))
        ]

    def create_counterparty(self, party: Party, key: str, *, reread: bool = True) -> Talk[Found]:
        """Write a counterparty with its contacts, then compare what 1C stored. Without `reread` the object that 1C
        answers the create with is compared, if it is whole: one call less while a person waits."""
        name = clean(party.name or party.full_name)
        body: dict[str, Any] = self.defaults(COUNTERPARTY) | {
            "Description": self.model.fitting(COUNTERPARTY, "Description", name, _DESCRIPTION),
            "НаименованиеПолное": self.model.fitting(
                COUNTERPARTY, "НаименованиеПолное", clean(party.full_name) or name, None
            ),
            "ЮридическоеФизическоеЛицо": "ФизическоеЛицо" if party.is_person else "ЮридическоеЛицо",
            "ИНН": party.inn,
            "КПП": "" if party.is_person else party.kpp,
        }
        if self.model.has(COUNTERPARTY, "РегистрационныйНомер"):
            body["РегистрационныйНомер"] = party.ogrn
        told = {"phone": party.phone, "email": party.email, "address": party.address}
        if contacts := (yield from self.new_contacts(told)):
            body[CONTACTS] = contacts
        stored = yield from self._create(COUNTERPARTY, "контрагент", body, key, reread=reread)
        return _found(stored, text_of(stored, "КПП"))

    def contracts(self, counterparty: str, organisation: str, currency: str) -> Talk[list[Found]]:
        """Contracts with a buyer of this owner, organisation and settlement currency; `detail` holds the number."""
        model = self.model
        filter_ = " and ".join(
            (
                model.refers(CONTRACT, "Owner", counterparty, COUNTERPARTY),
                model.refers(CONTRACT, "Организация", organisation, ORGANISATION),
                "ВидДоговора eq 'СПокупателем'",
                model.refers(CONTRACT, "ВалютаВзаиморасчетов", currency, CURRENCY),
            )
        )
        rows = yield from read_rows(listing("поиск договора", CONTRACT, filter_))
        return [_found(row, text_of(row, "Номер")) for row in rows if live(row)]

    def create_contract(self, counterparty: str, organisation: str, currency: str, name: str, key: str) -> Talk[Found]:
        """A contract with a buyer; without a name it gets the configured one."""
        model = self.model
        title = clean(name) or self.contract_name
        body = self.defaults(CONTRACT) | {
            "Description": model.fitting(CONTRACT, "Description", title, _DESCRIPTION),
            **model.reference(CONTRACT, "Owner", counterparty, COUNTERPARTY),
            **model.reference(CONTRACT, "Организация", organisation, ORGANISATION),
            "ВидДоговора": "СПокупателем",
            **model.reference(CONTRACT, "ВалютаВзаиморасчетов", currency, CURRENCY),
        }
        if model.known and model.has(CONTRACT, "Валютный"):
            # The form derives both flags from the currency; OData does not (trap 7).
            money = yield from read_entity(getting("чтение валюты", CURRENCY, currency))
            foreign = currency_code(money or {}) not in ("", _ROUBLE)
            body["Валютный"] = foreign
            if model.has(CONTRACT, "ОплатаВВалюте"):
                body["ОплатаВВалюте"] = foreign
        stored = yield from self._create(CONTRACT, "договор", body, key)
        return _found(stored, text_of(stored, "Номер"))

    def item(self, name: str) -> Talk[Found | None]:
        """The configured item; else the one that `name` gives by Ref_Key, description or code.

        Raises Fault misconfigured when the configured item is not in the base.
        """
        wanted = self.configured_item or clean(name)
        if is_ref(wanted):
            row = yield from read_entity(getting("чтение номенклатуры", ITEM, wanted))
            found = _found(row, text_of(row, "Code")) if row and live(row) else None
        else:
            found = yield from self._item_named(wanted)
        if found is None and self.configured_item:
            raise Fault(
                "misconfigured", f"номенклатуры item = {self.configured_item!r} нет в 1С: укажите её код или Ref_Key"
            )
        return found

    def create_item(self, name: str) -> Talk[Found]:
        """An item of that name, as a service."""
        title = clean(name)
        body: dict[str, Any] = self.defaults(ITEM) | {
            "Description": self._item_description(title),
            "НаименованиеПолное": self.model.fitting(ITEM, "НаименованиеПолное", title, None),
            "Услуга": True,
        }
        stored = yield from self._create(ITEM, "номенклатура", body, "")
        return _found(stored, text_of(stored, "Code"))

    def _item_named(self, name: str) -> Talk[Found | None]:
        description = self._item_description(name)
        filter_ = f"Description eq {quoted(description)}"
        if _CODE.fullmatch(name):
            filter_ += f" or Code eq {quoted(name)}"
        rows = yield from read_rows(listing("поиск номенклатуры", ITEM, filter_))
        fit = sorted((row for row in rows if live(row)), key=lambda row: (text_of(row, "Code"), row["Ref_Key"]))
        for field, value in (("Description", description), ("Code", name)):
            for row in fit:
                if text_of(row, field).casefold() == value.casefold():
                    return _found(row, text_of(row, "Code"))
        return None

    def _item_description(self, name: str) -> str:
        """Cut the same way for the search and for the creation: else every long name would be created again."""
        return self.model.fitting(ITEM, "Description", name, _DESCRIPTION)

    def _create(
        self, set_name: str, what: str, body: dict[str, Any], key: str, *, reread: bool = True
    ) -> Talk[dict[str, Any]]:
        """POST, then a read-back compared with what was sent."""
        if key and self.model.has(set_name, "Комментарий"):
            body["Комментарий"] = f"Создано crm1c по данным CRM {marker(key)}"
        made = yield from write(creating(f"запись: {what}", set_name, body))
        stored: dict[str, Any] | None = made
        if reread or not body.keys() <= made.keys():
            stored = yield from read_entity(getting(f"чтение записанного: {what}", set_name, made["Ref_Key"]))
        if stored is None:
            raise Fault(
                "ambiguous",
                f"{what}: 1С ответила, что записала, но объекта не отдаёт; найдём его при следующей попытке",
                data={"ref_key": made["Ref_Key"]},
            )
        verify(f"{what} «{body['Description']}»", readable(body), stored)
        return stored


def _found(row: Mapping[str, Any], detail: str = "") -> Found:
    return Found(
        ref_key=str(row["Ref_Key"]).lower(),
        name=text_of(row, "Description"),
        version=text_of(row, "DataVersion"),
        deleted=bool(row.get("DeletionMark")),
        detail=detail,
    )
