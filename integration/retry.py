"""Retries: one place, pure. A policy is a value; a decision is a function of error, attempts and one random number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from integration.errors import Ambiguous, Crm1cError, Misconfigured, Transient


@dataclass(frozen=True, slots=True)
class Policy:
    """`first` delay and `cap` in seconds; `attempts` in all, the first run included."""

    first: float
    cap: float
    attempts: int

    def delay(self, attempt: int, luck: float) -> float:
        """Seconds before the next try after `attempt` tries; `luck` is uniform in [0, 1).

        Equal jitter: half of the exponential delay is certain, half is luck, so it is never zero and a crowd
        spreads out (Celery's full jitter fires a third of first retries at once).
        """
        base = min(self.cap, self.first * 2.0 ** min(attempt - 1, 60))
        return base / 2 + base / 2 * luck


# 1C restarts, closes for a nightly exchange, goes exclusive: its policy spans half a day.
POLICIES: Mapping[str, Policy] = {
    "onec": Policy(first=1, cap=1800, attempts=40),
    "crm": Policy(first=1, cap=600, attempts=30),
    "registry": Policy(first=1, cap=60, attempts=6),
    "mail": Policy(first=5, cap=3600, attempts=20),
    "bus": Policy(first=1, cap=600, attempts=60),
}


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class Park:
    """Stop trying; `kind` says who can help."""

    kind: str


def decide(error: BaseException, attempts: int, policy: Policy, luck: float) -> Again | Park:
    """What becomes of a piece of work that failed with `error` on its try number `attempts` (from 1)."""
    if not isinstance(error, Crm1cError):
        return Park("bug")
    if isinstance(error, Misconfigured) and error.hold:
        return Again(policy.delay(1, luck))  # the whole queue waits for an administrator, the row with it
    if not isinstance(error, Transient):
        return Park(error.kind)
    if attempts >= policy.attempts:
        return Park("unknown" if isinstance(error, Ambiguous) else "exhausted")
    # A lost answer is searched for at once: a find is cheap, and an invoice that stands is a client who waits.
    delay = policy.delay(1 if isinstance(error, Ambiguous) else attempts, luck)
    if error.retry_after is not None:
        delay = max(0.5, min(error.retry_after, policy.cap))
    return Again(delay)
