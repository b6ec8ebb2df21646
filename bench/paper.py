"""How many invoices a second are printed on one core: 100 different ones of 30 lines, code and all."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import date
from decimal import Decimal

from integration.paper import Look, Press
from mappers.paper import BankAccount, Firm, Paper, PaperLine

BAR = 20.0  # a second, on one core


def paper(number: int, lines: int = 30) -> Paper:
    """An invoice that shares no line with another one."""
    made = tuple(
        PaperLine(
            f"Счёт {number}, позиция {n}: монтаж технологической линии и пусконаладочные работы", Decimal(n), "шт",
            Decimal(number * 10 + n), Decimal((number * 10 + n) * n), "22", Decimal(number + n),
        )
        for n in range(1, lines + 1)
    )  # fmt: skip
    firm = Firm("ООО «Рассвет-Сервис»", "7707083893", "770701001", address="119019, г. Москва, ул. Новый Арбат, д. 21")
    account = BankAccount("40702810500000000017", "АО «БАНК ПЕСОЧНИЦА»", "044525999", "30101810400000000999", "Москва")
    return Paper(
        "invoice", f"0000-{number:06d}", date(2026, 11, 24), "RUB", firm, replace(firm, name=f"ООО «Клиент {number}»"),
        made, sum((line.amount for line in made), Decimal(0)), vat_included=True, account=account,
        director="Песочкина Вера Ильинична",
    )  # fmt: skip


def measure(*, quick: bool = False) -> bool:
    """Print the figures with their bar; True when it is met."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    press, count = Press(Look()), 10 if quick else 100
    press.pdf(paper(0))  # fonts and template are read once a process
    papers = [paper(number) for number in range(1, count + 1)]
    began, busy = time.monotonic(), time.process_time()
    sizes = [len(press.pdf(one)) for one in papers]
    took, busy = time.monotonic() - began, time.process_time() - busy
    rate = count / busy
    met = rate >= BAR
    print(
        f"papers: {count} different ones of 30 lines, {rate:.0f} a second of one core (bar {BAR:.0f}: "
        f"{'met' if met else 'NOT MET'}); {took / count * 1000:.0f} ms each by the clock, {busy / count * 1000:.0f} ms "
        f"of the core; {sum(sizes) / count / 1024:.0f} KiB each"
    )
    return met
