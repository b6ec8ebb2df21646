"""One version of one paper on its way: what it is kept under, what it says, and its PDF."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from integration.errors import Misconfigured
from integration.flows.profile import learned
from integration.services import Base, Services
from integration.work import Duty, Link, Owed, Printed, own_key
from mappers.canonical import Deal
from mappers.money import Act
from mappers.paper import Paper, PaperKind

ACT = "act:"  # before an act's Ref_Key: its papers are its own, whichever deals it belongs to


@dataclass(frozen=True)
class Drawn:
    """A PDF, its file's name, and what a letter says of it. `digest` tells one version of a document from another."""

    name: str
    pdf: bytes
    facts: Mapping[str, Any]
    digest: str


@dataclass(frozen=True)
class PaperJob:
    """A duty about one version of one deal's invoice, or of one act of it. Payload: {crm, deal, base, issue}, for an
    act {crm, deal, base, act} and, once it is printed, the issue."""

    services: Services
    duty: Duty

    @property
    def crm(self) -> str:
        return str(self.duty.payload["crm"])

    @property
    def deal_id(self) -> str:
        return str(self.duty.payload["deal"])

    @property
    def base(self) -> str:
        return str(self.duty.payload["base"])

    @property
    def act(self) -> str:
        """The act's Ref_Key; empty: the invoice."""
        return str(self.duty.payload.get("act", ""))

    @property
    def kind(self) -> PaperKind:
        return "act" if self.act else "invoice"

    @property
    def issue(self) -> int:
        return int(self.duty.payload.get("issue", 0))

    @property
    def record(self) -> str:
        """Under which id the paper is kept."""
        return f"{ACT}{self.act}" if self.act else self.deal_id

    @property
    def key(self) -> str:
        """Our own key of the letter: of the document and its version."""
        whose = ("act", self.act, self.base, "act") if self.act else ("deal", self.deal_id, self.base, "invoice")
        return own_key(self.crm, *whose, "letter", str(self.issue))

    def link(self) -> Link | None:
        """The deal's invoice, while this version is the present one; for an act, whatever version it is of."""
        with self.services.store.looking() as known:
            link = known.find(self.crm, "deal", self.deal_id, self.base, "invoice")
        return link if link is not None and (self.act or link.agreed.get("issue", 1) == self.issue) else None

    def replaced(self) -> bool:
        """Whether the client is to have another version than this one."""
        return max(one.issue for one in self.versions()) != self.issue if self.act else self.link() is None

    def printed(self) -> Printed | None:
        with self.services.store.unit("look for paper") as unit:
            return unit.papers.find(self.crm, self.record, self.base, self.issue)

    def versions(self) -> list[Printed]:
        """Every version that was printed, the first one first."""
        with self.services.store.unit("look for papers") as unit:
            return unit.papers.versions(self.crm, self.record, self.base)

    def kept(self, made: Drawn, issue: int) -> Printed:
        told = {"kind": self.kind, "issue": issue, "digest": made.digest, "duty": self.duty.id}
        now = self.services.now()
        printed = Printed(self.crm, self.record, self.base, issue, made.name, made.pdf, {**made.facts, **told}, now)
        with self.services.store.unit("keep paper") as unit:
            return unit.papers.keep(printed)

    def mark(self, printed: Printed, step: str, **state: Any) -> Printed:
        with self.services.store.unit(step) as unit:
            return unit.papers.mark(printed, **state)

    def deal(self) -> Deal | None:
        crm = self.services.crms[self.crm]
        return crm.ask(crm.say.deal(self.deal_id))

    def owed(self, kind: str, system: str, **more: Any) -> Owed:
        """A further duty about the same paper."""
        return owed_step(kind, system, {**self.duty.payload, **more})


def owed_step(kind: str, system: str, payload: Mapping[str, Any]) -> Owed:
    """Keyed apart from the invoice's own duties: a slow mail server holds up no invoice."""
    act = f"{ACT}{payload['act']}" if "act" in payload else ""
    place = f"{payload['crm']}:{kind}:{act if act and kind != 'attach' else payload['deal']}"
    merge = f"{place}:{payload['base']}:{payload.get('issue', '')}"
    return Owed(kind, system, place, payload, merge=f"{merge}:{act}" if act else merge)


def drawn(services: Services, link: Link, act: str = "") -> Drawn | None:
    """The invoice of this link, or an act of that base, read from 1C's own document and printed; None for an act that
    isn't posted."""
    base = services.bases[link.base]
    kind: PaperKind = "act" if act else "invoice"
    if services.press is None:
        raise Misconfigured("Печатать не настроено: добавьте в crm1c.toml таблицу [paper].")
    if "papers" not in base.say.capabilities:
        raise Misconfigured(f"Для этой конфигурации 1С ([onec.{link.base}]) печатать счета и акты crm1c не умеет.")
    table = services.settings.onec[link.base]
    with base.session():
        learned(services, base)
        if table.act_print_url if act else table.print_url:
            made = _printed_by_1c(services, base, link, act)
        else:
            say = base.say
            said = base.ask(say.act_paper(act) if act else say.invoice_paper(link.ref_key))
            if said is None:
                return None
            press = services.press
            made = Drawn(press.named(kind, said.number, said.day), press.pdf(said), press.facts(said), _digest(said))
    if made is not None:
        services.press.shelve(made.name, made.pdf)
    return made


def _printed_by_1c(services: Services, base: Base, link: Link, act: str) -> Drawn | None:
    """A print form that a 1C HTTP service made: its contents are not known here, so what a letter says comes from what
    both sides agreed on, or from the ledger."""
    assert services.press is not None
    own = base.recall("organisation", lambda: base.ask(base.say.organisation()))
    supplier = own.name if own else ""
    kind: PaperKind = "act" if act else "invoice"
    if act:
        fact = _known_act(services, link.base, act)
        if fact is None or not fact.posted or fact.deleted:
            return None
        number, day, total, currency = fact.number, fact.date, fact.amount, fact.currency
    else:
        number, total, currency = link.agreed["number"], Decimal(link.agreed["total"]), link.agreed["currency"]
        day = datetime.fromisoformat(link.agreed["date"]).date()
    pdf = services.printers[f"{kind}:{link.base}"].ask(base.say.print_form(act or link.ref_key, kind))
    facts = services.press.known(number, day, total, currency, supplier)
    return Drawn(services.press.named(kind, number, day), pdf, facts, _digest_of(number, day, total, currency))


def _known_act(services: Services, base: str, act: str) -> Act | None:
    with services.store.unit("look for act") as unit:
        found = [fact for fact in unit.ledger.facts(base, "act", [act]) if isinstance(fact, Act)]
    return found[0] if found else None


def _digest(paper: Paper) -> str:
    """Of what a client reads, named one by one: nothing that a later release adds may make an old act a new one."""
    sides = [(firm.name, firm.inn, firm.kpp) for firm in (paper.supplier, paper.buyer)]
    lines = [
        (line.content, line.quantity.normalize(), line.unit, line.amount.normalize(), line.vat_rate)
        for line in paper.lines
    ]
    return _digest_of(paper.number, paper.day, paper.total, paper.currency, sides, lines)


def _digest_of(number: str, day: date, total: Decimal, currency: str, *more: Any) -> str:
    said = json.dumps([number, day, total.normalize(), currency, *more], ensure_ascii=False, default=str)
    return hashlib.sha256(said.encode()).hexdigest()
