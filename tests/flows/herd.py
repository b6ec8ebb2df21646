"""A thousand pairs that agree, put into both sandbox systems and into crm1c's database at once: copies of one client,
one deal, one invoice and one payment that crm1c has made in the usual way."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import update

from integration.flows.invoice import wanted_now
from integration.flows.pull import pull_payments
from integration.store.schema import outbox
from integration.work import Link, own_key
from mappers.crm.espocrm import records
from tests.flows.books import INVOICE, PAYMENT, Books
from tests.flows.neighbours import CONTRACTS, COUNTERPARTIES
from tests.flows.town import Town

DAY = "2026-10-01"  # beyond the daily window, within the nightly one
DEALS_OF_A_CLIENT = 9


@dataclass
class Herd:
    """Ids in the order in which they were made. The first deal of each client is paid, by the payment of its place."""

    town: Town
    accounts: list[str]
    counterparties: list[str]
    deals: list[str]
    invoices: list[str]
    payments: list[str]

    @property
    def pairs(self) -> int:
        return len(self.accounts) + len(self.deals)


def agree_on_content(herd: Herd, place: int) -> None:
    """crm1c has seen the invoice of this deal: what its client reads is what was agreed."""
    services, ref = herd.town.world.services, herd.invoices[place]
    base = services.bases["main"]
    with base.session():
        invoice = base.ask(base.say.invoice(ref))
    assert invoice is not None
    with herd.town.world.store.unit("herd") as unit:
        [link] = unit.links.by_ref("main", "invoice", ref)
        unit.links.bind(replace(link, version=invoice.version, agreed={**link.agreed, "content": invoice.content}))


def put(town: Town, clients: int) -> Herd:
    """So many clients, each with its deals; the ledger has read everything, and everybody agrees."""
    books = Books(town)
    first = books.deal(1000)
    payment = books.pay(1000, books.bill(first), day=DAY)
    books.pull(nightly=True)
    herd = Herd(town, [], [], [], [], [])
    documents: dict[str, list[dict[str, Any]]] = {COUNTERPARTIES: [], CONTRACTS: [], INVOICE: [], PAYMENT: []}
    copied = _Copied(town, first, payment)
    links: list[Link] = []
    for number in range(clients):
        links += copied.client(herd, documents, number)
        links += [link for turn in range(DEALS_OF_A_CLIENT) for link in copied.deal(herd, documents, turn)]
    for name, rows in documents.items():
        town.onec.seed({name: rows})
    held = {row["Ref_Key"]: row["DataVersion"] for name in (COUNTERPARTIES, INVOICE) for row in town.held(name)}
    with town.world.store.unit("herd") as unit:
        for link in links:
            unit.links.bind(replace(link, version=held[link.ref_key]))
    pull_payments(town.world.services, "main", nightly=True)
    with town.world.store.unit("herd") as unit:  # all that is owed for it was done long ago
        unit.conn.execute(update(outbox).values(state="done"))
    town.calls.clear()
    return herd


class _Copied:
    """What crm1c made once, to be made again under other names."""

    def __init__(self, town: Town, deal: str, payment: str) -> None:
        self.town, self.store = town, town.crm.store
        self.opportunity = dict(town.shown(deal))
        self.account = dict(town.crm.state({"entity": "Account", "id": self.opportunity["accountId"]}))
        self.invoice = dict(town.invoice(deal))
        by_key = {
            name: {row["Ref_Key"]: row for row in town.held(name)} for name in (COUNTERPARTIES, CONTRACTS, PAYMENT)
        }
        self.counterparty = by_key[COUNTERPARTIES][self.invoice["Контрагент_Key"]]
        self.contract = by_key[CONTRACTS][self.invoice["ДоговорКонтрагента_Key"]]
        self.payment = by_key[PAYMENT][payment]
        with town.world.store.looking() as known:
            [self.client_link] = [one for one in known.of_record("espo", "account", self.account["id"])
                                  if one.kind == "counterparty"]  # fmt: skip
            [self.deal_link] = known.of_record("espo", "deal", deal)
        self._of_client: dict[str, str] = {}

    def client(self, herd: Herd, documents: dict[str, list[dict[str, Any]]], number: int) -> list[Link]:
        name, inn = f"ООО «Клиент {number}»", _inn(number)
        account, ref, contract = _id(), _ref(), _ref()
        kept = {"id": account, "name": name, "cInn": inn, "c1cRefKey": ref}
        self.store.put("Account", {**self.account, **kept})
        documents[COUNTERPARTIES].append({**self.counterparty, "Ref_Key": ref, "Description": name, "ИНН": inn,
                                          "НаименованиеПолное": name, "Code": f"К-{number:06}"})  # fmt: skip
        documents[CONTRACTS].append({**self.contract, "Ref_Key": contract, "Owner_Key": ref})
        self._of_client = {"accountId": account, "accountName": name, "ref": ref, "contract": contract}
        herd.accounts.append(account)
        herd.counterparties.append(ref)
        agreed = {**self.client_link.agreed, "name": name, "inn": inn}
        link = replace(self.client_link, record_id=account, ref_key=ref, crm_version=str(self.account["versionNumber"]))
        return [replace(link, agreed=agreed)]

    def deal(self, herd: Herd, documents: dict[str, list[dict[str, Any]]], turn: int) -> list[Link]:
        deal, ref, number = _id(), _ref(), f"0001-{len(herd.deals):06}"
        paid, mine = turn == 0, self._of_client
        record = {
            **self.opportunity,
            "id": deal,
            "name": f"Сделка {number}",
            "cInvoiceNumber": number,
            "c1cRefKey": ref,
        }
        record |= {"accountId": mine["accountId"], "accountName": mine["accountName"]}
        marker = own_key("espo", "deal", deal, "main", "invoice")
        head = {"Контрагент_Key": mine["ref"], "ДоговорКонтрагента_Key": mine["contract"]}
        documents[INVOICE].append({**self.invoice, **head, "Ref_Key": ref, "Number": number, "Date": f"{DAY}T10:00:00",
                                   "Комментарий": f"Сделка [crm1c:{marker}]"})  # fmt: skip
        money = {"status": "issued", "percent": "0.0", "paid": "0.00", "amount": "1000.00", "currency": "RUB"}
        if paid:
            [row] = self.payment["РасшифровкаПлатежа"]
            rows = [{**row, "ДоговорКонтрагента_Key": mine["contract"], "СчетНаОплату_Key": ref}]
            pay = _ref()
            documents[PAYMENT].append(
                {**self.payment, **head, "Ref_Key": pay, "Number": number, "РасшифровкаПлатежа": rows}
            )
            herd.payments.append(pay)
            money |= {"status": "paid", "percent": "100.0", "paid": "1000.00"}
        herd.payments += [] if paid else [""]
        record |= {"cPaymentStatus": money["status"], "cPaidPercent": float(money["percent"]),
                   "cPaidAmount": float(money["paid"]), "cInvoiceDate": DAY}  # fmt: skip
        self.store.put("Opportunity", record)
        herd.deals.append(deal)
        herd.invoices.append(ref)
        agreed = {**self.deal_link.agreed, "number": number, "date": f"{DAY}T10:00:00+03:00", "money": money}
        link = replace(self.deal_link, record_id=deal, ref_key=ref, key=marker, agreed=agreed)
        services = self.town.world.services
        decides, _total = wanted_now(services, link, records.deal(services.crms["espo"].say.options, record))  # type: ignore[attr-defined]
        return [replace(link, agreed={**agreed, "fingerprint": decides})]


def _id() -> str:
    return uuid.uuid4().hex[:17]


def _ref() -> str:
    return str(uuid.uuid4())


def _inn(number: int) -> str:
    """A valid ИНН of ten digits."""
    head = f"77{number:07}"
    weights = (2, 4, 10, 3, 5, 9, 4, 6, 8)
    return f"{head}{sum(w * int(d) for w, d in zip(weights, head, strict=True)) % 11 % 10}"
