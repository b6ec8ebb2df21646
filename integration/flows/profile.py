"""What a 1C base has: $metadata read once a day and kept, so that a worker starts without 14 MB of XML."""

from __future__ import annotations

from collections.abc import Collection

from integration.errors import Misconfigured
from integration.services import Base, Services

_DAY, _SOON = 86_400.0, 300.0  # seconds for which a model serves: a whole one, and one that lacks something


def learned(services: Services, base: Base, rates: Collection[str] = ()) -> None:
    """Make the base's dialect know the base. Raises Misconfigured naming everything that the mapping and these VAT
    rates need and the base lacks."""
    name = base.name.partition(":")[2]

    def learn() -> bool | None:
        model = services.store.model(name, _DAY)
        if model is not None:
            base.say.learn(model)
        if model is None or (base.say.lacking(rates) and services.store.model(name, _SOON) is None):
            model = base.ask(base.say.read_model())
            services.store.keep_model(name, model)
            base.say.learn(model)
        return not base.say.lacking(rates) or None  # None is not remembered: the next try looks again

    if not base.recall(f"model for {','.join(sorted(rates))}", learn):
        lacking = ", ".join(base.say.lacking(rates))
        raise Misconfigured(
            f"В 1С не хватает: {lacking}. Администратору: опубликуйте объекты в OData или обновите конфигурацию."
        )
