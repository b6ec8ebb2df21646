"""What a payment's purpose text names: invoices, acts and contracts with their numbers and dates.

It reads word by word: a word says what the next number belongs to, a date goes to the number before it (or, «от …
№ 57», to the one after it), and a word that is not understood ends the search. Sums, VAT, periods and the numbers of
other things are passed over. Nothing is guessed: which document is meant is `resolve`'s matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Literal

from integration.rules.words import MONTH, MONTHS, Meaning, meaning_of

Named = Literal["invoice", "act", "contract", "any"]
Day = date  # where a field is itself called `date`


@dataclass(frozen=True, slots=True)
class Reference:
    """One document that the text names. `date` whole, or `day` (day, month) where the text leaves the year out.

    `kind` "any": a number with a date and no word before it («Оплата № 57 от 03.02.2026»).
    """

    kind: Named
    number: str
    date: Day | None = None
    day: tuple[int, int] | None = None

    @property
    def label(self) -> str:
        """How the text names it, Russian."""
        word = {"invoice": "счёт", "act": "акт", "contract": "договор", "any": "документ"}[self.kind]
        when = (
            f" от {self.date:%d.%m.%Y}" if self.date else f" от {self.day[0]:02}.{self.day[1]:02}" if self.day else ""
        )
        return f"{word} № {self.number.lstrip('0-')}{when}"


@dataclass(frozen=True, slots=True)
class _Token:
    kind: Literal["word", "number", "list", "date", "sum", "mark"]
    text: str
    meaning: Meaning = "other"
    date: Day | None = None
    day: tuple[int, int] | None = None


_YEAR = r"(?:20\d\d|\d\d)(?!\d)"
_TOKENS = re.compile(
    rf"""
    (?P<words>[«"]?(?P<wd>\d{{1,2}})[»"]?\s*(?P<wm>{MONTH})\b\.?(?:\s*(?P<wy>{_YEAR}))?)
  | (?P<iso>(?P<iy>20\d\d)-(?P<im>\d\d)-(?P<id>\d\d)(?!\d))
  | (?P<dmy>(?P<dd>\d{{1,2}})(?P<sep>[./,-])(?P<dm>\d{{1,2}})(?P=sep)(?P<dy>{_YEAR}))(?![/-]?\d)
  | (?P<sum>\d{{1,3}}(?:\ \d{{3}})+(?:[.,=-]\d{{2}})(?!\d)|\d{{1,3}}(?:\ \d{{3}})+(?=\s*(?:руб|р\b|коп|usd|eur|₽|\$))
      |\d+(?:[.,]\d+)?\s*%|\d+[=]\d{{2}}(?!\d)|\d+-\d{{2}}(?=\s*(?:руб|р\b|коп))|\d+(?=\s*(?:₽|\$|€)))
  | (?P<list>\d+(?:[.,]\d+)+)
  | (?P<chunk>[a-zа-я]*\d[0-9a-zа-я]*(?:[-/][0-9a-zа-я]+)*|[a-zа-я]+[-/]\d[0-9a-zа-я]*(?:[-/][0-9a-zа-я]+)*)
  | (?P<word>[a-zа-я]+(?:[-/][a-zа-я]+)*)
  | (?P<number>[№\#])
  | (?P<mark>[,;+&():.])
    """,
    re.VERBOSE,
)
_LOOKALIKES = str.maketrans("aceopxykmthb", "асеорхукмтнв")
_FORMS = re.compile(r"\b(?P<act>кс\s?-?\s?2|торг\s?-?\s?12)\b|\b(?P<other>кс\s?-?\s?3|м-?15|ос-?1)\b")
_TAX = re.compile(
    r"\bсч(?:ет\w{0,2})?\.?\s*[-/]?\s*ф(?:акт\w*)?\b\.?|\bс\.?\s*/?\s*ф\b\.?"
)  # счёт-фактура, abbreviated
_QUOTED = re.compile(r"«[^»\d]*»|\"[^\"\d]*\"|“[^”\d]*”")
_STUCK = re.compile(r"(?<=\d)(от|за|на|по|руб|г)(?=[\s\d.,]|$)|(?<![а-я])(от)(?=\d)")
_LED = re.compile(r"(счет[а-я]{0,2}|сч|акт[а-я]{0,2}|упд|накл|инв|inv|дог|договор[а-я]?|n|no)[-/]?(\d.*)")
_YEARS = re.compile(r"(?:19|20)\d\d")
# Before «счёт»: an account of a bank, or a list of invoices that has a number of its own.
_NO_INVOICE = re.compile("расч|лиц|корр?$|корресп|банк|транз|накоп|спец|открыт|закрыт|веден|обслуж|реестр|спис")
_LONGEST = 11  # digits in one run: more is a bank account, a КБК or an ИНН


@lru_cache(maxsize=4096)
def references(text: str) -> tuple[Reference, ...]:
    """The documents that the text names, in its order, each once; empty: it names none."""
    reader = _Reader()
    tokens = [*_tokens(text), _Token("mark", "")]
    for at, token in enumerate(tokens[:-1]):
        reader.read(token, tokens[at + 1], tokens[at - 1] if at else None)
    return tuple(dict.fromkeys(reader.found))


class _Reader:
    """`kind`: what the numbers to come belong to; `state`: a number is expected, has been read, goes on, or neither."""

    def __init__(self) -> None:
        self.found: list[Reference] = []
        self.kind: Named | Literal["foreign"] | None = None
        self.state: Literal["off", "expect", "after", "list"] = "expect"
        self.marked = False  # № stands before the number
        self.noise = False  # words that are not understood stand between
        self.early: _Token | None = None  # a date that stands before its number
        self.group = 0  # where the list of numbers that share a date begins in `found`
        self.brackets = False

    def read(self, token: _Token, following: _Token, before: _Token | None) -> None:
        if token.kind == "word":
            self._word(token, following, before)
        elif token.kind in ("number", "list"):
            if not (before is not None and before.meaning == "month" and _YEARS.fullmatch(token.text)):
                self._number(token, following)
            self.marked = False
        elif token.kind == "date":
            self._date(token, before)
        elif token.kind == "mark":
            self.brackets = token.text == "(" or (self.brackets and token.text != ")")
            if token.text in ",;+&" and self.state == "after":
                self.state = "list"

    def _word(self, token: _Token, following: _Token, before: _Token | None) -> None:
        meaning = _in_context(token, following, before)
        if self.brackets and self.kind == "act" and token.text == "сф":
            return  # «УПД (счёт-фактура) № …»
        if meaning in ("invoice", "act", "contract", "foreign"):
            self.kind, self.state, self.marked, self.noise, self.early = meaning, "expect", False, False, None
        elif meaning == "number":
            self.marked = True
        elif meaning == "and":
            self.state = "list" if self.state == "after" else self.state
        elif meaning == "unit" and before is not None and before.kind == "sum":
            pass
        elif meaning in ("other", "unit") and self.state == "list":
            self.state = "off"
        elif meaning in ("other", "unit") and not self.brackets:
            self.noise = True
            self.marked = False
            if self.state == "after":
                self.state = "off"

    def _number(self, token: _Token, following: _Token) -> None:
        if self.state not in ("expect", "list") or self.kind == "foreign" or _counts(token, following):
            return
        if self.kind is None:
            self._bare(token, following)
            return
        dated = following.kind == "date" or following.meaning == "from" or self.early is not None
        if self.noise and not (self.marked and dated):
            return
        if self.state == "list" and not self.marked and (_YEARS.fullmatch(token.text) or not _ends(following)):
            return
        if self.state == "expect" or (self.found and (self.found[-1].date or self.found[-1].day)):
            self.group = len(self.found)
        for number in _split(token, expected=self.state == "expect"):
            reference = Reference(self.kind, number)
            if self.early is not None:
                reference = Reference(self.kind, number, self.early.date, self.early.day)
            self.found.append(reference)
            self.state = "after"
        self.early, self.noise = None, False

    def _bare(self, token: _Token, following: _Token) -> None:
        """№ with a date and nothing but «оплата», «за товар» before it."""
        if self.marked and not self.noise and following.meaning == "from" and token.kind == "number":
            self.group = len(self.found)
            self.found.append(Reference("any", token.text.upper()))
            self.kind, self.state = "any", "after"

    def _date(self, token: _Token, before: _Token | None) -> None:
        told = before is not None and (before.meaning == "from" or before.text == "(" or before.kind == "number")
        if self.kind in (None, "foreign") or not told:
            return
        if self.state == "expect":
            self.early = token if before is not None and before.meaning == "from" else None
        elif self.state in ("after", "list"):
            for at in range(self.group, len(self.found)):
                if self.found[at].date is None and self.found[at].day is None:
                    self.found[at] = Reference(self.found[at].kind, self.found[at].number, token.date, token.day)
            self.state = "after"


def _tokens(text: str) -> Iterator[_Token]:
    text = " ".join(text.lower().replace("ё", "е").split())
    text = _FORMS.sub(lambda m: "кс" if m["act"] else "справка", _QUOTED.sub(" ", text))
    text = _TAX.sub(" сф ", text)
    text = _STUCK.sub(lambda m: f" {m[0]} ", text)
    last: _Token | None = None
    for match in _TOKENS.finditer(text):
        for token in _token(match, last):
            yield token
            last = token


def _token(match: re.Match[str], last: _Token | None) -> Iterator[_Token]:
    kind, text = match.lastgroup, match[0]
    if match["words"]:
        month = next(number for number, stem in enumerate(MONTHS, 1) if match["wm"].startswith(stem))
        yield _dated(text, match["wd"], str(month), match["wy"])
    elif match["iso"]:
        yield _dated(text, match["id"], match["im"], match["iy"])
    elif match["dmy"]:
        # «№ 12/01/26» is a number, «от 12/01/26» a date.
        # «57,58,61» is a list.
        before = last.meaning if last is not None else "other"
        if match["sep"] == "," and before != "from":
            yield _Token("list", text)
        elif match["sep"] in "/-" and before == "number":
            yield _Token("number", text)
        else:
            yield _dated(text, match["dd"], match["dm"], match["dy"])
    elif match["list"]:
        yield _fraction(text, last)
    elif match["chunk"]:
        led = _LED.fullmatch(text)
        if led:
            yield _Token("word", led[1], meaning_of(led[1]))
        number = led[2] if led else text
        after_from = last is not None and last.meaning == "from" and len(number) == 8 and number.isdigit()
        yield _dated(number, number[:2], number[2:4], number[4:]) if after_from else _Token("number", number)
    elif match["word"]:
        mixed = re.search("[a-z]", text) and re.search("[а-я]", text)
        word = text.translate(_LOOKALIKES) if mixed else text
        yield _Token("word", word, meaning_of(word))
    elif match["number"]:
        yield _Token("word", "№", "number")
    else:
        yield _Token("sum" if kind == "sum" else "mark", text)


def _dated(text: str, day: str, month: str, year: str | None) -> _Token:
    """A date token; one that no calendar has stays a date that says nothing."""
    try:
        if year is None:
            date(2024, int(month), int(day))
            return _Token("date", text, day=(int(day), int(month)))
        return _Token("date", text, date=date(int(year) + (2000 if len(year) == 2 else 0), int(month), int(day)))
    except ValueError:
        return _Token("date", text)


def _fraction(text: str, last: _Token | None) -> _Token:
    """«03.02» after «от» is a date, «57,58» may be two numbers, «12000.50» is a sum."""
    pieces = re.split("[.,]", text)
    if last is not None and last.meaning == "from" and len(pieces) == 2 and "." in text:
        dated = _dated(text, pieces[0], pieces[1], None)
        if dated.day:
            return dated
    return _Token("sum" if "." in text else "list", text)


def _in_context(token: _Token, following: _Token, before: _Token | None) -> Meaning:
    if token.meaning == "invoice" and token.text != "инвойс":
        if meaning_of(following.text) == "foreign" and re.match("фактур|сф|ф$|карт|ордер", following.text):
            return "foreign"  # счёт-фактура, however it is spaced; a card's account
        if before is not None and before.text in ("на", "со", "с"):
            return "foreign"  # «на счёт № …» is where money goes
        if before is not None and before.text == "за" and following.kind != "number" and following.meaning != "number":
            return "foreign"  # «за счёт средств …»
        if before is not None and _NO_INVOICE.match(before.text):
            return "foreign"
    if token.meaning == "act" and re.match("сверк|зачет|взаимозач", following.text):
        return "foreign"
    return token.meaning


def _counts(token: _Token, following: _Token) -> bool:
    """Whether the number counts things, money or years, or is too long for a document's number."""
    if any(len(run) > _LONGEST for run in re.findall(r"\d+", token.text)) or not token.text.strip("0-/"):
        return True
    year = _YEARS.fullmatch(token.text) is not None
    return following.meaning == "unit" or (year and following.text in ("г", "год", "года"))


def _ends(following: _Token) -> bool:
    return following.kind in ("mark", "date", "sum") or following.meaning in ("from", "and", "filler", "sum", "foreign")


def _split(token: _Token, *, expected: bool) -> list[str]:
    if token.kind == "number":
        return [token.text.upper()]
    pieces = token.text.split(",")
    money = len(pieces) == 2 and len(pieces[1]) == 2 and not expected
    return [] if money else [piece for piece in pieces if piece.strip("0")]
