"""Ends what a dead test run left behind: reads process groups and folders on stdin, and cleans them at its end.

A run may be interrupted or killed at any moment, so cleaning up cannot be left to the run itself. This small program
is started beside the first server, in a session of its own, and outlives the run by a moment: when its stdin closes or
its parent is gone, it kills the process groups still on its list and removes the folders. It imports nothing of ours.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path


def started(pid: int) -> str:
    """When that process started, in clock ticks since boot; '' if it has ended. Tells a pid from its later namesake."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    return ""


def main() -> None:
    """Lines: `group PID START`, `ended PID`, `folder PATH`, `removed PATH`; then, at the end of input, clean up."""
    parent = os.getppid()
    groups: dict[int, str] = {}
    folders: set[str] = set()
    pending = b""
    while os.getppid() == parent:  # a forked child of the run may hold our stdin open after the run is gone
        if not select.select([0], [], [], 1.0)[0]:
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            break
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            verb, _, rest = line.decode().partition(" ")
            if verb == "group":
                pid, _, start = rest.partition(" ")
                groups[int(pid)] = start
            elif verb == "ended":
                groups.pop(int(rest), None)
            elif verb == "folder":
                folders.add(rest)
            elif verb == "removed":
                folders.discard(rest)
    for group, start in groups.items():
        if started(group) == start:
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGKILL)
    for _ in range(100):  # a child of a killed server may write for a moment longer
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        if not any(map(os.path.exists, folders)):
            break
        time.sleep(0.1)


if __name__ == "__main__":
    main()
    sys.exit(0)
