"""Tell, set at a time, which of very many series could be forecast to reach a level.

Of each series the peaks of sixteen days are kept: 80 bytes, 24 MB for 300,000 filesystems.  What
passes is more than what gets a date and never less: a forecast of what does not pass is Never.
"""

from math import inf

import numpy as np
from numpy.typing import NDArray

from forewarn_collector.rules.forecast import LEAST_DAYS, NEW_HIGH, YOUNG_LEVEL

DAY = 86_400_000_000  # microseconds, as all moments here
_DAYS = 16
# Half of what a forecast must see, for it looks at whole hours and these at whole days.
_SLACK = 0.5
_FAST = 4 / 28 * 0.29 * _SLACK  # of what is left, risen within two days
_SLOW = 2 / 7 * _SLACK  # of what is left, risen within eight days
_RESIZED = 0.01

Rows = NDArray[np.int64]
Column = NDArray[np.float64]


_FARTHEST = 1e37  # differences of two such still are numbers of 32 bits


class Highs:
    """The daily peaks of many series that all look at one level.  Rows are given out in order."""

    def __init__(self, level: float) -> None:
        self._level = level
        self._peak = np.empty((0, _DAYS), np.float32)
        self._low = np.empty((0, 2), np.float32)
        self._day = np.empty(0, np.int64)
        self._size = np.empty(0)
        self.born = np.empty(0, np.int64)

    def add(self, count: int) -> None:
        """Make room for so many series more."""
        self._peak = np.concatenate([self._peak, np.full((count, _DAYS), -inf, np.float32)])
        self._low = np.concatenate([self._low, np.full((count, 2), inf, np.float32)])
        self._day = np.append(self._day, np.zeros(count, np.int64))
        self._size = np.append(self._size, np.full(count, np.nan))
        self.born = np.append(self.born, np.full(count, np.iinfo(np.int64).max))

    def resize(self, rows: Rows, at: Rows, size: Column) -> None:
        """Take in sizes; of a series whose size changed everything before is forgotten.

        A row at most once in a call, here and below.
        """
        before = self._size[rows]
        changed = np.abs(size - before) > _RESIZED * np.abs(before)
        gone = rows[changed]
        self._peak[gone] = -inf
        self._low[gone] = inf
        self.born[gone] = at[changed]
        known = np.isnan(before) | changed
        self._size[rows[known]] = size[known]

    def take(self, rows: Rows, at: Rows, value: Column) -> None:
        """Take in one reading of each row, none older than those before."""
        self._turn(rows, at // DAY)
        here = at // DAY % _DAYS
        # What is sent may be any number; so far from every level it need not be exact.
        rounded = np.clip(value, -_FARTHEST, _FARTHEST).astype(np.float32)
        self._peak[rows, here] = np.maximum(self._peak[rows, here], rounded)
        side = at // DAY % 2
        self._low[rows, side] = np.minimum(self._low[rows, side], rounded)
        self.born[rows] = np.minimum(self.born[rows], at)

    def may_date(self, rows: Rows, at: Rows, value: Column) -> NDArray[np.bool_]:
        """Say of which rows a forecast at this reading, taken in already, could be a date."""
        peak, today = self._peak[rows], at // DAY
        order = (today[:, None] - np.arange(_DAYS)) % _DAYS  # today, yesterday, …
        peak = np.take_along_axis(peak, order, axis=1)
        high = peak[:, :2].max(axis=1)
        before = peak[:, 3:15].max(axis=1)
        left = self._level - high
        rose_fast = high - self._low[rows].min(axis=1) >= _FAST * left
        week = np.where(np.isinf(peak[:, :9]), inf, peak[:, :9]).min(axis=1)
        rose_slowly = high - week >= _SLOW * left
        rising = (high > before + NEW_HIGH * _SLACK * self._level) & (rose_fast | rose_slowly)
        young = at - self.born[rows] < LEAST_DAYS * DAY
        # A gap may have taken the days to compare with.
        young |= np.isinf(before)
        found: NDArray[np.bool_] = rising | (young & (value >= YOUNG_LEVEL * self._level))
        return found | (value >= self._level)

    def _turn(self, rows: Rows, today: Rows) -> None:
        """Empty the days that were passed since the reading before."""
        passed = np.minimum(today - self._day[rows], _DAYS)
        for ahead in range(int(passed.max(initial=0))):
            moved = passed > ahead
            self._peak[rows[moved], (today[moved] - ahead) % _DAYS] = -inf
            if ahead < 2:
                self._low[rows[moved], (today[moved] - ahead) % 2] = inf
        self._day[rows] = np.maximum(self._day[rows], today)
