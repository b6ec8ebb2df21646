"""Writes tests/data/matching_pairs.csv anew: the pairs made here, by seed; those written by hand (`by` = hand) stay.

python -m bench.matching_pairs
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from stdnum.ru import inn as inn_rules

from bench.companies import TOWNS, Maker
from mappers.canonical import Party

PAIRS = Path(__file__).resolve().parents[1] / "tests" / "data" / "matching_pairs.csv"
FIELDS = ("name", "full_name", "inn", "kpp", "ogrn", "phone", "email", "address")
HEAD = (*(f"left_{name}" for name in FIELDS), *(f"right_{name}" for name in FIELDS), "label", "note", "by")
SEED, EACH = 20261124, 26
Row = tuple[Party, Party, str, str]


def made() -> Iterator[Row]:
    """The kinds of pairs, so many of each."""
    maker = Maker(SEED)
    for _ in range(EACH):
        yield from _same(maker)
        yield from _branches(maker)
        yield from _different(maker)


def _same(maker: Maker) -> Iterator[Row]:
    a = maker.company()
    yield a, maker.retyped(a), "same", "retyped, with its ИНН"
    a = maker.company()
    yield a, _bare(maker.retyped(a)), "same", "retyped, no numbers"
    a = maker.company()
    yield a, replace(_bare(a), name=maker.spelt(a.name), phone="", email="", address=""), "same", "the name alone"
    a = maker.company()
    other = replace(a, name=maker.spelt(a.name), inn=_wrong(maker, a.inn), ogrn="", email="")
    yield a, other, "same", "a wrong digit in ИНН"
    a = maker.company()
    brand = a.name.partition(" ")[2].strip("«»").split(" ")[0]
    other = replace(_bare(a), name=brand, phone=maker.dialled(a.phone), full_name="")
    yield a, other, "same", "a part of the name, the phone in another spelling"


def _branches(maker: Maker) -> Iterator[Row]:
    a = _company(maker)
    town, region, _ = maker.dice.choice(TOWNS)
    kpp = f"{region}{maker.number(89) + 10}43{maker.number(9):03d}"
    branch = replace(a, kpp=kpp, name=f"Филиал {a.name} в г. {town}", full_name="", address=f"г {town}")
    yield a, branch, "branch", "a branch with a КПП of its own"
    yield replace(a, full_name=""), replace(branch, name=maker.spelt(a.name)), "branch", "a branch by КПП alone"


def _different(maker: Maker) -> Iterator[Row]:
    a, b = maker.company(), maker.company()
    yield a, b, "different", "two companies"
    yield a, replace(b, name=a.name, full_name=a.full_name), "different", "one name, two ИНН"
    yield _bare(a), replace(b, phone=a.phone), "different", "one phone, two names"
    a, b = _company(maker), _company(maker)
    yield _bare(a), replace(_bare(b), name=a.name.replace("«", "«Рос", 1)), "different", "a prefix makes another"
    form, _, bare = a.name.partition(" ")
    first, _, last = bare.strip("«»").partition(" ")
    like = f"{form} «{first} {maker.dice.choice(('Урал', 'Логистика', 'Холдинг', 'Медиа'))}»"
    kept = replace(_bare(a), phone="", email="", address="")
    yield kept, replace(_bare(b), name=like, phone="", email=""), "different", f"another word for «{last}»"


def _wrong(maker: Maker, inn: str) -> str:
    """One digit wrong, so that the checksum tells (one time in ten it would not: that is another company's ИНН)."""
    while True:
        n = maker.dice.randrange(4, len(inn))
        wrong = inn[:n] + str((int(inn[n]) + maker.number(9)) % 10) + inn[n + 1 :]
        if not inn_rules.is_valid(wrong):
            return wrong


def _company(maker: Maker) -> Party:
    while len((party := maker.company()).inn) != 10:
        pass
    return party


def _bare(party: Party) -> Party:
    return replace(party, inn="", kpp="", ogrn="", full_name="")


def written(rows: Iterator[Row]) -> list[list[str]]:
    """Rows as they stand in the file."""
    return [
        [*(getattr(a, name) for name in FIELDS), *(getattr(b, name) for name in FIELDS), label, note, "script"]
        for a, b, label, note in rows
    ]


def main() -> None:
    with PAIRS.open(encoding="utf-8", newline="") as file:
        by_hand = [row for row in csv.reader(file) if row[-1] == "hand"]
    with PAIRS.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEAD, *by_hand, *written(made())])


if __name__ == "__main__":
    main()
