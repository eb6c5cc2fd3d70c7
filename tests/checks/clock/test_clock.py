"""Clocks, from what the programs that keep them right print.

chrony_* were captured from chronyd 4.3; the others are written from the programs' manuals.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_checks import _time_sources as sources
from forewarn_checks._process import Done
from forewarn_checks.base import CannotRead, NothingToRead, Reading, Sample
from forewarn_checks.clock import readings, readings_windows

CASES = Path(__file__).parent
NOW = 1795317240.0
FILES = {
    ("chronyc", "-n"): "tracking",
    ("ntpq", "-n"): "rv",
    ("timedatectl", "show"): "show",
    ("timedatectl", "timesync-status"): "status",
    ("w32tm", "/query"): "status",
}


class Host:
    """Has those programs whose output lies in a case; others are not there."""

    def __init__(self, case: str) -> None:
        self._case = CASES / case

    def __call__(self, argv: Sequence[str], timeout_seconds: float) -> Done:
        path = self._case / FILES[argv[0], argv[1]]
        if not path.exists():
            raise FileNotFoundError(argv[0])
        return Done(path.read_text("utf-8"), 0)


def samples(found: Iterator[Reading]) -> dict[str, float]:
    return {each.metric: each.value for each in found if isinstance(each, Sample)}


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            "chrony_follows",
            {
                "clock_synchronised": 1,
                "clock_offset_seconds": 0.00000074,
                "clock_deviation_seconds": 0.00000074 + 0.000005734 / 2 + 0.000002004,
                "clock_source_age_seconds": NOW - 1795317238.919256986,
            },
        ),
        ("chrony_alone", {"clock_synchronised": 0}),
        (
            "ntpd",
            {
                "clock_synchronised": 1,
                "clock_offset_seconds": 0.00125,
                "clock_deviation_seconds": 0.00125 + 0.00624 + 0.0241,
            },
        ),
        (
            "timesyncd",
            {
                "clock_synchronised": 1,
                "clock_offset_seconds": -0.001132,
                "clock_deviation_seconds": 0.001132 + 0.023474,
            },
        ),
        ("kernel_only", {"clock_synchronised": 0}),
    ],
)
def test_each_keeper_is_understood(case: str, expected: dict[str, float]) -> None:
    """A clock that is ahead has an offset above 0; who is not synchronised has none."""
    assert samples(readings(Host(case), NOW)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            "w32time_german",
            {
                "clock_synchronised": 1,
                "clock_offset_seconds": -0.0002154,
                "clock_deviation_seconds": 0.0002154 + 0.015625 + 0.04375,
                "clock_source_age_seconds": 512.25,
            },
        ),
        ("w32time_alone", {"clock_synchronised": 0}),
    ],
)
def test_windows_is_understood_in_any_language(case: str, expected: dict[str, float]) -> None:
    """By the order of its lines."""
    assert samples(readings_windows(Host(case))) == pytest.approx(expected)


def test_without_any_program_nobody_can_say() -> None:
    """On Windows the service is part of the system, so there it is a failure."""
    with pytest.raises(NothingToRead, match="install package chrony"):
        samples(readings(Host("none"), NOW))
    with pytest.raises(CannotRead, match="w32time"):
        samples(readings_windows(Host("none")))


def test_a_program_that_fails_or_hangs_is_passed_over() -> None:
    """chronyc without its daemon ends with 1; the next one is asked."""

    def run(argv: Sequence[str], timeout_seconds: float) -> Done:
        if argv[0] == "chronyc":
            return Done("506 Cannot talk to daemon\n", 1)
        if argv[0] == "ntpq":
            return Done("", None)
        return Host("timesyncd")(argv, timeout_seconds)

    assert samples(readings(run, NOW))["clock_synchronised"] == 1


@given(st.text(st.sampled_from("a=,0.5s-:()\n\r N²msmin"), max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Numbers that are told are numbers."""
    for clock in (
        sources.parse_chronyc(text, NOW),
        sources.parse_ntpq(text),
        sources.parse_timedatectl(text, text),
        sources.parse_w32tm(text),
    ):
        assert clock is None or isinstance(clock.synchronised, bool)


def test_spans_are_added_up() -> None:
    """As systemd writes them."""
    assert sources.parse_span("+1min 2.5s") == pytest.approx(62.5)
    assert sources.parse_span("-45us") == pytest.approx(-0.000045)
    assert sources.parse_span("n/a") is None
