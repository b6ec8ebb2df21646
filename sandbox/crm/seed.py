"""What the sandbox CRM holds at the start, and what ``POST /_sandbox/seed`` adds. All people and firms are invented."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from sandbox.crm.auth import Caller
from sandbox.crm.errors import ApiError
from sandbox.crm.store import Record

if TYPE_CHECKING:
    from sandbox.crm.espo import Espo

API_USER = "onec_integration"
API_KEY = "5a4db0c0ffee4cafe0a11ce0b0bca750"
HMAC_USER, HMAC_KEY, HMAC_SECRET = "onec_hmac", "5a4db0c0ffee4cafe0a11ce0b0bca751", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
ADMIN, ADMIN_PASSWORD = "admin", "sandbox-admin"
PASSWORD = "sandbox"
MANAGERS = (
    ("ivanova", "Анна", "Иванова"), ("petrov", "Пётр", "Петров"), ("sidorova", "Мария", "Сидорова"),
    ("kuznetsov", "Олег", "Кузнецов"),
)  # fmt: skip
#: name, ИНН, КПП; the check digits are right, the firms do not exist
COMPANIES = (
    ("ООО «Северный мост»", "7700000016", "770001001"),
    ("АО «Полесье-Станкоимпорт»", "7800000027", "780001001"),
    ("ООО «Тихая гавань»", "5400000036", "540001001"),
    ("ИП Ветров Илья Павлович", "500000000100", None),
)
#: the fields that crm1c uses by default (design/INTERFACES.md): name without prefix, type, parameters
FIELDS: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "Account": [("inn", "varchar", {"maxLength": 12}), ("kpp", "varchar", {"maxLength": 9}),
                ("1cRefKey", "varchar", {"maxLength": 36}), ("contractDebt", "currency", {}),
                ("contractOverdue", "currency", {}), ("contractRetention", "currency", {}),
                ("contractAdvance", "currency", {}), ("contractTotals", "text", {})],
    "Opportunity": [
        ("1cRefKey", "varchar", {"maxLength": 36}), ("invoiceNumber", "varchar", {"maxLength": 50}),
        ("invoiceDate", "date", {}), ("invoiceUrl", "url", {"maxLength": 255}),
        ("paymentStatus", "enum", {"options": ["", "issued", "signed", "partially_paid", "retention_pending", "paid",
                                               "closed"]}),
        ("paidPercent", "float", {}), ("paidAmount", "currency", {}), ("retentionAmount", "currency", {}),
        ("retentionDate", "date", {}), ("overdue", "bool", {}), ("syncStatus", "varchar", {"maxLength": 255}),
    ],
}  # fmt: skip
_ALL = {"create": "yes", "read": "all", "edit": "all", "delete": "all", "stream": "all"}
_SCOPES = ("Account", "Contact", "Lead", "Opportunity", "Task", "Case", "Document", "Email")


def inn10(first_nine: str) -> str:
    """A ten-digit ИНН with its check digit (contracts/FORMATS.md §4)."""
    weights = (2, 4, 10, 3, 5, 9, 4, 6, 8)
    return first_nine + str(sum(w * int(d) for w, d in zip(weights, first_nine, strict=True)) % 11 % 10)


def known_id(name: str) -> str:
    """An id that is the same at every start, so that figures kept by user id go on making sense."""
    return hashlib.sha256(name.encode()).hexdigest()[:17]


class Seeder:
    """Fills one CRM past its API."""

    def __init__(self, crm: Espo) -> None:
        self._crm = crm

    def install(self, api_key: str, *, rub: bool, fields: bool) -> None:
        """Users, roles, currency and custom fields."""
        crm = self._crm
        if rub:
            crm.admin.settings.update(currencyList=["RUB", "USD", "EUR"], defaultCurrency="RUB", baseCurrency="RUB")
        admin = self._user(ADMIN, type="admin", lastName="Admin", password=ADMIN_PASSWORD)
        rights: dict[str, Any] = {s: dict(_ALL) for s in _SCOPES}
        own = {"Webhook": True, "Import": True, "OpenApi": True, "User": {"read": "all"}}
        api_role = self._role("1C Integration", {**rights, **own}, admin)
        people_role = self._role("Manager", {**rights, "User": {"read": "all"}, "Note": dict(_ALL)}, admin)
        self._user(API_USER, (api_role,), type="api", authMethod="ApiKey", apiKey=api_key)
        self._user(HMAC_USER, (api_role,), type="api", authMethod="Hmac", apiKey=HMAC_KEY, secretKey=HMAC_SECRET)
        for name, first, last in MANAGERS:
            self._user(name, (people_role,), type="regular", firstName=first, lastName=last, password=PASSWORD,
                       emailAddress=f"{name}@crm.example")  # fmt: skip
        now, job = crm.clock.text(), "Process Webhook Queue"
        scheduled = {
            "job": "ProcessWebhookQueue",
            "status": "Active",
            "scheduling": "*/2 * * * *",
        }  # as installed, §2.3
        crm.store.put(
            "ScheduledJob", {"id": known_id(job), "name": job, **scheduled, "createdAt": now, "modifiedAt": now}
        )
        if fields:
            self.fields()

    def fields(self) -> None:
        """The custom fields that crm1c expects by default; those that exist are left alone."""
        for entity, rows in FIELDS.items():
            for name, kind, params in rows:
                if "c" + name[:1].upper() + name[1:] not in self._crm.meta.fields[entity]:
                    self._crm.meta.add_field(entity, name, {"type": kind, **params})

    def _user(self, name: str, roles: tuple[str, ...] = (), **values: Any) -> str:
        crm = self._crm
        now = crm.clock.text()
        last = values.setdefault("lastName", name)
        record: Record = {"id": known_id(name), "userName": name, "isActive": True, "createdAt": now,
                          "modifiedAt": now, **values}  # fmt: skip
        record["name"] = f"{values['firstName']} {last}" if values.get("firstName") else last
        crm.store.put("User", record)
        for role in roles:
            crm.store.relation("userRole").link("User", record["id"], "Role", role)
        return str(record["id"])

    def _role(self, name: str, data: dict[str, Any], admin: str) -> str:
        crm = self._crm
        now = crm.clock.text()
        record: Record = {"id": crm.store.new_id(), "name": name, "data": data, "fieldData": {},
                          "assignmentPermission": "all", "groupEmailAccountPermission": "all",
                          "massUpdatePermission": "not-set", "createdAt": now, "modifiedAt": now,
                          "createdById": admin}  # fmt: skip
        crm.store.put("Role", record)
        return str(record["id"])

    def seed(self, body: Any) -> dict[str, Any]:
        """Add records without events or duplicate checks.

        ``{}``: the invented companies with a deal each. Else any of ``users`` ([{"userName", "firstName", …}]),
        ``accounts`` and ``deals`` (numbers of records to invent, or lists of bodies; a deal's ``account`` may be an
        account's ИНН or name, its ``manager`` a user name), ``currency`` ("RUB" or "USD"), ``fields`` (true).
        """
        if not isinstance(body, dict):
            raise ValueError("a JSON object is expected")  # noqa: TRY004 – the face answers ValueError with 400
        if not body:
            body = {"accounts": [{"name": n, "cInn": i, "cKpp": k} for n, i, k in COMPANIES],
                    "deals": len(COMPANIES), "fields": True}  # fmt: skip
        unknown = set(body) - {"users", "accounts", "deals", "currency", "fields"}
        if unknown:
            raise ValueError(f"seed: unknown {', '.join(sorted(unknown))}")
        crm = self._crm
        if body.get("currency"):
            code = body["currency"]
            codes = ["RUB", "USD", "EUR"] if code == "RUB" else [code]
            crm.admin.settings.update(currencyList=codes, defaultCurrency=code, baseCurrency=code)
        if body.get("fields"):
            self.fields()
        role = next(r["id"] for r in crm.store.rows("Role") if r["name"] == "Manager")
        users = {u["userName"]: self._user(u.pop("userName"), (role,), **{"type": "regular", "password": PASSWORD, **u})
                 for u in [dict(u) for u in body.get("users") or ()]}  # fmt: skip
        accounts = self._accounts(body.get("accounts") or 0)
        return {"users": users, "accounts": accounts, "deals": self._deals(body.get("deals") or 0, accounts)}

    def _accounts(self, wanted: int | list[dict[str, Any]]) -> list[str]:
        if not isinstance(wanted, list):
            start = len(self._crm.store.table("Account"))
            wanted = [{"name": f"ООО «Выдуманная {n}»", "cInn": inn10(f"77{n:07d}"), "cKpp": "770001001"}
                      for n in range(start + 100, start + 100 + int(wanted))]  # fmt: skip
        return [self._put("Account", a) for a in wanted]

    def _deals(self, wanted: int | list[dict[str, Any]], accounts: list[str]) -> list[str]:
        known = accounts or list(self._crm.store.table("Account"))
        if not isinstance(wanted, list):
            wanted = [{"name": f"Сделка {n + 1}", "amount": 100_000 + n * 1000,
                       "accountId": known[n % len(known)] if known else None,
                       "manager": MANAGERS[n % len(MANAGERS)][0]} for n in range(int(wanted))]  # fmt: skip
        return [self._put("Opportunity", self._resolved(d)) for d in wanted]

    def _resolved(self, deal: dict[str, Any]) -> dict[str, Any]:
        out = {"closeDate": "2026-12-31", **deal}
        manager, account = out.pop("manager", None), out.pop("account", None)
        if manager is not None:
            out["assignedUserId"] = self._crm.caller(manager).id
        if isinstance(account, str):
            rows = self._crm.store.rows("Account")
            found = [a["id"] for a in rows if account in (a.get("cInn"), a.get("name"), a["id"])]
            if not found:
                raise ValueError(f"no such account: {account}")
            out["accountId"] = found[0]
        return out

    def _put(self, entity: str, body: dict[str, Any]) -> str:
        admin = self._crm.caller(ADMIN)
        try:
            record = self._crm.records.create(entity, body, admin, skip_duplicates=True, silent=True)
        except ApiError as error:
            raise ValueError(f"{entity} {body.get('name')}: {error}") from error
        return str(record["id"])

    def deal(self, body: dict[str, Any]) -> dict[str, Any]:
        """A deal made or changed by a person, with events."""
        values = dict(body)
        user, id_, account = values.pop("user", MANAGERS[0][0]), values.pop("id", None), values.get("account")
        if isinstance(account, dict):
            values["account"] = self._account(account, user)
        if id_ is None:
            me: Caller = self._crm.caller(user)
            values = {"name": "Сделка", "amount": 1000, "assignedUserId": me.id, **self._resolved(values)}
            status, answer = self._crm.act(user, "POST", "Opportunity", values)
        else:
            closed = values.get("closeDate")
            values = self._resolved(values)
            if closed is None:
                values.pop("closeDate")
            status, answer = self._crm.act(user, "PUT", f"Opportunity/{id_}", values)
        return {"status": status, "body": answer}

    def _account(self, account: dict[str, Any], user: str) -> str:
        for known in self._crm.store.rows("Account"):
            if account.get("cInn") and (known.get("cInn"), known.get("cKpp")) == (account["cInn"], account.get("cKpp")):
                return str(known["id"])
        status, made = self._crm.act(user, "POST", "Account", account, headers={"X-Skip-Duplicate-Check": "true"})
        if status != 200:
            raise ValueError(f"account: {status} {made}")
        return str(made["id"])
