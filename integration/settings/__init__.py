"""The configuration: one frozen tree, read from crm1c.toml and CRM1C_* variables, valid as a whole or not at all.

    settings = load()
    settings.onec["main"].password[0].reveal()

`technical`, `systems` and `money` declare every key once, with the `checks` of its value; `shape` makes the schema of
them, `loading` reads.
"""

from __future__ import annotations

from integration.settings.loading import SettingsError, load, read
from integration.settings.model import Settings
from integration.settings.money import Allocation, Bonus, BonusRule, Calendar, Invoicing, Plan, Split, Tier
from integration.settings.systems import (
    Crm,
    CrmFields,
    CrmLines,
    CrmManager,
    Onec,
    Ownership,
    Requisites,
    Shop,
    Source,
)
from integration.settings.technical import (
    Broker,
    Bus,
    Database,
    Delivery,
    Flower,
    Log,
    Mail,
    Notices,
    Paper,
    Redis,
    RetryOverride,
    Schedule,
    Security,
    Web,
    Worker,
)
from integration.settings.values import Cron, Every, Secret, duration, schedule

__all__ = [
    "Allocation",
    "Bonus",
    "BonusRule",
    "Broker",
    "Bus",
    "Calendar",
    "Crm",
    "CrmFields",
    "CrmLines",
    "CrmManager",
    "Cron",
    "Database",
    "Delivery",
    "Every",
    "Flower",
    "Invoicing",
    "Log",
    "Mail",
    "Notices",
    "Onec",
    "Ownership",
    "Paper",
    "Plan",
    "Redis",
    "Requisites",
    "RetryOverride",
    "Schedule",
    "Secret",
    "Security",
    "Settings",
    "SettingsError",
    "Shop",
    "Source",
    "Split",
    "Tier",
    "Web",
    "Worker",
    "duration",
    "load",
    "read",
    "schedule",
]
