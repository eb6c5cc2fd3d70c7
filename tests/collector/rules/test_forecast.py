"""A forecast gives a date only where the data carry one, and refuses in words elsewhere."""

import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from forewarn_collector.rules.forecast import (
    DAY,
    HOUR,
    Date,
    Error,
    Insufficient,
    Never,
    Tier,
    forecast,
)
from forewarn_collector.rules.trend import least_squares, theil_sen

NOW = 40 * DAY
FIFTEEN_DAYS = np.arange(NOW - 15 * DAY, NOW, 300.0)


def rising(at: NDArray[np.float64], per_day: float, level: float) -> NDArray[np.float64]:
    """A line that stands at `level` at the end."""
    line: NDArray[np.float64] = level + (at - at[-1]) / DAY * per_day
    return line


def test_steady_growth_is_dated_by_the_slow_tier_within_its_interval() -> None:
    """5 % a day with 20 % left is full in four days."""
    found = forecast(FIFTEEN_DAYS, rising(FIFTEEN_DAYS, 0.05, 0.8), 1.0, NOW)
    assert isinstance(found, Date)
    assert found.tier is Tier.SLOW
    assert found.seconds == pytest.approx(4 * DAY, rel=0.01)
    assert found.earliest <= found.seconds <= found.latest


def test_a_fill_that_began_hours_ago_is_dated_by_the_fast_tier() -> None:
    used = np.where(
        FIFTEEN_DAYS < NOW - 5 * HOUR, 0.4, 0.4 + (FIFTEEN_DAYS - NOW + 5 * HOUR) / HOUR * 0.05
    )
    found = forecast(FIFTEEN_DAYS, used, 1.0, NOW)
    assert isinstance(found, Date)
    assert found.tier is Tier.FAST
    assert found.seconds == pytest.approx((1 - used[-1]) / 0.05 * HOUR, rel=0.02)


@pytest.mark.parametrize(
    ("fact", "used"),
    [
        ("a flat line is never full", np.full(len(FIFTEEN_DAYS), 0.6)),
        ("a falling line is never full", rising(FIFTEEN_DAYS, -0.02, 0.3)),
        ("the same climb every day is never full", 0.5 + 0.2 * ((FIFTEEN_DAYS % DAY) / DAY)),
        ("one step is no growth", np.where(FIFTEEN_DAYS > NOW - 3 * DAY, 0.7, 0.5)),
    ],
)
def test_what_does_not_grow_is_never_full(fact: str, used: NDArray[np.float64]) -> None:
    assert forecast(FIFTEEN_DAYS, used, 1.0, NOW) == Never(), fact


def test_two_days_of_history_are_too_few_for_a_date() -> None:
    young = FIFTEEN_DAYS[FIFTEEN_DAYS > NOW - 2 * DAY]
    assert isinstance(forecast(young, rising(young, 0.05, 0.6), 1.0, NOW), Insufficient)


def test_old_readings_alone_are_no_evidence() -> None:
    old = FIFTEEN_DAYS - 3 * HOUR
    assert isinstance(forecast(old, rising(old, 0.05, 0.8), 1.0, NOW), Insufficient)


def test_a_capacity_of_nothing_is_an_error_not_a_date() -> None:
    assert isinstance(forecast(FIFTEEN_DAYS, rising(FIFTEEN_DAYS, 0.05, 0.8), 0.0, NOW), Error)


def test_what_is_full_is_full_now() -> None:
    used = np.full(len(FIFTEEN_DAYS), 1.0)
    found = forecast(FIFTEEN_DAYS, used, 1.0, NOW)
    assert isinstance(found, Date)
    assert found.seconds == 0


numbers = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(numbers, min_size=3, max_size=30))
def test_the_slope_is_the_median_over_all_pairs_and_lies_in_its_interval(y: list[float]) -> None:
    x = np.arange(len(y), dtype=float)
    found = theil_sen(x, np.array(y))
    pairs = [(y[j] - y[i]) / (j - i) for i, j in itertools.combinations(range(len(y)), 2)]
    assert found.middle == pytest.approx(statistics.median(pairs), rel=1e-9, abs=1e-9)
    assert found.low <= found.middle <= found.high


@given(st.lists(numbers, min_size=2, max_size=30))
def test_least_squares_agrees_with_the_standard_library(y: list[float]) -> None:
    x = np.arange(len(y), dtype=float)
    expected = statistics.linear_regression(list(x), y).slope
    assert least_squares(x, np.array(y)) == pytest.approx(expected, rel=1e-6, abs=1e-3)


def test_wild_points_do_not_bend_the_slope() -> None:
    """Eight of thirty points may be anything."""
    x = np.arange(30.0)
    y = 2 * x
    y[::4] = 1e9
    assert theil_sen(x, y).middle == pytest.approx(2.0, rel=0.2)


@pytest.mark.parametrize("count", [2, 169])
def test_too_few_and_too_many_points_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="3 to 168"):
        theil_sen(np.arange(float(count)), np.arange(float(count)))
