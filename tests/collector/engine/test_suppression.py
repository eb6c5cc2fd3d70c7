"""What is held, what is not, and what is told once a hold is over."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from tests.collector.engine.line import Line

from forewarn_collector.rules.change import RuleChange
from forewarn_collector.state import suppression
from forewarn_collector.state.suppression import NewSilence, NewWindow
from forewarn_collector.state.tables import held_alerts, maintenance_windows
from forewarn_collector.state.tickets import TicketState


def maintain(
    line: Line, *, minutes: float, select: str = "", starts: datetime | None = None
) -> str:
    """Begin a window now, or at `starts`; it settles in ten minutes."""
    begin = starts or line.at
    new = NewWindow(
        clients=None,
        selector=select,
        group="",
        reason="new memory",
        starts=begin,
        ends=begin + timedelta(minutes=minutes),
        settle=timedelta(minutes=10),
    )
    with line.database.write() as connection:
        return suppression.add_window(connection, new, "ann", line.at)


def silence(line: Line, *, minutes: float, rule: str = "", component: str = "") -> str:
    new = NewSilence(
        clients=None,
        selector="host:web1",
        group="",
        rule=rule,
        component=component,
        reason="known",
        expires=line.at + timedelta(minutes=minutes),
    )
    with line.database.write() as connection:
        return suppression.add_silence(connection, new, "ann", line.at)


def go_by(line: Line, minutes: float) -> None:
    """Judge every half minute while web1 says nothing and web2 is well."""
    for _ in range(round(minutes * 2)):
        line.wait(seconds=30)
        line.read(0.5, host=2)
        line.pass_()


def held(line: Line) -> list[tuple[str, str, str | None]]:
    """Return rule, cause and outcome of everything held, in order."""
    with line.database.read() as connection:
        rows = connection.execute(select(held_alerts).order_by(held_alerts.c.id))
        return [(row.rule, row.cause, row.outcome) for row in rows]


def test_what_begins_and_ends_in_a_window_is_told_to_nobody_and_remembered(line: Line) -> None:
    maintain(line, minutes=120)
    line.hold(0.93, 30)
    line.hold(0.50, 30)
    assert line.tickets() == []
    assert held(line) == [("RoomFull", "maintenance", "cleared")]


def test_what_still_fires_when_the_window_has_settled_opens_then_and_says_since_when(
    line: Line,
) -> None:
    maintain(line, minutes=30)
    line.hold(0.93, 35)
    assert line.tickets() == []
    line.hold(0.93, 5)
    (ticket,) = line.tickets()
    told = line.told()[0][1]["evidence"][0]["held"]
    assert (told["by"], told["reason"]) == ("maintenance", "new memory")
    assert told["since"] == "2026-03-01T12:15:00.000Z"
    assert ticket.opened_at == line.at
    assert held(line) == [("RoomFull", "maintenance", "told")]
    line.hold(0.50, 20)
    assert line.kinds() == ["ticket.opened", "ticket.closed"]


def test_an_episode_that_was_open_before_closes_through_the_window(line: Line) -> None:
    line.hold(0.93, 20)
    maintain(line, minutes=600)
    line.hold(0.50, 20)
    assert line.kinds() == ["ticket.opened", "ticket.closed"]
    assert held(line) == []


def test_rising_is_held_and_told_afterwards(line: Line) -> None:
    line.hold(0.93, 20)
    maintain(line, minutes=20)
    line.hold(0.99, 20)
    assert line.tickets()[0].severity == "high"
    line.hold(0.99, 20)
    assert line.tickets()[0].severity == "critical"
    assert line.kinds() == ["ticket.opened", "ticket.updated"]


def test_falling_again_while_rising_is_held_leaves_nothing_to_tell(line: Line) -> None:
    line.hold(0.93, 20)
    maintain(line, minutes=60)
    line.hold(0.99, 10)
    line.hold(0.93, 20)
    line.hold(0.93, 60)
    assert line.kinds() == ["ticket.opened"]
    assert held(line) == [("RoomFull", "maintenance", "cleared")]


def test_a_window_is_about_the_hosts_it_names(line: Line) -> None:
    maintain(line, minutes=600, select="host:web2")
    line.hold(0.93, 20)
    assert len(line.tickets()) == 1


def test_a_silence_is_about_its_rule_and_component(line: Line) -> None:
    silence(line, minutes=600, rule="TestFailed")
    silence(line, minutes=600, rule="RoomFull", component="room:/elsewhere")
    line.hold(0.93, 20)
    line.sample("self_test_passed", 0.0, mountpoint="/srv")
    line.pass_()
    (ticket,) = line.tickets()
    assert [episode.rule for episode in ticket.episodes] == ["RoomFull"]
    assert held(line) == [("TestFailed", "silence", None)]


def test_what_is_silenced_is_told_when_the_silence_is_ended(line: Line) -> None:
    silence_id = silence(line, minutes=600)
    line.hold(0.93, 20)
    assert line.tickets() == []
    with line.database.write() as connection:
        suppression.end_silence(connection, silence_id, "bob", line.at, None)
    line.pass_()
    assert len(line.tickets()) == 1


def test_a_window_ended_early_settles_from_then_on(line: Line) -> None:
    window = maintain(line, minutes=600)
    line.hold(0.93, 20)
    with line.database.write() as connection:
        suppression.end_window(connection, window, "bob", line.at, None)
    line.hold(0.93, 5)
    assert line.tickets() == []
    line.hold(0.93, 5)
    assert len(line.tickets()) == 1


def test_a_host_that_goes_silent_in_a_window_is_a_ticket_once_it_has_settled(line: Line) -> None:
    line.read(0.5)
    line.read(0.5, host=2)
    line.pass_()
    maintain(line, minutes=30, select="host:web1")
    go_by(line, 39.5)
    assert line.tickets() == []
    go_by(line, 0.5)
    (ticket,) = line.tickets()
    assert ticket.title == "web1 is silent"
    assert line.at == ticket.opened_at


def test_while_a_host_is_silent_its_other_rules_are_held(line: Line) -> None:
    """What an agent sends late, from before it fell silent, is not news."""
    line.hold(0.93, 10)
    go_by(line, 20)
    assert [ticket.title for ticket in line.tickets()] == ["web1 is silent"]
    heard = dict(line.store.heard)
    line.sample("self_test_passed", 0.0, mountpoint="/srv")
    line.store.heard = heard  # it was sent before, and arrives only now
    line.pass_()
    assert held(line) == [("TestFailed", "dependency", None)]
    line.read(0.5)
    line.pass_()
    line.pass_()
    assert [ticket.title for ticket in line.tickets()] == [
        "web1 is silent",
        "/srv on web1 failed its test",
    ]
    assert line.tickets()[0].state is TicketState.CLOSED


def test_restarting_the_collector_changes_nothing_of_what_is_held(line: Line) -> None:
    maintain(line, minutes=30)
    for _ in range(7):
        line.hold(0.93, 5)
        line.restart()
    assert line.tickets() == []
    line.hold(0.93, 5)
    line.restart()
    line.hold(0.93, 5)
    assert line.kinds() == ["ticket.opened"]
    assert held(line) == [("RoomFull", "maintenance", "told")]


def test_a_rule_that_is_switched_off_ends_what_is_held_of_it(line: Line) -> None:
    maintain(line, minutes=600)
    line.hold(0.93, 20)
    line.change({"RoomFull": RuleChange(enabled=False)})
    line.wait(minutes=2)
    line.pass_()
    assert line.tickets() == []
    assert held(line) == [("RoomFull", "maintenance", "cleared")]


def test_a_window_whose_time_zone_is_gone_is_taken_for_utc_and_stops_nobody(line: Line) -> None:
    maintain(line, minutes=600)
    gone = {"repeats": "daily", "local_time": "12:00", "lasts_seconds": 7200, "zone": "Gone/By"}
    with line.database.write() as connection:
        connection.execute(maintenance_windows.update().values(**gone, ends_at=None))
        suppression.touch(connection)
    line.hold(0.93, 20)
    assert held(line) == [("RoomFull", "maintenance", None)]
