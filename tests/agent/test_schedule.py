"""Checks keep their rhythm: spread over hosts, without bursts, through any change of the clock."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_agent.schedule import Cadence, following, moved, phase

NOW = datetime(2026, 11, 21, 8, 0, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

intervals = st.integers(1, 7 * 86400).map(lambda seconds: timedelta(seconds=seconds))
moments = st.integers(0, 4 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(st.text(max_size=40), intervals)
def test_the_phase_is_inside_the_interval_and_always_the_same(host: str, every: timedelta) -> None:
    assert timedelta(0) <= phase(host, every) < every
    assert phase(host, every) == phase(host, every)


def test_phases_spread_a_fleet_evenly() -> None:
    tenths = [int(phase(f"host-{n}", MINUTE) / timedelta(seconds=6)) for n in range(5000)]
    assert all(350 < tenths.count(tenth) < 650 for tenth in range(10))


def test_five_minute_checks_fall_on_runs_of_the_one_minute_checks() -> None:
    five = phase("a host", timedelta(minutes=5))
    assert five % MINUTE == phase("a host", MINUTE)


@given(moments, intervals, st.text(max_size=10))
def test_the_next_run_is_between_half_and_one_and_a_half_intervals_off(
    now: datetime, every: timedelta, host: str
) -> None:
    """Neither two runs in a row nor a gap, whenever one asks."""
    ahead = following(now, every, phase(host, every)) - now
    slack = timedelta(milliseconds=1)  # datetime and float round differently
    assert every / 2 - slack <= ahead <= every * 1.5 + slack


def test_a_run_that_starts_late_keeps_its_rhythm() -> None:
    late = NOW + timedelta(seconds=7)
    assert following(late, MINUTE, timedelta(0)) == NOW + MINUTE


def test_days_missed_are_one_run_not_thousands() -> None:
    """The trigger looks at now, not at what was missed."""
    last = NOW - timedelta(days=400)
    assert Cadence(MINUTE, timedelta(0)).get_next_fire_time(last, NOW) == NOW + MINUTE


@pytest.mark.parametrize("jump", [timedelta(hours=-2), timedelta(days=1), timedelta(days=-3650)])
def test_a_job_keeps_its_distance_when_the_clock_is_set(jump: timedelta) -> None:
    planned = NOW + timedelta(seconds=40)
    assert moved(planned, jump, NOW + jump, MINUTE, timedelta(0)) == planned + jump


def test_a_job_planned_by_the_new_clock_already_is_not_thrown_a_day_ahead() -> None:
    """It ran between the jump and its discovery."""
    jump = timedelta(days=1)
    now = NOW + jump
    planned = now + MINUTE
    assert moved(planned, jump, now, MINUTE, timedelta(0)) == now + MINUTE


def test_a_plan_too_far_ahead_is_repaired_without_any_jump() -> None:
    assert moved(NOW + timedelta(days=1), timedelta(0), NOW, MINUTE, timedelta(0)) == NOW + MINUTE
