"""Whose money it is: what an account's payments count for which manager, and the movements that lead there.

Pure. Everything is a difference of two states, what counts now and what has been counted, so that a repetition moves
nothing. Sums are in the account's currency; `first` is in percent of one first payment of a client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from integration.rules.accounts import Held
from integration.rules.allocation import Allocated
from integration.rules.bonus import Month, booked, month_of
from integration.rules.exchange import digits
from integration.rules.positions import Position
from mappers.money import Act, Payment
from mappers.wire import rounded

_ZERO, _WHOLE = Decimal(0), Decimal(100)
Deal = tuple[str, str]  # (CRM, id); ("", "") where a payment belongs to the client alone
NO_DEAL: Deal = ("", "")
Record = tuple[str, str, str]  # CRM, "deal" or "account", id


@dataclass(frozen=True, slots=True)
class Holding:
    """Whose a record is since a moment (aware); `groups`: weights of product groups in a deal."""

    since: datetime
    manager: str
    groups: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Sums:
    """Counted money: with VAT, without it, and the part of a first payment in it."""

    gross: Decimal = _ZERO
    net: Decimal = _ZERO
    first: Decimal = _ZERO

    def plus(self, other: Sums) -> Sums:
        return Sums(self.gross + other.gross, self.net + other.net, self.first + other.first)

    def minus(self, other: Sums) -> Sums:
        return Sums(self.gross - other.gross, self.net - other.net, self.first - other.first)

    def __bool__(self) -> bool:
        return bool(self.gross or self.net or self.first)


@dataclass(frozen=True, slots=True)
class Part:
    """So much of one payment belongs to one deal: allocated to its documents, or still an advance. `why`: the
    allocations that it is made of, JSON-able."""

    payment: Payment
    deal: Deal
    gross: Decimal
    net: Decimal
    advance: bool
    why: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What sums are counted by: `day` is the payment's."""

    payment: str
    manager: str
    group: str
    day: date
    deal: Deal


@dataclass(frozen=True, slots=True)
class Shares:
    """Whose a part is: weights of managers and of product groups ("" for all the rest)."""

    managers: Mapping[str, Decimal]
    groups: Mapping[str, Decimal] = field(default_factory=lambda: {"": _WHOLE})


@dataclass(frozen=True, slots=True)
class Counted:
    """What counts of one key, and why."""

    sums: Sums
    why: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Stood:
    """What accruals have counted of one key so far; `taken`: the part of it that later months took back (negative)."""

    sums: Sums
    taken: Sums


@dataclass(frozen=True, slots=True)
class Moved:
    """One movement of one manager's counted money. `month`: of the payment; `taken`: the later month that takes it
    back, or gets it back, else ""; `given`: the day whose KPI it counts in."""

    key: Key
    month: Month
    taken: Month
    given: date
    sums: Sums
    why: tuple[Mapping[str, Any], ...] = ()


def divided(amount: Decimal, weights: Mapping[str, Decimal], currency: str) -> dict[str, Decimal]:
    """A sum by weights, exactly: each gets the difference of two rounded sums, the last by name takes the rest."""
    whole, told, before, shares = sum(weights.values(), _ZERO), _ZERO, _ZERO, {}
    for name in sorted(weights):
        told += weights[name]
        upto = rounded(amount * told / whole, digits(currency))
        shares[name] = upto - before
        before = upto
    return shares


def parts(held: Held, now: Allocated, deals: Mapping[str, Deal], since: date) -> list[Part]:
    """Every payment dated `since` or later, by the deals that its money went to. `deals`: obligation → its deal.

    An advance belongs to the deal that has most of the payment, else to none.
    """
    payments = {one.ref_key: one for one in held.payments if one.date >= since}
    acts = {one.ref_key: one for one in held.acts}
    found: dict[tuple[str, Deal], list[Position]] = {}
    for position in now.positions:
        if position.payment in payments:
            deal = deals.get(position.obligation, NO_DEAL)
            found.setdefault((position.payment, deal), []).append(position)
    labels = {one.ref_key: one.label for one in now.obligations}
    made, most = [], dict[str, tuple[Decimal, Deal]]()
    for (ref_key, deal), positions in sorted(found.items(), key=lambda one: one[0]):
        payment = payments[ref_key]
        gross = sum((one.amount for one in positions), _ZERO)
        net = sum((_net(one.amount, _vat(payment, one, acts), now.currency) for one in positions), _ZERO)
        made.append(Part(payment, deal, gross, net, advance=False, why=tuple(_why(one, labels) for one in positions)))
        most[ref_key] = max(most.get(ref_key, (_ZERO, deal)), (gross, deal), key=lambda one: one[0])
    for ref_key, gross in sorted(now.advances.items()):
        if ref_key in payments:
            net = _net(gross, _vat_of_all(payments[ref_key]), now.currency)
            deal = most.get(ref_key, (_ZERO, NO_DEAL))[1]
            why = ({"obligation": "", "label": "аванс", "amount": str(gross)},)
            made.append(Part(payments[ref_key], deal, gross, net, advance=True, why=why))
    return made


