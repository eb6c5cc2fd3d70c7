"""The steps lead to exactly the tables that the program uses."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, select, update

from forewarn_collector.state.database import open_sqlite
from forewarn_collector.state.migrations import NewerState, copy_database, migrate, revision
from forewarn_collector.state.tables import about, metadata

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def test_the_steps_make_the_tables_of_today(tmp_path: Path) -> None:
    """Nothing is left to generate: run the module's own command when this fails."""
    path = tmp_path / "state.sqlite"
    database = open_sqlite(path)
    assert migrate(database, path, NOW).changed
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    database.close()


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    """The second time there is neither a step nor a copy."""
    path = tmp_path / "state.sqlite"
    database = open_sqlite(path)
    migrate(database, path, NOW)
    again = migrate(database, path, NOW)
    database.close()
    assert not again.changed
    assert again.snapshot is None
    assert [file.name for file in tmp_path.glob("*.before-*")] == []


def test_an_older_state_is_copied_before_it_is_changed(tmp_path: Path) -> None:
    """The copy is whole, and only its owner may read it."""
    path = tmp_path / "state.sqlite"
    database = open_sqlite(path)
    migrate(database, path, NOW)
    copy = tmp_path / "copy.sqlite"
    with database.write() as connection:
        connection.execute(insert(about).values(name="kept", value="yes"))
    copy_database(path, copy)
    database.close()
    assert copy.stat().st_mode & 0o777 == 0o600
    opened = open_sqlite(copy)
    with opened.read() as connection:
        kept = connection.execute(select(about.c.value).where(about.c.name == "kept")).scalar()
    opened.close()
    assert kept == "yes"


def test_a_state_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    """An older program would not know what it must not break."""
    path = tmp_path / "state.sqlite"
    database = open_sqlite(path)
    migrate(database, path, NOW)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(NewerState, match="newer forewarn"):
        migrate(database, path, NOW)
    assert revision(database) == "9999"
    database.close()


def test_a_step_that_fails_leaves_the_state_as_it_was(tmp_path: Path) -> None:
    """All steps or none: here the second table is already there."""
    path = tmp_path / "state.sqlite"
    made = sqlite3.connect(path)
    made.execute("CREATE TABLE users(id INTEGER)")
    made.commit()
    made.close()
    database = open_sqlite(path)
    with pytest.raises(Exception, match="users"):
        migrate(database, path, NOW)
    assert revision(database) == ""
    with database.read() as connection:
        tables = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
        assert [name for (name,) in tables] == ["users"]
    database.close()


def test_a_writer_that_reads_first_waits_for_the_other(tmp_path: Path) -> None:
    """A transaction of ours never fails because another process commits in between."""
    path = tmp_path / "state.sqlite"
    ours, other = open_sqlite(path), open_sqlite(path)
    migrate(ours, path, NOW)
    with ours.write() as connection:
        connection.execute(insert(about).values(name="count", value="0"))
    other_connection = sqlite3.connect(path, timeout=0)
    with ours.write() as connection:
        connection.execute(select(about)).all()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other_connection.execute("UPDATE about SET value = '7'")
        connection.execute(update(about).values(value="1"))
    other_connection.close()
    ours.close()
    other.close()
