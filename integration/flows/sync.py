"""A client in both systems: three states compared (agreed, CRM now, 1C now), allowed edits copied, others set back and
told, what only a person can decide left alone until he does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from integration.errors import Conflict, Transient
from integration.flows.answer import Answer, kept_row
from integration.flows.profile import learned
from integration.flows.requisites import requisites
from integration.flows.saving import KIND
from integration.rules.agreement import agreed_after, decide, plain
from integration.rules.merge import Decision, Side
from integration.rules.provenance import SAID, said_after
from integration.rules.requisites import as_party
from integration.services import Base, Services
from integration.work import Clash, Duty, Event, Link, Outcome, Owed, Proposed, own_key
from mappers.canonical import Party

GONE = "gone"  # a link's state: the counterparty was erased or marked in 1C


def counterparty(services: Services, duty: Duty) -> Outcome:
    """The duty "counterparty": payload {crm, account, side} or {base, ref}, `side` being who changed ("crm", "onec", or
    "" for a person's decision, when nothing is taken for unchanged)."""
    payload = duty.payload
    if "account" not in payload:
        return _from_onec(services, payload["base"], payload["ref"])
    crm_name, account_id, side = payload["crm"], payload["account"], payload["side"]
    with services.store.looking() as known:
        links = [link for link in known.of_record(crm_name, "account", account_id) if link.kind == KIND]
    crm = services.crms[crm_name]
    account = crm.ask(crm.say.account(account_id))
    if account is None:
        return Outcome("skipped", "Клиент удалён в CRM")
    if not links:
        return _joined(services, crm_name, account)
    if side == "crm" and all(link.crm_version and link.crm_version == account.version for link in links):
        return Outcome("unchanged", "Это наша собственная запись")
    return _together([_Pair(services, link, account, side).synced() for link in links if link.base in services.bases])


def sync_duty(services: Services, link: Link, side: str, delay: float = 0) -> Owed:
    """The duty of one linked client. One key per CRM record: never two side by side."""
    system = f"onec:{link.base}" if link.base in services.bases else "onec"
    key = f"{link.crm}:account:{link.record_id}"
    payload = {"crm": link.crm, "account": link.record_id, "side": side}
    return Owed(KIND, system, key, payload, merge=f"{KIND}:{key}:{side}", delay=delay)


def tell_account(services: Services, duty: Duty) -> Outcome:
    """The duty "tell_account": why a client is not kept alike, in its stream. Payload {crm, account, reason}; or `text`
    as it shall stand there."""
    crm = services.crms[duty.payload["crm"]]
    text = duty.payload.get("text") or f"Обмен с 1С остановлен: {duty.payload['reason']}"
    written = crm.ask(crm.say.tell_account(duty.payload["account"], text))
    return Outcome("done" if written else "unchanged", text)


def resolve(services: Services, clash: Clash, take: Side) -> bool:
    """A person's decision: the side whose value both shall bear. False when the conflict is over meanwhile."""
    with services.store.unit("resolve conflict") as unit:
        if not unit.parties.take(clash.id, take):
            return False
        link = unit.links.find(clash.crm, "account", clash.record_id, clash.base, KIND)
        if link is not None:
            unit.owe(sync_duty(services, link, ""), cause=by_hand(clash.record_id))
    return True


def by_hand(record_id: str) -> Event:
    """The cause of what a person asked for at the command line."""
    return Event("", "cli", "account", "decided", record_id, b"", trace="")


def _together(outcomes: list[Outcome]) -> Outcome:
    done = [one for one in outcomes if one.kind == "done"] or outcomes
    if not done:
        return Outcome("skipped", "Базы этого клиента больше нет в настройках")
    return replace(
        done[0],
        owes=tuple(owed for one in outcomes for owed in one.owes),
        links=tuple(link for one in outcomes for link in one.links),
    )


# -- a client that is in one system only ----------------------------------------------------------------------------


def _joined(services: Services, crm_name: str, account: Party) -> Outcome:
    """An account that is linked to nothing yet: its requisites are filled in, and 1C's counterparty found or made."""
    if not account.inn:
        return Outcome("skipped", "У клиента не заполнен ИНН")
    answer = requisites(services, account.inn, account.kpp, crm=crm_name, account=account)
    if answer.row is None:
        return _unjoined(services, crm_name, account, answer)
    with services.store.looking() as known:
        bound = [link for link in known.of_record(crm_name, "account", account.id) if link.kind == KIND]
    if bound or not services.bases:
        return Outcome("done", f"Реквизиты получены: {answer.source}")
    if not answer.ref_key:
        return Outcome("skipped", "Реквизиты найдены, контрагента в 1С ещё нет или их несколько")
    there = replace(as_party(answer.row), id=answer.ref_key, ref_key=answer.ref_key)
    return _bound(services, services.bases[answer.base], crm_name, account, there)


def _unjoined(services: Services, crm_name: str, account: Party, answer: Answer) -> Outcome:
    if not answer.choices:
        return Outcome("skipped", f"ИНН {answer.inn} не найден: {', '.join(answer.asked)}")
    told = "; ".join(
        f"КПП {one.row.kpp or '—'} {one.row.name} ({one.reason or 'действует'})" for one in answer.choices[:5]
    )
    text = f"По ИНН {answer.inn} нужно выбрать, какая это компания: {told}. Укажите КПП в карточке клиента."
    crm = services.crms[crm_name]
    crm.ask(crm.say.tell_account(account.id, text))
    return Outcome("skipped", text)


def _bound(services: Services, base: Base, crm_name: str, account: Party, there: Party) -> Outcome:
    """Link the two, unless the counterparty belongs to another account of this CRM: those two are doubles."""
    name = base.name.partition(":")[2]
    with services.store.unit("look for doubles") as unit:
        others = [link for link in unit.links.by_ref(name, KIND, there.ref_key) if link.crm == crm_name]
        others = [link for link in others if link.record_id != account.id]
        if others:
            reasons = (f"оба клиента CRM — контрагент 1С с ИНН {there.inn} и КПП {there.kpp or 'нет'}",)
            double = Proposed("double_crm", crm_name, account.id, "", others[0].record_id, 1.0, reasons, account.name)
            unit.parties.propose([double])
            return Outcome("skipped", "Такой клиент в CRM уже есть: crm1c duplicates list")
    key = own_key(KIND, base.name, there.inn, there.kpp)
    link = Link(crm_name, "account", account.id, name, KIND, there.ref_key, key, state="linked")
    with services.store.unit("bind counterparty") as unit:
        unit.links.bind(link)
    return _Pair(services, link, account, "").synced()


def _from_onec(services: Services, base_name: str, ref_key: str) -> Outcome:
    """A counterparty of 1C that no link knows: linked by itself where one account has its ИНН and КПП."""
    base = services.bases[base_name]
    with base.session():
        there = base.ask(base.say.party(ref_key))
    if there is None or not there.inn:
        return Outcome("skipped", "Контрагент без ИНН или помечен на удаление")
    for crm_name, crm in services.crms.items():
        found = crm.ask(crm.say.accounts_by(there.inn, there.kpp))
        if len(found) == 1:
            return _bound(services, base, crm_name, found[0], there)
        if len(found) > 1:
            reasons = (f"совпадают ИНН {there.inn} и КПП {there.kpp or 'нет'}",)
            with services.store.unit("propose doubles") as unit:
                for one in found[1:]:
                    unit.parties.propose(
                        [Proposed("double_crm", crm_name, one.id, "", found[0].id, 1.0, reasons, one.name)]
                    )
            return Outcome("skipped", f"В CRM несколько клиентов с ИНН {there.inn}: crm1c duplicates list")
    return Outcome("skipped", f"Клиента с ИНН {there.inn} в CRM нет")


# -- a client that is in both ---------------------------------------------------------------------------------------


@dataclass
class _Pair:
    """One linked client in its two systems. `side`: who changed, or "" when nothing may be taken for unchanged."""

    services: Services
    link: Link
    account: Party
    side: str

    def synced(self) -> Outcome:
        base, link = self.services.bases[self.link.base], self.link
        with base.session():
            learned(self.services, base)
            there = base.ask(base.say.party(link.ref_key))
            if there is None:
                return self._gone()
            if self._as_we_left_it(there):
                return Outcome("unchanged", "Обе стороны не менялись")
            registry, told = self._registry(there)
            decisions = self._decisions(there, registry)
            self._tell(decisions)  # first: a worker that dies after the write would find nothing left to tell
            after = self._into_onec(base, there, decisions)
        shown, account = self._into_crm(decisions)
        agreed = agreed_after(link.agreed, decisions, plain(account), plain(after))
        now, said = self.services.now().isoformat(), link.agreed.get(SAID) or {}
        agreed[SAID] = said_after(link.agreed, said, decisions, registry, told, now)
        new = replace(
            link, state="linked", ref_key=link.ref_key, version=after.version, crm_version=shown, agreed=agreed
        )
        foreign = self._foreign(there, after, decisions)
        owes = (sync_duty(self.services, link, "", delay=1.0),) if foreign else ()
        if foreign:
            new = replace(new, version="")
        written = [name for name, one in decisions.items() if one.writes]
        waits = [name for name, one in decisions.items() if one.action == "conflict"]
        if waits:
            return Outcome("done", f"Ждут решения: {', '.join(waits)} (crm1c conflicts)", owes, (new,))
        if not written:
            return Outcome("unchanged", "Стороны согласны", owes, (new,))
        return Outcome("done", f"Согласовано: {', '.join(written)}", owes, (new,))

    def _as_we_left_it(self, there: Party) -> bool:
        link = self.link
        same_crm = bool(link.crm_version) and link.crm_version == self.account.version
        same_onec = bool(link.version) and link.version == there.version
        return bool(self.side) and same_crm and same_onec and "name" in link.agreed

    def _gone(self) -> Outcome:
        if self.link.state == GONE:
            return Outcome("unchanged", "Контрагент в 1С удалён или помечен на удаление")
        text = "Контрагент этого клиента в 1С помечен на удаление или удалён: реквизиты больше не согласуются."
        crm = self.services.crms[self.link.crm]
        crm.ask(crm.say.tell_account(self.account.id, text))
        return Outcome("skipped", text, links=(replace(self.link, state=GONE),))

    def _registry(self, there: Party) -> tuple[dict[str, str], tuple[str, str]]:
        """What a register says within the day (field → value), and which one, when; nobody is asked now."""
        kept = kept_row(self.services, there.inn or self.account.inn, there.kpp)
        if kept is None:
            return {}, ("", "")
        row, at = kept
        return {name: value for name, value in plain(as_party(row)).items() if value}, (row.source, at)

    def _decisions(self, there: Party, registry: Mapping[str, str]) -> dict[str, Decision]:
        """Field by field; what a person decided takes the place of a conflict, as long as both values still stand."""
        services, crm = self.services, self.services.crms[self.link.crm]
        owners: Mapping[str, Any] = vars(services.settings.ownership)
        ours, theirs = plain(self.account), plain(there)
        made = decide(self.link.agreed, ours, theirs, owners, registry, crm.say.party_fields)
        with services.store.unit("conflicts") as unit:
            standing = {one.field: one for one in unit.parties.clashes(self.link) if one.state != "over"}
            for name, decision in list(made.items()):
                clash = standing.pop(name, None)
                if decision.action != "conflict":
                    if clash is not None:
                        unit.parties.end(clash.id)
                    continue
                values = (ours[name], theirs[name])
                if clash is not None and clash.take and (clash.crm_value, clash.onec_value) == values:
                    made[name] = _taken(clash)
                    unit.parties.end(clash.id)
                elif clash is None or clash.take or (clash.crm_value, clash.onec_value) != values:
                    agreed = self.link.agreed.get(name) or ""
                    unit.parties.clash(Clash.of(self.link, name, agreed, *values, decision.reason))
        return made

    def _into_onec(self, base: Base, there: Party, decisions: Mapping[str, Decision]) -> Party:
        changes = _changes(decisions, "onec", base.say.party_fields)
        if not changes:
            return there
        try:
            return base.ask(base.say.update_counterparty(there.ref_key, there.version, changes))
        except Conflict as error:
            raise Transient("Контрагента в 1С меняют прямо сейчас. Согласуем чуть позже.", system=base.name) from error

    def _into_crm(self, decisions: Mapping[str, Decision]) -> tuple[str, Party]:
        """(the account's version as we left it, what stands there)."""
        crm = self.services.crms[self.link.crm]
        changes = _changes(decisions, "crm", crm.say.party_fields)
        if not self.account.ref_key and "ref_key" in crm.say.party_fields:
            changes["ref_key"] = self.link.ref_key
        if not changes:
            return self.account.version, self.account
        try:
            shown = crm.ask(crm.say.update_account(self.account, changes))
        except Conflict as error:
            raise Transient("Клиента в CRM меняют прямо сейчас. Согласуем чуть позже.", system=crm.name) from error
        if shown.ignored or shown.problems:
            stands = crm.ask(crm.say.account(self.account.id))
            return shown.version, stands or self.account
        return shown.version, replace(self.account, **{k: v for k, v in changes.items() if k != "ref_key"})  # type: ignore[arg-type]

    def _tell(self, decisions: Mapping[str, Decision]) -> None:
        """Whose edit was set back or overtaken, and what waits for a person, stands in the client's stream, once."""
        reasons = [decision.reason for decision in decisions.values() if decision.reason]
        if reasons:
            crm = self.services.crms[self.link.crm]
            crm.ask(crm.say.tell_account(self.account.id, "Обмен с 1С. " + " ".join(reasons)))

    def _foreign(self, before: Party, after: Party, decisions: Mapping[str, Decision]) -> bool:
        """Somebody changed another field in 1C between our write and our reading it back."""
        if before.version == after.version:
            return False
        was, now = plain(before), plain(after)
        return any(was[name] != now[name] for name in was if name not in _changes(decisions, "onec", frozenset(was)))


def _changes(decisions: Mapping[str, Decision], side: Side, fields: frozenset[str]) -> dict[str, str]:
    return {
        name: decision.value
        for name, decision in decisions.items()
        if decision.writes == side and decision.value is not None and name in fields
    }


def _taken(clash: Clash) -> Decision:
    """What a person decided: that side's value goes to the other."""
    if clash.take == "crm":
        return Decision("to_onec", clash.crm_value)
    return Decision("to_crm", clash.onec_value)
