"""Look before you leap: every create begins with a find by our own key, and a lost answer is searched for first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from integration.errors import Ambiguous, Doubt
from integration.services import Services
from integration.work import Duty

T = TypeVar("T")


def create_once(services: Services, duty: Duty, about: str, find: Callable[[], T | None], create: Callable[[], T]) -> T:
    """What `find` finds, else what `create` makes. `about` names the object within this duty ("invoice").

    When an earlier create of the same object lost its answer, 1C may still be writing it, or may show it late: until
    the doubt is old enough it is only searched for (raises Doubt). A create that loses its answer now raises
    Ambiguous, marked with `about`.
    """
    found = find()
    if found is not None:
        return found
    if duty.doubt == about and duty.doubt_at is not None:
        patience = services.settings.delivery.doubt
        age = (services.now() - duty.doubt_at).total_seconds()
        if age < patience:
            raise Doubt(retry_after=max(1.0, min(patience / 9, patience - age)))
    try:
        return create()
    except Ambiguous as error:
        error.about = about
        raise
