"""The report of a reconciliation: as JSON, as a page, as the text of a letter. It is made line by line, so that its
length costs no memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2

from integration.rules.accrual import spoken
from integration.rules.findings import ACTIONS, ENTITIES, FIELDS, KINDS, SIDES, Finding, Run, Tally

TEMPLATES = Path(__file__).parent / "templates" / "reconciliation"
VERDICTS = {"": "идёт", "ok": "всё сходится", "found": "есть находки", "alarm": "нужен человек"}
PARTS = {
    "documents": "документы 1С", "ledger": "взаиморасчёты", "counterparties": "контрагенты 1С",
    "clients": "клиенты CRM", "deals": "сделки CRM", "invoices": "счета без сделки",
    "bank": "выписки банка", "kpi": "показатели",
}  # fmt: skip
_WORDS = {"kinds": KINDS, "actions": ACTIONS, "entities": ENTITIES, "fields": FIELDS, "sides": SIDES}


def summary(run: Run, tallies: Iterable[Tally], zone: ZoneInfo) -> dict[str, Any]:
    """Everything but the findings. Times are ISO 8601 in `zone`, counts whole numbers."""
    found = list(tallies)
    counts = {kind: sum(one.count for one in found if one.kind == kind) for kind in KINDS}
    actions = {name: sum(one.count for one in found if one.action == name) for name in ("repaired", "held", "person")}
    ended = run.finished_at
    return {
        "id": run.id,
        "verdict": run.verdict or "running",
        "since": run.since.isoformat() if run.since else None,
        "started_at": run.started_at.astimezone(zone).isoformat(timespec="seconds"),
        "finished_at": ended.astimezone(zone).isoformat(timespec="seconds") if ended else None,
        "checked": sum(part.checked for part in run.parts),
        "counts": counts,
        "totals": {kind: dict(of) for kind, of in run.totals.items()},
        **actions,
        "parts": [
            {
                "name": part.name,
                "state": part.state,
                "checked": part.checked,
                "found": sum(one.count for one in found if one.part == part.name),
                "reason": part.reason or None,
            }
            for part in run.parts
        ],
    }


def line(part: str, one: Finding) -> dict[str, Any]:
    """One finding as JSON: `values` has each side's, as text."""
    return {
        "part": part,
        "kind": one.kind,
        "entity": one.entity,
        "title": one.title,
        "field": one.field or None,
        "values": dict(one.said),
        "crm": one.crm or None,
        "record": one.record or None,
        "base": one.base or None,
        "ref_key": one.ref_key or None,
        "date": one.day.isoformat() if one.day else None,
        "amount": None if one.amount is None else str(one.amount),
        "currency": one.currency or None,
        "action": one.action,
        "reason": one.reason,
    }


def page(told: Mapping[str, Any], found: Iterator[tuple[str, Finding]]) -> Iterator[str]:
    """The report as HTML, in Russian, piece by piece."""
    lines = (line(part, one) for part, one in found)
    yield from _template("report.html").generate(told=told, found=lines, verdicts=VERDICTS, parts=PARTS, **_WORDS)


def text(told: Mapping[str, Any]) -> str:
    """The summary as plain text."""
    return _template("report.txt").render(told=told, verdicts=VERDICTS, parts=PARTS, **_WORDS)


def subject(told: Mapping[str, Any]) -> str:
    """Of the letter."""
    counts: Mapping[str, int] = told["counts"]
    many = sum(counts.values())
    return f"crm1c, сверка {_day(told['started_at'])}: {VERDICTS.get(told['verdict'], '')}" + (
        f", расхождений {many}" if many else ""
    )


def lines_of(findings: Sequence[tuple[int, str, Finding]]) -> Iterator[tuple[str, Finding]]:
    """Without their numbers."""
    return ((part, one) for _, part, one in findings)


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"sum": _sum, "day": _day, "moment": _moment, "count": _count}
    return environment.get_template(name)


# -- as people read it -----------------------------------------------------------------------------------------------


def _sum(amount: str, currency: str | None) -> str:
    return spoken(Decimal(amount), currency or "").strip()


def _day(text: str) -> str:
    return f"{date.fromisoformat(text[:10]):%d.%m.%Y}"


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text):%d.%m.%Y %H:%M}"


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "\u00a0")
