"""Reading a PDF as a client does: its text, its pages as pictures, and the payment code by an independent decoder."""

from __future__ import annotations

from typing import Any

import pypdfium2
import zxingcpp


def pages_of(pdf: bytes) -> int:
    document = pypdfium2.PdfDocument(pdf)
    try:
        return len(document)
    finally:
        document.close()


def text_of(pdf: bytes) -> str:
    """The text of all pages, spaces of any kind as one blank."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        return " ".join(" ".join(page.get_textpage().get_text_bounded() for page in document).split())
    finally:
        document.close()


def pictures_of(pdf: bytes, scale: float = 2.0) -> list[Any]:
    """Each page as a picture."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        return [page.render(scale=scale).to_pil().convert("RGB") for page in document]
    finally:
        document.close()


def rules_of(pdf: bytes) -> list[float]:
    """How long the horizontal lines of the last page are, in millimetres, the lowest one first."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        page = document[len(document) - 1]
        shapes = [one for one in page.get_objects() if one.type == pypdfium2.raw.FPDF_PAGEOBJ_PATH]
        bounds = sorted((one.get_bounds() for one in shapes), key=lambda one: one[1])
        return [(right - left) / 72 * 25.4 for left, low, right, high in bounds if high - low < 2]
    finally:
        document.close()


def codes_of(pdf: bytes) -> list[str]:
    """The texts of all QR codes on the first page."""
    return [code.text for code in zxingcpp.read_barcodes(pictures_of(pdf, 3.0)[0])]


def payment(pdf: bytes) -> dict[str, str]:
    """The fields of the one payment code."""
    [text] = codes_of(pdf)
    head, *fields = text.split("|")
    assert head == "ST00012"
    return dict(field.split("=", 1) for field in fields)
