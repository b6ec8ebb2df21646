"""KPI shown: what has accrued goes to Redis and its feed after the commit; what Redis lost is shown again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from integration.flows.holder import names_of
from integration.rules.accrual import last_day, totals_of
from integration.rules.bonus import Forecast, Month, month_of
from integration.rules.kpi import Kpi, Period, Told, foretell, periods_of, plan_of
from integration.services import Services, Unit
from integration.settings.money import Calendar
from integration.work import Duty, Outcome, Owed
from mappers.canonical import User

_SOME = 500  # accruals shown between two commits
_FEED = 1000  # entries of a lost feed that are made again
LOCK = "kpi"  # whoever writes a period holds it: what is read last is written last


def owed_kpi() -> Owed:
    """The duty to show what has accrued: one is enough, however much that is."""
    return Owed("kpi", "periodic:kpi", "kpi", {}, merge="kpi")


def kpi(services: Services, duty: Duty) -> Outcome:  # noqa: ARG001 – every flow takes its duty
    """The duty "kpi": show all accruals that are news."""
    board, shown = services.board, 0
    if board is None:
        return Outcome("skipped", "Показывать негде: Redis не задан")
    with services.store.lock(LOCK):
        if not board.standing():
            show_everything(services)
        while True:
            with services.store.unit("look for accruals") as unit:
                news = unit.kpi.news(_SOME)
            if not news:
                break
            _show(services, news)
            for told in news:
                if told.fields["text"]:
                    board.tell(told)
            with services.store.unit("accruals shown") as unit:
                unit.kpi.forget_news([told.accrual for told in news])
            shown += len(news)
    return Outcome("done" if shown else "unchanged", f"Начислений показано: {shown}")


def heal(services: Services) -> bool:
    """Show everything again when Redis was lost; whether it was."""
    if services.board is None or services.board.standing():
        return False
    with services.store.lock(LOCK):
        show_everything(services)
    return True


def show_everything(services: Services) -> None:
    """All periods and the end of the feed, the newest first; the caller holds the lock."""
    board = services.board
    assert board is not None
    with services.store.unit("look for months") as unit:
        months = unit.kpi.months()
        latest = unit.kpi.latest(_FEED)
    before = datetime.min.replace(tzinfo=UTC)
    for made_at, told in latest if board.last() == "0-0" else ():
        if told.fields["text"]:
            before = max(before, made_at)  # the feed's ids only grow
            board.tell(told, before)
    for month in months:
        show_month(services, month)
    board.stands(services.now())


def show_month(services: Services, month: Month) -> None:
    """A month, its days and its quarter, each swapped whole; the caller holds the lock."""
    board, first = services.board, date.fromisoformat(f"{month}-01")
    if board is None:
        return
    days = [(first + timedelta(days=at)).isoformat() for at in range(last_day(month).day)]
    for name in (month, periods_of(first)[2], *days):
        with services.store.unit("read figures") as unit:
            figures = figures_of(services, unit, Period.read(name))
        if figures or name == month:
            board.swap(name, figures)


def _show(services: Services, news: Iterable[Told]) -> None:
    """The figures that these accruals change: of their managers and periods alone."""
    board = services.board
    assert board is not None
    changed: dict[str, set[str]] = {}
    for told in news:
        for day in told.days:
            for name in periods_of(day):
                changed.setdefault(name, set()).add(told.manager)
    for name, managers in sorted(changed.items()):
        with services.store.unit("read figures") as unit:
            figures = figures_of(services, unit, Period.read(name), managers)
        board.show(name, figures)


def figures_of(
    services: Services, unit: Unit, period: Period, managers: Collection[str] | None = None, currency: str = ""
) -> list[Kpi]:
    """The figures of a period, the best first; of all managers, or of these. `currency`: that of KPI by default."""
    currency = currency or services.settings.bonus.currency
    found = unit.kpi.figures(period, managers)
    users = unit.holders.everybody()
    told = forecasts(services, unit, period.name, managers, currency) if period.kind == "month" else {}
    made = []
    for (manager, letters), one in found.items():
        if letters == currency:
            user = users.get(manager, User(manager))
            plan = plan_of(services.settings.plan, names_of(user), period, currency)
            forecast = told.get(manager)
            made.append(Kpi(manager, currency, one.received, one.bonus, one.payments, plan, forecast))
    return sorted(made, key=lambda one: (-one.bonus, -one.received, one.manager))


def forecasts(
    services: Services, unit: Unit, month: Month, managers: Collection[str] | None, currency: str
) -> dict[str, Forecast]:
    """What each manager's month may come to; of one that has ended, what it came to."""
    today = today_of(services)
    totals, rules = unit.kpi.totals(month, managers), unit.kpi.rules(month, managers)
    dues = unit.kpi.dues(today, last_day(month), managers) if month_of(today) == month else {}
    calendar: Calendar = services.settings.calendar
    found = {}
    for place, raw in totals.items():
        if place[1] == currency:
            rule = rules.get(place)
            receipts = totals_of(raw, rule).receipts
            found[place[0]] = foretell(receipts, rule, month, today, calendar, dues.get(place, Decimal(0)))
    return found


def today_of(services: Services) -> date:
    """Today in the zone of 1C; with several bases, of the schedule."""
    zones = {one.timezone for one in services.settings.onec.values()}
    zone = zones.pop() if len(zones) == 1 else services.settings.schedule.timezone
    return services.now().astimezone(zone).date()
