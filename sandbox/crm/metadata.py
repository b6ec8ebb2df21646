"""Definitions of one CRM, and how a field unfolds into attributes.

Source: contracts/ESPOCRM.md §2.2, §3.1, §3.4, §3.5. A *field* (``billingAddress``) is what an administrator makes
and what ``fieldUpdate`` events name; an *attribute* (``billingAddressCity``) is what stands in a body.
"""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass
from typing import Any

from sandbox.crm.fields import DUPLICATE_FIELDS, FIELDS, LINKS, OWNED, name_field

ADDRESS_PARTS = ("Street", "City", "State", "Country", "PostalCode")
VERSIONED = frozenset({"Account", "Opportunity", "Case", "Task", "KnowledgeBaseArticle"})  # §3.5
STARRED = frozenset({"Account", "Contact", "Lead", "Task", "Case"})
SYSTEM = frozenset(
    {"id", "deleted", "createdAt", "createdById", "createdByName", "modifiedAt", "modifiedById", "modifiedByName",
     "versionNumber", "streamUpdatedAt"}
)  # fmt: skip
NO_WEBHOOKS = frozenset({"Webhook", "User", "Team", "Role", "Attachment", "Note", "InboundEmail", "ScheduledJob"})
ADMIN_ONLY = frozenset({"Role", "InboundEmail", "ScheduledJob"})


@dataclass(frozen=True, slots=True)
class Attr:
    """One attribute: its name, the field it belongs to and the part it plays (``plain``, ``linkName``, ``ids`` …)."""

    name: str
    field: str
    part: str


def custom_name(name: str) -> str:
    """The prefix that a custom field gets: ``inn`` -> ``cInn``, ``1cRefKey`` -> ``c1cRefKey`` (§3.1)."""
    return "c" + name[:1].upper() + name[1:]


def unfold(field: str, defs: dict[str, Any]) -> list[Attr]:
    """The attributes of one field (§2.2: a fieldUpdate carries all of them)."""
    kind = defs["type"]
    if kind == "address":
        return [Attr(field + part, field, "plain") for part in ADDRESS_PARTS]
    if kind == "currency":
        return [Attr(field, field, "plain"), Attr(field + "Currency", field, "plain"),
                Attr(field + "Converted", field, "derived")]  # fmt: skip
    if kind in ("email", "phone"):
        return [Attr(field, field, "plain"), Attr(field + "IsOptedOut", field, "derived"),
                Attr(field + "IsInvalid", field, "derived"), Attr(field + "Data", field, "data")]  # fmt: skip
    if kind in ("link", "file"):
        return [Attr(field + "Id", field, "plain"), Attr(field + "Name", field, "linkName")]
    if kind == "linkParent":
        return [Attr(field + "Id", field, "plain"), Attr(field + "Type", field, "plain"),
                Attr(field + "Name", field, "linkName")]  # fmt: skip
    if kind in ("linkMultiple", "attachmentMultiple"):
        tail = "Columns" if defs.get("columns") else "Types" if kind == "attachmentMultiple" else ""
        more = [Attr(field + tail, field, "columns")] if tail else []
        return [Attr(field + "Ids", field, "ids"), Attr(field + "Names", field, "names"), *more]
    if kind == "password":
        return [Attr(field, field, "secret")]
    return [Attr(field, field, "derived" if kind == "personName" else "plain")]


class Metadata:
    """Definitions of one CRM; custom fields and entities are added at run time."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.fields: dict[str, dict[str, Any]] = copy.deepcopy(FIELDS)
        self.links: dict[str, dict[str, tuple[str, str, str]]] = copy.deepcopy(LINKS)
        self.duplicate_fields: dict[str, list[str]] = copy.deepcopy(DUPLICATE_FIELDS)
        self.custom: set[str] = set()
        self._attrs: dict[str, dict[str, Attr]] = {}

    def has(self, entity: str) -> bool:
        return entity in self.fields

    def attrs(self, entity: str) -> dict[str, Attr]:
        """Attributes of the entity's own fields by name; system attributes are not among them."""
        found = self._attrs.get(entity)
        if found is None:
            with self._lock:
                found = {a.name: a for f, d in self.fields[entity].items() for a in unfold(f, d)}
                if entity == "Opportunity":
                    found["amountWeightedConverted"] = Attr("amountWeightedConverted", "amount", "derived")
                if entity == "Contact":
                    found["accountType"] = Attr("accountType", "account", "derived")
                self._attrs[entity] = found
        return found

    def known_attribute(self, entity: str, name: str) -> bool:
        """Whether a where clause or an order may name it (§3.2)."""
        return name in SYSTEM or name in self.attrs(entity)

    def add_field(self, entity: str, name: str, params: dict[str, Any]) -> str:
        """Make a custom field and return its real name (§3.1)."""
        real = custom_name(name)
        with self._lock:
            self.fields[entity][real] = {**params, "isCustom": True}
            self._attrs.pop(entity, None)
        return real

    def change_field(self, entity: str, name: str, params: dict[str, Any]) -> None:
        with self._lock:
            self.fields[entity][name].update(params)
            self._attrs.pop(entity, None)

    def drop_field(self, entity: str, name: str) -> None:
        with self._lock:
            self.fields[entity].pop(name, None)
            self._attrs.pop(entity, None)

    def add_entity(self, name: str) -> str:
        """Make a custom entity of type Base: ``Invoice`` -> ``CInvoice`` (§0.15)."""
        real = "C" + name[:1].upper() + name[1:]
        with self._lock:
            self.fields[real] = {"name": name_field(), "description": {"type": "text"}, **copy.deepcopy(OWNED)}
            self.links[real] = {}
            self.custom.add(real)
        return real

    def add_link(self, parent: str, link: str, child: str, child_link: str) -> None:
        """One to many: a field on the child, a list on the parent; names of entities that are not custom get ``c``."""
        with self._lock:
            link = link if parent in self.custom else custom_name(link)
            child_link = child_link if child in self.custom else custom_name(child_link)
            self.fields[child][child_link] = {"type": "link", "entity": parent, "isCustom": True}
            self.links.setdefault(parent, {})[link] = ("hasMany", child, child_link)
            self._attrs.pop(child, None)

    def tree(self) -> dict[str, Any]:
        """What ``GET Metadata`` shows: entityDefs and scopes."""

        def links(entity: str) -> dict[str, Any]:
            known = self.links.get(entity, {})
            return {k: {"type": v[0], "entity": v[1], "foreign": v[2]} for k, v in known.items()}

        return {
            "entityDefs": {
                e: {
                    "fields": f,
                    "links": links(e),
                    "optimisticConcurrencyControl": e in VERSIONED,
                }
                for e, f in self.fields.items()
            },
            "scopes": {
                e: {"entity": True, "object": e not in NO_WEBHOOKS, "isCustom": e in self.custom,
                    "duplicateCheckFieldList": self.duplicate_fields.get(e, [])}
                for e in self.fields
            },
        }  # fmt: skip
