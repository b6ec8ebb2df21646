"""Carrying work out: claim, run the flow, settle; or decide by the one retry policy what becomes of a failure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from integration.errors import Busy, Crm1cError, Held
from integration.flows.accept import accept
from integration.flows.deal import invoice_link, show_deal, tell_deal, why_not
from integration.flows.holder import managers
from integration.flows.invoice import invoice
from integration.flows.kpi import kpi
from integration.flows.letter import letter
from integration.flows.notice import notice, owed_notice
from integration.flows.paper import attach, paper, unsent
from integration.flows.publish import publish
from integration.flows.pull import settle
from integration.flows.reconcile.run import compare
from integration.flows.reconcile.tell import mail_report
from integration.flows.requisites import save_requisites
from integration.flows.sync import counterparty, tell_account
from integration.flows.totals import show_totals
from integration.log import correlated
from integration.retry import POLICIES, Again, decide
from integration.rules.sentence import inside
from integration.services import Services
from integration.work import Duty, Event, Outcome, Owed, Wait

log = logging.getLogger("crm1c.work")

_DONE = {"done": "сделано", "unchanged": "уже так", "skipped": "не нужно"}

# What the manager reads where the error's own words are not for him.
_GAVE_UP = {
    "bug": "Внутренняя ошибка crm1c. Администратор увидит её в журнале событий.",
    "exhausted": "Система слишком долго не отвечала, повторы закончились. Нажмите кнопку счёта, когда она заработает.",
    "unknown": "Ответ 1С потерян, и создан ли счёт, узнать не удалось. Нажмите кнопку счёта: сначала он ищется.",
}

_UNSENT = {
    "bug": _GAVE_UP["bug"],
    "exhausted": "система слишком долго не отвечала, повторы закончились. Администратору: crm1c events replay.",
    "unknown": "ответ потерян, и ушло ли письмо, неизвестно. Спросите клиента, прежде чем отправлять снова.",
}

_UNSYNCED = {
    "bug": _GAVE_UP["bug"],
    "exhausted": "система слишком долго не отвечала. Администратору: crm1c events replay.",
    "unknown": "ответ системы потерян. Администратору: crm1c events replay.",
}

Flow = Callable[[Services, Duty], Outcome]

# What can be owed. A new kind of duty is one line here.
FLOWS: Mapping[str, Flow] = {
    "counterparty": counterparty,
    "tell_account": tell_account,
    "save_requisites": save_requisites,
    "invoice": invoice,
    "show_deal": show_deal,
    "show_totals": show_totals,
    "tell_deal": tell_deal,
    "paper": paper,
    "letter": letter,
    "attach": attach,
    "notice": notice,
    "settle": settle,
    "publish": publish,
    "managers": managers,
    "kpi": kpi,
    "compare": compare,
    "report": mail_report,
}


def perform_event(services: Services, event_id: str) -> Wait | None:
    """Route one event. Wait: it cannot be taken yet, come back then."""
    claimed = services.store.claim_event(event_id)
    if claimed is None or isinstance(claimed, Wait):
        return claimed
    _carry_out(services, claimed, lambda: accept(services, claimed))
    return None


def perform_duty(services: Services, duty_id: str) -> Wait | None:
    """Carry one duty out. Wait: it cannot be taken yet, come back then."""
    claimed = services.store.claim_duty(duty_id)
    if claimed is None or isinstance(claimed, Wait):
        return claimed
    _carry_out(services, claimed, lambda: FLOWS[claimed.kind](services, claimed))
    return None


def _carry_out(services: Services, work: Duty | Event, flow: Callable[[], Outcome]) -> None:
    with correlated(work.trace), services.store.keeping(work):
        try:
            outcome = flow()
        except Exception as error:
            _failed(services, work, error)
            return
        services.store.settle(work, outcome)
        log.info("%s: %s", _DONE[outcome.kind], outcome.text or "следующие шаги записаны", extra=_names(work))


def _failed(services: Services, work: Duty | Event, error: Exception) -> None:
    """Busy and held cost no attempt; the rest is the retry policy's decision."""
    store, luck = services.store, services.luck()
    system = getattr(error, "system", "") or (work.system if isinstance(work, Duty) else "")
    if isinstance(error, Busy):
        store.put_off(work, 0.5 + luck, error, attempt=False)
        return
    if isinstance(error, Held) or (isinstance(error, Crm1cError) and error.hold):
        pause = getattr(error, "retry_after", None) or services.settings.delivery.hold_first
        log.warning("ждёт %s: %s", error.system, error, extra=_names(work))
        store.put_off(work, pause, error, attempt=False, waits_for=error.system)
        return
    policy = services.policies.get(system.partition(":")[0], POLICIES["crm"])
    verdict = decide(error, work.attempts + 1, policy, luck)
    if isinstance(verdict, Again):
        log.warning("повтор через %.1f с: %s", verdict.delay, error, extra=_names(work))
        store.put_off(work, verdict.delay, error, attempt=True)
        return
    bug = error if verdict.kind == "bug" else None
    log.error("отложено (%s): %s", verdict.kind, error, exc_info=bug, extra=_names(work))
    store.park(work, verdict.kind, error, owes=_told(services, work, verdict.kind, str(error)))


def _told(services: Services, work: Duty | Event, kind: str, reason: str) -> tuple[Owed, ...]:
    """Whom to tell that work was parked: the manager of the deal, when it was about one."""
    if not isinstance(work, Duty):
        return ()
    if work.kind in ("paper", "letter", "attach"):
        cause, text = unsent(services, work, _UNSENT.get(kind, reason))
        return owed_notice(services, work.payload["crm"], work.payload["deal"], cause, text)
    if work.kind == "counterparty" and "account" in work.payload:
        crm, account, reason = work.payload["crm"], work.payload["account"], _UNSYNCED.get(kind, reason)
        payload = {"crm": crm, "account": account, "reason": reason}
        cause, text = f"counterparty:{crm}:{account}:{reason}", f"Обмен с 1С остановлен: {inside(reason)}"
        more = owed_notice(services, crm, "", cause, text, account=account, told=("crm",))
        return (Owed("tell_account", f"crm:{crm}", work.key, payload), *more)
    if work.kind != "invoice":
        return ()
    crm, deal = work.payload["crm"], work.payload["deal"]
    reason = _GAVE_UP.get(kind, reason)
    link = invoice_link(services, crm, deal)
    seen = link.version if link else ""
    payload = {"crm": crm, "deal": deal, "reason": reason, "seen": seen}
    more = owed_notice(
        services, crm, deal, f"invoice:{crm}:{deal}:{seen}:{reason}", why_not(link, reason), told=("crm",)
    )
    return (Owed("tell_deal", f"crm:{crm}", work.key, payload), *more)


def _names(work: Duty | Event) -> dict[str, str]:
    if isinstance(work, Duty):
        return {"duty": work.id, "kind": work.kind, "key": work.key}
    return {"event": work.id, "kind": f"{work.entity}.{work.event}", "key": work.record_id}
