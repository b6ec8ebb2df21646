"""Requisites by ИНН: asked of 1C, then of the registries in their order; what came from outside is saved to 1C, then to
the CRM, each once, however many people ask at the same moment."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic

from integration.errors import Busy, Conflict, Crm1cError, Misconfigured, Rejected, Transient
from integration.flows.answer import Answer, keep_rows, kept_rows, share, shared
from integration.flows.once import create_unfound, lock_name, made_since
from integration.rules.requisites import (
    as_party,
    decided,
    of_party,
    valid_inn,
    valid_kpp,
)
from integration.services import Base, Services
from integration.work import Duty, Event, Link, Outcome, Owed, own_key
from mappers.canonical import Found, Party, Requisites

log = logging.getLogger("crm1c.requisites")

ONEC = "onec"
_STEP = 0.25  # seconds after which one who waits for another's answer looks again


class Unasked(Transient):
    """Ни один источник реквизитов не ответил. Повторите позже."""


def requisites(
    services: Services,
    inn: str,
    kpp: str = "",
    *,
    crm: str | None = None,
    account: Party | None = None,
    patience: float | None = None,
) -> Answer:
    """The chain. `kpp`: the branch that is meant; `crm`: whose account is to be filled (None: the first CRM's), that
    `account` if one is given, else the one with this ИНН; `patience`: seconds to wait for a 1C session, or for another
    who asks for the same company.

    Raises Rejected for an invalid ИНН or КПП before anything is asked, Busy when 1C's sessions are taken, Unasked when
    no source could say anything.
    """
    inn = valid_inn(inn)
    kpp = valid_kpp(inn, kpp)
    wait = services.settings.delivery.slot_wait if patience is None else patience
    started, deadline = services.now(), monotonic() + max(wait, 10.0)
    base = _base(services)
    # Not the counterparty's own lock: an invoice of this client never waits for a registry.
    name = lock_name("requisites", (base.name if base else "", inn))
    while True:
        found = shared(services, inn, kpp, started)
        if found is not None:
            return found
        try:
            with services.store.lock(name, patience=_STEP):
                found = shared(services, inn, kpp, started)
                if found is not None:
                    return found
                answer = _Chain(services, base, inn, kpp, crm, wait, services.now(), account).answer()
                share(services, kpp, answer)
                return answer
        except Busy as busy:
            if busy.system or monotonic() > deadline:  # with a system: its sessions are taken, not our turn
                raise


def save_requisites(services: Services, duty: Duty) -> Outcome:
    """The duty "save_requisites": what was found while 1C or the CRM was away is saved now. Payload {inn, kpp, crm}."""
    payload = duty.payload
    answer = requisites(services, payload["inn"], payload["kpp"], crm=payload["crm"] or None)
    if answer.choices or answer.row is None:
        return Outcome("skipped", f"Реквизиты ИНН {payload['inn']} ждут выбора человека или уже не находятся")
    base = _base(services)
    if answer.source == ONEC and base is not None:  # another try wrote it there; the CRM may still lack it
        _Chain(services, base, answer.inn, payload["kpp"], payload["crm"] or None, None, services.now()).into_crm(
            answer.row
        )
    if any(one.endswith("owed") for one in answer.saved):
        raise Transient("1С или CRM всё ещё не отвечает. Повторим сами.", system=duty.system)
    return Outcome("done", f"Реквизиты ИНН {payload['inn']} записаны")


@dataclass(frozen=True)
class _Chain:
    """One company on its way through the sources, under its lock."""

    services: Services
    base: Base | None
    inn: str
    kpp: str
    crm: str | None
    wait: float | None
    started: datetime
    account: Party | None = None

    def answer(self) -> Answer:
        skipped: list[tuple[str, str]] = []
        asked: list[str] = []
        for source in self.services.settings.requisites.order:
            ask = self._asking(source)
            if ask is None:
                continue
            try:
                rows, at = ask()
            except (Transient, Misconfigured, Rejected) as error:
                if source == ONEC and isinstance(error, Busy):
                    raise Busy(
                        "Все сеансы 1С заняты. Повторите через несколько секунд.",
                        system=self.base.name if self.base else ONEC,
                        retry_after=2.0,
                    ) from error
                log.warning("реквизиты: источник %s пропущен: %s", source, error, extra={"source": source})
                skipped.append((source, error.reason))
                continue
            asked.append(source)
            if source == ONEC and self.kpp:  # another branch of it in 1C says nothing of the one that is meant
                rows = [row for row in rows if row.kpp == self.kpp]
            row, choices = decided(rows, self.kpp)
            if row is None and not choices:
                continue
            found = Answer(self.inn, row, choices, source, tuple(skipped), tuple(asked), at=at)
            return self._saved(found) if source != ONEC else found
        outside = [name for name in self.services.settings.requisites.order if name in self.services.registries]
        if not asked or (outside and not set(outside) & set(asked)):
            reasons = " ".join(reason for _, reason in skipped)
            raise Unasked(f"Реквизиты ИНН {self.inn} сейчас узнать не у кого. {reasons}".strip(), retry_after=10.0)
        return Answer(self.inn, skipped=tuple(skipped), asked=tuple(asked))

    def _asking(self, source: str) -> Callable[[], tuple[list[Requisites], str]] | None:
        if source == ONEC:
            return self._onec if self.base is not None else None
        return (lambda: self._registry(source)) if source in self.services.registries else None

    def _onec(self) -> tuple[list[Requisites], str]:
        base = self.base
        assert base is not None
        with base.session(patience=self.wait):
            found = base.ask(base.say.parties(self.inn))
        return [of_party(party, ONEC) for party in found], self.services.now().isoformat()

    def _registry(self, source: str) -> tuple[list[Requisites], str]:
        """All rows of this ИНН, from the shelf while they are fresh: a day, or ten minutes for a no."""
        kept = kept_rows(self.services, source, self.inn)
        if kept is not None:
            return kept
        registry = self.services.registries[source]
        rows = registry.ask(registry.say.requisites(self.inn, ""))
        return rows, keep_rows(self.services, source, self.inn, rows)

    # -- saving ---------------------------------------------------------------------------------------------------

    def _saved(self, answer: Answer) -> Answer:
        """To 1C, then to the CRM. Where one of them is away it is owed: the person gets the answer all the same."""
        row = answer.row
        if row is None:
            return answer
        where = "onec"
        try:
            ref_key = self._into_onec(row, answer)
            where = "crm"
            saved = (*((ONEC,) if ref_key else ()), *self.into_crm(row, ref_key, answer))
        except Transient as error:
            log.warning("реквизиты %s найдены, но ещё не записаны: %s", self.inn, error)
            self._owe(where)
            saved = (f"{where} owed",)
        except Crm1cError as error:  # found is found: what keeps it out is told where people look for troubles
            log.error("реквизиты %s найдены, но не записаны: %s", self.inn, error)
            self._owe(where)
            saved = (f"{where} owed",)
        return replace(answer, saved=saved)

    def _into_onec(self, row: Requisites, answer: Answer) -> str:
        """The Ref_Key of the counterparty: made, unless crm1c made it while the registries were being asked. Where 1C
        could not be asked before, it is asked now."""
        base = self.base
        if base is None:
            return ""
        party, key = as_party(row), (base.name, self.inn)
        with self.services.store.lock(lock_name("counterparty", key)), base.session(patience=self.wait):
            if ONEC not in answer.asked or made_since(self.services, "counterparty", key, self.started):
                there = [one for one in base.ask(base.say.parties(self.inn)) if one.kpp == party.kpp]
                if there:
                    return there[0].ref_key
            own = own_key("counterparty", base.name, party.inn, party.kpp)
            made: Found = create_unfound(
                self.services,
                "counterparty",
                key,
                lambda: base.ask(base.say.create_counterparty(party, own, reread=False)),
            )
        log.info("контрагент ИНН %s записан в 1С", self.inn)
        return made.ref_key

    def into_crm(self, row: Requisites, ref_key: str = "", answer: Answer | None = None) -> tuple[str, ...]:
        """The CRM's account of this company: filled where it stands, made where there is none, linked to 1C's."""
        name = self.crm or next(iter(self.services.crms), None)
        if name is None:
            return ()
        crm, party = self.services.crms[name], as_party(row)
        accounts = [self.account] if self.account else crm.ask(crm.say.accounts_by(party.inn, None))
        fit = [one for one in accounts if one.kpp in ("", party.kpp)]
        if len(fit) > 1:
            raise Conflict(f"В CRM несколько клиентов с ИНН {party.inn}. Объедините их (crm1c duplicates list).")
        if fit:
            account = fit[0]
            empty = {field: value for field, value in comparable_fields(party).items() if not getattr(account, field)}
            if ref_key and not account.ref_key:
                empty["ref_key"] = ref_key
            crm.ask(crm.say.update_account(account, empty))
        else:
            account = crm.ask(crm.say.create_account(party, ref_key))
        if ref_key and self.base is not None:
            self._link(name, account, ref_key, party, answer)
        return (f"crm:{name}",)

    def _link(self, crm: str, account: Party, ref_key: str, party: Party, answer: Answer | None) -> None:
        assert self.base is not None
        said = {}
        if answer is not None and answer.row is not None:
            said = {field: [answer.source, answer.at] for field in comparable_fields(party)}
        link = Link(
            crm,
            "account",
            account.id,
            self.base.name.partition(":")[2],
            "counterparty",
            ref_key,
            own_key("counterparty", self.base.name, party.inn, party.kpp),
            state="linked",
            agreed={**comparable_fields(party), "said": said},
        )
        with self.services.store.unit("bind counterparty") as unit:
            if not unit.links.find(crm, "account", account.id, link.base, link.kind):
                unit.links.bind(link)

    def _owe(self, where: str) -> None:
        crm = self.crm or next(iter(self.services.crms), "")
        system = self.base.name if where == "onec" and self.base is not None else f"crm:{crm}"
        payload = {"inn": self.inn, "kpp": self.kpp, "crm": crm}
        owed = Owed("save_requisites", system, f"inn:{self.inn}", payload, merge=f"save_requisites:{self.inn}:{crm}")
        with self.services.store.unit("owe requisites") as unit:
            unit.owe(owed, cause=Event("", "api", "requisites", "asked", self.inn, b"", trace=""))


def comparable_fields(party: Party) -> dict[str, str]:
    """The filled requisites, ours → value."""
    names = ("name", "full_name", "inn", "kpp", "ogrn", "address")
    return {name: value for name in names if (value := getattr(party, name))}


def _base(services: Services) -> Base | None:
    """The base that is asked and written to: the first one configured."""
    return next(iter(services.bases.values()), None)
