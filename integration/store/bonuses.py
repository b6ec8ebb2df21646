"""Accruals within one transaction: what has been counted, the sums and the rule of each manager's month, the news.

One payment's update reads and writes by keys of its own account, manager and months: the size of the ledger is nothing
to it. A manager's month is taken by its row of `bonus_months` before its sums are read.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, case, delete, func, insert, select, update

from integration.rules.accrual import Accrual, packed, unpacked
from integration.rules.bonus import Month
from integration.rules.earnings import Deal, Key, Shares, Stood, Sums
from integration.settings.money import BonusRule
from integration.store.bonus_schema import (
    accruals,
    bonus_days,
    bonus_dues,
    bonus_months,
    bonus_rules,
    bonus_shares,
    bonus_totals,
    kpi_news,
)
from integration.store.boxes import storable, upsert
from integration.store.facts import chunks
from integration.store.ledger_schema import accounts, fact_accounts, facts
from integration.work import own_key

_ZERO = Decimal(0)
MonthKey = tuple[str, str, Month]  # manager, currency, month


class SqlBonuses:
    """The accruals within one transaction."""

    def __init__(self, conn: Connection, now: datetime) -> None:
        self._conn, self._now = conn, now

    # -- what has been counted --------------------------------------------------------------------------------------

    def stood(self, account_id: str) -> dict[Key, Stood]:
        """What the account's accruals have counted so far."""
        late = accruals.c.taken != ""
        names = ("payment", "manager", "grp", "day", "crm", "deal")
        group = [accruals.c[name] for name in names]
        mine = select(
            *group,
            *(func.sum(accruals.c[name]).label(name) for name in ("gross", "net", "first")),
            func.sum(case((late, accruals.c.gross), else_=None)).label("late_gross"),
            func.sum(case((late, accruals.c.net), else_=None)).label("late_net"),
        )
        mine = mine.where(accruals.c.account == account_id, accruals.c.payment != "").group_by(*group)
        found = {}
        for row in self._conn.execute(mine):
            key = Key(row.payment, row.manager, row.grp, date.fromisoformat(row.day), (row.crm, row.deal))
            found[key] = Stood(_sums(row.gross, row.net, row.first), _sums(row.late_gross, row.late_net, None))
        return found

    def shares(self, account_id: str) -> dict[tuple[str, Deal], Shares]:
        """Whose the account's payments were when they were first counted: (payment, deal) → shares."""
        mine = select(bonus_shares).where(bonus_shares.c.account == account_id)
        return {
            (row.payment, (row.crm, row.deal)): Shares(_weights(row.managers), _weights(row.product_groups))
            for row in self._conn.execute(mine)
        }

    def keep_shares(self, account_id: str, shares: Mapping[tuple[str, Deal], Shares]) -> None:
        """Keep whose these payments are, for ever."""
        for (payment, (crm, deal)), one in sorted(shares.items(), key=lambda pair: pair[0]):
            managers, groups = (
                json.dumps({name: str(weight) for name, weight in weights.items()}, ensure_ascii=False)
                for weights in (one.managers, one.groups)
            )
            row = {
                "account": account_id, "payment": payment, "crm": crm, "deal": deal,
                "managers": managers, "product_groups": groups,
            }  # fmt: skip
            self._conn.execute(upsert(self._conn, bonus_shares).values(row).on_conflict_do_nothing())

    def first_payment(self, base: str, counterparty: str) -> str:
        """The client's earliest live payment, whatever its contract; "" when there is none."""
        mine = (
            select(facts.c.ref_key)
            .join(
                fact_accounts,
                (facts.c.base == fact_accounts.c.base)
                & (facts.c.kind == fact_accounts.c.kind)
                & (facts.c.ref_key == fact_accounts.c.ref_key),
            )
            .join(accounts, accounts.c.id == fact_accounts.c.account)
            .where(accounts.c.base == base, accounts.c.counterparty == counterparty, facts.c.kind == "payment")
            .where(facts.c.posted.is_(True), facts.c.deleted.is_(False))
            .order_by(facts.c.day, facts.c.ref_key)
            .limit(1)
        )
        return self._conn.scalar(mine) or ""

    def touch_firsts(self, base: str, counterparty: str, account_id: str, first: str) -> None:
        """Mark the client's other accounts that hold, or lack, the flat sum of its first payment."""
        others = select(accounts.c.id).where(
            accounts.c.base == base, accounts.c.counterparty == counterparty, accounts.c.id != account_id
        )
        mine = (
            select(accruals.c.account, accruals.c.payment, func.sum(accruals.c.first).label("first"))
            .where(accruals.c.account.in_(others))
            .group_by(accruals.c.account, accruals.c.payment)
        )
        rows = list(self._conn.execute(mine))
        wrong = {row.account for row in rows if row.first and row.payment != first}
        wrong |= {row.account for row in rows if not row.first and row.payment == first}
        if wrong:
            self._conn.execute(update(accounts).where(accounts.c.id.in_(sorted(wrong))).values(touched=True))

    def touch(self, account_id: str) -> None:
        """Mark an account to be computed again."""
        self._conn.execute(update(accounts).where(accounts.c.id == account_id).values(touched=True))

    def touch_month(self, month: Month) -> None:
        """Mark the accounts of every payment dated in a month or later."""
        same = (facts.c.kind == "payment", facts.c.day >= f"{month}-01")
        mine = select(fact_accounts.c.account).join(
            facts,
            (facts.c.base == fact_accounts.c.base)
            & (facts.c.kind == fact_accounts.c.kind)
            & (facts.c.ref_key == fact_accounts.c.ref_key),
        )
        self._conn.execute(update(accounts).where(accounts.c.id.in_(mine.where(*same))).values(touched=True))

    # -- months -----------------------------------------------------------------------------------------------------

    def rules(self, keys: Collection[MonthKey]) -> dict[MonthKey, BonusRule | None]:
        """The rules that stand for these months; those that have none yet are left out."""
        found: dict[MonthKey, BonusRule | None] = {}
        for some in chunks(sorted({manager for manager, _, _ in keys})):
            mine = select(bonus_months).where(bonus_months.c.manager.in_(some))
            mine = mine.where(bonus_months.c.month.in_(sorted({month for _, _, month in keys})))
            for row in self._conn.execute(mine):
                found[row.manager, row.currency, row.month] = unpacked(row.rule)
        return {key: rule for key, rule in found.items() if key in keys}

    def hold(self, key: MonthKey, rule: BonusRule | None) -> BonusRule | None:
        """Take a manager's month until the transaction ends; the rule it had, or `rule` where it is begun now."""
        manager, currency, month = key
        values = {"manager": manager, "currency": currency, "month": month, "rule": packed(rule)}
        put = upsert(self._conn, bonus_months).values(**values, updated_at=self._now)
        names = ["manager", "currency", "month"]
        put = put.on_conflict_do_update(index_elements=names, set_={"updated_at": self._now})
        return unpacked(self._conn.execute(put.returning(bonus_months.c.rule)).scalar_one())

    def hold_months(self, manager: str, currency: str) -> None:
        """Take all of his months until the transaction ends: what is taken back of one of them stands in the days of
        another."""
        mine = (bonus_months.c.manager == manager, bonus_months.c.currency == currency)
        held = select(bonus_months.c.month).where(*mine).order_by(bonus_months.c.month).with_for_update()
        self._conn.execute(held).all()

    def rule(self, key: MonthKey, rule: BonusRule | None) -> None:
        """The month is counted by this rule from now on."""
        manager, currency, month = key
        mine = (bonus_months.c.manager == manager, bonus_months.c.currency == currency, bonus_months.c.month == month)
        self._conn.execute(update(bonus_months).where(*mine).values(rule=packed(rule), updated_at=self._now))

    def raw(self, key: MonthKey) -> dict[tuple[Month, str], Sums]:
        """The sums of a manager's month: (taken, group) → sums."""
        manager, currency, month = key
        mine = select(bonus_totals).where(
            bonus_totals.c.manager == manager, bonus_totals.c.currency == currency, bonus_totals.c.month == month
        )
        return {(row.taken, row.grp): Sums(row.gross, row.net, row.first) for row in self._conn.execute(mine)}

    def settings_of(self, month: Month) -> str | None:
        """The settings of bonuses as this month last knew them."""
        found: str | None = self._conn.scalar(select(bonus_rules.c.body).where(bonus_rules.c.month == month))
        return found

    def keep_settings(self, month: Month, body: str) -> None:
        put = upsert(self._conn, bonus_rules).values(month=month, body=body, updated_at=self._now)
        changed = {"body": put.excluded.body, "updated_at": put.excluded.updated_at}
        self._conn.execute(put.on_conflict_do_update(index_elements=["month"], set_=changed))

    # -- entering ---------------------------------------------------------------------------------------------------

    def enter(self, account_id: str, currency: str, made: Sequence[Accrual], cause: str) -> list[int]:
        """Append accruals, add them to their months and days, and note them as news; their ids. None is ever changed
        or taken away; one that has been entered is refused (IntegrityError)."""
        if not made:
            return []
        counted = self._counted_payments(currency, made)  # before they stand
        turns = self._turns(account_id)
        ids = []
        for number, (one, payments) in enumerate(zip(made, counted, strict=True), turns + 1):
            row = {**_row(account_id, currency, one, number, cause, self._now), "payments": payments}
            ids.append(self._conn.execute(insert(accruals).values(**row).returning(accruals.c.id)).scalar_one())
        self._conn.execute(insert(kpi_news), [{"accrual": one} for one in ids])
        self._add_totals(currency, made)
        self._add_days(currency, made, counted)
        return ids

    def _turns(self, account_id: str) -> int:
        """How many accruals the account has: the next ones are numbered from there."""
        return self._conn.scalar(select(func.count()).where(accruals.c.account == account_id)) or 0

    def _add_totals(self, currency: str, made: Iterable[Accrual]) -> None:
        found: dict[tuple[str, Month, Month, str], Sums] = {}
        for one in made:
            place = (one.key.manager, one.month, one.taken, one.key.group)
            found[place] = found.get(place, Sums()).plus(one.sums)
        names = ("manager", "month", "taken", "grp")
        rows = [
            dict(zip(names, place, strict=True))
            | {"currency": currency, "gross": sums.gross, "net": sums.net, "first": sums.first}
            for place, sums in sorted(found.items())
            if sums
        ]
        if rows:
            put = upsert(self._conn, bonus_totals)
            more = {name: bonus_totals.c[name] + put.excluded[name] for name in ("gross", "net", "first")}
            keys = ["manager", "currency", "month", "taken", "grp"]
            self._conn.execute(put.on_conflict_do_update(index_elements=keys, set_=more), rows)

    def _add_days(self, currency: str, made: Sequence[Accrual], counted: Sequence[int]) -> None:
        found: dict[tuple[str, str], tuple[Decimal, Decimal, int]] = {}
        for one, payments in zip(made, counted, strict=True):
            place = (one.key.manager, one.given.isoformat())
            was = found.get(place, (_ZERO, _ZERO, 0))
            found[place] = (was[0] + one.sums.gross, was[1] + one.bonus, was[2] + payments)
        rows = [
            {"manager": manager, "currency": currency, "day": day, "received": one[0], "bonus": one[1],
             "payments": one[2]}
            for (manager, day), one in sorted(found.items())
        ]  # fmt: skip
        put = upsert(self._conn, bonus_days)
        more = {name: bonus_days.c[name] + put.excluded[name] for name in ("received", "bonus", "payments")}
        keys = ["manager", "currency", "day"]
        self._conn.execute(put.on_conflict_do_update(index_elements=keys, set_=more), rows)

    def _counted_payments(self, currency: str, made: Sequence[Accrual]) -> list[int]:
        """By how many payments each accrual changes its day. A payment counts on its own day for whoever has something
        of it there, once whatever its accounts: when its sum leaves zero, until it is back."""
        places = [(one.key.payment, one.key.manager, one.key.day.isoformat()) for one in made]
        own = [bool(one.key.payment) and not one.taken and bool(one.sums.gross) for one in made]
        group = (accruals.c.payment, accruals.c.manager, accruals.c.day)
        sums: dict[tuple[str, str, str], Decimal] = {}
        for some in chunks(sorted({place[0] for place, mine in zip(places, own, strict=True) if mine})):
            mine = select(*group, func.sum(accruals.c.gross).label("gross")).where(accruals.c.payment.in_(some))
            mine = mine.where(accruals.c.taken == "", accruals.c.currency == currency).group_by(*group)
            sums |= {(row.payment, row.manager, row.day): row.gross for row in self._conn.execute(mine)}
        changes = []
        for one, place, counts in zip(made, places, own, strict=True):
            was = sums.get(place) or _ZERO
            now = was + one.sums.gross if counts else was
            sums[place] = now
            changes.append(int(now > 0) - int(was > 0))
        return changes

    def owe_dues(self, account_id: str, currency: str, rows: Iterable[tuple[str, int, str, date, Decimal]]) -> None:
        """What the account's obligations lack: (obligation, instalment, manager, due, sum), in place of before."""
        self._conn.execute(delete(bonus_dues).where(bonus_dues.c.account == account_id))
        made = [
            {"account": account_id, "obligation": obligation, "instalment": instalment, "manager": manager,
             "currency": currency, "due": due.isoformat(), "lacks": lacks}
            for obligation, instalment, manager, due, lacks in rows
        ]  # fmt: skip
        if made:
            self._conn.execute(insert(bonus_dues), made)


def _row(account_id: str, currency: str, one: Accrual, number: int, cause: str, now: datetime) -> Mapping[str, Any]:
    key = one.key
    return {
        "key": own_key("accrual", account_id, currency, key.payment, key.manager, str(number)),
        "kind": one.kind,
        "account": account_id,
        "payment": key.payment,
        "crm": key.deal[0],
        "deal": key.deal[1],
        "manager": key.manager,
        "currency": currency,
        "day": key.day.isoformat(),
        "month": one.month,
        "taken": one.taken,
        "given": one.given.isoformat(),
        "grp": key.group,
        "gross": one.sums.gross,
        "net": one.sums.net,
        "first": one.sums.first,
        "bonus": one.bonus,
        "detail": json.dumps(dict(one.detail), ensure_ascii=False),
        "cause": storable(cause, 200),
        "created_at": now,
    }


def _weights(text: str) -> dict[str, Decimal]:
    return {name: Decimal(weight) for name, weight in json.loads(text).items()}


def _sums(gross: Decimal | None, net: Decimal | None, first: Decimal | None) -> Sums:
    return Sums(gross or _ZERO, net or _ZERO, first or _ZERO)
