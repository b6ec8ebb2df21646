"""The faults, the log and the admin face, over a real socket."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from sandbox.answers import json_answer
from sandbox.faults import Sandbox
from sandbox.serve import serving


class Counter:
    """A system that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, environ: Any, start_response: Any) -> Any:
        self.calls += 1
        return json_answer({"calls": self.calls}).send(start_response)

    def state(self, query: Any) -> Any:
        return {"calls": self.calls, **query}

    def stats(self) -> Any:
        return {"calls": self.calls}

    def seed(self, body: Any) -> Any:
        raise ValueError("nothing to seed")

    def switches(self, body: Any) -> Any:
        return body or {}

    def reset(self) -> Any:
        self.calls = 0
        return {}


class Client:
    """Calls one sandbox system."""

    def __init__(self, url: str, system: Counter) -> None:
        self.url, self.system = url, system

    def fault(self, **fault: Any) -> None:
        answer = requests.post(f"{self.url}/_sandbox/faults", json=fault, timeout=5)
        assert answer.status_code == 200, answer.text

    def get(self, path: str = "/x", **more: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=5, **more)

    def admin(self, name: str, method: str = "GET") -> Any:
        return requests.request(method, f"{self.url}/_sandbox/{name}", timeout=5).json()


@pytest.fixture
def client() -> Iterator[Client]:
    system = Counter()
    with serving(Sandbox(system, system)) as url:
        yield Client(url, system)


@pytest.mark.parametrize(("kind", "carried_out"), [("lost_answer", 1), ("lost_request", 0)])
def test_lost(client: Client, kind: str, carried_out: int) -> None:
    """The client sees a dropped connection, never a 500; only ``lost_answer`` is carried out."""
    client.fault(kind=kind, times=1, match={"path": "x$"})
    with pytest.raises(requests.ConnectionError):
        client.get()
    assert client.system.calls == carried_out
    assert client.get().status_code == 200
    assert [entry["fault"] for entry in client.admin("log")] == [kind, None]


def test_lost_on_a_kept_connection(client: Client) -> None:
    """A kept-alive connection is dropped as well."""
    with requests.Session() as session:
        assert session.get(f"{client.url}/x", timeout=5).status_code == 200
        client.fault(kind="lost_answer", match={"method": "POST"})
        with pytest.raises(requests.ConnectionError):
            session.post(f"{client.url}/x", json={"a": 1}, timeout=5)


def test_status(client: Client) -> None:
    """A status with Retry-After, limited in times, matched by method and decoded path."""
    client.fault(kind="status", status=503, retry_after=7, times=2, match={"method": "GET", "path": "^/счет"})
    assert client.get("/другое").status_code == 200
    answer = client.get("/счет?a=б")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert [client.get("/счет").status_code for _ in range(2)] == [503, 200]
    assert client.admin("faults")[0]["fired"] == 2
    assert client.admin("log")[1]["query"] == "a=б"


def test_status_after(client: Client) -> None:
    """``after``: carried out, then a proxy's 502."""
    client.fault(kind="status", status=502, after=True)
    assert client.get().status_code == 502
    assert client.system.calls == 1


def test_hang_is_released(client: Client) -> None:
    """A hang holds its caller until the faults are cleared; other calls go on."""
    client.fault(kind="hang", match={"path": "^/slow"})
    failed: list[Exception] = []

    def slow() -> None:
        try:
            client.get("/slow")
        except requests.ConnectionError as error:
            failed.append(error)

    thread = threading.Thread(target=slow)
    thread.start()
    deadline = time.monotonic() + 5
    while not any(entry["fault"] == "hang" for entry in client.admin("log")):
        assert time.monotonic() < deadline
    assert client.get().status_code == 200
    client.admin("faults", "DELETE")
    thread.join(5)
    assert failed


def test_latency_combines(client: Client) -> None:
    """Latency delays, and another fault still fires."""
    client.fault(kind="latency", seconds=0.05)
    client.fault(kind="latency", seconds=0.05)
    client.fault(kind="html")
    began = time.monotonic()
    answer = client.get()
    assert time.monotonic() - began >= 0.1
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_probability_is_seeded(client: Client) -> None:
    """The same seed fires at the same calls."""
    runs = []
    for _ in range(2):
        client.admin("faults", "DELETE")
        client.fault(kind="status", status=500, probability=0.5, seed=3)
        runs.append([client.get().status_code for _ in range(20)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500}


def test_admin(client: Client) -> None:
    """Health, state, stats, switches, reset; a bad call is told."""
    client.get("/x", headers={"X-Api-Key": "secret-key"})
    assert client.admin("health") == {"status": "ok"}
    assert client.admin("state?set=a") == {"calls": 1, "set": "a"}
    assert client.admin("stats") == {"calls": 1}
    assert client.admin("seed", "POST") == {"error": "nothing to seed"}
    assert "secret-key" not in str(client.admin("log"))
    assert client.admin("log?since=1") == []
    assert client.admin("nowhere")["error"]
    assert requests.post(f"{client.url}/_sandbox/faults", json={"kind": "?"}, timeout=5).status_code == 400
    client.admin("log", "DELETE")
    assert client.admin("log") == []
    client.admin("state", "DELETE")
    assert client.admin("stats") == {"calls": 0}
