"""The taxonomy: four kinds and one doubt. What is raised decides what happens next, and nothing else does.

    Crm1cError
    ├── Transient          the cause passes by itself: retried by policy, then parked as `exhausted`
    │   ├── Ambiguous      outcome unknown: the next try finds before it creates; parked as `unknown`
    │   │   └── Doubt      still searching for what may have been created: not yet found, not yet created again
    │   ├── Held           the system's circuit is open or its queue held: waits, costs no attempt
    │   └── Busy           another worker holds the record or every session: waits, costs no attempt
    ├── Permanent
    │   ├── Rejected       the data is wrong: a person mends it, then replays
    │   └── Misconfigured  a right, a password or a field is missing: an administrator mends it; may hold the queue
    ├── Conflict           both sides changed: a person decides
    └── Poison             undecodable, or it killed its worker too often

Anything else that is raised is a bug: logged whole, parked, not retried. The first line of a docstring is the default
message; it is shown to people, so it is Russian and says what to do.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from mappers.dialect import Fault


class Crm1cError(Exception):
    """Не получилось. Подробности — в журнале (crm1c events show)."""

    kind: ClassVar[str] = "bug"

    def __init__(
        self,
        reason: str = "",
        *,
        system: str = "",
        detail: str = "",
        retry_after: float | None = None,
        hold: bool = False,
        data: Any = None,
    ) -> None:
        self.reason = reason or (inspect.getdoc(type(self)) or "").partition("\n")[0]
        self.system, self.detail, self.retry_after, self.hold = system, detail, retry_after, hold
        self.data = data  # what the dialect knows beside the words: the ref_key of a document that stands
        super().__init__(self.reason)


class Transient(Crm1cError):
    """Система временно недоступна. Повторим сами; делать ничего не нужно."""

    kind = "exhausted"


class Ambiguous(Transient):
    """Ответ потерян: неизвестно, выполнен ли запрос. Сначала найдём, потом решим; делать ничего не нужно."""

    kind = "unknown"


class Doubt(Ambiguous):
    """Ответ 1С был потерян: ищем, создан ли документ, и пока не создаём второй. Делать ничего не нужно."""


class Held(Transient):
    """Система не отвечает, её очередь приостановлена. Продолжим сами, как только она ответит."""


class Busy(Transient):
    """Эту запись сейчас обрабатывает другой исполнитель. Подождём; делать ничего не нужно."""


class Permanent(Crm1cError):
    """Повтор не поможет: нужно исправить данные или настройки, затем повторить событие."""

    kind = "rejected"


class Rejected(Permanent):
    """Данные не приняты. Исправьте их и повторите событие."""

    kind = "rejected"


class Misconfigured(Permanent):
    """Не хватает прав, пароля или реквизита. Администратору: crm1c doctor покажет, чего именно."""

    kind = "misconfigured"


class Conflict(Crm1cError):
    """Запись изменили с обеих сторон. Решите, какое значение верно (crm1c conflicts)."""

    kind = "conflict"


class Poison(Crm1cError):
    """Событие не читается или раз за разом обрывает обработку. Оно отложено; остальные идут дальше."""

    kind = "poison"


_BY_FAULT: dict[str, type[Crm1cError]] = {
    "transient": Transient,
    "ambiguous": Ambiguous,
    "rejected": Rejected,
    "misconfigured": Misconfigured,
    "conflict": Conflict,
}


def from_fault(fault: Fault, system: str) -> Crm1cError:
    """A dialect's refusal as an error of the taxonomy, with the system it came from."""
    return _BY_FAULT[fault.kind](
        fault.reason,
        system=system,
        detail=fault.detail,
        retry_after=fault.retry_after,
        hold=fault.hold,
        data=fault.data,
    )
