"""Requisites by ИНН: asked of 1C, then of the registries in their order; what came from outside is saved to 1C, then to
the CRM, each once, however many people ask at the same moment."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic

from integration.errors import Busy, Misconfigured, Rejected, Transient
from integration.flows.answer import Answer, keep_rows, kept_row, kept_rows, share, shared
from integration.flows.once import lock_name
from integration.flows.saving import KIND, ONEC, Saving
from integration.rules.agreement import plain
from integration.rules.provenance import SAID, said_by, said_of
from integration.rules.requisites import as_party, decided, of_party, shown_fields, valid_inn, valid_kpp
from integration.services import Base, Services
from integration.work import Duty, Outcome, Proposed
from mappers.canonical import Party, Requisites

log = logging.getLogger("crm1c.requisites")

_STEP = 0.25  # seconds after which one who waits for another's answer looks again


class Unasked(Transient):
    """Ни один источник реквизитов не ответил. Повторите позже."""


def requisites(
    services: Services,
    inn: str,
    kpp: str = "",
    *,
    crm: str | None = None,
    onec: str | None = None,
    account: Party | None = None,
    patience: float | None = None,
) -> Answer:
    """The chain. `kpp`: the branch that is meant; `crm`: whose account is to be filled (None: the first CRM's), that
    `account` if one is given, else the one with this ИНН; `onec`: the one base to be asked and written to (None: all
    are asked in configured order, and the first is written to); `patience`: seconds to wait for a 1C session, or for
    another who asks for the same company.

    Raises Rejected for an invalid ИНН or КПП before anything is asked, Busy when 1C's sessions are taken, Unasked when
    no source could say anything.
    """
    inn = valid_inn(inn)
    kpp = valid_kpp(inn, kpp)
    wait = services.settings.delivery.slot_wait if patience is None else patience
    started, deadline = services.now(), monotonic() + max(wait, 10.0)
    bases = _bases(services, onec)
    about = (inn, kpp, onec or "")
    # Not the counterparty's own lock: an invoice of this client never waits for a registry.
    name = lock_name("requisites", (*(base.name for base in bases), inn))
    while True:
        found = shared(services, about, started)
        if found is not None:
            return found
        try:
            with services.store.lock(name, patience=_STEP):
                found = shared(services, about, started)
                if found is not None:
                    return found
                saving = Saving(services, next(iter(bases), None), inn, kpp, crm, onec, wait, services.now(), account)
                answer = _Chain(services, bases, inn, kpp, wait, saving).answer()
                share(services, about, answer)
                return answer
        except Busy as busy:
            if busy.system or monotonic() > deadline:  # with a system: its sessions are taken, not our turn
                raise


def save_requisites(services: Services, duty: Duty) -> Outcome:
    """The duty "save_requisites": what was found while 1C or the CRM was away is saved now. Payload {inn, kpp, crm,
    onec}, the last two "" for the first ones."""
    payload = duty.payload
    crm, onec = payload["crm"] or None, payload.get("onec") or None
    answer = requisites(services, payload["inn"], payload["kpp"], crm=crm, onec=onec)
    if answer.choices or answer.row is None:
        return Outcome("skipped", f"Реквизиты ИНН {payload['inn']} ждут выбора человека или уже не находятся")
    if answer.source == ONEC:  # another try wrote it there; the CRM may still lack it
        saving = Saving(services, None, answer.inn, payload["kpp"], crm, onec, None, services.now())
        saving.into_crm(answer)
    if any(one.endswith("owed") for one in answer.saved):
        raise Transient("1С или CRM всё ещё не отвечает. Повторим сами.", system=duty.system)
    return Outcome("done", f"Реквизиты ИНН {payload['inn']} записаны")


@dataclass(frozen=True)
class _Chain:
    """One company on its way through the sources, under its lock. `looked`: the bases that were asked, with what each
    has of this ИНН."""

    services: Services
    bases: Sequence[Base]
    inn: str
    kpp: str
    wait: float | None
    saving: Saving
    looked: dict[str, list[Party]] = field(default_factory=dict)

    def answer(self) -> Answer:
        skipped: list[tuple[str, str]] = []
        asked: list[str] = []
        for name, ask in self._sources():
            source = name.partition(":")[0]
            try:
                rows, at = ask()
            except (Transient, Misconfigured, Rejected) as error:
                if source == ONEC and isinstance(error, Busy):
                    raise Busy(
                        "Все сеансы 1С заняты. Повторите через несколько секунд.",
                        system=error.system or ONEC,
                        retry_after=2.0,
                    ) from error
                log.warning("реквизиты: источник %s пропущен: %s", name, error, extra={"source": name})
                skipped.append((name, error.reason))
                continue
            if source not in asked:
                asked.append(source)
            if source == ONEC and self.kpp:  # another branch of it in 1C says nothing of the one that is meant
                rows = [row for row in rows if row.kpp == self.kpp]
            row, choices = decided(rows, self.kpp)
            if row is None and not choices:
                continue
            found = Answer(self.inn, row, choices, source, tuple(skipped), tuple(asked), at=at)
            return self._known(found, name) if source == ONEC else self._new(found)
        outside = [name for name in self.services.settings.requisites.order if name in self.services.registries]
        if not asked or (outside and not set(outside) & set(asked)):
            reasons = " ".join(reason for _, reason in skipped)
            raise Unasked(f"Реквизиты ИНН {self.inn} сейчас узнать не у кого. {reasons}".strip(), retry_after=10.0)
        return Answer(self.inn, skipped=tuple(skipped), asked=tuple(asked))

    def _sources(self) -> list[tuple[str, Callable[[], tuple[list[Requisites], str]]]]:
        """Whom to ask, in order: every base where 1C stands, "onec:NAME" if there are several."""
        made: list[tuple[str, Callable[[], tuple[list[Requisites], str]]]] = []
        for source in self.services.settings.requisites.order:
            if source == ONEC:
                for base in self.bases:
                    name = base.name if len(self.bases) > 1 else ONEC
                    made.append((name, partial(self._onec, base)))
            elif source in self.services.registries:
                made.append((source, partial(self._registry, source)))
        return made

    def _onec(self, base: Base) -> tuple[list[Requisites], str]:
        try:
            with base.session(patience=self.wait):
                found = base.ask(base.say.parties(self.inn))
        except Busy as busy:
            busy.system = busy.system or base.name
            raise
        self.looked[base.name] = found
        self._tell_doubles(base, found)
        return [of_party(party, ONEC) for party in found], self.services.now().isoformat()

    def _tell_doubles(self, base: Base, found: Sequence[Party]) -> None:
        """Two counterparties with one ИНН and КПП are reported; 1C merges them, nobody else."""
        first: dict[str, Party] = {}
        doubles = [(first[one.kpp], one) for one in found if first.setdefault(one.kpp, one) is not one]
        if not doubles:
            return
        crm = self.saving.crm or next(iter(self.services.crms), "")
        reasons = (f"совпадают ИНН {self.inn} и КПП",)
        with self.services.store.unit("propose doubles") as unit:
            unit.parties.propose(
                [
                    Proposed("double_onec", crm, one.id, base.name.partition(":")[2], other.id, 1.0, reasons, one.name)
                    for one, other in doubles
                ]
            )

    def _registry(self, source: str) -> tuple[list[Requisites], str]:
        """All rows of this ИНН, from the shelf while they are fresh: a day, or ten minutes for a no."""
        kept = kept_rows(self.services, source, self.inn)
        if kept is not None:
            return kept
        registry = self.services.registries[source]
        rows = registry.ask(registry.say.requisites(self.inn, ""))
        return rows, keep_rows(self.services, source, self.inn, rows)

    def _new(self, answer: Answer) -> Answer:
        """From outside: it is saved."""
        if answer.row is None:
            return answer
        said = said_by(shown_fields(answer.row), answer.source, answer.at)
        return self.saving.saved(replace(answer, said=said), self.looked)

    def _known(self, answer: Answer, name: str) -> Answer:
        """From 1C: which counterparty it is, and who said its requisites when they came there."""
        row = answer.row
        if row is None:
            return answer
        base = next(one for one in self.bases if name in (ONEC, one.name))
        there = [one for one in self.looked[base.name] if one.kpp == row.kpp]
        ref_key = there[0].ref_key if len(there) == 1 else ""
        said = self._who_said(base, ref_key, row, answer.at)
        return replace(answer, base=base.name.partition(":")[2], ref_key=ref_key, said=said)

    def _who_said(self, base: Base, ref_key: str, row: Requisites, at: str) -> dict[str, list[str]]:
        values = {name: value for name, value in plain(as_party(row)).items() if value}
        with self.services.store.looking() as known:
            links = known.by_ref(base.name.partition(":")[2], KIND, ref_key) if ref_key else []
        for link in links:
            if link.agreed.get(SAID):
                return said_of(values, link.agreed, link.agreed[SAID], ONEC, at)
        told = kept_row(self.services, self.inn, row.kpp)
        if told is None:
            return said_by(values, ONEC, at)
        told_values = plain(as_party(told[0]))
        return said_of(values, told_values, said_by(told_values, told[0].source, told[1]), ONEC, at)


def _bases(services: Services, onec: str | None) -> tuple[Base, ...]:
    """The bases that are asked, in configured order; the first of them is written to."""
    if onec is not None:
        return (services.bases[onec],)
    return tuple(services.bases.values())
