"""crm1c papers: what was printed for a deal, a kept PDF, and any document of 1C drawn on the spot."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from integration.settings import load
from integration.store.engine import connect
from integration.store.store import SqlStore
from sandbox.onec.companies import ref
from tests.cli.shell import SECRETS, Shell, one_line
from tests.integration.paper_reading import text_of
from tests.store.printed import ACT, DEAL, keep_papers

SALE = "Document_РеализацияТоваровУслуг"


@pytest.fixture
def printed(shell: Shell) -> Shell:
    shell.ready()
    settings = load(shell.folder / "crm1c.toml", SECRETS)
    engine = connect(settings.database.url)
    keep_papers(SqlStore(engine, lambda: datetime.now(UTC), settings.delivery, lambda *_: None))
    engine.dispose()
    return shell


def test_papers_of_a_deal_are_listed(printed: Shell) -> None:
    """A line a version, an act with the name that it is taken by."""
    assert printed.run("papers", "list", "espo", DEAL).out.splitlines() == [
        "счёт № 57 от 24.11.2026, версия 1: отправлен 24.11.2026 09:00 UTC: buh@romashka.example",
        "счёт № 57 от 24.11.2026, версия 2: не отправлялся",
        f"акт {ACT} № 31 от 24.11.2026, версия 1: не отправлялся",
    ]
    assert "ничего не напечатано" in printed.run("papers", "list", "espo", "other").out
    assert "нет [crm.suite]" in one_line(printed.run("papers", "list", "suite", DEAL))


def test_a_kept_pdf_is_written_to_a_file(printed: Shell) -> None:
    """Under its own name, or where it is asked for."""
    assert printed.run("papers", "get", "espo", DEAL).code == 0
    assert (printed.folder / "Счет № 57 от 24.11.2026.pdf").read_bytes() == b"%PDF-1.7 second"
    assert printed.run("papers", "get", "espo", DEAL, "--act", ACT, "--out", "акт.pdf").code == 0
    assert (printed.folder / "акт.pdf").read_bytes() == b"%PDF-1.7 act"
    assert "Такого PDF нет" in one_line(printed.run("papers", "get", "espo", DEAL, "--version", "1"))


def test_an_administrator_makes_the_templates_his_own(shell: Shell) -> None:
    """As docs/papers.md has it: copied, changed, named in the settings, looked at; what he changed is left alone."""
    shell.ready()
    copied = shell.run("papers", "templates", "шаблоны").out.splitlines()
    names = "act.typ common.typ invoice.typ act_body.html act_body.txt act_subject.txt body.html body.txt subject.txt"
    assert copied == [f"шаблоны/{name}" for name in names.split()]
    for kind, words in (("invoice", "Работаем с 1999 года"), ("act", "Спасибо за работу")):
        file = shell.folder / "шаблоны" / f"{kind}.typ"
        file.write_text(f"{file.read_text('utf-8')}\n{words}, {{#data.supplier.name}}.", "utf-8")
    (shell.folder / "шаблоны" / "subject.txt").write_text("Ваш счёт {{ number }}", "utf-8")
    assert shell.run("papers", "templates", "шаблоны").out == ""
    files = 'template = "шаблоны/invoice.typ"\nact_template = "шаблоны/act.typ"'
    shell.configure("[invoicing]", f"[paper]\n{files}\n[invoicing]")
    for kind, words in (("invoice", "Работаем с 1999 года"), ("act", "Спасибо за работу")):
        assert shell.run("papers", "sample", kind, "--out", "образец.pdf").code == 0
        text = text_of((shell.folder / "образец.pdf").read_bytes())
        assert f"{words}, {{ООО «Образец»}}." in text
        assert "№ 1 от 24 ноября 2026 г." in text


def test_english_letters_are_shipped_too(shell: Shell) -> None:
    """--language en."""
    shell.ready()
    shell.run("papers", "templates", "letters", "--language", "en")
    assert "Please pay by" in (shell.folder / "letters" / "body.txt").read_text("utf-8")


def test_a_template_that_does_not_compile_is_told_with_its_place(shell: Shell) -> None:
    """One line, exit 1, no file."""
    shell.ready()
    (shell.folder / "mine.typ").write_text("#nothing", "utf-8")
    shell.configure("[invoicing]", '[paper]\ntemplate = "mine.typ"\n[invoicing]')
    assert "mine.typ не собирается: unknown variable: nothing" in one_line(shell.run("papers", "sample", "invoice"))
    assert not list(shell.folder.glob("*.pdf"))


def test_a_document_of_1c_is_drawn_on_the_spot(shell: Shell) -> None:
    """Nothing is sent; what isn't posted, or where printing isn't set up, is told."""
    shell.ready()
    line = {"LineNumber": 1, "Содержание": "Монтаж", "Количество": 1, "Цена": 1220, "Сумма": 1220, "СтавкаНДС": "НДС22"}
    head = {"Организация_Key": ref("organisation"), "Контрагент_Key": ref("client"), "ВалютаДокумента_Key": ref("RUB")}
    act = {**head, "Number": "0000-000031", "Date": "2026-11-24T10:00:00", "Posted": True, "Услуги": [line]}
    act |= {"СуммаДокумента": 1220, "СуммаВключаетНДС": True}
    client = {"Ref_Key": ref("client"), "Description": "Ромашка ООО", "ИНН": "7700000016"}
    made = shell.systems.onec.seed({"Catalog_Контрагенты": [client], SALE: [act, {**act, "Posted": False}]})[SALE]
    assert "таблицу [paper]" in one_line(shell.run("papers", "draw", "act", made[0]))
    shell.configure("[invoicing]", "[paper]\n[invoicing]")
    said = shell.run("papers", "draw", "act", made[0], "--out", "акт.pdf")
    assert said.code == 0, said.err
    text = text_of((shell.folder / "акт.pdf").read_bytes())
    assert "Акт № 31 от 24 ноября 2026 г." in text
    assert "Ромашка" in text
    assert "не проведён" in one_line(shell.run("papers", "draw", "act", made[1]))
    assert "--base" in one_line(shell.run("papers", "draw", "act", made[0], "--base", "other"))
