"""What changed in 1C's money: windows of documents compared by version, changes read by key, kept as facts, and the
accounts that they touch computed. Accountants date documents back and edit them late, so nothing is read only once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

from integration.errors import Busy, Misconfigured
from integration.flows.paper import owe_acts
from integration.flows.payment import owed_settling, settle_accounts, today
from integration.flows.profile import learned
from integration.flows.totals import owe_untold
from integration.rules.accounts import Fact, Kind, contracts_of, kind_of, named_by
from integration.services import Base, Services
from integration.work import Duty, Event, Outcome, Owed, new_id
from mappers.money import Act, Stamp

KINDS: tuple[Kind, ...] = ("invoice", "act", "payment", "refund")
# What 1C's own calls and exchange plans name → how the ledger keeps it.
SETS: Mapping[str, Kind] = {
    "Document_ПоступлениеНаРасчетныйСчет": "payment",
    "Document_СписаниеСРасчетногоСчета": "refund",
    "Document_РеализацияТоваровУслуг": "act",
    "Document_СчетНаОплатуПокупателю": "invoice",
    "Catalog_ДоговорыКонтрагентов": "contract",
}
_READ = 100  # documents read between two commits


def settle(services: Services, duty: Duty) -> Outcome:
    """The duty "settle": payload {base, pull}; without `pull` only what is marked is computed."""
    base, pull = duty.payload["base"], bool(duty.payload.get("pull"))
    if base not in services.bases:
        raise Misconfigured(f"Базы 1С «{base}» больше нет в настройках: верните таблицу [onec.{base}].")
    news = pull_money(services, base) if pull else 0
    done = settle_accounts(services, base, "обмен с 1С")
    if not news and not done:
        return Outcome("unchanged", "Платежи и акты не менялись")
    return Outcome("done", f"Документов изменилось: {news}, взаиморасчётов пересчитано: {done}")


def owed_pull(base: str) -> Owed:
    """The duty to look at a base's money now: 1C itself called."""
    payload = {"base": base, "pull": True}
    return Owed("settle", f"onec:{base}", f"{base}:payments", payload, merge=f"pull:{base}", delay=1.0)


def pull_payments(services: Services, base: str, *, nightly: bool = False) -> int:
    """The periodic job of one base: pull, then compute. Returns how many documents were news; a second one at the
    same time finds the first at work and leaves."""
    try:
        news = pull_money(services, base, nightly=nightly)
    except Busy:
        return 0
    settle_accounts(services, base, "ночная сверка" if nightly else "обмен с 1С")
    owe_untold(services, base, today(services, base))
    return news


def pull_money(services: Services, base_name: str, *, nightly: bool = False) -> int:
    """Bring the facts of a base up to date; returns how many were news. Raises Busy while another does so."""
    with services.store.lock(f"payments:{base_name}", patience=0.1):
        return _Pull(services, base_name, nightly).run()


