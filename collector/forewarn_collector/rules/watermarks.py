"""The newest event time seen of every check of every host.

What is older was overtaken: it is kept as history and not judged again.
"""

import numpy as np
from numpy.typing import NDArray

_HOST_SHIFT = 32
"""A key is the host's number and a check's: ``host << 32 | check``."""

Numbers = NDArray[np.int64]


class Watermarks:
    """Checks below `common` have a place for every host; of others only what came is kept.

    Checks that no rule book names are few hosts' own: a place for each of them on every host would
    let one host that makes up names take the memory of all.
    """

    def __init__(self, common: int) -> None:
        self._common = common
        self._seen = np.zeros((0, common), np.int64)
        self._keys = np.empty(0, np.int64)  # sorted
        self._at = np.empty(0, np.int64)

    def fresh(self, host: Numbers, check: Numbers, at: Numbers) -> NDArray[np.bool_]:
        """Say of each point whether nothing newer of its check was seen before.

        `check` is -1 for a point of no check.
        """
        self._grow(host)
        fresh = np.ones(len(at), np.bool_)
        common = np.flatnonzero((check >= 0) & (check < self._common))
        fresh[common] = at[common] >= self._seen[host[common], check[common]]
        rare = np.flatnonzero(check >= self._common)
        if len(rare):
            place, known = self._find(host[rare] << _HOST_SHIFT | check[rare])
            fresh[rare[known]] = at[rare[known]] >= self._at[place[known]]
        return fresh

    def take(self, host: Numbers, check: Numbers, at: Numbers) -> None:
        """Remember these points as seen."""
        self._grow(host)
        common = (check >= 0) & (check < self._common)
        np.maximum.at(self._seen, (host[common], check[common]), at[common])
        rare = np.flatnonzero(check >= self._common)
        if not len(rare):
            return
        keys = host[rare] << _HOST_SHIFT | check[rare]
        order = np.lexsort((at[rare], keys))
        last = np.append(np.diff(keys[order]) != 0, np.True_)
        keys, newest = keys[order][last], at[rare][order][last]
        place, known = self._find(keys)
        self._at[place[known]] = np.maximum(self._at[place[known]], newest[known])
        self._keys = np.insert(self._keys, place[~known], keys[~known])
        self._at = np.insert(self._at, place[~known], newest[~known])

    def _find(self, keys: Numbers) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return where each key is or belongs, and whether it is there."""
        place = np.searchsorted(self._keys, keys)
        known = place < len(self._keys)
        known[known] = self._keys[place[known]] == keys[known]
        return place, known

    def _grow(self, host: Numbers) -> None:
        most = int(host.max(initial=-1)) + 1
        if most > len(self._seen):
            grown = np.zeros((most * 5 // 4, self._common), np.int64)
            grown[: len(self._seen)] = self._seen
            self._seen = grown
