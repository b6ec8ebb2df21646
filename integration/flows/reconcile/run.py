"""A run from its beginning to its end: one part after another, each by itself; a part that fails stops no other, is
tried again, and is told if it can't be compared."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta

from integration.errors import Crm1cError, Permanent
from integration.flows.reconcile.bank import bank
from integration.flows.reconcile.clients import clients, counterparties
from integration.flows.reconcile.deals import deals, invoices
from integration.flows.reconcile.documents import documents
from integration.flows.reconcile.kpi import kpi
from integration.flows.reconcile.ledger import ledger
from integration.flows.reconcile.look import Enough, Look, Told
from integration.flows.reconcile.repair import repair
from integration.flows.reconcile.tell import owed_to_people
from integration.rules.findings import KINDS, Finding, Part, Run, Tally, totalled, verdict
from integration.services import Services, Unit
from integration.work import Duty, Event, Outcome, Owed, new_id

log = logging.getLogger("crm1c.work")

TURN = 100.0  # seconds of one turn: the sweep and the canary of the same queue wait behind it
TRIES = 3  # of a part whose system does not answer
_AGAIN = 600.0  # seconds until such a part is tried again
_TOO_OLD = timedelta(hours=20)

# The first word of a part's name → what it does with the rest. In this order: documents bring the ledger up to date,
# with which the deals are compared.
PARTS: Mapping[str, Callable[[Look, str], None]] = {
    "documents": documents,
    "ledger": ledger,
    "counterparties": counterparties,
    "clients": clients,
    "deals": deals,
    "invoices": invoices,
    "bank": bank,
    "kpi": kpi,
}


def begin(services: Services, cause: str, since: date | None = None, *, over_limit: bool = False) -> Run:
    """A new run, or the one under way. One that never ended is closed, and told as such, after a day."""
    with services.store.unit("begin reconciliation") as unit:
        standing = unit.reconciling.running()
        if standing is not None and standing.started_at < services.now() - _TOO_OLD:
            parts = [_given_up(part, "Сверка не закончилась за сутки.") for part in standing.parts]
            unit.reconciling.keep(standing, parts)
            _end(services, unit, replace(standing, parts=tuple(parts)))
        return unit.reconciling.begin(cause, since, _names(services), over_limit=over_limit)


def begin_at_night(services: Services) -> str:
    """The periodic job: begins a run and owes it to a worker, so that it survives whoever carries it out."""
    run = begin(services, "schedule")
    with services.store.unit("owe reconciliation") as unit:
        unit.owe(_turn(run, 0), cause=Event("", "schedule", "", "reconcile", "", b"", new_id()))
    return f"сверка {run.id} начата"


def compare(services: Services, duty: Duty) -> Outcome:
    """The duty "compare": payload {run}; one turn of it, which owes the next."""
    with services.store.unit("look for reconciliation") as unit:
        run = unit.reconciling.run(duty.payload["run"])
    if run is None or run.verdict:
        return Outcome("skipped", "Эта сверка уже закончена")
    run, waits = advance(services, run, lambda *_: None, seconds=TURN)
    if run.verdict:
        text = f"Сверка закончена: {_WORDS[run.verdict]}"
        if run.verdict == "alarm":
            log.error("%s (crm1c reconcile show)", text, extra={"run": run.id})
        return Outcome("done", text)
    delay = _AGAIN if waits else 0
    return Outcome("done", "Сверка продолжится", owes=(_turn(run, delay),))


_WORDS = {"ok": "всё сходится", "found": "есть находки", "alarm": "нужен человек"}


def advance(services: Services, run: Run, told: Told, seconds: float | None = None) -> tuple[Run, bool]:
    """Go on with a run for so many seconds (None: to its end). The second value: what is left waits for a system that
    did not answer. Raises Busy while another is at it."""
    deadline = None if seconds is None else services.now() + timedelta(seconds=seconds)
    with services.store.lock("reconcile", patience=0.1):
        for name in [part.name for part in run.parts if part.state == "due"]:
            try:
                run = _one(services, run, name, told, deadline)
            except Enough:
                return _present(services, run), False
        run = _present(services, run)
        if any(part.state == "due" for part in run.parts):
            return run, True
        with services.store.unit("end reconciliation") as unit:
            _end(services, unit, run)
        return _present(services, run), False


def _one(services: Services, run: Run, name: str, told: Told, deadline: object) -> Run:
    run = _present(services, run)
    part = next(one for one in run.parts if one.name == name)
    look = Look(services, run, part, told, deadline)  # type: ignore[arg-type]
    kind, _, whose = name.partition(":")
    try:
        PARTS[kind](look, whose)
        repair(look)
    except Enough:
        raise
    except Exception as error:  # one part never stops the others
        final = isinstance(error, Permanent) or part.tries + 1 >= TRIES
        reason = error.reason if isinstance(error, Crm1cError) else f"Внутренняя ошибка: {type(error).__name__}"
        log.warning("сверка, %s: %s", name, reason, exc_info=not isinstance(error, Crm1cError))
        ended = replace(look.part, tries=part.tries + 1, state="failed" if final else "due", reason=reason)
    else:
        ended = replace(look.part, state="done", reason="")
    parts = tuple(ended if one.name == name else one for one in look.run.parts)
    with services.store.unit("reconcile: part over") as unit:
        unit.reconciling.keep(run, parts)
    return replace(run, parts=parts)


def _end(services: Services, unit: Unit, run: Run) -> None:
    tallies = unit.reconciling.tallies(run.id)
    ends = verdict(run.parts, tallies)
    unit.reconciling.end(run, ends, counts(tallies), totalled(_all(unit, run)))
    owed = owed_to_people(services, unit, replace(run, verdict=ends))
    unit.owe(*owed, cause=Event("", "reconcile", "", "ended", "", b"", new_id()))


def counts(tallies: list[Tally]) -> dict[str, int]:
    """How many findings of each kind, and what becomes of them."""
    found: Counter[str] = Counter(dict.fromkeys(KINDS, 0) | dict.fromkeys(("repaired", "held", "person"), 0))
    for one in tallies:
        found[one.kind] += one.count
        found[one.action] += one.count
    return dict(found)


def _all(unit: Unit, run: Run) -> Iterator[Finding]:
    """Every finding, read in batches."""
    after = 0
    while some := unit.reconciling.findings(run.id, after):
        yield from (finding for _, _, finding in some)
        after = some[-1][0]


def _names(services: Services) -> list[str]:
    bases, crms = list(services.bases), list(services.crms)
    whose = {"clients": crms, "deals": crms, "bank": [""], "kpi": [""]}
    return [f"{kind}:{name}".rstrip(":") for kind in PARTS for name in whose.get(kind, bases)]


def _turn(run: Run, delay: float) -> Owed:
    return Owed("compare", "periodic:reconcile", "reconcile", {"run": run.id}, merge=f"compare:{run.id}", delay=delay)


def _present(services: Services, run: Run) -> Run:
    with services.store.unit("reconcile: run") as unit:
        return unit.reconciling.run(run.id) or run


def _given_up(part: Part, reason: str) -> Part:
    return replace(part, state="failed", reason=part.reason or reason) if part.state == "due" else part
