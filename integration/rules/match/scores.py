"""Two clients, one company? A score with its reasons; what may be linked without a person, and what never.

DOMAIN, «One client, two names»: equal ИНН and КПП link by themselves (an ИП by its ИНН), different valid ИНН never
link, and everything else is a proposal for a person. The weights below are set on tests/data/matching_pairs.csv;
`python -m bench.matching` prints what they come to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from rapidfuzz.distance import OSA

from integration.rules.match import contacts
from integration.rules.match.likeness import likeness
from integration.rules.match.names import Name, parsed
from mappers.canonical import Party

PROPOSE = 0.6  # from this score on a pair is shown to a person
# Likeness of names → what it is worth alone: only names that are almost equal are proposed for their own sake.
_NAME_WORTH = ((1.0, 0.68), (0.9, 0.6), (0.8, 0.42), (0.7, 0.3), (0.5, 0.0))
_LARGEST = "50"  # places 5 and 6 of the КПП that a largest taxpayer has beside its own


@dataclass(frozen=True, slots=True)
class Match:
    """`score` from 0 to 1; `reasons` for the person who decides, the weightiest first; `branch`: one ИНН (or name), but
    a branch of the other. `automatic`: may be linked without a person, if no third client claims the same."""

    score: float
    reasons: tuple[str, ...]
    automatic: bool = False
    branch: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """A client as it is compared: made once, compared many times."""

    party: Party
    inn: str  # valid, or ""
    raw_inn: str  # its digits, when they are no valid ИНН
    kpp: str
    ogrn: str
    names: tuple[Name, ...]  # the working name, and the full one where it says something else
    phones: frozenset[str]
    emails: frozenset[str]
    domains: frozenset[str]
    town: str
    form: str
    is_person: bool
    is_branch: bool


def card(party: Party) -> Card:
    """The comparable form of a client."""
    inn = contacts.inn(party.inn)
    emails = contacts.emails(party.email)
    ogrn = contacts.ogrn(party.ogrn)
    texts = (party.name, party.full_name) if party.full_name != party.name else (party.name,)
    names = [name for text in texts if not (name := parsed(text)).says_nothing]
    form = next((name.form for name in names if name.form), "")
    if len(names) == 2 and (names[0].key, names[0].branch) == (names[1].key, names[1].branch):
        names.pop()
    return Card(
        party=party,
        inn=inn,
        raw_inn="" if inn else "".join(filter(str.isdecimal, party.inn)).strip("0"),
        kpp=contacts.kpp(party.kpp) if len(inn) != 12 else "",
        ogrn=ogrn,
        names=tuple(names),
        phones=contacts.phones(party.phone),
        emails=emails,
        domains=contacts.domains(emails),
        town=contacts.town(party.address),
        form=form,
        is_person=len(inn) == 12 or form == "ИП" or len(ogrn) == 15,
        is_branch=any(name.branch for name in names),
    )


def score(a: Party, b: Party) -> Match:
    """How surely two clients are one company. The same for (b, a)."""
    return compared(card(a), card(b))


def compared(a: Card, b: Card) -> Match:
    """`score` of cards that are made already."""
    if a.inn and b.inn:
        return _by_inn(a, b) if a.inn == b.inn else Match(0.0, (f"разные ИНН: {_both(a.inn, b.inn)}",))
    return _by_signs(a, b)


def _by_inn(a: Card, b: Card) -> Match:
    same = f"совпадает ИНН {a.inn}"
    if len(a.inn) == 12:
        return Match(1.0, (f"{same} (ИП)",), automatic=True)
    if a.kpp and a.kpp == b.kpp:
        reasons = [f"совпадают ИНН {a.inn} и КПП {a.kpp}"]
        if a.ogrn and b.ogrn and a.ogrn != b.ogrn:
            reasons.append(f"но ОГРН разные: {_both(a.ogrn, b.ogrn)}; проверьте, какой верен")
        return Match(1.0, tuple(reasons), automatic=True)
    if not a.kpp or not b.kpp:
        if a.is_branch != b.is_branch:
            return Match(0.8, (same, "одна из записей названа филиалом, КПП не указан"), branch=True)
        return Match(0.9, (same, "КПП указан не у обеих записей" if a.kpp or b.kpp else "КПП не указан"))
    told = f"КПП разные: {_both(a.kpp, b.kpp)}"
    if _LARGEST in (a.kpp[4:6], b.kpp[4:6]):
        return Match(0.85, (same, f"{told}; один из них — крупнейшего налогоплательщика"))
    return Match(0.75, (same, f"{told}; похоже на филиал или обособленное подразделение"), branch=True)


def _by_signs(a: Card, b: Card) -> Match:
    """At least one ИНН is missing or wrong: names, numbers and contacts speak together."""
    if a.ogrn and b.ogrn and a.ogrn != b.ogrn and not (a.is_person and b.is_person):
        return Match(0.1, (f"разные ОГРН: {_both(a.ogrn, b.ogrn)}",))
    alike, part = _names_alike(a, b)
    if part and a.is_branch != b.is_branch:
        alike = max(alike, 0.9)  # what a branch's name has more is its town
    total, reasons = _worth(alike), _name_reason(alike)
    for bonus, reason in _signs(a, b, alike):
        total += bonus
        reasons.append((abs(bonus), reason))
    if part and (a.phones & b.phones or a.emails & b.emails or a.domains & b.domains):
        total += 0.15
        reasons.append((0.15, "одно название — часть другого"))
    if a.ogrn and a.ogrn == b.ogrn:
        total = max(total, 0.95)
        reasons.append((2.0, f"совпадает ОГРН {a.ogrn}"))
    elif a.phones & b.phones and a.emails & b.emails and alike < 0.7:
        total = max(total, 0.62)
        reasons.append((0.0, "названия разные, но и телефон, и почта одни и те же"))
    elif alike == 0.0:
        total = min(total, 0.5)
    branch = a.is_branch != b.is_branch and alike >= 0.7
    if branch:
        reasons.append((0.0, "одна из записей названа филиалом"))
    told = tuple(reason for _, reason in sorted(reasons, key=lambda each: (-each[0], each[1])))
    return Match(round(min(max(total, 0.0), 0.98), 3), told, branch=branch)


def _signs(a: Card, b: Card, alike: float) -> Iterable[tuple[float, str]]:
    """What every sign adds or takes, with its reason."""
    if a.phones & b.phones:
        yield 0.25, f"совпадает телефон {min(a.phones & b.phones)}"
    elif a.phones and b.phones:
        yield -0.04, "телефоны разные"
    if a.emails & b.emails:
        yield 0.3, f"совпадает почта {min(a.emails & b.emails)}"
    elif a.domains & b.domains:
        yield 0.2, f"совпадает домен почты {min(a.domains & b.domains)}"
    elif a.domains and b.domains:
        yield -0.1, "домены почты разные"
    if a.town and a.town == b.town:
        yield 0.05, f"один город: {a.town.title()}"
    elif a.town and b.town:
        yield -0.12, f"города разные: {_both(a.town.title(), b.town.title())}"
    if a.kpp and a.kpp == b.kpp:
        yield 0.1, f"совпадает КПП {a.kpp}"
    near = _near(a, b)
    if near:
        yield near
    if a.form and b.form:
        if a.form != b.form:
            yield -0.2, f"правовые формы разные: {_both(a.form, b.form)}"
        elif alike >= 0.7:
            yield 0.02, "правовая форма одна"
    elif (a.inn or b.inn) and "ИП" in (a.form, b.form) and len(a.inn or b.inn) == 10:
        yield -0.2, "одна запись — ИП, у другой ИНН компании"


def _near(a: Card, b: Card) -> tuple[float, str] | None:
    """An ИНН that is wrong, but one slip away from the other's (or wrong in the same way)."""
    one, other = a.inn or a.raw_inn, b.inn or b.raw_inn
    if len(one) < 9 or len(other) < 9:
        return None
    if one == other:
        return 0.25, f"совпадает ИНН {one}, но он не проходит проверку"
    if OSA.distance(one, other, score_cutoff=1) == 1:
        return 0.25, f"ИНН отличаются одной цифрой: {_both(one, other)}"
    return None


def _names_alike(a: Card, b: Card) -> tuple[float, bool]:
    # «Зорина Вера» without a form may be the ИП; «ООО Зорина» may not.
    people = (a.is_person or b.is_person) and (a.is_person == b.is_person or not (a.form and b.form))
    pairs = [likeness(one, other, people=people) for one in a.names for other in b.names]
    return max(pairs, default=(0.0, False))


def _worth(alike: float) -> float:
    for (high, best), (low, least) in pairwise(_NAME_WORTH):
        if alike >= low:
            return least + (best - least) * (alike - low) / (high - low)
    return 0.0


def _name_reason(alike: float) -> list[tuple[float, str]]:
    if alike >= 0.995:
        return [(1.0, "названия совпадают")]
    if alike >= 0.7:
        return [(1.0, f"названия похожи на {int(alike * 100)} %")]
    return []


def _both(one: str, other: str) -> str:
    return " и ".join(sorted((one, other)))
