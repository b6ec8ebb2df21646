"""Look before you leap: every create begins with a find by our own key, and a lost answer is searched for first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from integration.errors import Ambiguous, Crm1cError, Doubt
from integration.services import Services
from integration.work import own_key

T = TypeVar("T")

_SKEW = timedelta(seconds=10)
_BEGUN, _LOST, _OVER = "begun", "lost", "over"  # how far a create has come, as it is noted before and after


def create_once(
    services: Services, about: str, key: tuple[str, ...], find: Callable[[], T | None], create: Callable[[], T]
) -> T:
    """What `find` finds, else what `create` makes; one worker at a time. `about` ("invoice") and `key` tell the object
    from all others.

    A create is noted before it is begun. When its answer was lost, whoever asked for it, 1C may still be writing the
    object, or may show it late: until the doubt is old enough it is only searched for (raises Doubt). The same, for
    two leases, when a worker died in the middle of it.
    """
    with services.store.lock(lock_name(about, key)):
        found = find()
        return found if found is not None else create_unfound(services, about, key, create)


def lock_name(about: str, key: tuple[str, ...]) -> str:
    """The lock under which an object is looked for and created."""
    return f"{about}:{own_key(about, *key)}"


def create_unfound(services: Services, about: str, key: tuple[str, ...], create: Callable[[], T]) -> T:
    """What `create` makes of an object that was just looked for under its lock, and not found. Raises as
    `create_once`."""
    _refuse_while_doubted(services, about, key)
    _note(services, about, key, _BEGUN)
    try:
        made = create()
    except Ambiguous:
        _note(services, about, key, _LOST)
        raise
    except Crm1cError as error:
        # Refused, nothing was made; unless what failed came after the writing, and the object stands all the same.
        stands = isinstance(error.data, Mapping) and "ref_key" in error.data
        _note(services, about, key, _LOST if stands else _OVER)
        raise
    return made


def _refuse_while_doubted(services: Services, about: str, key: tuple[str, ...]) -> None:
    figures = services.settings.delivery
    state, since = _noted(services, about, key)
    if since is None:
        return
    patience = figures.doubt if state == _LOST else min(figures.doubt, 2 * figures.lease)
    left = patience - (services.now() - since).total_seconds()
    if left > 0:
        raise Doubt(retry_after=max(1.0, min(patience / 9, left)))


def made_since(services: Services, about: str, key: tuple[str, ...], moment: datetime) -> bool:
    """May crm1c have created this object since it was looked for at `moment`? Clocks of hosts differ a little."""
    begun = _noted(services, about, key)[1]
    return begun is not None and begun >= moment - _SKEW


def doubted(services: Services, about: str, key: tuple[str, ...]) -> datetime | None:
    """When a create of this object was begun or lost its answer, however long ago; None: never, or it was refused."""
    return _noted(services, about, key)[1]


def _note(services: Services, about: str, key: tuple[str, ...], state: str) -> None:
    services.store.set_watermark(f"doubt:{lock_name(about, key)}", f"{state} {services.now().isoformat()}")


def _noted(services: Services, about: str, key: tuple[str, ...]) -> tuple[str, datetime | None]:
    """How far the last create of this object has come, and since when it is in doubt; None: it is not."""
    state, _, moment = (services.store.watermark(f"doubt:{lock_name(about, key)}") or "").partition(" ")
    return state, datetime.fromisoformat(moment) if state in (_BEGUN, _LOST) else None
