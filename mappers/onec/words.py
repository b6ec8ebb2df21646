"""What a refusing 1C, or a server before it, said: every shape of it (contract ONEC-ODATA, section 5)."""

from __future__ import annotations

import base64
import binascii
import html
import re
from typing import Any

from lxml import etree

from mappers.dialect import Reply

_BY_REASON = re.compile(r"\b(?:by reason|по причине)\s*:?\s*", re.IGNORECASE)
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title\s*>", re.IGNORECASE | re.DOTALL)
_SPACES = re.compile(r"\s+")
_READ = 10_000  # characters of a page: an error says what it has to say at its beginning
_BASE64 = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}")


def words(reply: Reply) -> tuple[str, str]:
    """(OData code or "", what was said) of any shape in which 1C and the servers before it refuse."""
    text = reply.text.lstrip("\ufeff \r\n\t")
    if text.startswith("{"):
        try:
            value = reply.json()
        except ValueError:
            value = None
        if isinstance(value, dict):
            return _json_words(value)
    if is_html(reply):
        # "by reason" is 1C's own error page (section 5); any other comes from a server before it.
        return ("-1" if _BY_REASON.search(text[:_READ]) else ""), page_text(text)
    if text.startswith("<"):
        return _xml_words(reply.body, text)
    return "", _folded(text)


def title_of(reply: Reply) -> str:
    """What an HTML page is called, or all that it says when it has no title."""
    found = _TITLE.search(reply.text[:_READ])
    return (page_text(found[1]) if found else "") or page_text(reply.text)


def _json_words(value: dict[str, Any]) -> tuple[str, str]:
    error = value.get("odata.error")
    if isinstance(error, dict):
        message = error.get("message")
        said = message.get("value") if isinstance(message, dict) else message
        return str(error.get("code", "")), _folded(said if isinstance(said, str) else "")
    chain: list[str] = []
    link: Any = value.get("exception")
    while isinstance(link, dict) and len(chain) < 20:
        said = link.get("descr")
        if isinstance(said, str) and said.strip():
            chain.append(_unpacked(said))
        link = link.get("inner")
    return ("-1" if chain else ""), _folded(" ← ".join(chain))


def _xml_words(body: bytes, text: str) -> tuple[str, str]:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True)
    try:
        root = etree.fromstring(body.lstrip(b"\xef\xbb\xbf \r\n\t"), parser)
    except (etree.XMLSyntaxError, ValueError):
        root = None
    if root is None:
        return "", page_text(text)
    found = {"code": "", "message": ""}
    for node in root.iter():
        if isinstance(node.tag, str) and (name := etree.QName(node).localname) in found and not found[name]:
            found[name] = _folded("".join(node.itertext()))
    return found["code"], found["message"]


def _unpacked(said: str) -> str:
    """1C packs a description that XML could not hold as Base64 (section 5)."""
    if len(said) % 4 or not _BASE64.fullmatch(said):
        return said
    try:
        return base64.b64decode(said, validate=True).decode("utf-8-sig")
    except (binascii.Error, UnicodeDecodeError):
        return said


def page_text(page: str) -> str:
    """The words of an HTML page; of 1C's own error page those after "by reason"."""
    said = _folded(html.unescape(_TAGS.sub(" ", page[:_READ])))
    return _BY_REASON.split(said)[-1]


def is_html(reply: Reply) -> bool:
    head = reply.body[:400].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    return "html" in reply.headers.get("content-type", "").lower() or head.startswith((b"<!doctype html", b"<html"))


def _folded(text: str) -> str:
    return _SPACES.sub(" ", text).strip()
