"""KPI shown: what has accrued goes to Redis and its feed after the commit; what Redis lost is shown again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from integration.flows.holder import names_of
from integration.rules.accrual import last_day, totals_of
from integration.rules.bonus import Forecast, Month, forecast, month_of
from integration.rules.kpi import Figures, Kpi, Period, Place, Told, periods_of, plan_of, worked_and_left
from integration.services import Services, Unit
from integration.work import Duty, Outcome, Owed
from mappers.canonical import User

_SOME = 500  # accruals shown between two commits
_FEED = 1000  # entries of a lost feed that are made again
EMPTY: Mapping[str, Forecast] = {}
_NOTHING = Figures(Decimal(0), Decimal(0), 0)
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
        if services.board.standing():
            return False  # another was faster
        show_everything(services)
    return True


def show_everything(services: Services) -> None:
    """All periods and the end of the feed, the newest first; the caller holds the lock."""
    board = services.board
    assert board is not None
    with services.store.unit("look for months") as unit:
        months = unit.kpi.months()
        latest = unit.kpi.latest(_FEED)
    before, last = datetime.min.replace(tzinfo=UTC), int(board.last().partition("-")[0])
    for made_at, told in latest:
        before = max(before, made_at)  # the feed's ids only grow
        if told.fields["text"] and int(before.timestamp() * 1000) >= last:  # from where another time broke off
            board.tell(told, before)
    for month in months:
        show_month(services, month)
    board.stands(services.now())


def show_month(services: Services, month: Month, *, days: bool = True) -> None:
    """A month and its quarter, and its days, each swapped whole; the caller holds the lock."""
    board, first = services.board, date.fromisoformat(f"{month}-01")
    if board is None:
        return
    with services.store.unit("read figures") as unit:
        whole = {name: figures_of(services, unit, Period.read(name)) for name in (month, periods_of(first)[2])}
    for name, figures in whole.items():
        board.swap(name, figures)
    if not days:
        return
    with services.store.unit("read days") as unit:
        users, told = unit.holders.everybody(), unit.kpi.days(month)
    for at in range(last_day(month).day):
        day = (first + timedelta(days=at)).isoformat()
        found = {place: figures[day] for place, figures in told.items() if day in figures}
        board.swap(day, _kpis(services, users, Period.read(day), found))


def _show(services: Services, news: Iterable[Told]) -> None:
    """The figures that these accruals change: of their managers and periods alone, and of whoever has a plan there."""
    board = services.board
    assert board is not None
    changed: dict[str, set[str]] = {}
    for told in news:
        for day in told.days:
            for name in periods_of(day):
                changed.setdefault(name, set()).add(told.manager)
    for name, managers in sorted(changed.items()):
        with services.store.unit("read figures") as unit:
            period = Period.read(name)
            figures = figures_of(services, unit, period, managers | planned(services, unit, period))
        board.show(name, figures)


def figures_of(
    services: Services, unit: Unit, period: Period, managers: Collection[str] | None = None, currency: str = ""
) -> list[Kpi]:
    """The figures of a period, the best first; of all managers, or of these. Whoever has received nothing of a plan
    yet has zeros. `currency`: that of KPI by default."""
    currency = currency or services.settings.bonus.currency
    told = forecasts(services, unit, period.name, managers, currency) if period.kind == "month" else {}
    found = dict(unit.kpi.figures(period, managers))
    for manager in planned(services, unit, period, currency):
        if managers is None or manager in managers:
            found.setdefault((manager, currency), _NOTHING)
    return _kpis(services, unit.holders.everybody(), period, found, told, currency)


def planned(services: Services, unit: Unit, period: Period, currency: str = "") -> set[str]:
    """The known users who have a plan for a month, or for one of the months of a quarter."""
    plans, letters = services.settings.plan, currency or services.settings.bonus.currency
    if not any(plan.month in period.months for plan in plans):
        return set()
    users = unit.holders.everybody().values()
    return {user.id for user in users if plan_of(plans, names_of(user), period, letters) is not None}


def _kpis(
    services: Services,
    users: Mapping[str, User],
    period: Period,
    found: Mapping[Place, Figures],
    told: Mapping[str, Forecast] = EMPTY,
    currency: str = "",
) -> list[Kpi]:
    currency = currency or services.settings.bonus.currency
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
    worked, left = worked_and_left(month, today, services.settings.calendar)
    found = {}
    for place, raw in totals.items():
        if place[1] == currency:
            rule = rules.get(place)
            receipts = totals_of(raw, rule).receipts
            found[place[0]] = forecast(receipts, rule, worked, left, dues.get(place, Decimal(0)))
    return found


def today_of(services: Services) -> date:
    """Today in the zone of 1C; with several bases, of the schedule."""
    zones = {one.timezone for one in services.settings.onec.values()}
    zone = zones.pop() if len(zones) == 1 else services.settings.schedule.timezone
    return services.now().astimezone(zone).date()
