"""Many tickets that end in one pass are ended together, and each as if it were the only one."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, select
from tests.collector.engine.crowd import crowd, fail
from tests.collector.engine.line import Line

from forewarn_collector.state import history, reports
from forewarn_collector.state.tables import service_reports


@contextmanager
def counted(line: Line) -> Iterator[list[str]]:
    """Give the statements that are executed meanwhile."""
    seen: list[str] = []

    def note(_c: object, _k: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(line.database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(line.database.engine, "before_cursor_execute", note)


def ended(directory: Path, hosts: int) -> int:
    """Let so many tickets end in one pass; return how many statements the pass took."""
    with crowd(directory, hosts, sites=hosts) as line:
        fail(line, *range(101, 101 + hosts))
        line.pass_()
        line.wait(minutes=5)
        fail(line, *range(101, 101 + hosts), value=1.0)
        with counted(line) as statements:
            assert line.pass_().closed == hosts
        assert [one.state for one in line.tickets()] == ["closed"] * hosts
    return len(statements)


def test_forty_take_hardly_more_statements_than_four(tmp_path: Path) -> None:
    """What each costs by itself is asked for by the engine, one query an alert."""
    (tmp_path / "few").mkdir()
    (tmp_path / "many").mkdir()
    few, many = ended(tmp_path / "few", 4), ended(tmp_path / "many", 40)
    assert many - few <= 2 * (40 - 4)


def test_each_has_its_report_in_the_chain_and_is_told_with_its_hash(tmp_path: Path) -> None:
    """The reports follow each other, and each message names the one of its ticket."""
    with crowd(tmp_path, 6, sites=6) as line:
        fail(line, *range(101, 107))
        line.pass_()
        line.wait(minutes=5)
        fail(line, *range(101, 107), value=1.0)
        line.pass_()
        with line.database.read() as connection:
            assert list(reports.faults(connection)) == []
            rows = connection.execute(select(service_reports)).mappings().all()
        told = [ticket for kind, ticket in line.told() if kind == "ticket.closed"]
        by_number = {json.loads(row["document"])["ticket"]["number"]: row for row in rows}
        assert len(told) == len(by_number) == 6
        for ticket in told:
            assert ticket["report"]["sha256"] == by_number[ticket["number"]]["sha256"]


def test_two_episodes_of_one_ticket_that_end_together_are_both_told_and_close_it_once(
    line: Line,
) -> None:
    """The history has a line for each; destinations hear of one close."""
    for _ in range(3):
        line.wait(minutes=5)
        line.read(0.95)
        line.sample("self_test_passed", 0.0, mountpoint="/srv")
        line.pass_()
    [ticket] = line.tickets()
    assert len(ticket.episodes) == 2
    line.wait(minutes=5)
    line.read(0.5)
    line.pass_()
    line.wait(minutes=10)
    line.read(0.5)
    line.sample("self_test_passed", 1.0, mountpoint="/srv")
    line.pass_()
    [ticket] = line.tickets()
    assert ticket.state == "closed"
    assert all(one.closed_at is not None for one in ticket.episodes)
    kinds = [one.kind for one in ticket.events]
    assert kinds.count("episode_closed") == 2
    assert kinds.count("closed") == 1
    assert line.kinds().count("ticket.closed") == 1


def test_what_ends_and_begins_again_in_one_pass_stays_in_order(line: Line) -> None:
    """Passed and failed again between two passes: the same ticket, open at the end."""
    line.sample("self_test_passed", 0.0, mountpoint="/srv")
    line.pass_()
    for seconds, value in ((60, 1.0), (60, 0.0)):
        line.wait(seconds=seconds)
        line.sample("self_test_passed", value, mountpoint="/srv")
    line.pass_()
    [ticket] = line.tickets()
    assert ticket.state == "new"
    assert [one.closed_at is None for one in ticket.episodes].count(True) == 1


@pytest.mark.parametrize("hosts", [reports.MOST_EPISODES + 30])
def test_the_report_of_a_ticket_of_many_hosts_is_bounded_and_says_so(
    tmp_path: Path, hosts: int
) -> None:
    """It names 200 episodes with their hosts, and how many there were."""
    with crowd(tmp_path, hosts) as line:
        fail(line, *range(101, 101 + hosts))
        line.pass_()
        line.wait(minutes=5)
        fail(line, *range(101, 101 + hosts), value=1.0)
        line.pass_()
        [ticket] = line.tickets()
        with line.database.read() as connection:
            found = reports.newest(connection, ticket.id)
        assert found is not None
        says = json.loads(found.document)
        assert len(says["raised_by"]) == reports.MOST_EPISODES
        assert says["raised_by_count"] == hosts
        assert len({one["host"] for one in says["raised_by"]}) == reports.MOST_EPISODES
        assert says["raised_by"][0]["after"]["value"] == 1.0


def test_of_a_long_history_people_and_moves_are_told_first(tmp_path: Path) -> None:
    """A host that joins and leaves all day buries neither who worked on it nor its states."""
    with crowd(tmp_path, 6) as line:
        numbers = range(101, 107)
        fail(line, *numbers)
        line.pass_()
        with line.database.write() as connection:
            [ticket] = line.tickets()
            row = {"id": ticket.id, "client_id": ticket.client_id}
            joined = history.event("hosts_joined", {"count": 1})
            many = [(row, joined)] * (reports.MOST_ACTIONS + 20)
            history.record_all(connection, many, actor=history.ACTOR, now=line.at)
        line.wait(minutes=5)
        fail(line, *numbers, value=1.0)
        line.pass_()
        with line.database.read() as connection:
            found = reports.newest(connection, ticket.id)
        assert found is not None
        says = json.loads(found.document)
        assert len(says["actions"]) == reports.MOST_ACTIONS
        assert says["actions_count"] > reports.MOST_ACTIONS
        kinds = [one["what"] for one in says["actions"]]
        assert kinds[0] == "opened"
        assert kinds[-1] == "closed"
        assert [one["at"] for one in says["actions"]] == sorted(
            one["at"] for one in says["actions"]
        )
