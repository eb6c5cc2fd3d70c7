"""How far the clock of each host is from ours, told now and then as a sample of the host.

Nothing is dated by it and nothing is refused for it; a rule makes it a finding.
"""

from array import array
from datetime import UTC, datetime, timedelta

from forewarn_collector.rules.own import AHEAD, BEHIND, CLOCK_ERROR

METRIC = CLOCK_ERROR.name
SPACING = timedelta(minutes=4) // timedelta(microseconds=1)  # less than what is sealed together
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NOTHING = -(2**63)


class Clocks:
    """Weighs what the batches of each host say about its clock.

    A batch takes time to arrive, never less than none: of several the one that was fastest tells
    best.  It keeps two numbers a host and forgets them at a restart.
    """

    def __init__(self) -> None:
        self._told = array("q")
        self._best = array("q")

    def seen(self, host: int, sent_at: str, received: int) -> tuple[str, float] | None:
        """Return ("ahead" or "behind", seconds) when it is time to tell again, else None.

        `sent_at` is the host's own clock as the batch left it; one that is no moment says nothing.
        """
        sent = _microseconds(sent_at)
        if sent is None:
            return None
        self._grow(host)
        best = self._best[host] = max(self._best[host], sent - received)
        if 0 <= received - self._told[host] < SPACING:
            return None
        self._told[host], self._best[host] = received, _NOTHING
        return (AHEAD if best > 0 else BEHIND), abs(best) / 1e6

    def _grow(self, host: int) -> None:
        missing = host + 1 - len(self._told)
        if missing > 0:
            self._told.extend([_NOTHING] * missing)
            self._best.extend([_NOTHING] * missing)


def _microseconds(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else (moment - _EPOCH) // _MICROSECOND
