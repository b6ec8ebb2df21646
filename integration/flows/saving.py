"""What a registry said of a company is written down: to 1C, then to the CRM, each once, and linked; or it is owed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from integration.errors import Conflict, Crm1cError, Transient
from integration.flows.answer import Answer
from integration.flows.once import create_unfound, lock_name, made_since
from integration.rules.agreement import plain
from integration.rules.provenance import SAID
from integration.rules.requisites import as_party
from integration.services import Base, Services
from integration.work import Event, Link, Owed, own_key
from mappers.canonical import Found, Party

log = logging.getLogger("crm1c.requisites")

ONEC = "onec"
KIND = "counterparty"
_FILLED = ("name", "full_name", "inn", "kpp", "ogrn", "address")


@dataclass(frozen=True)
class Saving:
    """One company to be written down. `base`: where to; `crm`, `onec`: as they were asked for, None for the first;
    `wait`: seconds for a session; `since`: when the sources began to be asked; `account`: the CRM's, where it is known.
    """

    services: Services
    base: Base | None
    inn: str
    kpp: str
    crm: str | None
    onec: str | None
    wait: float | None
    since: datetime
    account: Party | None = None

    def saved(self, answer: Answer, looked: Mapping[str, Sequence[Party]]) -> Answer:
        """To 1C, then to the CRM. Where one of them is away it is owed: the person gets the answer all the same.
        `looked`: what the bases that could be asked have of this ИНН."""
        where, new = "onec", answer
        try:
            new = self._into_onec(answer, looked)
            where = "crm"
            return replace(new, saved=(*((ONEC,) if new.ref_key else ()), *self.into_crm(new)))
        except Transient as error:
            log.warning("реквизиты %s найдены, но ещё не записаны: %s", self.inn, error)
        except Crm1cError as error:  # found is found: what keeps it out is told where people look for troubles
            log.error("реквизиты %s найдены, но не записаны: %s", self.inn, error)
        self._owe(where)
        return replace(new, saved=(f"{where} owed",))

    def _into_onec(self, answer: Answer, looked: Mapping[str, Sequence[Party]]) -> Answer:
        """The answer with its counterparty: made, unless crm1c made it while the registries were being asked. Where
        1C could not be asked before, it is asked now."""
        base = self.base
        if base is None or answer.row is None:
            return answer
        name = base.name.partition(":")[2]
        party, key = as_party(answer.row), (base.name, self.inn)
        with self.services.store.lock(lock_name(KIND, key)):
            if base.name not in looked or made_since(self.services, KIND, key, self.since):
                with base.session(patience=self.wait):
                    there = [one for one in base.ask(base.say.parties(self.inn)) if one.kpp == party.kpp]
                if there:
                    return replace(answer, base=name, ref_key=there[0].ref_key)
            own = own_key(KIND, base.name, party.inn, party.kpp)

            def create() -> Found:
                with base.session(patience=self.wait):  # few and dear: held for the call alone
                    return base.ask(base.say.create_counterparty(party, own, reread=False))

            made = create_unfound(self.services, KIND, key, create)
        log.info("контрагент ИНН %s записан в 1С", self.inn)
        return replace(answer, base=name, ref_key=made.ref_key)

    def into_crm(self, answer: Answer) -> tuple[str, ...]:
        """The CRM's account of this company: filled where it stands, made where there is none, linked to 1C's."""
        name = self.crm or next(iter(self.services.crms), None)
        if name is None or answer.row is None:
            return ()
        crm, party = self.services.crms[name], as_party(answer.row)
        accounts = [self.account] if self.account else crm.ask(crm.say.accounts_by(party.inn, None))
        fit = [one for one in accounts if one.kpp in ("", party.kpp)]
        if len(fit) > 1:
            raise Conflict(f"В CRM несколько клиентов с ИНН {party.inn}. Объедините их (crm1c duplicates list).")
        if fit:
            account = fit[0]
            filled = {field: value for field in _FILLED if (value := getattr(party, field))}
            empty = {field: value for field, value in filled.items() if not getattr(account, field)}
            if answer.ref_key and not account.ref_key:
                empty["ref_key"] = answer.ref_key
            crm.ask(crm.say.update_account(account, empty))
        else:
            account = crm.ask(crm.say.create_account(party, answer.ref_key))
        if answer.ref_key:
            self._link(name, account, party, answer)
        return (f"crm:{name}",)

    def _link(self, crm: str, account: Party, party: Party, answer: Answer) -> None:
        agreed = {name: value for name, value in plain(party).items() if value}
        said = {name: list(who) for name, who in answer.said.items() if name in agreed}
        link = Link(
            crm,
            "account",
            account.id,
            answer.base,
            KIND,
            answer.ref_key,
            own_key(KIND, f"onec:{answer.base}", party.inn, party.kpp),
            state="linked",
            agreed={**agreed, SAID: said},
        )
        with self.services.store.unit("bind counterparty") as unit:
            if not unit.links.find(crm, "account", account.id, link.base, link.kind):
                unit.links.bind(link)

    def _owe(self, where: str) -> None:
        crm = self.crm or next(iter(self.services.crms), "")
        system = self.base.name if where == "onec" and self.base is not None else f"crm:{crm}"
        payload = {"inn": self.inn, "kpp": self.kpp, "crm": crm, "onec": self.onec or ""}
        merge = ":".join(("save_requisites", self.inn, crm, *filter(None, (self.onec,))))
        owed = Owed("save_requisites", system, f"inn:{self.inn}", payload, merge=merge)
        with self.services.store.unit("owe requisites") as unit:
            unit.owe(owed, cause=Event("", "api", "requisites", "asked", self.inn, b"", trace=""))
