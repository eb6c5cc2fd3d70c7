"""The service manager hears of life only while runs reach the spool."""

from datetime import timedelta

import pytest

from forewarn_agent.pulse import Pulse

EVERY = {"cpu": timedelta(seconds=60), "smart": timedelta(hours=1)}


@pytest.mark.parametrize(
    ("waited", "goes_on"),
    [(0.0, True), (60.0, True), (239.0, True), (240.0, False), (4000.0, False)],
)
def test_three_missed_turns_of_the_quickest_check_end_it(waited: float, goes_on: bool) -> None:
    now = [100.0]
    pulse = Pulse(lambda: now[0])
    now[0] += waited
    assert pulse.goes_on(EVERY) is goes_on


def test_a_run_begins_the_wait_anew() -> None:
    now = [0.0]
    pulse = Pulse(lambda: now[0])
    now[0] = 200.0
    pulse.beat()
    now[0] = 400.0
    assert pulse.goes_on(EVERY)


def test_an_agent_without_checks_is_not_restarted_for_ever() -> None:
    now = [0.0]
    pulse = Pulse(lambda: now[0])
    now[0] = 1e6
    assert pulse.goes_on({})
