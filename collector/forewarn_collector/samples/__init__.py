"""Readings and runs over time, behind one small interface.

A series is a host and a *shape*: a metric with its labels, interned to a small integer that all
hosts share.  Two integer columns name a series, so nothing has to be registered per series.

Times are whole microseconds since 1970, UTC.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from forewarn_checks.base import Lane, Outcome


@dataclass(frozen=True, slots=True)
class Shape:
    """What a series measures, without the host it is on."""

    metric: str
    labels: tuple[tuple[str, str], ...]  # sorted by label name


@dataclass(frozen=True, slots=True)
class ArrivedRun:
    """One run, dated by the collector.  `check` names it; samples are in its `Arrival`."""

    sequence: int
    check: str
    at: int  # event time
    duration_seconds: float
    outcome: Outcome
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """The new runs of one accepted batch: samples as three parallel columns, and the new mark.

    `host` is the host's number.  Committing it makes `through` the mark of (host, spool, lane).
    """

    host: int
    spool: str
    lane: Lane
    through: int
    received: int
    runs: tuple[ArrivedRun, ...]
    shapes: Sequence[int] = field(default_factory=tuple)
    times: Sequence[int] = field(default_factory=tuple)
    values: Sequence[float] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Points:
    """New points in the order they became durable, as columns of equal length.

    `through` is the cursor to ask from next time.
    """

    host: NDArray[np.int64]
    shape: NDArray[np.int64]
    at: NDArray[np.int64]
    value: NDArray[np.float64]
    received: NDArray[np.int64]
    through: int


@dataclass(frozen=True, slots=True)
class Newest:
    """When the newest run of each check of each host was, as columns of equal length.

    `shape` is that of the point a run leaves of itself, ``check_failed{check}``.
    """

    host: NDArray[np.int64]
    shape: NDArray[np.int64]
    at: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Reading:
    """The latest value of one series."""

    metric: str
    labels: Mapping[str, str]
    value: float
    at: int
    received: int


@dataclass(frozen=True, slots=True)
class CheckStatus:
    """How the latest run of one check on one host went."""

    check: str
    outcome: Outcome
    error: str
    at: int
    received: int
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class Series:
    """One series over a span, thinned to at most the points asked for.

    `low` and `high` are the extremes of each step, `value` its mean.
    """

    labels: Mapping[str, str]
    at: NDArray[np.int64]
    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Span:
    """How far back and how finely to read, in microseconds.

    Steps are counted back from the end: of `fine` length within `fine_for`, else of `coarse`.
    """

    back: int
    coarse: int
    fine_for: int
    fine: int


@dataclass(frozen=True, slots=True)
class Histories:
    """Histories of several series, thinned, as columns of equal length, by `row` and time.

    `row` is the index of the series in what was asked for; `first` and `last` are the moments of
    the first and last reading of a step, `low` and `high` the extremes.
    """

    row: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


class SampleStore(Protocol):
    """Append, latest, history, forget.  Safe to call from any thread."""

    def shape(self, metric: str, labels: Mapping[str, str]) -> int:
        """Return the number of a shape, making one if needed; durable with the next append."""

    def shapes(self) -> Sequence[Shape]:
        """Return every shape; the index is its number."""

    def append(self, arrivals: Sequence[Arrival]) -> None:
        """Make arrivals, their runs and their marks durable, all or none.  Repeats change nothing.

        An arrival whose runs are all at or below the mark is left out; one that reaches back
        below the mark must have been cut by the caller (`mark`).
        """

    def mark(self, host: int, spool: str, lane: Lane) -> int:
        """Return the highest sequence held of this lane, -1 for none."""

    def last_received(self) -> Mapping[int, int]:
        """Return when each host was last heard (receive time), by host number."""

    def new_points(self, after: int, limit: int = 500_000) -> Points:
        """Return points that became durable after cursor `after`, whole commits only.

        Besides every sample there is one point of metric ``check_failed{check}`` a run:
        1.0 if it failed or timed out, else 0.0.
        """

    def newest(self, through: int) -> Newest:
        """Return when the newest runs were of what became durable up to cursor `through`."""

    def latest(self, host: int) -> Sequence[Reading]:
        """Return the latest value of every series of a host."""

    def latest_of(self, hosts: Collection[int]) -> Mapping[int, Sequence[Reading]]:
        """Return what `latest` does of many hosts, by number, read at once."""

    def statuses(self, host: int | None = None) -> Mapping[int, Sequence[CheckStatus]]:
        """Return how the latest run of each check went, by host number, for one host or all."""

    def history(
        self, host: int, metric: str, since: int, until: int, steps: int = 500
    ) -> Sequence[Series]:
        """Return every series of `metric` on `host` in [since, until), at most `steps` points."""

    def histories(
        self,
        host: NDArray[np.int64],
        shape: NDArray[np.int64],
        until: NDArray[np.int64],
        span: Span,
    ) -> Histories:
        """Return what many series were up to and at a moment of each, thinned as `span` says."""

    def sequences(self, host: int) -> Sequence[tuple[str, Lane, int]]:
        """Return (spool, lane, sequence) of every run held, in order; repeats would show."""

    def forget(self, before: int) -> int:
        """Delete whole files older than `before`; return how many went."""

    def close(self) -> None:
        """Finish what is under way and close."""
