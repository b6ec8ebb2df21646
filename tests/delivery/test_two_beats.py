"""Two beats send at once, one over RedBeat and one from a file: each slot is run once."""

from __future__ import annotations

import pytest

from tests.delivery.conftest import Planted
from tests.servers.wait import until

pytestmark = pytest.mark.slow

SECOND = """
import os, sys
os.environ["CRM1C_REDIS_URL"] = "embedded://"  # so it keeps its schedule in a file, and knows nothing of RedBeat's lock
sys.argv = ["crm1c", "beat", "--schedule-file", {file!r}]
from tasks.cli import main
main()
"""


def test_two_beats_that_know_nothing_of_each_other_do_no_harm(planted: Planted) -> None:
    """Every message comes twice: each slot was begun once and ended, no two runs of a job lay side by side."""
    plant = planted(schedule={"payments": "every 2s"})
    plant.worker()
    first = plant.beat()
    code = SECOND.format(file=str(plant.folder / "beat"))
    second = plant.part("beat2", ["-c", code], lambda p: "beat: Starting" in p.log.read_text())

    def ended(job: str) -> int:
        [(count,)] = plant.rows(f"SELECT count(*) FROM slots WHERE job = '{job}' AND finished_at IS NOT NULL")
        return int(count)

    until(lambda: ended("payments") >= 4 and ended("sweep") >= 4, 60, what="four slots of both jobs")
    for beat in (first, second):
        assert "crm1c.pull_payments" in beat.log.read_text()
        beat.stop()
    assert plant.rows("SELECT max(tries) FROM slots") == [(1,)]
    runs = plant.rows("SELECT started_at, finished_at FROM slots WHERE job = 'payments' ORDER BY started_at")
    ends = [finished for _, finished in runs if finished is not None]
    assert all(begin >= end for end, (begin, _) in zip(ends, runs[1:], strict=False))
