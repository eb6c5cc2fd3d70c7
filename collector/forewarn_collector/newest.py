"""The newest run held of each host's live lane, to tell a repeat from another run of its number.

A spool that came out of a backup, or was copied to another machine, gives numbers a second time.
Taken for repeats, the runs behind them would be lost without a word.
"""

from array import array

from forewarn_checks.base import Batch, Lane
from forewarn_collector.samples import Arrival


class Newest:
    """Three numbers a host, forgotten at a restart.

    Noted by the writer's thread, asked by the loop: what is asked too early is not compared.
    """

    def __init__(self) -> None:
        self._spools = array("q")
        self._sequences = array("q")
        self._boottimes = array("d")

    def contradicts(self, host: int, batch: Batch) -> bool:
        """Say whether the batch holds another run under the number of the newest one held."""
        if batch.lane is not Lane.LIVE or host >= len(self._boottimes):
            return False
        sequence = self._sequences[host]
        if batch.runs[0].sequence > sequence or self._spools[host] != hash(batch.spool):
            return False
        same = next((run for run in batch.runs if run.sequence == sequence), None)
        # The clock of a boot at one run: no second machine has the same to the microsecond.
        return same is not None and same.boottime_seconds != self._boottimes[host]

    def note(self, arrival: Arrival, boottime_seconds: float) -> None:
        """Take note of what is durable now; `boottime_seconds` is of its last run."""
        if arrival.lane is not Lane.LIVE:
            return
        host, spool = arrival.host, hash(arrival.spool)
        missing = host + 1 - len(self._boottimes)
        if missing > 0:
            self._spools.extend([0] * missing)
            self._sequences.extend([-1] * missing)
            self._boottimes.extend([0.0] * missing)
        if self._spools[host] == spool and arrival.through < self._sequences[host]:
            return
        self._sequences[host], self._boottimes[host] = arrival.through, boottime_seconds
        self._spools[host] = spool
