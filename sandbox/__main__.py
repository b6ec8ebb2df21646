"""``python -m sandbox onec|crm|mail|registry [--port N] …`` runs one simulated system."""

from __future__ import annotations

import importlib
import sys

NAMES = ("onec", "crm", "mail", "registry", "shop")


def main(argv: list[str]) -> int:
    """Hand the rest of the command line to the named system's ``main``."""
    if not argv or argv[0] not in NAMES:
        print(f"usage: python -m sandbox {'|'.join(NAMES)} [--port N] [--help]", file=sys.stderr)
        return 2
    try:
        system = importlib.import_module(f"sandbox.{argv[0]}")
    except ModuleNotFoundError as error:
        if error.name != f"sandbox.{argv[0]}":
            raise
        print(f"sandbox: {argv[0]} is not there yet", file=sys.stderr)
        return 2
    return int(system.main(argv[1:]) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
