"""Clocks that are wrong, hosts that never came, and the hours the collector was away."""

from datetime import timedelta

from sqlalchemy import update
from tests.collector.engine.line import START, Line

from forewarn_collector.state.hosts import touch
from forewarn_collector.state.tables import hosts


def clock(line: Line, seconds: float, direction: str = "ahead", minutes: int = 5) -> None:
    for _ in range(minutes // 5):
        line.wait(minutes=5)
        line.sample("clock_error_seconds", seconds, direction=direction)
        line.pass_()


class TestClockWrong:
    def test_the_ticket_says_how_far_which_way_and_what_to_do(self, line: Line) -> None:
        clock(line, 10_800.0, minutes=15)
        (_, ticket) = line.told()[0]
        assert ticket["title"] == "The clock of web1 is 3 h ahead"
        (evidence,) = ticket["evidence"]
        assert (evidence["metric"], evidence["value"]) == ("clock_error_seconds", 10_800.0)
        assert evidence["labels"] == {"direction": "ahead"}
        assert "timedatectl" in evidence["advice"]
        assert ticket["severity"] == "warning"

    def test_it_closes_once_the_clock_was_right_for_a_while(self, line: Line) -> None:
        clock(line, 300.0, "behind", minutes=15)
        clock(line, 90.0, "behind", minutes=60)
        assert line.kinds() == ["ticket.opened"], "between the marks it stays"
        clock(line, 0.4, "behind", minutes=15)
        assert line.kinds() == ["ticket.opened", "ticket.closed"]

    def test_the_other_way_round_is_the_same_episode(self, line: Line) -> None:
        clock(line, 300.0, "ahead", minutes=15)
        clock(line, 300.0, "behind", minutes=30)
        assert line.kinds() == ["ticket.opened"]

    def test_a_short_error_is_not_told(self, line: Line) -> None:
        clock(line, 5000.0, minutes=5)
        clock(line, 0.1, minutes=60)
        assert line.kinds() == []


def enrol_now(line: Line, host_class: str = "server") -> None:
    """Enrol web2, which nobody heard yet."""
    with line.database.write() as connection:
        changed = update(hosts).where(hosts.c.number == 2)
        connection.execute(changed.values(enrolled_at=line.at, host_class=host_class))
        touch(connection)


class TestNeverHeard:
    def test_a_server_that_never_came_is_silent_after_the_deadline(self, line: Line) -> None:
        enrol_now(line)
        for minute in range(1, 12):
            line.wait(minutes=1)
            line.read(0.5)
            line.pass_()
            assert bool(line.tickets()) is (minute >= 10), minute
        (ticket,) = line.tickets()
        assert ticket.title == "web2 was never heard"

    def test_the_first_batch_closes_it(self, line: Line) -> None:
        enrol_now(line)
        for _ in range(12):
            line.wait(minutes=1)
            line.read(0.5)
            line.pass_()
        line.read(0.5, host=2)
        line.pass_()
        assert line.kinds() == ["ticket.opened", "ticket.closed"]

    def test_what_is_silent_later_is_silent_not_unheard(self, line: Line) -> None:
        enrol_now(line)
        line.read(0.5, host=2)
        for _ in range(12):
            line.wait(minutes=1)
            line.read(0.5)
            line.pass_()
        assert [ticket.title for ticket in line.tickets()] == ["web2 is silent"]

    def test_a_workstation_may_come_when_it_likes(self, line: Line) -> None:
        for host_class in ("workstation", "roaming"):
            enrol_now(line, host_class)
            for _ in range(30):
                line.wait(minutes=1)
                line.read(0.5)
                line.pass_()
        assert line.tickets() == []

    def test_it_is_told_once_whatever_restarts(self, line: Line) -> None:
        enrol_now(line)
        for _ in range(30):
            line.wait(minutes=1)
            line.read(0.5)
            line.pass_()
            line.restart()
        assert line.kinds() == ["ticket.opened"]

    def test_our_absence_is_not_its_silence(self, line: Line) -> None:
        line.pass_()
        enrol_now(line)
        line.wait(hours=24)
        line.restart()
        line.read(0.5)
        line.pass_()
        for minute in range(1, 20):
            line.wait(minutes=1)
            line.read(0.5)
            line.pass_()
            if minute < 14:
                assert line.tickets() == [], "ten minutes, and five to come back"
        assert [ticket.title for ticket in line.tickets()] == ["web2 was never heard"]


def test_a_later_enrolment_than_the_test_is_nobodys_silence(line: Line) -> None:
    assert line.hosts.unheard({1: 0}) == {2: START + timedelta(days=3650)}
