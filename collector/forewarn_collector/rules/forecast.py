"""When a level will be reached: a date with an interval, or a plain refusal.

Two tiers look at the same series.  The slow one follows the peaks of whole days over two weeks and
sees days ahead; the fast one follows the last hours and sees a fill that has just begun.  Both ask
for a genuine new high, so that no daily or weekly up and down, no nightly burst and no one-off step
is taken for growth.  Neither looks further ahead than it has seen growth behind.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from forewarn_collector.rules.trend import Slope, least_squares, theil_sen

HOUR = 3600.0
DAY = 24 * HOUR

HISTORY_DAYS = 15
"""How far back the slow tier looks; a caller gives that much, or all there is."""

_WINDOWS = ((4 * HOUR, HOUR, 28 * HOUR), (12 * HOUR, 4 * HOUR, 48 * HOUR))
"""The fast tier's views: the window, its end that must rise as well, how far ahead it may look."""

NEW_HIGH = 0.005  # of the capacity, above what was seen before
_SLOW_HORIZON = 7 * DAY
LEAST_DAYS = 7
YOUNG_LEVEL = 0.80  # without a week of history the fast tier speaks only above this
_STALL = 0.25
_REACH = 1.5  # times the growth seen
_Z90 = 1.6448536269514722  # both sides of a 90 % interval


class Tier(StrEnum):
    """Which view of the series a date comes from."""

    SLOW = "slow"
    FAST = "fast"
    STEPS = "steps"  # of what is used up in whole percents


@dataclass(frozen=True, slots=True)
class Date:
    """The level is reached after `seconds`, between `earliest` and `latest` (90 %)."""

    tier: Tier
    seconds: float
    earliest: float
    latest: float


@dataclass(frozen=True, slots=True)
class Never:
    """Nothing in the data says that the level will be reached."""


@dataclass(frozen=True, slots=True)
class Insufficient:
    """The data cannot carry a forecast; `reason` says what is missing."""

    reason: str


@dataclass(frozen=True, slots=True)
class Error:
    """The data make no sense, e.g. a capacity of nothing."""

    reason: str


Forecast = Date | Never | Insufficient | Error


def forecast(
    at: NDArray[np.float64], value: NDArray[np.float64], capacity: float, now: float
) -> Forecast:
    """Return when `value` reaches `capacity`.  Only a Date may raise an alert.

    `at` are growing seconds up to `now`, in steps of at most 15 minutes or so; 15 days of them
    are used.  `value` and `capacity` share a unit; a resize must restart the history.
    """
    recent = at > now - HISTORY_DAYS * DAY
    at, value = at[recent], value[recent]
    if capacity <= 0 or not np.isfinite(capacity):
        return Error(f"a capacity of {capacity:g} cannot be reached")
    if len(at) < 12 or now - at[-1] > HOUR:
        return Insufficient("fewer than 12 readings, or none within the last hour")
    if value[-1] >= capacity:
        return Date(Tier.FAST, 0.0, 0.0, 0.0)
    fast = _fast(at, value, capacity, now)
    if fast is None:
        return _slow(at, value, capacity, now)
    # What rises now may be a daily up and down on top of a slower growth: the interval tells both.
    slow = _slow(at, value, capacity, now)
    return replace(fast, latest=max(fast.latest, slow.latest)) if isinstance(slow, Date) else fast


def _fast(
    at: NDArray[np.float64], value: NDArray[np.float64], capacity: float, now: float
) -> Date | None:
    """Judge the last hours: rising in the whole and at the end, to a new high."""
    for window, end, horizon in _WINDOWS:
        begin, tail = np.searchsorted(at, (now - window, now - end))
        if tail - begin < 8 or len(at) - tail < 3:
            continue
        if not _is_new_high(at, value, capacity, int(begin), now):
            continue
        whole = _thinned_slope(at[begin:], value[begin:])
        if whole.low <= 0:
            continue
        last = _thinned_slope(at[tail:], value[tail:])
        pace = min(whole.middle, last.middle)
        left = capacity - float(value[-1])
        if last.low <= 0 or left > horizon * pace:
            continue
        slope = Slope(pace, min(whole.low, last.low), max(whole.high, last.high))
        noise = _Z90 * _noise(at[begin:], value[begin:], whole.middle)
        return _date(Tier.FAST, left, slope, noise=noise)
    return None


