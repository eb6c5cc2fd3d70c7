"""Readings in memory, for trials of rules: histories as a store would give them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from forewarn_collector.samples import Histories, Span

Numbers = NDArray[np.int64]
Column = NDArray[np.float64]


class Memory:
    """As much of a `SampleStore` as looking ahead needs."""

    def __init__(self) -> None:
        self._series: dict[tuple[int, int], _Series] = {}

    def take(self, host: Numbers, shape: Numbers, at: Numbers, value: Column) -> None:
        """Keep readings, in any order."""
        order = np.lexsort((shape, host))
        changed = (np.diff(host[order]) != 0) | (np.diff(shape[order]) != 0)
        for rows in np.split(order, np.flatnonzero(changed) + 1):
            if len(rows):
                key = int(host[rows[0]]), int(shape[rows[0]])
                self._series.setdefault(key, _Series()).take(at[rows], value[rows])

    def histories(self, host: Numbers, shape: Numbers, until: Numbers, span: Span) -> Histories:
        """Return what many series were up to and at a moment of each, thinned as `span` says."""
        found = [
            [np.full(len(part[0]), row), *part]
            for row, part in enumerate(self._parts(host, shape, until, span))
        ]
        columns = [np.concatenate(column) for column in zip(*found, strict=True)]
        return Histories(*columns) if columns else Histories(*_NOTHING)

    def _parts(
        self, host: Numbers, shape: Numbers, until: Numbers, span: Span
    ) -> Iterator[tuple[Numbers, Numbers, Column, Column]]:
        for key in zip(host.tolist(), shape.tolist(), until.tolist(), strict=True):
            series = self._series.get(key[:2])
            at, value = series.between(key[2] - span.back, key[2]) if series else _EMPTY
            yield thinned(at, value, key[2], span)


class _Series:
    """One series, in order of event time once it is asked for."""

    def __init__(self) -> None:
        self._at, self._value = _EMPTY
        self._new: list[tuple[Numbers, Column]] = []

    def take(self, at: Numbers, value: Column) -> None:
        self._new.append((at, value))

    def between(self, after: int, until: int) -> tuple[Numbers, Column]:
        """Return the readings in (after, until]."""
        if self._new:
            at = np.concatenate([self._at, *(at for at, _ in self._new)])
            value = np.concatenate([self._value, *(value for _, value in self._new)])
            order = np.argsort(at, kind="stable")
            self._at, self._value = at[order], value[order]
            self._new.clear()
        begin, end = np.searchsorted(self._at, (after, until), "right")
        return self._at[begin:end], self._value[begin:end]


def thinned(
    at: Numbers, value: Column, until: int, span: Span
) -> tuple[Numbers, Numbers, Column, Column]:
    """Return first and last moment, lowest and highest value of each step, the oldest first."""
    if not len(at):
        return _EMPTY[0], _EMPTY[0], _EMPTY[1], _EMPTY[1]
    age = until - at
    step = np.where(age < span.fine_for, age // span.fine, -1 - age // span.coarse)
    first = np.flatnonzero(np.diff(step, prepend=step[0] + 1))
    last = np.append(first[1:], len(at)) - 1
    low, high = np.minimum.reduceat(value, first), np.maximum.reduceat(value, first)
    return at[first], at[last], low, high


_EMPTY = (np.empty(0, np.int64), np.empty(0))
_NOTHING = (_EMPTY[0], _EMPTY[0], _EMPTY[0], _EMPTY[1], _EMPTY[1])
