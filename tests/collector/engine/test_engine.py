"""From readings to tickets and messages."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select
from tests.collector.engine.line import GIB, Line

from forewarn_collector.engine import Passed
from forewarn_collector.rules.change import RuleChange
from forewarn_collector.state.tables import alerts, outbox
from forewarn_collector.state.tickets import TicketState


def test_a_condition_that_lasts_opens_one_ticket_and_closes_it_with_the_same_key(
    line: Line,
) -> None:
    line.hold(0.93, 20)
    assert line.kinds() == ["ticket.opened"]
    line.hold(0.50, 20)
    assert line.kinds() == ["ticket.opened", "ticket.closed"]
    (_, opened), (_, closed) = line.told()
    assert opened["key"] == closed["key"]
    assert opened["key"].endswith("#1")
    assert opened["title"] == "/srv on web1 is 93 % full"
    assert (opened["state"], closed["state"]) == ("new", "closed")
    assert opened["rules"] == closed["rules"] == ["RoomFull"]
    assert opened["url"] == "https://monitor/tickets/1"


def test_evidence_says_what_was_read_from_when_and_what_to_do(line: Line) -> None:
    line.hold(0.93, 20)
    evidence = line.told()[0][1]["evidence"][0]
    assert evidence["shown"] == "93 %"
    assert evidence["since"] == "2026-03-01T12:05:00.000Z"
    assert [reading["shown"] for reading in evidence["readings"]] == ["93 %"] * 3
    assert evidence["with"]["shown"] == "1.0 GiB"
    assert evidence["advice"] == "Free space on /srv of web1."
    assert "high from 90 % up with room_free_bytes from 20.0 GiB down" in evidence["raises"]


def test_plenty_of_free_space_on_a_large_volume_is_no_trouble(line: Line) -> None:
    line.hold(0.93, 60, free=500 * GIB)
    assert line.tickets() == []


def test_two_rules_of_one_component_share_a_ticket_that_closes_with_the_last(line: Line) -> None:
    line.hold(0.93, 20)
    line.sample("self_test_passed", 0.0, mountpoint="/srv")
    line.pass_()
    (ticket,) = line.tickets()
    assert (ticket.severity, ticket.priority) == ("critical", "P2")
    assert [episode.rule for episode in ticket.episodes] == ["RoomFull", "TestFailed"]
    line.hold(0.50, 20)
    assert line.tickets()[0].state is TicketState.NEW
    line.sample("self_test_passed", 1.0, mountpoint="/srv")
    line.pass_()
    assert line.tickets()[0].state is TicketState.CLOSED
    assert line.kinds()[-1] == "ticket.closed"


def test_back_within_a_day_opens_the_same_ticket_again(line: Line) -> None:
    line.hold(0.93, 20)
    line.hold(0.50, 20)
    line.hold(0.93, 20)
    (ticket,) = line.tickets()
    assert ticket.state is TicketState.NEW
    assert [event.kind for event in ticket.events][-1] == "reopened"
    assert line.kinds() == ["ticket.opened", "ticket.closed", "ticket.opened"]


def test_back_after_a_day_is_a_new_ticket_about_the_same_thing(line: Line) -> None:
    line.hold(0.93, 20)
    line.hold(0.50, 20)
    line.wait(hours=25)
    line.hold(0.93, 20)
    first, second = line.tickets()
    assert (first.key[:-2], second.key[-2:]) == (second.key[:-2], "#2")
    assert (first.number, second.number) == (1, 2)


def test_a_severity_rises_at_once_and_falls_through_its_own_clear_at(line: Line) -> None:
    line.hold(0.93, 20)
    line.hold(0.99, 5)
    assert line.tickets()[0].severity == "critical"
    line.hold(0.96, 30)
    assert line.tickets()[0].severity == "critical"
    line.hold(0.94, 5)
    assert line.tickets()[0].severity == "high"


def test_judging_again_changes_nothing(line: Line) -> None:
    line.hold(0.93, 20)
    line.pass_()
    line.restart()
    line.engine._cursor = 0
    line.pass_()
    assert line.kinds() == ["ticket.opened"]
    assert len(line.tickets()) == 1


def test_a_restart_between_any_two_readings_changes_nothing(line: Line) -> None:
    for used in [0.93] * 4 + [0.99, 0.96, 0.94] + [0.5] * 4:
        line.hold(used, 5)
        line.restart()
    (ticket,) = line.tickets()
    kinds = [event.kind for event in ticket.events]
    assert kinds == ["opened", "severity_changed", "severity_changed", "episode_closed", "closed"]


def test_a_transaction_that_fails_is_forgotten_and_done_again(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.hold(0.93, 10)
    line.wait(minutes=5)
    line.read(0.93)

    def full(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("forewarn_collector.engine.memory.move_cursor", full)
        with pytest.raises(OSError, match="disk full"):
            line.pass_()
    assert line.tickets() == []
    assert line.pass_().opened == 1
    assert line.kinds() == ["ticket.opened"]


def test_what_was_pending_and_never_fired_leaves_no_row(line: Line) -> None:
    line.hold(0.93, 5)
    line.hold(0.50, 5)
    with line.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(alerts)).scalar() == 0


def test_readings_late_by_more_than_a_quarter_of_an_hour_open_nothing(line: Line) -> None:
    for minutes in range(120, 30, -5):
        line.read(0.95, ago=minutes * 60)
    line.pass_()
    assert line.tickets() == []
    line.read(0.95)
    line.pass_()
    assert len(line.tickets()) == 1


def test_a_backlog_that_newer_readings_overtook_is_history(line: Line) -> None:
    """The live lane says all is well; what comes after it is older and changes nothing."""
    line.read(0.50)
    line.pass_()
    for seconds in range(800, 60, -60):
        line.read(0.95, ago=seconds)
    line.pass_()
    with line.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(alerts)).scalar() == 0


def test_a_silent_server_is_a_ticket_and_closes_when_it_speaks(line: Line) -> None:
    line.read(0.5)
    for _ in range(11):
        line.wait(minutes=1)
        line.pass_()
    assert [ticket.title for ticket in line.tickets()] == ["web1 is silent"]
    line.read(0.5)
    line.pass_()
    assert line.kinds() == ["ticket.opened", "ticket.closed"]


def test_a_silent_server_costs_no_row_a_pass(line: Line) -> None:
    line.read(0.5)
    for _ in range(30):
        line.wait(minutes=1)
        line.pass_()
    with line.database.read() as connection:
        (changed,) = connection.execute(select(alerts.c.changed_at)).scalars()
    assert line.at - changed > timedelta(minutes=15)


def test_the_collectors_own_absence_is_nobodys_silence(line: Line) -> None:
    line.read(0.5)
    line.pass_()
    line.wait(hours=24)
    line.restart()
    assert line.pass_() == Passed()
    line.wait(minutes=4)
    assert line.pass_() == Passed()
    for _ in range(20):
        line.wait(minutes=1)
        line.pass_()
    assert [ticket.title for ticket in line.tickets()] == ["web1 is silent"]


def test_a_collector_that_stood_still_was_away(line: Line) -> None:
    line.read(0.5)
    line.pass_()
    line.wait(hours=3)
    assert line.pass_() == Passed()


def test_a_rule_that_is_switched_off_closes_what_it_opened(line: Line) -> None:
    line.hold(0.93, 20)
    line.change({"RoomFull": RuleChange(enabled=False)})
    line.wait(minutes=1)
    line.pass_()
    assert line.tickets()[0].state is TicketState.CLOSED
    assert line.kinds() == ["ticket.opened", "ticket.closed"]


def test_a_new_book_is_judged_by_from_the_next_pass_on(line: Line) -> None:
    line.hold(0.80, 20)
    line.change({"RoomFull": RuleChange(above=0.7, clear_at=0.6)})
    line.hold(0.80, 20)
    assert len(line.tickets()) == 1


def test_a_check_that_failed_three_times_in_a_row_is_a_ticket(line: Line) -> None:
    for outcome in (1.0, 1.0, 0.0, 1.0, 1.0, 1.0):
        assert line.tickets() == []
        line.wait(minutes=5)
        line.sample("check_failed", outcome, check="smart")
        line.pass_()
    assert [ticket.title for ticket in line.tickets()] == ["Check smart fails on web1"]


def test_what_stopped_coming_is_stale_and_stays_open(line: Line) -> None:
    line.hold(0.93, 20)
    for _ in range(60):
        line.wait(minutes=1)
        line.store.heard[1] = line.store.heard[1] + 60_000_000
        line.pass_()
    with line.database.read() as connection:
        row = connection.execute(select(alerts.c.state, alerts.c.data)).one()
    assert tuple(row) == ("firing", "stale")
    assert line.tickets()[0].state is TicketState.NEW


def test_a_device_that_changed_its_letter_is_the_same_component(line: Line) -> None:
    """Labels that are no part of the component may change while an alert fires."""
    line.sample("self_test_passed", 0.0, mountpoint="/srv", device="/dev/sda1")
    line.pass_()
    line.wait(minutes=5)
    line.sample("self_test_passed", 1.0, mountpoint="/srv", device="/dev/sdb1")
    line.pass_()
    assert line.kinds() == ["ticket.opened", "ticket.closed"]


def test_hostile_names_reach_no_message_as_they_are(line: Line) -> None:
    mountpoint = "/srv\u202e\x1b[31m{host}<script>"
    line.sample("self_test_passed", 0.0, mountpoint=mountpoint)
    line.pass_()
    (_, ticket) = line.told()[0]
    assert ticket["title"] == "/srv��[31m{host}<script> on web1 failed its test"


def test_every_destination_is_told(line: Line) -> None:
    line.telling = type(line.telling)(("one", "two"), "")
    line.restart()
    line.hold(0.93, 20)
    with line.database.read() as connection:
        assert set(connection.execute(select(outbox.c.destination)).scalars()) == {"one", "two"}


def test_a_revoked_host_is_judged_no_more_and_its_tickets_close(line: Line) -> None:
    line.hold(0.93, 20)
    line.revoke(1)
    line.hold(0.99, 20)
    (ticket,) = line.tickets()
    assert (ticket.state, ticket.severity) == (TicketState.CLOSED, "high")
