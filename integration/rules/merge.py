"""Two systems, one field: what a sync does with it, from the last agreed state, both present ones and who owns it.

DOMAIN, «Who may edit which field». Pure: the caller compares values in their one form (phones in E.164, codes with
their zeros, names cleaned), writes what is decided, and keeps `value` as the new agreed state once both sides bear it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Side: TypeAlias = Literal["crm", "onec"]
Owner: TypeAlias = Literal["crm", "onec", "registry", "newest"]
Action: TypeAlias = Literal["keep", "to_crm", "to_onec", "set_back_crm", "set_back_onec", "conflict"]

_OTHER: Mapping[Side, Side] = {"crm": "onec", "onec": "crm"}
_COPY: Mapping[Side, Action] = {"crm": "to_crm", "onec": "to_onec"}
_SET_BACK: Mapping[Side, Action] = {"crm": "set_back_crm", "onec": "set_back_onec"}
_CALLED: Mapping[Side, str] = {"crm": "CRM", "onec": "1С"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field in its three states. `base` None: nothing was ever agreed on (a link just made). `owner` None: both
    may edit it. `registry`: what a registry says of it, None when none was asked. `newer`: the side edited later,
    None when nobody knows."""

    base: str | None
    crm: str
    onec: str
    owner: Owner | None = None
    registry: str | None = None
    newer: Side | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and the value that both sides then bear.

    `keep`: they bear it already. `to_*`: that side gets an allowed edit of the other. `set_back_*`: that side gets
    `value` in place of an edit that was not allowed, and its editor is told `reason`. `conflict`: neither side is
    touched, a person decides; `value` is None.
    """

    action: Action
    value: str | None
    reason: str = ""

    @property
    def writes(self) -> Side | None:
        """The side that is written to."""
        match self.action:
            case "to_crm" | "set_back_crm":
                return "crm"
            case "to_onec" | "set_back_onec":
                return "onec"
            case _:
                return None


def merge(fields: Mapping[str, Field]) -> dict[str, Decision]:
    """The decision for every field, each by itself."""
    return {name: decided(field) for name, field in fields.items()}


def decided(field: Field) -> Decision:
    """What becomes of one field. After it is carried out both sides are equal, unless it is a conflict; decided once
    more, it is `keep`. An owner's value is never replaced by an edit of the other side, and no edit is lost untold."""
    if field.crm == field.onec:
        return Decision("keep", field.crm)
    if field.base is None:
        return _first_meeting(field)
    if field.crm == field.base:
        return _one_edit(field, "onec")
    if field.onec == field.base:
        return _one_edit(field, "crm")
    return _two_edits(field)


def touched(decisions: Mapping[str, Decision]) -> Iterable[Side]:
    """The sides that must be written to, once each, the CRM last: what 1C refuses must not stand in the CRM."""
    writes = {decision.writes for decision in decisions.values()}
    return [side for side in ("onec", "crm") if side in writes]


def _one_edit(field: Field, editor: Side) -> Decision:
    """One side differs from what was agreed; the other still bears it."""
    edited, agreed = _value(field, editor), field.base or ""
    if _may_edit(field, editor, edited, agreed):
        return Decision(_COPY[_OTHER[editor]], edited)
    return Decision(_SET_BACK[editor], agreed, _why(field, editor, edited, agreed))


def _may_edit(field: Field, editor: Side, edited: str, agreed: str) -> bool:
    match field.owner:
        case None | "newest":
            return True
        case "crm" | "onec":
            return field.owner == editor
        case _:
            # A registry owns what it has said. Where it is silent, 1C speaks for it (what registries say is saved
            # there first, and an accountant corrects it there), and anybody may fill what is empty on both sides.
            if field.registry is not None:
                return edited == field.registry
            return editor == "onec" or agreed == ""


def _two_edits(field: Field) -> Decision:
    """Both sides differ from what was agreed, and from each other."""
    winner, told = _winner(field)
    if winner is None:
        return Decision("conflict", None, told)
    loser = _OTHER[winner]
    value = _value(field, winner)
    if field.owner == "newest":
        # The older edit was allowed too: it is overtaken, which its editor is told.
        return Decision(_COPY[loser], value, _overtaken(field, winner))
    return Decision(_SET_BACK[loser], value, _why(field, loser, _value(field, loser), value))


def _first_meeting(field: Field) -> Decision:
    """Nothing agreed yet: what is empty is filled, what differs is the owner's, and without one a person decides."""
    for empty in ("crm", "onec"):
        full = _value(field, _OTHER[empty])
        if _value(field, empty) == "" and (
            field.registry is None or field.owner != "registry" or full == field.registry
        ):
            return Decision(_COPY[empty], full)
    return _two_edits(field)


def _winner(field: Field) -> tuple[Side | None, str]:
    """Whose value stands, or None with what to tell the person who decides."""
    values = f"в CRM «{_shown(field.crm)}», в 1С «{_shown(field.onec)}»"
    match field.owner:
        case "crm" | "onec":
            return field.owner, ""
        case "newest":
            return field.newer, f"Изменено с обеих сторон, и неизвестно, где позже: {values}. Выберите верное значение."
        case "registry":
            for side in ("crm", "onec"):
                if field.registry is not None and _value(field, side) == field.registry:
                    return side, ""
            said = "реестр не спрашивали" if field.registry is None else f"по реестру «{_shown(field.registry)}»"
            return None, f"Изменено с обеих сторон: {values}, {said}. Выберите верное значение."
        case _:
            return None, f"Изменено с обеих сторон: {values}. Выберите верное значение."


def _why(field: Field, editor: Side, edited: str, stands: str) -> str:
    """For the editor whose edit is set back."""
    where = (
        f"Правка в {_CALLED[editor]} не принята: было введено «{_shown(edited)}», возвращено «{_shown(stands)}»"
        if field.base is not None
        else f"В {_CALLED[editor]} стояло «{_shown(edited)}», заменено на «{_shown(stands)}»"
    )
    match field.owner:
        case "registry" if field.registry is not None:
            return f"{where}. Это поле ведётся по государственному реестру; если в реестре ошибка, исправьте её там."
        case "registry":
            return f"{where}. Это поле ведётся по государственному реестру; поправьте его в 1С или обновите реквизиты."
        case _:
            owner = _CALLED[_OTHER[editor]]
            return f"{where}. Хозяин этого поля — {owner}: измените значение там (настройка [ownership])."


def _overtaken(field: Field, winner: Side) -> str:
    loser = _OTHER[winner]
    return (
        f"Правка в {_CALLED[loser]} «{_shown(_value(field, loser))}» заменена более поздней "
        f"из {_CALLED[winner]}: «{_shown(_value(field, winner))}»."
    )


def _value(field: Field, side: Side) -> str:
    return field.crm if side == "crm" else field.onec


def _shown(value: str) -> str:
    text = value or "пусто"
    return text if len(text) <= 80 else f"{text[:79]}…"
