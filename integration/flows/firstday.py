"""The first day: two databases that never met are read in pages, matched, reported; links are written when a person has
seen the report. Each step can be broken off: what was read is kept, what was linked is skipped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from integration.flows.saving import KIND
from integration.rules.agreement import plain
from integration.rules.match import Match, candidates, doubles
from integration.services import Services
from integration.work import Link, Proposed, own_key
from mappers.canonical import Party

Told = Callable[[str, int], None]  # stage, how far it has come
Verdict = Literal["linked", "proposed", "doubled", "unmatched"]

PAGE_BYTES = 1_000_000  # of one answer of 1C: its pages hold as many rows as fit
_LEAST, _MOST, _FIRST = 50, 1000, 200
_BATCH = 500  # links of one transaction
_KEPT = ("name", "inn", "kpp", "ogrn", "full_name", "address", "phone", "email", "id", "ref_key", "version")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report: what is to become of a client of the CRM, of 1C, or of a pair."""

    verdict: Verdict
    account: Party | None
    counterparty: Party | None
    score: float = 0.0
    reasons: tuple[str, ...] = ()


@dataclass
class Findings:
    """What the matching came to; `links` and `proposals` are written only when they are confirmed."""

    links: list[Link] = field(default_factory=list)
    proposals: list[Proposed] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def read(services: Services, crm_name: str, base_name: str, told: Told) -> None:
    """Read both sides to their end, from where an earlier reading broke off."""
    _read_crm(services, crm_name, told)
    _read_onec(services, base_name, told)


def forget(services: Services) -> None:
    """Drop what was read: the next reading begins anew."""
    with services.store.unit("forget pages") as unit:
        unit.parties.forget_pages()


def matched(services: Services, crm_name: str, base_name: str, findings: Findings, told: Told) -> Iterator[Row]:
    """The lines of the report, one after another; `findings` are complete when the last one was taken."""
    with services.store.unit("known links") as unit:
        linked = unit.parties.linked(crm_name, base_name, KIND)
        refused = unit.parties.refused()
    ours, theirs = {record for record, _ in linked}, {ref for _, ref in linked}
    left = [one for one in _kept(services, f"crm:{crm_name}") if one.id not in ours]
    right = [one for one in _kept(services, f"onec:{base_name}") if one.id not in theirs]
    claims: dict[str, list[tuple[Party, Party, Match]]] = {}  # Ref_Key → who claims it
    seen_left: set[str] = set()
    seen_right: set[str] = set()
    sure: dict[str, list[tuple[Party, Party, Match]]] = {}
    for number, pair in enumerate(candidates(left, right)):
        if number % 1000 == 0:
            told("сравнение", number)
        seen_left.add(pair.left.id)
        seen_right.add(pair.right.id)
        if pair.match.automatic:
            sure.setdefault(pair.left.id, []).append((pair.left, pair.right, pair.match))
            claims.setdefault(pair.right.id, []).append((pair.left, pair.right, pair.match))
            continue
        proposed = _proposal(crm_name, base_name, "link", pair.left, pair.right, pair.match)
        if proposed.id not in refused:
            findings.proposals.append(proposed)
            yield _counted(findings, Row("proposed", pair.left, pair.right, pair.match.score, pair.match.reasons))
    for several in sure.values():
        left_one, right_one, match = several[0]
        alone = len(several) == 1 and len(claims[right_one.id]) == 1
        if alone:
            findings.links.append(_link(crm_name, base_name, left_one, right_one))
            yield _counted(findings, Row("linked", left_one, right_one, match.score, match.reasons))
            continue
        for one, other, each in several:
            yield _counted(findings, Row("doubled", one, other, each.score, each.reasons))
    for kind, side in (("double_crm", left), ("double_onec", right)):
        told("двойники", 0)
        for pair in doubles(side):
            proposed = _proposal(crm_name, base_name, kind, pair.left, pair.right, pair.match)
            if proposed.id not in refused:
                findings.proposals.append(proposed)
                yield _counted(findings, _double(kind, pair.left, pair.right, pair.match))
    yield from (_counted(findings, Row("unmatched", one, None)) for one in left if one.id not in seen_left)
    yield from (_counted(findings, Row("unmatched", None, one)) for one in right if one.id not in seen_right)


