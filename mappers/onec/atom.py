"""The packet of SelectChanges: an Atom feed with tombstones of what was erased (RFC 6721; contract, section 7).

It comes from outside and may be large: parsed in one pass, without entities, DTD and network; each entry is dropped as
soon as it is read. Of an entry only the set and the key are taken: a change is a hint, the object is read again.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any

from lxml import etree

_NAMESPACE = "StandardODATA."
_ATOM = "{http://www.w3.org/2005/Atom}"
_ENTRY, _FEED = f"{_ATOM}entry", f"{_ATOM}feed"
_ERASED = "{http://purl.org/atompub/tombstones/1.0}deleted-entry"
_ADDRESS = re.compile(r"(?:^|/)([^/()]+)\(guid'([0-9a-fA-F-]{36})'\)$")


def changed_refs(xml: bytes) -> tuple[tuple[str, str, bool], ...]:
    """(set, Ref_Key, erased) of each object in the packet, in its order; what has no Ref_Key is left out.

    Raises ValueError for what is no Atom feed or brings a DTD.
    """
    found: list[tuple[str, str, bool]] = []
    seen = False
    try:
        reader = etree.iterparse(
            BytesIO(xml), events=("start", "end"), tag=[_ENTRY, _ERASED, _FEED], resolve_entities=False,
            no_network=True, load_dtd=False, remove_comments=True, remove_pis=True, huge_tree=False,
        )  # fmt: skip
        for event, element in reader:
            if not seen:
                if element.getroottree().docinfo.internalDTD is not None:
                    raise ValueError("a packet with a document type is not read")
                seen = element.tag == _FEED
                if not seen:
                    raise ValueError("no Atom feed")
            if event == "end" and element.tag != _FEED:
                found += _one(element)
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
    except etree.XMLSyntaxError as error:
        raise ValueError(f"damaged XML: {error}") from error
    if not seen:
        raise ValueError("no Atom feed")
    return tuple(found)


def _one(element: Any) -> list[tuple[str, str, bool]]:
    erased = element.tag == _ERASED
    address = element.get("ref", "") if erased else element.findtext(f"{_ATOM}id") or ""
    match = _ADDRESS.search(address)
    if match is None:
        return []
    category = None if erased else element.find(f"{_ATOM}category")
    term = "" if category is None else str(category.get("term", ""))
    return [(term.removeprefix(_NAMESPACE) or match[1], match[2].lower(), erased)]
