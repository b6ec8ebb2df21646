"""What an administrator does: fields, entities, settings, users (contracts/ESPOCRM.md §1, §3.1, §3.4, §0.15)."""

from __future__ import annotations

import secrets
from typing import Any

from sandbox.crm.auth import Caller
from sandbox.crm.errors import ApiError, bad_request, conflict, forbidden
from sandbox.crm.metadata import Metadata, custom_name
from sandbox.crm.records import Records
from sandbox.crm.render import Renderer
from sandbox.crm.store import Record, Store

_FIELD_TYPES = frozenset(
    {"varchar", "text", "wysiwyg", "url", "enum", "multiEnum", "array", "bool", "int", "float", "currency", "date",
     "datetime", "email", "phone", "file", "address", "attachmentMultiple", "jsonObject"}
)  # fmt: skip
_PUBLIC_SETTINGS = (
    "currencyList", "defaultCurrency", "baseCurrency", "currencyRates", "timeZone", "dateFormat", "timeFormat",
    "applicationName", "language", "version",
)  # fmt: skip


def fresh_settings() -> dict[str, Any]:
    """A fresh install: USD only (§3.1)."""
    return {
        "applicationName": "EspoCRM", "version": "9.3.10", "timeZone": "UTC", "language": "en_US",
        "dateFormat": "DD.MM.YYYY", "timeFormat": "HH:mm", "currencyList": ["USD"], "defaultCurrency": "USD",
        "baseCurrency": "USD", "currencyRates": {}, "recordListMaxSizeLimit": 200,
    }  # fmt: skip


