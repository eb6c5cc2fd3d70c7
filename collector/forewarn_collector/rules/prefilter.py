"""Pick, set at a time, the few new points that any rule could care about.

A point matters when it is at or past the loosest mark of any form of any rule on its metric, or
when an alert on its component is not ok.  All others are left out before Python looks at one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, nan

import numpy as np
from numpy.typing import NDArray

from forewarn_collector.rules.book import BookedRule, RuleBook
from forewarn_collector.rules.kinds import kind_of
from forewarn_collector.rules.own import CHECK_FAILED
from forewarn_collector.samples import Points, Shape

_HOST_SHIFT = 32
"""A key is the host's number and a slot: ``host << 32 | slot``."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A metric that rules judge: their names, and every form they take on any host."""

    rules: tuple[str, ...]
    forms: tuple[BookedRule, ...]

    @property
    def booked(self) -> BookedRule:
        """Any of them: check and component are the same for all."""
        return self.forms[0]


class Prefilter:
    """Knows of every shape whether and from where it matters.  Grows as shapes appear."""

    def __init__(self, book: RuleBook) -> None:
        self._judged = _judged(book)
        self._marks = {name: _marks(judged) for name, judged in self._judged.items()}
        named = dict.fromkeys(judged.booked.check for judged in self._judged.values())
        self._checks = {name: number for number, name in enumerate(named)}
        self.common = len(named)
        """Checks below this number are named by the book; others are hosts' own."""
        self._slots: dict[tuple[str, str], int] = {}
        self._companions: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
        self._shapes: list[Shape] = []
        self._labels: list[Mapping[str, str]] = []
        self._components: list[str] = []
        self._found: dict[tuple[int, str], int] = {}
        self._above = np.empty(0)
        self._below = np.empty(0)
        self._equals: NDArray[np.float64] = np.empty((0, 0))
        self.slot = np.empty(0, np.int64)
        self.check = np.empty(0, np.int64)

    def learn(self, shapes: Sequence[Shape]) -> None:
        """Take in the shapes beyond those known."""
        new = shapes[len(self._shapes) :]
        if not new:
            return
        marks = [self._marks.get(shape.metric, _NEVER) for shape in new]
        width = max(self._equals.shape[1], *(len(mark.equals) for mark in marks))
        equals = np.full((len(self._shapes) + len(new), width), nan)
        equals[: len(self._shapes), : self._equals.shape[1]] = self._equals
        for row, mark in enumerate(marks, start=len(self._shapes)):
            equals[row, : len(mark.equals)] = mark.equals
        self._equals = equals
        self._above = np.append(self._above, [mark.above for mark in marks])
        self._below = np.append(self._below, [mark.below for mark in marks])
        self.slot = np.append(self.slot, [self._slot_of(shape) for shape in new])
        self.check = np.append(self.check, [self._check_of(shape) for shape in new])
        for number, shape in enumerate(new, start=len(self._shapes)):
            self._companions[shape.metric, shape.labels] = number
        self._shapes.extend(new)
        self._labels.extend(dict(shape.labels) for shape in new)
        self._components.extend(map(self._component_of, new))

    def pick(self, points: Points, troubled: NDArray[np.int64]) -> "Picked":
        """Return the points that matter, by component, each component's in order of event time.

        `troubled` are the keys of components with an alert that is not ok.
        """
        slot = self.slot[points.shape]
        rows = np.flatnonzero(slot >= 0)
        keys = points.host[rows] << _HOST_SHIFT | slot[rows]
        raising = self._raises(points.shape[rows], points.value[rows])
        wanted = np.union1d(keys[raising], troubled)
        kept = _among(keys, wanted)
        rows, keys = rows[kept], keys[kept]
        order = np.lexsort((points.at[rows], keys))
        return Picked(rows[order], keys[order])

    def judged(self, shape: int) -> Judged:
        """Return what judges the series of a shape that was picked."""
        return self._judged[self._shapes[shape].metric]

    @property
    def known(self) -> int:
        """How many shapes were learnt."""
        return len(self._shapes)

    def labels(self, shape: int) -> Mapping[str, str]:
        """Return the labels of a shape that was learnt."""
        return self._labels[shape]

    def component(self, shape: int) -> str:
        """Return the component of a shape that is judged, "" for another."""
        return self._components[shape]

    def companions(self, shape: int) -> Iterable[int]:
        """Return the shapes of all second metrics that rules on a shape need."""
        judged = self._judged.get(self._shapes[shape].metric)
        found = [self.companion(shape, form) for form in judged.forms] if judged else []
        return [number for number in found if number is not None]

    def companion(self, shape: int, booked: BookedRule) -> int | None:
        """Return the shape of the second metric on the same component, None if there is none."""
        metric = booked.companion
        if metric is None:
            return None
        found = self._found.get((shape, metric.name))
        if found is None:
            labels = self._labels[shape]
            mine = tuple(sorted((name, labels.get(name, "")) for name in metric.labels))
            found = self._companions.get((metric.name, mine))
            if found is not None:
                self._found[shape, metric.name] = found
        return found

    def keys(self, alerts: Iterable[tuple[int, str, str]]) -> NDArray[np.int64]:
        """Return the keys of (host number, metric, component)."""
        found = [host << _HOST_SHIFT | self._slot(metric, name) for host, metric, name in alerts]
        return np.unique(np.array(found, np.int64))

    def _raises(self, shape: NDArray[np.int64], value: NDArray[np.float64]) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = (value >= self._above[shape]) | (value <= self._below[shape])
        for column in self._equals.T:
            mask |= value == column[shape]
        return mask

    def _component_of(self, shape: Shape) -> str:
        judged = self._judged.get(shape.metric)
        return "" if judged is None else judged.booked.component.name(dict(shape.labels))

    def _slot_of(self, shape: Shape) -> int:
        if shape.metric not in self._judged:
            return -1
        return self._slot(shape.metric, self._component_of(shape))

    def _slot(self, metric: str, component: str) -> int:
        return self._slots.setdefault((metric, component), len(self._slots))

    def _check_of(self, shape: Shape) -> int:
        judged = self._judged.get(shape.metric)
        if shape.metric == CHECK_FAILED.name:
            # The point a run leaves of itself is dated like the run's samples.
            return self._check(dict(shape.labels).get("check", ""))
        return -1 if judged is None else self._check(judged.booked.check)

    def _check(self, name: str) -> int:
        return self._checks.setdefault(name, len(self._checks))


