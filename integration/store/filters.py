"""Which events a person asks for, as SQL that stays fast beside a million finished rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict

from sqlalchemy import ColumnElement, Select, and_, literal, or_, select, union

from integration.store.schema import event_duties, inbox, outbox
from integration.work import State

WORST_FIRST: tuple[State, ...] = ("parked", "running", "due", "done")


class Filters(TypedDict, total=False):
    """Which events; what is None or left out doesn't narrow. `since` ≤ received < `until`; `kind`: of the error."""

    source: str | None
    state: State | None
    entity: str | None
    record_id: str | None
    since: datetime | None
    until: datetime | None
    kind: str | None


def narrowed(statement: Select[*tuple[Any, ...]], filters: Filters) -> Select[*tuple[Any, ...]]:
    """A select from the inbox, narrowed to the events that match."""
    for name in ("source", "entity", "record_id"):
        if (value := filters.get(name)) is not None:
            statement = statement.where(inbox.c[name] == value)
    if (since := filters.get("since")) is not None:
        statement = statement.where(inbox.c.created_at >= since)
    if (until := filters.get("until")) is not None:
        statement = statement.where(inbox.c.created_at < until)
    state, kind = filters.get("state"), filters.get("kind")
    if state == "done":
        # Nearly all events are: better to look at each than to gather them.
        statement = statement.where(inbox.c.state == "done", ~_has_duty(outbox.c.state != "done"))
        failed = or_(inbox.c.error_kind == kind, _has_duty(outbox.c.error_kind == kind))
        return statement if kind is None else statement.where(failed)
    if state is None and kind is None:
        return statement
    # Few are: gather them by the indexes of the unfinished rows, then leave out what counts as something worse.
    unfinished = ("parked", "running", "due") if state is None else (state,)
    statement = statement.where(inbox.c.id.in_(_gathered(unfinished, kind)))
    for worse in WORST_FIRST[: WORST_FIRST.index(state)] if state else ():
        statement = statement.where(inbox.c.state != worse, ~_has_duty(outbox.c.state == worse))
    return statement


def _has_duty(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    joined = select(literal(1)).join(outbox, outbox.c.id == event_duties.c.duty_id)
    return joined.where(event_duties.c.event_id == inbox.c.id, condition).correlate(inbox).exists()


def _gathered(states: Sequence[str], kind: str | None) -> Any:
    """Ids of the events that have a row of their own or a duty in one of these states, with this kind of error."""
    own = inbox.alias("own")
    parts = []
    for state in states:
        of = [(own, select(own.c.id)), (outbox, select(event_duties.c.event_id).join(outbox))]
        for box, found in of:
            same = and_(box.c.state == state, box.c.error_kind == kind if kind else literal(1) == 1)
            parts.append(found.where(same))
    return select(union(*parts).cte("gathered").c[0])
