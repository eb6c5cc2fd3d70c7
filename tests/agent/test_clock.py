"""A clock that was set is told from one that runs, and a suspend from both."""

import pytest

from forewarn_agent.clock import Moment, Tick, now, slept, wall_jump

AT = Tick(wall=1_000_000.0, boottime=500.0, awake=400.0)


@pytest.mark.parametrize(
    ("says", "after", "jump", "sleep"),
    [
        ("half a second passes", Tick(1_000_000.5, 500.5, 400.5), 0.0, 0.0),
        ("set back two hours", Tick(1_000_000.5 - 7200, 500.5, 400.5), -7200.0, 0.0),
        ("set forward a day", Tick(1_000_000.5 + 86400, 500.5, 400.5), 86400.0, 0.0),
        ("slewed by a few milliseconds", Tick(1_000_000.51, 500.5, 400.5), 0.0, 0.0),
        ("an hour of sleep moves both clocks", Tick(1_003_600.5, 4100.5, 400.5), 0.0, 3600.0),
        ("set while asleep", Tick(1_007_200.5, 4100.5, 400.5), 3600.0, 3600.0),
    ],
)
def test_what_happened_between_two_ticks(says: str, after: Tick, jump: float, sleep: float) -> None:
    assert (wall_jump(AT, after), slept(AT, after)) == (jump, sleep), says


def test_a_moment_is_utc_with_a_z_and_names_its_boot() -> None:
    moment = now()
    assert isinstance(moment, Moment)
    assert moment.wall.endswith("Z")
    assert len(moment.wall) == len("2026-11-21T08:00:00.123Z")
    assert moment.boot
    assert moment.boottime_seconds > 0
