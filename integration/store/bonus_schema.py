"""The tables of bonuses: accruals that only grow, and the sums by which one payment's update needs no look at the rest.

Sums are kept in hundredths, as in the ledger; `first` in percent of one first payment (a split deal has a part of it).
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table, Text, text

from integration.store.ledger_schema import COUNTER, Hundredths
from integration.store.schema import Moment, metadata

# Append-only (a trigger refuses anything else). `kind`: "accrual", "reversal", or "rule" when the rule of a month that
# still runs has changed. `month`: of the payment's date; `taken`: the later month that takes back, else ""; `given`:
# the day (1C's zone) whose KPI it counts in; `payments`: by how many it changes the payments of that day. `key` tells
# the accrual from all others: entering it again is refused.
accruals = Table(
    "accruals",
    metadata,
    Column("id", COUNTER, primary_key=True, autoincrement=True),
    Column("key", String(36), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("account", String(36), nullable=False),
    Column("payment", String(40), nullable=False),
    Column("crm", String(64), nullable=False),
    Column("deal", String(64), nullable=False),
    Column("manager", String(64), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("day", String(10), nullable=False),
    Column("month", String(7), nullable=False),
    Column("taken", String(7), nullable=False),
    Column("given", String(10), nullable=False),
    Column("grp", String(64), nullable=False),
    Column("gross", Hundredths, nullable=False),
    Column("net", Hundredths, nullable=False),
    Column("first", Hundredths, nullable=False),
    Column("bonus", Hundredths, nullable=False),
    Column("payments", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("cause", String(200), nullable=False),
    Column("created_at", Moment, nullable=False),
    CheckConstraint("kind IN ('accrual', 'reversal', 'rule')", name="ck_accruals_kind"),
)
Index("uq_accruals_key", accruals.c.key, unique=True)
Index("ix_accruals_account", accruals.c.account)
Index("ix_accruals_payment", accruals.c.payment)
Index("ix_accruals_month", accruals.c.month)
Index("ix_accruals_given", accruals.c.given)
Index("ix_accruals_manager", accruals.c.manager, accruals.c.given)
Index(
    "ix_accruals_taken",
    accruals.c.taken,
    postgresql_where=text("taken <> ''"),
    sqlite_where=text("taken <> ''"),
)

# Whose a payment's money in a deal was when it was first counted, which it stays: weights by manager and by product
# group, JSON. They are kept, not taken from the sums: where advances count for one manager and not for another, sums
# are no shares.
bonus_shares = Table(
    "bonus_shares",
    metadata,
    Column("account", String(36), primary_key=True),
    Column("payment", String(40), primary_key=True),
    Column("crm", String(64), primary_key=True),
    Column("deal", String(64), primary_key=True),
    Column("managers", Text, nullable=False),
    Column("product_groups", Text, nullable=False),
)

# What a manager's payments of one month add up to: its own receipts (`taken` ""), and what each later month took back.
bonus_totals = Table(
    "bonus_totals",
    metadata,
    Column("manager", String(64), primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("month", String(7), primary_key=True),
    Column("taken", String(7), primary_key=True),
    Column("grp", String(64), primary_key=True),
    Column("gross", Hundredths, nullable=False),
    Column("net", Hundredths, nullable=False),
    Column("first", Hundredths, nullable=False),
)

# The rule that a manager's month is counted by (JSON, "" for none): as long as the month runs it follows the settings,
# then it stays. Its row is what two workers take in turn.
bonus_months = Table(
    "bonus_months",
    metadata,
    Column("manager", String(64), primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("month", String(7), primary_key=True),
    Column("rule", Text, nullable=False),
    Column("updated_at", Moment, nullable=False),
)
Index("ix_bonus_months_month", bonus_months.c.month)

# The settings of bonuses as each month last knew them while it ran: for managers whose first payment of it comes late.
bonus_rules = Table(
    "bonus_rules",
    metadata,
    Column("month", String(7), primary_key=True),
    Column("body", Text, nullable=False),
    Column("updated_at", Moment, nullable=False),
)

# A manager's day: the KPI of a month and a quarter are sums of these.
bonus_days = Table(
    "bonus_days",
    metadata,
    Column("manager", String(64), primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("received", Hundredths, nullable=False),
    Column("bonus", Hundredths, nullable=False),
    Column("payments", Integer, nullable=False),
)
Index("ix_bonus_days_day", bonus_days.c.day)

# What an account's obligations still lack and when it falls due: for the forecast.
bonus_dues = Table(
    "bonus_dues",
    metadata,
    Column("account", String(36), primary_key=True),
    Column("obligation", String(40), primary_key=True),
    Column("instalment", Integer, primary_key=True),
    Column("manager", String(64), primary_key=True),
    Column("currency", String(3), nullable=False),
    Column("due", String(10), nullable=False),
    Column("lacks", Hundredths, nullable=False),
)
Index("ix_bonus_dues_manager", bonus_dues.c.manager, bonus_dues.c.due)

# What was foretold of a month on a day of it, to be held against what it came to.
bonus_forecasts = Table(
    "bonus_forecasts",
    metadata,
    Column("manager", String(64), primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("month", String(7), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("accrued", Hundredths, nullable=False),
    Column("run_rate", Hundredths, nullable=False),
    Column("due", Hundredths, nullable=False),
)

# Accruals that Redis does not show yet.
kpi_news = Table("kpi_news", metadata, Column("accrual", COUNTER, primary_key=True, autoincrement=False))

# The CRM's users as last seen; `teams`: JSON, ids and names.
managers = Table(
    "managers",
    metadata,
    Column("crm", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("user_name", String(200), nullable=False),
    Column("name", Text, nullable=False),
    Column("teams", Text, nullable=False),
    Column("seen_at", Moment, nullable=False),
)

# Whose a deal (or a client: `entity` "account") was since when; `groups`: JSON, the shares of product groups in it.
holders = Table(
    "holders",
    metadata,
    Column("crm", String(64), primary_key=True),
    Column("entity", String(16), primary_key=True),
    Column("record_id", String(64), primary_key=True),
    Column("since", Moment, primary_key=True),
    Column("manager", String(64), nullable=False),
    Column("groups", Text, nullable=False),
)
