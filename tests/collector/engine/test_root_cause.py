"""What is mended again and again: the third time somebody is asked why."""

from pathlib import Path

import pytest
from tests.collector.engine.crowd import crowd, fail
from tests.collector.engine.line import Line

from forewarn_collector.state import work
from forewarn_collector.state.tickets import Ticket


def break_and_mend(line: Line, *, days: float = 2, host: int = 1, where: str = "/srv") -> None:
    """Let a self-test fail and pass, and time go by."""
    line.sample("self_test_passed", 0.0, host=host, mountpoint=where)
    line.pass_()
    line.wait(minutes=5)
    line.sample("self_test_passed", 1.0, host=host, mountpoint=where)
    line.pass_()
    line.wait(days=days)


def causes(line: Line) -> list[Ticket]:
    return [ticket for ticket in line.tickets() if ticket.kind == "root_cause"]


def test_the_third_time_in_60_days_opens_a_ticket_linked_to_the_three(line: Line) -> None:
    for _ in range(2):
        break_and_mend(line)
    assert causes(line) == []
    break_and_mend(line)
    (cause,) = causes(line)
    assert cause.title == "Find the root cause: TestFailed on web1 3 times in 60 days"
    assert (cause.condition, cause.host, cause.component) == ("reported", "web1", "room:/srv")
    assert [(one.number, one.kind) for one in cause.links] == [
        (number, "root_cause") for number in (1, 2, 3)
    ]
    assert [one.kind for one in line.tickets()[0].links] == ["caused_by"]
    (told,) = [ticket for kind, ticket in line.told() if ticket["number"] == cause.number]
    assert told["rules"] == []
    assert "#1 /srv on web1 failed its test" in told["description"]


def test_it_stays_open_whatever_the_condition_does_and_is_not_opened_twice(line: Line) -> None:
    for _ in range(6):
        break_and_mend(line)
    (cause,) = causes(line)
    assert cause.state == "new"


def test_once_it_was_opened_counting_begins_anew(line: Line) -> None:
    for _ in range(3):
        break_and_mend(line)
    (cause,) = causes(line)
    with line.database.write() as connection:
        options = {"actor": "mia", "now": line.at, "clients": None, "telling": line.telling}
        work.resolve(connection, cause.number, text="swapped the backplane", **options)  # type: ignore[arg-type]
    for _ in range(2):
        break_and_mend(line)
    assert len(causes(line)) == 1
    break_and_mend(line)
    assert [one.key.rpartition("#")[2] for one in causes(line)] == ["1", "2"]


def test_what_is_further_apart_than_60_days_does_not_count(line: Line) -> None:
    for _ in range(6):
        break_and_mend(line, days=31)
    assert causes(line) == []


def test_the_same_ticket_reopened_is_one_fix(line: Line) -> None:
    for _ in range(6):
        break_and_mend(line, days=0.5)
    assert causes(line) == []


def test_other_components_are_other_fixes(line: Line) -> None:
    for where in ("/a", "/b", "/c", "/d"):
        break_and_mend(line, where=where)
    assert causes(line) == []


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (("Emptied the  recycler", "emptied the recycler", "Emptied the recycler"), 1),
        (("done", "done", "done"), 0),
        (("moved the logs", "deleted old logs", "bought a drive"), 0),
    ],
)
def test_the_same_words_about_one_rule_are_the_same_fix(
    line: Line, words: tuple[str, ...], asked: int
) -> None:
    for turn, text in enumerate(words):
        line.sample("self_test_passed", 0.0, mountpoint=f"/{turn}")
        line.pass_()
        number = max(ticket.number for ticket in line.tickets() if ticket.kind is None)
        with line.database.write() as connection:
            options = {"actor": "mia", "now": line.at, "clients": None, "telling": line.telling}
            work.resolve(connection, number, text=text, **options)  # type: ignore[arg-type]
        line.wait(minutes=5)
        line.sample("self_test_passed", 1.0, mountpoint=f"/{turn}")
        line.pass_()
        line.wait(days=2)
    assert len(causes(line)) == asked
    if asked:
        assert '"Emptied the recycler"' in causes(line)[0].description


def test_a_false_alarm_is_no_fix(line: Line) -> None:
    for _ in range(3):
        line.sample("self_test_passed", 0.0, mountpoint="/srv")
        line.pass_()
        with line.database.write() as connection:
            options = {"actor": "mia", "now": line.at, "clients": None, "telling": line.telling}
            number = max(ticket.number for ticket in line.tickets())
            work.cancel(connection, number, text="was testing it", **options)  # type: ignore[arg-type]
        line.wait(minutes=5)
        line.sample("self_test_passed", 1.0, mountpoint="/srv")
        line.pass_()
        line.wait(days=2)
    assert causes(line) == []


def test_a_site_that_fails_for_the_third_time_has_a_root_cause_too(tmp_path: Path) -> None:
    with crowd(tmp_path, 5) as line:
        for _ in range(3):
            for value in (0.0, 1.0):
                fail(line, *range(101, 106), value=value)
                line.pass_()
                line.wait(minutes=5)
            line.wait(days=2)
        (cause,) = causes(line)
        assert cause.title == "Find the root cause: TestFailed on site0 3 times in 60 days"
        assert cause.host_id is None


def test_by_hand_it_is_worked_on_and_closed_as_any(line: Line) -> None:
    for _ in range(3):
        break_and_mend(line)
    (cause,) = causes(line)
    with line.database.write() as connection:
        options = {"actor": "mia", "now": line.at, "clients": None, "telling": line.telling}
        work.acknowledge(connection, cause.number, **options)  # type: ignore[arg-type]
        work.resolve(connection, cause.number, text="new backplane", **options)  # type: ignore[arg-type]
    assert causes(line)[0].state == "closed"
