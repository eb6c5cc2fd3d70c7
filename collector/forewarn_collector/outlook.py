"""Look ahead: which series are worth a forecast this hour, from what history, and what it says.

Every series is looked at once an hour at most, in a second of its own, and only if it could get a
date (`rules.highs`) or has an alert.  Histories of all that are due are read at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from forewarn_checks.base import Forecast
from forewarn_collector.judgement import Judgement, Made
from forewarn_collector.rules.ahead import due_of
from forewarn_collector.rules.book import BookedRule
from forewarn_collector.rules.forecast import YOUNG_LEVEL, Date, forecast
from forewarn_collector.rules.highs import Highs
from forewarn_collector.rules.kind import AlertState, Observation
from forewarn_collector.samples import Histories, Points, Shape, Span
from forewarn_collector.state.hosts import KnownHost

HOUR = 3_600_000_000
_MINUTE = 60_000_000
_BACK = 15 * 24 * HOUR
_FORECAST_SPAN = Span(back=_BACK, coarse=HOUR, fine_for=12 * HOUR, fine=5 * _MINUTE)
_LEARN_SPAN = Span(back=_BACK, coarse=HOUR, fine_for=0, fine=HOUR)
_LEARN_AT_ONCE = 400  # about a second of a pass, while a large fleet is learnt anew
_HOST_SHIFT = 32
_REACHED = 0.999
_RESIZED = 0.01

Numbers = NDArray[np.int64]


class Reader(Protocol):
    """Where histories are read: as much of a `SampleStore` as is needed here."""

    def histories(self, host: Numbers, shape: Numbers, until: Numbers, span: Span) -> Histories:
        """Return what many series were up to and at a moment of each."""


@dataclass(frozen=True, slots=True)
class Look:
    """One forecast of one series.  `reached` is since when the level is reached, None if not."""

    host: int
    shape: int
    observation: Observation
    reached: int | None


class Outlook:
    """One forecast rule over all hosts.  `settle` keeps what `look` did; else it is done again."""

    def __init__(self, forms: Sequence[BookedRule], reader: Reader) -> None:
        self.booked = forms[0]
        rule = self.booked.rule
        assert isinstance(rule, Forecast), rule
        self._rule = rule
        self._reader = reader
        self._shapes: list[Shape] = []
        self._target = np.empty(0, np.int64)  # of a shape: the shape judged, itself or its like
        self._by_labels: dict[tuple[tuple[str, str], ...], list[int | None]] = {}
        self._of_component: dict[str, list[int]] = {}
        self._keys = np.empty(0, np.int64)  # sorted
        self._rows = np.empty(0, np.int64)  # the row of each key
        self._highs = Highs(rule.reaches)
        self._looked = np.empty(0, np.int64)
        self._next_looked: Numbers | None = None
        self._learnt = np.empty(0, np.bool_)
        self._seen = np.empty(0, np.int64)

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.booked.name

    def component(self, shape: int) -> str:
        """Return the component a judged shape is of."""
        return self.booked.component.name(self.labels(shape))

    def labels(self, shape: int) -> Mapping[str, str]:
        """Return the labels of a shape."""
        return dict(self._shapes[shape].labels)

    # -- which ------------------------------------------------------------------------------------

    def look(
        self, points: Points, shapes: Sequence[Shape], live: Iterable[tuple[int, str]]
    ) -> list[Look]:
        """Return the forecasts that are due with these points, in order of event time.

        `live` are host and component of every alert of the rule that is not ok.
        """
        self._name(shapes)
        self._next_looked = None
        picked = np.flatnonzero(self._target[points.shape] >= 0)
        if not len(picked):
            return []
        target = self._target[points.shape[picked]]
        rows = self._rows_of(points.host[picked] << _HOST_SHIFT | target)
        is_main = target == points.shape[picked]
        order = np.lexsort((is_main, points.at[picked], rows))
        picked, rows, is_main = picked[order], rows[order], is_main[order]
        self._learn(rows, points.at[picked])
        asked = self._due(points, picked, rows, is_main, self._live(live))
        return self._forecast(points, asked)

    def settle(self) -> None:
        """Keep that what was due has been looked at."""
        if self._next_looked is not None:
            self._looked, self._next_looked = self._next_looked, None

    def _due(
        self,
        points: Points,
        picked: NDArray[np.intp],
        rows: Numbers,
        is_main: NDArray[np.bool_],
        live: NDArray[np.bool_],
    ) -> Numbers:
        """Take readings in, one a series at a time, and return the points to forecast at."""
        looked = self._looked.copy()
        found = []
        for turn in _turns(rows):
            sizes, mains = turn[~is_main[turn]], turn[is_main[turn]]
            for some, take in ((sizes, self._highs.resize), (mains, self._highs.take)):
                if len(some):
                    take(rows[some], points.at[picked[some]], points.value[picked[some]])
            if not len(mains):
                continue
            row, at = rows[mains], points.at[picked[mains]]
            self._seen[row] = at
            slot = (at + self._phase(row)) // HOUR
            due = slot > looked[row]
            value = points.value[picked[mains]]
            # After a start a large fleet is learnt for an hour; what is nearly full cannot wait.
            told = self._learnt[row] | (value >= YOUNG_LEVEL * self._rule.reaches)
            worth = self._highs.may_date(row, at, value) & told
            chosen = due & (worth | live[row])
            looked[row[chosen]] = slot[chosen]
            live[row[chosen]] = True
            found.append(picked[mains[chosen]])
        self._next_looked = looked
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def _phase(self, row: Numbers) -> Numbers:
        # Spread over the hour, so that no pass has all of them to do.
        return row * 2_654_435_761 % HOUR

    def _live(self, live: Iterable[tuple[int, str]]) -> NDArray[np.bool_]:
        keys = [
            host << _HOST_SHIFT | shape
            for host, component in live
            for shape in self._of_component.get(component, ())
        ]
        found = np.zeros(len(self._looked), np.bool_)
        wanted = np.array(sorted(keys), np.int64)
        found[self._rows[np.isin(self._keys, wanted, assume_unique=True)]] = True
        return found

    # -- names ------------------------------------------------------------------------------------

    def _name(self, shapes: Sequence[Shape]) -> None:
        """Take in the shapes beyond those known."""
        begin = len(self._shapes)
        target = [-1] * (len(shapes) - begin)
        companion = self._rule.restarts_on
        self._target = np.append(self._target, np.array(target, np.int64))
        for number, shape in enumerate(shapes[begin:], begin):
            self._shapes.append(shape)
            if shape.metric == self._rule.metric.name:
                self._pair(number, shape, 0)
                self._of_component.setdefault(self.component(number), []).append(number)
            elif companion is not None and shape.metric == companion.name:
                self._pair(number, shape, 1)

    def _pair(self, number: int, shape: Shape, side: int) -> None:
        pair = self._by_labels.setdefault(shape.labels, [None, None])
        pair[side] = number
        main, size = pair
        if main is not None:
            self._target[main] = main
            if size is not None:
                self._target[size] = main

    def _rows_of(self, keys: Numbers) -> Numbers:
        """Return the row of each key, making rows for new ones."""
        place = np.searchsorted(self._keys, keys)
        known = place < len(self._keys)
        known[known] = self._keys[place[known]] == keys[known]
        new = np.unique(keys[~known])
        if len(new):
            count = len(self._keys)
            self._rows = np.append(self._rows, np.arange(count, count + len(new)))
            self._keys = np.append(self._keys, new)
            order = np.argsort(self._keys, kind="stable")
            self._keys, self._rows = self._keys[order], self._rows[order]
            self._highs.add(len(new))
            self._looked = np.append(self._looked, np.zeros(len(new), np.int64))
            self._learnt = np.append(self._learnt, np.zeros(len(new), np.bool_))
            self._seen = np.append(self._seen, np.zeros(len(new), np.int64))
            place = np.searchsorted(self._keys, keys)
        rows: Numbers = self._rows[place]
        return rows

    # -- what was before we came ------------------------------------------------------------------

    def _learn(self, rows: Numbers, at: Numbers) -> None:
        """Read the peaks of some series that were there before us, neighbours first."""
        if self._learnt.all():
            return
        places = np.flatnonzero(~self._learnt[self._rows])[:_LEARN_AT_ONCE]
        learning, keys = self._rows[places], self._keys[places]
        until = self._seen.copy()
        first = np.flatnonzero(np.diff(rows, prepend=-1))
        until[rows[first]] = at[first] - 1
        host, main = keys >> _HOST_SHIFT, keys & ((1 << _HOST_SHIFT) - 1)
        past = self._read(host, main, until[learning], _LEARN_SPAN)
        moved, is_main = learning[past.row % len(learning)], past.row < len(learning)
        order = np.lexsort((is_main, past.last, moved))
        moved, is_main = moved[order], is_main[order]
        last, high, low = past.last[order], past.high[order], past.low[order]
        for turn in _turns(moved):
            sizes, mains = turn[~is_main[turn]], turn[is_main[turn]]
            if len(sizes):
                self._highs.resize(moved[sizes], last[sizes], high[sizes])
            if len(mains):
                self._highs.take(moved[mains], last[mains], low[mains])
                self._highs.take(moved[mains], last[mains], high[mains])
        self._learnt[learning] = True

    def _read(self, host: Numbers, main: Numbers, until: Numbers, span: Span) -> Histories:
        """Return histories of the judged series, and below them, in the same order, of their like.

        Rows from ``len(host)`` on are those of `restarts_on`.
        """
        pairs = [self._by_labels[self._shapes[shape].labels][1] for shape in main.tolist()]
        like = np.array([-1 if size is None else size for size in pairs], np.int64)
        return self._reader.histories(
            np.append(host, host), np.append(main, like), np.append(until, until), span
        )

    # -- what it says -----------------------------------------------------------------------------

    def _forecast(self, points: Points, asked: Numbers) -> list[Look]:
        if not len(asked):
            return []
        asked = asked[np.argsort(points.at[asked], kind="stable")]
        host, shape, at = points.host[asked], points.shape[asked], points.at[asked]
        past = self._read(host, shape, at, _FORECAST_SPAN)
        count = len(asked)
        bounds = np.searchsorted(past.row, np.arange(2 * count + 1))
        found = []
        for place in range(count):
            restarted = _restarted(past, slice(bounds[count + place], bounds[count + place + 1]))
            mine = np.arange(bounds[place], bounds[place + 1])
            mine = mine[past.first[mine] > restarted]
            now = int(at[place])
            ahead = forecast(
                (past.first[mine] - now) / 1e6, past.high[mine], self._rule.reaches, 0.0
            )
            observation = Observation(
                at=now,
                value=float(points.value[asked[place]]),
                received=int(points.received[asked[place]]),
                ahead=ahead,
                restarted=restarted,
            )
            reached = _reached(past, mine, self._rule.reaches)
            found.append(Look(int(host[place]), int(shape[place]), observation, reached))
        return found


def judge_outlook(
    judgement: Judgement,
    outlook: Outlook,
    looks: Iterable[Look],
    host_of: Callable[[int], KnownHost | None],
    effective: Callable[[str, KnownHost], BookedRule | None],
) -> None:
    """Lead forecasts through their rule, and collect those that are to be scored."""
    for look in looks:
        host = host_of(look.host)
        booked = None if host is None or host.revoked else effective(outlook.name, host)
        if host is None or booked is None:
            continue
        component, seen = outlook.component(look.shape), look.observation
        labels = outlook.labels(look.shape)
        judgement.observe(host, booked, component, [[(seen, labels)]])
        date = seen.ahead
        row = judgement.row((host.number, component, booked.name))
        made = Made(
            host=host,
            component=component,
            rule=booked.name,
            at=seen.at,
            value=seen.value,
            due=due_of(date, seen.at) if isinstance(date, Date) and date.seconds > 0 else None,
            reached=look.reached,
            over=not isinstance(date, Date) and (row is None or row.alert.state is AlertState.OK),
        )
        judgement.made.append(made)


def _turns(rows: Numbers) -> Iterator[NDArray[np.intp]]:
    """Yield indices so that each row, whose entries are neighbours, has one at a time, in order."""
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    length = np.diff(np.append(first, len(rows)))
    for turn in range(int(length.max(initial=0))):
        yield first[length > turn] + turn


def _restarted(past: Histories, sizes: slice) -> int:
    """Return the newest moment at which the size was another than it is now, 0 for none."""
    high, low, last = past.high[sizes], past.low[sizes], past.last[sizes]
    if not len(high):
        return 0
    # Within the step of the change both sizes are seen; which is the newer, the step after says.
    now = high[-1] if len(high) == 1 or abs(high[-2] - high[-1]) <= _RESIZED * high[-1] else low[-1]
    differs = np.maximum(np.abs(high - now), np.abs(low - now)) > _RESIZED * abs(now)
    return int(last[np.flatnonzero(differs)[-1]]) if differs.any() else 0


def _reached(past: Histories, mine: NDArray[np.intp], level: float) -> int | None:
    """Return since when the level has been reached without a break, None if it is not now."""
    below = np.flatnonzero(past.high[mine] < _REACHED * level)
    begin = int(below[-1]) + 1 if len(below) else 0
    return int(past.first[mine[begin]]) if begin < len(mine) else None
