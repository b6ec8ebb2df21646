"""`crm1c worker` whose child dies on one row: `python -m tests.delivery.deadly worker …`.

The file `deadly` beside crm1c.toml names row and boundary, as `ROW|BOUNDARY`: whichever process comes there is killed,
each time, as long as the file stands. Each death is a line in the file `deaths`.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from celery.signals import task_prerun

from integration.steps import listen
from tasks.cli import main

FOLDER = Path(os.environ["CRM1C_CONFIG"]).parent
row = ""


def begins(args: Any = (), **_: Any) -> None:
    """A task begins: this is its row."""
    global row
    row = str(args[0]) if args else ""


def passes(name: str) -> None:
    """Die here, if it is the row and the place."""
    file = FOLDER / "deadly"
    if file.exists() and file.read_text() == f"{row}|{name}":
        with (FOLDER / "deaths").open("a") as deaths:
            deaths.write(f"{os.getpid()}\n")
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    task_prerun.connect(begins, weak=False)
    listen(passes)
    main()
