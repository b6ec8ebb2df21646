"""Papers in EspoCRM: a PDF kept with the deal, and a letter that the CRM sends itself (ESPOCRM.md §3.6, §3.7)."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping
from typing import Any

from mappers.canonical import Deal
from mappers.crm.espocrm.options import Options
from mappers.crm.espocrm.talk import (
    PAGE,
    Api,
    answer,
    as_object,
    ask,
    ask_list,
    ask_record,
    forbidden_here,
    record_gone,
    safe_id,
    search,
    status_reason,
)
from mappers.crm.espocrm.writes import posts
from mappers.dialect import Fault, Reply, Talk
from mappers.paper import PaperKind

_PDF = "application/pdf"
# As Symfony's mailer writes it: Expected response code "250/251/252" but got code "550", with message "550 5.1.1 …".
_SMTP_CODE = re.compile(r"(?<![\d/])([45]\d\d)(?![\d/])")


def attach(
    api: Api, options: Options, deal: Deal, name: str, pdf: bytes, text: str, kind: PaperKind = "invoice"
) -> Talk[bool]:
    """Keep the PDF with the deal: an invoice in its file field where one is named, else with a post of that text; True
    when written.

    What stands there by its name, or its text, is not written again. An upload whose answer was lost stays unlinked,
    and EspoCRM clears it away (§3.6).
    """
    deal_id = safe_id(deal.id, "сделка")
    field = options.fields.get("invoice_file") if kind == "invoice" else ""
    if field and f"{field}Id" in deal.raw:
        if deal.raw.get(f"{field}Name") == name and deal.raw.get(f"{field}Id"):
            return False
        file_id = yield from _uploaded(api, name, pdf, {"relatedType": "Opportunity", "field": field})
        yield from ask(api.put("PDF в поле сделки", f"Opportunity/{deal_id}", {f"{field}Id": file_id}))
        return True
    if text in (yield from posts(api, deal_id)):
        return False
    file_id = yield from _uploaded(api, name, pdf, {"parentType": "Note", "field": "attachments"})
    body = {"type": "Post", "post": text, "parentType": "Opportunity", "parentId": deal_id, "attachmentsIds": [file_id]}
    yield from ask(api.post("запись с PDF в ленту сделки", "Note", body))
    return True


def draft_letter(
    api: Api, deal_id: str, letter: dict[str, str], name: str, pdf: bytes, others: Collection[str] = ()
) -> Talk[str]:
    """The id of the letter with this subject about the deal, or of a draft made now. `letter`: from, to, subject,
    body (HTML); `others`: letters of other versions, whose subject may be the same."""
    parent = {"parentType": "Opportunity", "parentId": safe_id(deal_id, "сделка")}
    where = [{"type": "equals", "attribute": key, "value": value} for key, value in parent.items()]
    where.append({"type": "equals", "attribute": "subject", "value": letter["subject"]})
    rows, _ = yield from ask_list(api.get("письма сделки", "Email", search(where=where, maxSize=PAGE)))
    mine = [str(row["id"]) for row in rows if row.get("id") and row.get("status") != "Archived"]
    mine = [letter_id for letter_id in mine if letter_id not in others]
    if mine:
        return mine[0]
    file_id = yield from _uploaded(api, name, pdf, {"parentType": "Email", "field": "attachments"})
    body = {"status": "Draft", "isHtml": True, "attachmentsIds": [file_id], **letter, **parent}
    call = api.post("черновик письма", "Email", body)
    return str(as_object(call, (yield from ask(call))).get("id"))


def send_letter(api: Api, letter_id: str, to: str = "") -> Talk[bool]:
    """Send the draft, unless it was sent; True when sent now. A failure leaves the draft, to be sent by the next try;
    `to`: whom to send it to instead of those it was drafted for, several with semicolons.

    Raises Fault by what EspoCRM's mail server said: transient for 4xx and silence, rejected for 5xx and for an address
    that can't be right, misconfigured where EspoCRM has no mail server.
    """
    path = f"Email/{safe_id(letter_id, 'письмо')}"
    standing = yield from ask_record(api.get("письмо сделки", path))
    if standing is None:
        raise Fault("rejected", "EspoCRM: черновик письма удалён; повторите событие, если письмо ещё нужно")
    if standing.get("status") == "Sent":
        return False
    call = api.put("отправка письма", path, {"status": "Sending"} | ({"to": to} if to else {}))
    reply = yield call
    if reply.status == 500 and status_reason(reply) == "sendingFail":
        raise _unsent(reply)
    answer(call, reply)
    return True


def account_emails(api: Api, account_id: str) -> Talk[list[str]]:
    """The client's addresses, the main one first, without those that are dead or want no letters."""
    row = yield from ask_record(api.get("адреса клиента", f"Account/{safe_id(account_id, 'клиент')}"))
    told = (row or {}).get("emailAddressData")
    rows = [one for one in told if isinstance(one, Mapping)] if isinstance(told, list) else []
    live = [one for one in rows if not (one.get("invalid") or one.get("optOut"))]
    return [str(one.get("emailAddress") or "") for one in sorted(live, key=lambda one: not one.get("primary"))]


def _unsent(reply: Reply) -> Fault:
    """What EspoCRM's mail server said, in its exception's words: a code of its own, or that there is no server."""
    detail = reply.text[:300]
    found = _SMTP_CODE.search(detail)
    if "SMTP settings" in detail:
        told = "в EspoCRM не настроена почта: нужна групповая учётная запись с SMTP и адресом sender из [mail]"
        return Fault("misconfigured", told, detail=detail)
    if found and found[1].startswith("5"):
        told = f"почтовый сервер EspoCRM не принял письмо ({found[1]}): исправьте адрес клиента и повторите событие; "
        return Fault("rejected", f"{told}черновик остался у сделки", detail=detail)
    told = "EspoCRM не смогла отправить письмо; оно осталось черновиком у сделки, отправим ещё раз"
    return Fault("transient", told, detail=detail)


def user_email(api: Api, user_id: str) -> Talk[str]:
    """The address of a CRM user; empty where he has none or the role doesn't show users."""
    call = api.get("почта менеджера", f"User/{safe_id(user_id, 'пользователь')}")
    reply = yield call
    if record_gone(reply) or forbidden_here(reply):
        return ""
    return str(as_object(call, answer(call, reply)).get("emailAddress") or "")


def _uploaded(api: Api, name: str, content: bytes, owner: dict[str, Any]) -> Talk[str]:
    file = f"data:{_PDF};base64,{base64.b64encode(content).decode()}"
    body = {"name": name, "type": _PDF, "role": "Attachment", **owner, "file": file}
    call = api.post("загрузка PDF", "Attachment", body)
    return str(as_object(call, (yield from ask(call))).get("id"))
