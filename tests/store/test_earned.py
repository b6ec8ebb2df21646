"""Bonuses through the store: the running figure is the recomputed one, whatever payments, deals and rules do."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, example, given, settings

from integration.settings.money import BonusRule, Split, Tier
from tests.store.earned import Step, Story, holds, stories


def one_percent(manager: str, counts: Any) -> tuple[BonusRule, ...]:
    return (BonusRule(since=date(2020, 1, 1), manager=manager, counts=counts, tiers=(Tier(rate=Decimal(1)),)),)


# A payment of more than the bill, split between one whose advances count and one whose don't: what each has counted is
# not what he is to have.
UNEQUAL = Story(
    rules=(one_percent("anna", "received"), one_percent("*", "allocation")),
    splits=(Split(since=date(2026, 1, 1), manager="anna", shares={"anna": Decimal(40), "boris": Decimal(60)}),),
    steps=(Step("pay", Decimal(100_000), 0, 0, False), Step("pay", Decimal(100_000), 0, 0, False)),
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@example(UNEQUAL)
@given(stories())
def test_the_running_figure_is_the_recomputed_one(story: Story) -> None:
    """Payments dated back, edited, unposted and posted again; refunds; deals that change hands; rules that change."""
    holds(story)
