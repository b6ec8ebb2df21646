"""A paper of nobody, by which a template is tried: every part of it is filled, and its sums agree."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from mappers.paper import BankAccount, Firm, Paper, PaperKind, PaperLine

DAY = date(2026, 11, 24)
SUPPLIER = Firm(
    "ООО «Образец»", "7707083893", "770701001", "1027700132195", "119019, г. Москва, ул. Образцовая, д. 1",
    "+7 495 000-00-00",
)  # fmt: skip
BUYER = Firm(
    "ООО «Покупатель»", "7700000016", "770001001", "1157746000120", "101000, г. Москва, ул. Примерная, д. 2"
)  # fmt: skip
ACCOUNT = BankAccount(
    "40702810400000000225", "АО «БАНК ДЛЯ ОБРАЗЦА»", "044525225", "30101810400000000225", "г. МОСКВА"
)  # fmt: skip
LINES = (
    PaperLine("Монтаж линии", Decimal(1), "усл. ед", Decimal(1220), Decimal("1220.00"), "22", Decimal(220)),
    PaperLine("Журнал «Образец», подписка", Decimal(2), "шт", Decimal(55), Decimal("110.00"), "10", Decimal(10)),
)  # fmt: skip


def specimen(kind: PaperKind) -> Paper:
    """An invoice or an act as they are printed, marked as a sample by its names alone."""
    return Paper(
        kind=kind,
        number="0000-000001",
        day=DAY,
        currency="RUB",
        supplier=SUPPLIER,
        buyer=BUYER,
        lines=LINES,
        total=sum((line.amount for line in LINES), Decimal(0)),
        vat_included=True,
        account=ACCOUNT if kind == "invoice" else None,
        contract="Договор № 1 от 01.10.2026",
        due=date(2026, 12, 1) if kind == "invoice" else None,
        director="Образцов Пётр Иванович",
        director_post="Генеральный директор",
        accountant="Счетов Лев Львович",
    )