class _Pull:
    """One look at one base. The window begins so many days before the newest document that 1C has shown."""

    def __init__(self, services: Services, name: str, nightly: bool) -> None:
        self.services, self.name, self.base = services, name, services.bases[name]
        self.mark = f"payments:{name}"
        table, kept = services.settings.onec[name], services.store.watermark(self.mark)
        tomorrow = today(services, name) + timedelta(days=1)
        # A date mistyped into the future must not move the window there.
        self.newest = min(date.fromisoformat(kept), tomorrow) if kept else tomorrow
        self.latest = date.fromisoformat(kept) if kept else date.min
        days = table.compare_days if nightly or not kept else table.pull_days
        self.since = self.newest - timedelta(days=days + 1)
        self.cap = tomorrow

    def run(self) -> int:
        base, news = self.base, 0
        with base.session():
            learned(self.services, base)
            organisation = whose(self.services, base, self.name)
        with base.session():
            rates = base.ask(base.say.rates(self.since))
        with self.services.store.unit("keep rates") as unit:
            unit.ledger.keep_rates(self.name, rates)
        news += self._contracts(organisation)
        for kind in KINDS:
            news += self._window(kind, organisation)
        if self.latest > date.min:
            self.services.store.set_watermark(self.mark, min(self.latest, self.cap).isoformat())
        return news

    def _contracts(self, organisation: str) -> int:
        """Those that documents have named before and that are another version now: a currency, a payment schedule."""
        news, skip, more = 0, 0, True
        while more:
            with self.base.session():
                page, more = self.base.ask(self.base.say.stamps("contract", organisation, date.min, skip))
            skip += len(page)
            with self.services.store.unit("known contracts") as unit:
                known = unit.ledger.stamps(self.name, "contract", [stamp.ref_key for stamp in page])
            stand = {ref: (version, deleted) for ref, (version, _posted, deleted) in known.items()}
            now = {stamp.ref_key: (stamp.version, stamp.deleted) for stamp in page}
            news += self.read("contract", sorted(ref for ref in stand if stand[ref] != now[ref]))
        return news

    def _window(self, kind: Kind, organisation: str) -> int:
        base, news, listed, more = self.base, 0, set[str](), True
        skip = 0
        while more:
            with base.session():
                page, more = base.ask(base.say.stamps(kind, organisation, self.since, skip))
            skip += len(page)
            listed |= {stamp.ref_key for stamp in page}
            self.latest = max([self.latest, *(stamp.day for stamp in page if stamp.day)])
            news += self.read(kind, self._changed(kind, page))
            if kind == "act" and base.say.signs_in_register:
                news += self._signed([stamp.ref_key for stamp in page])
        with self.services.store.unit("look for absent documents") as unit:
            absent = unit.ledger.dated(self.name, kind, self.since) - listed
        return news + self.read(kind, sorted(absent))

    def _changed(self, kind: Kind, page: Sequence[Stamp]) -> list[str]:
        """Those that differ from the facts; what was never live is nobody's money yet."""
        with self.services.store.unit("known versions") as unit:
            known = unit.ledger.stamps(self.name, kind, [stamp.ref_key for stamp in page])
        changed = []
        for stamp in page:
            was = known.get(stamp.ref_key)
            live = stamp.posted and not stamp.deleted
            if (was is None and live) or (was and was != (stamp.version, stamp.posted, stamp.deleted)):
                changed.append(stamp.ref_key)
        return changed

    def read(self, kind: Kind, refs: Sequence[str], ours: str = "") -> int:
        """Read documents with what they name, and keep them, some at a time: what stands is never read twice. `ours`:
        what belongs to another organisation is left out."""
        news = 0
        for at in range(0, len(refs), _READ):
            some = refs[at : at + _READ]
            with self.base.session():
                told = self.base.ask(self.base.say.documents(kind, some))
                found: list[Fact] = [fact for fact in told if fact.organisation == ours or not ours]
                found += self._named(found)
            erased = set(some) - {fact.ref_key for fact in found if kind_of(fact) == kind}
            with self.services.store.unit("keep facts") as unit:
                gone = [replace(fact, deleted=True) for fact in unit.ledger.facts(self.name, kind, erased)]
                news += unit.ledger.keep(self.name, [*found, *gone])
                owe_acts(self.services, unit, self.name, [*found, *gone])
        return news

    def _named(self, facts: Sequence[Fact]) -> list[Fact]:
        """The contracts of these documents, and what they name, as far as the facts don't have them."""
        more: list[Fact] = []
        named = named_by(facts) - {fact.ref_key for fact in facts}
        for kind in ("invoice", "act"):
            more += self._unknown(kind, named)
            named -= {fact.ref_key for fact in more}
        return more + self._unknown("contract", contracts_of([*facts, *more]))

    def _unknown(self, kind: Kind, refs: Iterable[str]) -> list[Fact]:
        wanted = set(refs)
        with self.services.store.unit("known facts") as unit:
            wanted -= unit.ledger.stamps(self.name, kind, wanted).keys()
        return list(self.base.ask(self.base.say.documents(kind, wanted))) if wanted else []

    def _signed(self, refs: Collection[str]) -> int:
        """Acts whose signature came or went in the register, which moves no version of theirs."""
        with self.services.store.unit("known acts") as unit:
            known = [fact for fact in unit.ledger.facts(self.name, "act", refs) if isinstance(fact, Act)]
        if not known:
            return 0
        with self.base.session():
            signed = self.base.ask(self.base.say.signed_acts([act.ref_key for act in known]))
        turned = [replace(act, signed=act.ref_key in signed) for act in known if act.signed != (act.ref_key in signed)]
        with self.services.store.unit("keep signatures") as unit:
            return unit.ledger.keep(self.name, turned)


def read_told(services: Services, base_name: str, told: Iterable[tuple[str, str]]) -> int:
    """Documents that 1C itself says have changed, (set, Ref_Key) each, read however old they are; returns how many were
    news. Their accounts are marked, and owed to be computed. What is not money is passed over."""
    refs: dict[Kind, set[str]] = {}
    for name, ref_key in told:
        if name in SETS:
            refs.setdefault(SETS[name], set()).add(ref_key)
    if not refs:
        return 0
    with services.store.lock(f"payments:{base_name}"):
        pull = _Pull(services, base_name, nightly=True)
        with pull.base.session():
            learned(services, pull.base)
            ours = whose(services, pull.base, base_name)
        news = sum(pull.read(kind, sorted(refs[kind]), ours) for kind in ("contract", *KINDS) if kind in refs)
    with services.store.unit("money told by 1C") as unit:
        unit.owe(owed_settling(base_name), cause=Event("", "ledger", "", "", "", b"", new_id()))
    return news


def read_again(services: Services, base_name: str, kind: Kind, refs: Sequence[str]) -> int:
    """Bring the facts of these documents up to what 1C says now; returns how many were news. Their accounts are marked
    and not yet computed."""
    return _Pull(services, base_name, nightly=True).read(kind, refs)


def whose(services: Services, base: Base, name: str) -> str:
    """The Ref_Key of our organisation in this base. Raises Misconfigured when it has none."""
    found = base.recall("organisation", lambda: base.ask(base.say.organisation()))
    if found is None:
        inn = services.settings.onec[name].organisation
        raise Misconfigured(f"В 1С нет организации с ИНН {inn}: проверьте onec.{name}.organisation.")
    return found.ref_key
