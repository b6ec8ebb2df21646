"""Бухгалтерия 3.0: names of sets and fields, options, and what every talk of it needs (contract, sections 8 and 12)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from mappers.canonical import CURRENCIES
from mappers.dialect import Fault, Talk
from mappers.onec.learned import Learned
from mappers.onec.odata import EMPTY_DATE, EMPTY_REF, UNDEFINED, getting, read_entity, text_of

INVOICE = "Document_СчетНаОплатуПокупателю"
PAYMENT = "Document_ПоступлениеНаРасчетныйСчет"
PAYMENT_ROWS = f"{PAYMENT}_РасшифровкаПлатежа"
REFUND = "Document_СписаниеСРасчетногоСчета"
ACT = "Document_РеализацияТоваровУслуг"
ACT_SECTIONS = ("Товары", "Услуги")
COUNTERPARTY = "Catalog_Контрагенты"
CONTRACT = "Catalog_ДоговорыКонтрагентов"
ITEM = "Catalog_Номенклатура"
ORGANISATION = "Catalog_Организации"
CURRENCY = "Catalog_Валюты"
RATES = "InformationRegister_КурсыВалют"
VAT = "СтавкиНДС"

# Services stand in Товары; Услуги is where old releases kept them.
SECTIONS = ("Товары", "Услуги")
SETS = (
    INVOICE, *(f"{INVOICE}_{section}" for section in SECTIONS), PAYMENT, PAYMENT_ROWS, COUNTERPARTY, CONTRACT, ITEM,
    ORGANISATION, CURRENCY, RATES, REFUND, ACT,
)  # fmt: skip
ENUMS = (VAT,)

# The rate as the normal form has it → the member of Перечисление.СтавкиНДС (FORMATS, section 5).
VAT_MEMBERS = {
    "22": "НДС22",
    "20": "НДС20",
    "18": "НДС18",
    "10": "НДС10",
    "7": "НДС7",
    "5": "НДС5",
    "0": "НДС0",
    "none": "БезНДС",
}

# What the mapping cannot do without; fields that are sent only where the base has them are not here.
NEEDED_FIELDS: dict[str, tuple[str, ...]] = {
    INVOICE: ("Date", "Number", "Posted", "СуммаВключаетНДС", "СуммаДокумента", "Комментарий"),
    COUNTERPARTY: ("Description", "НаименованиеПолное", "ЮридическоеФизическоеЛицо", "ИНН", "КПП"),
    CONTRACT: ("Description", "ВидДоговора"),
    ITEM: ("Description", "НаименованиеПолное", "Услуга"),
    ORGANISATION: ("ИНН",),
    CURRENCY: ("Code",),
}
NEEDED_REFERENCES: dict[str, tuple[str, ...]] = {
    INVOICE: ("Организация", "Контрагент", "ДоговорКонтрагента", "ВалютаДокумента"),
    CONTRACT: ("Owner", "Организация", "ВалютаВзаиморасчетов"),
}
ROW_FIELDS = ("LineNumber", "Количество", "Цена", "Сумма", "СтавкаНДС", "СуммаНДС")
ROW_REFERENCES = ("Номенклатура",)
# What an invoice can be written without: told by the doctor, asked for when it is needed.
ADVISED_FIELDS: dict[str, tuple[str, ...]] = {PAYMENT: ("Date", "Posted")}
ADVISED_REFERENCES: dict[str, tuple[str, ...]] = {PAYMENT: ("Контрагент",)}

# Header fields that describe our own house, not the client: copied from the sample invoice, since no form fills them
# in through OData (trap 7). Bases that keep more of them name those in the option sample_fields.
SAMPLE_FIELDS = (
    "СтруктурнаяЕдиница",
    "БанковскийСчетОрганизации",
    "ПодразделениеОрганизации",
    "Склад",
    "ТипЦен",
    "Ответственный",
    "Руководитель",
    "ГлавныйБухгалтер",
    "ВидОперации",
)


class Base30:
    """Options and the learned model. The option names are those of an `[onec.NAME]` table.

    Raises ValueError for an option that makes no sense, with its name.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.base_url = str(options.get("base_url") or "").rstrip("/")
        self.username = str(options.get("username") or "")
        self.password = str(options.get("password") or "")
        self.inn = str(options.get("organisation") or "")
        zone = str(options.get("timezone") or "Europe/Moscow")
        try:
            self.zone = ZoneInfo(zone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"timezone: {zone!r} is no IANA zone such as Europe/Moscow") from error
        self.sample_invoice = str(options.get("sample_invoice") or "")
        self.sample_fields = (
            *SAMPLE_FIELDS,
            *(str(f).removesuffix("_Key") for f in options.get("sample_fields") or ()),
        )
        self.configured_item = str(options.get("item") or "")
        self.contract_name = str(options.get("contract_name") or "Основной договор")
        self.reuse_sessions = options.get("reuse_sessions", True) is not False
        self.signed = str(options.get("signed") or "posted")
        self.schedule = str(options.get("schedule") or "ЭтапыГрафикаОплаты")
        self.print_urls = {
            "invoice": str(options.get("print_url") or ""),
            "act": str(options.get("act_print_url") or ""),
        }
        self.today = _day(options.get("today"))
        self._defaults = {
            str(name): {str(field): _exact(value) for field, value in fields.items()}
            for name, fields in (options.get("defaults") or {}).items()
        }
        self.model = Learned()
        self._letters: dict[str, str] = {}

    def defaults(self, set_name: str) -> dict[str, Any]:
        """The configured values of fields that a form would have filled in."""
        return dict(self._defaults.get(set_name, {}))

    def default_fields(self) -> dict[str, tuple[str, ...]]:
        """Which fields of which sets have a configured value."""
        return {name: tuple(fields) for name, fields in self._defaults.items()}

    @property
    def section(self) -> str:
        """The section that holds an invoice's lines in this release."""
        return next((name for name in SECTIONS if self.model.published(f"{INVOICE}_{name}")), SECTIONS[0])

    @property
    def rows(self) -> str:
        """The set name of that section."""
        return f"{INVOICE}_{self.section}"

    def vat_member(self, rate: str) -> str:
        """The enumeration's member for a rate. Raises Fault misconfigured when this release has none (FORMATS §5)."""
        member = VAT_MEMBERS.get(rate)
        if member is None:
            raise Fault("rejected", f"ставки НДС «{rate}» нет в Бухгалтерии: допустимы {', '.join(VAT_MEMBERS)}")
        if not self.model.member(VAT, member):
            raise Fault(
                "misconfigured",
                f"в перечислении {VAT} этой базы нет {member}: релиз Бухгалтерии старше этой ставки; обновите "
                "конфигурацию и перечитайте метаданные (crm1c doctor)",
            )
        return member

    def link(self, ref_key: str) -> str:
        """The web client's address of an invoice: 1C writes the parts of a GUID in its own order there."""
        first, second, third, fourth, fifth = ref_key.lower().split("-")
        publication = self.base_url.removesuffix("/odata/standard.odata")
        ours = f"{fourth}{fifth}{third}{second}{first}"
        return f"{publication}/#e1cib/data/Документ.СчетНаОплатуПокупателю?ref={ours}"

    def letters(self, currency: str) -> Talk[str]:
        """ISO letters of a currency by its Ref_Key; its own code where ISO has no such; "" for none."""
        if currency and currency not in self._letters:
            found = yield from read_entity(getting("чтение валюты", CURRENCY, currency))
            code = currency_code(found or {})
            named = (letters for letters, (number, _) in CURRENCIES.items() if number == code)
            self._letters[currency] = next(named, code)
        return self._letters.get(currency, "")


def currency_code(entity: Mapping[str, Any]) -> str:
    """The numeric ISO code of a currency, whatever padding the base gave it."""
    code = text_of(entity, "Code").strip()
    return code.zfill(3) if code.isdigit() else code


def live(entity: Mapping[str, Any]) -> bool:
    """Neither a folder nor marked for deletion; a set without these fields has neither."""
    return not entity.get("DeletionMark") and not entity.get("IsFolder")


def empty(value: Any) -> bool:
    """What 1C holds in a field that nobody filled."""
    return value is None or value in ("", EMPTY_REF, EMPTY_DATE, UNDEFINED)


def marker(key: str) -> str:
    """Our key as it stands in a comment."""
    return f"[crm1c:{key}]"


def _exact(value: Any) -> Any:
    """TOML has floats; money has none."""
    return Decimal(str(value)) if isinstance(value, float) else value


def _day(value: Any) -> date | None:
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(str(value))
