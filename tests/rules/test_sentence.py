"""A reason within a sentence."""

from __future__ import annotations

import pytest

from integration.rules.sentence import inside


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("Такой сделки в CRM нет", "такой сделки в CRM нет"),
        ("В сделке не указан клиент.", "в сделке не указан клиент."),
        ("Ёмкость не указана", "ёмкость не указана"),
        ("Стадия «Negotiation» счёта не просит", "стадия «Negotiation» счёта не просит"),
        ("система не отвечает", "система не отвечает"),
        ("ИНН неверен", "ИНН неверен"),
        ("1С не отвечает", "1С не отвечает"),
        ("EspoCRM, чтение сделки: нет прав", "EspoCRM, чтение сделки: нет прав"),
        ("DaData не отвечает", "DaData не отвечает"),
        ("СПАРК не отвечает", "СПАРК не отвечает"),
        ("QR-код не помещается", "QR-код не помещается"),
        ("«Ромашка» удалена", "«Ромашка» удалена"),
        ("", ""),
    ],
)
def test_a_capital_letter_belongs_to_names_alone(reason: str, told: str) -> None:
    assert inside(reason) == told
