"""Look before you leap: every create begins with a find by our own key, and a lost answer is searched for first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from integration.errors import Ambiguous, Doubt
from integration.services import Services
from integration.work import own_key

T = TypeVar("T")

_NOTED = frozenset({"counterparty"})  # objects that are looked for before their lock is taken (`made_since`)
_SKEW = timedelta(seconds=10)


def create_once(
    services: Services, about: str, key: tuple[str, ...], find: Callable[[], T | None], create: Callable[[], T]
) -> T:
    """What `find` finds, else what `create` makes; one worker at a time. `about` ("invoice") and `key` tell the object
    from all others.

    When an earlier create of the same object lost its answer, whoever asked for it, 1C may still be writing it, or
    may show it late: until the doubt is old enough it is only searched for (raises Doubt). A create that loses its
    answer now leaves a doubt, and raises Ambiguous marked with `about`.
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
    since = doubted(services, about, key)
    if since is not None:
        patience = services.settings.delivery.doubt
        age = (services.now() - since).total_seconds()
        if age < patience:
            raise Doubt(retry_after=max(1.0, min(patience / 9, patience - age)))
    try:
        made = create()
    except Ambiguous as error:
        services.store.set_watermark(_mark(about, key), services.now().isoformat())
        error.about = about
        raise
    if about in _NOTED:
        services.store.set_watermark(f"made:{lock_name(about, key)}", services.now().isoformat())
    return made


def made_since(services: Services, about: str, key: tuple[str, ...], moment: datetime) -> bool:
    """May crm1c have created this object since it was looked for at `moment`? Clocks of hosts differ a little."""
    made = services.store.watermark(f"made:{lock_name(about, key)}")
    return made is not None and datetime.fromisoformat(made) >= moment - _SKEW


def doubted(services: Services, about: str, key: tuple[str, ...]) -> datetime | None:
    """When a create of this object lost its answer, however long ago; None: never."""
    since = services.store.watermark(_mark(about, key))
    return datetime.fromisoformat(since) if since else None


def _mark(about: str, key: tuple[str, ...]) -> str:
    return f"doubt:{about}:{own_key(about, *key)}"
