"""Bonuses through the store: the running figure is the recomputed one, whatever payments, deals and rules do."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from tests.store.earned import Story, holds, stories


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(stories())
def test_the_running_figure_is_the_recomputed_one(story: Story) -> None:
    """Payments dated back, edited, unposted and posted again; refunds; deals that change hands; rules that change."""
    holds(story)
