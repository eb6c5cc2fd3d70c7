"""Clocks that are wrong, hosts that never came, and the hours the collector was away."""

from datetime import timedelta

from sqlalchemy import select, update
from tests.collector.engine.line import START, Line, microseconds

from forewarn_collector.state.hosts import touch
from forewarn_collector.state.tables import alerts, hosts
from forewarn_collector.state.tickets import TicketState


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


class TestNoLongerThere:
    """/srv fires; then the check of rooms goes on and does not meet it."""

    @staticmethod
    def run(line: Line, hours: float, *, other: bool = True, failed: float = 0.0) -> None:
        """Let the check run every half hour; /home is what else it reads."""
        for _ in range(round(hours * 2)):
            line.wait(minutes=30)
            shape = line.store.shape("check_failed", {"check": "room"})
            moment = microseconds(line.at)
            points = [(1, shape, moment, failed, moment)]
            if other:
                home = line.store.shape("room_used_ratio", {"mountpoint": "/home"})
                points.append((1, home, moment, 0.2, moment))
            line.store.commits.append(points)
            line.store.heard[1] = moment
            line.pass_()

    def test_it_closes_after_a_day_of_runs_without_it_and_says_why(self, line: Line) -> None:
        line.hold(0.93, 20)
        self.run(line, 23.5)
        assert line.kinds() == ["ticket.opened"]
        self.run(line, 3)
        assert line.kinds() == ["ticket.opened", "ticket.closed"]
        (ticket,) = line.tickets()
        assert [event.data.get("because") for event in ticket.events][-2:] == [
            "no longer there"
        ] * 2

    def test_a_check_that_fails_knows_nothing_of_what_is_there(self, line: Line) -> None:
        line.hold(0.93, 20)
        self.run(line, 72, other=False, failed=1.0)
        assert line.kinds()[0] == "ticket.opened"
        assert "ticket.closed" not in line.kinds()

    def test_a_check_that_meets_nothing_at_all_proves_nothing(self, line: Line) -> None:
        """Its tool may be gone: an empty run is no run without it."""
        line.hold(0.93, 20)
        self.run(line, 72, other=False)
        assert line.kinds() == ["ticket.opened"]

    def test_a_silent_host_is_not_a_host_without_it(self, line: Line) -> None:
        line.hold(0.93, 20)
        for _ in range(72):
            line.wait(hours=1)
            line.pass_()
        assert line.tickets()[-1].state is not TicketState.CLOSED

    def test_once_met_again_the_day_begins_anew(self, line: Line) -> None:
        line.hold(0.93, 20)
        for _ in range(4):
            self.run(line, 20)
            line.wait(minutes=1)
            line.read(0.93)
            line.pass_()
        assert line.kinds() == ["ticket.opened"]

    def test_restarts_in_between_change_nothing(self, line: Line) -> None:
        line.hold(0.93, 20)
        for _ in range(27):
            self.run(line, 1)
            line.restart()
        assert line.kinds() == ["ticket.opened", "ticket.closed"]

    def test_it_costs_a_row_every_other_hour(self, line: Line) -> None:
        line.hold(0.93, 20)
        written = 0
        before = None
        for _ in range(24):
            self.run(line, 0.5)
            with line.database.read() as connection:
                (memory,) = connection.execute(select(alerts.c.memory)).scalars()
            written += memory["missed"] != before
            before = memory["missed"]
        assert written <= 7

    def test_what_comes_back_and_still_fires_opens_again(self, line: Line) -> None:
        line.hold(0.93, 20)
        self.run(line, 27)
        line.hold(0.93, 20)
        assert line.kinds() == ["ticket.opened", "ticket.closed", "ticket.opened"]

    def test_a_check_that_was_taken_away_fails_no_longer(self, line: Line) -> None:
        for _ in range(3):
            line.wait(minutes=5)
            line.sample("check_failed", 1.0, check="smart")
            line.pass_()
        assert line.kinds() == ["ticket.opened"]
        for _ in range(24 * 50):
            line.wait(hours=1)
            line.sample("check_failed", 0.0, check="room")
            line.pass_()
            if "ticket.closed" in line.kinds():
                break
        assert line.kinds() == ["ticket.opened", "ticket.closed"]
