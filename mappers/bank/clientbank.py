"""1CClientBankExchange (kl_to_1c.txt), read tolerantly: what banks really write, not what the format says (FORMATS §1).

`statement(raw)` is all or nothing only about the format itself: what is none is refused (`NotAStatement`). Within a
statement a damaged document is told by its line and skipped, the rest is taken. Only executed movements are money.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from uuid import UUID, uuid5

from mappers.bank.decoding import NotAStatement, decoded
from mappers.bank.sections import Damaged, Section, cut, listed
from mappers.canonical import CURRENCIES
from mappers.money import Statement, StatementBalance, StatementLine, StatementProblem
from mappers.wire import clean

__all__ = ["NotAStatement", "statement"]

_KEYS = UUID("3b6f5a52-6f0e-5f43-9d0c-6d5f6a1e7c11")  # the namespace of our keys for statement lines
_NUMERIC = {code: letters for letters, (code, _) in CURRENCIES.items()} | {"810": "RUB"}


def statement(raw: bytes) -> Statement:
    """The statement in `raw`. Raises NotAStatement, with a Russian sentence, when it is none at all."""
    text = decoded(raw)
    problems: list[StatementProblem] = []
    header, accounts, documents = Section(1), list[Section](), list[Section]()
    cut(text, header, accounts, documents, problems)
    balances = [balance for section in accounts if (balance := _balance(section, problems)) is not None]
    own = list(dict.fromkeys(filter(None, [*listed(header), *(section.text("РасчСчет") for section in accounts)])))
    lines: list[StatementLine] = []
    for section in documents:
        try:
            lines += list(_movements(section, own, problems))  # both sides of a transfer, or none
        except Damaged as damage:
            number = section.text("Номер")[:40] or "без номера"
            problems.append(StatementProblem(damage.line, f"документ № {number} пропущен: {damage.text}", lost=True))
    lines = _keyed(lines)
    problems.extend(_checked(balances, lines, whole=not any(problem.lost for problem in problems)))
    for account in dict.fromkeys(line.account for line in lines):
        if account[5:8] not in _NUMERIC:
            problems.append(StatementProblem(0, f"валюта счёта {account} не определяется: приняты рубли"))
    return Statement(
        accounts=tuple(own),
        balances=tuple(balances),
        lines=tuple(lines),
        problems=tuple(sorted(problems, key=lambda problem: (problem.line, problem.text))),
        since=_quiet(header, "ДатаНачала"),
        until=_quiet(header, "ДатаКонца"),
    )


def _quiet(section: Section, name: str) -> date | None:
    try:
        return section.date(name)
    except Damaged:
        return None


def _balance(section: Section, problems: list[StatementProblem]) -> StatementBalance | None:
    try:
        return StatementBalance(
            section.text("РасчСчет"),
            section.date("ДатаНачала"),
            section.date("ДатаКонца"),
            section.sum("НачальныйОстаток"),
            section.sum("ВсегоПоступило"),
            section.sum("ВсегоСписано"),
            section.sum("КонечныйОстаток"),
        )
    except Damaged as damage:
        problems.append(StatementProblem(damage.line, f"остатки счёта не прочитаны: {damage.text}"))
        return None


def _movements(section: Section, own: list[str], problems: list[StatementProblem]) -> Iterator[StatementLine]:
    """One line, two for a transfer between our own accounts, none for an order that is not executed."""
    if section.damage:
        raise section.damage
    amount, ordered = section.sum("Сумма"), section.date("Дата")
    if amount is None or amount <= 0:
        raise Damaged(section.at("Сумма"), "сумма не указана или не больше нуля")
    payer = [section.text("ПлательщикСчет"), section.text("ПлательщикРасчСчет")]
    payee = [section.text("ПолучательСчет"), section.text("ПолучательРасчСчет")]
    out = next((account for account in payer if account in own), "")
    into = next((account for account in payee if account in own), "")
    if not out and not into:
        # The bank wrote another account than the statement's own: the date that is filled tells the direction.
        spent, received = bool(section.text("ДатаСписано")), bool(section.text("ДатаПоступило"))
        if spent == received:
            raise Damaged(section.line, "ни плательщик, ни получатель — не счёт этой выписки, направление неясно")
        mine = own[0] if len(own) == 1 else next(filter(None, payer if spent else payee), "")
        if not mine:
            raise Damaged(section.line, "не указан счёт")
        out, into = (mine, "") if spent else ("", mine)
        told = next(filter(None, payer if spent else payee), "") or "не указан"
        problems.append(StatementProblem(section.line, f"счёт {told} не из этой выписки: отнесено к {mine} по дате"))
    moved = False
    for account, name, other, dated in (
        (out, "Получатель", payee, "ДатаСписано"),
        (into, "Плательщик", payer, "ДатаПоступило"),
    ):
        day = section.date(dated) if account else None
        if day is not None:
            moved = True
            yield StatementLine(
                key="",
                account=account,
                direction="out" if name == "Получатель" else "in",
                date=day,
                number=section.text("Номер"),
                amount=amount,
                currency=_NUMERIC.get(account[5:8], "RUB"),
                kind=section.kind,
                ordered=ordered,
                name=_name(section, name),
                inn=_inn(section, name),
                kpp=section.text(f"{name}КПП"),
                other_account=next(filter(None, other), ""),
                bic=section.text(f"{name}БИК"),
                purpose=_purpose(section),
                own=bool(out and into) or (section.kind.casefold() == "банковский ордер" and bool(out)),
                line=section.line,
            )
    if not moved:
        number = section.text("Номер") or "без номера"
        problems.append(StatementProblem(section.line, f"документ № {number} банком не исполнен: не деньги"))


def _purpose(section: Section) -> str:
    parts = (section.text(f"НазначениеПлатежа{at}") for at in range(1, 7))
    return clean(section.text("НазначениеПлатежа") or " ".join(filter(None, parts)))


def _name(section: Section, side: str) -> str:
    """Плательщик1, else Плательщик without its ИНН («ИНН 7700… ООО …», «7700…, ООО …»)."""
    name = section.text(f"{side}1") or re.sub(r"^(?:ИНН\s*)?\d{10,12}[\s,/]*", "", section.text(side))
    return clean(name)


def _inn(section: Section, side: str) -> str:
    told = section.text(f"{side}ИНН")
    found = re.match(r"(?:ИНН\s*)?(\d{12}|\d{10})(?!\d)", section.text(side))
    return told or (found[1] if found else "")


def _keyed(lines: list[StatementLine]) -> list[StatementLine]:
    """Each with its key: what tells a movement apart, and which of its equals in this statement it is."""
    seen: Counter[tuple[str, ...]] = Counter()
    keyed = []
    for line in lines:
        told = (
            line.account, line.direction, line.date.isoformat(), line.number, str(line.amount),
            line.other_account, line.purpose.casefold(),
        )  # fmt: skip
        seen[told] += 1
        keyed.append(replace(line, key=str(uuid5(_KEYS, "\x1f".join((*told, str(seen[told])))))))
    return keyed


def _checked(
    balances: list[StatementBalance], lines: list[StatementLine], *, whole: bool
) -> Iterator[StatementProblem]:
    """Opening + received − spent = closing, and the documents add up to the totals; else a warning, nothing refused."""
    for account in dict.fromkeys(balance.account for balance in balances):
        told = [balance for balance in balances if balance.account == account]
        for one in told:
            sums = (one.opening, one.received, one.spent, one.closing)
            if None not in sums and one.opening + one.received - one.spent != one.closing:  # type: ignore[operator]
                text = f"счёт {account}: {one.opening} + {one.received} − {one.spent} ≠ {one.closing}"
                yield StatementProblem(0, f"остатки не сходятся: {text}")
        for word, direction, totals in (
            ("поступило", "in", [one.received for one in told]),
            ("списано", "out", [one.spent for one in told]),
        ):
            total = sum((one for one in totals if one is not None), Decimal(0))
            taken = [line.amount for line in lines if (line.account, line.direction) == (account, direction)]
            if whole and None not in totals and total != sum(taken, Decimal(0)):
                text = f"счёт {account}: всего {word} {total}, а по документам {sum(taken, Decimal(0))}"
                yield StatementProblem(0, f"обороты не сходятся: {text}")
