"""What everything that is shown in a CRM has in common: the moment that a note names, and what the CRM did not take."""

from __future__ import annotations

from integration.errors import Misconfigured
from integration.services import Services
from integration.work import Duty
from mappers.dialect import Shown


def moment_of(services: Services, duty: Duty, base: str) -> str:
    """When the duty was owed, in the base's zone, for people: the same at each try."""
    moment = (duty.created_at or services.now()).astimezone(services.settings.onec[base].timezone)
    return f"{moment:%d.%m.%Y %H:%M}"


def not_taken(services: Services, crm: str, shown: Shown) -> str:
    """What the CRM did not take, in words. Raises Misconfigured for a field that the administrator named himself."""
    named = services.settings.crm[crm].explicit_fields
    fields = services.settings.crm[crm].fields
    lacking = [f"{getattr(fields, field)} ({field})" for field in shown.ignored if field in named]
    if lacking:
        raise Misconfigured(
            f"В CRM не записались поля: {', '.join(lacking)}. Проверьте их названия в [crm.{crm}.fields] "
            f"или создайте их: crm1c setup {crm}.",
            system=f"crm:{crm}",
        )
    unsaid = [*shown.ignored, *shown.problems]
    return f" (без полей: {', '.join(unsaid)})" if unsaid else ""
