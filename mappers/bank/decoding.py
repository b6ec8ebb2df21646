"""Bytes of a statement as text: what the file declares may lie, so the encoding is the one that makes sense of it."""

from __future__ import annotations

import re

_FIRST = "1CClientBankExchange"
_MARKS = re.compile(
    r"^[ \t]*(?:Секция(?:Документ|РасчСчет)|Конец(?:Документа|РасчСчет|Файла)|РасчСчет|Сумма|Номер)\b", re.M
)
_DECLARED = re.compile(rb"^[^\n=]{1,40}=[ \t]*(windows|win|dos|utf-?8)[ \t]*\r?$", re.M | re.I)
_BELARUSIAN = re.compile(r"^\s*(?:\*+)?\^\w+=[^\n]*\^", re.M)
_CODECS = {b"windows": "cp1251", b"win": "cp1251", b"dos": "cp866"}


class NotAStatement(ValueError):
    """The bytes are no 1CClientBankExchange statement. The message is Russian, for people."""


def decoded(raw: bytes) -> str:
    """The statement's text. Raises NotAStatement for what is none.

    UTF-8 that is whole wins; else the encoding, declared first, in which most of the format's own words are found.
    """
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = raw.decode("utf-16", errors="replace")
    else:
        text = _trial(raw.removeprefix(b"\xef\xbb\xbf"))
    text = text.replace("\x00", "").lstrip("\ufeff \t\r\n")
    first = re.split(r"[\r\n]", text, maxsplit=1)[0].strip()
    if first.casefold() != _FIRST.casefold():
        if _BELARUSIAN.search(text[:4096]):
            raise NotAStatement(
                "Это выписка белорусского банка (^Имя=значение^), а не 1CClientBankExchange. "
                "Выгрузите её из клиент-банка в формате «1С» (kl_to_1c.txt)."
            )
        shown = f" (первая строка: «{first[:40]}»)" if first.isprintable() and first else ""
        raise NotAStatement(f"Это не выписка 1CClientBankExchange{shown}. Выгрузите из клиент-банка файл kl_to_1c.txt.")
    if not _MARKS.search(text):
        raise NotAStatement("Файл начинается как 1CClientBankExchange, но в нём нет ни одного счёта и документа.")
    return text


def _trial(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    found = _DECLARED.search(raw[:2048])
    declared = _CODECS.get(found[1].lower()) if found else None
    codecs = dict.fromkeys(filter(None, (declared, "utf-8", "cp1251", "cp866")))
    tried = [raw.decode(codec, errors="replace") for codec in codecs]
    return max(tried, key=lambda text: len(_MARKS.findall(text)))
