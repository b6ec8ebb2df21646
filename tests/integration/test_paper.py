"""Papers as a client gets them: their text, their pages, their payment code; every page is also looked at as a picture.

CRM1C_PAPERS=FOLDER keeps the PDFs and the pictures there, for the eyes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from integration.errors import Misconfigured, Rejected
from integration.paper import TEMPLATES, Look, Press
from integration.rules.wording import file_name, initials, printed_number, quantity
from mappers.paper import BankAccount, Firm, Paper, PaperKind, PaperLine
from tests.integration.paper_reading import codes_of, pages_of, payment, pictures_of, rules_of, text_of

SUPPLIER = Firm(
    "ООО «Рассвет-Сервис»", "7707083893", "770701001", "1157746000120", "119019, г. Москва, ул. Новый Арбат, д. 21",
    "+7 495 000-00-00",
)  # fmt: skip
BUYER = Firm("ООО «Ромашка»", "7700000016", "770001001", address="101000, г. Москва, ул. Мясницкая, д. 1")
ACCOUNT = BankAccount("40702810500000000017", "АО «БАНК ПЕСОЧНИЦА»", "044525999", "30101810400000000999", "г. МОСКВА")
ROOT = Path(__file__).parents[2]
# The kind of name that registers hold: 300 letters, and one without a single space.
LONG = (
    "Федеральное государственное бюджетное образовательное учреждение дополнительного профессионального образования "
    "«Всероссийский научно-методический геолого-геофизический центр повышения квалификации имени академика Александра "
    "Александровича Трофимука при Сибирском отделении Российской академии»"
)
UNBROKEN = "ООО «" + "Межрегионпромстройгазкомплект" * 6 + "»"


def line(n: int, content: str = "") -> PaperLine:
    """A position of 1 220 roubles, VAT of 22 % in it; every fifth of 110 with 10 %."""
    net, rate, vat = ("1220.00", "22", "220.00") if n % 5 else ("110.00", "10", "10.00")
    named = content or f"Монтаж технологической линии, этап {n}: поставка и пусконаладочные работы"
    return PaperLine(named, Decimal(1), "усл. ед" if n % 2 else "шт", Decimal(net), Decimal(net), rate, Decimal(vat))


def paper(count: int = 1, **more: Any) -> Paper:
    lines = more.pop("lines", tuple(line(n) for n in range(1, count + 1)))
    made = Paper(
        "invoice", "0000-000057", date(2026, 11, 24), "RUB", SUPPLIER, BUYER, lines,
        sum((one.amount for one in lines), Decimal(0)), vat_included=True, account=ACCOUNT,
        contract="Договор № 12 от 01.10.2026", due=date(2026, 12, 1), director="Песочкина Вера Ильинична",
        director_post="Генеральный директор", accountant="Копейкин Лев",
    )  # fmt: skip
    return replace(made, **more)


@pytest.fixture(scope="module")
def press() -> Press:
    return Press(Look())


@pytest.fixture
def looked(request: pytest.FixtureRequest) -> Callable[[bytes], list[Any]]:
    """The pages as pictures, kept for the eyes where that is asked for; none of them touches the edge of its page."""

    def look(pdf: bytes) -> list[Any]:
        pictures = pictures_of(pdf)
        folder = os.environ.get("CRM1C_PAPERS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            stem = Path(folder) / request.node.name.replace("/", "_")[:120]
            Path(f"{stem}.pdf").write_bytes(pdf)
            for number, picture in enumerate(pictures, 1):
                picture.save(f"{stem}-{number}.png")
        for picture in pictures:
            assert inside(picture), "something is printed on the margin"
        return pictures

    return look


def inside(picture: Any, margin: float = 0.03) -> bool:
    """Nothing dark within the outermost 3 % of the page: text that is cut or runs out of its column would be there."""
    width, height = picture.size
    left, top = int(width * margin), int(height * margin)
    middle = Image.new("L", picture.size, 0)
    ImageDraw.Draw(middle).rectangle((left, top, width - left, height - top), fill=255)
    edge = Image.composite(Image.new("L", picture.size, 255), picture.convert("L"), middle)
    return bool(edge.getextrema()[0] > 128)


# What stands there


def test_the_invoice_says_everything_in_its_customary_words(press: Press, looked: Callable[[bytes], list[Any]]) -> None:
    """Bank block, sides, lines, VAT by rate, totals in figures and words, who signs."""
    pdf = press.pdf(paper(6))
    looked(pdf)
    text = text_of(pdf)
    for said in (
        "АО «БАНК ПЕСОЧНИЦА», г. МОСКВА", "БИК 044525999", "30101810400000000999", "40702810500000000017",
        "ИНН 7707083893", "КПП 770701001", "Банк получателя", "Получатель",
        "Счет на оплату № 57 от 24 ноября 2026 г.",
        "ООО «Рассвет-Сервис», ИНН 7707083893, КПП 770701001, 119019, г. Москва, ул. Новый Арбат, д. 21, тел.:",
        "ООО «Ромашка», ИНН 7700000016, КПП 770001001, 101000, г. Москва, ул. Мясницкая, д. 1",
        "Договор № 12 от 01.10.2026", "Монтаж технологической линии, этап 6: поставка и пусконаладочные работы",
        "Итого: 6 210,00", "В том числе НДС 22 %: 1 100,00", "В том числе НДС 10 %: 10,00", "Всего к оплате: 6 210,00",
        "Всего наименований 6, на сумму 6 210,00 руб.", "Шесть тысяч двести десять рублей 00 копеек",
        "Оплатить не позднее 01.12.2026", "Генеральный директор", "Песочкина В. И.", "Бухгалтер", "Копейкин Л.",
    ):  # fmt: skip
        assert said in text, said
    assert pages_of(pdf) == 1


@pytest.mark.parametrize(("count", "pages"), [(1, 1), (30, 2), (200, 7)])
def test_any_number_of_lines_has_its_place(
    press: Press, looked: Callable[[bytes], list[Any]], count: int, pages: int
) -> None:
    """Every line is there in order, the head of the table on each page, the signatures whole on the last."""
    pdf = press.pdf(paper(count))
    assert len(looked(pdf)) == pages_of(pdf) == pages
    text = text_of(pdf)
    places = [text.index(f"этап {n}:") for n in range(1, count + 1)]
    assert places == sorted(places)
    assert text.count("Товары (работы, услуги)") == pages
    if pages > 1:
        assert f"стр. {pages} из {pages}" in text


def letters(text: str) -> str:
    """Letters and digits alone: readers take a hyphen that ends a line for hyphenation."""
    return "".join(one for one in text if one.isalnum())


@pytest.mark.parametrize("name", [LONG, UNBROKEN])
def test_the_longest_names_wrap_within_their_cells(
    press: Press, looked: Callable[[bytes], list[Any]], name: str
) -> None:
    """On both sides, in the bank block, in a line, in the contract: all of it is there."""
    firm, bank = replace(SUPPLIER, name=name, address=name), replace(ACCOUNT, bank=name)
    pdf = press.pdf(paper(supplier=firm, buyer=firm, account=bank, contract=name, lines=(line(1, name), line(2, name))))
    looked(pdf)
    assert letters(text_of(pdf)).count(letters(name)) == 9


def test_the_act_is_signed_by_both_sides(press: Press, looked: Callable[[bytes], list[Any]]) -> None:
    """Its own words; no bank, no code."""
    pdf = press.pdf(paper(3, kind="act"))
    looked(pdf)
    text = text_of(pdf)
    for said in ("Акт № 57 от 24 ноября 2026 г.", "Исполнитель", "Заказчик", "выполнены полностью и в срок", "М. П."):
        assert said in text
    assert "БИК" not in text
    assert codes_of(pdf) == []


@pytest.mark.parametrize(("count", "pages"), [(1, 1), (30, 2), (200, 7)])
def test_an_act_of_any_length_has_its_signatures_whole(
    press: Press, looked: Callable[[bytes], list[Any]], count: int, pages: int
) -> None:
    """Every line in order, both sides sign on the last page."""
    pdf = press.pdf(paper(count, kind="act", account=None, due=None))
    assert len(looked(pdf)) == pages
    text = text_of(pdf)
    places = [text.index(f"этап {n}:") for n in range(1, count + 1)]
    assert places == sorted(places)
    assert text.count("М. П.") == 2
    assert text.index("выполнены полностью") > places[-1]


def test_an_act_of_goods_says_so(press: Press) -> None:
    """Handed over, not only done."""
    assert "товары переданы" in text_of(press.pdf(paper(kind="act", account=None, goods=True)))
    assert "товары переданы" not in text_of(press.pdf(paper(kind="act", account=None)))


POST = "Исполняющий обязанности генерального директора по доверенности № 15 от 01.02.2026"
NAME = "Константинопольский-Заволжский Александр Александрович"


@pytest.mark.parametrize("kind", ["invoice", "act"])
@pytest.mark.parametrize(("post", "name"), [("Директор", "Ким Л."), (POST, NAME), ("", ""), (POST, ""), ("", NAME)])
def test_there_is_always_room_to_sign(
    press: Press, looked: Callable[[bytes], list[Any]], kind: PaperKind, post: str, name: str
) -> None:
    """However long the post and the name are: two lines of at least 15 mm, lowest on the page."""
    pdf = press.pdf(paper(kind=kind, director=name, director_post=post, accountant=name))
    looked(pdf)
    lines = rules_of(pdf)[:2]
    assert all(15 < length < 100 for length in lines), lines
    if post:
        assert letters(post) in letters(text_of(pdf))


@pytest.mark.parametrize("name", [LONG, UNBROKEN])
def test_the_longest_names_wrap_in_an_act_too(press: Press, looked: Callable[[bytes], list[Any]], name: str) -> None:
    """On both sides, twice each, in the contract and in the lines."""
    firm = replace(SUPPLIER, name=name, address="")
    lines = (line(1, name), line(2, name))
    pdf = press.pdf(paper(kind="act", account=None, supplier=firm, buyer=firm, contract=name, lines=lines))
    looked(pdf)
    assert letters(text_of(pdf)).count(letters(name)) == 7


def test_the_greatest_sum_and_the_longest_unit_have_their_columns(
    press: Press, looked: Callable[[bytes], list[Any]]
) -> None:
    """999 999 999 999.99, with thousandths of a long unit."""
    total = Decimal("999999999999.99")
    big = replace(
        line(1), price=Decimal("987654321.99"), quantity=Decimal("12345.678"), amount=total, unit="тыс. пог. м"
    )
    pdf = press.pdf(paper(lines=(big,)))
    looked(pdf)
    assert "12 345,678 тыс. пог. м 987 654 321,99 999 999 999 999,99" in text_of(pdf)
    assert payment(pdf)["Sum"] == "99999999999999"


# VAT and currencies


def test_vat_on_top_is_added_to_the_lines(press: Press) -> None:
    """A document whose sums are without VAT."""
    lines = (PaperLine("Работы", Decimal(2), "ч", Decimal(500), Decimal("1000.00"), "22", Decimal("220.00")),)
    text = text_of(press.pdf(paper(lines=lines, total=Decimal("1220.00"), vat_included=False)))
    assert "Итого: 1 000,00 НДС 22 %: 220,00 Всего к оплате: 1 220,00" in text


def test_a_paper_without_vat_says_so(press: Press) -> None:
    """No rate at all."""
    lines = (PaperLine("Работы", Decimal("1.5"), "ч", Decimal(500), Decimal("750.00"), "none", Decimal(0)),)
    pdf = press.pdf(paper(lines=lines))
    assert "Без налога (НДС)" in text_of(pdf)
    assert "1,5 ч 500,00 750,00" in text_of(pdf)
    assert payment(pdf)["Purpose"].endswith("Без НДС.")


@pytest.mark.parametrize(("currency", "words"), [("USD", "долларов США"), ("EUR", "евро"), ("CNY", "китайских юаней")])
def test_another_currency_has_its_words_and_no_code(press: Press, currency: str, words: str) -> None:
    """The standard knows roubles alone."""
    lines = (replace(line(1), price=Decimal(1000), amount=Decimal("1000.00")),)
    pdf = press.pdf(paper(lines=lines, currency=currency))
    assert f"Одна тысяча {words} 00" in text_of(pdf)
    assert codes_of(pdf) == []


def test_a_paper_whose_sums_do_not_agree_is_not_printed(press: Press) -> None:
    """What a client would pay wrongly waits for a person."""
    with pytest.raises(Rejected, match="не сходится"):
        press.pdf(paper(total=Decimal("1219.99")))


# The payment code


@pytest.mark.parametrize("supplier", [SUPPLIER, replace(SUPPLIER, name=LONG[:150]), replace(SUPPLIER, name=UNBROKEN)])
def test_the_code_read_by_another_library_gives_every_field(press: Press, supplier: Firm) -> None:
    """From the page as a picture, as a bank's app does it."""
    found = payment(press.pdf(paper(30, supplier=supplier)))
    name = found.pop("Name")
    assert supplier.name.startswith(name)
    assert len(name) > 50 or name == supplier.name
    total = sum(one.amount for one in paper(30).lines)
    vat = sum(one.vat for one in paper(30).lines)
    assert found == {
        "PersonalAcc": ACCOUNT.number,
        "BankName": ACCOUNT.bank,
        "BIC": ACCOUNT.bic,
        "CorrespAcc": ACCOUNT.correspondent,
        "PayeeINN": supplier.inn,
        "KPP": supplier.kpp,
        "Sum": str(int(total * 100)),
        "Purpose": f"Оплата по счету № 57 от 24.11.2026. В том числе НДС {vat:.2f} руб.",
    }


