"""The fields and links of the entities that the sandbox CRM starts with (contracts/ESPOCRM.md §3.1, §3.4)."""

from __future__ import annotations

from typing import Any

STAGES = ["Prospecting", "Qualification", "Proposal", "Negotiation", "Closed Won", "Closed Lost"]
PROBABILITY = dict(zip(STAGES, (10, 20, 50, 80, 100, 0), strict=True))


def _f(type_: str, **params: Any) -> dict[str, Any]:
    return {"type": type_, **params}


def _link(entity: str) -> dict[str, Any]:
    return {"type": "link", "entity": entity}


def name_field(required: bool = True) -> dict[str, Any]:
    return _f("varchar", maxLength=249, required=required, pattern="$noBadCharacters")


_TYPES = ["Customer", "Investor", "Partner", "Reseller"]
_PERSON: dict[str, Any] = {
    "name": _f("personName"),
    "salutationName": _f("enum", options=["", "Mr.", "Ms.", "Mrs.", "Dr."]),
    "firstName": _f("varchar", maxLength=100, pattern="$noBadCharacters"),
    "lastName": _f("varchar", maxLength=100, pattern="$noBadCharacters", required=True),
    "middleName": _f("varchar", maxLength=100, pattern="$noBadCharacters"),
    "title": _f("varchar", maxLength=100),
    "description": _f("text"),
    "emailAddress": _f("email"),
    "phoneNumber": _f("phone", defaultType="Mobile"),
    "address": _f("address"),
    "doNotCall": _f("bool", default=False),
}
OWNED: dict[str, Any] = {"assignedUser": _link("User"), "teams": _f("linkMultiple", entity="Team")}

# Order matters twice: the first failing field is the one reported, and attributes come out in it.
FIELDS: dict[str, dict[str, Any]] = {
    "Account": {
        "name": name_field(),
        "website": _f("url", maxLength=255),
        "emailAddress": _f("email"),
        "phoneNumber": _f("phone", defaultType="Office"),
        "type": _f("enum", options=["", *_TYPES]),
        "industry": _f("enum", options=["", "Banking", "Building Supply", "Construction", "Manufacturing", "Retail",
                                        "Shipping & Transportation", "Wholesale"]),
        "sicCode": _f("varchar", maxLength=40),
        "billingAddress": _f("address"),
        "shippingAddress": _f("address"),
        "description": _f("text"),
        "campaign": _link("Campaign"),
        "originalLead": _link("Lead"),
        **OWNED,
    },
    "Contact": {
        **_PERSON,
        "account": _link("Account"),
        "accounts": _f("linkMultiple", entity="Account", columns={"role": None, "isInactive": False}),
        "accountIsInactive": _f("bool", default=False),
        "campaign": _link("Campaign"),
        **OWNED,
    },
    "Lead": {
        **_PERSON,
        "status": _f("enum", options=["New", "Assigned", "In Process", "Converted", "Recycled", "Dead"], default="New"),
        "source": _f("enum", options=["", "Call", "Email", "Existing Customer", "Partner", "Web Site", "Other"]),
        "accountName": _f("varchar", maxLength=255),
        "website": _f("url", maxLength=255),
        **OWNED,
    },
    "Opportunity": {
        "name": name_field(),
        "amount": _f("currency", required=True, min=0),
        "stage": _f("enum", options=STAGES, default="Prospecting", required=True, probabilityMap=PROBABILITY,
                    audited=True),
        "lastStage": _f("enum", options=STAGES, readOnly=True),
        "probability": _f("int", min=0, max=100),
        "leadSource": _f("enum", options=["", "Call", "Email", "Existing Customer", "Partner", "Web Site", "Other"]),
        "closeDate": _f("date", required=True),
        "description": _f("text"),
        "account": _link("Account"),
        "contacts": _f("linkMultiple", entity="Contact", columns={"role": None}),
        "contact": _link("Contact"),
        "campaign": _link("Campaign"),
        "originalLead": _link("Lead"),
        **OWNED,
    },
    "Task": {
        "name": name_field(),
        "status": _f("enum", options=["Not Started", "Started", "Completed", "Canceled", "Deferred"],
                     default="Not Started"),
        "priority": _f("enum", options=["Low", "Normal", "High", "Urgent"], default="Normal"),
        "dateStart": _f("datetime"),
        "dateEnd": _f("datetime"),
        "description": _f("text"),
        "parent": _f("linkParent"),
        **OWNED,
    },
    "Case": {"name": name_field(), "description": _f("text"), "account": _link("Account"), **OWNED},
    "KnowledgeBaseArticle": {"name": name_field(), "body": _f("wysiwyg"), **OWNED},
    "Document": {
        "name": name_field(),
        "file": _f("file"),
        "status": _f("enum", options=["Active", "Draft", "Expired", "Canceled"], default="Active"),
        "publishDate": _f("date"),
        "description": _f("text"),
        "accounts": _f("linkMultiple", entity="Account"),
        "opportunities": _f("linkMultiple", entity="Opportunity"),
        **OWNED,
    },
    "Note": {
        "post": _f("text"),
        "data": _f("jsonObject"),
        "type": _f("varchar", maxLength=24, default="Post"),
        "isInternal": _f("bool", default=False),
        "parent": _f("linkParent"),
        "attachments": _f("attachmentMultiple"),
    },
    "Email": {
        "subject": _f("varchar", maxLength=255),
        "from": _f("varchar", maxLength=255),
        "to": _f("varchar", maxLength=2000),
        "cc": _f("varchar", maxLength=2000),
        "bcc": _f("varchar", maxLength=2000),
        "body": _f("wysiwyg"),
        "isHtml": _f("bool", default=True),
        "status": _f("enum", options=["Draft", "Sending", "Sent", "Archived"], default="Archived"),
        "dateSent": _f("datetime", readOnly=True),
        "messageId": _f("varchar", maxLength=255, readOnly=True),
        "parent": _f("linkParent"),
        "attachments": _f("attachmentMultiple"),
        **OWNED,
    },
    "User": {
        "userName": _f("varchar", maxLength=50, required=True),
        "name": _f("personName"),
        "type": _f("enum", options=["regular", "admin", "api", "portal", "system"], default="regular"),
        "authMethod": _f("enum", options=["", "ApiKey", "Hmac"]),
        "apiKey": _f("varchar", maxLength=100, readOnly=True),
        "secretKey": _f("varchar", maxLength=100, readOnly=True),
        "password": _f("password"),
        "firstName": _f("varchar", maxLength=100),
        "lastName": _f("varchar", maxLength=100),
        "isActive": _f("bool", default=True),
        "title": _f("varchar", maxLength=100),
        "emailAddress": _f("email"),
        "phoneNumber": _f("phone", defaultType="Mobile"),
        "defaultTeam": _link("Team"),
        "teams": _f("linkMultiple", entity="Team"),
        "roles": _f("linkMultiple", entity="Role"),
    },
    "Team": {"name": name_field(), "description": _f("text")},
    "Role": {
        "name": name_field(),
        "assignmentPermission": _f("enum", options=["not-set", "all", "team", "no"], default="not-set"),
        "massUpdatePermission": _f("enum", options=["not-set", "yes", "no"], default="not-set"),
        "groupEmailAccountPermission": _f("enum", options=["not-set", "all", "team", "no"], default="not-set"),
        "data": _f("jsonObject"),
        "fieldData": _f("jsonObject"),
    },
    "ScheduledJob": {
        "name": name_field(),
        "job": _f("varchar", maxLength=100),
        "status": _f("enum", options=["Active", "Inactive"], default="Active"),
        "scheduling": _f("varchar", maxLength=48),
    },
    "InboundEmail": {
        "name": name_field(),
        "emailAddress": _f("varchar", maxLength=255, required=True),
        "status": _f("enum", options=["Active", "Inactive"], default="Active"),
        "useImap": _f("bool", default=True),
        "useSmtp": _f("bool", default=False),
        "smtpIsShared": _f("bool", default=False),
        "smtpHost": _f("varchar", maxLength=255),
        "smtpPort": _f("int", default=587),
        "smtpAuth": _f("bool", default=False),
        "smtpSecurity": _f("varchar", maxLength=10),
    },
    "Webhook": {
        "event": _f("varchar", maxLength=100, required=True),
        "url": _f("varchar", maxLength=512, required=True),
        "isActive": _f("bool", default=True),
        "entityType": _f("varchar", readOnly=True, maxLength=255),
        "type": _f("varchar", readOnly=True, maxLength=255),
        "field": _f("varchar", readOnly=True, maxLength=255),
        "secretKey": _f("varchar", readOnly=True, maxLength=100),
        "skipOwn": _f("bool", default=False),
        "description": _f("text"),
        "user": _link("User"),
    },
    "Attachment": {
        "name": _f("varchar", maxLength=255, required=True),
        "type": _f("varchar", maxLength=100),
        "size": _f("int", readOnly=True),
        "field": _f("varchar", maxLength=100),
        "isBeingUploaded": _f("bool", default=False),
        "role": _f("varchar", maxLength=36),
        "parent": _f("linkParent"),
        "related": _f("linkParent"),
    },
}  # fmt: skip

