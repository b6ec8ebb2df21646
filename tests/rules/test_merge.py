"""Ownership: what becomes of a field, for every combination of base, CRM, 1C and owner; the laws that always hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.rules.merge import Decision, Field, decided, merge, touched

A, B, C = "7701", "7702", "7703"


def after(field: Field, decision: Decision) -> Field:
    """Both sides and the agreed state once the decision is carried out."""
    if decision.value is None:
        return field
    crm = decision.value if decision.writes == "crm" else field.crm
    onec = decision.value if decision.writes == "onec" else field.onec
    return replace(field, base=decision.value, crm=crm, onec=onec)


@pytest.mark.parametrize("owner", ["crm", "onec", "registry", "newest", None])
@pytest.mark.parametrize("base", [A, B, "", None])
def test_equal_sides_stay(owner: str | None, base: str | None) -> None:
    """Equal on both sides is agreed, whoever owns it and whatever it was: our own echo ends here."""
    assert decided(Field(base, A, A, owner)) == Decision("keep", A)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("owner", "crm_edits", "onec_edits"),
    [
        ("crm", ("to_onec", B), ("set_back_onec", A)),
        ("onec", ("set_back_crm", A), ("to_crm", B)),
        ("newest", ("to_onec", B), ("to_crm", B)),
        (None, ("to_onec", B), ("to_crm", B)),
        ("registry", ("set_back_crm", A), ("to_crm", B)),
    ],
)
def test_one_edit(owner: str | None, crm_edits: tuple[str, str], onec_edits: tuple[str, str]) -> None:
    """One side edited: copied where it may, else set back there."""
    in_crm, in_onec = decided(Field(A, B, A, owner)), decided(Field(A, A, B, owner))  # type: ignore[arg-type]
    assert (in_crm.action, in_crm.value) == crm_edits
    assert (in_onec.action, in_onec.value) == onec_edits


@pytest.mark.parametrize(
    ("owner", "newer", "action", "value"),
    [
        ("crm", None, "set_back_onec", B),
        ("crm", "onec", "set_back_onec", B),
        ("onec", None, "set_back_crm", C),
        ("onec", "crm", "set_back_crm", C),
        ("newest", "crm", "to_onec", B),
        ("newest", "onec", "to_crm", C),
        ("newest", None, "conflict", None),
        (None, "crm", "conflict", None),
        ("registry", "crm", "conflict", None),
    ],
)
def test_two_edits(owner: str | None, newer: str | None, action: str, value: str | None) -> None:
    """Both sides edited to different values: the owner's stands and the other editor is told, else a person decides."""
    decision = decided(Field(A, B, C, owner, newer=newer))  # type: ignore[arg-type]
    assert (decision.action, decision.value) == (action, value)
    assert decision.reason


@pytest.mark.parametrize(
    ("base", "crm", "onec", "registry", "action", "value"),
    [
        (A, B, A, B, "to_onec", B),  # the CRM was first to learn what the registry says
        (A, B, A, A, "set_back_crm", A),
        (A, B, A, C, "set_back_crm", A),
        (A, A, B, B, "to_crm", B),  # requisites were renewed in 1C
        (A, A, B, A, "set_back_onec", A),
        (A, A, B, C, "set_back_onec", A),
        (A, B, C, B, "set_back_onec", B),
        (A, B, C, C, "set_back_crm", C),
        (A, B, C, A, "conflict", None),
        ("", B, "", None, "to_onec", B),  # a manager fills in an ИНН that nobody had
        ("", "", B, None, "to_crm", B),
        ("", B, "", C, "set_back_crm", ""),
        (None, B, C, C, "set_back_crm", C),
        (None, B, "", C, "conflict", None),
        (None, B, "", B, "to_onec", B),
    ],
)
def test_registry(
    base: str | None, crm: str, onec: str, registry: str | None, action: str, value: str | None
) -> None:  # fmt: skip
    """What a registry has said stands; where it is silent, 1C speaks for it and what is empty may be filled."""
    decision = decided(Field(base, crm, onec, "registry", registry))
    assert (decision.action, decision.value) == (action, value)


