"""Messages are wake-up calls: they carry ids of rows, and nothing of anybody's business."""

from __future__ import annotations

import json
from typing import Any

from kombu import Connection

from tests.delivery.conftest import Planted
from tests.servers.wait import until

OURS = {"lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit", "root_id",
        "parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting", "stamped_headers",
        "stamps"}  # fmt: skip


DELAYED = [f"celery_delayed_{level}" for level in range(28)]


def seen(url: str, *queues: str) -> list[tuple[Any, dict[str, Any]]]:
    """Every message of these queues, left where it is: (body, headers and properties)."""
    found = []
    with Connection(url) as connection:
        channel: Any = connection.channel()
        for queue in queues:
            while (message := channel.basic_get(queue)) is not None:  # not acknowledged: it goes back at the end
                found.append((message.body, {**message.headers, "properties": dict(message.properties)}))
    return found


def test_bodies_and_headers_hold_ids_of_rows_alone(planted: Planted) -> None:
    """Neither a name, an ИНН, a sum nor the deal's own id goes through the broker: not on the way in, not on the way
    to 1C or to the CRM, and not in what waits for a later time."""
    plant = planted(retry={"onec": {"first": 120, "cap": 120}}, delivery={"circuit_failures": 100})
    plant.web()
    deals = plant.deals(3, name="Поставка Тайного", amount=98765)
    known = [*deals, "Поставка", "Испытание", "Proposal", "espo", "7700000", "98765"]
    for n, deal in enumerate(deals, 1):  # one by one, or one message would call them all
        plant.send([deal])
        until(lambda n=n: plant.messages("crm1c.inbox") == n, 60, what=f"{n} messages")  # type: ignore[misc]
    plant.fault("onec", kind="status", status=503)
    road = [("crm1c.inbox", "inbox"), ("crm1c.onec", "outbox"), (DELAYED, "outbox"), ("crm1c.crm", "outbox")]
    for place, box in road:
        queues = [place] if isinstance(place, str) else place
        until(lambda queues=queues: plant.messages(*queues) >= 3, 60, what=f"messages in {place}")  # type: ignore[misc]
        rows = {row for (row,) in plant.rows(f"SELECT id FROM {box}")}
        for body, headers in seen(plant.broker, *queues):
            args, kwargs, embed = json.loads(body)
            assert kwargs == {}
            assert args
            assert set(args) <= rows
            assert not any(embed.values())
            assert headers.keys() <= OURS | {"properties", "x-death", "x-delivery-count"}
            text = json.dumps(headers, ensure_ascii=False, default=str) + str(body)
            assert [word for word in known if word in text] == []
        if place == DELAYED:
            plant.mend("onec")
            plant.crm1c("events", "replay", "--state", "due")  # rather than to wait two minutes
        if queues[0] in ("crm1c.inbox", "crm1c.onec"):
            plant.worker("--queues", queues[0].partition(".")[2], "--concurrency", "1")