def counted(
    told: Iterable[Part],
    shares: Callable[[Part], Shares | None],
    counts: Callable[[str, Month], bool],
    first: str,
    currency: str,
) -> dict[Key, Counted]:
    """What counts now. `shares`: None where nobody is known; `counts(manager, month)`: advances count for him;
    `first`: the client's first payment (its Ref_Key)."""
    found: dict[Key, Counted] = {}
    flat = first
    for part in told:
        whose = shares(part)
        if whose is None:
            continue
        given = False
        gross, net = (divided(one, whose.managers, currency) for one in (part.gross, part.net))
        for manager in sorted(whose.managers):
            if part.advance and not counts(manager, month_of(part.payment.date)):
                continue
            by_group = [divided(one[manager], whose.groups, currency) for one in (gross, net)]
            share = _share(manager, whose) if part.payment.ref_key == flat else _ZERO
            given = given or bool(share)
            for group in sorted(whose.groups):
                sums = Sums(by_group[0][group], by_group[1][group], share)
                share = _ZERO  # one of the groups carries it
                key = Key(part.payment.ref_key, manager, group, part.payment.date, part.deal)
                was = found.get(key, Counted(Sums()))
                found[key] = Counted(was.sums.plus(sums), (*was.why, *part.why))
        if given:
            flat = ""  # told with the payment's first part
    return {key: one for key, one in found.items() if one.sums}


def holding(history: Sequence[Holding], day: date, zone: tzinfo) -> Holding:
    """Whose the record was on that day, at its end; before anything is known, its first known holder's."""
    known = [one for one in history if one.since.astimezone(zone).date() <= day]
    return known[-1] if known else history[0]


def movements(now: Mapping[Key, Counted], stood: Mapping[Key, Stood], today: date) -> list[Moved]:
    """What leads from what has been counted to what counts now, as it becomes known `today` (1C's zone)."""
    groups: dict[tuple[str, str, str, Month], list[Key]] = {}
    for key in sorted(now.keys() | stood.keys()):
        groups.setdefault((key.payment, key.manager, key.group, month_of(key.day)), []).append(key)
    made: list[Moved] = []
    known = month_of(today)
    for (_payment, _manager, _group, month), keys in sorted(groups.items()):
        changes = []
        for key in keys:
            what = now.get(key, Counted(Sums()))
            if change := what.sums.minus(stood[key].sums if key in stood else Sums()):
                changes.append((key, Counted(change, what.why)))
        if known <= month:
            for day in sorted({key.day for key, _ in changes}):
                one_day = [pair for pair in changes if pair[0].day == day]
                made += [Moved(key, month, "", key.day, what.sums, what.why) for key, what in _netted(one_day)]
        elif changes:
            out = sum((stood[key].taken.gross for key in keys if key in stood), _ZERO)
            out_net = sum((stood[key].taken.net for key in keys if key in stood), _ZERO)
            made += _late(_whole(changes), month, today, Sums(-out, -out_net))
    return made


def _late(change: tuple[Key, Counted], month: Month, today: date, out: Sums) -> list[Moved]:
    """A change of an ended month's payment. `out`: what later months have taken of it, positive."""
    key, what = change
    known, sums = month_of(today), what.sums
    if not sums.gross:
        return [Moved(key, month, known, today, sums, what.why)] if sums else []
    made, left = [], sums
    pieces = booked(sums.gross, month, known, out.gross)
    for at, (taken, gross) in enumerate(pieces):
        last = at == len(pieces) - 1
        piece = left if last else Sums(gross, min(left.net, out.net), left.first)
        left = left.minus(piece)
        made.append(Moved(key, month, taken, today if taken else key.day, piece, what.why))
    return made


def _netted(changes: list[tuple[Key, Counted]]) -> list[tuple[Key, Counted]]:
    """Changes that cancel each other are none: what is left of them, or all, if none takes back what another gives."""
    signs = {what.sums.gross > 0 for _, what in changes if what.sums.gross}
    if len(signs) < 2:
        return changes
    whole = _whole(changes)
    return [whole] if whole[1].sums else []


def _whole(changes: list[tuple[Key, Counted]]) -> tuple[Key, Counted]:
    """All of them as one, told by the largest."""
    sums = Sums()
    for _, what in changes:
        sums = sums.plus(what.sums)
    key, largest = max(changes, key=lambda one: abs(one[1].sums.gross))
    return key, Counted(sums, largest.why)


def _share(manager: str, whose: Shares) -> Decimal:
    """The manager's percent of the whole, in hundredths of a percent."""
    return divided(_WHOLE, whose.managers, "RUB")[manager]


def _net(amount: Decimal, vat: tuple[Decimal, Decimal], currency: str) -> Decimal:
    """Without VAT, of which there is `vat[0]` in `vat[1]`."""
    return rounded(amount * (vat[1] - vat[0]) / vat[1], digits(currency)) if vat[1] else amount


def _vat(payment: Payment, position: Position, acts: Mapping[str, Act]) -> tuple[Decimal, Decimal]:
    """(VAT, whole) of the payment's row; where that tells none, of the act."""
    row = next((one for one in payment.rows if one.number == position.row), None)
    if row is not None and row.vat:
        return row.vat, row.amount
    act = acts.get(position.obligation)
    return (act.vat, act.amount) if act is not None else (_ZERO, _ZERO)


def _vat_of_all(payment: Payment) -> tuple[Decimal, Decimal]:
    return sum((one.vat for one in payment.rows), _ZERO), sum((one.amount for one in payment.rows), _ZERO)


def _why(one: Position, labels: Mapping[str, str]) -> Mapping[str, Any]:
    told = {"obligation": one.obligation, "label": labels.get(one.obligation, ""), "amount": str(one.amount)}
    return told | {"rule": one.explanation.rule, "explanation": one.explanation.text}
