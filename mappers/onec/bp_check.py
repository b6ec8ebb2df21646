"""Бухгалтерия 3.0: what the doctor asks of a base, and its $metadata (contract ONEC-ODATA, sections 1, 6 and 8)."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from datetime import date
from typing import Any

from mappers.dialect import Call, Fault, Finding, Reply, Talk
from mappers.onec.bp_base import (
    ADVISED_FIELDS,
    ADVISED_REFERENCES,
    ENUMS,
    INVOICE,
    NEEDED_FIELDS,
    NEEDED_REFERENCES,
    PAYMENT,
    PAYMENT_ROWS,
    ROW_FIELDS,
    ROW_REFERENCES,
    SECTIONS,
    SETS,
    VAT,
    VAT_MEMBERS,
)
from mappers.onec.bp_catalogs import Catalogs
from mappers.onec.bp_contacts import CONTACT_SETS, KINDS
from mappers.onec.bp_money import Money
from mappers.onec.csdl import reduced
from mappers.onec.learned import Learned
from mappers.onec.odata import calling
from mappers.onec.refusals import answer, checked, garbled


class Checks(Catalogs, Money):
    """Talks about the base itself."""

    def read_model(self) -> Talk[dict[str, Any]]:
        """$metadata (XML alone, up to 17 MB and 36 s), reduced to the sets and enumerations of this mapping."""
        call = Call("чтение метаданных", "GET", "$metadata", headers={"Accept": "application/xml"}, repeatable=True)
        reply = yield call
        checked(call, reply)
        try:
            return reduced(reply.body, (*SETS, *CONTACT_SETS), ENUMS)
        except ValueError as error:
            raise garbled(call, reply) from error

    def learn(self, model: Mapping[str, Any]) -> None:
        """Take a reduced model: which fields and enumeration members this base has."""
        self.model = Learned(model)
        self._contact_kinds = self._contact_kinds or None  # published meanwhile, perhaps

    def lacking(self, rates: Collection[str] = ()) -> list[str]:
        """What the mapping, the configured defaults and these VAT rates need and the learned model lacks."""
        model = self.model
        absent = model.lacking(NEEDED_FIELDS, NEEDED_REFERENCES)
        if model.published(INVOICE):
            if not any(model.published(f"{INVOICE}_{section}") for section in SECTIONS):
                absent.append(f"{INVOICE}.{SECTIONS[0]}")
            else:
                lacking = model.lacking({self.rows: ROW_FIELDS}, {self.rows: ROW_REFERENCES})
                absent += [name.replace(self.rows, f"{INVOICE}.{self.section}", 1) for name in lacking]
        known = {name: fields for name, fields in self.default_fields().items() if name in SETS}
        absent += [name for name in model.lacking(known, {}) if name not in absent]
        members = (VAT_MEMBERS[rate] for rate in sorted(rates) if rate in VAT_MEMBERS)
        absent += [f"Перечисление {VAT}: {member}" for member in members if not model.member(VAT, member)]
        return absent

    def advised(self) -> list[str]:
        """What invoices can do without and the rest cannot: payments, and what their rows name."""
        model = self.model
        absent = model.lacking(ADVISED_FIELDS, ADVISED_REFERENCES)
        names = ("СчетНаОплату", "Сделка")
        if model.published(PAYMENT) and not any(model.has_reference(PAYMENT_ROWS, name) for name in names):
            absent.append(f"{PAYMENT}.РасшифровкаПлатежа.СчетНаОплату_Key")
        return absent

    def check(self, today: date | None = None) -> Talk[list[Finding]]:
        """One finding a question, in Russian. `today` (1C's zone) decides which VAT rate must be there."""
        day = today or self.today
        findings: list[Finding] = []
        reached, found = yield from _asked(self._reach(), findings, "1С не отвечает как надо")
        if not reached:
            return findings
        findings += found
        if not self.model.known:
            read, model = yield from _asked(self.read_model(), findings, "метаданные 1С не прочитаны")
            if read:
                self.learn(model)
        if self.model.known:
            findings += self._model_findings(day)
        asked, own = yield from _asked(self.organisation(), findings, "своя организация не проверена")
        if asked:
            absent = Finding(
                "FAIL", f"организации с ИНН {self.inn} нет в этой базе", "проверьте organisation в [onec.…]"
            )
            findings.append(Finding("ok", f"своя организация: {own.name}") if own else absent)
        asked, money = yield from _asked(self.currency("RUB"), findings, "валюта не проверена")
        if asked:
            absent = Finding("FAIL", "рубля (код 643) нет в Catalog_Валюты", "добавьте валюту из ОКВ")
            findings.append(Finding("ok", f"валюта RUB: {money.name}") if money else absent)
        if self.configured_item:
            asked, item = yield from _asked(self.item(""), findings, "item")
            findings += [Finding("ok", f"номенклатура строк счёта: {item.name}")] if asked else []
        if self.sample_invoice:
            asked, _ = yield from _asked(self.sample(), findings, "sample_invoice")
            findings += [Finding("ok", f"счёт-образец: {self.sample_invoice}")] if asked else []
        return findings

    def _reach(self) -> Talk[list[Finding]]:
        # The transport asks for a session with the first call that has none (`opening_headers`), as this one should be.
        call = calling("проверка связи", "")
        reply: Reply = yield call
        answer(call, reply)
        found = [Finding("ok", "1С отвечает, логин принят")]
        if "ibsession" in reply.headers.get("set-cookie", "").lower():
            found.append(Finding("ok", "1С держит сеанс между запросами (IBSession)"))
        else:
            found.append(
                Finding(
                    "warn",
                    "1С не отдаёт cookie ibsession: каждый запрос может открывать новый сеанс",
                    'в default.vrd: <standardOdata reuseSessions="autouse" …/>, платформа 8.3.9 или новее',
                )
            )
        return found

    def _model_findings(self, day: date | None) -> list[Finding]:
        absent = self.lacking()
        findings = [
            Finding("FAIL", f"в 1С не хватает: {name}", "добавьте в состав OData или обновите конфигурацию")
            for name in absent
        ]
        for name in self.advised():
            mend = "добавьте в состав OData: без этого не видно, оплачен ли счёт"
            findings.append(Finding("warn", f"в 1С не хватает: {name}", mend))
        if not self.model.published(KINDS):
            mend = "добавьте в состав OData: без этого новые телефоны, почта и адреса клиентов в 1С не записываются"
            findings.append(Finding("warn", f"в 1С не хватает: {KINDS} (не опубликован в OData)", mend))
        if not absent:
            findings.append(Finding("ok", "метаданные: все нужные объекты и реквизиты есть"))
        if day is not None:
            member = VAT_MEMBERS[usual_rate(day)]
            if self.model.member("СтавкиНДС", member):
                findings.append(Finding("ok", f"ставка НДС на {day:%d.%m.%Y}: {member}"))
            else:
                findings.append(
                    Finding("FAIL", f"ставки {member} на {day:%d.%m.%Y} нет в этой базе", "обновите релиз Бухгалтерии")
                )
        return findings


def usual_rate(day: date) -> str:
    """The base VAT rate of a date of shipment (FORMATS, section 5: law 425-ФЗ)."""
    if day < date(2019, 1, 1):
        return "18"
    return "20" if day < date(2026, 1, 1) else "22"


def _asked(talk: Generator[Call, Reply, Any], findings: list[Finding], what: str) -> Talk[tuple[bool, Any]]:
    """(whether 1C answered, what). A refusal becomes a finding: the doctor's other questions are still asked."""
    try:
        return True, (yield from talk)
    except Fault as fault:
        findings.append(Finding("FAIL", f"{what}: {fault.reason}"))
        return False, None
