"""Atom XML: what is sent unless JSON was asked (contract 0.6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from sandbox.onec.schema import NAMESPACE, Entity, Field
from sandbox.onec.values import filled, told
from sandbox.onec.wire import key_text

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
SPACES = (
    'xmlns="http://www.w3.org/2005/Atom" xmlns:at="http://purl.org/atompub/tombstones/1.0" '
    'xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices" '
    'xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"'
)
SCHEME = "http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"
RELATED = "http://schemas.microsoft.com/ado/2007/08/dataservices/related"


def text(value: Any) -> str:
    """A value as XML text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return escape(str(value))


def properties(entity: Entity, known: Mapping[str, Field], data: Mapping[str, Any]) -> str:
    """The elements ``d:…`` of an object or a row; only names that ``data`` has."""
    found = [f"<d:{name}>{text(told(field, data[name]))}</d:{name}>" for name, field in known.items() if name in data]
    for section, row_known in entity.rows.items():
        if known is entity.fields and section in data:
            kind = f"{NAMESPACE}.{entity.name}_{section}_RowType"
            rows = "".join(
                f'<d:element m:type="{kind}">{properties(entity, row_known, row)}</d:element>' for row in data[section]
            )
            found.append(f'<d:{section} m:type="Collection({kind})">{rows}</d:{section}>')
    return "".join(found)


def entry(
    entity: Entity, data: Mapping[str, Any], root: str, now: str, *, spaces: str = "", known: Any = None,
    shown: Mapping[str, Any] | None = None,
) -> str:  # fmt: skip
    """One object; ``shown`` holds fewer fields when ``$select`` asked for them."""
    address = key_text(entity, data)
    links = "".join(
        f'<link rel="{RELATED}/{nav}" type="application/atom+xml;type=entry" title="{nav}" href="{address}/{nav}"/>'
        for nav, field in entity.navs.items()
        if field.name in data and filled(field, data[field.name])
    )
    base = f" xml:base={quoteattr(root + '/')}" if spaces else ""
    return (
        f"<entry{' ' + spaces if spaces else ''}{base}><id>{escape(root)}/{address}</id>"
        f'<category term="{NAMESPACE}.{entity.name}" scheme="{SCHEME}"/><title type="text"/>'
        f"<updated>{now}</updated><author/><summary/>"
        f'<link rel="edit" href="{address}" title="edit-link"/>{links}'
        f'<content type="application/xml"><m:properties>'
        f"{properties(entity, known or entity.fields, data if shown is None else shown)}"
        f"</m:properties></content></entry>"
    )


def feed(name: str, entries: Iterable[str], root: str, now: str, count: int | None = None) -> str:
    """A set of entries."""
    counted = "" if count is None else f"<m:count>{count}</m:count>"
    return (
        f"{HEAD}<feed {SPACES} xml:base={quoteattr(root + '/')}><id>{escape(root)}/{name}</id>"
        f'<title type="text"/><updated>{now}</updated><link rel="self" title="{name}" href="{name}"/>'
        f"{counted}{''.join(entries)}</feed>"
    )


def tombstone(entity: Entity, key: str, root: str, now: str) -> str:
    """A deleted object in a packet of changes (RFC 6721)."""
    return f'<at:deleted-entry ref="{escape(root)}/{entity.name}(guid\'{key}\')" when="{now}"/>'


def error(code: int, message: str) -> str:
    """An error as in the samples."""
    space = 'xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"'
    return f"{HEAD}<m:error {space}><m:code>{code}</m:code><m:message>{escape(message)}</m:message></m:error>"


def service(names: Iterable[str], root: str) -> str:
    """The service document."""
    sets = "".join(f'<collection href="{n}"><atom:title type="text">{n}</atom:title></collection>' for n in names)
    return (
        f'{HEAD}<service xmlns="http://www.w3.org/2007/app" xmlns:atom="http://www.w3.org/2005/Atom" '
        f'xml:base={quoteattr(root + "/")}><workspace><atom:title type="text">Default</atom:title>{sets}'
        "</workspace></service>"
    )
