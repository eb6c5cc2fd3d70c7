"""How long nothing was heard of each host, with the collector's own absences taken off."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def silences(
    last_received: Mapping[int, int], downtimes: Sequence[tuple[int, int]], now: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return host numbers and, for each, for how many microseconds it has been silent.

    `downtimes` are (began, ended) of the collector: what a host could not say is not silence.
    """
    count = len(last_received)
    hosts = np.fromiter(last_received.keys(), np.int64, count)
    last = np.fromiter(last_received.values(), np.int64, count)
    silent = now - last
    for began, ended in downtimes:
        silent -= np.maximum(np.minimum(ended, now) - np.maximum(began, last), 0)
    return hosts, np.maximum(silent, 0)
