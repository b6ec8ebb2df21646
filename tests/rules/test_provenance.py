"""Who said a requisite: what stays keeps its source, what changes gets a new one, what is empty was said by nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.rules.merge import Action, Decision, Field, decided
from integration.rules.provenance import OURS, said_after, said_by, said_of

THEN, NOW, TOLD = "2026-11-01T00:00:00+00:00", "2026-11-24T12:00:00+00:00", ("egrul", "2026-11-24T09:00:00+00:00")
values = st.sampled_from(["", "a", "b", "c"])
owners = st.sampled_from([None, "crm", "onec", "registry"])


@pytest.mark.parametrize(
    ("action", "source"),
    [("to_crm", "onec"), ("set_back_crm", "onec"), ("to_onec", "crm"), ("set_back_onec", "crm"), ("keep", "onec")],
)
def test_a_new_value_belongs_to_the_side_that_it_came_from(action: Action, source: str) -> None:
    after = said_after({"name": "a"}, {"name": ["egrul", THEN]}, {"name": Decision(action, "b")}, {}, ("", ""), NOW)
    assert after == {"name": [source, NOW]}


@pytest.mark.parametrize("action", ["keep", "set_back_crm", "set_back_onec"])
def test_a_value_that_stays_keeps_who_said_it_first(action: Action) -> None:
    """Also when an edit was set back to it, and when the same register says it once more."""
    said = {"name": ["dadata", THEN]}
    after = said_after({"name": "a"}, said, {"name": Decision(action, "a")}, {"name": "a"}, TOLD, NOW)
    assert after == said


def test_a_register_that_confirms_what_people_wrote_speaks_from_then_on() -> None:
    after = said_after(
        {"name": "a"}, {"name": ["crm", THEN]}, {"name": Decision("keep", "a")}, {"name": "a"}, TOLD, NOW
    )
    assert after == {"name": list(TOLD)}


def test_a_conflict_changes_nothing_and_what_is_emptied_was_said_by_nobody() -> None:
    said = {"name": ["crm", THEN], "kpp": ["egrul", THEN]}
    decisions = {"name": Decision("conflict", None), "kpp": Decision("to_crm", "")}
    assert said_after({"name": "a", "kpp": "b"}, said, decisions, {}, ("", ""), NOW) == {"name": ["crm", THEN]}


def test_values_that_were_never_agreed_on_are_the_answering_source_s() -> None:
    said = said_of({"name": "a", "kpp": "b", "ogrn": ""}, {"name": "a", "kpp": "x"}, {"name": ["egrul", THEN],
                   "kpp": ["egrul", THEN]}, "onec", NOW)  # fmt: skip
    assert said == {"name": ["egrul", THEN], "kpp": ["onec", NOW]}


@given(values, values, values, owners, st.none() | values)
def test_every_standing_value_has_a_source_and_no_register_is_named_for_what_it_did_not_say(
    base: str, crm: str, onec: str, owner: str | None, registry: str | None
) -> None:
    decision = decided(Field(base, crm, onec, owner, registry))  # type: ignore[arg-type]
    before = said_by({"name": base}, "crm", THEN)
    told = {} if registry is None else {"name": registry}
    after = said_after({"name": base}, before, {"name": decision}, told, TOLD, NOW)
    if decision.value is None:
        assert after == before
    else:
        assert ("name" in after) is bool(decision.value)
        if after and after["name"][0] not in OURS:
            assert registry == decision.value
