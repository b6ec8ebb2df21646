"""How long a person waits for requisites: GET /api/requisites/ИНН over PostgreSQL and Redis, a 1C that takes 300 ms a
call (16 sessions allowed) and a registry that takes 800 ms, twenty requests a second.

Every request's time is compared with the sum of the calls that were made for it (counted by the sandbox systems): with
half of the companies in 1C already, and with none of them. Then the same with three sessions, all of them taken: honest
refusals or waits, and never a fourth session.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

import requests

from bench.plant import configured, free_port, running, servers, wait_for_port
from sandbox.onec.companies import valid_inn

ONEC_MS, REGISTRY_MS, ALLOWED_MS = 300, 800, 150
RATE, SESSIONS = 20, 16
KNOWN_SHARE = 0.5  # of the requests: companies that stand in 1C already
COUNTERPARTIES = "Catalog_Контрагенты"


@dataclass
class Asked:
    """One request: its ИНН, when it was answered, how, and how long it took (seconds)."""

    inn: str
    status: int = 0
    took: float = 0.0
    source: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plant:
    """The running processes: addresses of crm1c, 1C, the CRM, the registry."""

    url: str
    onec: str
    crm: str
    registry: str

    def ask(self, inn: str, query: str = "") -> Asked:
        one, started = Asked(inn), time.perf_counter()
        answer = requests.get(
            f"{self.url}/api/requisites/{inn}{query}",
            headers={"Authorization": "Bearer bench", "X-Request-Id": f"bench-{inn}"},  # goes with every call made
            timeout=120,
        )
        one.took, one.status, one.headers = time.perf_counter() - started, answer.status_code, answer.headers
        one.source = answer.json().get("source", "")
        return one

    def log(self, which: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = requests.get(f"{which}/_sandbox/log", timeout=60).json()
        return found

    def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = requests.get(f"{self.onec}/_sandbox/stats", timeout=60).json()
        return found


@contextmanager
def plant(sessions: int) -> Iterator[Plant]:
    """crm1c's web beside the sandbox systems, with their delays."""
    ports = {name: free_port() for name in ("onec", "crm", "registry")}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    with ExitStack() as stack:
        postgres, rabbitmq, redis = stack.enter_context(servers())
        environ, port = stack.enter_context(configured(postgres, rabbitmq, redis, urls["onec"], urls["crm"]))
        _configure(Path(environ["CRM1C_CONFIG"]), urls["registry"], sessions)
        environ = {**environ, "DADATA_TOKEN": "sandbox-token", "API_TOKEN": "bench"}
        for name, own in ports.items():
            command = [sys.executable, "-m", "sandbox", name, "--port", str(own)]
            stack.enter_context(running(command, environ))
            wait_for_port(own)
        stack.enter_context(running([sys.executable, "-m", "tasks.cli", "web"], environ))
        wait_for_port(port)
        for name, path, seconds in (("onec", "odata", ONEC_MS), ("registry", "party", REGISTRY_MS)):
            fault = {"kind": "latency", "seconds": seconds / 1000, "match": {"path": path}}
            requests.post(f"{urls[name]}/_sandbox/faults", json=fault, timeout=10).raise_for_status()
        yield Plant(f"http://127.0.0.1:{port}", urls["onec"], urls["crm"], urls["registry"])


def _configure(file: Path, registry: str, sessions: int) -> None:
    text = file.read_text(encoding="utf-8").replace("max_sessions = 8", f"max_sessions = {sessions}")
    text += (
        f'[requisites]\norder = ["onec", "dadata"]\n[requisites.dadata]\ntoken = "env:DADATA_TOKEN"\n'
        f'base_url = "{registry}/suggestions/api/4_1/rs"\n[security]\ntokens = ["env:API_TOKEN"]\n'
    )
    file.write_text(text, encoding="utf-8")


