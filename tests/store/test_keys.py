"""Tokens, webhook secrets, watermarks, models and slots."""

from __future__ import annotations

import hashlib

import pytest

from integration.services import Store
from integration.store import keys
from integration.store.schema import tokens
from integration.store.store import SqlStore
from tests.store.world import START, World, together


def create(world: World, scope: str = "read", days: int | None = 30) -> tuple[str, str]:
    with world.store.unit("test") as unit:
        return keys.create_token(unit.conn, scope, "для проверки", days, unit.now)


def checked(world: World, plaintext: str) -> keys.Token | None:
    with world.store.reading() as conn:
        return keys.check_token(conn, plaintext, world.clock())


def test_the_sql_store_is_what_flows_expect(world: World) -> None:
    """mypy compares every method."""
    store: Store = world.store
    assert isinstance(store, SqlStore)


def test_a_token_is_known_by_its_plaintext_and_kept_as_a_hash_alone(world: World) -> None:
    """Nobody who reads the database can use it."""
    token_id, plaintext = create(world, "kpi:ivanova")
    token = checked(world, plaintext)
    assert token
    assert (token.id, token.scope, token.note, token.created_at) == (token_id, "kpi:ivanova", "для проверки", START)
    assert plaintext.startswith("crm1c_")
    assert len(plaintext) >= 6 + 43
    [row] = world.rows(tokens)
    assert row.hash == hashlib.sha256(plaintext.encode()).hexdigest()
    assert plaintext not in repr(row)
    assert plaintext != create(world)[1]


@pytest.mark.parametrize("plaintext", ["", "crm1c_", "crm1c_unknown", "\0", "\ud800", "x" * 100_000])
def test_what_is_no_token_is_none(world: World, plaintext: str) -> None:
    """Whatever is sent."""
    create(world)
    assert checked(world, plaintext) is None


def test_a_token_ends_when_its_days_are_over_or_it_is_revoked(world: World) -> None:
    """One without days never ends by itself."""
    _, short = create(world, days=1)
    long_id, long = create(world, days=None)
    world.clock.forward(86400 - 1)
    assert checked(world, short)
    world.clock.forward(1)
    assert checked(world, short) is None
    world.clock.forward(1e9)
    assert checked(world, long)
    with world.store.unit("test") as unit:
        assert keys.revoke_token(unit.conn, long_id, unit.now)
        assert not keys.revoke_token(unit.conn, long_id, unit.now)
        assert not keys.revoke_token(unit.conn, "0" * 32, unit.now)
    assert checked(world, long) is None
    with world.store.reading() as conn:
        listed = keys.list_tokens(conn)
    assert [(token.id == long_id, token.valid(world.clock())) for token in listed] == [(True, False), (False, False)]


@pytest.mark.parametrize("scope", ["", "write", "kpi", "kpi:", "read,operate", "kpi:" + "x" * 65])
def test_an_unknown_scope_is_refused(world: World, scope: str) -> None:
    """And nothing is made."""
    with pytest.raises(ValueError, match="допустимы read, operate"):
        create(world, scope)
    with pytest.raises(ValueError, match="не меньше одного"):
        create(world, days=0)
    assert not world.rows(tokens)


def test_webhooks_are_kept_per_crm_and_renewed(world: World) -> None:
    """Setup may run again and again."""
    with world.store.unit("test") as unit:
        made = [("w1", "Opportunity.update", "s1"), ("w2", "Account.update", "s2")]
        keys.keep_webhooks(unit.conn, "espo", made, unit.now)
        keys.keep_webhooks(unit.conn, "espo", [("w1", "Opportunity.create", "s3")], unit.now)
        keys.keep_webhooks(unit.conn, "suite", [("w1", "x", "y")], unit.now)
    assert world.store.webhook_secrets("espo") == {"w1": "s3", "w2": "s2"}
    assert world.store.webhook_events("espo") == {"w1": "Opportunity.create", "w2": "Account.update"}
    assert world.store.webhook_events("other") == {}


def test_a_watermark_is_what_was_set_last(world: World) -> None:
    """None before the first time."""
    assert world.store.watermark("payments:main") is None
    world.store.set_watermark("payments:main", "1")
    world.store.set_watermark("payments:main", "2")
    assert (world.store.watermark("payments:main"), world.store.watermark("acts:main")) == ("2", None)


def test_a_model_is_good_for_its_age(world: World) -> None:
    """Then it is to be read again."""
    world.store.keep_model("main", {"Документ": ["Номер"]})
    world.clock.forward(60)
    assert world.store.model("main", 60) == {"Документ": ["Номер"]}
    assert world.store.model("main", 59) is None
    assert world.store.model("other", 60) is None
    world.store.keep_model("main", {})
    assert world.store.model("main", 0) == {}


def test_a_slot_is_taken_once_however_many_beats_there_are(world: World) -> None:
    """Twenty at once: one runs. Another job or slot is another matter. One that never ended is taken again by who knows
    that its runner died, but not for ever; one that ended is not."""

    def take(job: str, slot: str, tries: int = 1) -> bool:
        with world.store.unit("test") as unit:
            return keys.take_slot(unit.conn, job, slot, unit.now, tries)

    assert sum(together(20, lambda _: take("poll", "12:00"))) == 1
    assert take("poll", "12:30")
    assert take("sweep", "12:00")
    world.clock.forward(3600)
    assert not take("poll", "12:00")
    assert [take("poll", "12:00", tries=3) for _ in range(3)] == [True, True, False]
    with world.store.unit("test") as unit:
        keys.finish_slot(unit.conn, "sweep", "12:00", "готово", unit.now)
    assert not take("sweep", "12:00", tries=3)
