"""The laws of money over many generated cases: `python -m bench.laws [--cases 50000] [--seed N]`.

The tests run the same laws over a few hundred cases each; here Hypothesis makes as many as are asked for. Prints how
many accounts and histories were made and kept every law; exits non-zero, with the smallest case, when one did not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.rules import laws
from tests.rules.facts import accounts
from tests.rules.histories import histories, keep


def main() -> int:
    """Run every law; 0 when all of them hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=50_000, help="cases of each law (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other cases")
    told = parser.parse_args()
    numbers = st.integers(0, 2**16)
    whole = (
        run("allocation: accounts with everything", told, laws.account, accounts(), numbers),
        run(
            "allocation: accounts without refunds, closed months", told, laws.account, accounts(refunds=False), numbers
        ),
        run("bonuses: running = recomputed", told, keep, histories()),
    )
    return 0 if all(whole) else 1


def run(name: str, told: argparse.Namespace, law: Callable[..., None], *cases: st.SearchStrategy[Any]) -> bool:
    """One law over its cases; prints the count and whether it holds."""
    made = kept = 0

    @seed(told.seed)
    @settings(
        max_examples=told.cases,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(*cases)
    def each(*case: Any) -> None:
        nonlocal made, kept
        made += 1
        law(*case)
        kept += 1

    begun = time.monotonic()
    try:
        each()
    except Exception as error:  # noqa: BLE001 – the smallest case is in its notes
        print(f"{name}: BROKEN after {made} cases\n{error!r}\n" + "\n".join(getattr(error, "__notes__", [])))
        return False
    print(f"{name}: {made} cases, {kept} keep every law, {time.monotonic() - begun:.0f} s", flush=True)
    return made == kept and made >= told.cases


if __name__ == "__main__":
    sys.exit(main())
