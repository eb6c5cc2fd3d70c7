"""The slope of a series that a few wild points cannot bend, with an interval.

Theil–Sen: the median of the slopes between all pairs of points.  It stands up to 29 % of wild
points.  The interval is Sen's, by the normal approximation with ties counted.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Z90 = 1.6448536269514722  # both sides of a 90 % interval
MOST_POINTS = 168  # memory and time grow with the square; thin a longer series first


@dataclass(frozen=True, slots=True)
class Slope:
    """Units of y per unit of x, with a 90 % interval."""

    middle: float
    low: float
    high: float


def theil_sen(x: NDArray[np.float64], y: NDArray[np.float64]) -> Slope:
    """Return the slope of `y` over strictly growing `x`; 3 to 168 points of each.

    Raises ValueError for fewer or more points.
    """
    n = len(x)
    if not 3 <= n <= MOST_POINTS:
        raise ValueError(f"a slope needs 3 to {MOST_POINTS} points, got {n}")
    first, second = np.triu_indices(n, 1)
    slopes = np.sort((y[second] - y[first]) / (x[second] - x[first]))
    count = len(slopes)
    _, ties = np.unique(y, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - int((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    reach = _Z90 * math.sqrt(max(variance, 0.0))
    low = max(round((count - reach) / 2) - 1, 0)
    high = min(round((count + reach) / 2), count - 1)
    return Slope(float(np.median(slopes)), float(slopes[low]), float(slopes[high]))


def least_squares(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the ordinary least-squares slope; 0 where all x are alike."""
    centred = x - x.mean()
    spread = float((centred**2).sum())
    return float((centred * (y - y.mean())).sum() / spread) if spread else 0.0
