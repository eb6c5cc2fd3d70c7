"""Small integers for what samples are named by: shapes (metric and labels) and spools.

Both tables only grow, are held in memory and are written with the samples that use them.  They
keep few Python objects a name: a fleet has one label set per drive and per filesystem.
"""

import threading
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import overload

from forewarn_checks.base import Lane
from forewarn_collector.samples import Shape

Labels = tuple[tuple[str, str], ...]
LANES = tuple(Lane)
LANE_NUMBERS = {lane: number for number, lane in enumerate(LANES)}


def refuse_broken(*texts: str) -> None:
    """Raise UnicodeEncodeError for text that is none: half a surrogate pair.

    DuckDB would call that fatal and refuse every later statement.
    """
    for text in texts:
        text.encode()


class Shapes(Sequence[Shape]):
    """Every shape; the index is its number.  Safe to share between threads."""

    def __init__(self) -> None:
        self._metrics: list[str] = []
        self._metric_numbers: dict[str, int] = {}
        self._labels: list[Labels] = []
        self._label_numbers: dict[Labels, int] = {}
        self._numbers: dict[int, int] = {}
        self._of_metric: dict[str, array[int]] = {}
        self._rows = array("Q")  # metric number << 32 | label set number, by shape number
        self._growing = threading.Lock()

    def number(self, metric: str, labels: Mapping[str, str]) -> int:
        """Return the number of a shape, giving it one if it is new.

        Raises UnicodeEncodeError for a name that is no text.
        """
        key = tuple(sorted(labels.items())) if labels else ()
        known = self.find(metric, key)
        return self._add(metric, key) if known is None else known

    def find(self, metric: str, labels: Labels) -> int | None:
        """Return the number of a shape, None if it has none.  `labels` are sorted by name."""
        row = self._label_numbers.get(labels)
        of_metric = self._metric_numbers.get(metric)
        if row is None or of_metric is None:
            return None
        return self._numbers.get(of_metric << 32 | row)

    def of_metric(self, metric: str) -> Sequence[int]:
        """Return the numbers of every shape of a metric."""
        return self._of_metric.get(metric, array("l"))

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Shape: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Shape]: ...
    def __getitem__(self, index: int | slice) -> Shape | Sequence[Shape]:
        if isinstance(index, slice):
            return [self._shape(row) for row in self._rows[index]]
        return self._shape(self._rows[index])

    def __iter__(self) -> Iterator[Shape]:
        return map(self._shape, self._rows)

    def _shape(self, row: int) -> Shape:
        return Shape(self._metrics[row >> 32], self._labels[row & 0xFFFFFFFF])

    def _add(self, metric: str, labels: Labels) -> int:
        refuse_broken(metric, *(text for pair in labels for text in pair))
        with self._growing:
            known = self.find(metric, labels)
            if known is not None:
                return known
            of_metric = self._metric_numbers.setdefault(metric, len(self._metrics))
            if of_metric == len(self._metrics):
                self._metrics.append(metric)
            of_labels = self._label_numbers.setdefault(labels, len(self._labels))
            if of_labels == len(self._labels):
                self._labels.append(labels)
            number = len(self._rows)
            row = of_metric << 32 | of_labels
            self._rows.append(row)
            self._of_metric.setdefault(metric, array("l")).append(number)
            self._numbers[row] = number  # last: `find` takes no lock
            return number


class Spools:
    """The spools of every host, and how far each lane of them is held.

    A spool is numbered per host, so that nobody can move the marks of another host's spool.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, str], int] = {}
        self._names: list[tuple[int, str]] = []
        self._marks = array("q")

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, number: int) -> tuple[int, str]:
        """Return the host and the id of a spool."""
        return self._names[number]

    def number(self, host: int, spool: str) -> int:
        """Return the number of a spool, giving it one if it is new.  One caller at a time."""
        number = self._numbers.get((host, spool))
        if number is None:
            refuse_broken(spool)
            number = len(self._names)
            self._names.append((host, spool))
            self._marks.extend([-1] * len(LANES))
            self._numbers[(host, spool)] = number
        return number

    def knows(self, host: int, spool: str) -> bool:
        """Return whether this spool has a number."""
        return (host, spool) in self._numbers

    def mark(self, host: int, spool: str, lane: Lane) -> int:
        """Return the highest sequence held of a lane, -1 for none."""
        number = self._numbers.get((host, spool))
        return -1 if number is None else self._marks[number * len(LANES) + LANE_NUMBERS[lane]]

    def reach(self, number: int, lane: int, through: int) -> None:
        """Move the mark of a lane, by number, forward."""
        index = number * len(LANES) + lane
        self._marks[index] = max(self._marks[index], through)
