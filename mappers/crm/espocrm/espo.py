"""The dialect itself: every verb of `CrmDialect`, each told in full by the module it leads to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from mappers.canonical import AccountState, Deal, DealState, Party, User
from mappers.crm.espocrm import doctor, papers, records, setup, webhooks, writes
from mappers.crm.espocrm.deals import Deals
from mappers.crm.espocrm.options import Options
from mappers.crm.espocrm.talk import (
    PAGE,
    Api,
    answer,
    as_object,
    ask_list,
    ask_record,
    forbidden_here,
    record_gone,
    safe_id,
    search,
    usable_id,
)
from mappers.dialect import Call, Delivery, Finding, Notice, Reply, SetupDone, Shown, Talk
from mappers.fields import EspoTime
from mappers.paper import PaperKind

_TIME = EspoTime()
_LISTED = (
    *("id", "name", "stage", "amount", "amountCurrency", "accountId", "createdAt", "modifiedAt", "versionNumber"),
)


class EspoCrm(Deals):
    """EspoCRM over its REST API. Paths are relative to the site; sums are in the deal's currency, times aware UTC.

    Every talk raises `Fault` as `talk.refusal` has it; `options` is the table [crm.NAME] with secrets resolved.
    """

    kinds: Mapping[str, str] = {"Opportunity": "deal", "Account": "account"}

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Raises ValueError naming the key that is wrong."""
        self.options = Options.of(options)
        self.api = Api(self.options.api_key, self.options.hmac_secret)
        self.capabilities = frozenset(
            {"webhooks", "notes", "polling", "setup", "versions", "files", "letters"}
            | ({"lines"} if self.options.lines else set())
        )

    def credentials(self) -> Mapping[str, str]:
        """The API key; nothing with HMAC, where every call carries a signature of its own (contract §1)."""
        return {} if self.options.hmac_secret else {"X-Api-Key": self.options.api_key}

    def opening_headers(self) -> Mapping[str, str]:
        """EspoCRM has no reusable sessions for API users."""
        return {}

    def session_died(self, call: Call, reply: Reply) -> bool:  # noqa: ARG002 – the protocol's names
        return False

    def authentic(self, delivery: Delivery, secrets: Sequence[str], by_webhook: Mapping[str, str]) -> str | None:
        return webhooks.authentic(delivery, secrets, by_webhook)

    def notices(self, delivery: Delivery, webhook_id: str, routes: Mapping[str, str]) -> list[Notice]:
        return webhooks.notices(delivery, webhook_id, routes)

    def stage_of(self, body: bytes) -> str | None:
        return webhooks.stage_of(body)

    def webhook_event(self, webhook_id: str) -> Talk[str | None]:
        """GET Webhook/{id}: «Opportunity.update»; None when it isn't there or belongs to somebody else."""
        if not usable_id(webhook_id):
            return None
        call = self.api.get("чей это вебхук", f"Webhook/{webhook_id}")
        reply = yield call
        if record_gone(reply) or forbidden_here(reply):
            return None
        event = as_object(call, answer(call, reply)).get("event")
        return event if isinstance(event, str) and webhooks.split_event(event) else None

    def deal(self, deal_id: str) -> Talk[Deal | None]:
        """GET Opportunity/{id} and its lines as configured; None when EspoCRM says that it is gone."""
        raw = yield from ask_record(self.api.get("чтение сделки", f"Opportunity/{safe_id(deal_id, 'сделка')}"))
        if raw is None:
            return None
        lines = yield from records.read_lines(self.api, self.options, {**raw, "id": deal_id})
        return records.deal(self.options, raw, lines)

    def account(self, account_id: str) -> Talk[Party | None]:
        """GET Account/{id}; None when EspoCRM says that it is gone."""
        raw = yield from ask_record(self.api.get("чтение клиента", f"Account/{safe_id(account_id, 'клиент')}"))
        return None if raw is None else records.party(self.options, raw)

    def show_deal(self, deal: Deal, state: DealState) -> Talk[Shown]:
        return writes.show_deal(self.api, self.options, deal, state)

    def show_account(self, account_id: str, state: AccountState) -> Talk[Shown]:
        return writes.show_account(self.api, self.options, account_id, state)

    def note(self, deal_id: str, text: str) -> Talk[bool]:
        return writes.note(self.api, deal_id, text)

    def contact(self, contact_id: str) -> Talk[Party | None]:
        """GET Contact/{id}: a person at the client's; None when EspoCRM says that it is gone."""
        raw = yield from ask_record(self.api.get("чтение контакта", f"Contact/{safe_id(contact_id, 'контакт')}"))
        return None if raw is None else records.party(self.options, raw)

    def user(self, user_id: str) -> Talk[User]:
        """GET User/{id}; nothing but the id where he is gone or the role shows no users."""
        call = self.api.get("чтение менеджера", f"User/{safe_id(user_id, 'пользователь')}")
        reply = yield call
        if record_gone(reply) or forbidden_here(reply):
            return User(user_id)
        return replace(records.user(as_object(call, answer(call, reply))), id=user_id)

    def account_emails(self, account_id: str) -> Talk[list[str]]:
        return papers.account_emails(self.api, account_id)

    def user_email(self, user_id: str) -> Talk[str]:
        return papers.user_email(self.api, user_id)

    def attach(self, deal: Deal, name: str, pdf: bytes, text: str, kind: PaperKind = "invoice") -> Talk[bool]:
        return papers.attach(self.api, self.options, deal, name, pdf, text, kind)

    def draft_letter(
        self, deal_id: str, letter: dict[str, str], name: str, pdf: bytes, others: Collection[str] = ()
    ) -> Talk[str]:
        return papers.draft_letter(self.api, deal_id, letter, name, pdf, others)

    def send_letter(self, letter_id: str, to: str = "") -> Talk[bool]:
        return papers.send_letter(self.api, letter_id, to)

    def changed_deals(self, since: datetime, offset: int) -> Talk[tuple[list[Deal], bool]]:
        """At most 200 deals, lines and `raw` left out (a list shortens texts): re-read one before acting on it.

        `since` is aware; EspoCRM keeps whole seconds, so overlap and drop what is known by (id, version). Links made
        from the client's side and imports change neither modifiedAt nor version (traps 8, 9): not seen here.
        """
        names = self.options.fields
        own = [names[ours] for ours in ("organisation", "retention_amount", "retention_date") if ours in names]
        moment = _TIME.serialize("since", {"since": since})
        params = search(
            where=[{"type": "greaterThanOrEquals", "attribute": "modifiedAt", "value": moment}],
            select=[*_LISTED, f"{self.options.manager}Id", f"{self.options.manager}Name", *own],
            orderBy="modifiedAt",
            order="asc",
            offset=offset,
            maxSize=PAGE,
        )
        call = self.api.get("изменённые сделки", "Opportunity", params, headers={"X-No-Total": "true"})
        rows, total = yield from ask_list(call)
        # -1: more follow, -2: no more (contract §3.2); a total proper from a version that takes no X-No-Total.
        more = total == -1 or total > offset + len(rows)
        return records.listed(self.options, rows), more

    def check(self) -> Talk[list[Finding]]:
        return doctor.check(self.api, self.options)

    def setup(self, callback_url: str) -> Talk[SetupDone]:
        return setup.setup(self.api, callback_url)

    def setup_admin(self) -> Talk[SetupDone]:
        """Fields and duplicate check; the caller sends it with `admin_credentials` in place of `credentials`."""
        return setup.setup_admin(self.api, self.options)

    @staticmethod
    def admin_credentials(user: str, password: str) -> Mapping[str, str]:
        """Headers for `setup_admin`; never kept, never logged."""
        return setup.admin_credentials(user, password)
