"""Waiting for a condition with a deadline, so that no test sleeps for a guessed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    predicate: Callable[[], T],
    timeout: float = 10.0,
    *,
    what: str = "",
    ignoring: tuple[type[BaseException], ...] = (),
    every: float = 0.02,
) -> T:
    """Ask again until the answer is true, and return that answer; AssertionError when the time is over.

    An exception named in `ignoring` counts as "not yet"; the last one is told in the failure.

    >>> tries = iter([0, 0, 7])
    >>> until(lambda: next(tries), 1)
    7
    """
    deadline = time.monotonic() + timeout
    doubt: BaseException | None = None
    while True:
        try:
            answer = predicate()
        except ignoring as error:
            doubt = error
        else:
            doubt = None
            if answer:
                return answer
        if time.monotonic() >= deadline:
            name = what or getattr(predicate, "__qualname__", repr(predicate))
            raise AssertionError(f"not within {timeout:g} s: {name}" + (f" ({doubt!r})" if doubt else ""))
        time.sleep(every)
