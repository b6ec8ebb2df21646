"""Papers: the invoice (счёт на оплату) and the act as PDF, typeset by Typst from a template that an admin may replace.

No system library, no system font, no clock: the same paper gives the same bytes on every machine.
"""

from __future__ import annotations

import io
import json
import threading
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import segno
import typst

from integration.errors import Misconfigured, Rejected
from integration.rules.inwords import sum_in_words
from integration.rules.payqr import pay_text
from integration.rules.wording import (
    SIGNS,
    file_name,
    initials,
    money,
    printed_number,
    purpose,
    quantity,
    rate_name,
    soft,
    title,
)
from integration.settings import Paper as PaperTable
from integration.settings import Settings
from mappers.paper import Firm, Paper, PaperKind

TEMPLATES = Path(__file__).parent / "templates"
NOTICE = "Оплата данного счета означает согласие с условиями поставки. Уведомление об оплате обязательно."


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the settings say of papers ([paper]); pictures are the bytes of PNG, JPEG or SVG files."""

    template: Path = TEMPLATES / "invoice.typ"
    act_template: Path = TEMPLATES / "act.typ"
    fonts: Path | None = None
    logo: bytes = b""
    stamp: bytes = b""
    director: str = ""
    director_post: str = ""
    accountant: str = ""
    notice: str = NOTICE
    qr: bool = True
    folder: Path | None = None


def look_of(settings: Settings) -> Look:
    """[paper] as a look, files found from the configuration's folder. Raises Misconfigured for one that isn't there."""
    table, folder = settings.paper or PaperTable(), settings.origin.parent if settings.origin else Path()

    def found(name: str, file: str | None) -> Path | None:
        if file is None:
            return None
        path = folder / file
        if not path.exists():
            raise Misconfigured(f"[paper] {name}: файла {path} нет. Исправьте имя или положите файл туда.")
        return path

    def picture(name: str, file: str | None) -> bytes:
        path = found(name, file)
        return path.read_bytes() if path else b""

    return Look(
        template=found("template", table.template) or TEMPLATES / "invoice.typ",
        act_template=found("act_template", table.act_template) or TEMPLATES / "act.typ",
        fonts=found("fonts", table.fonts),
        logo=picture("logo", table.logo),
        stamp=picture("stamp", table.stamp),
        director=table.director or "",
        director_post=table.director_post or "",
        accountant=table.accountant or "",
        notice=table.notice or NOTICE,
        qr=table.qr,
        folder=folder / table.folder if table.folder else None,
    )


class Press:
    """Makes papers. One at a time: a compiler keeps what it has read between them."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self._guard = threading.Lock()
        self._compilers: dict[Path, typst.Compiler] = {}
        self._pictures = {
            name: json.dumps(list(picture) or None) for name, picture in (("logo", look.logo), ("stamp", look.stamp))
        }

    def pdf(self, paper: Paper) -> bytes:
        """The paper as PDF. Raises Rejected when its sums don't agree, Misconfigured when the template is broken."""
        template = self.look.template if paper.kind == "invoice" else self.look.act_template
        inputs = {"data": json.dumps(told(paper, self.look), ensure_ascii=False), **self._pictures}
        made = datetime(paper.day.year, paper.day.month, paper.day.day, tzinfo=UTC)
        try:
            with self._guard:
                pdf = self._compiler(template).compile(format="pdf", sys_inputs=inputs, timestamp=made)
        except (typst.TypstError, OSError) as error:
            reason = f"Шаблон {template.name} не собирается: {error}. Администратору: исправьте его ([paper])."
            raise Misconfigured(reason, detail=str(getattr(error, "diagnostic", ""))) from error
        assert isinstance(pdf, bytes)
        return pdf

    def named(self, kind: PaperKind, number: str, day: date) -> str:
        return file_name(kind, number, day)

    def facts(self, paper: Paper) -> dict[str, Any]:
        """What a letter tells of the paper."""
        made = self.known(paper.number, paper.day, paper.total, paper.currency, paper.supplier.name)
        made["due"] = f"{paper.due:%d.%m.%Y}" if paper.due else ""
        made["qr"] = self.look.qr and bool(_pay_text(paper))
        return made

    def known(self, number: str, day: date, total: Decimal, currency: str, supplier: str) -> dict[str, Any]:
        """What a letter tells of a paper that was made elsewhere."""
        return {
            "number": printed_number(number),
            "date": f"{day:%d.%m.%Y}",
            "total": money(total),
            "currency": SIGNS.get(currency, currency),
            "supplier": supplier,
            "due": "",
            "qr": False,
        }

    def shelve(self, name: str, pdf: bytes) -> None:
        """Put a copy into the folder, where there is one. Raises Misconfigured when it can't be written."""
        if self.look.folder is None:
            return
        try:
            self.look.folder.mkdir(parents=True, exist_ok=True)
            (self.look.folder / name).write_bytes(pdf)
        except OSError as error:
            reason = f"Папка {self.look.folder} не принимает копию PDF: {error.strerror}. Проверьте [paper] folder."
            raise Misconfigured(reason) from error

    def _compiler(self, template: Path) -> typst.Compiler:
        """Made at the first paper: its fonts are read once, and its threads belong to this process."""
        if template not in self._compilers:
            folders = [str(folder) for folder in (TEMPLATES / "fonts", self.look.fonts) if folder]
            fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=folders)
            self._compilers[template] = typst.Compiler(str(template), root=str(template.parent), font_paths=fonts)
        return self._compilers[template]


