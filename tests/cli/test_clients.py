"""`crm1c requisites`, `conflicts`, `duplicates`, `links`: what a person types about clients, and what he reads."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.bootstrap import World, build
from integration.settings import load
from integration.steps import listen
from integration.work import Clash, Link
from sandbox.onec.companies import valid_inn
from sandbox.registry import TOKEN, Registry
from sandbox.serve import serving
from tests.cli.shell import Shell, one_line

COUNTERPARTIES = "Catalog_Контрагенты"
REF = "5d0b3a8e-2f41-5c77-9e0d-1a2b3c4d5e6f"


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    with serving(Registry().wsgi()) as url:
        yield url


@pytest.fixture
def ready(shell: Shell, registry: str) -> Shell:
    shell.ready()
    shell.setup()
    file = shell.folder / "crm1c.toml"
    party = f'{registry}/suggestions/api/4_1/rs"\ntoken = "env:DADATA_TOKEN"'
    text = re.sub(r"(?ms)^#?\s*\[requisites.*?(?=^\[(?!requisites)|\Z)", "", file.read_text("utf-8"))
    file.write_text(f'{text}\n[requisites]\norder = ["onec", "dadata"]\n[requisites.dadata]\nbase_url = "{party}\n')
    shell.environ("DADATA_TOKEN", TOKEN)
    return shell


def world() -> World:
    return build(load(), lambda *_: None)


def test_requisites_for_people_and_for_programs(ready: Shell) -> None:
    said = ready.run("requisites", "7800000027", "--json")
    assert said.code == 0, said
    told = json.loads(said.out)
    promised = {"inn", "kpp", "ogrn", "name", "full_name", "address", "status", "source", "choices"}
    assert set(told) == promised | {"said"}
    assert told["said"]["kpp"]["source"] == "dadata"
    assert (told["source"], told["kpp"], told["choices"]) == ("dadata", "780001001", [])
    again = ready.run("requisites", "7800000027")
    assert "Найдено: 1С" in again.out
    assert "(DaData, " in again.out


def test_requisites_that_must_be_chosen(ready: Shell) -> None:
    ready.environ("COLUMNS", "200")
    said = ready.run("requisites", "7700000016")
    assert said.code == 0
    assert "Нужно выбрать" in said.out
    assert "540043001" in said.out
    assert "Найдено" in ready.run("requisites", "7700000016", "--kpp", "540043001").out


@pytest.mark.parametrize(
    ("inn", "told"),
    [("7800000028", "контрольная цифра"), ("7707083893", "не найден"), ("12", "нужно 10 или 12")],
)
def test_requisites_that_are_not_there(ready: Shell, inn: str, told: str) -> None:
    assert told in one_line(ready.run("requisites", inn))


# -- conflicts and doubles ------------------------------------------------------------------------------------------


@pytest.fixture
def clash(ready: Shell) -> Clash:
    found = world()
    link = Link("espo", "account", "acc1", "main", "counterparty", REF)
    made = Clash.of(link, "email", "a@a.example", "crm@a.example", "onec@a.example", "Изменено с обеих сторон.")
    with found.store.unit("clash") as unit:
        unit.links.bind(link)
        unit.parties.clash(made)
    found.close()
    return made


def test_a_conflict_is_listed_shown_and_resolved(ready: Shell, clash: Clash) -> None:
    ready.environ("COLUMNS", "200")
    assert "crm@a.example" in ready.run("conflicts", "list").out
    assert "Изменено с обеих сторон" in ready.run("conflicts", "show", clash.id[:8]).out
    said = ready.run("conflicts", "resolve", clash.id[:8], "--take", "onec")
    assert (said.code, "onec@a.example" in said.out) == (0, True)
    assert "взять из 1С" in ready.run("conflicts", "list").out
    assert "нет противоречия" in one_line(ready.run("conflicts", "show", "ffff"))


def test_no_conflicts_and_no_doubles(ready: Shell) -> None:
    assert ready.run("conflicts", "list").out == "Противоречий нет.\n"
    assert ready.run("duplicates", "list").out == "Предложений нет.\n"


# -- the first day --------------------------------------------------------------------------------------------------

SURE, BRANCH = valid_inn("770100001"), valid_inn("770100002")


@pytest.fixture
def two_bases(ready: Shell) -> Shell:
    """One client in both, one under two names, one double in the CRM, one in each alone."""
    onec = [
        {"Description": "Ромашка ООО", "НаименованиеПолное": "ООО «Ромашка»", "ИНН": SURE, "КПП": "770101001"},
        {"Description": "ООО Берёзовый двор", "НаименованиеПолное": "ООО «Берёзовый двор»"},
        {"Description": "Совсем Иное Предприятие", "ИНН": BRANCH, "КПП": "770101001"},
    ]
    ready.systems.onec.seed({COUNTERPARTIES: onec})
    for name, values in (
        ("ООО «Ромашка»", {"cInn": SURE, "cKpp": "770101001"}), ("Березовый двор, ООО", {}),
        ("Кристалл-Нева", {}), ("ООО Кристалл Нева", {}), ("Одинокий Утёс", {}),
    ):  # fmt: skip
        status, made = ready.systems.crm.act("ivanova", "POST", "Account", {"name": name, **values})
        assert status == 200, made
    return ready


def report(shell: Shell) -> list[dict[str, str]]:
    with Path(shell.folder, "crm1c-links", "links.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def test_nothing_is_written_until_it_is_confirmed(two_bases: Shell) -> None:
    said = two_bases.run("links", "build")
    assert said.code == 0, said
    assert "Ничего не записано" in said.out
    verdicts = {(row["итог"], row["название в CRM"], row["название в 1С"]) for row in report(two_bases)}
    assert ("связано", "ООО «Ромашка»", "Ромашка ООО") in verdicts
    assert ("предложено", "Березовый двор, ООО", "ООО Берёзовый двор") in verdicts
    assert ("без пары", "Одинокий Утёс", "") in verdicts
    assert ("без пары", "", "Совсем Иное Предприятие") in verdicts
    assert [row for row in report(two_bases) if row["итог"] == "двойник"]
    assert "связано: 1" in (two_bases.folder / "crm1c-links" / "links.html").read_text("utf-8")
    assert two_bases.run("links", "list").out == ""
    assert two_bases.run("duplicates", "list").out == "Предложений нет.\n"


def test_what_was_confirmed_stands_and_a_second_run_finds_nothing_new(two_bases: Shell) -> None:
    said = two_bases.run("links", "build", "--confirm")
    assert "Записано связей: 1" in said.out
    assert len(two_bases.run("links", "list").out.splitlines()) == 1
    two_bases.environ("COLUMNS", "200")
    assert "Берёзовый двор" in two_bases.run("duplicates", "list").out
    again = two_bases.run("links", "build", "--confirm")
    assert "Записано связей: 0" in again.out
    assert len(two_bases.run("links", "list").out.splitlines()) == 1


def test_a_proposal_is_accepted_or_refused_for_good(two_bases: Shell) -> None:
    two_bases.environ("COLUMNS", "300")
    two_bases.run("links", "build", "--confirm")
    found = {line.split()[0]: line for line in two_bases.run("duplicates", "list").out.splitlines()[1:]}
    link = next(name for name, line in found.items() if "CRM ↔ 1С" in line)
    double = next(name for name, line in found.items() if "двойник в CRM" in line)
    assert two_bases.run("duplicates", "accept", link).out == "Связано.\n"
    assert len(two_bases.run("links", "list").out.splitlines()) == 2
    assert two_bases.run("duplicates", "refuse", double).code == 0
    assert "уже решено" in one_line(two_bases.run("duplicates", "accept", double))
    two_bases.run("links", "build", "--confirm")
    assert double not in two_bases.run("duplicates", "list").out


def test_a_reading_that_broke_off_goes_on_where_it_was(two_bases: Shell) -> None:
    def break_off(boundary: str) -> None:
        if boundary == "страница контрагентов: before":
            raise KeyboardInterrupt

    end = listen(break_off)
    try:
        assert two_bases.run("links", "build").code != 0
    finally:
        end()
    before = len(two_bases.systems.crm_app.log.since())
    assert two_bases.run("links", "build").code == 0
    assert [
        one for one in two_bases.systems.crm_app.log.since() if one["n"] > before and "Account" in one["path"]
    ] == []


def test_a_confirmation_that_broke_off_is_finished_by_the_next_run(two_bases: Shell) -> None:
    """The links stand, the proposals don't yet: nothing is doubled, nothing is lost."""

    def break_off(boundary: str) -> None:
        if boundary == "proposals of the first day: before commit":
            raise KeyboardInterrupt

    end = listen(break_off)
    try:
        assert two_bases.run("links", "build", "--confirm").code != 0
    finally:
        end()
    assert len(two_bases.run("links", "list").out.splitlines()) == 1
    assert two_bases.run("duplicates", "list").out == "Предложений нет.\n"
    said = two_bases.run("links", "build", "--confirm")
    assert "Записано связей: 0" in said.out
    assert len(two_bases.run("links", "list").out.splitlines()) == 1
    assert "CRM ↔ 1С" in two_bases.run("duplicates", "list").out


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_links_come_from_a_file(ready: Shell, sign: str) -> None:
    (ready.folder / "links.csv").write_text(f"crm{sign}1c\nacc1{sign}{REF}\n", "utf-8-sig")
    said = ready.run("links", "import", "links.csv")
    assert "можно записать (--confirm): 1" in said.out
    assert ready.run("links", "list").out == ""
    assert "записано: 1" in ready.run("links", "import", "links.csv", "--confirm").out
    assert ready.run("links", "list").out == f"acc1\t{REF}\n"
    assert "уже были: 1" in ready.run("links", "import", "links.csv", "--confirm").out


def test_lines_that_make_no_link_are_told(ready: Shell) -> None:
    (ready.folder / "links.csv").write_text(f"acc1,{REF}\nacc2,нет\nacc3,{REF}\n", "utf-8")
    said: Any = ready.run("links", "import", "links.csv", "--confirm")
    assert said.code != 0
    assert "строка 2" in said.err
    assert "уже связаны" in said.err
    assert ready.run("links", "list").out == f"acc1\t{REF}\n"
