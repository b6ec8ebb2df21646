"""An accountant in the town's 1C: payments, refunds, acts, contracts and rates written, edited, unposted, erased."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from itertools import count
from typing import Any

from sqlalchemy import select

from integration.flows.origin import mark_start
from integration.flows.pull import pull_payments
from integration.rules.accounts import Account
from integration.rules.positions import Position
from integration.store.ledger_schema import accounts
from integration.store.schema import outbox
from sandbox.onec.companies import ref
from tests.flows.town import Town

PAYMENT, REFUND = "Document_ПоступлениеНаРасчетныйСчет", "Document_СписаниеСРасчетногоСчета"
ACT, INVOICE = "Document_РеализацияТоваровУслуг", "Document_СчетНаОплатуПокупателю"
RATES = "InformationRegister_КурсыВалют"
OUR = ref("organisation")


class Books:
    """Documents of one client; `head` is that of the deal's invoice. Days are ISO; sums in roubles unless told."""

    def __init__(self, town: Town) -> None:
        self.town, self._number = town, count(1)
        self.head: dict[str, Any] = {}
        mark_start(town.world.services)

    def deal(self, amount: Any, **values: Any) -> str:
        """A deal whose invoice stands in 1C: later documents are its client's, under its contract."""
        deal = self.town.deal(amount, **values)
        self.town.done(deal)
        invoice = self.town.invoice(deal)
        names = ("Организация_Key", "Контрагент_Key", "ДоговорКонтрагента_Key", "ВалютаДокумента_Key")
        self.head = {name: invoice[name] for name in names}
        return deal

    def bill(self, deal: str) -> str:
        """The deal's invoice."""
        return str(self.town.invoice(deal)["Ref_Key"])

    def act(self, amount: Any, bill: str = "", day: str = "2026-11-24", **more: Any) -> str:
        line = {"LineNumber": 1, "Количество": 1, "Цена": amount, "Сумма": amount, "СтавкаНДС": "НДС22"}
        body = {"СуммаДокумента": amount, "СуммаВключаетНДС": True, "Услуги": [line]}
        return self._put(ACT, day, body | ({"СчетНаОплатуПокупателю_Key": bill} if bill else {}) | more)

    def pay(self, amount: Any, bill: str = "", day: str = "2026-11-24", purpose: str = "", **more: Any) -> str:
        row = {"LineNumber": 1, "СуммаПлатежа": amount, "ДоговорКонтрагента_Key": self.head["ДоговорКонтрагента_Key"]}
        row |= {"СчетНаОплату_Key": bill} if bill else {}
        row |= {"СуммаВзаиморасчетов": more.pop("settled")} if "settled" in more else {}
        body = {"ВидОперации": "ОплатаПокупателя", "СуммаДокумента": amount, "НазначениеПлатежа": purpose}
        return self._put(PAYMENT, day, body | {"РасшифровкаПлатежа": [row]} | more)

    def refund(self, amount: Any, day: str = "2026-11-24", **more: Any) -> str:
        row = {"LineNumber": 1, "СуммаПлатежа": amount, "ДоговорКонтрагента_Key": self.head["ДоговорКонтрагента_Key"]}
        body = {"ВидОперации": "ВозвратПокупателю", "СуммаДокумента": amount, "РасшифровкаПлатежа": [row]}
        return self._put(REFUND, day, body | more)

    def contract(self, number: str, code: str) -> str:
        """Another contract of the client, in this currency (ISO digits)."""
        names = {"Owner_Key": self.head["Контрагент_Key"], "Организация_Key": OUR, "ВидДоговора": "СПокупателем"}
        told = names | {"Номер": number, "Description": number, "ВалютаВзаиморасчетов_Key": self.currency(code)}
        return self.town.seed("Catalog_ДоговорыКонтрагентов", **told)

    def currency(self, code: str) -> str:
        return str(ref(code))

    def rate(self, code: str, day: str, rate: Any) -> None:
        row = {"Валюта_Key": ref(code), "Period": f"{day}T00:00:00", "Курс": rate, "Кратность": 1}
        self.town.onec.seed({RATES: [row]})

    def _put(self, name: str, day: str, body: Mapping[str, Any]) -> str:
        head = {**self.head, "Posted": True, "Date": f"{day}T10:00:00", "Number": f"0000-{next(self._number):06}"}
        [key] = self.town.onec.seed({name: [{**head, **body}]})[name]
        return key

    def edit(self, name: str, key: str, **values: Any) -> None:
        """A later write of the accountant: a new version of the document."""
        self.town.onec.seed({name: [{"Ref_Key": key, **values}]})

    def erase(self, name: str, key: str) -> None:
        self.town.onec.base.delete(name, key)

    # -- looking --------------------------------------------------------------------------------------------------

    def pull(self, *, nightly: bool = False) -> int:
        """The periodic job, and everything that comes of it."""
        news = pull_payments(self.town.world.services, "main", nightly=nightly)
        self.town.work()
        return news

    def shown(self, deal: str) -> tuple[str, str, str]:
        """(status, percent, paid) as the CRM's deal shows them."""
        deal_ = self.town.shown(deal)
        percent, paid = (Decimal(str(deal_[name] or 0)) for name in ("cPaidPercent", "cPaidAmount"))
        return str(deal_["cPaymentStatus"]), f"{percent:.1f}", f"{paid:.2f}"

    def accounts(self) -> list[Account]:
        columns = (accounts.c.base, accounts.c.organisation, accounts.c.counterparty, accounts.c.contract)
        with self.town.world.store.reading() as conn:
            return [Account(*row) for row in conn.execute(select(*columns).order_by(accounts.c.id))]

    def positions(self) -> list[Position]:
        """What the ledger's entries add up to, of all accounts."""
        with self.town.world.store.unit("look") as unit:
            return [one for account in self.accounts() for one in unit.ledger.positions(account)]

    def questions(self) -> list[tuple[str, str]]:
        with self.town.world.store.unit("look") as unit:
            return [(one.kind, one.reason) for _, one in unit.ledger.questions()]

    def events(self) -> list[tuple[str, str]]:
        """(type, number or status) of the domain events so far, in their order."""
        told = self.cloud_events()
        return [(one["type"], one["data"].get("status") or one["data"].get("amount") or "") for one in told]

    def cloud_events(self) -> list[dict[str, Any]]:
        """The domain events so far, whole, in their order."""
        mine = select(outbox.c.payload).where(outbox.c.kind == "publish").order_by(outbox.c.created_at, outbox.c.id)
        with self.town.world.store.reading() as conn:
            return [json.loads(payload) for payload in conn.scalars(mine)]
