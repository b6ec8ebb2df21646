"""`python -m bench intake pipeline`: run some measurements, or all."""

from __future__ import annotations

import argparse
import importlib
import sys

KNOWN = (
    "intake",
    "pipeline",
    "matching",
    "paper",
    "requisites",
    "firstday",
    "ledger",
    "laws",
    "reconcile",
    "kpi",
    "stream",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", nargs="*", choices=[*KNOWN, []], help=f"of {', '.join(KNOWN)}; all by default")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: shows that it runs, not how fast")
    args = parser.parse_args()
    good = [importlib.import_module(f"bench.{name}").measure(quick=args.quick) for name in args.what or KNOWN]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
