"""How alike two names are: word by word, whatever their order, with room for typos, initials and the other alphabet."""

from __future__ import annotations

from functools import lru_cache

from rapidfuzz.distance import OSA

from integration.rules.match.names import Name, skeletons

# One wrong letter in a word shorter than this makes another word oftener than a typo: Вега, Мега.
SHORTEST_TYPO = 6
_TYPO = 0.8
_INITIAL = 0.9


# Words that a name has or lacks without becoming another.
_EMPTY = frozenset(("КОМПАНИЯ", "ФИРМА", "ПРЕДПРИЯТИЕ", "ОРГАНИЗАЦИЯ", "МАГАЗИН", "ГК", "COMPANY", "GROUP", "И"))


def likeness(a: Name, b: Name, *, people: bool) -> tuple[float, bool]:
    """From 0 to 1, the same for (b, a), and whether all words of one are in the other, which has more.

    `people`: names of persons, whose initials stand for words.
    """
    if not a.words or not b.words:
        return 0.0, False
    if a.words == b.words or sorted(a.words) == sorted(b.words) or "".join(a.words) == "".join(b.words):
        return 1.0, False
    if not people and _digits(a) != _digits(b):
        return 0.3, False  # Школа № 5 and Школа № 15 are as far apart as two words
    aligned, leftovers = _aligned(a.words, b.words, people)
    if not people and min(leftovers) > 0:
        # Words that stand against each other (Мир окон, Мир дверей) part more than a word that one side lacks.
        aligned *= 0.7
    part = not people and min(leftovers) == 0 < max(leftovers)
    if len(a.words) != len(b.words) and not people:
        # Строй Мастер and СтройМастр: run together and misspelt at once.
        joined_a, joined_b = "".join(a.words), "".join(b.words)
        if min(len(joined_a), len(joined_b)) >= 2 * SHORTEST_TYPO:
            aligned = max(aligned, OSA.normalized_similarity(joined_a, joined_b, score_cutoff=0.9))
    return aligned, part


def _aligned(left: tuple[str, ...], right: tuple[str, ...], people: bool) -> tuple[float, tuple[int, int]]:
    """The share of letters in words that have a like word on the other side; how many words of each side have none."""
    pairs = sorted(
        (
            (-alike, min(one, other), max(one, other), i, j)
            for i, one in enumerate(left)
            for j, other in enumerate(right)
            if (alike := _words_alike(one, other, people)) > 0
        ),
    )
    free_left, free_right = set(range(len(left))), set(range(len(right)))
    common = 0.0
    for minus_alike, _, _, i, j in pairs:
        if i in free_left and j in free_right:
            free_left.discard(i)
            free_right.discard(j)
            common -= minus_alike * (_weight(left[i]) + _weight(right[j]))
    whole = sum(map(_weight, left)) + sum(map(_weight, right))
    return common / whole, (len(free_left), len(free_right))


def _weight(word: str) -> float:
    return 2.0 if word in _EMPTY else min(len(word), 10) + 1.0


def _words_alike(one: str, other: str, people: bool) -> float:
    if one == other:
        return 1.0
    if people and (len(one) == 1 or len(other) == 1):
        return _INITIAL if one[0] == other[0] else 0.0
    return _spelt_alike(one, other) if one < other else _spelt_alike(other, one)


@lru_cache(maxsize=100_000)
def _spelt_alike(one: str, other: str) -> float:
    sounds, others = skeletons(one), skeletons(other)
    if any(len(sound) > 2 and sound in others for sound in sounds):
        return 0.97
    a, b = sounds[0], others[0]
    if (
        max(len(one), len(other)) < SHORTEST_TYPO
        or min(len(one), len(other)) < SHORTEST_TYPO - 1
        or one.isdecimal()
        or other.isdecimal()
    ):
        return 0.0
    alike = max(
        OSA.normalized_similarity(one, other, score_cutoff=_TYPO),
        OSA.normalized_similarity(a, b, score_cutoff=_TYPO) * 0.97,
    )
    # Росэнергосбыт, Мосэнергосбыт: slips of the pen are rare in the first letter, distinctions aren't.
    return alike if a[:1] == b[:1] else alike * 0.88


def _digits(name: Name) -> list[str]:
    """Numbers in a name part companies that are alike in everything else."""
    return sorted(word.lstrip("0") for word in name.words if word.isdecimal())
