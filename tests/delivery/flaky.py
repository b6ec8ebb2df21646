"""`crm1c` with one more kind of duty, which fails a planned number of times: `python -m tests.delivery.flaky worker …`.

The kind is "flaky": its payload says how often it fails (`failures`); each attempt is counted in Redis under the row.
`python -m tests.delivery.flaky owe COUNT FAILURES` writes so many of them down and calls their workers.
"""

from __future__ import annotations

import sys
from typing import Any

from integration.cache import connect
from integration.errors import Transient
from integration.flows.perform import FLOWS
from integration.services import Services
from integration.work import Duty, Event, Outcome, Owed
from tasks.calls import TASKS
from tasks.cli import main
from tasks.cli.common import looking, settings_ready
from tasks.outbound import QUEUE

KIND = "flaky"


def flaky(services: Services, duty: Duty) -> Outcome:
    """Fail as often as the payload says, then be done."""
    with connect(services.settings.redis.url) as client:
        attempt = int(client.incr(f"attempts:{duty.id}"))
    if attempt <= duty.payload["failures"]:
        raise Transient(system=duty.system)
    return Outcome("done")


def owe(count: int, failures: int) -> None:
    """Write duties down in one transaction, as a flow does."""
    nobody = Event("", "", "", "", "", b"", "")
    owed = [Owed(KIND, "onec:main", f"flaky:{number}", {"failures": failures}) for number in range(count)]
    with looking(settings_ready(quiet=True)) as world, world.store.unit("owe") as unit:
        unit.owe(*owed, cause=nobody)


if __name__ == "__main__":
    kinds: Any = FLOWS
    kinds[KIND], TASKS[KIND], QUEUE[KIND] = flaky, "crm1c.flaky", "onec"
    if sys.argv[1] == "owe":
        owe(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
