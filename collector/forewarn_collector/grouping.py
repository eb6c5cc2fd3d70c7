"""Count the tickets that replayed episodes would have been on: a component's, or a site's.

As live: one ticket a component while any of its episodes lasts, and one for a rule that five hosts
of a site raise within a minute, which later hosts join; the same ticket again within a day after.
The budget of new tickets is not counted, nor are single tickets that a site's would have taken
over.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from forewarn_collector.replay import Replayed
from forewarn_collector.rules.together import SITE_SILENT
from forewarn_collector.state.episodes import REOPEN_WITHIN
from forewarn_collector.state.register import GATHER, TOGETHER

_MICROSECOND = timedelta(microseconds=1)
_REOPENS = REOPEN_WITHIN // _MICROSECOND
_GATHER = GATHER // _MICROSECOND


def count_tickets(episodes: Sequence[Replayed]) -> int:
    """Return on how many tickets the episodes would have been."""
    order = sorted(range(len(episodes)), key=lambda place: episodes[place].opened_at)
    by_site: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place in order:
        one = episodes[place]
        if one.host.site_id:  # hosts of a replayed file have none
            by_site[one.host.site_id, one.rule].append(place)
    shared: set[int] = set()
    count = 0
    for (_, rule), places in by_site.items():
        for joined in _crowds(episodes, places, rule):
            shared.update(joined)
        count += _spells(episodes[place] for place in places if place in shared)
    own: dict[tuple[int, str], list[Replayed]] = defaultdict(list)
    for place in order:
        if place not in shared:
            own[episodes[place].host.number, episodes[place].component].append(episodes[place])
    return count + sum(_spells(those) for those in own.values())


def _crowds(episodes: Sequence[Replayed], places: Sequence[int], rule: str) -> Iterator[list[int]]:
    """Yield the episodes of one site's rule that share a ticket, those of one moment together."""
    until = -1.0
    near: list[int] = []
    for place in places:
        at = episodes[place].opened_at
        if at <= until:
            until = max(until, _end(episodes[place]))
            yield [place]
            continue
        near = [one for one in near if at - episodes[one].opened_at <= _GATHER] + [place]
        hosts = {episodes[one].host.number for one in near}
        if len(hosts) >= TOGETHER or rule == SITE_SILENT:
            until = max(_end(episodes[one]) for one in near)
            yield near
            near = []


def _spells(episodes: Iterable[Replayed]) -> int:
    """Return how many tickets episodes of one subject are, in the order they opened."""
    count, until = 0, -1.0
    for one in episodes:
        if one.opened_at > until:
            count += 1
        until = max(until, _end(one) + _REOPENS)
    return count


def _end(one: Replayed) -> float:
    return float("inf") if one.closed_at is None else one.closed_at
