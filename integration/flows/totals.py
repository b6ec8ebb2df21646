"""A contract's money on the CRM's client: sums over its contracts, a line for each, and a note of each change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from integration.errors import Conflict, Transient
from integration.flows.showing import moment_of, not_taken
from integration.rules.contracts import SHOWN, Sums, account_state
from integration.services import Services
from integration.work import Duty, Event, Link, Outcome, Owed, new_id
from mappers.canonical import Party

CLIENT = "counterparty"  # the kind of the link between a client and its counterparty


def owed_totals(crm: str, record_id: str, base: str, contract: str, *, tell: bool) -> Owed:
    """The duty to show this client's money after a change in one contract (the id of its account); `tell`: people are
    to be told of it. One key per CRM record, as for all that is written there."""
    key = f"{crm}:account:{record_id}"
    payload = {"crm": crm, "account": record_id, "base": base, "contract": contract, "tell": tell}
    return Owed("show_totals", f"crm:{crm}", key, payload, merge=f"totals:{key}:{contract}:{tell}")


def owe_untold(services: Services, base: str, day: date) -> int:
    """Once a day: clients that don't show what their contracts come to, because they were linked later, or what was
    owed to them was given up. They are shown, and nobody is told anew. Returns how many contracts it was."""
    mark, after, found = f"totals-untold:{base}", ("", ""), 0
    if services.store.watermark(mark) == day.isoformat():
        return 0
    while True:
        with services.store.unit("owe untold totals") as unit:
            page = unit.ledger.untold(base, after)
            owes = [
                owed_totals(one.crm, one.record_id, base, one.contract, tell=False)
                for one in page
                if one.crm in services.crms and not one.sums.blank
            ]
            unit.owe(*owes, cause=Event("", "ledger", "", "", "", b"", new_id()))
        found += len(owes)
        if not page:
            services.store.set_watermark(mark, day.isoformat())
            return found
        after = (page[-1].contract, page[-1].record_id)


def show_totals(services: Services, duty: Duty) -> Outcome:
    """The duty "show_totals": the sums of all the client's contracts into its fields, the changed one into its stream.
    What it last showed of that contract is remembered, so that the same state is told once."""
    crm_name, account_id, contract = (duty.payload[name] for name in ("crm", "account", "contract"))
    crm = services.crms[crm_name]
    with services.store.looking() as known:
        links = [link for link in known.of_record(crm_name, "account", account_id) if link.kind == CLIENT]
    told: dict[str, dict[str, Any]] = {}
    with services.store.unit("what contracts come to") as unit:
        for link in links:
            told |= unit.ledger.sums(link.base, link.ref_key)
    if contract not in told:
        return Outcome("skipped", "Клиент больше не связан с этим договором")
    account = crm.ask(crm.say.account(account_id))
    if account is None:
        return Outcome("skipped", "Клиент удалён в CRM")
    try:
        shown = crm.ask(crm.say.show_account(account_id, account_state(map(Sums.unpacked, told.values()))))
    except Conflict as error:  # people go on editing: nothing to decide, only to wait
        raise Transient("Клиента в CRM меняют прямо сейчас. Покажем расчёты чуть позже.", system=crm.name) from error
    lacks = not_taken(services, crm_name, shown)
    sums, mark = Sums.unpacked(told[contract]), f"{SHOWN}{crm_name}:{contract}"
    if _is_news(services.store.watermark(mark), told[contract], sums):
        if duty.payload["tell"]:
            at = moment_of(services, duty, duty.payload["base"])
            crm.ask(crm.say.tell_account(account_id, f"Расчёты. {sums.line} ({at})"))
        services.store.set_watermark(mark, json.dumps(told[contract], ensure_ascii=False))
    return Outcome(
        "done" if shown.written else "unchanged",
        f"Расчёты по договорам показаны в CRM: {sums.label}{lacks}",
        links=_as_we_left_it(services, links, account, shown.version) if shown.written else (),
    )


def _is_news(known: str | None, told: Mapping[str, Any], sums: Sums) -> bool:
    return not sums.blank if known is None else json.loads(known) != told


def _as_we_left_it(services: Services, links: list[Link], before: Party, version: str) -> tuple[Link, ...]:
    """The links with the client's new version, so that the poll doesn't take our write for news; unless somebody else
    has edited it meanwhile."""
    if any(link.crm_version != before.version for link in links):
        return ()
    crm = services.crms[links[0].crm]
    after = crm.ask(crm.say.account(before.id))
    if after is None or replace(after, version=before.version) != before:
        return ()
    return tuple(replace(link, crm_version=version) for link in links)
