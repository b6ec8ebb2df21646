"""Five hundred letters through a mail server that ails, by workers that are killed: each client gets his one letter.

A second one comes only where nobody can know better: the connection, or the worker, went between the letter's last line
and the server's answer being written down. It is a copy to the byte, under the same Message-ID, and it is counted.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integration.settings import load
from integration.store.engine import connect
from integration.store.store import SqlStore
from integration.work import Event, Link, Owed, Printed
from sandbox.crm.seed import inn10
from sandbox.mail import Mail
from tests.delivery.conftest import Planted, Told
from tests.delivery.plant import SECRETS, Plant

pytestmark = [pytest.mark.slow, pytest.mark.kill]

LETTERS = int(os.environ.get("CRM1C_TEST_LETTERS", "100"))  # `make chaos` takes five hundred
# Of how many letters one meets each fault at its first time; spread, since a server that fails in a row is left alone.
CUT, PUT_OFF, CLOSED = 25, 10, 25
KILLED_AFTER = (4, 10)  # from one death to the next so many letters come in, the fewest and the most
JITTER = 0.03  # seconds from the letter to the death, at most: it may fall on either side of the server's answer
FACTS = {"number": "1", "date": "24.11.2026", "total": "1 220,00", "currency": "руб.", "supplier": "ООО «Рассвет»",
         "due": "", "qr": True, "issue": 1}  # fmt: skip


def owed(plant: Plant) -> list[str]:
    """Deals whose invoices stand and are printed, and whose letters are owed; their clients have a mailbox each."""
    clients = [
        {"name": f"ООО «Клиент {n}»", "cInn": inn10(f"78{n:07d}"), "emailAddress": f"client{n}@example.com"}
        for n in range(LETTERS)
    ]
    accounts = plant.seed("crm", {"accounts": clients})["accounts"]
    deals: list[str] = plant.seed(
        "crm", {"deals": [{"name": f"Сделка {n}", "amount": 1220, "accountId": one} for n, one in enumerate(accounts)]}
    )["deals"]
    settings = load(plant.folder / "crm1c.toml", SECRETS)
    engine, now = connect(settings.database.url), datetime.now(UTC)
    store = SqlStore(engine, lambda: datetime.now(UTC), settings.delivery, lambda *_: None)
    cause = Event("", "espo", "deal", "update", "", b"", "letters")
    for n, deal in enumerate(deals):
        link = Link("espo", "deal", deal, "main", "invoice", f"{n:032x}", state="posted", agreed={"issue": 1})
        printed = Printed("espo", deal, "main", 1, "Счет.pdf", b"%PDF-1.7 " + os.urandom(40_000), FACTS, now)
        payload = {"crm": "espo", "deal": deal, "base": "main", "issue": 1}
        with store.unit("seed") as unit:
            unit.links.bind(link)
            unit.papers.keep(printed)
            unit.owe(Owed("letter", "mail", f"espo:letter:{deal}", payload, merge=f"letter:{deal}"), cause=cause)
    engine.dispose()
    return deals


def ail(post: Mail) -> None:
    """Each fault once for each client that it is meant for."""
    for n in range(LETTERS):
        to = f"^client{n}@"
        if n % CUT == 3:
            post.add_fault({"kind": "cut", "to": to, "times": 1})
        if n % PUT_OFF == 5:
            post.add_fault({"kind": "reply", "at": "rcpt", "code": 451, "to": to, "times": 1})
        if n % CLOSED == 7:
            post.add_fault({"kind": "reply", "at": "data", "code": 421, "to": to, "times": 1})


def children(pid: int) -> list[int]:
    """The processes that a worker forked."""
    with suppress(OSError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


class Reaper(threading.Thread):
    """Kills one of a worker's processes after every so many letters, however fast they come, until told to stop.

    A death that is due while no process lives waits for the next one: how many there are follows from the seed and
    from the letters alone.
    """

    def __init__(self, worker: int, post: Mail, luck: random.Random) -> None:
        super().__init__(daemon=True)
        self.worker, self.post, self.luck, self.enough = worker, post, luck, threading.Event()
        self.dead: set[int] = set()
        self.due = luck.randint(*KILLED_AFTER)  # the letter that brings the next death

    def run(self) -> None:
        while not self.enough.wait(0.005):
            living = [one for one in children(self.worker) if one not in self.dead]
            if not living or self.post.raw(self.due) is None:
                continue
            self.enough.wait(self.luck.uniform(0, JITTER))
            victim = self.luck.choice(living)
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            self.dead.add(victim)
            self.due += self.luck.randint(*KILLED_AFTER)


def test_each_client_gets_his_one_letter(planted: Planted, told: Told) -> None:
    """421, 451, cuts after DATA and deaths of workers: every letter comes; a second one only as a copy, and counted."""
    seed = random.randrange(1 << 30)
    with Mail() as post:
        table = {"host": "127.0.0.1", "port": post.port, "tls": "none", "sender": "buh@rassvet.example"}
        plant = planted(mail=table, retry={"mail": {"first": 0.2, "cap": 2}, "crm": {"first": 0.2, "cap": 2}})
        deals = owed(plant)
        ail(post)
        worker = plant.worker("--queues", "mail,periodic", "--concurrency", "4")
        plant.beat()
        reaper, began = Reaper(worker.pid, post, random.Random(seed)), time.monotonic()
        reaper.start()
        plant.settled(300)
        took = time.monotonic() - began
        reaper.enough.set()
        reaper.join()
        letters = post.letters()
        raws = [post.raw(letter["n"]) for letter in letters]
    ids, rows = Counter(letter["message_id"] for letter in letters), plant.rows("SELECT state, again FROM papers")
    again, cut = sum(row[1] for row in rows), sum(not letter["answered"] for letter in letters)
    told(
        f"{LETTERS} letters in {took:.0f} s (seed {seed}): {len(reaper.dead)} processes killed, {LETTERS // PUT_OFF} "
        f"put off (451), {LETTERS // CLOSED} sessions closed (421), {cut} cut after DATA; {len(letters)} arrived, "
        f"{len(letters) - len(ids)} of them second copies, {again} sent again not knowing"
    )
    assert plant.parked() == []
    assert Counter(row[0] for row in rows) == {"sent": LETTERS}
    assert len(ids) == LETTERS == len(deals)
    assert {letter["to"][0] for letter in letters} == {f"client{n}@example.com" for n in range(LETTERS)}
    assert cut <= len(letters) - LETTERS <= again
    assert len({(letter["message_id"], raw) for letter, raw in zip(letters, raws, strict=True)}) == LETTERS
    assert len(reaper.dead) > 5
