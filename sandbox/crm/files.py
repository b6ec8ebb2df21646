"""Attachments and letters (contracts/ESPOCRM.md §3.6, §3.7)."""

from __future__ import annotations

import base64
import binascii
import re
import smtplib
from email.message import EmailMessage
from email.utils import formataddr, make_msgid
from typing import Any

from sandbox.crm.auth import Caller
from sandbox.crm.errors import ApiError, bad_request, crash, forbidden, invalid
from sandbox.crm.metadata import Metadata
from sandbox.crm.records import Records
from sandbox.crm.store import Record, Store

_ADDRESS = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s.]+$")


class Attachments:
    """Uploads by data URL and downloads."""

    def __init__(self, meta: Metadata, store: Store, records: Records) -> None:
        self._meta, self._store, self._records = meta, store, records

    def upload(self, body: dict[str, Any], caller: Caller) -> Record:
        """``POST Attachment``: the owner type and field are required, the part before the comma is not read."""
        owner, field = body.get("parentType") or body.get("relatedType"), body.get("field")
        if not owner or not field:
            raise bad_request("No `field` and `parentType`.")
        if not self._meta.has(str(owner)) or field not in self._meta.fields[str(owner)]:
            raise forbidden(f"Field '{field}' does not exist.")
        _, comma, text = str(body.get("file") or "").partition(",")
        if not comma:
            raise bad_request("Bad file contents.")
        try:
            content = base64.b64decode(text)
        except binascii.Error as error:
            raise bad_request("Bad file contents.") from error
        values = {**body, "size": len(content)}
        record = self._records.create("Attachment", values, caller, skip_duplicates=True, internal=True)
        self._store.files[record["id"]] = content
        return record

    @staticmethod
    def extra() -> dict[str, Any]:
        return {"storage": "EspoUploadDir", "storageFilePath": None, "global": False}

    def download(self, id_: str) -> tuple[bytes, str, str]:
        """Content, type and name. Read by anyone who may see the record that it hangs on: not modelled."""
        record = self._store.get("Attachment", id_)
        if record is None:
            raise ApiError(404, "Not found.")
        return self._store.files.get(id_, b""), record.get("type") or "application/octet-stream", record["name"]


class Letters:
    """``POST Email {status: "Sending"}``: sent within the request through a group e-mail account."""

    def __init__(self, store: Store, records: Records) -> None:
        self._store, self._records = store, records

    def create(self, body: dict[str, Any], caller: Caller) -> dict[str, Any]:
        sending = body.get("status") == "Sending"
        if sending:
            self._check(body)
        caller.require("Email", "create")
        account = self._account(body, caller) if sending else None
        values = {**body, "status": "Draft" if sending else body.get("status", "Draft")}
        record = self._records.create("Email", values, caller, skip_duplicates=True)
        if account is not None:
            self._deliver(record, account)
        return self._shown(record, caller)

    def _shown(self, record: Record, caller: Caller) -> dict[str, Any]:
        """Far from all that the original shows of a letter."""
        shown = self._records.render.loaded("Email", record, caller.id)
        return {**shown, "name": record.get("subject"), "hasAttachment": bool(shown["attachmentsIds"])}

    def update(self, id_: str, body: dict[str, Any], caller: Caller) -> dict[str, Any]:
        """``{"status": "Sending"}`` sends a draft, also one left by a failure."""
        record = self._records.find("Email", id_, caller, "edit")
        if body.get("status") == "Sending":
            self._check({**record, **body})
            account = self._account({**record, **body}, caller)
            body = {k: v for k, v in body.items() if k != "status"}
            self._records.update("Email", id_, body, caller)
            self._deliver(record, account)
            return self._shown(record, caller)
        return self._records.update("Email", id_, body, caller)

    @staticmethod
    def _check(body: dict[str, Any]) -> None:
        to = str(body.get("to") or "").strip()
        if not to:
            raise invalid("Email", "to", "required")
        if not all(_ADDRESS.match(a.strip()) for a in to.split(";") if a.strip()):
            raise invalid("Email", "to", "valid")

    def _account(self, body: dict[str, Any], caller: Caller) -> Record:
        """The group account of the sender's address; without a usable one, 500 with nothing in it (§0.13)."""
        allowed = caller.admin or caller.permission("groupEmailAccountPermission") == "all"
        for account in self._store.rows("InboundEmail"):
            usable = account.get("useSmtp") and account.get("smtpIsShared") and account.get("status") == "Active"
            if allowed and usable and account.get("emailAddress") == body.get("from"):
                return account
        raise crash()

    def _deliver(self, record: Record, account: Record) -> None:
        letter = EmailMessage()
        letter["From"] = formataddr((account.get("name") or "", record["from"]))
        letter["To"] = ", ".join(_addresses(record["to"]))
        everyone = [*_addresses(record["to"]), *_addresses(record.get("cc")), *_addresses(record.get("bcc"))]
        letter["Subject"] = record.get("subject") or ""
        letter["Message-ID"] = make_msgid(domain="espo")
        letter.set_content(record.get("body") or "", subtype="html" if record.get("isHtml") else "plain")
        for id_ in self._store.relation("Email.attachments").of("Email", record["id"]):
            file = self._store.get("Attachment", id_) or {}
            main, _, sub = str(file.get("type") or "application/octet-stream").partition("/")
            content = self._store.files.get(id_, b"")
            letter.add_attachment(content, maintype=main, subtype=sub, filename=file.get("name"))
        try:
            with smtplib.SMTP(account.get("smtpHost") or "", int(account.get("smtpPort") or 25), timeout=10) as smtp:
                refused = smtp.send_message(letter, to_addrs=everyone)
                if refused:  # Symfony's mailer breaks off at the first of them; here the others have it already
                    raise smtplib.SMTPRecipientsRefused(refused)
        except (OSError, smtplib.SMTPException) as error:
            record["status"] = "Draft"
            raise ApiError(500, "sendingFail", {"id": record["id"], "message": _as_symfony(error)}) from error
        record.update(status="Sent", dateSent=self._store.clock.text(), messageId=letter["Message-ID"])


def _addresses(text: Any) -> list[str]:
    return [one.strip() for one in str(text or "").split(";") if one.strip()]


def _as_symfony(error: Exception) -> str:
    """The words of Symfony's mailer, which EspoCRM passes on."""
    code, said = 0, b""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, said = next(iter(error.recipients.values()))
    elif isinstance(error, smtplib.SMTPResponseException):
        code, said = error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b""
    if not code:
        return str(error)
    words = f"{code} {said.decode('utf-8', 'replace')}"
    return f'Expected response code "250/251/252" but got code "{code}", with message "{words}".'