def told(paper: Paper, look: Look) -> dict[str, Any]:
    """Everything that a template may show, as texts ready to stand there. Raises Rejected when sums don't agree."""
    summed = sum((line.amount for line in paper.lines), Decimal(0))
    taxed = sum((line.vat for line in paper.lines), Decimal(0))
    if summed + (0 if paper.vat_included else taxed) != paper.total:
        raise Rejected(
            f"{title(paper)}: сумма строк не сходится с суммой документа ({money(paper.total)}). Исправьте его в 1С."
        )
    account, supplier = paper.account, paper.supplier
    return {
        "kind": paper.kind,
        "title": title(paper),
        "number": printed_number(paper.number),
        "year": paper.day.year,
        "month": paper.day.month,
        "day": paper.day.day,
        "supplier": _firm(supplier),
        "buyer": _firm(paper.buyer),
        "person": len(supplier.inn) == 12,
        "account": account
        and {
            "number": account.number,
            "bank": soft(", ".join(part for part in (account.bank, account.city) if part)),
            "bic": account.bic,
            "correspondent": account.correspondent,
        },
        "contract": soft(paper.contract),
        "lines": [
            {
                "n": str(n),
                "content": soft(line.content),
                "quantity": quantity(line.quantity),
                "unit": line.unit,
                "price": money(line.price),
                "amount": money(line.amount),
                "vat_rate": rate_name(line.vat_rate),
                "vat": money(line.vat),
            }
            for n, line in enumerate(paper.lines, 1)
        ],
        "count": str(len(paper.lines)),
        "sum": money(summed),
        "vat": _vat(paper),
        "total": money(paper.total),
        "currency": SIGNS.get(paper.currency, paper.currency),
        "words": sum_in_words(paper.total, paper.currency),
        "due": f"{paper.due:%d.%m.%Y}" if paper.due else "",
        "director": initials(look.director or paper.director),
        "director_post": look.director_post or paper.director_post or "Руководитель",
        "accountant": initials(look.accountant or paper.accountant),
        "notice": look.notice,
        "stamped": bool(look.stamp),
        "goods": paper.goods,
        "qr": _qr(paper) if look.qr else "",
    }


def _firm(firm: Firm) -> dict[str, str]:
    codes = [f"{name} {value}" for name, value in (("ИНН", firm.inn), ("КПП", firm.kpp)) if value]
    phone = f"тел.: {firm.phone}" if firm.phone else ""
    whole = ", ".join(part for part in (firm.name, *codes, firm.address, phone) if part)
    return {
        "name": soft(firm.name),
        "inn": firm.inn,
        "kpp": firm.kpp,
        "ogrn": firm.ogrn,
        "address": soft(firm.address),
        "phone": firm.phone,
        "whole": soft(whole),
    }


def _vat(paper: Paper) -> list[dict[str, str]]:
    """VAT by rate, the highest first; a paper without any says so."""
    by_rate: dict[str, Decimal] = defaultdict(Decimal)
    for line in paper.lines:
        if line.vat_rate != "none":
            by_rate[line.vat_rate] += line.vat
    if not by_rate:
        return [{"name": "Без налога (НДС)", "sum": "–"}]
    named = "В том числе НДС" if paper.vat_included else "НДС"
    rates = sorted(by_rate, key=Decimal, reverse=True)
    return [{"name": f"{named} {rate_name(rate)}:", "sum": money(by_rate[rate])} for rate in rates]


def _pay_text(paper: Paper) -> str:
    """What the payment code says; empty where the standard has none: another currency, an act, no Russian account."""
    if paper.kind != "invoice" or paper.currency != "RUB" or paper.account is None:
        return ""
    try:
        return pay_text(paper.supplier, paper.account, paper.total, purpose(paper))
    except ValueError:
        return ""


def _qr(paper: Paper) -> str:
    """The payment code as SVG, where there is one."""
    text = _pay_text(paper)
    if not text:
        return ""
    # The mask is given: choosing the prettiest of eight costs more than all else, and readers take any (ISO 18004).
    code = segno.make_qr(text.encode(), error="m", mode="byte", mask=3, boost_error=False)
    picture = io.BytesIO()
    code.save(picture, kind="svg", border=4, xmldecl=False)
    return picture.getvalue().decode()
