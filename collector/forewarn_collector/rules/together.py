"""Tell hosts that fell silent with their site from hosts that fell silent alone."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from forewarn_collector.state.hosts import KnownHost

HOST_SILENT, SITE_SILENT = "HostSilent", "SiteSilent"
FELL_WITHIN = timedelta(minutes=2) // timedelta(microseconds=1)
"""Last heard no further apart than this, hosts fell silent together: agents send once a minute."""
MANY = 5
"""So many hosts that fell silent together are their site; fewer are if they are all there are."""
_ALL = 2


def fell_together(
    numbers: NDArray[np.int64],
    silent: NDArray[np.int64],
    newly: NDArray[np.bool_],
    counts: Callable[[int], KnownHost | None],
) -> set[int]:
    """Return which of the `newly` silent hosts fell silent together with their site.

    `silent` is for how many microseconds each host has been; `counts` gives a host that its site
    is judged by, None for one that is not: roaming hosts leave and come as they like.
    """
    if not newly.any():
        return set()
    sites = {host.site_id for host in map(counts, numbers[newly].tolist()) if host is not None}
    sites.discard("")  # hosts of a replayed file have none
    if not sites:
        return set()  # as a rule workstations: many are off, and their site is not judged by them
    by_site: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, span in zip(numbers.tolist(), silent.tolist(), strict=True):
        host = counts(number)
        if host is not None and host.site_id in sites:
            by_site[host.site_id].append((span, number))
    fell = {number for hosts in by_site.values() for number in _fell(sorted(hosts))}
    return fell & set(numbers[newly].tolist())


def _fell(hosts: Sequence[tuple[int, int]]) -> list[int]:
    """Return the hosts of one site, (silence, number) in order, with enough others beside them."""
    spans, numbers = np.array(hosts, np.int64).T
    beside = np.searchsorted(spans, spans + FELL_WITHIN, "right")
    beside -= np.searchsorted(spans, spans - FELL_WITHIN, "left")
    found: list[int] = numbers[
        (beside >= MANY) | ((beside == len(hosts)) & (beside >= _ALL))
    ].tolist()
    return found


def is_judged(rule: str, number: int, with_site: Collection[int]) -> bool:
    """Say whether a rule of silence is about a host: each silence is told by one of them."""
    if rule == SITE_SILENT:
        return number in with_site
    return rule != HOST_SILENT or number not in with_site
