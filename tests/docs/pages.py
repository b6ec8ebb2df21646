"""The pages as the tests see them: fenced blocks, command lines, headings, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[2]
READMES = (TOP / "README.md", TOP / "README.ru.md")
PAGES = (*READMES, TOP / "CHANGELOG.md", *sorted((TOP / "docs").rglob("*.md")))
COMMANDS = ("sh", "console")

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:crm1c|make) [^`]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(TOP)}:{self.text.splitlines()[0][:40]}"


@dataclass(frozen=True)
class Line:
    """A command line of a page: words without comments, assignments in front of them left out."""

    page: Path
    text: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page.relative_to(TOP)}:{self.text}"


def blocks(*languages: str, pages: tuple[Path, ...] = PAGES) -> list[Block]:
    """The blocks in these languages."""
    found = []
    for page in pages:
        for language, text in _FENCE.findall(page.read_text(encoding="utf-8")):
            if language in languages:
                found.append(Block(page, language, text))
    return found


def lines(pages: tuple[Path, ...] = PAGES) -> list[Line]:
    """Every command line: of the blocks that hold commands, and those of crm1c and make within the text."""
    found = []
    for block in blocks(*COMMANDS, pages=pages):
        for text in block.text.replace("\\\n", " ").splitlines():
            found += _line(block.page, text.strip().removeprefix("$ "))
    for page in pages:
        for text in _INLINE.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
            found += _line(page, text)
    return found


def _line(page: Path, text: str) -> Iterator[Line]:
    words = shlex.split(text, comments=True)
    while words and re.fullmatch(r"[A-Z][A-Z0-9_]*=.*", words[0]):
        words.pop(0)
    if words:
        yield Line(page, text, tuple(words))


def prose(page: Path) -> str:
    """The page without its blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """Where the page's links lead."""
    return _LINK.findall(prose(page))


def headings(page: Path) -> list[tuple[int, str]]:
    """(level, text) of the page's headings."""
    return [(len(marks), text) for marks, text in re.findall(r"^(#+) (.+)$", prose(page), re.MULTILINE)]


def anchor(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
