"""The beat over a real Redis, which may be away for a while or come back empty."""

from __future__ import annotations

import logging
from typing import Any

from redbeat import RedBeatScheduler
from redis import RedisError
from redis.exceptions import LockError

log = logging.getLogger("crm1c.beat")

_PAUSE = 5.0  # seconds between two tries to reach a Redis that is away


class RedisClock(RedBeatScheduler):  # type: ignore[misc]
    """RedBeat ends its process when Redis is away or has lost the lock: this one waits, takes the lock again and writes
    the schedule anew. What is sent twice on the way is run once (slots)."""

    _lost = False

    def tick(self, *args: Any, **kwargs: Any) -> float:
        try:
            if self._lost:
                if not self.lock.owned():
                    self.lock.acquire()  # waits while another beat holds it
                self.setup_schedule()
                self._lost = False
                log.warning("Redis снова есть: расписание записано заново")
            return float(super().tick(*args, **kwargs))
        except RedisError as error:
            if not self._lost:
                log.warning("Redis недоступен или потерял расписание, часы ждут: %s", error)
            self._lost = True
            return 0.0 if isinstance(error, LockError) else _PAUSE
