"""KPI in Redis: hashes, ranks and the feed. All of it can be lost, and is made again from the database.

A period changes within one MULTI: no other client ever sees half of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import redis

from integration.errors import Transient
from integration.rules.kpi import Kpi, Told

FEED = "kpi:feed"
SHOWN = "kpi:shown"  # stands as long as what was shown stands: with all else it is lost together
FEED_LENGTH = 100_000
_TOLD_SECONDS = 86_400  # for so long it is remembered that the feed has an accrual: a retry comes sooner


def hash_key(period: str, manager: str) -> str:
    return f"kpi:{period}:{manager}"


def rank_key(period: str) -> str:
    return f"kpi:{period}:rank"


class Board:
    """KPI as other programs read them. Raises Transient while Redis is out of reach."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def standing(self) -> bool:
        """Whether what was shown is still there: False after a Redis was lost."""
        with _reaching():
            return bool(self._redis.exists(SHOWN))

    def stands(self, at: datetime) -> None:
        """Everything is shown now."""
        with _reaching():
            self._redis.set(SHOWN, at.isoformat())

    def show(self, period: str, figures: Sequence[Kpi]) -> None:
        """Bring these managers' figures of a period up to date, at once."""
        if not figures:
            return
        with _reaching(), self._redis.pipeline(transaction=True) as together:
            self._put(together, period, figures)
            together.execute()

    def swap(self, period: str, figures: Sequence[Kpi]) -> None:
        """Put a whole period in place of the one that stands, at once; managers that it lacks are gone."""
        with _reaching():
            before: Any = self._redis.zrange(rank_key(period), 0, -1)
            gone = set(before) - {one.manager for one in figures}
            with self._redis.pipeline(transaction=True) as together:
                together.delete(rank_key(period), *(hash_key(period, manager) for manager in sorted(gone)))
                self._put(together, period, figures)
                together.execute()

    def shown(self, period: str, manager: str) -> dict[str, str]:
        """A manager's hash as it stands; empty when there is none."""
        with _reaching():
            found: Any = self._redis.hgetall(hash_key(period, manager))
        return dict(found)

    def rank(self, period: str) -> dict[str, int]:
        """Manager → score in the period's rank, as it stands."""
        with _reaching():
            found: Any = self._redis.zrange(rank_key(period), 0, -1, withscores=True)
        return {str(manager): int(score) for manager, score in found}

    def tell(self, told: Told, at: datetime | None = None) -> bool:
        """Put one accrual into the feed, once; False when it is there. `at`: its moment, when a lost feed is made
        again."""
        mark = f"kpi:told:{told.accrual}"
        with _reaching():
            if self._redis.exists(mark):
                return False
            entry_id = "*" if at is None else f"{int(at.timestamp() * 1000)}-*"
            fields: dict[Any, Any] = dict(told.fields)
            with self._redis.pipeline(transaction=True) as together:
                together.xadd(FEED, fields, id=entry_id, maxlen=FEED_LENGTH, approximate=True)
                together.set(mark, "1", ex=_TOLD_SECONDS)
                together.execute()
        return True

    def feed(self, after: str, count: int = 500) -> list[tuple[str, Mapping[str, str]]]:
        """Entries of the feed after an id, the oldest first."""
        with _reaching():
            found: Any = self._redis.xrange(FEED, min=f"({after}" if after else "-", count=count)
        return [(str(entry_id), dict(fields)) for entry_id, fields in found]

    def last(self) -> str:
        """The id of the feed's latest entry; "0-0" for an empty feed."""
        with _reaching():
            found: Any = self._redis.xrevrange(FEED, count=1)
        return str(found[0][0]) if found else "0-0"

    @staticmethod
    def _put(together: Any, period: str, figures: Sequence[Kpi]) -> None:
        for one in figures:
            together.hset(hash_key(period, one.manager), mapping=one.fields())
        if figures:
            together.zadd(rank_key(period), {one.manager: one.score for one in figures})


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        reason = "Redis недоступен: показатели обновятся, когда он ответит. Делать ничего не нужно."
        raise Transient(reason, system="redis", detail=type(error).__name__) from error