def test_a_paper_without_a_russian_account_or_by_wish_has_no_code(press: Press) -> None:
    """And stands all the same."""
    foreign = BankAccount("DE89370400440532013000", "COMMERZBANK")
    assert codes_of(press.pdf(paper(account=foreign))) == []
    assert codes_of(press.pdf(paper(account=None))) == []
    assert codes_of(Press(Look(qr=False)).pdf(paper())) == []


# The same paper, the same bytes; another look


def test_the_same_paper_gives_the_same_bytes() -> None:
    """In another process too, with other hashes and another clock's zone: no chance, no font of the machine."""
    first, second = Press(Look()), Press(Look())
    assert first.pdf(paper(3)) == second.pdf(paper(3)) == first.pdf(paper(3))
    assert first.pdf(paper(3)) != first.pdf(paper(2))
    told = "from tests.integration.test_paper import *; print(sha256(Press(Look()).pdf(paper(3))).hexdigest())"
    environ = {"PYTHONHASHSEED": "4711", "TZ": "Asia/Tokyo", "HOME": "/nonexistent"}
    argv = [sys.executable, "-c", told]
    said = subprocess.run(argv, env=environ, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.strip() == sha256(first.pdf(paper(3))).hexdigest()


def test_logo_stamp_and_signers_of_the_settings_are_printed(
    tmp_path: Path, looked: Callable[[bytes], list[Any]]
) -> None:
    """Pictures of any of the three kinds; names of the settings win over 1C's."""
    logo, stamp = tmp_path / "logo.png", tmp_path / "stamp.png"
    Image.new("RGB", (300, 100), "darkgreen").save(logo)
    round_ = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    ImageDraw.Draw(round_).ellipse((10, 10, 290, 290), outline=(30, 60, 200, 255), width=8)
    round_.save(stamp)
    look = Look(logo=logo.read_bytes(), stamp=stamp.read_bytes(), director="Иванов Пётр", director_post="Директор")
    pdf = Press(look).pdf(paper(3))
    [picture] = looked(pdf)
    colours = {colour for _, colour in picture.getcolors(1 << 24)}
    assert (0, 100, 0) in colours
    assert any(blue > 180 and red < 80 for red, _, blue in colours)
    assert "Иванов П." in text_of(pdf)
    assert codes_of(pdf)


def test_an_own_template_stands_in_place_of_ours(tmp_path: Path) -> None:
    """It may use common.typ and pictures beside it."""
    (tmp_path / "common.typ").write_text((TEMPLATES / "common.typ").read_text())
    (tmp_path / "mine.typ").write_text('#import "common.typ": *\n#show: sheet.with(data.title)\nИтак: #data.total')
    assert text_of(Press(Look(template=tmp_path / "mine.typ")).pdf(paper())) == "Итак: 1 220,00"


def test_a_template_that_is_changed_is_read_anew(tmp_path: Path) -> None:
    """By the very next paper of a process that runs, shared parts too."""
    mine, common = tmp_path / "mine.typ", tmp_path / "common.typ"
    common.write_text("#let greeting = [Первый]")
    mine.write_text('#import "common.typ": *\n#greeting')
    press = Press(Look(template=mine))
    assert text_of(press.pdf(paper())) == "Первый"
    common.write_text("#let greeting = [Второй]")
    assert text_of(press.pdf(paper())) == "Второй"
    mine.write_text("Третий")
    assert text_of(press.pdf(paper())) == "Третий"


def test_a_broken_template_is_told_to_the_administrator(tmp_path: Path) -> None:
    """With its name and what the compiler said."""
    (tmp_path / "mine.typ").write_text("#let x = \n#nothing")
    with pytest.raises(Misconfigured, match=r"mine\.typ не собирается"):
        Press(Look(template=tmp_path / "mine.typ")).pdf(paper())


def test_what_people_write_is_text_and_never_code(press: Press) -> None:
    """Typst's own signs in a name print as they are."""
    name = 'ООО "#panic(1)" $x^2$ *b* _i_ \\ `c` <a> @b'
    assert name in text_of(press.pdf(paper(buyer=replace(BUYER, name=name), lines=(line(1, name),))))


# How things are written


@pytest.mark.parametrize(
    ("number", "printed"),
    [("0000-000057", "57"), ("РС00-000057", "РС-57"), ("0Р00-000100", "Р-100"), ("57", "57"), ("А-17/2", "А-17/2"),
     ("00БП-000003", "3"), ("СЛ00-000214", "СЛ-214")],
)  # fmt: skip
def test_numbers_are_printed_as_1c_prints_them(number: str, printed: str) -> None:
    """Without the infobase's prefix and leading zeros."""
    assert printed_number(number) == printed


def test_files_are_called_so_that_any_system_takes_them() -> None:
    """No slash, no colon."""
    assert file_name("invoice", "А/17:2", date(2026, 1, 2)) == "Счет № А_17_2 от 02.01.2026.pdf"


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("Песочкина Вера Ильинична", "Песочкина\u00a0В.\u00a0И."),
        ("Петров И. С.", "Петров И. С."),
        ("Ким", "Ким"),
        ("", ""),
    ],
)
def test_signers_have_initials(name: str, short: str) -> None:
    """As under every paper."""
    assert initials(name) == short


@pytest.mark.parametrize(
    ("number", "text"), [("1.500", "1,5"), ("10", "10"), ("1200", "1\u00a0200"), ("0.001", "0,001")]
)
def test_quantities_have_no_idle_zeros(number: str, text: str) -> None:
    """And a comma."""
    assert quantity(Decimal(number)) == text
