"""The first day: two bases of a hundred thousand clients each, as they were read into SQL, matched and reported as
`crm1c links build` does it, then confirmed. Seconds, megabytes, and that a second run finds nothing new.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.companies import Maker
from integration.bootstrap import World, build
from integration.flows import firstday
from integration.flows.firstday import Findings
from integration.settings import read
from integration.store import migrate
from tasks.cli.report import write

SIZES = (10_000, 100_000)
SECONDS, MEGABYTES = 300.0, 1024.0
PAGE = 200


def world(folder: Path) -> World:
    """A process over an empty database in a file."""
    url = f"sqlite:///{folder / 'crm1c.db'}"
    migrate.upgrade(url)
    onec = {"base_url": "http://1c", "username": "u", "password": "env:SECRET", "organisation": "7707083893"}
    crm = {"kind": "espocrm", "base_url": "http://crm", "api_key": "env:SECRET"}
    told = {"database": {"url": url}, "broker": {"url": "memory://"}, "redis": {"url": "embedded://"}}
    return build(read({**told, "onec": {"main": onec}, "crm": {"espo": crm}}, {"SECRET": "x"}), lambda *_: None)


def one(clients: int) -> tuple[float, float, float, int, int]:
    """Seconds to match and report, seconds to confirm, megabytes, links, new links of a second run."""
    with tempfile.TemporaryDirectory() as name:
        here, folder = world(Path(name)), Path(name)
        _read(here, clients)
        started, findings = time.perf_counter(), Findings()
        rows = firstday.matched(here.services, "espo", "main", findings, lambda _stage, _at: None)
        write(folder, rows, findings)
        matched = time.perf_counter() - started
        started = time.perf_counter()
        new = firstday.confirm(here.services, findings, lambda _stage, _at: None)
        confirmed = time.perf_counter() - started
        again = firstday.confirm(here.services, findings, lambda _stage, _at: None)
        here.close()
    return matched, confirmed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, new, again


def _read(here: World, clients: int) -> None:
    """What reading the two systems would have kept."""
    pages: dict[str, list[list[str]]] = {"onec:main": [], "crm:espo": []}
    counts = dict.fromkeys(pages, 0)
    for number, pair in enumerate(Maker(clients).base(clients)):
        for side, party in zip(pages, pair, strict=True):
            values = [getattr(party, name) for name in firstday._KEPT]
            values[8] = f"{side}-{number}"  # the id
            pages[side].append(values)
            if len(pages[side]) == PAGE:
                _keep(here, side, counts, pages[side])
    for side, rest in pages.items():
        _keep(here, side, counts, rest, last=True)


def _keep(here: World, side: str, counts: dict[str, int], rows: list[list[str]], *, last: bool = False) -> None:
    with here.store.unit("page") as unit:
        body = json.dumps(rows, ensure_ascii=False)
        unit.parties.keep_page(side, counts[side], len(rows), body, last=last)
    counts[side] += len(rows)
    rows.clear()


def measure(*, quick: bool) -> bool:
    """Every size in a process of its own, printed with its bars; True when all were met."""
    good = True
    for clients in SIZES[:1] if quick else SIZES:
        command = [sys.executable, "-m", "bench.firstday", "--size", str(clients)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        matched, confirmed, memory, new, again = map(float, told[-5:])
        good = good and matched < SECONDS and memory < MEGABYTES and not again
        print(
            f"first day, {clients} × {clients}: matched and reported in {matched:.0f} s (bar {SECONDS:.0f}), "
            f"{new:.0f} links confirmed in {confirmed:.0f} s, {memory:.0f} MB (bar {MEGABYTES:.0f}), "
            f"{again:.0f} new in a second run (bar 0)"
        )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.firstday", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10,000 clients only")
    parser.add_argument("--size", type=int, help="one size in this process: bare figures")
    args = parser.parse_args()
    if args.size:
        print(*one(args.size))
        return 0
    return 0 if measure(quick=args.quick) else 1


if __name__ == "__main__":
    sys.exit(main())
