"""Switches: where sources disagree, where releases differ, and what can be made to go wrong for good.

They are given to ``OneC(…)`` by name, or to ``POST /_sandbox/switches`` as JSON. What goes wrong for a while is a
fault (``sandbox.faults``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from decimal import Decimal
from typing import Any

SCHEMA_SWITCHES = ("without", "added", "composite")


@dataclass(frozen=True)
class Switches:
    """The defaults are the contract's: a trap is on unless a switch takes it away."""

    # Documented: 412 on a stale DataVersion; measured: ignored (contract 0.1). "ignore" | "412"
    if_match: str = "ignore"
    # Documented: $inlinecount makes $top and $skip be ignored; integrators use them together (section 3)
    inlinecount_ignores_top: bool = True
    # Whether Set/$count is served at all (sources disagree)
    count: bool = True
    # Whether a client's Ref_Key is honoured on POST (unverified)
    honour_ref_key: bool = False
    # Rows that tie in $orderby change their order from page to page (contract 0.2)
    unstable_ties: bool = True
    # http.sys UrlSegmentMaxLength; 0 takes it away
    segment_limit: int = 260
    # Location with raw UTF-8 bytes instead of percent-encoding (section 1)
    raw_location: bool = True
    # Whether the publication knows IBSession and the ibsession cookie (section 6)
    sessions: bool = True
    session_max_age: float = 20.0
    # Licences: sessions at one time; 0 = unlimited. The refusal is a page with this status
    max_sessions: int = 0
    licence_status: int = 500
    # Seconds that the first call after so many idle seconds takes longer
    cold_start: float = 0.0
    cold_after: float = 1200.0
    # Sets without rights at all, and what the user may see of a set: {"Catalog_Контрагенты": "Description ne 'Тайна'"}
    forbidden: list[str] = field(default_factory=list)
    rls: dict[str, str] = field(default_factory=dict)
    # The release: see ``schema.Schema``
    without: list[str] = field(default_factory=list)
    added: dict[str, str] = field(default_factory=dict)
    composite: list[str] = field(default_factory=list)
    # The server's zone, and a moment at which its clock stands still ("2026-12-31T23:59:59")
    timezone: str = "Europe/Moscow"
    now: str | None = None

    def changed(self, body: dict[str, Any]) -> Switches:
        """These switches with some set; ValueError when one is unknown or of a wrong type."""
        known = {f.name: getattr(self, f.name) for f in fields(self)}
        made: dict[str, Any] = {}
        for name, given in body.items():
            if name not in known:
                raise ValueError(f"{name}: no such switch; there are {', '.join(known)}")
            value = float(given) if isinstance(given, (Decimal, int)) and isinstance(known[name], float) else given
            if name != "now" and type(value) is not type(known[name]):
                raise ValueError(f"{name}: {type(known[name]).__name__} is expected")
            made[name] = value
        return replace(self, **made)

    def told(self) -> dict[str, Any]:
        """Their JSON form."""
        return asdict(self)
