"""Invented companies with right check digits, and what people make of them when they type them twice.

Seeded, so that the same pairs and the same bases come out each time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from mappers.canonical import Party
from sandbox.onec.companies import valid_inn, valid_ogrn


def _words(text: str) -> list[str]:
    return text.split(" ")


ROOTS = _words(
    "строй монтаж агро тех пром энерго транс авто мед фарм эко гео гидро электро тепло метал лес мебель текстиль хим "
    "снаб торг инвест финанс консалт логист сервис прод хлеб мясо рыб молоко вент климат свет инструмент комплект"
)
TAILS = _words("сервис монтаж торг снаб инвест трейд проект групп альянс союз центр комплект пром ресурс мастер гарант")
WORDS = _words(
    "северный южный восточный западный новый первый золотой зелёный берёзовый белый красный быстрый тихий добрый "
    "надёжный горный речной морской степной полярный"
)
THINGS = _words(
    "мост берег дом двор путь ветер лес порт причал парус маяк сокол кедр ключ родник камень колос рассвет горизонт "
    "вектор квант импульс прогресс союз альянс стандарт резерв капитал профиль контур"
)
SURNAMES = _words(
    "Аверин Баженов Вершинин Глухов Дёмин Елагин Жданов Зимин Ильин Карпов Лаптев Мухин Назаров Осипов Панов Рогов "
    "Седов Титов Уваров Фомин Хохлов Цветков Чернов Шубин Щукин Юдин Яшин Беляков Горшков Дроздов"
)
GIVEN = _words(
    "Алексей Борис Виктор Глеб Денис Егор Захар Игорь Кирилл Лев Максим Николай Олег Павел Роман Семён Тимур"
)
FATHERS = _words(
    "Алексеевич Борисович Викторович Денисович Егорович Игоревич Львович Максимович Олегович Павлович Романович"
)
TOWNS = (
    ("Москва", "77", "495"), ("Санкт-Петербург", "78", "812"), ("Казань", "16", "843"), ("Омск", "55", "3812"),
    ("Томск", "70", "3822"), ("Курск", "46", "4712"), ("Тверь", "69", "4822"), ("Пермь", "59", "342"),
    ("Майкоп", "01", "8772"), ("Махачкала", "05", "8722"), ("Архангельск", "29", "8182"), ("Новосибирск", "54", "383"),
)  # fmt: skip
FREE = ("mail.ru", "yandex.ru", "gmail.com", "bk.ru")
FORMS = (("ООО", "Общество с ограниченной ответственностью"), ("ООО", "Общество с ограниченной ответственностью"),
         ("ООО", "Общество с ограниченной ответственностью"), ("АО", "Акционерное общество"))  # fmt: skip
_LATIN = str.maketrans("АВСЕНКМОРТХасеорху", "ABCEHKMOPTXaceopxy")
_SYLLABLES = [c + v for c in "бвгдзклмнпрстфш" for v in "аеиору"]
_TRANSLIT = dict(
    zip("абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
        _words("a b v g d e e zh z i y k l m n o p r s t u f kh ts ch sh shch  y  e yu ya"), strict=True)
)  # fmt: skip


class Maker:
    """Companies one after another; no two share an ИНН."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self._made = 0

    def company(self) -> Party:
        """A company or, one time in four, a sole trader, with everything filled in."""
        self._made += 1
        town, region, code = self.dice.choice(TOWNS)
        number = f"{self._made:07d}"
        address = (
            f"{self.dice.randint(100000, 699999)}, г {town}, ул {self.dice.choice(SURNAMES)}а, д {self.number(99)}"
        )
        phone = f"+7{code}{str(8_000_000_000 + self._made * 7919)[-(10 - len(code)) :]}"
        if self.dice.random() < 0.25:
            return self._person(number, region, address, phone)
        short, full = self.dice.choice(FORMS)
        name = self.name()
        inn = valid_inn(f"{region}{number}")
        site = "".join(_TRANSLIT.get(letter, letter) for letter in name.casefold() if letter != " ")
        return Party(
            name=f"{short} «{name}»", full_name=f"{full} «{name}»", inn=inn, kpp=f"{inn[:4]}01001",
            ogrn=valid_ogrn(f"1{self.number(20):02d}{region}{number}"), address=address, phone=phone,
            email=f"info@{site[:30]}{self._made}.example", id=str(self._made),
        )  # fmt: skip

    def name(self) -> str:
        """Two or three words, one of which is often a made-up brand: as rare and as common as in life."""
        kind = self.dice.random()
        compound = (self.dice.choice(ROOTS) + self.dice.choice(TAILS)).capitalize()
        brand = "".join(self.dice.choices(_SYLLABLES, k=self.dice.randint(2, 4))).capitalize()
        if kind < 0.25:
            return f"{self.dice.choice(WORDS).capitalize()} {self.dice.choice(THINGS)}"
        if kind < 0.5:
            return f"{compound} {brand}"
        if kind < 0.75:
            return brand + self.dice.choice(TAILS)
        return f"{brand} {self.dice.choice(TAILS).capitalize()} {self.dice.choice(THINGS).capitalize()}"

    def number(self, most: int) -> int:
        return self.dice.randint(1, most)

    def _person(self, number: str, region: str, address: str, phone: str) -> Party:
        who = f"{self.dice.choice(SURNAMES)} {self.dice.choice(GIVEN)} {self.dice.choice(FATHERS)}"
        return Party(
            name=f"ИП {who}", full_name=f"Индивидуальный предприниматель {who}",
            inn=valid_inn(f"{region}{number}{self.number(9)}"),
            ogrn=valid_ogrn(f"3{self.number(20):02d}{region}0{number}1"), address=address,
            phone=phone, email=f"ip{self._made}@{self.dice.choice(FREE)}", id=str(self._made),
        )  # fmt: skip

    # -- what people make of it ----------------------------------------------------------------------------------

    def retyped(self, company: Party) -> Party:
        """The same company as the other base has it: another spelling, fields missing, digits lost."""
        name, changes = self.spelt(company.name), {}
        for field, odds in (("full_name", 0.6), ("kpp", 0.3), ("ogrn", 0.7), ("phone", 0.4), ("email", 0.4),
                            ("address", 0.5)):  # fmt: skip
            if self.dice.random() < odds:
                changes[field] = ""
        if company.inn.startswith("0") and self.dice.random() < 0.5:
            changes |= {"inn": company.inn[1:], "kpp": company.kpp[1:]}
        if "phone" not in changes:
            changes["phone"] = self.dialled(company.phone)
        return replace(company, name=name, **changes)

    def spelt(self, name: str) -> str:
        """One of the ways to write a name down again."""
        form, _, bare = name.partition(" ")
        bare = bare.strip("«»")
        match self.number(8):
            case 1:
                return f"{bare} {form}"
            case 2:
                return f'{form} "{bare.upper()}"'
            case 3 if form != "ИП":
                return f"{dict(FORMS)[form]} «{bare}»"
            case 4 if form == "ИП":
                surname, given, father = bare.split(" ")
                return f"ИП {surname} {given[0]}.{father[0]}."
            case 5:
                return f"{form} {bare.translate(_LATIN)}"
            case 6:
                return self.slip(f"{form} «{bare}»", len(form) + 3)
            case 7 if form == "ООО":
                return f"{''.join(_TRANSLIT.get(each, each) for each in bare.casefold()).title()} LLC"
            case _:
                return bare.replace("ё", "е")

    def slip(self, text: str, after: int) -> str:
        """One letter wrong, lost, doubled or swapped, in a long word and not at its start."""
        places = [n for n in range(after + 1, len(text) - 1) if text[n - 1 : n + 2].isalpha()]
        if len(text) - after < 9 or not places:
            return text
        n = self.dice.choice(places)
        return self.dice.choice(
            (text[:n] + text[n + 1 :], text[:n] + text[n] + text[n:], text[:n] + text[n + 1] + text[n] + text[n + 2 :],
             text[:n] + self.dice.choice("аеиолнст") + text[n + 1 :])
        )  # fmt: skip

    def dialled(self, phone: str) -> str:
        """A phone as people write it."""
        d = phone.removeprefix("+7")
        return self.dice.choice((phone, f"8{d}", f"8 ({d[:3]}) {d[3:6]}-{d[6:8]}-{d[8:]}", f"7 {d[:3]} {d[3:]}", d))

    def base(self, companies: int, *, without_inn: float = 0.15) -> Iterator[tuple[Party, Party]]:
        """Two bases of the same companies, client by client: one in order, one as people typed it; a few are retyped
        without any number."""
        for _ in range(companies):
            company = self.company()
            other = self.retyped(company)
            if self.dice.random() < without_inn:
                other = replace(other, inn="", kpp="", ogrn="")
            yield company, other
