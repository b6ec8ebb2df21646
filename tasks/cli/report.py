"""The report of the first day: every line in a CSV, the first of each kind on a page."""

from __future__ import annotations

import csv
import html
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from integration.flows.firstday import Findings, Row

VERDICTS = {"linked": "связано", "proposed": "предложено", "doubled": "двойник", "unmatched": "без пары"}
SHOWN_IN_HTML = 2000  # lines of one kind; all of them are in the CSV
COLUMNS = (
    *("итог", "id в CRM", "название в CRM", "ИНН в CRM", "КПП в CRM"),
    *("ссылка 1С", "название в 1С", "ИНН в 1С", "КПП в 1С", "сходство", "причины"),
)


def write(folder: Path, rows: Iterator[Row], findings: Findings) -> None:
    """links.csv as the rows come, then links.html with the first of each kind."""
    shown: dict[str, list[list[str]]] = {name: [] for name in VERDICTS}
    with (folder / "links.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(COLUMNS)
        for row in rows:
            cells = _cells(row)
            writer.writerow([_harmless(cell) for cell in cells])
            if len(shown[row.verdict]) < SHOWN_IN_HTML:
                shown[row.verdict].append(cells)
    with (folder / "links.html").open("w", encoding="utf-8") as page:
        _page(page, shown, findings)


def _cells(row: Row) -> list[str]:
    ours, theirs = row.account, row.counterparty
    left = [ours.id, ours.name, ours.inn, ours.kpp] if ours else [""] * 4
    right = [theirs.id, theirs.name, theirs.inn, theirs.kpp] if theirs else [""] * 4
    score = f"{row.score:.2f}" if row.score else ""
    return [VERDICTS[row.verdict], *left, *right, score, "; ".join(row.reasons)]


def _harmless(cell: str) -> str:
    """A spreadsheet takes what begins like a formula for one."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t") else cell


def _page(page: IO[str], shown: dict[str, list[list[str]]], findings: Findings) -> None:
    page.write(
        '<!doctype html><html lang="ru"><meta charset="utf-8"><title>crm1c: первый день</title><style>'
        "body{font:14px/1.4 sans-serif;margin:2em}table{border-collapse:collapse;margin:0 0 2em}"
        "td,th{border:1px solid #ccc;padding:3px 8px;text-align:left;vertical-align:top}th{background:#f3f3f3}</style>"
        "<h1>Клиенты CRM и контрагенты 1С</h1>"
    )
    for name, label in VERDICTS.items():
        count = findings.counts[name]
        page.write(f"<h2>{label}: {count}</h2>")
        if not shown[name]:
            continue
        if count > len(shown[name]):
            page.write(f"<p>Показаны первые {len(shown[name])}; все — в links.csv.</p>")
        page.write("<table><tr>" + "".join(f"<th>{title}</th>" for title in COLUMNS[1:]) + "</tr>")
        for cells in shown[name]:
            page.write("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells[1:]) + "</tr>")
        page.write("</table>")
    page.write("</html>\n")