class Administration:
    """Administrator's calls of one CRM."""

    def __init__(self, meta: Metadata, store: Store, records: Records, renderer: Renderer) -> None:
        self._meta, self._store, self._records, self._render = meta, store, records, renderer
        self.settings = fresh_settings()

    # -- settings, metadata -------------------------------------------------------------------------------------

    def shown_settings(self, caller: Caller) -> dict[str, Any]:
        return dict(self.settings) if caller.admin else {k: self.settings[k] for k in _PUBLIC_SETTINGS}

    def put_settings(self, body: dict[str, Any], caller: Caller) -> dict[str, Any]:
        _admins(caller)
        self.settings.update(body)
        if self.settings["defaultCurrency"] not in self.settings["currencyList"]:
            self.settings["defaultCurrency"] = self.settings["currencyList"][0]
        return dict(self.settings)

    def metadata(self, key: str | None, caller: Caller) -> Any:
        """The whole tree, or the branch named by ``key``; None, an empty body, where there is nothing to see."""
        tree: Any = self._meta.tree()
        if key:
            for part in key.split("."):
                tree = tree.get(part) if isinstance(tree, dict) else None
        elif not caller.admin:
            known = {e for e in tree["entityDefs"] if caller.level(e, "read") != "no"}
            tree = {k: {e: d for e, d in v.items() if e in known} for k, v in tree.items()}
        return tree

    def app_user(self, caller: Caller, ip: str) -> dict[str, Any]:
        user = self._render.loaded("User", caller.record, caller.id)
        scopes: dict[str, Any] = {}
        for entity in self._meta.fields:
            rights = {a: caller.level(entity, a) for a in ("read", "stream", "edit", "delete", "create")}
            if entity == "Webhook":
                scopes[entity] = rights["read"] != "no"
            elif rights["read"] != "no":
                scopes[entity] = {**rights, "create": "yes" if rights["create"] in ("all", "yes") else "no"}
        return {
            "user": {**user, "ipAddress": ip}, "acl": {
                "table": scopes, "fieldTable": {},
                "groupEmailAccountPermission": caller.permission("groupEmailAccountPermission"),
            },
            "preferences": {"id": caller.id}, "token": None, "settings": self.shown_settings(caller),
            "language": self.settings["language"], "appParams": {"maxUploadSize": 60},
        }  # fmt: skip

    # -- fields and entities ------------------------------------------------------------------------------------

    def field_manager(self, method: str, entity: str, name: str | None, body: dict[str, Any], caller: Caller) -> Any:
        """``Admin/fieldManager/{Entity}[/{field}]``: POST makes a field and gives it the prefix ``c``."""
        _admins(caller)
        if not self._meta.has(entity):
            raise ApiError(404, "Entity type does not exist.")
        if method == "POST" and name is None:
            return self._new_field(entity, body)
        if name is None or name not in self._meta.fields[entity]:
            raise ApiError(404, "Field does not exist.")
        if method in ("PUT", "PATCH"):
            self._meta.change_field(entity, name, {k: v for k, v in body.items() if k not in ("name", "label")})
        elif method == "DELETE":
            self._meta.drop_field(entity, name)
            return True
        return dict(self._meta.fields[entity][name])

    def _new_field(self, entity: str, body: dict[str, Any]) -> dict[str, Any]:
        name, kind = str(body.get("name") or ""), body.get("type")
        if not name or kind not in _FIELD_TYPES:
            raise bad_request("Bad field name or type.")
        if custom_name(name) in self._meta.fields[entity]:
            raise conflict("fieldAlreadyExists", {"messageTranslation": {
                "label": "fieldAlreadyExists", "scope": "FieldManager",
                "data": {"field": custom_name(name), "entityType": entity}}})  # fmt: skip
        params = {k: v for k, v in body.items() if k not in ("name", "label", "isCustom")}
        if kind in ("varchar", "enum"):
            params.setdefault("maxLength", 100)
        if kind == "datetime":
            params.setdefault("notNull", False)
        self._meta.add_field(entity, name, params)
        return {**params, "isCustom": True, "label": body.get("label", name)}

    def entity_manager(self, action: str, body: dict[str, Any], caller: Caller) -> Any:
        """``createEntity`` -> ``{"name": "CInvoice"}``; ``updateEntity`` sets what makes a duplicate."""
        _admins(caller)
        name = str(body.get("name") or "")
        if action == "createEntity":
            if not name or self._meta.has("C" + name[:1].upper() + name[1:]):
                raise conflict("entityTypeAlreadyExists", True)
            return {"name": self._meta.add_entity(name)}
        if action == "updateEntity":
            if not self._meta.has(name):
                raise ApiError(404, "Entity type does not exist.")
            fields = body.get("duplicateCheckFieldList")
            if isinstance(fields, list):
                self._meta.duplicate_fields[name] = [str(f) for f in fields]
            return True
        if action == "createLink":
            child = str(body.get("entityForeign") or "")
            known = self._meta.has(str(body.get("entity"))) and self._meta.has(child)
            if not known or body.get("linkType") != "oneToMany" or not body.get("link") or not body.get("linkForeign"):
                raise bad_request("Only oneToMany links are simulated.")
            self._meta.add_link(str(body["entity"]), str(body["link"]), child, str(body["linkForeign"]))
            return True
        raise ApiError(404, "Action does not exist.")

    # -- users --------------------------------------------------------------------------------------------------

    def create_user(self, body: dict[str, Any], caller: Caller) -> Record:
        """A user; one of type api gets its key, for Hmac a secret too."""
        _admins(caller)
        values = {k: v for k, v in body.items() if k not in ("apiKey", "secretKey")}
        if any(u.get("userName") == body.get("userName") for u in self._store.rows("User")):
            raise conflict("userNameExists", True)
        if body.get("type") == "api":
            values["apiKey"] = secrets.token_hex(16)
            if body.get("authMethod") == "Hmac":
                values["secretKey"] = secrets.token_hex(16)
        return self._records.create("User", values, caller, skip_duplicates=True, internal=True)

    def mass_action(self, body: dict[str, Any], caller: Caller) -> dict[str, Any]:
        """``MassAction`` update and delete; each record fires its webhooks (§2.2)."""
        if not caller.admin and caller.permission("massUpdatePermission") != "yes":
            raise forbidden("No mass-update permission.")
        entity, ids = str(body.get("entityType")), list((body.get("params") or {}).get("ids") or ())
        done = []
        for id_ in ids:
            if self._store.get(entity, id_) is None:
                continue
            if body.get("action") == "delete":
                self._records.delete(entity, id_, caller)
            else:
                self._records.update(entity, id_, (body.get("data") or {}).get("values") or {}, caller)
            done.append(id_)
        return {"count": len(done), "ids": done}


def _admins(caller: Caller) -> None:
    if not caller.admin:
        raise forbidden("")
