"""A client in both systems: three states compared (agreed, CRM now, 1C now), allowed edits copied, others set back and
told, what only a person can decide left alone until he does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from integration.errors import Conflict, Transient
from integration.flows.answer import kept_row
from integration.flows.notice import owed_notice
from integration.flows.profile import learned
from integration.flows.saving import KIND
from integration.rules.agreement import agreed_after, decide, plain
from integration.rules.merge import Decision, Side
from integration.rules.provenance import SAID, said_after
from integration.rules.requisites import as_party
from integration.services import Base, Services
from integration.work import Clash, Link, Outcome, Owed
from mappers.canonical import Party

GONE = "gone"  # a link's state: the counterparty was erased or marked in 1C
_CONTACTS = {"phone": "Телефон", "email": "Почта", "address": "Адрес"}


def sync_duty(services: Services, link: Link, side: str, delay: float = 0) -> Owed:
    """The duty of one linked client. One key per CRM record: never two side by side."""
    system = f"onec:{link.base}" if link.base in services.bases else "onec"
    key = f"{link.crm}:account:{link.record_id}"
    payload = {"crm": link.crm, "account": link.record_id, "side": side}
    return Owed(KIND, system, key, payload, merge=f"{KIND}:{key}:{side}", delay=delay)


@dataclass
class Pair:
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
            self._tell_untaken(decisions, there, after)
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
            return Outcome(
                "done", f"Ждут решения: {', '.join(waits)} (crm1c conflicts)", owes + self._asked(waits), (new,)
            )
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

    def _asked(self, waits: list[str]) -> tuple[Owed, ...]:
        """The client's manager hears of a conflict where he reads more than the stream, which `_tell` wrote to."""
        with self.services.store.unit("conflicts that wait") as unit:
            open_ = [one for one in unit.parties.clashes(self.link) if one.state == "open" and not one.take]
        values = ", ".join(f"{one.field}: в CRM «{one.crm_value}», в 1С «{one.onec_value}»" for one in open_)
        cause = f"conflict:{self.link.crm}:{self.account.id}:{values}"
        text = f"Ждут решения поля, которые изменили и в CRM, и в 1С: {values or ', '.join(waits)}. crm1c conflicts"
        return owed_notice(self.services, self.link.crm, "", cause, text, account=self.account.id, told=("crm",))

    def _tell_untaken(self, decisions: Mapping[str, Decision], before: Party, after: Party) -> None:
        """A contact that 1C's card keeps as it was: its editor learns where to change it."""
        was, now = plain(before), plain(after)
        wanted = {name: one.value for name, one in decisions.items() if one.writes == "onec" and name in _CONTACTS}
        left = [name for name, value in wanted.items() if now[name] == was[name] != value]
        if left:
            told = "; ".join(f"{_CONTACTS[name]}: в 1С остаётся «{was[name] or 'пусто'}»" for name in left)
            crm = self.services.crms[self.link.crm]
            crm.ask(crm.say.tell_account(self.account.id, f"Обмен с 1С. {told}. Поправьте в карточке контрагента 1С."))

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