def confirm(services: Services, findings: Findings, told: Told) -> int:
    """Write links and proposals; what stands already is left as it is. Returns how many links are new."""
    new, at = 0, 0
    for batch in _batches(findings.links):
        with services.store.unit("links of the first day") as unit:
            new += unit.parties.bind_new(batch)
        at += len(batch)
        told("связи", at)
    for proposed in _batches(findings.proposals):
        with services.store.unit("proposals of the first day") as unit:
            unit.parties.propose(proposed)
    return new


def accept(services: Services, proposed: Proposed) -> bool:
    """A person says that the two are one. A link is made of a proposal to link; doubles are only noted: merging them is
    done in the system where they stand. False when it was decided before."""
    with services.store.unit("accept proposal") as unit:
        if not unit.parties.judge(proposed.id, "accepted"):
            return False
        if proposed.kind == "link":
            key = own_key(KIND, proposed.base, proposed.other)
            unit.links.bind(
                Link(
                    proposed.crm,
                    "account",
                    proposed.record_id,
                    proposed.base,
                    KIND,
                    proposed.other,
                    key,
                    state="linked",
                )
            )
    return True


# -- reading --------------------------------------------------------------------------------------------------------


def _read_crm(services: Services, name: str, told: Told) -> None:
    crm, side = services.crms[name], f"crm:{name}"
    start, done = _standing(services, side)
    while not done:
        found, more = crm.ask(crm.say.all_accounts(start))
        done = not more
        _keep(services, side, start, len(found), found, last=done)
        start += len(found)
        told("CRM", start)


def _read_onec(services: Services, name: str, told: Told) -> None:
    base, side, top = services.bases[name], f"onec:{name}", _FIRST
    start, done = _standing(services, side)
    while not done:
        with base.session():
            found, rows, size = base.ask(base.say.all_counterparties(start, top))
        done = rows < top
        _keep(services, side, start, rows, found, last=done)
        start += rows
        top = next_top(top, size)
        told("1С", start)


def next_top(top: int, size: int) -> int:
    """How many rows the next page of 1C shall hold, after one of `top` rows took `size` bytes."""
    return max(_LEAST, min(_MOST, int(top * PAGE_BYTES / max(size, 1))))


def _standing(services: Services, side: str) -> tuple[int, bool]:
    with services.store.unit("where reading stands") as unit:
        return unit.parties.reading_at(side)


def _keep(services: Services, side: str, start: int, rows: int, found: Iterable[Party], *, last: bool) -> None:
    body = json.dumps([[getattr(one, name) for name in _KEPT] for one in found], ensure_ascii=False)
    with services.store.unit("page of the first day") as unit:
        unit.parties.keep_page(side, start, rows, body, last=last)


def _kept(services: Services, side: str) -> Iterator[Party]:
    """Every client of a side once; one that moved between two pages stands in both."""
    seen: set[str] = set()
    with services.store.unit("pages of the first day") as unit:
        for body in unit.parties.bodies(side):
            for values in json.loads(body):
                party = Party(**dict(zip(_KEPT, values, strict=True)))
                if party.id not in seen:
                    seen.add(party.id)
                    yield party


# -- what is made of a pair -----------------------------------------------------------------------------------------


def _link(crm: str, base: str, account: Party, there: Party) -> Link:
    """Agreed is what both sides say alike; what differs waits for the next edit, and then for its owner."""
    ours, theirs = plain(account), plain(there)
    agreed = {name: value for name, value in ours.items() if value == theirs[name]}
    key = own_key(KIND, base, there.id)
    return Link(crm, "account", account.id, base, KIND, there.id, key, "linked", there.version, account.version, agreed)


def _proposal(crm: str, base: str, kind: str, one: Party, other: Party, match: Match) -> Proposed:
    title = f"{_called(one)} ↔ {_called(other)}"
    return Proposed(kind, crm, one.id, base, other.id, match.score, match.reasons, title)


def _called(party: Party) -> str:
    numbers = " ".join(filter(None, (party.inn and f"ИНН {party.inn}", party.kpp and f"КПП {party.kpp}")))
    return f"{party.name[:80]} ({numbers})" if numbers else party.name[:80]


def _double(kind: str, one: Party, other: Party, match: Match) -> Row:
    reasons = (f"второй: {_called(other)}", *match.reasons)
    if kind == "double_crm":
        return Row("doubled", one, None, match.score, reasons)
    return Row("doubled", None, one, match.score, reasons)


def _counted(findings: Findings, row: Row) -> Row:
    findings.counts[row.verdict] += 1
    return row


def _batches(found: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(found)
    while batch := list(islice(rest, _BATCH)):
        yield batch
