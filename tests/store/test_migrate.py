"""Migrations bring a database to exactly the schema of the code."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from integration.errors import Misconfigured, Transient
from integration.store import migrate
from integration.store.engine import connect
from integration.store.schema import metadata
from integration.work import Owed
from tests.store.world import World, together


def test_an_upgraded_database_is_what_the_schema_says(url: str) -> None:
    """Alembic finds no difference, and knows where it stands."""
    assert migrate.current(url) == ""
    assert migrate.upgrade(url) == ""
    assert migrate.current(url) == migrate.head() == migrate.upgrade(url)
    migrate.check(url)
    engine = connect(url)
    with engine.connect() as connection:
        defaults = connection.dialect.name == "postgresql"  # SQLite tells '' in other words
        context = MigrationContext.configure(connection, opts={"compare_server_default": defaults})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_processes_that_upgrade_at_once_wait_for_each_other(url: str) -> None:
    """Every service may do it at its start."""
    assert sorted(together(5, lambda _: migrate.upgrade(url))) == [""] + [migrate.head()] * 4


def test_a_database_newer_than_the_code_is_refused_and_left_alone(url: str) -> None:
    """An old service after a rollback says what to do."""
    migrate.upgrade(url)
    engine = connect(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for run in (migrate.upgrade, migrate.check):
        with pytest.raises(Misconfigured, match=r"новее.*9999.*Обновите"):
            run(url)
    assert migrate.current(url) == "9999"
    engine.dispose()


def test_a_database_that_was_not_upgraded_is_told(url: str) -> None:
    """With the command that mends it."""
    with pytest.raises(Misconfigured, match="crm1c db upgrade"):
        migrate.check(url)


def test_a_duty_by_its_old_name_goes_on_under_the_present_one(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was owed before an upgrade is owed after it; no other row is touched."""
    upgrade = command.upgrade
    with monkeypatch.context() as long_ago:
        long_ago.setattr(command, "upgrade", lambda config, _: upgrade(config, "0007"))
        migrate.upgrade(url)
    world = World(url)
    for kind in ("payments", "invoice"):
        world.duty(Owed(kind, "onec:main", f"key of {kind}", merge=kind))
    assert migrate.upgrade(url) == "0007"
    with world.engines[0].connect() as connection:
        rows = connection.execute(text("SELECT kind, key, merge_key, state FROM outbox ORDER BY kind")).all()
    assert [tuple(row) for row in rows] == [
        ("invoice", "key of invoice", "invoice", "due"),
        ("settle", "key of payments", "payments", "due"),
    ]
    world.close()


def test_a_failed_migration_leaves_nothing_behind(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is one transaction, on SQLite too."""

    def fail(*_: object, **__: object) -> None:
        raise LookupError

    with monkeypatch.context() as broken:
        broken.setattr("alembic.op.create_index", fail)
        with pytest.raises(LookupError):
            migrate.upgrade(url)
    assert migrate.current(url) == ""
    migrate.upgrade(url)
    migrate.check(url)


def test_a_database_out_of_reach_passes_by_itself(tmp_path: Path) -> None:
    """It is no fault of the configuration as far as anybody can tell."""
    with pytest.raises(Transient, match="недоступна"):
        migrate.upgrade(f"sqlite:///{tmp_path}/no/such/folder/crm1c.db")


def test_migrations_run_from_an_installed_package_in_an_empty_folder(tmp_path: Path) -> None:
    """Nothing but the package is needed: no alembic.ini, no checkout."""
    pytest.importorskip("setuptools")
    root, source = Path(__file__).parents[2], tmp_path / "source"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "LICENSE"):
        shutil.copy(root / name, source)
    for name in ("mappers", "integration"):
        shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    build = f"from setuptools import setup; setup(script_args=['-q', 'build_py', '-d', {str(installed)!r}])"
    subprocess.run([sys.executable, "-c", build], check=True, cwd=source, capture_output=True)
    script = f"""
import sys
sys.path.insert(0, {str(installed)!r})
from integration.store import migrate
assert migrate.__file__.startswith({str(installed)!r}), migrate.__file__
migrate.upgrade("sqlite:///crm1c.db")
migrate.check("sqlite:///crm1c.db")
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=empty)
    assert (empty / "crm1c.db").exists()