@pytest.mark.parametrize(
    ("owner", "crm", "onec", "action", "value"),
    [
        ("crm", B, "", "to_onec", B),
        ("crm", "", B, "to_crm", B),
        ("onec", B, "", "to_onec", B),
        (None, "", B, "to_crm", B),
        ("crm", B, C, "set_back_onec", B),
        ("onec", B, C, "set_back_crm", C),
        ("newest", B, C, "conflict", None),
        (None, B, C, "conflict", None),
        ("registry", B, C, "conflict", None),
    ],
)
def test_first_meeting(owner: str | None, crm: str, onec: str, action: str, value: str | None) -> None:
    """A link just made has no agreed state: what is empty is filled, what differs is the owner's or a person's."""
    decision = decided(Field(None, crm, onec, owner))  # type: ignore[arg-type]
    assert (decision.action, decision.value) == (action, value)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (Field("+74951112233", "+74951112233", "+79160000000", "crm"), ("1С", "«+79160000000»", "CRM")),
        (Field(A, B, A, "registry", A), ("CRM", f"«{B}»", f"«{A}»", "реестр")),
        (Field(A, "", A, "onec"), ("CRM", "«пусто»", "1С")),
        (Field(A, B, C, "newest", newer="crm"), ("более поздней", f"«{C}»", f"«{B}»")),
        (Field(A, B, C, "registry", A), (f"«{B}»", f"«{C}»", f"по реестру «{A}»")),
        (Field(A, "x" * 200, A, "onec"), ("…",)),
    ],
)
def test_the_editor_is_told(field: Field, words: tuple[str, ...]) -> None:
    """The reason names the side, what was entered, what stands now and where to edit it."""
    reason = decided(field).reason
    for word in words:
        assert word in reason
    assert len(reason) < 400


def test_fields_by_themselves() -> None:
    """A record is merged field by field; 1C is written to before the CRM."""
    decisions = merge(
        {
            "phone": Field(A, B, A, "crm"),
            "name": Field(A, B, A, "onec"),
            "email": Field(A, A, A, "crm"),
            "address": Field(A, B, C),
        }
    )
    assert {name: each.action for name, each in decisions.items()} == {
        "phone": "to_onec", "name": "set_back_crm", "email": "keep", "address": "conflict",
    }  # fmt: skip
    assert list(touched(decisions)) == ["onec", "crm"]


values = st.sampled_from(["", A, B, C])
anything = st.builds(
    Field,
    base=st.none() | values,
    crm=values,
    onec=values,
    owner=st.sampled_from(["crm", "onec", "registry", "newest", None]),
    registry=st.none() | values,
    newer=st.sampled_from(["crm", "onec", None]),
)


@given(anything)
def test_equal_afterwards(field: Field) -> None:
    """Both sides are equal afterwards, or it is a conflict and neither was touched."""
    decision = decided(field)
    then = after(field, decision)
    assert (then.crm == then.onec) == (decision.action != "conflict")
    if decision.action == "conflict":
        assert (decision.writes, decision.value) == (None, None)


@given(anything)
def test_idempotent(field: Field) -> None:
    """Decided once more, nothing is to do; a conflict stays the same conflict."""
    decision = decided(field)
    again = decided(after(field, decision))
    assert again == decision if decision.action == "conflict" else again.action == "keep"


@given(anything)
def test_an_owned_field_is_not_overwritten(field: Field) -> None:
    """The owner's side is written to only to fill what it never had; nobody's edit disappears without a word."""
    decision = decided(field)
    if field.owner in ("crm", "onec") and decision.writes == field.owner:
        assert field.base is None
        assert (field.crm if field.owner == "crm" else field.onec) == ""
    if decision.writes is not None:
        lost = field.crm if decision.writes == "crm" else field.onec
        if lost not in ("", field.base):
            assert decision.reason


@given(anything, st.lists(st.tuples(st.sampled_from(["crm", "onec"]), values), max_size=6))
def test_any_edits_end(field: Field, edits: list[tuple[str, str]]) -> None:
    """Whatever is edited afterwards, one more decision makes both sides equal again, or waits for a person."""
    for side, value in edits:
        field = after(field, decided(field))
        field = replace(field, crm=value) if side == "crm" else replace(field, onec=value)
    decision = decided(field)
    assert decision.action == "conflict" or decided(after(field, decision)).action == "keep"


@given(values, values, st.sampled_from(["crm", "onec", "newest", None]), st.sampled_from(["crm", "onec", None]))
def test_sides_are_treated_alike(one: str, other: str, owner: str | None, newer: str | None) -> None:
    """Where no registry is involved, swapping the sides swaps the decision."""
    swap = {"crm": "onec", "onec": "crm", "newest": "newest", None: None}
    names = {"to_crm": "to_onec", "to_onec": "to_crm", "set_back_crm": "set_back_onec",
             "set_back_onec": "set_back_crm", "keep": "keep", "conflict": "conflict"}  # fmt: skip
    here = decided(Field(A, one, other, owner, newer=newer))  # type: ignore[arg-type]
    there = decided(Field(A, other, one, swap[owner], newer=swap[newer]))  # type: ignore[arg-type]
    assert names[here.action] == there.action
    assert here.value == there.value
