"""A statement cut into its sections: header, accounts, documents, each a table of keys with their lines.

Tolerant: mixed line ends, keys told twice, texts over several lines, sections that are not closed or not opened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from mappers.money import StatementProblem
from mappers.wire import clean, decimal

_DATE = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:\s+\d{1,2}:\d\d(?::\d\d)?)?")
_LINES = re.compile(r"\r\n|\n|\r")
# Values that may run over several lines, each without a key of its own.
_LONG = ("НазначениеПлатежа", "Плательщик", "Получатель", "КвитанцияСодержание", "УсловиеОплаты")
# Keys on which money depends: told twice with different values, the document is damaged.
_CRITICAL = (
    "Номер", "Дата", "Сумма", "ДатаСписано", "ДатаПоступило",
    "ПлательщикСчет", "ПолучательСчет", "ПлательщикРасчСчет", "ПолучательРасчСчет",
)  # fmt: skip


class Damaged(Exception):
    """This document, or section, can't be taken."""

    def __init__(self, line: int, text: str) -> None:
        self.line, self.text = line, text
        super().__init__(text)


@dataclass(slots=True)
class Section:
    """Keys of one section with the line of each; `kind` is what stands behind СекцияДокумент=."""

    line: int
    kind: str = ""
    values: dict[str, tuple[str, int]] = field(default_factory=dict)
    last: str = ""
    damage: Damaged | None = None

    def text(self, *names: str) -> str:
        """The first of these keys that is filled, trimmed."""
        return next((value for name in names if (value := self.values.get(name, ("", 0))[0].strip())), "")

    def at(self, name: str) -> int:
        return self.values.get(name, ("", self.line))[1]

    def take(self, name: str, value: str, line: int) -> None:
        known = self.values.get(name)
        if known is None or not known[0].strip():
            self.values[name] = (value, line)
        elif name in _CRITICAL and value.strip() and value.strip() != known[0].strip():
            self.damage = Damaged(line, f"«{name}» указано дважды: «{known[0][:40]}» и «{value[:40]}»")
        self.last = name

    def go_on(self, text: str) -> bool:
        """A line without a key continues the text above it."""
        if not self.last.startswith(_LONG):
            return False
        value, line = self.values[self.last]
        self.values[self.last] = (f"{value} {text}", line)
        return True

    def date(self, name: str) -> date | None:
        """None: not filled. Raises Damaged for what no calendar has."""
        text = self.text(name)
        if not text:
            return None
        found = _DATE.fullmatch(text)
        try:
            if found:
                return date(int(found[3]), int(found[2]), int(found[1]))
        except ValueError:
            pass
        raise Damaged(self.at(name), f"«{name}»: «{text[:40]}» — не дата вида 31.12.2026")

    def sum(self, name: str) -> Decimal | None:
        """Exact, to the kopeck; None: not filled. Raises Damaged for anything else."""
        text = self.text(name)
        if not text:
            return None
        try:
            amount = decimal(text)
            if amount == amount.quantize(Decimal("0.01")):
                return amount.quantize(Decimal("0.01"))
        except (ValueError, ArithmeticError):
            pass
        raise Damaged(self.at(name), f"«{name}»: «{text[:40]}» — не сумма вида 1234.50")


def cut(
    text: str,
    header: Section,
    accounts: list[Section],
    documents: list[Section],
    problems: list[StatementProblem],
) -> None:
    """Cut the file into sections. One that is not closed, or not opened, is told; documents in it are lost."""
    here, closed = header, False
    for number, line in enumerate(_LINES.split(text), 1):
        name, equals, value = line.partition("=")
        name = name.strip().lstrip("\ufeff")
        opens, closes = name in ("СекцияДокумент", "СекцияРасчСчет"), name in ("КонецДокумента", "КонецРасчСчет")
        if (opens or name == "КонецФайла") and here is not header:
            _unclosed(here, documents, problems)
            here = header
        if name == "КонецФайла":
            closed = True
            break
        if opens:
            here = Section(number, clean(value))
            (documents if name == "СекцияДокумент" else accounts).append(here)
        elif closes and here is not header:
            here = header
        elif closes:
            problems.append(StatementProblem(number, f"«{name}» без начала секции: её строки пропущены", lost=True))
        elif equals and name == "РасчСчет" and here is header:
            here.take(f"РасчСчет {number}", value, number)
        elif equals and re.fullmatch(r"\w{1,60}", name):
            here.take(name, value, number)
        elif line.strip() and not here.go_on(line.strip()) and number > 1:
            problems.append(StatementProblem(number, f"непонятная строка: «{line.strip()[:60]}»"))
    if here is not header:
        _unclosed(here, documents, problems)
    if not closed:
        problems.append(StatementProblem(0, "нет строки «КонецФайла»: файл, возможно, оборван"))


def _unclosed(section: Section, documents: list[Section], problems: list[StatementProblem]) -> None:
    if documents and documents[-1] is section:
        section.damage = section.damage or Damaged(section.line, "нет строки «КонецДокумента»")
    else:
        problems.append(StatementProblem(section.line, "нет строки «КонецРасчСчет»"))


def listed(header: Section) -> list[str]:
    return [
        value.strip() for name, (value, _) in header.values.items() if name.startswith("РасчСчет ") and value.strip()
    ]
