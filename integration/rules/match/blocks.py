"""Pairs worth comparing, out of two bases of a hundred thousand clients each, and doubles inside one.

Nothing is compared with everything: an index of one side by ИНН, ОГРН, phone, e-mail and by the words of its names
gives each client of the other a handful of candidates. Keys that too many share are left out, so the work grows with
the number of clients and not with its square; what such a key alone would have shown is no proposal anyway.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import nlargest
from itertools import combinations
from math import log

from integration.rules.match.names import skeletons
from integration.rules.match.scores import PROPOSE, Card, Match, card, compared
from mappers.canonical import Party

MOST_SHARED = 60  # clients that may share a phone, an address, a whole name
MOST_WORDS = 400  # clients that may share one word
MOST_COMPARED = 40  # candidates by name that are compared for one client, the likeliest first
MOST_PROPOSED = 10  # proposals shown for one client
_TYPO_LENGTH = 5  # of skeletons; shorter ones are looked up as they are


@dataclass(frozen=True, slots=True)
class Pair:
    """Two clients and what speaks for their being one."""

    left: Party
    right: Party
    match: Match


def candidates(left: Iterable[Party], right: Iterable[Party], *, least: float = PROPOSE) -> Iterator[Pair]:
    """Links and proposals between two bases, client by client of `left`, which is streamed; `right` is held.

    A client with automatic partners gets those alone; two of them for one client are doubles, and a person decides.
    Others get at most ten proposals, the best first. Different valid ИНН never come together.
    """
    index = Index(map(card, right))
    for party in left:
        one = card(party)
        found = ((index.cards[n], compared(one, index.cards[n])) for n in index.near(one))
        for other, match in _best(found, least):
            yield Pair(party, other.party, match)


def doubles(side: Iterable[Party], *, least: float = PROPOSE) -> Iterator[Pair]:
    """Clients of one base that seem to be one; branches of one company are no doubles. Each pair is told once."""
    index = Index(map(card, side))
    for number, one in enumerate(index.cards):
        later = ((index.cards[n], compared(one, index.cards[n])) for n in index.near(one) if n > number)
        for other, match in _best(((card_, match) for card_, match in later if not match.branch), least):
            yield Pair(one.party, other.party, match)


def _best(found: Iterable[tuple[Card, Match]], least: float) -> list[tuple[Card, Match]]:
    every = [(other, match) for other, match in found if match.automatic or match.score >= least]
    sure = [(other, match) for other, match in every if match.automatic]
    return sure or nlargest(MOST_PROPOSED, every, key=lambda each: each[1].score)


class Index:
    """One side by everything that can bring a client of the other to it."""

    def __init__(self, cards: Iterable[Card]) -> None:
        self.cards: list[Card] = []
        self._by_sign: dict[str, array[int]] = {}
        self._by_inn: dict[str, array[int]] = {}
        self._by_word: dict[str, array[int]] = {}
        self._inns: list[str] = []
        for number, one in enumerate(cards):
            self.cards.append(one)
            self._inns.append(one.inn)
            if one.inn or one.raw_inn:
                _put(self._by_inn, one.inn or one.raw_inn, number)
            for sign in _signs(one):
                _put(self._by_sign, sign, number)
            for word in _words(one):
                _put(self._by_word, word, number)
        self._misspelt = _misspelt(self._by_word)
        self._by_two = self._common_words()

    def near(self, one: Card) -> list[int]:
        """The numbers of the cards worth comparing with this one."""
        found: set[int] = set()
        if one.inn or one.raw_inn:
            found.update(self._by_inn.get(one.inn or one.raw_inn, ()))
            if one.inn and any(compared(one, self.cards[n]).automatic for n in found):
                return sorted(found)
        for sign in _signs(one):
            sharing = self._by_sign.get(sign, ())
            if len(sharing) <= MOST_SHARED:
                found.update(self._not_others(one, sharing))
        found.update(self._by_name(one))
        return sorted(found)

    def _not_others(self, one: Card, numbers: Iterable[int]) -> Iterable[int]:
        """Without those of another valid ИНН, which in a base in good order are nearly all."""
        if not one.inn:
            return numbers
        own, inns = ("", one.inn), self._inns
        return [n for n in numbers if inns[n] in own]

    def _by_name(self, one: Card) -> list[int]:
        """Those who share rare words, a word counting by its rarity; misspelt and transliterated words count too."""
        weights: defaultdict[int, float] = defaultdict(float)
        total, every, common = 0.0, len(self.cards), []
        for word in _words(one):
            postings = [self._by_word[spelt] for spelt in self._spellings(word)]
            if not postings:
                continue
            shared = sum(map(len, postings))
            rarity = log(1 + every / shared)
            total += rarity
            if shared > MOST_WORDS:
                common.append(word)
                continue
            for posting in postings:
                for number in self._not_others(one, posting):
                    weights[number] += rarity
        for pair in combinations(sorted(common), 2):
            sharing = self._by_two.get(pair, ())
            for number in self._not_others(one, sharing) if len(sharing) <= MOST_WORDS else ():
                weights[number] += total
        likely = ((weight, -number) for number, weight in weights.items() if weight >= 0.35 * total)
        return [-number for _, number in nlargest(MOST_COMPARED, likely)]

    def _spellings(self, word: str) -> set[str]:
        """The words of the index that are this word, or one slip of the pen away from it."""
        found = {word} if word in self._by_word else set()
        if len(word) >= _TYPO_LENGTH:
            for shorter in (word, *_shortened(word)):
                found.update(self._misspelt.get(hash(shorter), ()))
        return found

    def _common_words(self) -> dict[tuple[str, str], array[int]]:
        """Pairs of words each of which too many share: «Строй Инвест» is rare though neither word is."""
        shared: dict[tuple[str, str], array[int]] = {}
        for number, one in enumerate(self.cards):
            common = sorted(word for word in _words(one) if len(self._by_word[word]) > MOST_WORDS)
            for pair in combinations(common, 2):
                if pair not in shared:
                    shared[pair] = array("I")
                if len(shared[pair]) <= MOST_WORDS:
                    shared[pair].append(number)
        return shared


def _misspelt(words: Iterable[str]) -> dict[int, tuple[str, ...]]:
    """Words by the hashes of what they are with one letter left out, and of themselves: two that meet are at most two
    slips apart, mostly one."""
    found: dict[int, tuple[str, ...]] = {}
    for word in words:
        if len(word) >= _TYPO_LENGTH and not word.isdecimal():
            for shorter in (word, *_shortened(word)):
                key = hash(shorter)
                found[key] = (*found.get(key, ()), word)
    return found


def _shortened(word: str) -> set[str]:
    return {word[:n] + word[n + 1 :] for n in range(len(word))}


def _put(index: dict[str, array[int]], key: str, number: int) -> None:
    posting = index.get(key)
    if posting is None:
        index[key] = array("I", (number,))
    else:
        posting.append(number)


def _signs(one: Card) -> Iterator[str]:
    """Everything that brings two clients together by being equal."""
    if one.ogrn:
        yield f"o{one.ogrn}"
    yield from one.phones
    yield from one.emails
    for domain in one.domains:
        yield f"@{domain}"
    for name in one.names:
        yield f"n{''.join(sorted(name.words))}"
        if len(name.words) > 1:
            yield f"n{''.join(name.words)}"


def _words(one: Card) -> set[str]:
    return {sound for name in one.names for word in name.words for sound in skeletons(word) if len(sound) > 1}
