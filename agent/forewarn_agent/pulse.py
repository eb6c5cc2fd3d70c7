"""Judge whether sampling goes on, so that the service manager is told of life only while it does.

A process that answers but samples nothing is worse than one that is restarted.
"""

import time
from collections.abc import Callable, Mapping
from datetime import timedelta

_INTERVALS = 3
_GRACE_SECONDS = 60.0  # a loaded host may be late


class Pulse:
    """Beats with every run that reached the spool.  Time asleep does not count."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin as if a run had just been kept."""
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """Take note that a run was sampled and kept."""
        self._last = self._clock()

    def goes_on(self, intervals: Mapping[str, timedelta]) -> bool:
        """Say whether the check with the shortest interval has missed fewer than three turns."""
        if not intervals:
            return True  # nothing is to be sampled
        shortest = min(intervals.values()).total_seconds()
        return self._clock() - self._last < _INTERVALS * shortest + _GRACE_SECONDS
