"""From a name to an obligation: numbers as people write them against the numbers that 1C gave, never by guess.

A number with its date decides if exactly one document bears both. A number alone decides only if exactly one of the
account's documents dated within the months before the payment bears it, so that last year's № 57 is never taken.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable
from datetime import date, timedelta
from functools import lru_cache

from integration.rules.obligations import Obligation
from integration.rules.purpose import Reference

_RUNS = re.compile(r"[0-9]+|[A-ZА-ЯЁ]+")
# Latin letters that look like Cyrillic ones: banks and people mix them in prefixes.
_FOLDED = str.maketrans("ABCEHKMOPTXYЁ", "АВСЕНКМОРТХУЕ")
_WORD_PREFIXES = (("СЧ",), ("С",), ("N",), ("АКТ",), ("СЧЕТ",))  # «СЧ-486» may be the word счёт, not a prefix
_NEAREST = 6  # candidates shown of one number

_ONE = timedelta(days=1)

Core = tuple[str, ...]


@lru_cache(maxsize=8192)
def core(number: str) -> Core:
    """What tells a number apart, zeros and separators aside: 0000-000057 → ("57",), 00БП-000057 → ("БП", "57")."""
    runs = _RUNS.findall(number.upper().translate(_FOLDED))
    return tuple(run for run in (run.lstrip("0") if run.isdigit() else run for run in runs) if run)


class Index:
    """The account's documents by number, by number and date, by number and day of the year."""

    def __init__(self, documents: Iterable[Obligation]) -> None:
        self._by_number: dict[tuple[str, Core], list[Obligation]] = {}
        self._by_day: dict[tuple[str, Core, int, int], list[Obligation]] = {}
        self._by_key: dict[str, Obligation] = {}
        for document in sorted(documents, key=lambda o: (o.date, o.order)):
            self._by_key[document.ref_key] = document
            for name in _names(core(document.number)):
                for kind in (document.kind, "any"):
                    self._by_number.setdefault((kind, name), []).append(document)
                    day = (kind, name, document.date.day, document.date.month)
                    self._by_day.setdefault(day, []).append(document)

    def found(
        self, reference: Reference, paid: date, months: int, named: Collection[str] = ()
    ) -> tuple[Obligation | None, int]:
        """The document that the reference means, for a payment of the day `paid`, and how many fit: it is resolved when
        exactly one does. Of several, the one that the payment's own rows already name (`named`, Ref_Keys) is it.
        """
        since, until = months_before(paid, months), paid
        if reference.date is not None:
            since, until = reference.date - _ONE if reference.date > date.min else date.min, reference.date
        day = reference.day or ((until.day, until.month) if reference.date else None)
        for name in _spellings(core(reference.number)):
            key = (reference.kind, name)
            listed = self._by_day.get((*key, *day), []) if day else self._by_number.get(key, [])
            first, after = bisect_right(listed, since, key=_date), bisect_right(listed, until, key=_date)
            if after - first == 1:
                return listed[first], 1
            if after > first:
                known = [one for at in named if (one := self._by_key.get(at)) and since < one.date <= until]
                known = [one for one in known if _bears(one, *key) and day in (None, (one.date.day, one.date.month))]
                return (known[0], 1) if len(known) == 1 else (None, after - first)
        return None, 0

    def like(self, reference: Reference, paid: date) -> list[Obligation]:
        """The documents of either kind and any year with this number, nearest to the payment's day first."""
        listed: list[Obligation] = []
        for name in _spellings(core(reference.number)):
            listed = self._by_number.get(("any", name), [])
            if listed:
                break
        at = bisect_right(listed, paid, key=_date)
        near = listed[max(0, at - _NEAREST) : at + _NEAREST]
        return sorted(near, key=lambda o: (abs((o.date - paid).days), o.order))[:_NEAREST]


def months_before(day: date, months: int) -> date:
    """The same day so many months earlier, or the month's last where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    if year < 1:
        return date.min
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, min(day.day, last))
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")  # pragma: no cover


def _date(document: Obligation) -> date:
    return document.date


def _bears(document: Obligation, kind: str, name: Core) -> bool:
    return kind in (document.kind, "any") and name in _names(core(document.number))


def _names(full: Core) -> list[Core]:
    """A document answers to its number with the letters of its prefix and without them."""
    at = next((at for at, run in enumerate(full) if run.isdigit()), len(full))
    return [full] if at in (0, len(full)) else [full, full[at:]]


def _spellings(told: Core) -> list[Core]:
    if not told:
        return []
    return [told, told[1:]] if len(told) > 1 and told[:1] in _WORD_PREFIXES else [told]
