"""What was printed for a deal, and the PDF itself, over HTTP."""

from __future__ import annotations

import pytest

from tests.http.world import NAME, World
from tests.store.printed import ACT, DEAL, keep_papers

PAPERS = f"/api/deals/{NAME}/{DEAL}/papers"


def test_every_version_of_invoice_and_acts_is_listed(world: World) -> None:
    """With what became of it; a PDF that was cleared away has no bytes."""
    keep_papers(world.store, NAME)
    told = world.get(PAPERS).json["papers"]
    assert [(one["paper"], one["kind"], one["version"], one["state"], one["bytes"]) for one in told] == [
        ("invoice", "invoice", 1, "sent", 0),
        ("invoice", "invoice", 2, "made", 15),
        (ACT, "act", 1, "made", 12),
    ]
    assert told[0]["recipient"] == "buh@romashka.example"
    assert told[2]["number"] == "31"
    assert world.get(f"/api/deals/{NAME}/other/papers").json == {"papers": []}


@pytest.mark.parametrize(
    ("path", "pdf"),
    [("invoice", b"second"), ("invoice?version=2", b"second"), (ACT, b"act"), (f"{ACT}?version=1", b"act")],
)
def test_a_pdf_is_given_as_it_was_sent(world: World, path: str, pdf: bytes) -> None:
    """The last version, or the one that is asked for; its Russian name goes with it."""
    keep_papers(world.store, NAME)
    answer = world.get(f"{PAPERS}/{path}")
    assert (answer.status_code, answer.mimetype, answer.data) == (200, "application/pdf", b"%PDF-1.7 " + pdf)
    assert "%D0%BE%D1%82%2024.11.2026.pdf" in answer.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("path", "status"),
    [("invoice?version=1", 404), ("invoice?version=3", 404), ("invoice?version=x", 400), ("nothing", 404)],
)
def test_what_is_not_there_is_told(world: World, path: str, status: int) -> None:
    """Cleared away, never printed, no number."""
    keep_papers(world.store, NAME)
    answer = world.get(f"{PAPERS}/{path}")
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")


def test_papers_need_a_token(world: World) -> None:
    """They name the client and his sums."""
    assert world.client.get(f"{PAPERS}/invoice").status_code == 401