def _is_new_high(
    at: NDArray[np.float64],
    value: NDArray[np.float64],
    capacity: float,
    begin: int,
    now: float,
) -> bool:
    if now - at[0] < LEAST_DAYS * DAY or begin == 0:
        return bool(value[-1] >= YOUNG_LEVEL * capacity)
    return bool(value[-1] > value[:begin].max() + NEW_HIGH * capacity)


def _thinned_slope(at: NDArray[np.float64], value: NDArray[np.float64]) -> Slope:
    step = -(-len(at) // 96)
    return theil_sen(at[::step], value[::step])


def _slow(
    at: NDArray[np.float64], value: NDArray[np.float64], capacity: float, now: float
) -> Forecast:
    """Judge the peaks of the trailing days: a new high, rising steadily, not stalled."""
    days = int((now - at[0]) / DAY + 0.02)
    if days < LEAST_DAYS:
        return Insufficient(f"{days} of {LEAST_DAYS} whole days of readings")
    edges = np.searchsorted(at, now - np.arange(min(days, HISTORY_DAYS), -1, -1) * DAY)
    if (np.diff(edges) == 0).any():
        return Insufficient("a whole day without readings within the last two weeks")
    peaks = np.maximum.reduceat(value, edges[:-1])
    if peaks[-1] <= peaks[:-2].max() + NEW_HIGH * capacity:
        return Never()
    x = np.arange(7, dtype=np.float64) * DAY
    slope = theil_sen(x, peaks[-7:])
    if slope.low <= 0 or least_squares(x[-3:], peaks[-3:]) < _STALL * slope.middle:
        return Never()
    left = capacity - float(peaks[-1])
    if left / slope.middle > min(_SLOW_HORIZON, _REACH * _days_rising(peaks) * DAY):
        return Never()
    # The newest peak may be most of a day old, and the growth went on since.
    newest = edges[-2] + int(np.argmax(value[edges[-2] :]))
    lows = np.minimum.reduceat(value, edges[:-1])
    swing = max(float(np.median((peaks - lows)[-7:])) - slope.middle * DAY, 0.0)
    # What goes up and down every day reaches the level at one of its next peaks.
    wait = min(swing / slope.middle, DAY)
    return _date(Tier.SLOW, left, slope, passed=now - float(at[newest]), wait=wait)


def _days_rising(peaks: NDArray[np.float64]) -> int:
    """Return for how many days on end the peaks have grown."""
    still = np.flatnonzero(np.diff(peaks)[::-1] <= 0)
    return int(still[0]) if len(still) else len(peaks) - 1


def _noise(at: NDArray[np.float64], value: NDArray[np.float64], slope: float) -> float:
    """Return how far single readings lie from a line, as a standard deviation."""
    off = value - slope * (at - at[0])
    return 1.4826 * float(np.median(np.abs(off - np.median(off))))


def _date(
    tier: Tier,
    left: float,
    slope: Slope,
    *,
    noise: float = 0.0,
    passed: float = 0.0,
    wait: float = 0.0,
) -> Date:
    """Return when `left` is gone; `passed` seconds ago so much was left, and it may `wait`."""
    earliest = max((left - noise) / slope.high - passed, 0.0)
    latest = max((left + noise) / max(slope.low, 1e-12) - passed + wait, earliest)
    seconds = min(max(left / slope.middle - passed, earliest), latest)
    return Date(tier, seconds, earliest, latest)
