"""The sandbox CRM behaves as contracts/ESPOCRM.md says, trap by trap."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from sandbox.crm import ADMIN, ADMIN_PASSWORD, API_KEY, API_USER, HMAC_KEY, HMAC_SECRET, Espo
from sandbox.crm.metadata import custom_name
from sandbox.crm.sender import encode
from sandbox.serve import serving

ADMIN_HEADER = {"Espo-Authorization": base64.b64encode(f"{ADMIN}:{ADMIN_PASSWORD}".encode()).decode()}
DEAL = {"name": "Поставка № 1", "amount": 125000, "closeDate": "2026-12-31"}


class Client:
    """The API user, and the administrator where asked."""

    def __init__(self, url: str, crm: Espo) -> None:
        self.url, self.crm = url, crm
        self.session = requests.Session()

    def __call__(self, method: str, path: str, body: Any = None, *, admin: bool = False, **headers: str) -> Any:
        given = {k.replace("_", "-"): v for k, v in headers.items()}
        auth = ADMIN_HEADER if admin else {"X-Api-Key": API_KEY}
        url = f"{self.url}/api/v1/{path}"
        return self.session.request(method, url, json=body, headers={**auth, **given}, timeout=10)

    def make(self, entity: str, body: dict[str, Any], **more: Any) -> Any:
        answer = self("POST", entity, body, **more)
        assert answer.status_code in (200, 201), (answer.status_code, answer.headers, answer.text)
        return answer.json()

    def put(self, path: str, body: dict[str, Any], **more: Any) -> Any:
        answer = self("PUT", path, body, **more)
        assert answer.status_code == 200, (answer.status_code, answer.headers, answer.text)
        return answer.json()

    def get(self, path: str) -> Any:
        answer = self("GET", path)
        assert answer.status_code == 200, (answer.status_code, answer.headers)
        return answer.json()

    def find(self, entity: str, **params: Any) -> Any:
        return self("GET", f"{entity}?" + urlencode({"searchParams": json.dumps(params)}))

    def face(self, method: str, name: str, body: Any = None) -> Any:
        return self.session.request(method, f"{self.url}/_sandbox/{name}", json=body, timeout=10).json()


class Receiver:
    """A webhook endpoint: ``/status/503`` answers so; ``/slow`` waits until released."""

    def __init__(self) -> None:
        self.got: list[tuple[str, list[tuple[str, str]], bytes]] = []
        self.release = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.path, list(self.headers.items()), raw))
                if self.path.startswith("/slow"):
                    outer.release.wait(10)
                code = int(self.path.split("/")[2]) if self.path.startswith("/status/") else 200
                self.send_response(code)
                if code == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def items(self, path: str) -> list[Any]:
        """All items received at a path, in order."""
        return [item for where, _, raw in self.got if where == path for item in json.loads(raw)]

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def crm() -> Iterator[Client]:
    espo = Espo(webhook_interval=None)
    with serving(espo.wsgi()) as url:
        client = Client(url, espo)
        yield client
        client.session.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


# -- authentication (§1, §0.12) -----------------------------------------------------------------------------------


def _hmac(path: str, *, raw: bool = False, secret: str = HMAC_SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), f"GET /{path}".encode(), hashlib.sha256)
    tail = digest.digest() if raw else digest.hexdigest().encode()
    return {"X-Hmac-Authorization": base64.b64encode(HMAC_KEY.encode() + b":" + tail).decode()}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Api-Key": API_KEY}, 200),
        (_hmac("Account"), 200),
        (_hmac("Account", raw=True), 200),
        (_hmac("Account", secret="wrong"), 401),
        (_hmac("Account?maxSize=1"), 401),
        (ADMIN_HEADER, 200),
        ({**ADMIN_HEADER, "X-Api-Key": "wrong"}, 200),
        ({"Espo-Authorization": "YTpi", "X-Api-Key": API_KEY}, 401),
        ({"X-Api-Key": "wrong"}, 401),
        ({}, 401),
    ],
)
def test_a_caller_is_known_by_key_signature_or_password(crm: Client, headers: dict[str, str], status: int) -> None:
    answer = requests.get(f"{crm.url}/api/v1/Account?maxSize=1", headers=headers, timeout=5)
    assert answer.status_code == status
    if status == 401:
        assert answer.content == b""
        assert "X-Status-Reason" not in answer.headers


def test_eleven_failures_lock_the_address_out_for_a_minute_good_key_or_not(crm: Client) -> None:
    codes = [crm("GET", "Account", X_Api_Key="wrong").status_code for _ in range(13)]
    assert codes == [401] * 11 + [403] * 2
    good = crm("GET", "Account")
    assert (good.status_code, good.content, "X-Status-Reason" in good.headers) == (403, b"", False)
    crm.face("POST", "switches", {"advanceClock": 61})
    assert crm("GET", "Account").status_code == 200


@pytest.mark.parametrize(
    ("path", "reason"),
    [("KnowledgeBaseArticle", "No read access."), ("Role", "No read access."), ("Admin/jobs", "")],
)
def test_what_the_role_does_not_grant_is_403_with_a_reason_and_no_body(crm: Client, path: str, reason: str) -> None:
    answer = crm("GET", path)
    assert (answer.status_code, answer.headers["X-Status-Reason"], answer.content) == (403, reason, b"")


def test_an_api_user_sees_only_itself_among_users_unless_its_role_shows_them(crm: Client) -> None:
    role = crm.make("Role", {"name": "r", "data": {"Account": {"read": "all"}}}, admin=True)
    user = {"userName": "u", "type": "api", "authMethod": "ApiKey", "rolesIds": [role["id"]]}
    key = crm.make("User", user, admin=True)["apiKey"]
    assert [u["userName"] for u in crm("GET", "User", X_Api_Key=key).json()["list"]] == ["u"]
    assert {API_USER, "ivanova"} < {u["userName"] for u in crm.get("User")["list"]}


def test_an_administrator_makes_api_users_with_their_own_rights(crm: Client) -> None:
    role = crm.make("Role", {"name": "r", "data": {"Account": {"read": "own", "create": "yes"}}}, admin=True)
    user = crm.make(
        "User", {"userName": "u", "type": "api", "authMethod": "ApiKey", "rolesIds": [role["id"]]}, admin=True
    )
    key = user["apiKey"]
    theirs = crm.make("Account", {"name": "чужой"})
    mine = crm("POST", "Account", {"name": "свой"}, X_Api_Key=key).json()
    assert [r["id"] for r in crm("GET", "Account", X_Api_Key=key).json()["list"]] == [mine["id"]]
    assert crm("GET", f"Account/{theirs['id']}", X_Api_Key=key).status_code == 403
    assert (
        crm("PUT", f"Account/{mine['id']}", {"name": "x"}, X_Api_Key=key).headers["X-Status-Reason"]
        == "No edit access."
    )
    assert crm("GET", f"User/{user['id']}", X_Api_Key=key).json().get("apiKey") is None
    assert "secretKey" in crm.make("User", {"userName": "h", "type": "api", "authMethod": "Hmac"}, admin=True)


# -- records (§3.1) -----------------------------------------------------------------------------------------------


def test_a_create_answers_with_what_was_set_and_a_read_with_everything(crm: Client) -> None:
    made = crm.make(
        "Account", {"id": "mine0000000000000", "name": "ООО", "nosuch": 1, "createdAt": "2001-01-01 00:00:00"}
    )
    assert made["id"] != "mine0000000000000"
    assert len(made["id"]) == 17
    assert "website" not in made
    assert "nosuch" not in made
    assert made["versionNumber"] == 1
    assert made["assignedUserName"] is None
    assert not made["createdAt"].startswith("2001")
    read = crm.get(f"Account/{made['id']}")
    assert read["website"] is None
    assert read["emailAddressData"] == []
    assert "contactIsInactive" not in read


@pytest.mark.parametrize(
    ("sent", "stored"),
    [(7707083893, "7707083893"), (["a"], "Array"), ("", None), (True, "1"), (" 77 ", "77")],
)
def test_a_varchar_takes_anything(crm: Client, sent: Any, stored: Any) -> None:
    id_ = crm.make("Account", {"name": "n", "cInn": sent})["id"]
    assert crm.get(f"Account/{id_}")["cInn"] == stored


@pytest.mark.parametrize(
    ("sent", "stored"),
    [("+7 (495) 123-45-67", "+74951234567"), ("+7 495 123-45-67 доб. 12", "+74951234567"), ("84951234567", None),
     ("8 (495) 123-45-67", None), ("123", None)],
)  # fmt: skip
def test_a_phone_needs_a_plus(crm: Client, sent: str, stored: str | None) -> None:
    answer = crm("POST", "Account", {"name": "n", "phoneNumber": sent})
    if stored is None:
        assert answer.status_code == 400
        assert answer.json()["messageTranslation"]["data"] == {"field": "phoneNumber", "type": "valid"}
    else:
        assert answer.json()["phoneNumber"] == stored


@pytest.mark.parametrize(
    ("entity", "body", "field", "kind"),
    [
        ("Account", {"sicCode": "1"}, "name", "required"),
        ("Account", {"name": "x" * 300}, "name", "maxLength"),
        ("Account", {"name": "n", "type": "NoSuch"}, "type", "valid"),
        ("Account", {"name": "n", "emailAddress": "not-an-email"}, "emailAddress", "emailAddress"),
        ("Opportunity", {"name": "n", "closeDate": "2026-12-31"}, "amount", "required"),
        ("Opportunity", {**DEAL, "amountCurrency": "KZT"}, "amount", "validCurrency"),
        ("Opportunity", {**DEAL, "closeDate": "31.12.2026"}, "closeDate", "valid"),
        ("Opportunity", {**DEAL, "stage": "Никакая"}, "stage", "valid"),
        ("Webhook", {"event": "Account.create"}, "url", "required"),
    ],
)
def test_the_first_failing_field_is_told(crm: Client, entity: str, body: dict[str, Any], field: str, kind: str) -> None:
    answer = crm("POST", entity, body)
    assert answer.status_code == 400
    assert answer.json() == {
        "messageTranslation": {"label": "validationFailure", "scope": None, "data": {"field": field, "type": kind}}
    }
    reason = f"Field validation failure; entityType: {entity}, field: {field}, type: {kind}."
    assert answer.headers["X-Status-Reason"] == reason


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason"),
    [
        ("GET", "Account/doesnotexist00000", None, 404, "Record doesnotexist00000 does not exist."),
        ("PUT", "Account/doesnotexist00000", {"name": "x"}, 404, "Record doesnotexist00000 not found."),
        ("DELETE", "Account/doesnotexist00000", None, 404, "Record doesnotexist00000 not found."),
        ("GET", "NoSuchEntity", None, 404, "Controller 'NoSuchEntity' does not exist."),
        ("GET", "Account?maxSize=201", None, 403, "Max size should not exceed 200. Use offset and limit."),
        ("GET", "Account?searchParams=%7Bbad", None, 400, "Invalid search params JSON."),
        ("GET", "Account?orderBy=nosuch", None, 400, "Order by non-existing field 'nosuch'."),
    ],
)
def test_errors_without_a_body_have_a_reason(
    crm: Client, method: str, path: str, body: Any, status: int, reason: str
) -> None:
    answer = crm(method, path, body)
    assert (answer.status_code, answer.headers["X-Status-Reason"], answer.content) == (status, reason, b"")


def test_malformed_json_is_an_empty_500_and_a_form_is_accepted(crm: Client) -> None:
    def post(raw: bytes, kind: str) -> requests.Response:
        headers = {"X-Api-Key": API_KEY, "Content-Type": kind}
        return requests.post(f"{crm.url}/api/v1/Account", data=raw, headers=headers, timeout=5)

    bad = post(b"{bad json", "application/json")
    assert (bad.status_code, bad.content, "X-Status-Reason" in bad.headers) == (500, b"", False)
    assert post(b"name=foo", "application/x-www-form-urlencoded").json()["name"] == "foo"


def test_a_dangling_link_is_403(crm: Client) -> None:
    answer = crm("POST", "Opportunity", {**DEAL, "accountId": "nope0000000000000"})
    assert answer.status_code == 403
    label = {"label": "cannotRelateNonExisting", "scope": None, "data": {"foreignEntityType": "Account"}}
    assert answer.json() == {"messageTranslation": label}


def test_a_deleted_record_is_gone_from_reads_and_lists(crm: Client) -> None:
    id_ = crm.make("Account", {"name": "n"})["id"]
    deleted = crm("DELETE", f"Account/{id_}")
    assert (deleted.status_code, deleted.json()) == (200, True)
    assert crm("GET", f"Account/{id_}").status_code == 404
    assert crm.find("Account", where=[{"type": "isTrue", "attribute": "deleted"}]).json() == {"total": 0, "list": []}
    assert crm("POST", "Account/action/restoreDeleted", {"id": id_}, admin=True).json() is True
    assert crm("GET", f"Account/{id_}").status_code == 200


def test_a_deal_derives_probability_and_currency(crm: Client) -> None:
    deal = crm.make("Opportunity", DEAL)
    assert (deal["amountCurrency"], deal["amountConverted"], deal["probability"]) == ("RUB", 125000, 10)
    won = crm.put(f"Opportunity/{deal['id']}", {"stage": "Closed Won", "amount": "130000.50"})
    assert (won["probability"], won["amount"], won["amountWeightedConverted"]) == (100, 130000.5, 130000.5)
    lost = crm.put(f"Opportunity/{deal['id']}", {"stage": "Closed Lost"})
    assert (lost["probability"], lost["lastStage"]) == (0, "Closed Won")


def test_a_fresh_install_knows_dollars_only() -> None:
    fresh = Espo(webhook_interval=None, rub=False, fields=False)
    status, body = fresh.act("admin", "POST", "Opportunity", {**DEAL, "amountCurrency": "RUB"})
    assert (status, body["messageTranslation"]["data"]["type"]) == (400, "validCurrency")
    assert fresh.act("admin", "PUT", "Settings", {"currencyList": ["RUB", "USD"], "defaultCurrency": "RUB"})[0] == 200
    assert fresh.act("admin", "POST", "Opportunity", DEAL)[1]["amountCurrency"] == "RUB"


def test_the_answer_of_an_update_is_stale_for_data_lists(crm: Client) -> None:
    id_ = crm.make("Account", {"name": "n", "phoneNumber": "+74951234567"})["id"]
    answer = crm.put(f"Account/{id_}", {"phoneNumber": "+74950000001"})
    assert answer["phoneNumber"] == "+74950000001"
    assert answer["phoneNumberData"][0]["phoneNumber"] == "+74951234567"
    assert crm.get(f"Account/{id_}")["phoneNumberData"][0]["phoneNumber"] == "+74950000001"
    rows = [{"phoneNumber": "+74957654321", "type": "Office", "primary": True},
            {"phoneNumber": "+79161112233", "type": "Mobile", "primary": False}]  # fmt: skip
    assert crm.put(f"Account/{id_}", {"phoneNumberData": rows})["phoneNumberData"] == rows
    read = crm.get(f"Account/{id_}")
    assert read["phoneNumber"] == "+74957654321"
    assert [r["type"] for r in read["phoneNumberData"]] == ["Office", "Mobile"]


# -- versions, duplicates, races (§3.4, §3.5, §0.6) ---------------------------------------------------------------


def test_a_stale_version_conflicts_only_where_a_sent_value_differs(crm: Client) -> None:
    id_ = crm.make("Account", {"name": "n", "cKpp": "1"})["id"]
    assert crm.put(f"Account/{id_}", {"cKpp": "2"}, X_Version_Number="1")["versionNumber"] == 2
    assert crm.put(f"Account/{id_}", {"cKpp": "2"}, X_Version_Number="1")["versionNumber"] == 3
    answer = crm("PUT", f"Account/{id_}", {"cKpp": "3", "name": "n"}, X_Version_Number="1")
    assert (answer.status_code, answer.headers["X-Status-Reason"]) == (409, "modified")
    assert answer.json() == {"values": {"cKpp": "2"}, "versionNumber": 3}


def test_contacts_have_no_version(crm: Client) -> None:
    contact = crm.make("Contact", {"firstName": "Иван", "lastName": "Петров"})
    assert (contact["name"], "versionNumber" in contact) == ("Иван Петров", False)
    assert crm.put(f"Contact/{contact['id']}", {"title": "Бухгалтер"}, X_Version_Number="77")["title"] == "Бухгалтер"


def test_a_duplicate_answers_with_the_records_unless_told_to_skip(crm: Client) -> None:
    first = crm.make("Account", {"name": "ООО", "emailAddress": "a@b.example", "cInn": "1"})
    for body in ({"name": "ООО"}, {"name": "другое", "emailAddress": "A@b.example"}):
        answer = crm("POST", "Account", body)
        assert (answer.status_code, answer.headers["X-Status-Reason"]) == (409, "duplicate")
        assert [r["id"] for r in answer.json()] == [first["id"]]
        assert "emailAddressData" not in answer.json()[0]
    assert crm("POST", "Account", {"name": "ООО"}, X_Skip_Duplicate_Check="true").status_code == 200
    assert crm("POST", "Account", {"name": "другое", "cInn": "1"}).status_code == 200
    fields = {"name": "Account", "duplicateCheckFieldList": ["cInn"]}
    assert crm("POST", "EntityManager/action/updateEntity", fields, admin=True).json() is True
    assert crm("POST", "Account", {"name": "третье", "cInn": "1"}).status_code == 409


def _at_once(count: int, act: Callable[[int], int]) -> list[int]:
    barrier, out = threading.Barrier(count), [0] * count

    def run(n: int) -> None:
        barrier.wait(10)
        out[n] = act(n)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(20)
    return out


def test_neither_the_version_check_nor_the_duplicate_check_is_atomic(crm: Client) -> None:
    crm.face("POST", "switches", {"raceWindow": 0.3})
    espo = crm.crm
    id_ = crm.make("Account", {"name": "n"})["id"]
    head = {"X-Version-Number": "1"}
    puts = _at_once(6, lambda n: espo.act(API_USER, "PUT", f"Account/{id_}", {"cKpp": str(n)}, headers=head)[0])
    assert puts.count(200) > 1
    posts = _at_once(8, lambda _: espo.act(API_USER, "POST", "Account", {"name": "Гонка"})[0])
    assert posts.count(200) > 1


def test_an_empty_update_bumps_version_and_time_but_sends_nothing(crm: Client, receiver: Receiver) -> None:
    crm.make("Webhook", {"event": "Account.update", "url": receiver.url})
    made = crm.make("Account", {"name": "n"})
    crm.face("POST", "switches", {"advanceClock": 5})
    after = crm.put(f"Account/{made['id']}", {"name": "n", "nosuch": 1})
    assert after["versionNumber"] == 2
    assert after["modifiedAt"] > made["modifiedAt"]
    assert crm.face("POST", "webhooks/run") == []


# -- links, stream, files (§0.8, §3.1, §3.6) ----------------------------------------------------------------------


def test_links_from_the_parent_are_silent(crm: Client, receiver: Receiver) -> None:
    one, two = (crm.make("Account", {"name": n})["id"] for n in ("один", "два"))
    deal = crm.make("Opportunity", DEAL)
    crm.make("Webhook", {"event": "Opportunity.update", "url": receiver.url})
    crm.face("POST", "switches", {"advanceClock": 5})
    assert crm("POST", f"Account/{one}/opportunities", {"id": deal["id"]}).json() is True
    read = crm.get(f"Opportunity/{deal['id']}")
    assert (read["accountId"], read["accountName"], read["versionNumber"]) == (one, "один", 1)
    assert read["modifiedAt"] == deal["modifiedAt"]
    assert [r["id"] for r in crm.get(f"Account/{one}/opportunities?select=id")["list"]] == [deal["id"]]
    refused = crm("POST", f"Account/{two}/opportunities", {"id": deal["id"]})
    assert (refused.status_code, refused.json()["messageTranslation"]["label"]) == (403, "cannotLinkAlreadyLinked")
    assert crm("DELETE", f"Account/{one}/opportunities", {"id": deal["id"]}).json() is True
    assert crm.get(f"Opportunity/{deal['id']}")["accountId"] is None
    assert crm.face("POST", "webhooks/run") == []
    crm.put(f"Opportunity/{deal['id']}", {"accountId": two})
    crm.face("POST", "webhooks/run")
    assert receiver.items("/")[0]["accountName"] == "два"
    assert crm("GET", f"Account/{one}/nosuchlink").headers["X-Status-Reason"] == "Link does not exist."


def test_contacts_of_a_deal_fire_only_by_update(crm: Client, receiver: Receiver) -> None:
    contact = crm.make("Contact", {"lastName": "Петров"})["id"]
    deal = crm.make("Opportunity", DEAL)["id"]
    crm.make("Webhook", {"event": "Opportunity.update", "url": receiver.url})
    crm("POST", f"Opportunity/{deal}/contacts", {"ids": [contact]})
    assert crm.get(f"Opportunity/{deal}")["contactsIds"] == [contact]
    crm("DELETE", f"Opportunity/{deal}/contacts", {"id": contact})
    assert crm.face("POST", "webhooks/run") == []
    crm.put(f"Opportunity/{deal}", {"contactsIds": [contact]})
    crm.face("POST", "webhooks/run")
    item = receiver.items("/")[0]
    assert (item["contactsIds"], item["contactsNames"]) == ([contact], {contact: "Петров"})


def test_posts_and_saves_show_in_the_stream(crm: Client) -> None:
    deal = crm.make("Opportunity", DEAL)["id"]
    crm.put(f"Opportunity/{deal}", {"stage": "Proposal"})
    note = crm.make("Note", {"type": "Post", "post": "Счёт № 1", "parentType": "Opportunity", "parentId": deal})
    assert (note["parentName"], note["data"]) == ("Поставка № 1", {})
    stream = crm.get(f"Opportunity/{deal}/stream")
    assert [n["type"] for n in stream["list"]] == ["Post", "Update", "Create"]
    assert stream["list"][1]["data"]["attributes"]["became"] == {"stage": "Proposal"}
    assert crm.get("Note?select=post")["list"][0]["post"] == "Счёт № 1"
    assert crm("POST", "Note", {"type": "Post", "parentType": "Opportunity", "parentId": deal}).status_code == 400


def test_a_file_is_uploaded_linked_and_read_back(crm: Client) -> None:
    deal = crm.make("Opportunity", DEAL)["id"]
    field = crm("POST", "Admin/fieldManager/Opportunity", {"name": "invoiceFile", "type": "file"}, admin=True)
    assert field.json() == {"type": "file", "isCustom": True, "label": "invoiceFile"}
    file = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.4").decode()
    body = {"name": "Счёт.pdf", "type": "application/pdf", "role": "Attachment", "relatedType": "Opportunity",
            "field": "cInvoiceFile", "file": file}  # fmt: skip
    upload = crm.make("Attachment", body)
    assert upload["size"] == 8
    assert crm.put(f"Opportunity/{deal}", {"cInvoiceFileId": upload["id"]})["cInvoiceFileName"] == "Счёт.pdf"
    got = crm("GET", f"Attachment/file/{upload['id']}")
    assert (got.content, got.headers["Content-Type"]) == (b"%PDF-1.4", "application/pdf")
    assert got.headers["Content-Disposition"].encode("latin-1").decode() == 'attachment; filename="Счёт.pdf"'
    for change, status, reason in (
        ({"field": "nosuch"}, 403, "Field 'nosuch' does not exist."),
        ({"field": None}, 400, "No `field` and `parentType`."),
        ({"file": "notbase64"}, 400, "Bad file contents."),
    ):
        answer = crm("POST", "Attachment", {**body, **change})
        assert (answer.status_code, answer.headers["X-Status-Reason"]) == (status, reason)


def test_a_letter_without_a_mail_account_is_an_empty_500(crm: Client) -> None:
    letter = {"status": "Sending", "from": "crm@company.example", "to": "a@b.example", "subject": "s", "body": "b"}
    answer = crm("POST", "Email", letter)
    assert (answer.status_code, answer.content) == (500, b"")
    assert crm("POST", "Email", {**letter, "to": ""}).json()["messageTranslation"]["data"]["type"] == "required"
    assert crm("POST", "Email", {**letter, "to": "bad"}).json()["messageTranslation"]["data"]["type"] == "valid"


# -- fields and entities (§3.1, §0.15) ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "real"), [("inn", "cInn"), ("1cRefKey", "c1cRefKey"), ("paymentStatus", "cPaymentStatus")]
)
def test_custom_fields_get_a_prefix(name: str, real: str) -> None:
    assert custom_name(name) == real


def test_fields_and_entities_are_made_by_the_administrator(crm: Client) -> None:
    body = {"name": "syncedAt", "type": "datetime", "label": "syncedAt"}
    assert crm("POST", "Admin/fieldManager/Account", body).status_code == 403
    assert crm("POST", "Admin/fieldManager/Account", body, admin=True).json()["isCustom"] is True
    assert crm("POST", "Admin/fieldManager/Account", body, admin=True).status_code == 409
    assert crm.get("Metadata?key=entityDefs.Account.fields.cSyncedAt")["type"] == "datetime"
    nothing = crm("GET", "Metadata?key=entityDefs.Account.fields.nosuch")
    assert (nothing.status_code, nothing.content) == (200, b"")  # never null: EspoCRM writes no body then
    assert "Closed Won" in crm.get("Metadata?key=entityDefs.Opportunity.fields.stage")["options"]
    assert crm.make("Account", {"name": "n", "cSyncedAt": "2026-11-24 15:00"})["cSyncedAt"] == "2026-11-24 15:00:00"
    made = crm("POST", "EntityManager/action/createEntity", {"name": "Invoice", "type": "Base"}, admin=True)
    assert made.json() == {"name": "CInvoice"}
    assert crm("POST", "CInvoice", {"name": "Счёт"}).status_code == 403  # no role grants it yet
    crm.face("POST", "switches", {"aclStrictMode": False})
    invoice = crm.make("CInvoice", {"name": "Счёт"})
    assert "versionNumber" not in invoice
    link = {"entity": "Opportunity", "link": "invoices", "entityForeign": "CInvoice", "linkForeign": "deal",
            "linkType": "oneToMany"}  # fmt: skip
    assert crm("POST", "EntityManager/action/createLink", link, admin=True).json() is True
    deal = crm.make("Opportunity", DEAL)["id"]
    crm.put(f"CInvoice/{invoice['id']}", {"dealId": deal})
    assert [r["id"] for r in crm.get(f"Opportunity/{deal}/cInvoices?select=id")["list"]] == [invoice["id"]]


def test_the_webhook_job_is_among_the_scheduled_ones(crm: Client) -> None:
    assert crm("GET", "ScheduledJob").status_code == 403
    jobs = crm("GET", "ScheduledJob?select=job,scheduling,status", admin=True).json()["list"]
    assert [(j["job"], j["scheduling"], j["status"]) for j in jobs] == [
        ("ProcessWebhookQueue", "*/2 * * * *", "Active")
    ]


def test_settings_and_the_caller_can_be_read(crm: Client) -> None:
    assert crm.get("Settings")["defaultCurrency"] == "RUB"
    me = crm.get("App/user")
    assert (me["user"]["userName"], me["acl"]["table"]["Account"]["edit"]) == (API_USER, "all")
    assert crm("PUT", "Settings", {"defaultCurrency": "USD"}).status_code == 403


# -- lists (§3.2) -------------------------------------------------------------------------------------------------


@pytest.fixture
def listed(crm: Client) -> Client:
    accounts = [{"name": "Альфа", "cInn": "1", "cKpp": "9"}, {"name": "Бета", "cInn": "1"}, {"name": "Гамма"}]
    ids = crm.face("POST", "seed", {"accounts": accounts})["accounts"]
    deals = [{"name": "a", "amount": 10, "accountId": ids[0], "stage": "Closed Won", "manager": "ivanova"},
             {"name": "b", "amount": 20.5, "accountId": ids[1], "manager": "petrov"},
             {"name": "c", "amount": 30}]  # fmt: skip
    crm.face("POST", "seed", {"deals": deals})
    return crm


def _c(kind: str, attribute: str, value: Any = None) -> dict[str, Any]:
    return {"type": kind, "attribute": attribute, "value": value}


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ([_c("equals", "cInn", "1")], "Альфа Бета"),
        ([_c("equals", "cInn", "1"), _c("equals", "cKpp", "9")], "Альфа"),
        ([_c("notEquals", "cInn", "1")], "Гамма"),
        ([_c("in", "name", ["Альфа", "Гамма", "x"])], "Альфа Гамма"),
        ([_c("notIn", "name", ["Альфа"])], "Бета Гамма"),
        ([_c("contains", "name", "мм")], "Гамма"),
        ([_c("startsWith", "name", "бе")], "Бета"),
        ([_c("like", "name", "%ета")], "Бета"),
        ([_c("isNull", "cInn")], "Гамма"),
        ([_c("isNotNull", "cKpp")], "Альфа"),
        ([_c("greaterThanOrEquals", "modifiedAt", "2026-01-01 00:00:00")], "Альфа Бета Гамма"),
        ([_c("lessThan", "modifiedAt", "2026-01-01 00:00:00")], ""),
        ([_c("today", "createdAt")], "Альфа Бета Гамма"),
        ([_c("lastXDays", "createdAt", 3)], "Альфа Бета Гамма"),
        ([{"type": "or", "value": [_c("equals", "cKpp", "9"), _c("isNull", "cInn")]}], "Альфа Гамма"),
        ([{"type": "not", "value": [_c("equals", "cInn", "1")]}], "Гамма"),
        ([_c("isLinked", "opportunities")], "Альфа Бета"),
        ([_c("isNotLinked", "opportunities")], "Гамма"),
    ],
)
def test_where(listed: Client, where: list[Any], names: str) -> None:
    answer = listed.find("Account", where=where, orderBy="name", order="asc", select=["name"]).json()
    assert " ".join(r["name"] for r in answer["list"]) == names
    assert answer["total"] == len(names.split())


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ([_c("greaterThan", "amount", "10")], "b c"),
        ([_c("between", "amount", [10, 20.5])], "a b"),
        ([_c("equals", "amount", 20.5)], "b"),
    ],
)
def test_where_on_numbers(listed: Client, where: list[Any], names: str) -> None:
    answer = listed.find("Opportunity", where=where, orderBy="name", select=["name"]).json()
    assert " ".join(r["name"] for r in answer["list"]) == names


def test_deals_are_found_by_account_manager_and_filter(listed: Client) -> None:
    alpha = listed.find("Account", where=[_c("equals", "name", "Альфа")]).json()["list"][0]["id"]
    linked = listed.find("Opportunity", where=[_c("linkedWith", "account", [alpha])]).json()
    assert [r["name"] for r in linked["list"]] == ["a"]
    manager = listed.crm.caller("petrov").id
    assert [
        r["name"] for r in listed.find("Opportunity", where=[_c("equals", "assignedUserId", manager)]).json()["list"]
    ] == ["b"]
    opened = listed.find("Opportunity", primaryFilter="open", orderBy="name", select=["name"]).json()
    assert [r["name"] for r in opened["list"]] == ["b", "c"]
    assert set(opened["list"][0]) == {"name", "id", "createdById", "assignedUserId", "accountId", "accountName"}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (_c("equals", "nosuch", 1), "Not existing attribute 'nosuch' in where."),
        (_c("nosuchtype", "name", 1), "Unknown where item type 'nosuchtype'."),
    ],
)
def test_unknown_conditions_are_400(crm: Client, item: dict[str, Any], reason: str) -> None:
    answer = crm.find("Account", where=[item])
    assert (answer.status_code, answer.headers["X-Status-Reason"], answer.content) == (400, reason, b"")


def test_paging_order_and_totals(listed: Client) -> None:
    page = listed.get("Account?orderBy=name&order=desc&maxSize=2&offset=1&select=name,cInn")
    assert ([r["name"] for r in page["list"]], page["total"]) == (["Бета", "Альфа"], 3)
    assert set(page["list"][0]) == {"id", "name", "cInn", "createdById", "assignedUserId", "isStarred"}
    default = listed.get("Account?select=id")["list"]
    assert [r["id"] for r in default] == sorted((r["id"] for r in default), reverse=True)
    for size, total in ((2, -1), (3, -2)):
        assert listed("GET", f"Account?maxSize={size}&select=id", X_No_Total="true").json()["total"] == total
    query = "where[0][type]=equals&where[0][attribute]=cInn&where[0][value]=1"
    assert listed.get(f"Account?{query}")["total"] == 2
    assert listed.get(f"Account?{query.replace('where', 'whereGroup')}&attributeSelect=id")["total"] == 2
    assert listed.get("Account?q=%D0%90%D0%BB%D1%8C%D1%84%D0%B0") == {"total": -2, "list": []}


def test_no_more_than_200_rows_come_at_once(crm: Client) -> None:
    crm.face("POST", "seed", {"accounts": 3, "deals": 250})
    first = crm.get("Opportunity?select=id")
    assert (first["total"], len(first["list"])) == (250, 200)
    assert len(crm.get("Opportunity?select=id&offset=200")["list"]) == 50


# -- webhooks (§2, §0) --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ("Account.created", "Not supported event."),
        ("Account", "Not supported event."),
        ("Webhook.create", "Entity type is not available for Webhooks."),
        ("Account.fieldUpdate.nosuchfield", "Field does not exist."),
        ("Account.fieldUpdate.assignedUserId", "Field does not exist."),
    ],
)
def test_bad_events_are_refused(crm: Client, event: str, reason: str) -> None:
    answer = crm("POST", "Webhook", {"event": event, "url": "http://127.0.0.1:1/x"})
    assert (answer.status_code, answer.headers["X-Status-Reason"], answer.content) == (403, reason, b"")


def test_internal_hosts_are_refused_unless_allowed(crm: Client) -> None:
    crm.face("POST", "switches", {"webhookAllowedAddressList": ["127.0.0.1:8080"]})
    body = {"event": "Account.create", "url": "http://127.0.0.1:8081/x"}
    assert crm("POST", "Webhook", body).json()["messageTranslation"]["data"] == {"field": "url", "type": "notInternal"}
    assert crm("POST", "Webhook", {**body, "url": "http://127.0.0.1:8080/x"}).status_code == 201
    assert crm("POST", "Webhook", {**body, "url": "https://crm1c.example/x"}).status_code == 201


def test_a_webhook_belongs_to_its_maker_who_can_read_the_secret_again(crm: Client) -> None:
    body = {"event": "Account.update", "url": "http://127.0.0.1:1/x", "skipOwn": True}
    mine = crm.make("Webhook", body)
    assert (mine["entityType"], mine["type"], mine["field"], mine["skipOwn"]) == ("Account", "update", None, True)
    assert len(mine["secretKey"]) == 32
    theirs = crm.make("Webhook", body, admin=True)
    assert theirs["skipOwn"] is False  # no owner
    rows = crm.get("Webhook")["list"]
    assert [(r["id"], r["secretKey"], "userId" in r) for r in rows] == [(mine["id"], mine["secretKey"], False)]
    changed = crm.put(f"Webhook/{mine['id']}", {"isActive": False, "event": "Account.create"})
    assert (changed["isActive"], changed["event"]) == (False, "Account.update")
    assert crm("GET", f"Webhook/{theirs['id']}").status_code == 403
    assert crm("DELETE", f"Webhook/{mine['id']}").json() is True
    assert crm.get("Webhook")["total"] == 0


def test_the_request_is_exactly_as_recorded(crm: Client, receiver: Receiver) -> None:
    hook = crm.make("Webhook", {"event": "Account.create", "url": f"{receiver.url}/a?b=1"})
    made = crm.make("Account", {"name": "ООО «Ромашка»", "website": "https://r.example"})
    crm.face("POST", "webhooks/run")
    path, headers, raw = receiver.got[0]
    assert path == "/a?b=1"
    names = ["Host", "Accept", "Content-Type", "Content-Length", "Signature", "X-Signature"]
    assert [name for name, _ in headers] == names
    assert b"\\u041e\\u041e\\u041e" in raw
    assert b"https:\\/\\/r.example" in raw
    assert raw.startswith(b'[{"')
    given = dict(headers)
    digest = hmac.new(hook["secretKey"].encode(), raw, hashlib.sha256)
    assert base64.b64decode(given["Signature"]).decode() == f"{hook['id']}:{digest.hexdigest()}"
    assert base64.b64decode(given["X-Signature"]) == hook["id"].encode() + b":" + digest.digest()
    item = json.loads(raw)[0]
    assert item["id"] == made["id"]
    assert (item["versionNumber"], item["createdById"]) == (1, made["createdById"])
    for absent in ("sicCode", "teamsIds", "emailAddressData", "createdByName", "event"):
        assert absent not in item


def test_a_large_batch_announces_itself(crm: Client, receiver: Receiver) -> None:
    crm.make("Webhook", {"event": "Account.create", "url": receiver.url})
    crm.make("Account", {"name": "n", "description": "ж" * 200_000})
    crm.face("POST", "webhooks/run")
    assert dict(receiver.got[0][1])["Expect"] == "100-continue"


def test_updates_carry_the_difference_and_deletes_the_id(crm: Client, receiver: Receiver) -> None:
    for event in ("update", "fieldUpdate.billingAddress", "fieldUpdate.phoneNumber", "fieldUpdate.cInn", "delete"):
        crm.make("Webhook", {"event": f"Account.{event}", "url": f"{receiver.url}/{event}"})
    id_ = crm.make("Account", {"name": "n", "cInn": "1", "phoneNumber": "+74951234567"})["id"]
    me = crm.get("App/user")["user"]["id"]
    crm.put(f"Account/{id_}", {"billingAddressCity": "Химки"})
    crm.put(f"Account/{id_}", {"cInn": "", "phoneNumber": "+74950000001"})
    crm("DELETE", f"Account/{id_}")
    crm.face("POST", "webhooks/run")
    first = {"billingAddressCity": "Химки", "modifiedById": me, "modifiedByName": API_USER, "id": id_}
    assert receiver.items("/update") == [first, {"phoneNumber": "+74950000001", "cInn": None, "id": id_}]
    parts = {f"billingAddress{p}": None for p in ("Street", "City", "State", "Country", "PostalCode")}
    assert receiver.items("/fieldUpdate.billingAddress") == [{**parts, "id": id_, "billingAddressCity": "Химки"}]
    phone = receiver.items("/fieldUpdate.phoneNumber")[0]
    assert phone["phoneNumber"] == "+74950000001"
    assert phone["phoneNumberData"][0]["phoneNumber"] == "+74951234567"  # as stale as the PUT answer
    assert receiver.items("/fieldUpdate.cInn") == [{"id": id_, "cInn": None}]
    assert receiver.items("/delete") == [{"id": id_}]


def test_a_stage_brings_its_derived_values_along(crm: Client, receiver: Receiver) -> None:
    for event in ("update", "fieldUpdate.stage", "fieldUpdate.amount"):
        crm.make("Webhook", {"event": f"Opportunity.{event}", "url": f"{receiver.url}/{event}"})
    id_ = crm.make("Opportunity", DEAL)["id"]
    crm.put(f"Opportunity/{id_}", {"stage": "Qualification"})
    crm.put(f"Opportunity/{id_}", {"stage": "Prospecting"})  # back again: both are sent
    crm.put(f"Opportunity/{id_}", {"amount": 200000})
    crm.face("POST", "webhooks/run")
    update = receiver.items("/update")
    assert [u.get("stage") for u in update] == ["Qualification", "Prospecting", None]
    assert (update[0]["probability"], update[0]["amountWeightedConverted"]) == (20, 25000)
    assert receiver.items("/fieldUpdate.stage") == [
        {"id": id_, "stage": "Qualification"},
        {"id": id_, "stage": "Prospecting"},
    ]
    assert receiver.items("/fieldUpdate.amount") == [{"id": id_, "amount": 200000, "amountCurrency": "RUB"}]


def test_skip_own_drops_the_owners_changes_only(crm: Client, receiver: Receiver) -> None:
    crm.make("Webhook", {"event": "Account.update", "url": f"{receiver.url}/own", "skipOwn": True})
    crm.make("Webhook", {"event": "Account.update", "url": f"{receiver.url}/all"})
    id_ = crm.make("Account", {"name": "n"})["id"]
    crm.put(f"Account/{id_}", {"description": "интеграция"})
    act = {"user": "ivanova", "method": "PUT", "path": f"Account/{id_}", "body": {"description": "человек"}}
    assert crm.face("POST", "act", act)["body"]["modifiedByName"] == "Анна Иванова"
    crm.face("POST", "webhooks/run")
    assert [i["description"] for i in receiver.items("/own")] == ["человек"]
    assert [i["description"] for i in receiver.items("/all")] == ["интеграция", "человек"]


def test_the_same_subscription_twice_sends_twice(crm: Client, receiver: Receiver) -> None:
    for _ in range(2):
        crm.make("Webhook", {"event": "Account.create", "url": receiver.url})
    crm.make("Account", {"name": "n"})
    crm.face("POST", "webhooks/run")
    assert len(receiver.items("/")) == 2


def test_nothing_is_kept_before_subscription_or_while_inactive(crm: Client, receiver: Receiver) -> None:
    crm.make("Account", {"name": "до"})
    hook = crm.make("Webhook", {"event": "Account.create", "url": receiver.url})["id"]
    crm.make("Account", {"name": "ждёт"})
    crm.put(f"Webhook/{hook}", {"isActive": False})
    crm.make("Account", {"name": "без подписки"})
    crm.face("POST", "webhooks/run")
    crm.put(f"Webhook/{hook}", {"isActive": True})
    assert crm.face("POST", "webhooks/run") == []
    assert receiver.got == []


def test_imports_and_restores_are_silent(crm: Client, receiver: Receiver) -> None:
    crm.make("Webhook", {"event": "Account.create", "url": receiver.url})
    act = {"user": "petrov", "method": "POST", "path": "Account", "body": {"name": "из файла"}, "silent": True}
    assert crm.face("POST", "act", act)["status"] == 200
    assert crm.face("POST", "webhooks/run") == []


def test_mass_updates_fire(crm: Client, receiver: Receiver) -> None:
    crm.make("Webhook", {"event": "Account.update", "url": receiver.url})
    ids = [crm.make("Account", {"name": n})["id"] for n in "ab"]
    body = {
        "entityType": "Account",
        "action": "update",
        "params": {"ids": ids},
        "data": {"values": {"industry": "Retail"}},
    }
    assert crm("POST", "MassAction", body).status_code == 403
    assert crm("POST", "MassAction", body, admin=True).json() == {"count": 2, "ids": ids}
    crm.face("POST", "webhooks/run")
    assert [i["id"] for i in receiver.items("/")] == ids


def test_twenty_events_a_run(crm: Client, receiver: Receiver) -> None:
    crm.make("Webhook", {"event": "Account.create", "url": receiver.url})
    for n in range(45):
        crm.make("Account", {"name": str(n)})
    assert [[r["count"] for r in crm.face("POST", "webhooks/run")] for _ in range(4)] == [[20], [20], [5], []]
    assert [i["name"] for i in receiver.items("/")] == [str(n) for n in range(45)]


def test_the_owner_gets_only_what_it_may_read(crm: Client, receiver: Receiver) -> None:
    crm.make("Webhook", {"event": "Account.create", "url": receiver.url})
    role = next(
        r for r in crm("GET", "Role?select=name,data", admin=True).json()["list"] if r["name"] == "1C Integration"
    )
    data = {**crm("GET", f"Role/{role['id']}", admin=True).json()["data"], "Account": {"read": "own"}}
    assert crm("PUT", f"Role/{role['id']}", {"data": data}, admin=True).status_code == 200
    crm.crm.act("ivanova", "POST", "Account", {"name": "чужой"})
    assert crm.face("POST", "webhooks/run") == []
    assert receiver.got == []


RETRIED = (401, 403, 404, 405, 408, 500, 503)
LOST = (400, 409, 413, 422, 429, 502, 504)


@pytest.mark.parametrize("code", [200, 202, 302, *RETRIED, *LOST])
def test_what_a_status_does_to_the_events(crm: Client, receiver: Receiver, code: int) -> None:
    crm.make("Webhook", {"event": "Lead.create", "url": f"{receiver.url}/status/{code}"})
    crm.make("Lead", {"lastName": "n"})
    states = []
    for _ in range(6):
        crm.face("POST", "webhooks/run")
        item = crm.face("GET", "webhooks")["items"][0]
        states.append((item["status"], item["attempts"]))
        crm.face("POST", "switches", {"advanceClock": 601})
    if code < 400:
        assert states[-1] == ("Success", 1)
    elif code in RETRIED:
        assert states == [("Pending", 1), ("Pending", 2), ("Pending", 3), ("Failed", 4), ("Failed", 4), ("Failed", 4)]
    else:
        assert states[-1] == ("Failed", 1)
    assert len(receiver.got) == states[-1][1]
    assert {path for path, _, _ in receiver.got} == {f"/status/{code}"}  # no redirect is followed


def test_a_retry_waits_its_period_and_newer_events_overtake_it(crm: Client, receiver: Receiver) -> None:
    hook = crm.make("Webhook", {"event": "Account.create", "url": f"{receiver.url}/status/503"})["id"]
    crm.make("Account", {"name": "старое"})
    crm.face("POST", "webhooks/run")
    assert crm.face("POST", "webhooks/run") == []  # not due
    crm.put(f"Webhook/{hook}", {"url": f"{receiver.url}/ok"})
    crm.make("Account", {"name": "новое"})
    crm.face("POST", "webhooks/run")
    crm.face("POST", "switches", {"advanceClock": 601})
    crm.make("Account", {"name": "ещё новее"})
    crm.face("POST", "webhooks/run")
    assert [i["name"] for i in receiver.items("/ok")] == ["новое", "старое", "ещё новее"]
    assert len(json.loads(receiver.got[-1][2])) == 2  # due together: one array again


def test_no_connection_is_retried_and_a_bad_name_is_not(crm: Client) -> None:
    crm.make("Webhook", {"event": "Account.create", "url": "http://127.0.0.1:1/x"})
    crm.make("Account", {"name": "n"})
    report = crm.face("POST", "webhooks/run")[0]
    assert (report["code"], report["status"]) == (0, "Pending")
    crm.face("POST", "switches", {"webhookAllowedAddressList": [], "advanceClock": 601})
    report = crm.face("POST", "webhooks/run")[0]
    assert (report["code"], report["status"]) == (None, "Failed")  # internal host: an exception


def test_a_slow_receiver_is_a_408(crm: Client, receiver: Receiver) -> None:
    crm.face("POST", "switches", {"webhookTimeout": 0.1})
    crm.make("Webhook", {"event": "Account.create", "url": f"{receiver.url}/slow"})
    crm.make("Account", {"name": "n"})
    report = crm.face("POST", "webhooks/run")[0]
    assert (report["code"], report["status"]) == (408, "Pending")


def test_410_deletes_the_webhook(crm: Client, receiver: Receiver) -> None:
    crm.make("Webhook", {"event": "Account.create", "url": f"{receiver.url}/status/410"})
    crm.make("Account", {"name": "n"})
    crm.face("POST", "webhooks/run")
    assert crm.get("Webhook")["total"] == 0
    crm.make("Account", {"name": "m"})
    assert crm.face("POST", "webhooks/run") == []


def test_the_job_runs_by_itself_when_it_has_an_interval(receiver: Receiver) -> None:
    crm = Espo(webhook_interval=0.01)
    crm.act(API_USER, "POST", "Webhook", {"event": "Account.create", "url": f"{receiver.url}/slow"})
    seen = threading.Event()
    receiver.release.set()
    run = crm.webhooks.run

    def noticed() -> list[dict[str, Any]]:
        sent = run()
        if sent:
            seen.set()
        return sent

    crm.webhooks.run = noticed  # type: ignore[method-assign]
    crm.wsgi()
    crm.act("ivanova", "POST", "Account", {"name": "n"})
    assert seen.wait(10)
    assert [i["name"] for i in receiver.items("/slow")] == ["n"]
    crm.close()


def test_bodies_are_written_as_php_writes_them() -> None:
    assert encode([{"a": "Ю/я", "b": 1.5, "c": None}]) == b'[{"a":"\\u042e\\/\\u044f","b":1.5,"c":null}]'


# -- the admin face -----------------------------------------------------------------------------------------------


def test_a_person_makes_and_changes_a_deal(crm: Client, receiver: Receiver) -> None:
    crm.make("Webhook", {"event": "Opportunity.create", "url": receiver.url, "skipOwn": True})
    deal = {"user": "petrov", "name": "Сделка", "amount": 1000, "stage": "Proposal",
            "account": {"name": "ООО «Новое»", "cInn": "7700000016", "cKpp": "770001001"}}  # fmt: skip
    made = crm.face("POST", "deals", deal)
    assert made["status"] == 200
    assert (made["body"]["assignedUserName"], made["body"]["accountName"]) == ("Пётр Петров", "ООО «Новое»")
    again = crm.face("POST", "deals", deal)
    assert again["body"]["accountId"] == made["body"]["accountId"]
    changed = crm.face("POST", "deals", {"id": made["body"]["id"], "stage": "Closed Won"})
    assert changed["body"]["probability"] == 100
    crm.face("POST", "webhooks/run")
    assert len(receiver.items("/")) == 2


def test_seed_state_and_reset(crm: Client) -> None:
    seeded = crm.face("POST", "seed", {})
    assert len(seeded["accounts"]) == len(seeded["deals"]) == 4
    assert len(crm.face("GET", "state?entity=Account")) == 4
    assert crm.face("GET", "stats")["Opportunity"] == 4
    assert "error" in crm.face("POST", "seed", {"nosuch": 1})
    assert "error" in crm.face("POST", "switches", {"nosuch": 1})
    assert "error" in crm.face("POST", "act", {"user": "nobody", "method": "GET", "path": "Account"})
    ivanova = crm.crm.caller("ivanova").id
    crm.face("DELETE", "state")
    assert crm.get("Account")["total"] == 0
    assert crm.crm.caller("ivanova").id == ivanova  # figures kept by user id survive a restart
