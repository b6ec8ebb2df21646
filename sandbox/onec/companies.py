"""The objects of a new base: one organisation of our own, currencies, a bank account, a user. All are invented.

The numbers fit their checksums (FORMATS section 4); 7707083893 is the design's example.
"""

from __future__ import annotations

import uuid
from typing import Any

ORGANISATION_INN = "7707083893"
SPACE = uuid.UUID("5f0c2a51-0c1b-4c53-9d0e-1c0000000000")


def ref(name: str) -> str:
    """The same key for the same name at each start."""
    return str(uuid.uuid5(SPACE, name))


def weighted(digits: str, weights: tuple[int, ...], base: int = 11) -> int:
    """A sum by weights, modulo 11 and 10, as ИНН has it."""
    return sum(int(d) * w for d, w in zip(digits, weights, strict=True)) % base % 10


def valid_inn(head: str) -> str:
    """Nine digits with the check digit of a company, or ten with the two of a person."""
    if len(head) == 9:
        return head + str(weighted(head, (2, 4, 10, 3, 5, 9, 4, 6, 8)))
    eleven = head + str(weighted(head, (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)))
    return eleven + str(weighted(eleven, (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)))


def valid_ogrn(head: str) -> str:
    """Twelve digits with the check digit of ОГРН, or fourteen with that of ОГРНИП."""
    return head + str(int(head) % (11 if len(head) == 12 else 13) % 10)


def valid_account(head: str, bic: str) -> str:
    """A bank account of twenty digits whose ninth is its key; ``head``: the other nineteen."""
    digits = head[:8] + "0" + head[8:]
    key = sum(int(d) * w for d, w in zip(bic[-3:] + digits, (7, 1, 3) * 8, strict=False)) % 10 * 3 % 10
    return head[:8] + str(key) + head[8:]


CURRENCIES = (("643", "руб.", "Российский рубль"), ("840", "USD", "Доллар США"), ("978", "EUR", "Евро"),
              ("156", "CNY", "Китайский юань"))  # fmt: skip

CONTACT_KINDS = (
    ("ЮрАдресОрганизации", "Адрес"), ("ТелефонОрганизации", "Телефон"), ("ФактАдресКонтрагента", "Адрес"),
    ("ЮрАдресКонтрагента", "Адрес"), ("ТелефонКонтрагента", "Телефон"), ("EmailКонтрагента", "АдресЭлектроннойПочты"),
)  # fmt: skip


def start(inn: str = ORGANISATION_INN) -> dict[str, list[dict[str, Any]]]:
    """What a base holds at start, in the form that ``Base.seed`` takes."""
    organisation, account, rouble, bank = ref("organisation"), ref("account"), ref("643"), ref("bank")
    bic = "044525999"
    number = valid_account("4070281000000000017", bic)
    kpp = inn[:4] + "01001"
    return {
        "Catalog_Валюты": [
            {"Ref_Key": ref(code), "Code": code, "Description": name, "НаименованиеПолное": full,
             "ЗагружаетсяИзИнтернета": code != "643"}
            for code, name, full in CURRENCIES
        ],
        "Catalog_ВидыКонтактнойИнформации": [
            {"Ref_Key": ref(name), "Description": name, "Тип": kind, "Predefined": True, "PredefinedDataName": name}
            for name, kind in CONTACT_KINDS
        ],
        "Catalog_Банки": [
            {"Ref_Key": bank, "Code": bic, "Description": "АО «БАНК ПЕСОЧНИЦА»", "Город": "МОСКВА",
             "КоррСчет": "30101810400000000999"}
        ],
        "Catalog_ФизическиеЛица": [
            {"Ref_Key": ref("person"), "Description": "Песочкина Вера Ильинична", "ФИО": "Песочкина Вера Ильинична"}
        ],
        "Catalog_Пользователи": [
            {"Ref_Key": ref("user"), "Description": "Обмен", "ФизическоеЛицо_Key": ref("person")}
        ],
        "Catalog_Организации": [
            {"Ref_Key": organisation, "Description": "Рассвет-Сервис ООО", "НаименованиеПолное": "ООО «Рассвет-Сервис»",
             "НаименованиеСокращенное": "ООО «Рассвет-Сервис»", "Префикс": "0",
             "ЮридическоеФизическоеЛицо": "ЮридическоеЛицо", "ИНН": inn, "КПП": kpp,
             "ОГРН": valid_ogrn("115774600012"), "ОсновнойБанковскийСчет_Key": account,
             "КонтактнаяИнформация": [
                 {"Тип": "Адрес", "Вид_Key": ref("ЮрАдресОрганизации"),
                  "Представление": "119019, г. Москва, ул. Песочная, д. 1, помещ. 2"},
                 {"Тип": "Телефон", "Вид_Key": ref("ТелефонОрганизации"), "Представление": "+7 495 000-00-17"},
             ]}
        ],
        "Catalog_БанковскиеСчета": [
            {"Ref_Key": account, "Owner": organisation, "Owner_Type": "StandardODATA.Catalog_Организации",
             "Description": f"{number}, АО «БАНК ПЕСОЧНИЦА»", "НомерСчета": number, "Банк_Key": bank,
             "ВалютаДенежныхСредств_Key": rouble, "ВидСчета": "Расчетный"}
        ],
        "Catalog_Номенклатура": [
            {"Ref_Key": ref("service"), "Description": "Услуги по договору", "НаименованиеПолное": "Услуги по договору",
             "Услуга": True, "ВидСтавкиНДС": "Общая", "ШтрихКод": "1"}
        ],
        "InformationRegister_КурсыВалют": [
            {"Period": "2026-01-01T00:00:00", "Валюта_Key": ref(code), "Курс": rate, "Кратность": 1}
            for code, rate in (("643", 1), ("840", 80), ("978", 92), ("156", 11))
        ],
        "ExchangePlan_Обмен": [
            {"Ref_Key": ref("this node"), "Code": "00", "Description": "Бухгалтерия", "ThisNode": True},
            {"Ref_Key": ref("node"), "Code": "01", "Description": "CRM"},
        ],
    }  # fmt: skip
