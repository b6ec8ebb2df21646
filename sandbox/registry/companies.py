"""Invented companies; check digits are right, the companies do not exist."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Company:
    """One row of the registry. ``ended``: the date of liquidation, ``invalid``: of a record struck out."""

    inn: str
    ogrn: str
    full: str
    short: str
    address: str
    kpp: str | None = None
    branch: bool = False
    status: str = "ACTIVE"
    registered: str = "2015-03-02"
    ended: str | None = None
    invalid: str | None = None
    head: str | None = None
    post: str = "Генеральный директор"
    okved: str = "62.01"

    @property
    def person(self) -> bool:
        """A sole trader (ИП)."""
        return len(self.inn) == 12


_OOO, _AO, _IP = (
    "ОБЩЕСТВО С ОГРАНИЧЕННОЙ ОТВЕТСТВЕННОСТЬЮ", "АКЦИОНЕРНОЕ ОБЩЕСТВО", "ИНДИВИДУАЛЬНЫЙ ПРЕДПРИНИМАТЕЛЬ",
)  # fmt: skip


def ogrn(first: str) -> str:
    """With its check digit: 13 digits modulo 11, 15 digits modulo 13."""
    return first + str(int(first) % (11 if len(first) == 12 else 13) % 10)


_MOST = Company(
    "7700000016", ogrn("102770000001"), f"{_OOO} «СЕВЕРНЫЙ МОСТ»", "ООО «Северный мост»",
    "101000, г Москва, ул Выдуманная, д 1, офис 10", kpp="770001001", head="Мостовая Вера Сергеевна",
)  # fmt: skip
_BRANCH = replace(
    _MOST, kpp="540043001", branch=True, head=None, short="Филиал ООО «Северный мост» в Новосибирске",
    full=f"ФИЛИАЛ {_OOO} «СЕВЕРНЫЙ МОСТ» В Г. НОВОСИБИРСКЕ", address="630000, г Новосибирск, ул Мнимая, д 7",
)  # fmt: skip
_HAVEN = Company(
    "5400000036", ogrn("102540000003"), f"{_OOO} «ТИХАЯ ГАВАНЬ»", "ООО «Тихая гавань»",
    "630000, г Новосибирск, пер Тихий, д 3", kpp="540001001", head="Гаванский Лев Львович",
)  # fmt: skip
COMPANIES: tuple[Company, ...] = (
    _MOST,
    _BRANCH,
    replace(_BRANCH, kpp=None, short="Филиал ООО «Северный мост» в Омске", address="644000, г Омск, ул Мнимая, д 8"),
    Company("7800000027", ogrn("102780000002"), f"{_AO} «ПОЛЕСЬЕ-СТАНКОИМПОРТ»", "АО «Полесье-Станкоимпорт»",
            "190000, г Санкт-Петербург, наб Небывалая, д 2, литера А", kpp="780001001", head="Полесский Ян Янович"),
    _HAVEN,
    replace(_HAVEN, ogrn=ogrn("102540000009"), ended="2019-06-30", status="LIQUIDATED"),  # the same ИНН, terminated
    Company("500000000100", ogrn("30450010000001"), f"{_IP} ВЕТРОВ ИЛЬЯ ПАВЛОВИЧ", "ИП Ветров Илья Павлович",
            "г Мытищи", head="Ветров Илья Павлович"),
    Company("6600000042", ogrn("102660000004"), f"{_OOO} «ПОСЛЕДНИЙ ПРИЧАЛ»", "ООО «Последний причал»",
            "620000, г Екатеринбург, ул Былая, д 4", kpp="660001001", status="LIQUIDATED", ended="2021-12-15",
            head="Причалов Яков Ильич"),
)  # fmt: skip
