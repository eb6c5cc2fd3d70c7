"""Follow the counters of all hosts, set at a time, and pick the few components where one rose.

Almost every counter stands still almost always: of those nothing is kept but a number and a
moment, and nothing is written.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from forewarn_collector.rules.book import BookedRule, RuleBook
from forewarn_collector.rules.counters import Accepted, Counter, Counters, Rises, count
from forewarn_collector.samples import Points, Shape

_HOST_SHIFT = 32
_METRIC_BITS = 6
"""A key is host, part (a component's number) and metric: ``host << 32 | part << 6 | metric``."""
_LONG_AGO = np.int64(-(2**62))


@dataclass(frozen=True, slots=True)
class Remembered:
    """One counter as it is kept from one start of the collector to the next."""

    host: int
    component: str
    metric: str
    counter: Counter


@dataclass(frozen=True, slots=True)
class Moment:
    """The counters of a component right after the readings of one event time.

    `shape` is that of one of these readings, `received` when it was received.
    """

    at: int
    received: int
    shape: int
    counters: Counters


@dataclass(slots=True)
class Counted:
    """What the readings of one round come to; nothing is remembered before `Tally.keep`.

    `moments` are those of every component, (host, component), that may matter to a rule; `sights`
    the first values ever seen, where they are above 0.
    """

    keys: NDArray[np.int64]
    value: NDArray[np.float64]
    at: NDArray[np.int64]
    changed: NDArray[np.bool_]
    moments: dict[tuple[int, str], list[Moment]] = field(default_factory=dict)
    rises: dict[int, Rises] = field(default_factory=dict)
    sights: list[tuple[int, float, int]] = field(default_factory=list)


class Tally:
    """The newest value of every counter that a growth rule of the book is about."""

    def __init__(self, book: RuleBook) -> None:
        self._booked = growing(book)
        self._metric_names = tuple(self._booked)
        self._metrics = {name: number for number, name in enumerate(self._booked)}
        if len(self._metrics) > 1 << _METRIC_BITS:
            raise ValueError(f"rules of growth name more than {1 << _METRIC_BITS} metrics")
        self._parts: dict[str, int] = {}
        self._names: list[str] = []
        self._slot = np.empty(0, np.int64)
        self._keys = np.empty(0, np.int64)
        self._value = np.empty(0, np.float64)
        self._at = np.empty(0, np.int64)
        self._rises: dict[int, Rises] = {}

    @property
    def metrics(self) -> frozenset[str]:
        """The names of the counters that are followed."""
        return frozenset(self._metrics)

    def load(self, rows: Iterable[Remembered]) -> None:
        """Begin with what was kept; counters that no rule is about any more are left out."""
        found = sorted(
            (self._key(row.host, row.component, row.metric), row.counter)
            for row in rows
            if row.metric in self._metrics
        )
        self._keys = np.array([key for key, _ in found], np.int64)
        self._value = np.array([counter.value for _, counter in found], np.float64)
        self._at = np.array([counter.at for _, counter in found], np.int64)
        self._rises = {key: counter.rises for key, counter in found if counter.rises}

    def learn(self, shapes: Sequence[Shape]) -> None:
        """Take in the shapes beyond those known."""
        new = shapes[len(self._slot) :]
        if new:
            self._slot = np.append(self._slot, [self._slot_of(shape) for shape in new])

    def take(self, points: Points, troubled: Iterable[tuple[int, str]]) -> Counted:
        """Count new points.  `troubled` are (host, component) with an alert that is not ok.

        Points no newer than what was counted are left out; of several series of one component at
        one moment the largest counts.
        """
        slot = self._slot[points.shape]
        rows = np.flatnonzero(slot >= 0)
        keys = points.host[rows] << _HOST_SHIFT | slot[rows]
        order = np.lexsort((points.value[rows], points.at[rows], keys))
        rows, keys = rows[order], keys[order]
        at = points.at[rows]
        place, known = self._find(keys)
        newest = np.full(len(keys), _LONG_AGO)
        newest[known] = self._at[place[known]]
        newer = at > newest
        largest = np.append((keys[1:] != keys[:-1]) | (at[1:] != at[:-1]), np.True_)[: len(rows)]
        kept = newer & largest
        rows, keys, at, place, known = (
            rows[kept],
            keys[kept],
            at[kept],
            place[kept],
            known[kept],
        )
        value = points.value[rows]
        first = np.append(np.True_, keys[1:] != keys[:-1])[: len(keys)]
        before = np.append(np.nan, value[:-1])[: len(value)]
        before[first] = np.nan
        before[first & known] = self._value[place[first & known]]
        starts = np.flatnonzero(first)
        ends = np.append(starts[1:], len(keys))[: len(starts)] - 1
        differs = value != before  # first sight, too: nothing is equal to NaN
        changed = np.logical_or.reduceat(differs, starts) if len(starts) else np.empty(0, np.bool_)
        counted = Counted(keys[ends], value[ends], at[ends], changed)
        seen = starts[~known[starts] & (value[starts] > 0)]
        counted.sights.extend(
            zip(keys[seen].tolist(), value[seen].tolist(), at[seen].tolist(), strict=True)
        )
        wanted = np.unique(keys[value > before] >> _METRIC_BITS)
        held = [self._key(host, name, "") >> _METRIC_BITS for host, name in troubled]
        wanted = np.union1d(wanted, np.array(held, np.int64))
        parts = keys >> _METRIC_BITS
        for part in wanted.tolist():
            low, high = np.searchsorted(parts, (part, part + 1)).tolist()
            if low < high:
                self._follow(counted, part, points, rows[low:high], keys[low:high])
        return counted

    def keep(self, counted: Counted) -> None:
        """Remember what was counted, once it is on disk."""
        place, known = self._find(counted.keys)
        self._value[place[known]] = counted.value[known]
        self._at[place[known]] = counted.at[known]
        if not known.all():
            new, spot = ~known, place[~known]
            self._keys = np.insert(self._keys, spot, counted.keys[new])
            self._value = np.insert(self._value, spot, counted.value[new])
            self._at = np.insert(self._at, spot, counted.at[new])
        self._rises |= counted.rises

    def changes(self, counted: Counted) -> Iterator[Remembered]:
        """Yield the counters that have another value than before, to be written."""
        which = np.flatnonzero(counted.changed)
        for number in which.tolist():
            key = int(counted.keys[number])
            rises = counted.rises.get(key, self._rises.get(key, ()))
            yield Remembered(
                key >> _HOST_SHIFT,
                self._part(key),
                self._metric(key),
                Counter(float(counted.value[number]), int(counted.at[number]), rises),
            )

    def inherited(self, counted: Counted) -> Iterator[Remembered]:
        """Yield what was there already when it was first seen."""
        for key, value, at in counted.sights:
            yield Remembered(
                key >> _HOST_SHIFT, self._part(key), self._metric(key), Counter(value, at)
            )

    def counters(self, host: int, component: str) -> Counters:
        """Return the counters of a component as they are known."""
        return self._counters(self._key(host, component, "") >> _METRIC_BITS << _METRIC_BITS)

    def accept(self, rows: Iterable[Accepted]) -> None:
        """Count only what grew after it was accepted.  Accepting again changes nothing."""
        for row in rows:
            for metric, until in row.until.items():
                if metric not in self._metrics:
                    continue
                key = self._key(row.host, row.component, metric)
                self._rises[key] = tuple(
                    rise for rise in self._rises.get(key, ()) if rise[0] > until
                )

    # -- one component ---------------------------------------------------------------------------

    def _follow(
        self,
        counted: Counted,
        part: int,
        points: Points,
        rows: NDArray[np.intp],
        keys: NDArray[np.int64],
    ) -> None:
        """Count the readings of one component one by one, moment by moment."""
        first = part << _METRIC_BITS
        counters = self._counters(first)
        moments: list[Moment] = []
        order = np.argsort(points.at[rows], kind="stable")
        for row, key in zip(rows[order].tolist(), keys[order].tolist(), strict=True):
            name, at = self._metric(key), int(points.at[row])
            counters = counters | {name: count(counters.get(name), at, float(points.value[row]))}
            moment = Moment(at, int(points.received[row]), int(points.shape[row]), counters)
            if moments and moments[-1].at == at:
                moments[-1] = moment
            else:
                moments.append(moment)
            if counters[name].rises:
                counted.rises[key] = counters[name].rises
        counted.moments[first >> _HOST_SHIFT, self._part(first)] = moments

    def _counters(self, first: int) -> dict[str, Counter]:
        return {
            name: counter
            for name, number in self._metrics.items()
            for counter in [self._counter(first | number)]
            if counter is not None
        }

    def _counter(self, key: int) -> Counter | None:
        place = int(np.searchsorted(self._keys, key))
        if place == len(self._keys) or self._keys[place] != key:
            return None
        return Counter(float(self._value[place]), int(self._at[place]), self._rises.get(key, ()))

    # -- keys ------------------------------------------------------------------------------------

    def _find(self, keys: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return where each key is or belongs, and whether it is there."""
        place = np.searchsorted(self._keys, keys)
        known = place < len(self._keys)
        known[known] = self._keys[place[known]] == keys[known]
        return place, known

    def _slot_of(self, shape: Shape) -> int:
        number = self._metrics.get(shape.metric)
        if number is None:
            return -1
        component = self._booked[shape.metric].component.name(dict(shape.labels))
        return self._part_number(component) << _METRIC_BITS | number

    def _key(self, host: int, component: str, metric: str) -> int:
        slot = self._part_number(component) << _METRIC_BITS | self._metrics.get(metric, 0)
        return host << _HOST_SHIFT | slot

    def _part_number(self, component: str) -> int:
        number = self._parts.setdefault(component, len(self._names))
        if number == len(self._names):
            self._names.append(component)
        return number

    def _part(self, key: int) -> str:
        return self._names[(key & (1 << _HOST_SHIFT) - 1) >> _METRIC_BITS]

    def _metric(self, key: int) -> str:
        return self._metric_names[key & (1 << _METRIC_BITS) - 1]


def growing(book: RuleBook) -> Mapping[str, BookedRule]:
    """Return, by metric, one of the growth rules of a book that are about it."""
    return {name: booked for booked in book.growing() for name in booked.counters}
