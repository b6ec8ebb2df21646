"""The laws of money over many generated cases: `python -m bench.laws [--cases 50000] [--seed N]`.

The tests run the same laws over a few hundred cases each; here Hypothesis makes as many as are asked for. Prints how
many accounts and histories were made and kept every law; exits non-zero, with the smallest case, when one did not.
Last come whole histories of a sandbox 1C, bank and people with deaths of workers (--histories 100): the ledger ends
equal to one computed from nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.flows import machine
from tests.flows.town import built
from tests.rules import laws
from tests.rules.facts import accounts
from tests.rules.histories import histories, keep
from tests.store.earned import holds, stories


def measure(*, quick: bool = False, cases: int = 50_000, start: int = 0, whole_histories: int = 100) -> bool:
    """Run every law over so many cases each (`quick`: a tenth); True when all of them hold."""
    cases, whole_histories = (cases // 10, whole_histories // 10) if quick else (cases, whole_histories)
    numbers = st.integers(0, 2**16)
    everything, without = st.tuples(accounts(), numbers), st.tuples(accounts(refunds=False), numbers)
    whole = [
        run("allocation: accounts with everything", cases, start, laws.account, everything),
        run("allocation: without refunds, closed months", cases, start, laws.account, without),
        run("allocation: fast = plain", cases, start, laws.plainly, st.tuples(accounts())),
        run("bonuses: running = recomputed", cases, start, keep, st.tuples(histories())),
        # Each of these writes a few dozen rows: fewer of them, and long enough all the same.
        run("bonuses: the same through the store", min(cases, 20_000), start, holds, st.tuples(stories())),
    ]
    return lived(whole_histories) and all(whole)


def lived(count: int) -> bool:
    """So many whole histories over real sockets and a database (tests/flows/machine.py)."""
    begun = time.monotonic()
    try:
        with built() as place:
            machine.run(place, count)
    except Exception as error:
        print(f"ledger = from nothing: BROKEN\n{error!r}\n" + "\n".join(getattr(error, "__notes__", [])))
        return False
    print(f"ledger = from nothing: {count} histories, {time.monotonic() - begun:.0f} s", flush=True)
    return True


def run(
    name: str, cases: int, start: int, law: Callable[..., None], made_of: st.SearchStrategy[tuple[Any, ...]]
) -> bool:
    """One law over its cases; prints the count and whether it holds."""
    made = kept = 0

    @seed(start)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(made_of)
    def each(case: tuple[Any, ...]) -> None:
        nonlocal made, kept
        made += 1
        law(*case)
        kept += 1

    begun = time.monotonic()
    try:
        each()
    except Exception as error:
        print(f"{name}: BROKEN after {made} cases\n{error!r}\n" + "\n".join(getattr(error, "__notes__", [])))
        return False
    print(f"{name}: {made} cases, {kept} keep every law, {time.monotonic() - begun:.0f} s", flush=True)
    return made == kept and made >= cases


def main() -> int:
    """Run every law; 0 when all of them hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=50_000, help="cases of each law (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other cases")
    parser.add_argument("--histories", type=int, default=100, help="whole histories (default: %(default)s)")
    told = parser.parse_args()
    return 0 if measure(cases=told.cases, start=told.seed, whole_histories=told.histories) else 1


if __name__ == "__main__":
    sys.exit(main())
