"""Names of clients as they can be compared: legal form apart, quotes and case gone, Latin look-alikes folded.

The table of forms follows ОКОПФ and what people write instead of it; nothing here knows which companies exist.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from mappers.wire import clean

# Form → its spellings, as regular expressions over upper-case words without punctuation; full spellings bend, so only
# their stems are written down. АО, ПАО, ОАО, ЗАО are one family: the law renamed them in 2014 (99-ФЗ).
FORMS: tuple[tuple[str, str], ...] = (
    ("ООО", r"ОБЩЕСТВ\w* С ОГРАНИЧЕН\w* ОТВЕТСТВЕН\w*|ООО|LLC|LTD|LIMITED"),
    ("АО", r"(?:ПУБЛИЧН\w*|НЕПУБЛИЧН\w*|ОТКРЫТ\w*|ЗАКРЫТ\w*)? ?АКЦИОНЕРН\w* ОБЩЕСТВ\w*|[ПОЗН]?АО|[POC]?JSC"),
    ("ИП", r"ИНДИВИДУАЛЬН\w* ПРЕДПРИНИМАТЕЛ\w*|ИП|ПБОЮЛ|ЧП"),
    ("КФХ", r"(?:ГЛАВ\w* )?(?:КРЕСТЬЯНСК\w* ?ФЕРМЕРСК\w* ХОЗЯЙСТВ\w*|КФХ|К Ф Х)"),
    ("ГУП", r"(?:ФЕДЕРАЛЬН\w* )?(?:ГОСУДАРСТВ\w*|МУНИЦИПАЛЬН\w*) УНИТАРН\w* ПРЕДПРИЯТИ\w*|ФГУП|ГУП|МУП|ФКП"),
    (
        "ГУ",
        r"(?:ФЕДЕРАЛЬН\w* )?(?:ГОСУДАРСТВ\w*|МУНИЦИПАЛЬН\w*|ОБЛАСТН\w*|КРАЕВ\w*) "
        r"(?:БЮДЖЕТН\w*|АВТОНОМН\w*|КАЗЕНН\w*)(?: \w*ОБРАЗОВАТЕЛЬН\w*| ДОШКОЛЬН\w*)* УЧРЕЖДЕНИ\w*"
        r"|(?:Ф|М|О|К)?Г?(?:Б|А|К)Д?О?У(?:З|К)?(?: (?:ВО|ДО|ВПО|СПО))?",
    ),
    ("АНО", r"АВТОНОМН\w* НЕКОММЕРЧЕСК\w* ОРГАНИЗАЦИ\w*|АНО"),
    ("НКО", r"НЕКОММЕРЧЕСК\w* (?:ОРГАНИЗАЦИ\w*|ПАРТНЕРСТВ\w*)|НКО"),
    ("ТСЖ", r"ТОВАРИЩЕСТВ\w* СОБСТВЕННИКОВ (?:ЖИЛЬЯ|НЕДВИЖИМОСТИ)|ТСЖ|ТСН"),
    ("СНТ", r"САДОВОДЧЕСК\w* НЕКОММЕРЧЕСК\w* ТОВАРИЩЕСТВ\w*|СНТ|ДНТ|ДНП"),
    ("ЖСК", r"ЖИЛИЩНО СТРОИТЕЛЬН\w* КООПЕРАТИВ\w*|ЖСК"),
    ("СПК", r"СЕЛЬСКОХОЗЯЙСТВЕНН\w* ПРОИЗВОДСТВЕНН\w* КООПЕРАТИВ\w*|СПК|СХПК"),
    ("ТОО", r"ТОВАРИЩЕСТВ\w* С ОГРАНИЧЕН\w* ОТВЕТСТВЕН\w*|ТОО"),
    ("ОДО", r"ОБЩЕСТВ\w* С ДОПОЛНИТЕЛЬН\w* ОТВЕТСТВЕН\w*|ОДО"),
    ("GMBH", r"GMBH|INC|CORP|PLC|SRL|SARL"),
)
# What a name says in full or in short; of no legal meaning, so kept, in one spelling.
SHORT: tuple[tuple[str, str], ...] = (
    ("ТД", r"ТОРГОВ\w* ДОМ\w?"),
    ("ТК", r"(?:ТОРГОВ\w*|ТРАНСПОРТН\w*) КОМПАНИ\w*"),
    ("ГК", r"ГРУПП\w КОМПАНИЙ"),
    ("УК", r"УПРАВЛЯЮЩ\w* КОМПАНИ\w*"),
    ("СК", r"СТРОИТЕЛЬН\w* КОМПАНИ\w*"),
    ("ПК", r"ПРОИЗВОДСТВЕНН\w* КОМПАНИ\w*"),
    ("ПКФ", r"ПРОИЗВОДСТВЕННО КОММЕРЧЕСК\w* ФИРМ\w*"),
    ("ПКП", r"ПРОИЗВОДСТВЕННО КОММЕРЧЕСК\w* ПРЕДПРИЯТИ\w*"),
    ("НПО", r"НАУЧНО ПРОИЗВОДСТВЕНН\w* ОБЪЕДИНЕНИ\w*"),
    ("НПП", r"НАУЧНО ПРОИЗВОДСТВЕНН\w* ПРЕДПРИЯТИ\w*"),
    ("НПФ", r"НАУЧНО ПРОИЗВОДСТВЕНН\w* ФИРМ\w*"),
    ("ПО", r"ПРОИЗВОДСТВЕНН\w* ОБЪЕДИНЕНИ\w*"),
    ("СЗ", r"СПЕЦИАЛИЗИРОВАНН\w* ЗАСТРОЙЩИК\w?"),
    ("ЧОО", r"ЧАСТН\w* ОХРАНН\w* ОРГАНИЗАЦИ\w*"),
    ("ЧОП", r"ЧАСТН\w* ОХРАНН\w* ПРЕДПРИЯТИ\w*"),
    ("СПБ", r"САНКТ ПЕТЕРБУРГ\w?"),
    ("ПЛЮС", r"PLUS"),
)
_BRANCH = re.compile(r"\b(?:ФИЛИАЛ\w?|ПРЕДСТАВИТЕЛЬСТВ\w|ОБОСОБЛЕНН\w* ПОДРАЗДЕЛЕНИ\w|ДОП(?:ОЛНИТЕЛЬНЫЙ)? ОФИС)\b")
_TOWN_WORDS = re.compile(r"\b(?:В|Г|ГОР|ГОРОД\w?)\b")
_FORM = re.compile("|".join(rf"(?P<f{n}>\b(?:{spelt})\b)" for n, (_, spelt) in enumerate(FORMS)))
_SHORT = re.compile("|".join(rf"(?P<s{n}>\b(?:{spelt})\b)" for n, (_, spelt) in enumerate(SHORT)))
_WORDS = re.compile(r"[^\W_]+")
_DOTTED = re.compile(r"\b(?:О\.\s?О\.\s?О|[ПОЗН]\.\s?А\.\s?О|А\.\s?О)\b\.?|^\W*И\.\s?П\b\.?")

_LATIN, _CYRILLIC = "ABCEHKMOPTXY", "АВСЕНКМОРТХУ"
_NO_NAME = frozenset(
    ("КЛИЕНТ", "ПОКУПАТЕЛЬ", "КОНТРАГЕНТ", "НОВЫЙ", "РОЗНИЧНЫЙ", "РОЗНИЦА", "ЧАСТНОЕ", "ЛИЦО", "ФИЗЛИЦО", "БЕЗ",
     "НАЗВАНИЯ", "НЕТ", "ТЕСТ", "TEST")
)  # fmt: skip
_LATIN_FORMS = {"OOO": "ООО", "AO": "АО", "PAO": "ПАО", "OAO": "ОАО", "ZAO": "ЗАО", "NAO": "НАО", "IP": "ИП"}
_FOLD = str.maketrans(_LATIN, _CYRILLIC)
_UNFOLD = str.maketrans(_CYRILLIC, _LATIN)
_ONLY_CYRILLIC_LOOKALIKES = re.compile(f"[{_CYRILLIC}]{{3,}}")
_HAS_LATIN, _HAS_CYRILLIC = re.compile("[A-Z]"), re.compile("[А-Я]")
_ONLY_LOOKALIKES = re.compile(f"[{_LATIN}0-9]+")

# Both alphabets to one skeleton, for Romashka and Ромашка: sounds that transliterations spell apart fall together.
_SOUNDS = str.maketrans(
    {
        "А": "A", "Б": "B", "В": "V", "Г": "G", "Д": "D", "Е": "E", "Ж": "ZH", "З": "Z", "И": "I", "Й": "I", "К": "K",
        "Л": "L", "М": "M", "Н": "N", "О": "O", "П": "P", "Р": "R", "С": "S", "Т": "T", "У": "U", "Ф": "F", "Х": "H",
        "Ц": "TS", "Ч": "CH", "Ш": "SH", "Щ": "SH", "Ъ": "", "Ы": "I", "Ь": "", "Э": "E", "Ю": "IU", "Я": "IA",
    }
)  # fmt: skip
_SPELT = re.compile("SHCH|SCH|CH|KH|TZ|CK|C|X|PH|YA|YU|YO|YE|JA|JU|IY|YI|YY|II|Y|J|W|Q")
_SOUND = {
    "SHCH": "SH", "SCH": "SH", "CH": "CH", "KH": "H", "TZ": "TS", "CK": "K", "X": "KS", "PH": "F", "YA": "IA",
    "YU": "IU", "YO": "E", "YE": "E", "JA": "IA", "JU": "IU", "IY": "I", "YI": "I", "YY": "I", "II": "I", "Y": "I",
    "J": "I", "W": "V", "Q": "K",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Name:
    """`form`: the family of its legal form ("" unknown); `words`: what is left, upper case, in their order;
    `branch`: the name says that it is a branch."""

    form: str
    words: tuple[str, ...]
    branch: bool

    @property
    def says_nothing(self) -> bool:
        """Nothing but forms («ООО») and words that stand where a name is missing («Клиент 2»)."""
        return all(word.isdecimal() or word in _NO_NAME or _FORM.fullmatch(word) for word in self.words)

    @property
    def key(self) -> str:
        """The same for every order of the words."""
        return " ".join(sorted(self.words))


def normalised(name: str) -> str:
    """The comparable form of a name; the same again when it is normalised once more."""
    return parsed(name).key


def parsed(name: str) -> Name:
    """A name taken apart. What is left is never empty unless there was nothing: ООО «АО» is called АО."""
    text = _DOTTED.sub(lambda found: f" {''.join(_WORDS.findall(found[0]))} ", clean(name).upper().replace("Ё", "Е"))
    words = [_folded(word) for word in _WORDS.findall(text.replace("+", " ПЛЮС ").replace("'", ""))]
    form, branch = "", False
    while True:
        line = " ".join(words)
        left, found, is_branch = _without_form(line)
        form, branch = form or found, branch or is_branch
        # Sorted words may come to spell a form that they did not spell before: on until nothing changes.
        again = _without_form(" ".join(sorted(left)))[0] if left else left
        if sorted(again) == sorted(left):
            return Name(form, tuple(left or words), branch)
        words = again or left


def _without_form(line: str) -> tuple[list[str], str, bool]:
    forms: list[str] = []

    def taken(found: re.Match[str]) -> str:
        forms.append(FORMS[int((found.lastgroup or "f0")[1:])][0])
        return " "

    bare = _SHORT.sub(lambda found: SHORT[int((found.lastgroup or "s0")[1:])][0], line)
    branch = _BRANCH.search(bare) is not None
    if branch:
        bare = _TOWN_WORDS.sub(" ", _BRANCH.sub(" ", bare))
    rest = _FORM.sub(taken, bare).split()
    if not rest:  # all of it is form or branch: the first is the form, what follows the name
        once = _FORM.sub(" ", bare, count=1).split()
        return (once, forms[0], branch) if once else (bare.split() or line.split(), "", branch)
    # Of two forms («АО» inside «ООО “АО Ромашка”») the first is the company's own.
    return rest, forms[0] if forms else "", branch


@lru_cache(maxsize=100_000)
def _folded(word: str) -> str:
    """Latin letters that look Cyrillic become Cyrillic where the word mixes both, or has no others."""
    if not _HAS_LATIN.search(word):
        return word
    if word in _LATIN_FORMS:
        return _LATIN_FORMS[word]
    if _HAS_CYRILLIC.search(word) or _ONLY_LOOKALIKES.fullmatch(word):
        return word.translate(_FOLD)
    return word


@lru_cache(maxsize=200_000)
def skeletons(word: str) -> tuple[str, ...]:
    """How a word may sound, in Latin letters, whichever alphabet it is written in.

    A word of look-alikes alone has a second reading: MAYAK was folded to letters of Cyrillic, and is still Маяк.
    """
    first = skeleton(word)
    if not _ONLY_CYRILLIC_LOOKALIKES.fullmatch(word):
        return (first,)
    second = skeleton(word.translate(_UNFOLD))
    return (first,) if second == first else (first, second)


def skeleton(word: str) -> str:
    """How a word sounds, in Latin letters."""
    latin = word.translate(_SOUNDS)
    return _SPELT.sub(_sounding, latin) if _HAS_LATIN.search(latin) else latin


def _sounding(found: re.Match[str]) -> str:
    if found[0] == "C":
        return "TS" if found.string[found.end() : found.end() + 1] in ("E", "I", "Y") else "K"
    return _SOUND[found[0]]
