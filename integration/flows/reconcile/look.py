"""One part of a run at work: where it stands, what it found; everything is committed page by page, so that another
worker goes on where this one stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from integration.flows.payment import today
from integration.rules.findings import Finding, Part, Run
from integration.services import Services, Unit

Told = Callable[[str, int], None]  # part, how many things were compared so far


# Work that changes what a record shows and nothing of what it means: the rest of it may be compared meanwhile.
SHOWING = frozenset({"show_deal", "tell_deal", "show_totals", "tell_account", "notice", "attach", "paper", "letter"})


class Enough(Exception):
    """This turn's time is up: the part goes on in the next one."""


@dataclass
class Look:
    """`deadline`: when this turn ends (None: never)."""

    services: Services
    run: Run
    part: Part
    told: Told
    deadline: datetime | None = None
    at: dict[str, str | int] = field(init=False)
    checked: int = field(init=False)

    def __post_init__(self) -> None:
        self.at, self.checked = dict(self.part.at), self.part.checked

    def done(self, name: str) -> bool:
        """Is this stage over?"""
        return self.at.get(name) == 1

    def text(self, name: str) -> str:
        return str(self.at.get(name, ""))

    def number(self, name: str) -> int:
        return int(self.at.get(name, 0))

    def find(self, unit: Unit, found: Sequence[Finding]) -> None:
        """Write findings down with this step. What an earlier run repaired and what is there again doesn't hold: a
        person looks at it, or each night would write it anew."""
        again = unit.reconciling.repeated(self.run.id, [one.mark for one in found if one.action == "repair"])
        kept = [
            replace(one, action="person", reason=f"{one.reason} Исправление не держится: посмотрите, кто меняет.")
            if one.action == "repair" and one.mark in again
            else one
            for one in found
        ]
        unit.reconciling.find(self.run.id, self.part.name, kept)

    def step(self, unit: Unit, checked: int = 0, **at: str | int) -> None:
        """How far this part has come; stands with the transaction's commit."""
        self.at |= at
        self.checked += checked
        self.part = replace(self.part, at=self.at, checked=self.checked)
        present = unit.reconciling.run(self.run.id)
        parts = present.parts if present else self.run.parts
        self.run = replace(self.run, parts=tuple(self.part if one.name == self.part.name else one for one in parts))
        unit.reconciling.keep(self.run, self.run.parts)

    def rest(self) -> None:
        """Between two steps: tell how far it is. Raises Enough when the turn is over."""
        self.told(self.part.name, self.checked)
        if self.deadline is not None and self.services.now() >= self.deadline:
            raise Enough

    def at_work(self, keys: Iterable[str]) -> tuple[set[str], set[str]]:
        """Of these records, those that somebody works at (what differs there is no drift yet), and those that merely
        are to be shown anew."""
        with self.services.store.unit("reconcile: under way") as unit:
            busy = unit.reconciling.under_way(list(keys))
        working = {key for key, kinds in busy.items() if kinds - SHOWING}
        return working, {key for key, kinds in busy.items() if "show_deal" in kinds} - working

    def since(self, base: str) -> date:
        """From which day on this base's documents are compared; the same for the whole run."""
        if self.run.since is not None:
            return self.run.since
        name = f"since:{base}"
        if name not in self.at:
            days = self.services.settings.onec[base].compare_days
            self.at[name] = (today(self.services, base) - timedelta(days=days)).isoformat()
        return date.fromisoformat(self.text(name))
