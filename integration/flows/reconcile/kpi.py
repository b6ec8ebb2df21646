"""The figures that Redis shows against those of the database: somebody wrote over a key, or a write was lost."""

from __future__ import annotations

from datetime import date, timedelta

from integration.flows.kpi import LOCK, figures_of, show_month
from integration.flows.reconcile.look import Look
from integration.rules.accrual import last_day
from integration.rules.bonus import Month
from integration.rules.findings import Finding
from integration.rules.kpi import Period, periods_of
from integration.rules.reconciled_money import of_kpi
from integration.services import Services

MONTHS = 3  # the latest ones; older ones are swapped by the recomputation anyway


def kpi(look: Look, _nobody: str) -> None:
    """The part "kpi". A Redis that lost everything is no drift: the sweep shows it all again."""
    services, board = look.services, look.services.board
    if board is None or not board.standing():
        return
    with services.store.unit("reconcile: months") as unit:
        months = unit.kpi.months()[:MONTHS]
    for month in months:
        if look.done(month):
            continue
        first = date.fromisoformat(f"{month}-01")
        quarter = periods_of(first)[2]
        whole = (month,) if look.done(quarter) else (month, quarter)  # a quarter is told once, with its latest month
        days = [(first + timedelta(days=at)).isoformat() for at in range(last_day(month).day)]
        found, checked = list[Finding](), 0
        for period in (*whole, *days):
            many, odd = _compared(services, period, month)
            checked += many
            # Once more, now that nobody else writes: what accrued in between is shown by then.
            found += _compared(services, period, month)[1] if odd and not _under_way(services) else []
        with services.store.unit("reconcile: kpi") as unit:
            look.find(unit, found)
            look.step(unit, checked, **{month: 1, quarter: 1})
        look.rest()


def mend(services: Services, months: set[Month]) -> None:
    """Show these months anew, whole periods at once."""
    for month in sorted(months):
        with services.store.lock(LOCK):
            show_month(services, month)


def _under_way(services: Services) -> bool:
    with services.store.unit("reconcile: news") as unit:
        return bool(unit.kpi.news(1))


def _compared(services: Services, period: str, month: Month) -> tuple[int, list[Finding]]:
    """How many managers' figures were compared, and what differs. Forecasts move with the calendar and are left out."""
    board = services.board
    assert board is not None
    with services.store.lock(LOCK):
        with services.store.unit("read figures") as unit:
            wanted = {one.manager: one for one in figures_of(services, unit, Period.read(period))}
        rank = board.rank(period)
        found = []
        for manager in sorted(wanted.keys() | rank.keys()):
            one = wanted.get(manager)
            if one and one.only_planned and manager not in rank:
                continue  # shown with the period's next accrual
            score = None if one is None else one.score
            found += of_kpi(
                period, month, manager, one.fields() if one else {}, board.shown(period, manager),
                scores=(score, rank.get(manager)),
            )  # fmt: skip
    return len(wanted), found
