"""The vocabulary of purpose texts: which word begins the number of an invoice, an act, a contract or something else.

Stems are regular expressions for a whole word in lower case with ё folded. A word that is in no list here ends the
search for a number, so that what is not understood is never taken for a reference.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Meaning = Literal[
    "invoice", "act", "contract", "foreign", "number", "from", "and", "filler", "month", "unit", "sum", "other"
]

MONTHS = ("янв", "фев", "мар", "апр", "ма", "июн", "июл", "авг", "сен", "окт", "ноя", "дек")
MONTH = (
    r"(?:янв(?:ар[ья])?|фев(?:рал[ья])?|мар(?:та?)?|апр(?:ел[ья])?|ма[йя]|июн[ья]?|июл[ья]?|авг(?:уста?)?"
    r"|сен(?:т(?:ябр[ья])?)?|окт(?:ябр[ья])?|ноя(?:бр[ья])?|дек(?:абр[ья])?)"
)


def _typos(word: str) -> set[str]:
    """What fingers make of a word: two letters swapped, one doubled, one lost."""
    swapped = {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)}
    doubled = {word[: i + 1] + word[i:] for i in range(len(word))}
    lost = {word[:i] + word[i + 1 :] for i in range(1, len(word))}
    return swapped | doubled | lost | {word.replace("сч", "щ"), word.replace("сч", "сщ"), word.replace("че", "чо")}


_FORMS = ("счет", "счета", "счету", "счетом", "счете", "счетов", "счетам")
# Real words that a slip of the finger would make of счёт.
_REAL = {"сет", "сета", "сету", "чет", "чета", "чету", "сче", "смета", "смету", "сети", "счеты"}
TYPOS = frozenset({typo for form in _FORMS for typo in _typos(form) if len(typo) > 3 or typo == "щет"} - _REAL)

_LISTS: tuple[tuple[Meaning, str], ...] = (
    ("number", r"№|n|no|nо|nr|num|number|номер\w{0,2}|ном"),
    ("from", r"от|дат[аы]|датирован\w*|dd|dated|of|выст|выставлен\w*"),
    ("and", r"и|а|также|and|плюс"),
    ("foreign", r"(?:сч[её]т(?:а|у|ы|ов|ам|ом|е)?|сч)[-/]?(?:факт\w*|ф)|с/ф|сф|счф|факт[-/]?сч\w*|[рклс]/сч?[её]?т?а?"),
    ("invoice", r"сч[её]т(?:а|у|ом|е|ов|ам|ами|ах)?|сч|счт|сч-т[ау]?|инвойс\w{0,2}|invoices?|inv"),
    ("invoice", r"сч[её]т(?:а|у|ом|е|ам)?-(?:договор|оферт|спец|заказ)\w*|(?:договор|заказ)\w{0,2}-сч[её]т\w{0,2}"),
    ("act", r"акт(?:а|у|ом|е|ы|ов|ам|ами)?|упд|кс|торг|ттн|т[-/]?н|накладн\w{0,3}|накл|тов[-/]накл|реализаци\w{0,2}"),
    ("act", r"(?:товарно-транспортн|товарн)\w{0,3}-накладн\w{0,3}|acts?|waybill"),
    (
        "contract",
        r"договор\w{0,3}|догов|дог|дг|д-р[ау]?|контракт\w{0,3}|к-т[ау]?|госконтракт\w{0,3}|contract|agreement",
    ),
    ("sum", r"сумм\w{0,3}|сум"),
    ("month", MONTH + r"|январе|феврале|марте|апреле|мае|июне|июле|августе|сентябре|октябре|ноябре|декабре"),
    (
        "unit",
        r"руб\w*|р|rub|rur|коп\w*|usd|eur|cny|долл\w*|евро|юан\w*|тыс\w*|млн|шт\w*|кг|тонн\w*|тн|м2|м3|м|кв\w*|квартал\w*"
        r"|год\w*|мес|месяц\w*|час\w*|ч|дн\w*|день|этап\w*|очеред\w*|чел\w*|уп|упак\w*|л|раза?|экз\w*|ед|комплект\w*"
        r"|мест\w*|полугод\w*|недел\w*|смен\w*|рейс\w*|лет|позици\w*|партии|единиц\w*|процент\w*",
    ),
    (
        "filler",
        r"на|за|по|об?|оплат\w{0,2}|опл|услуг\w{0,3}|работ\w{0,3}|товар\w{0,3}|поставк\w{0,3}|выполненн\w{0,3}|вып|вып-х"
        r"|оказанн\w{0,3}|оказ|оказани\w{0,2}|выполнени\w{0,2}|сдач\w{0,2}|прием\w{0,2}|приемк\w{0,2}|передач\w{0,2}"
        r"|(?:сдачи|приема|приемки)-(?:сдачи|передачи|приемки)|покупател\w{0,2}|клиент\w{0,2}|товарн\w{0,3}|расходн\w{0,3}"
        r"|универсальн\w{0,3}|передаточн\w{0,3}|документ\w{0,3}|материал\w{0,3}|продукци\w{0,2}|аванс\w{0,3}"
        r"|предоплат\w{0,2}|доплат\w{0,2}|частичн\w{0,3}|част\w{0,2}|остат\w{0,3}|полн\w{0,3}|окончательн\w{0,3}|г|ооо|ао|пао"
        r"|зао|оао|ип|согласно|вашему?|ваш|нашему|электронн\w{0,3}|эл|форм[аы]|to|for|payment|предв\w*|мат",
    ),
    (
        "foreign",
        r"фактур\w{0,3}|расч|расчетн\w*|лицев\w*|корр?|корреспондентск\w*|лиц|транзитн\w*|накопительн\w*|банковск\w*|карт\w*"
        r"|ндс|vat|т|ч|числе|том|налог\w*|заказ\w*|заяв\w*|соглашени\w*|согл|доп|спецификаци\w*|спец|приложени\w*|прил"
        r"|п/п|пп|поручени\w*|платежн\w*|чек\w{0,2}|квитанци\w*|лот\w{0,2}|тендер\w*|аукцион\w*|закупк\w*|извещени\w*|этап\w*"
        r"|объект\w*|дел[оу]|исполнительн\w*|ип-\w*|постановлени\w*|протокол\w*|письм\w*|инн|кпп|бик|уин|икз|игк|огрн|кбк"
        r"|октмо|полис\w*|тариф\w*|п|пункт\w*|ст|стать\w*|дом\w{0,2}|д|ул\w*|офис\w*|оф|кабинет\w*|помещени\w*|комнат\w*"
        r"|квартир\w*|корпус\w*|строени\w*|стр|этаж\w*|склад\w*|магазин\w*|тел\w*|гос|госномер|а/м|автомобил\w*|авто|машин\w*"
        r"|vin|претензи\w*|решени\w*|лицензи\w*|проект\w*|табельн\w*|сверк\w*|ведомост\w*|реестр\w*|справк\w*|ордер\w*|смет\w*"
        r"|абонент\w*|участ\w*|скважин\w*|вагон\w*|контейнер\w*|рейс\w*|груз\w*|счетчик\w*|прибор\w*|код\w{0,2}|id|ид|артикул\w*"
        r"|свидетельств\w*|доверенност\w*|сертификат\w*|прайс\w*|кредит\w*|займ\w*|пени|штраф\w*|удо|кп|предложени\w*|распоряжени\w*"
        r"|приказ\w*|дсд?|др|объем\w*|паспорт\w*|серии|order|bill|корректир\w*|взаимозач\w*|зачет\w*|филиал\w*|отделени\w*",
    ),
)
_PATTERNS = tuple((meaning, re.compile(pattern)) for meaning, pattern in _LISTS)


@lru_cache(maxsize=8192)
def meaning_of(word: str) -> Meaning:
    """What the word (lower case, ё folded, no full stop) means for the search; "other" where nothing is known."""
    if word in TYPOS:
        return "invoice"
    for meaning, pattern in _PATTERNS:
        if pattern.fullmatch(word):
            return meaning
    return "other"
