"""Workers that a test kills from inside: `python -m tests.delivery.victims FOLDER COUNT QUEUES`.

Each of COUNT workers is a process of its own that works in itself (the solo pool), so that SIGKILL takes it whole; a
dead one is replaced. Every boundary that a piece of work passes is appended to FOLDER/points-DEAL, and the one that
FOLDER/plan.json names for a deal is where its worker kills itself, once (FOLDER/killed-DEAL tells).

A point is named `kind|boundary|n`: the n-th boundary of that name since the work on that row began. Nothing is
remembered from one row to the next, so that each begins as in a new process.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select

from integration.services import Services
from integration.steps import listen
from integration.store.schema import inbox, outbox
from integration.work import Wait
from tasks import inbound, outbound
from tasks.base import Process
from tasks.cli.common import running, settings_ready
from tasks.run import work

Perform = Callable[[Services, str], "Wait | None"]


class Marks:
    """Which deal this process works on and how far it has come with it."""

    def __init__(self, process: Process, folder: Path) -> None:
        self._process, self._folder = process, folder
        self._plan: dict[str, str] = {}
        with suppress(FileNotFoundError):
            self._plan = json.loads((folder / "plan.json").read_text())
        self._kind, self._deal = "", ""
        self._passed: Counter[str] = Counter()

    def watched(self, perform: Perform) -> Perform:
        """The same work on a row, which begins with everything before it forgotten."""

        def anew(_services: Services, row_id: str) -> Wait | None:
            self._passed.clear()
            self._process.world.close()
            self._process._world = None  # the next look at it makes a new one
            self._kind, self._deal = self._about(row_id)
            return perform(self._process.world.services, row_id)

        return anew

    def passes(self, name: str) -> None:
        """A boundary: note it, and die here if that is planned."""
        if not self._deal:
            return
        name = re.sub(r"lock (?:lock:)?([a-z]+):.*: taken", r"lock \1: taken", name)
        self._passed[name] += 1
        point = f"{self._kind}|{name}|{self._passed[name]}"
        with (self._folder / f"points-{self._deal}").open("a") as file:
            file.write(point + "\n")
        if self._plan.get(self._deal) == point:
            with suppress(FileExistsError):
                os.close(os.open(self._folder / f"killed-{self._deal}", os.O_CREAT | os.O_EXCL))
                os.kill(os.getpid(), signal.SIGKILL)

    def _about(self, row_id: str) -> tuple[str, str]:
        """(kind of work, deal) of a row, in whichever box it is."""
        with self._process.world.store.reading() as conn:
            record = conn.scalar(select(inbox.c.record_id).where(inbox.c.id == row_id))
            if record is not None:
                return "event", record
            kind, key = conn.execute(select(outbox.c.kind, outbox.c.key).where(outbox.c.id == row_id)).one()
        return kind, key.rpartition(":")[2]


def main(folder: Path, count: int, queues: list[str]) -> None:
    """Keep so many workers alive until told to stop."""
    process = running(settings_ready())
    process.app.finalize()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    living: set[int] = set()
    try:
        while True:
            while len(living) < count:
                child = os.fork()
                if child == 0:
                    _victim(process, folder, queues)
                living.add(child)
            ended, status = os.wait()
            living.discard(ended)
            print("ended", ended, os.waitstatus_to_exitcode(status), flush=True)
    finally:
        for child in living:
            os.kill(child, signal.SIGKILL)


def _victim(process: Process, folder: Path, queues: list[str]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    code = 1
    try:
        marks = Marks(process, folder)
        for module, name in ((inbound, "perform_event"), (outbound, "perform_duty")):
            setattr(module, name, marks.watched(getattr(module, name)))
        listen(marks.passes)
        code = work(process, queues, 1, pool="solo")
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(","))
