"""Who said a requisite, and when: kept for every field beside the value that both systems agreed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from integration.rules.merge import Action, Decision

# Field → (source, when in ISO 8601 with zone). Sources: the names of registries, "onec", "crm".
Said: TypeAlias = Mapping[str, Sequence[str]]
SAID = "said"  # its name in a link's agreed state
OURS = frozenset({"onec", "crm"})  # systems in which people write; everything else is a register

# Where the value comes from that a decision leaves standing, unless it was agreed on before.
_SPEAKER: Mapping[Action, str] = {
    "keep": "onec",
    "to_crm": "onec",
    "set_back_crm": "onec",
    "to_onec": "crm",
    "set_back_onec": "crm",
}


def said_by(values: Mapping[str, str], source: str, at: str) -> dict[str, list[str]]:
    """All filled `values` (field → value) as said by one source."""
    return {name: [source, at] for name, value in values.items() if value}


def said_of(
    values: Mapping[str, str], agreed: Mapping[str, object], said: Said, other: str, at: str
) -> dict[str, list[str]]:
    """Who said the filled `values`: as `said` has it where they are the agreed ones, else `other`, `at`."""
    return {
        name: list(said[name]) if name in said and agreed.get(name) == value else [other, at]
        for name, value in values.items()
        if value
    }


def said_after(
    agreed: Mapping[str, object],
    said: Said,
    decisions: Mapping[str, Decision],
    registry: Mapping[str, str],
    told: tuple[str, str],
    now: str,
) -> dict[str, list[str]]:
    """Who said each field once `decisions` are carried out. `registry`: what a register says of it within the day, and
    `told` which one and when; `now`: when the edits of people were seen.

    A value that stays keeps who said it first; a register that says the same as people did speaks from then on. What is
    empty was said by nobody, and a conflict changes nothing.
    """
    after = {name: list(who) for name, who in said.items()}
    for name, decision in decisions.items():
        if decision.value is None:
            continue
        known = after.pop(name, None)
        if not decision.value:
            continue
        stays = known is not None and agreed.get(name) == decision.value
        if registry.get(name) == decision.value and not (stays and known and known[0] not in OURS):
            after[name] = list(told)
        elif stays and known:
            after[name] = known
        else:
            after[name] = [_SPEAKER.get(decision.action, "onec"), now]
    return after
