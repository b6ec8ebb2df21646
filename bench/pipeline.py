"""Deal → invoice → CRM against stubs without latency, beside a bare script that makes the same HTTP calls."""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import requests

from bench.plant import configured, running, servers
from integration import bootstrap
from integration.settings import load
from integration.work import Arrival
from tasks.app import create
from tasks.base import Process
from tasks.cli.sandbox import CRM_KEY, started

BAR = 0.4
DEALS, WORKERS = 200, 4
INVOICES = "Document_СчетНаОплатуПокупателю"
ACCOUNT = {"name": "ООО «Ромашка»", "cInn": "7700000016", "cKpp": "770001001"}


def measure(*, quick: bool = False) -> bool:
    """Print both rates and their ratio; True when the ratio is over the bar."""
    deals = DEALS // 10 if quick else DEALS
    with (
        servers() as (postgres, rabbitmq, redis),
        started("onec") as onec,
        started("crm", "--interval", "0") as crm,
        configured(postgres, rabbitmq, redis, onec, crm) as (environ, _port),
    ):
        seeded = requests.post(
            f"{crm}/_sandbox/seed", json={"accounts": [ACCOUNT], "currency": "RUB"}, timeout=30
        ).json()
        account = seeded["accounts"][0]
        ours = _ours(environ, crm, account, deals)
        least = statistics.median(_bare(onec, crm, account, deals, 1) for _ in range(3))
        crowd = statistics.median(_bare(onec, crm, account, deals, WORKERS) for _ in range(3))
    ratio = ours / least
    told = f"crm1c {ours:.1f} deals/s, the bare script {least:.1f}/s ({_Script.calls} calls a deal)"
    print(
        f"pipeline: {told}, ratio {ratio:.2f} (bar {BAR}); in {WORKERS} threads {crowd:.1f}/s, ratio {ours / crowd:.2f}"
    )
    return ratio >= BAR


def _ours(environ: Mapping[str, str], crm: str, account: str, deals: int) -> float:
    """Deals a second through workers: from the first event's arrival to the last number in the CRM."""
    settings = load(environ["CRM1C_CONFIG"], environ)
    process = Process(settings, create(settings))
    store = bootstrap.build(settings, process.caller).store
    worker = [sys.executable, "-m", "tasks.cli", "worker", "--concurrency", str(WORKERS)]
    with running(worker, environ):
        for count in (20, deals):  # the first ones warm up: metadata, client, contract, item
            ids = _seed(crm, account, count)
            began = time.perf_counter()
            body = json.dumps({"stage": "Proposal"}).encode()
            for deal in ids:
                store.receive([Arrival("espo", "Opportunity", "update", deal, body)], body, {}, deal)
            _until_numbered(crm, ids)
            took = time.perf_counter() - began
    return deals / took


def _seed(crm: str, account: str, count: int) -> list[str]:
    deals = [
        {"name": f"Сделка {n}", "amount": 1000 + n, "stage": "Proposal", "accountId": account} for n in range(count)
    ]
    answer = requests.post(f"{crm}/_sandbox/seed", json={"deals": deals}, timeout=60)
    answer.raise_for_status()
    return list(answer.json()["deals"])


def _until_numbered(crm: str, ids: list[str]) -> None:
    """Until each deal shows its invoice and has its note."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        rows = requests.get(f"{crm}/_sandbox/state", params={"entity": "Opportunity"}, timeout=60).json()
        numbered = {row["id"] for row in rows if row.get("cInvoiceNumber")}
        if numbered.issuperset(ids):
            return
        time.sleep(0.1)
    raise TimeoutError("deals without a number")


def _bare(onec: str, crm: str, account: str, deals: int, threads: int) -> float:
    """Deals a second of a script that makes crm1c's calls for a known client, and keeps nothing."""
    ids = _seed(crm, account, deals)
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        list(pool.map(lambda deal: _Script(onec, crm).run(deal), ids))
        return deals / (time.perf_counter() - began)


_sessions = threading.local()


class _Script:
    """The eleven calls of one deal, written down plainly."""

    calls = 11

    def __init__(self, onec: str, crm: str) -> None:
        self.onec, self.crm = f"{onec}/bp/odata/standard.odata", f"{crm}/api/v1"
        if not hasattr(_sessions, "http"):
            _sessions.http = requests.Session()
            _sessions.http.trust_env = False
            found = self._books("GET", "/Catalog_Контрагенты", f"$filter=ИНН eq '{ACCOUNT['cInn']}'").json()
            _sessions.client = found["value"][0]["Ref_Key"]
            items = self._books("GET", "/Catalog_Номенклатура", "$filter=Description eq 'Услуги по договору'").json()
            _sessions.item = items["value"][0]["Ref_Key"]

    def run(self, deal: str) -> None:
        read = self._crm("GET", f"/Opportunity/{deal}").json()
        self._crm("GET", f"/Account/{read['accountId']}")
        key = str(uuid.uuid4())
        search = f"$filter=substringof('{key}', Комментарий) and Контрагент_Key eq guid'{_sessions.client}'"
        self._books("GET", f"/{INVOICES}", search)
        line = {"LineNumber": "1", "Номенклатура_Key": _sessions.item, "Содержание": read["name"], "Количество": 1}
        line |= {"Цена": read["amount"], "Сумма": read["amount"], "СтавкаНДС": "НДС22", "СуммаНДС": 1}
        body = {"Date": "2026-11-24T12:00:00", "Контрагент_Key": _sessions.client, "Комментарий": key, "Товары": [line]}
        made = self._books("POST", f"/{INVOICES}", "", {**body, "СуммаДокумента": read["amount"]}).json()
        one = f"/{INVOICES}(guid'{made['Ref_Key']}')"
        self._books("GET", one)
        self._books("POST", f"{one}/Post", "PostingModeOperational=false")
        self._books("GET", one)
        self._crm("GET", f"/Opportunity/{deal}")
        fields = {"cInvoiceNumber": made["Number"], "cInvoiceDate": made["Date"][:10], "c1cRefKey": made["Ref_Key"]}
        self._crm("PUT", f"/Opportunity/{deal}", fields)
        self._crm("GET", f"/Opportunity/{deal}/stream")
        note = {"type": "Post", "post": made["Number"], "parentType": "Opportunity", "parentId": deal}
        self._crm("POST", "/Note", note)

    def _books(self, method: str, path: str, query: str = "", body: Any = None) -> requests.Response:
        address = f"{self.onec}{quote(path)}?$format=json&{quote(query, safe='=$')}"
        return self._sent(method, address, body, auth=("Обмен".encode(), b"obmen"))

    def _crm(self, method: str, path: str, body: Any = None) -> requests.Response:
        return self._sent(method, self.crm + path, body, headers={"X-Api-Key": CRM_KEY})

    def _sent(self, method: str, address: str, body: Any, **more: Any) -> requests.Response:
        answer: requests.Response = _sessions.http.request(method, address, json=body, timeout=60, **more)
        answer.raise_for_status()
        return answer
