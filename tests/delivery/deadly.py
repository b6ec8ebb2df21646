"""`crm1c worker` whose child dies on one row: `python -m tests.delivery.deadly worker …`.

The file `deadly` beside crm1c.toml names row and boundary, as `ROW|BOUNDARY`: whichever process comes there is killed,
each time, as long as the file stands. Each death is a line in the file `deaths`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from integration.steps import listen
from tasks import inbound, outbound
from tasks.base import Process
from tasks.cli import main

FOLDER = Path(os.environ["CRM1C_CONFIG"]).parent
row = ""


def watched(perform: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """The same work, which says what row it is about."""

    def about(services: Any, row_id: str) -> Any:
        global row
        row = row_id
        return perform(services, row_id)

    return about


def called(later: Callable[..., None]) -> Callable[..., None]:
    """The end of a piece of work, with its calls sent: a death then loses no call of another row (without the sweep
    nothing would bring it back)."""

    def sent(process: Process, *about: Any) -> None:
        later(process, *about)
        process.caller.flush()

    return sent


def passes(name: str) -> None:
    """Die here, if it is the row and the place."""
    file = FOLDER / "deadly"
    if file.exists() and file.read_text() == f"{row}|{name}":
        with (FOLDER / "deaths").open("a") as deaths:
            deaths.write(f"{os.getpid()}\n")
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    for module, name in ((inbound, "perform_event"), (outbound, "perform_duty")):
        setattr(module, name, watched(getattr(module, name)))
    setattr(Process, "later", called(Process.later))  # noqa: B010
    listen(passes)
    main()