@dataclass(frozen=True, slots=True)
class Picked:
    """Rows of the points that matter, and the key of the component of each."""

    rows: NDArray[np.intp]
    keys: NDArray[np.int64]

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield from where to where in `rows` each component is."""
        bounds = np.flatnonzero(np.diff(self.keys)) + 1
        return pairwise([0, *bounds.tolist(), len(self.rows)]) if len(self.rows) else iter(())


@dataclass(frozen=True, slots=True)
class _LooseMarks:
    above: float = inf
    below: float = -inf
    equals: tuple[float, ...] = ()


_NEVER = _LooseMarks()


def _judged(book: RuleBook) -> Mapping[str, Judged]:
    """Return, by metric, the rules that judge it anywhere."""
    found: dict[str, Judged] = {}
    for name in book.names():
        forms = book.variants(name)
        metric = forms[0].metric
        # Counters have a tally of their own.
        if metric is not None and not forms[0].counters:
            before = found.get(metric.name, Judged((), ()))
            found[metric.name] = Judged((*before.rules, name), (*before.forms, *forms))
    return found


def _marks(judged: Judged) -> _LooseMarks:
    """Return the loosest marks of every form of every rule on a metric."""
    found = [kind_of(form.rule).marks(form.rule) for form in judged.forms]
    return _LooseMarks(
        above=min(mark.above for mark in found),
        below=max(mark.below for mark in found),
        equals=tuple({mark.equals for mark in found if mark.equals == mark.equals}),  # no NaN
    )


def _among(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which keys are in `wanted`, which is sorted."""
    if not len(wanted):
        return np.zeros(len(keys), np.bool_)
    at = np.searchsorted(wanted, keys)
    at[at == len(wanted)] = 0
    found: NDArray[np.bool_] = wanted[at] == keys
    return found
