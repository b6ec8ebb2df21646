"""A connection may have died while it lay idle in the pool: what didn't reach the database is tried once more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from integration.errors import Transient

T = TypeVar("T")


def once_more(work: Callable[[], T]) -> T:
    """What `work` returns; called a second time if its connection was found dead (the pool then makes a new one).

    For reads, and for writes that merge when repeated: the first try may have been committed after all.
    """
    try:
        return work()
    except Transient as error:
        if not getattr(error.__cause__, "connection_invalidated", False):
            raise
        return work()
