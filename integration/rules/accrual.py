"""From movements to accruals: how much bonus each one gives, in which month, by which rule, told so that a person can
check it. Pure; sums are in one currency, which is the rule's."""

from __future__ import annotations

import json
from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from integration.rules.bonus import Month, Receipts, Totals, accruals, month_of
from integration.rules.earnings import NO_DEAL, Key, Moved, Sums
from integration.settings.money import BonusRule, Tier

_ZERO, _WHOLE = Decimal(0), Decimal(100)
_SIGNS = {"RUB": "₽", "USD": "$", "EUR": "€"}
Raw = Mapping[tuple[Month, str], Sums]  # (taken, group) → sums of one manager's month


@dataclass(frozen=True, slots=True)
class Accrual:
    """One bonus movement. `kind`: "reversal" takes back, "rule": the rule of a month that still runs has changed.
    `given`: the day whose KPI it counts in; `detail`: the way from the payment to the sum, JSON-able."""

    kind: Literal["accrual", "reversal", "rule"]
    key: Key
    month: Month
    taken: Month
    given: date
    sums: Sums
    bonus: Decimal
    detail: Mapping[str, Any] = field(default_factory=dict)


def totals_of(raw: Raw, rule: BonusRule | None) -> Totals:
    """The month as the rule counts it: with VAT or without."""
    receipts, taken = Receipts(), dict[Month, Receipts]()
    for (later, group), sums in raw.items():
        amount = sums.net if rule is not None and rule.base == "net" else sums.gross
        one = Receipts({group: amount} if amount else {}, sums.first / _WHOLE)
        if later:
            taken[later] = taken.get(later, Receipts()).minus(one)
        else:
            receipts = receipts.plus(one)
    return Totals(receipts, taken)


def accrued(
    moves: Sequence[Moved], raw: Raw, rule: BonusRule | None, today: date
) -> tuple[list[Accrual], dict[tuple[Month, str], Sums]]:
    """The accruals of movements of one manager's month, in their order, and the sums after them.

    A movement that changes more than one month's bonus gives an accrual for each; only the first carries its sums.
    """
    made: list[Accrual] = []
    state = dict(raw)
    before = totals_of(state, rule)
    for move in moves:
        place = (move.taken, move.key.group)
        state[place] = state.get(place, Sums()).plus(move.sums)
        after = totals_of(state, rule)
        changed = accruals(before, after, rule, move.month)
        home = month_of(move.given)
        detail = _detail(move, rule, before, after)
        gained = changed.pop(home, _ZERO)
        made.append(_accrual(move, move.taken, move.given, move.sums, gained, detail))
        for month, amount in sorted(changed.items()):
            day = move.key.day if month == move.month else min(last_day(month), today)
            taken = month if month != move.month else ""
            made.append(_accrual(move, taken, day, Sums(), amount, detail))
        before = after
    return made, state


def adjusted(
    raw: Raw, old: BonusRule | None, new: BonusRule | None, manager: str, month: Month, day: date
) -> list[Accrual]:
    """What a changed rule changes in a month that still runs: told on `day`, one accrual for each month it touches."""
    before, after = (totals_of(raw, rule) for rule in (old, new))
    was, now = accruals(Totals(), before, old, month), accruals(Totals(), after, new, month)
    made = []
    for one in sorted(was.keys() | now.keys()):
        amount = now.get(one, _ZERO) - was.get(one, _ZERO)
        if amount:
            given = day if month_of(day) == one else last_day(one)
            detail = {"rule": words(new), "before": words(old)}
            taken = one if one != month else ""
            key = Key("", manager, "", given, NO_DEAL)
            made.append(Accrual("rule", key, month, taken, given, Sums(), amount, detail))
    return made


def last_day(month: Month) -> date:
    year, number = int(month[:4]), int(month[5:])
    return date(year, number, monthrange(year, number)[1])


def packed(rule: BonusRule | None) -> str:
    """The rule as a month keeps it, "" for none."""
    if rule is None:
        return ""
    told = {
        "since": rule.since.isoformat(),
        "manager": rule.manager,
        "base": rule.base,
        "counts": rule.counts,
        "currency": rule.currency,
        "tiers": [[None if tier.up_to is None else str(tier.up_to), str(tier.rate)] for tier in rule.tiers],
        "groups": {group: str(rate) for group, rate in sorted(rule.groups.items())},
        "first_payment": None if rule.first_payment is None else str(rule.first_payment),
        "cap": None if rule.cap is None else str(rule.cap),
    }
    return json.dumps(told, ensure_ascii=False, sort_keys=True)


def unpacked(text: str) -> BonusRule | None:
    """The other way."""
    if not text:
        return None
    told = json.loads(text)
    return BonusRule(
        since=date.fromisoformat(told["since"]),
        manager=told["manager"],
        base=told["base"],
        counts=told["counts"],
        currency=told["currency"],
        tiers=tuple(Tier(up_to=None if up_to is None else Decimal(up_to), rate=Decimal(rate))
                    for up_to, rate in told["tiers"]),
        groups={group: Decimal(rate) for group, rate in told["groups"].items()},
        first_payment=None if told["first_payment"] is None else Decimal(told["first_payment"]),
        cap=None if told["cap"] is None else Decimal(told["cap"]),
    )  # fmt: skip


def words(rule: BonusRule | None) -> str:
    """The rule in a sentence."""
    if rule is None:
        return "правила нет"
    steps = [f"{_plain(tier.rate)} %" + (f" до {_plain(tier.up_to)}" if tier.up_to else "") for tier in rule.tiers]
    told = f"правило с {rule.since:%d.%m.%Y} для {rule.manager}: {', далее '.join(steps)}"
    told += "".join(f"; «{group}» {_plain(rate)} %" for group, rate in sorted(rule.groups.items()))
    if rule.first_payment:
        told += f"; первый платёж клиента {_plain(rule.first_payment)}"
    if rule.cap is not None:
        told += f"; не больше {_plain(rule.cap)} за месяц"
    told += "; без НДС" if rule.base == "net" else ""
    return told + ("; с авансами" if rule.counts == "received" else "")


def _accrual(move: Moved, taken: Month, given: date, sums: Sums, bonus: Decimal, detail: Mapping[str, Any]) -> Accrual:
    back = sums.gross < 0 or (not sums.gross and bonus < 0)
    return Accrual("reversal" if back else "accrual", move.key, move.month, taken, given, sums, bonus, detail)


def _detail(move: Moved, rule: BonusRule | None, before: Totals, after: Totals) -> dict[str, Any]:
    told: dict[str, Any] = {"allocations": [dict(one) for one in move.why], "rule": words(rule)}
    told |= {"before": str(_left(before)), "after": str(_left(after))}
    return told | ({"first": str(move.sums.first)} if move.sums.first else {})


def _left(totals: Totals) -> Decimal:
    """The month's receipts without what later months took back."""
    return totals.receipts.total - sum((back.total for back in totals.taken.values()), _ZERO)


def _plain(number: Decimal) -> str:
    text = f"{number:,f}".replace(",", "\u00a0")
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace(".", ",")


def spoken(amount: Decimal, currency: str) -> str:
    """A sum as notices tell it: 6 000 000 ₽, 1 234,50 $."""
    whole = amount == amount.to_integral_value()
    text = f"{amount:,.{0 if whole else 2}f}".replace(",", " ").replace(".", ",")
    return f"{text} {_SIGNS.get(currency, currency)}"


def telling(one: Accrual, text: str, **more: str) -> Accrual:
    """The same accrual with what its manager is told, and more of what explains it."""
    return replace(one, detail={**one.detail, "text": text, **more})