def seeded(there: Plant, count: int) -> list[str]:
    """ИНН to be asked for: some stand in 1C, the others only in the registry; mixed."""
    inns = [valid_inn(f"7702{number:05d}") for number in range(count)]
    known = {inn for number, inn in enumerate(inns) if number % 100 < KNOWN_SHARE * 100}
    companies = [
        {"inn": inn, "ogrn": "1027700000016", "full": f"ООО «КОМПАНИЯ {inn}»", "short": f"ООО «Компания {inn}»",
         "address": "г Москва", "kpp": "770201001"}
        for inn in inns if inn not in known
    ]  # fmt: skip
    rows = [{"Description": f"Компания {inn}", "ИНН": inn, "КПП": "770201001"} for inn in known]
    requests.post(f"{there.registry}/_sandbox/seed", json={"companies": companies}, timeout=60).raise_for_status()
    requests.post(f"{there.onec}/_sandbox/seed", json={COUNTERPARTIES: rows}, timeout=60).raise_for_status()
    return [inn for pair in zip(inns[: count // 2], inns[count // 2 :], strict=False) for inn in pair]


def steady(there: Plant, inns: list[str]) -> list[Asked]:
    """RATE requests a second, each in a thread of its own, whatever became of the one before."""
    answered: list[Asked] = []
    threads = []
    begun = time.perf_counter()
    for number, inn in enumerate(inns):
        time.sleep(max(0.0, begun + number / RATE - time.perf_counter()))
        thread = threading.Thread(target=lambda inn=inn: answered.append(there.ask(inn)))  # type: ignore[misc]
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    return answered


def called(there: Plant) -> dict[str, float]:
    """ИНН → seconds that the calls made for it took, as the systems at the other end counted them."""
    spent: dict[str, float] = {}
    for url in (there.onec, there.crm, there.registry):
        for one in there.log(url):
            inn = str(one["headers"].get("x-correlation-id", "")).removeprefix("bench-")
            spent[inn] = spent.get(inn, 0.0) + one["seconds"]
    return spent


def measure(*, quick: bool) -> bool:
    """All measurements, printed with their bars; True when all were met."""
    seconds = 4 if quick else 30
    return _speed(seconds, KNOWN_SHARE) & _speed(seconds, 0) & _sessions()


def _speed(seconds: int, known: float) -> bool:
    """`known`: the share of companies that stand in 1C already."""
    with plant(SESSIONS) as there:
        for inn in seeded(there, 40)[:20]:  # processes warm, connections open
            there.ask(inn)
        inns = [valid_inn(f"7702{number:05d}") for number in range(1000, 1000 + RATE * seconds)]
        _more(there, inns, known)
        answered = steady(there, inns)
        spent = called(there)
        peak = there.stats()["max_sessions"]
    over = sorted(one.took - spent.get(one.inn, 0.0) for one in answered)
    good = [one for one in answered if one.status == 200]
    p95 = quantiles(over, n=20)[-1] * 1000
    took = quantiles([one.took for one in answered], n=20)[-1] * 1000
    outside = sum(one.source != "onec" for one in good)
    fine = len(good) == len(answered) and p95 <= ALLOWED_MS and peak <= SESSIONS
    print(
        f"requisites, {known:.0%} known to 1C: {len(answered)} requests at {RATE}/s, {len(good)} answered 200 "
        f"({outside} from the registry); p95 {took:.0f} ms, over the sum of its own calls: "
        f"p50 {over[len(over) // 2] * 1000:.0f} ms, p95 {p95:.0f} ms (bar {ALLOWED_MS}); "
        f"1C sessions at most {peak} (bar {SESSIONS})"
    )
    return fine


def _more(there: Plant, inns: list[str], share: float) -> None:
    known = [inn for number, inn in enumerate(inns) if int((number + 1) * share) > int(number * share)]  # mixed
    companies = [
        {"inn": inn, "ogrn": "1027700000016", "full": f"ООО «КОМПАНИЯ {inn}»", "short": f"ООО «Компания {inn}»",
         "address": "г Москва", "kpp": "770201001"}
        for inn in inns if inn not in set(known)
    ]  # fmt: skip
    rows = [{"Description": f"Компания {inn}", "ИНН": inn, "КПП": "770201001"} for inn in known]
    requests.post(f"{there.registry}/_sandbox/seed", json={"companies": companies}, timeout=60).raise_for_status()
    requests.post(f"{there.onec}/_sandbox/seed", json={COUNTERPARTIES: rows}, timeout=60).raise_for_status()


def _sessions() -> bool:
    """Twenty people at once and three sessions: some are told to come again, those who wait are answered."""
    with plant(3) as there:
        inns = seeded(there, 40)
        requests.post(f"{there.onec}/_sandbox/switches", json={"max_sessions": 3}, timeout=10).raise_for_status()
        told: list[Asked] = []
        for query in ("", "?wait=30"):
            batch = inns[:20] if not query else inns[20:]
            threads = [
                threading.Thread(target=lambda inn=inn, query=query: told.append(there.ask(inn, query)))  # type: ignore[misc]
                for inn in batch
            ]
            for one in threads:
                one.start()
            for one in threads:
                one.join()
        stats = there.stats()
    at_once, waiting = told[:20], told[20:]
    refused = [one for one in at_once if one.status == 503]
    honest = all(one.status in (200, 503) for one in told) and all("Retry-After" in one.headers for one in refused)
    waited = all(one.status == 200 for one in waiting)
    over = stats["licence_refusals"] == 0 and stats["max_sessions"] <= 3
    print(
        f"requisites, 3 sessions and 20 at once: {len(refused)} told to come again, {20 - len(refused)} answered; with "
        f"?wait=30 {sum(one.status == 200 for one in waiting)} of 20 answered; sessions at most "
        f"{stats['max_sessions']} (bar 3), refusals for want of a licence {stats['licence_refusals']} (bar 0)"
    )
    return bool(refused) and honest and waited and over


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.requisites", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="four seconds of requests")
    args = parser.parse_args()
    return 0 if measure(quick=args.quick) else 1


if __name__ == "__main__":
    sys.exit(main())
