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
    for began, ended in _apart(downtimes):
        silent -= np.maximum(np.minimum(ended, now) - np.maximum(began, last), 0)
    return hosts, np.maximum(silent, 0)


def _apart(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the same time without counting any of it twice.

    An absence lasts until agents had time to come back; who starts again meanwhile is away anew.
    """
    found: list[tuple[int, int]] = []
    for began, ended in sorted(spans):
        if found and began <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ended))
        else:
            found.append((began, ended))
    return found
