"""What is kept in SQLite can be kept in PostgreSQL: the same tables, the same statements.

The stories here run wherever a PostgreSQL is found; the lab lets the tests of engine and API run
on it as they are.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select
from tests.collector.engine.crowd import check_whole, crowd, fail, standing
from tests.collector.engine.line import Line, new_line
from tests.collector.engine.test_tickets import act
from tests.collector.state.open_state import SERVER, open_state
from tests.collector.state.server import postgresql

from forewarn_collector.attending import attend_all
from forewarn_collector.state import outbox, reports
from forewarn_collector.state.migrations import alembic_config, revision, steps
from forewarn_collector.state.tables import metadata

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as address:
        yield address


@pytest.fixture(autouse=True)
def on_it(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVER, server)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with new_line(tmp_path) as made:
        assert made.database.engine.dialect.name == "postgresql"
        yield made


def test_the_steps_make_the_tables_of_today(tmp_path: Path) -> None:
    """Every step from the first to the newest, as on SQLite."""
    database = open_state(tmp_path)
    config = alembic_config()
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    assert revision(database) == steps()[-1]
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    database.close()


def test_a_ticket_opens_is_worked_on_reopens_and_closes_with_its_report(line: Line) -> None:
    """Each change is told, in order; the reports follow each other."""
    line.hold(0.95, 15)
    act(line, "acknowledge")
    act(line, "spend", minutes=20)
    act(line, "resolve", text="freed some room")
    line.wait(minutes=31)
    attend_all(line.database, line.at, line.telling)
    assert line.tickets()[0].state == "assigned"
    line.hold(0.5, 15)
    line.wait(hours=25)
    attend_all(line.database, line.at, line.telling)
    [ticket] = line.tickets()
    assert ticket.state == "closed"
    assert line.kinds()[0] == "ticket.opened"
    assert line.kinds()[-1] == "ticket.closed"
    with line.database.read() as connection:
        assert list(reports.faults(connection)) == []
        found = reports.newest(connection, ticket.id)
    assert found is not None
    assert '"labour_minutes":20' in found.document


def test_a_storm_is_a_site_ticket_and_an_overflow_ticket_and_ends(tmp_path: Path) -> None:
    """Grouping, absorbing, the budget and ends in bulk ask the same questions there."""
    with crowd(tmp_path, 30, sites=3, per_hour=4) as line:
        assert line.database.engine.dialect.name == "postgresql"
        fail(line, 101, 104)
        line.pass_()
        line.wait(seconds=20)
        fail(line, *range(102, 131))
        line.pass_()
        check_whole(line)
        kinds = [kind for kind, _, _ in standing(line)]
        assert kinds.count("site") == 3
        line.wait(minutes=5)
        fail(line, *range(101, 131), value=1.0)
        line.pass_()
        assert {state for _, state, _ in standing(line)} == {"closed"}
        with line.database.read() as connection:
            assert list(reports.faults(connection)) == []


def test_messages_are_leased_settled_and_kept_in_order(line: Line) -> None:
    """The close waits until the open is settled, whatever becomes of its lease."""
    line.sample("self_test_passed", 0.0, mountpoint="/srv")
    line.pass_()
    line.wait(minutes=5)
    line.sample("self_test_passed", 1.0, mountpoint="/srv")
    line.pass_()
    now, until = line.at, line.at + timedelta(minutes=10)
    with line.database.write() as connection:
        [first] = outbox.lease(connection, "receiver", now=now, until=until, limit=20)
        assert outbox.lease(connection, "receiver", now=now, until=until, limit=20) == []
        outbox.settle(connection, first, state="delivered", answer="", now=now, reference="7")
        [second] = outbox.lease(connection, "receiver", now=now, until=until, limit=20)
    assert (first.kind, second.kind) == ("ticket.opened", "ticket.closed")
    assert second.reference == "7"


def test_a_restart_finds_everything(line: Line) -> None:
    line.hold(0.95, 15)
    line.restart()
    line.hold(0.5, 15)
    assert [one.state for one in line.tickets()] == ["closed"]
    with line.database.read() as connection:
        assert connection.execute(select(metadata.tables["cursors"].c.value)).scalar_one() > 0


@pytest.mark.lab
def test_the_tests_of_engine_and_api_hold_on_it(server: str) -> None:
    """All of them but those that are about files of SQLite."""
    about_files = "test_a_state_that_cannot_be_written_is_not_ready or test_killed_at_a_write"
    wanted = ["tests/collector/engine", "tests/collector/api", "-k", f"not ({about_files})"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *wanted],
        cwd=ROOT,
        env={**os.environ, SERVER: server},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