#: entity -> link -> (kind, the other entity, the child's link or the relation's name)
LINKS: dict[str, dict[str, tuple[str, str, str]]] = {
    "Account": {
        "opportunities": ("hasMany", "Opportunity", "account"),
        "cases": ("hasMany", "Case", "account"),
        "contacts": ("manyMany", "Contact", "accountContact"),
        "documents": ("manyMany", "Document", "accountDocument"),
        "tasks": ("hasChildren", "Task", "parent"),
        "emails": ("hasChildren", "Email", "parent"),
    },
    "Contact": {
        "accounts": ("manyMany", "Account", "accountContact"),
        "opportunities": ("manyMany", "Opportunity", "contactOpportunity"),
        "tasks": ("hasChildren", "Task", "parent"),
    },
    "Lead": {"tasks": ("hasChildren", "Task", "parent")},
    "Opportunity": {
        "contacts": ("manyMany", "Contact", "contactOpportunity"),
        "documents": ("manyMany", "Document", "documentOpportunity"),
        "tasks": ("hasChildren", "Task", "parent"),
        "emails": ("hasChildren", "Email", "parent"),
    },
    "Document": {
        "accounts": ("manyMany", "Account", "accountDocument"),
        "opportunities": ("manyMany", "Opportunity", "documentOpportunity"),
    },
    "User": {"teams": ("manyMany", "Team", "userTeam"), "roles": ("manyMany", "Role", "userRole")},
    "Team": {"users": ("manyMany", "User", "userTeam")},
}

DUPLICATE_FIELDS = {
    "Account": ["name", "emailAddress"],
    "Contact": ["name", "emailAddress"],
    "Lead": ["name", "emailAddress"],
}
