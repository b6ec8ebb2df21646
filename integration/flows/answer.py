"""What the chain of requisites comes to, and what is kept of it for a while: answers of registries with their time, and
an answer that others wait for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from integration.rules.provenance import Said
from integration.rules.requisites import Choice, as_json, decided, from_json
from integration.services import Services
from mappers.canonical import Requisites

SHARED = 30.0  # seconds for which an answer is kept for those who asked while it was being found


@dataclass(frozen=True, slots=True)
class Answer:
    """What the chain came to. `row` None: not found, or a choice. `source`: who answered. `skipped`: sources that could
    not be asked, with the reason. `saved`: what was written down, or is owed. `at`: when the source said it. `base`,
    `ref_key`: the one counterparty of 1C that it is. `said`: field → (who said it, when; provenance)."""

    inn: str
    row: Requisites | None = None
    choices: tuple[Choice, ...] = ()
    source: str = ""
    skipped: tuple[tuple[str, str], ...] = ()
    asked: tuple[str, ...] = ()
    saved: tuple[str, ...] = ()
    at: str = ""
    base: str = ""
    ref_key: str = ""
    said: Said = field(default_factory=dict)

    @property
    def found(self) -> bool:
        return self.row is not None or bool(self.choices)

    def told(self) -> dict[str, Any]:
        """As GET /api/requisites and `crm1c requisites --json` give it (INTERFACES)."""
        shown = self.row or Requisites(inn=self.inn, source=self.source)
        names = ("inn", "kpp", "ogrn", "name", "full_name", "address", "status")
        made = {name: getattr(shown, name) for name in names}
        choices = [
            {name: getattr(one.row, name) for name in (*names, "is_branch")} | {"reason": one.reason}
            for one in self.choices
        ]
        said = {name: {"source": who[0], "at": who[1]} for name, who in self.said.items() if name in names}
        return made | {"source": self.source, "choices": choices, "said": said}


def kept_row(services: Services, inn: str, kpp: str) -> tuple[Requisites, str] | None:
    """What a registry said of this company within the day, and when, nobody being asked now."""
    for source in services.registries:
        rows = kept_rows(services, source, inn)
        if rows:
            row = decided(rows[0], kpp)[0]
            return None if row is None else (row, rows[1])
    return None


def keep_rows(services: Services, source: str, inn: str, rows: Sequence[Requisites]) -> str:
    """Keep what a source said, a day, or ten minutes a no; returns when that was."""
    terms, at = services.settings.requisites, services.now().isoformat()
    text = json.dumps({"at": at, "rows": [as_json(row) for row in rows]}, ensure_ascii=False)
    services.shelf.put(_row_key(source, inn), text, terms.keep_found if rows else terms.keep_missing)
    return at


def share(services: Services, about: tuple[str, ...], answer: Answer) -> None:
    """Leave the answer to those who wait for it, `about` being what they all asked for."""
    kept = json.dumps({"at": services.now().isoformat(), "answer": _as_kept(answer)}, ensure_ascii=False)
    services.shelf.put(_share_key(about), kept, SHARED)


def _row_key(source: str, inn: str) -> str:
    return f"requisites:{source}:{inn}"


def _share_key(about: tuple[str, ...]) -> str:
    return f"requisites:answer:{':'.join(about)}"


def kept_rows(services: Services, source: str, inn: str) -> tuple[list[Requisites], str] | None:
    """What a source said of this ИНН and when, while it is kept."""
    text = services.shelf.get(_row_key(source, inn))
    if text is None:
        return None
    try:
        kept = json.loads(text)
        return [from_json(row) for row in kept["rows"]], str(kept["at"])
    except (ValueError, TypeError, KeyError):  # an older crm1c kept it otherwise: asked anew
        return None


def shared(services: Services, about: tuple[str, ...], since: datetime) -> Answer | None:
    """The answer that another found while this one waited."""
    text = services.shelf.get(_share_key(about))
    if text is None:
        return None
    kept = json.loads(text)
    return _from_kept(kept["answer"]) if datetime.fromisoformat(kept["at"]) >= since else None


def _as_kept(answer: Answer) -> dict[str, Any]:
    made = asdict(answer)
    made["row"] = answer.row and as_json(answer.row)
    made["choices"] = [[as_json(one.row), one.reason] for one in answer.choices]
    return made


def _from_kept(kept: dict[str, Any]) -> Answer:
    return Answer(
        kept["inn"],
        from_json(kept["row"]) if kept["row"] else None,
        tuple(Choice(from_json(row), reason) for row, reason in kept["choices"]),
        kept["source"],
        tuple((name, reason) for name, reason in kept["skipped"]),
        tuple(kept["asked"]),
        tuple(kept["saved"]),
        kept["at"],
        kept["base"],
        kept["ref_key"],
        kept["said"],
    )
