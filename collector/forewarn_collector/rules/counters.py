"""What is remembered of a counter: its newest value, and when it grew by how much.

The first value ever seen is a baseline: what was damaged before is no growth.  A drop is a new
baseline, too: the part was swapped, its firmware was reset, or pending sectors were mended.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

_MICROSECOND = timedelta(microseconds=1)
KEPT = timedelta(days=90)
"""No rule can look further back."""
MOST_RISES = 48
"""More are not kept apart: a dying drive counts up at every reading."""

Rises = tuple[tuple[int, float], ...]
"""(event time, by how much), oldest first."""


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter of one component: `value` was read at `at` (event time)."""

    value: float
    at: int
    rises: Rises = ()

    def growth(self, window: int, until: int) -> tuple[float, int]:
        """Return by how much it grew in the microseconds before `until`, and since when.

        Without growth both are 0.
        """
        inside = [(at, by) for at, by in self.rises if until - window < at <= until]
        return sum(by for _, by in inside), inside[0][0] if inside else 0


Counters = Mapping[str, Counter]
"""The counters of one component, by metric."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Somebody took the counters of a component for what they are, at the moment `at`.

    `until` is, by metric, the event time of the newest value that was taken: only what grew later
    counts.
    """

    host: int
    component: str
    until: Mapping[str, int]
    at: int


def count(before: Counter | None, at: int, value: float) -> Counter:
    """Return the counter after one more reading.  What is not newer changes nothing."""
    if before is None:
        return Counter(value, at)
    if at <= before.at:
        return before
    if value <= before.value:
        return Counter(value, at, before.rises)
    oldest = at - KEPT // _MICROSECOND
    known = tuple(rise for rise in before.rises if rise[0] > oldest)
    return Counter(value, at, _bounded((*known, (at, value - before.value))))


def _bounded(rises: Rises) -> Rises:
    """Merge the two nearest of too many rises into the later one: nothing is forgotten early."""
    if len(rises) <= MOST_RISES:
        return rises
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(rises)]
    place = gaps.index(min(gaps))
    (_, one), (at, other) = rises[place : place + 2]
    return (*rises[:place], (at, one + other), *rises[place + 2 :])
