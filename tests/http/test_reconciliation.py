"""GET /api/reconciliation: the last report, page by page."""

from __future__ import annotations

import pytest

from tests.http.world import World, reconciled

PATH = "/api/reconciliation"


def test_the_last_report_comes_in_pages(world: World) -> None:
    """Head and findings; `next` leads on, until there is nothing more."""
    assert world.get(PATH).status_code == 404
    run = reconciled(world)
    first = world.get(f"{PATH}?limit=2").json
    assert (first["id"], first["verdict"], first["counts"]["missing"], first["person"]) == (run, "found", 3, 3)
    assert first["totals"] == {"missing": {"RUB": "100.00"}}
    assert [(one["title"], one["values"]["bank"], one["amount"]) for one in first["findings"]] == [
        ("№ 57", "100.00", "100.00")
    ] * 2
    rest = world.get(f"{PATH}?limit=2&after={first['next']}").json
    assert (len(rest["findings"]), rest["next"]) == (1, None)


@pytest.mark.parametrize("query", ["limit=-1", "limit=501", "after=x", "limit=²"])
def test_a_page_that_makes_no_sense_is_refused(world: World, query: str) -> None:
    reconciled(world)
    assert world.get(f"{PATH}?{query}").status_code == 400


def test_it_takes_a_token_that_reads(world: World) -> None:
    assert world.client.get(PATH).status_code == 401
    assert world.get(PATH, world.token("kpi:m1")).status_code == 403
