"""Step boundaries: the places between two effects where a worker may die.

Plumbing that every effect passes through (commits, calls, claims, acknowledgements) names its boundaries here, so a
new step of a flow is a new boundary by itself. Nothing listens in production; the kill tests do.
"""

from __future__ import annotations

from collections.abc import Callable

_listeners: list[Callable[[str], None]] = []


def boundary(name: str) -> None:
    """Say that the process is between two effects; `name` tells which."""
    for listener in _listeners:
        listener(name)


def listen(listener: Callable[[str], None]) -> Callable[[], None]:
    """Call `listener` at each boundary from now on; returns the call that ends it."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)
