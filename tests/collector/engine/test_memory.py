"""What the engine remembers between passes: not less, not twice, and not for ever."""

import numpy as np
import pytest
from sqlalchemy import select
from tests.collector.engine.line import GIB, Line, microseconds

from forewarn_collector.rules.change import RuleChange
from forewarn_collector.rules.silence import silences
from forewarn_collector.rules.watermarks import Watermarks
from forewarn_collector.state.tables import episodes

SECOND = 1_000_000


def opened(line: Line, rule: str = "RoomFull") -> int:
    """Return how many episodes of a rule there ever were."""
    with line.database.read() as connection:
        found = select(episodes.c.id).where(episodes.c.rule == rule)
        return len(connection.execute(found).all())


# -- how often it was over -------------------------------------------------------------------------


@pytest.mark.parametrize("restarting", [False, True])
def test_a_short_rise_in_between_does_not_forget_how_often_it_was_over(
    line: Line, *, restarting: bool
) -> None:
    """Raised and over five times within three hours, each time with a short rise after it."""
    for _ in range(5):
        line.hold(0.93, 15)
        line.hold(0.5, 15)
        line.hold(0.93, 5)
        line.hold(0.5, 5)
        if restarting:
            line.restart()
    assert opened(line) == 3


# -- what was overtaken ----------------------------------------------------------------------------


def late_and_bad(line: Line) -> None:
    """Take in what waited on the host while newer readings were sent: it was full then."""
    for ago in (14, 11, 8, 5, 2):
        line.read(0.99, ago=ago * 60)
    line.pass_()


def calm(line: Line) -> None:
    line.wait(minutes=5)
    line.read(0.3, free=500 * GIB)
    labels = {"check": "room"}
    moment = microseconds(line.at)
    line.store.commits[-1].append(
        (1, line.store.shape("check_failed", labels), moment, 0.0, moment)
    )
    line.pass_()
    line.wait(seconds=10)


def test_what_newer_readings_overtook_opens_nothing(line: Line) -> None:
    calm(line)
    late_and_bad(line)
    assert opened(line) == 0


def test_nor_does_it_after_a_restart(line: Line) -> None:
    calm(line)
    line.restart()
    late_and_bad(line)
    assert opened(line) == 0


def test_nor_does_it_after_a_new_configuration(line: Line) -> None:
    calm(line)
    line.change({"RoomFull": RuleChange.model_validate({"hold_for": "9m"})})
    late_and_bad(line)
    assert opened(line) == 0


def test_what_was_not_judged_before_a_restart_is_not_overtaken(line: Line) -> None:
    """Readings that were durable and not judged yet are judged, each of them."""
    line.wait(minutes=15)
    for ago in (12, 6, 0):
        line.read(0.93, ago=ago * 60)
    line.restart()
    line.pass_()
    assert opened(line) == 1


def test_checks_that_a_host_makes_up_take_no_room_on_others() -> None:
    """One host of 100,000 that names 5,000 checks: of dense rows that would be 4 GB."""
    marks, many = Watermarks(common=3), np.arange(3, 5_003)
    host = np.full(len(many), 100_000)
    marks.take(host, many, np.full(len(many), 7))
    held = marks._seen.nbytes + marks._keys.nbytes + marks._at.nbytes
    assert held < 4_000_000
    assert marks.fresh(host, many, np.full(len(many), 7)).all()
    assert not marks.fresh(host, many, np.full(len(many), 6)).any()
    assert marks.fresh(host - 1, many, np.full(len(many), 6)).all()


def test_the_newest_of_several_counts_for_common_and_rare_checks_alike() -> None:
    marks = Watermarks(common=1)
    host, check = np.array([1, 1, 2, 1, 1]), np.array([0, 0, 0, 9, 9])
    marks.take(host, check, np.array([5, 3, 4, 8, 2]))
    marks.take(np.array([1]), np.array([9]), np.array([6]))
    asked = np.array([4, 5, 3, 7, 8])
    assert marks.fresh(host, check, asked).tolist() == [False, True, False, False, True]
    nothing = np.empty(0, np.int64)
    assert marks.fresh(nothing, nothing, nothing).tolist() == []
    assert marks.fresh(np.array([1]), np.array([-1]), np.array([0])).all()


# -- when we were away -----------------------------------------------------------------------------


def test_an_absence_within_an_absence_is_taken_off_once() -> None:
    """A collector that starts every minute is away all that time, not five times as long."""
    minute = 60 * SECOND
    downtimes = [(n * minute, (n + 5) * minute) for n in range(30)]
    _, silent = silences({1: 0}, downtimes, 60 * minute)
    assert silent.tolist() == [(60 - 34) * minute]


def test_after_a_crash_loop_a_host_is_missed_as_soon_as_after_one_crash(line: Line) -> None:
    line.read(0.3)
    line.pass_()
    for _ in range(40):
        line.wait(seconds=60)
        line.restart()
        line.pass_()
    for _ in range(32):
        line.wait(seconds=30)
        line.pass_()
    assert opened(line, "HostSilent") == 1
