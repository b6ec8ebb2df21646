"""Documents of 1C's money against the facts of the ledger: a window of them compared by version, what differs read and
told field by field, what 1C no longer has looked for."""

from __future__ import annotations

from collections.abc import Sequence

from integration.flows.profile import learned
from integration.flows.pull import KINDS, pull_payments, whose
from integration.flows.reconcile.look import Look
from integration.rules.accounts import Fact, Kind, kind_of
from integration.rules.findings import Finding
from integration.rules.reconciled_money import of_document
from integration.rules.reconciliation import side_of
from integration.services import Base
from mappers.money import Act, Stamp

_READ = 100  # documents read at once


def documents(look: Look, base_name: str) -> None:
    """The part "documents:BASE". What the usual pull would have brought is no drift, so that comes first."""
    base = look.services.bases[base_name]
    if not look.done("pulled"):
        pull_payments(look.services, base_name)
        with look.services.store.unit("reconcile: pulled") as unit:
            look.step(unit, pulled=1)
    with base.session():
        learned(look.services, base)
        organisation = whose(look.services, base, base_name)
    for kind in KINDS:
        while not look.done(f"{kind}:listed"):
            with base.session():
                page, more = base.ask(base.say.stamps(kind, organisation, look.since(base_name), look.number(kind)))
            found = _compared(look, base, base_name, kind, _changed(look, base, base_name, kind, page))
            with look.services.store.unit("reconcile: documents") as unit:
                unit.reconciling.see(look.run.id, side_of(kind, base_name), [(one.ref_key, "", "") for one in page])
                look.find(unit, found)
                where = {kind: look.number(kind) + len(page), f"{kind}:listed": 0 if more else 1}
                look.step(unit, len(page), **where)
            look.rest()
        _absent(look, base, base_name, kind)


def _changed(look: Look, base: Base, base_name: str, kind: Kind, page: Sequence[Stamp]) -> list[str]:
    """Those that the facts have otherwise; what was never live is nobody's money."""
    refs = [stamp.ref_key for stamp in page]
    with look.services.store.unit("known versions") as unit:
        known = unit.ledger.stamps(base_name, kind, refs)
        acts = unit.ledger.facts(base_name, kind, refs) if kind == "act" and base.say.signs_in_register else []
    changed = [
        stamp.ref_key
        for stamp in page
        if (stamp.ref_key not in known and stamp.posted and not stamp.deleted)
        or known.get(stamp.ref_key, (stamp.version, stamp.posted, stamp.deleted))
        != (stamp.version, stamp.posted, stamp.deleted)
    ]
    if acts:  # a signature in the register moves no version
        with base.session():
            signed = base.ask(base.say.signed_acts([act.ref_key for act in acts]))
        changed += [act.ref_key for act in acts if isinstance(act, Act) and act.signed != (act.ref_key in signed)]
    return list(dict.fromkeys(changed))


def _compared(look: Look, base: Base, base_name: str, kind: Kind, refs: Sequence[str]) -> list[Finding]:
    """Read as they stand now, field by field. What crm1c wrote itself is no drift, nor is what moved its version alone:
    both are kept as they are."""
    found: list[Finding] = []
    for at in range(0, len(refs), _READ):
        some = refs[at : at + _READ]
        with base.session():
            now: dict[str, Fact] = {one.ref_key: one for one in base.ask(base.say.documents(kind, some))}
        with look.services.store.unit("reconcile: facts") as unit:
            was = {one.ref_key: one for one in unit.ledger.facts(base_name, kind, some)}
            ours = unit.reconciling.linked("ref_key", {"base": base_name, "kind": kind}, some)
            quiet = []
            for ref in some:
                told = of_document(base_name, was.get(ref), now.get(ref))
                written = ref in ours and ref in now and ours[ref].version == now[ref].version
                if written or (not told and ref in was and ref in now and kind_of(now[ref]) == kind):
                    quiet.append(now[ref])
                else:
                    found += told
            unit.ledger.keep(base_name, quiet)
    return found


def _absent(look: Look, base: Base, base_name: str, kind: Kind) -> None:
    """Documents that the ledger dates within the window and that 1C did not list: erased, or dated elsewhere."""
    name = f"{kind}:absent"
    while not look.done(f"{kind}:over"):
        with look.services.store.unit("reconcile: absent") as unit:
            since, after = look.since(base_name), look.text(name)
            refs = unit.reconciling.absent(look.run.id, side_of(kind, base_name), base_name, kind, since, after, _READ)
        found = _compared(look, base, base_name, kind, refs) if refs else []
        with look.services.store.unit("reconcile: absent documents") as unit:
            look.find(unit, found)
            look.step(unit, 0, **({name: refs[-1]} if refs else {f"{kind}:over": 1}))
        look.rest()
