"""Tell what is no longer there from what was not read, by the runs of its check that went well.

Readings that do not come resolve nothing.  But a filesystem that was unmounted, or a drive that was
taken out, would fire for ever: when its check went on reading others for long enough and never met
it, its alert ends, and says why.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from forewarn_collector.judgement import Judgement
from forewarn_collector.rules.book import BookedRule
from forewarn_collector.rules.kind import AlertState, Missed
from forewarn_collector.rules.own import CHECK_FAILED, COLLECTOR
from forewarn_collector.samples import Points, Shape
from forewarn_collector.state.alerts import AlertRow
from forewarn_collector.state.hosts import KnownHost

BECAUSE = "no longer there"
_MICROSECOND = timedelta(microseconds=1)
_LONG = timedelta(hours=24)
_INTERVALS = 168
"""So many intervals of its check, if that is longer: a sleeping drive is not read for days."""
_RUNS = 3
_NOTED = 12
"""A row is written no oftener than so many times until it ends."""

RunsOf = dict[tuple[int, str], list[int]]


def patience(booked: BookedRule, gaps: tuple[int, int]) -> int:
    """Return for how long, in microseconds, a component must be missing to be gone.

    `gaps` are the last distances between its readings: a rare rhythm is no absence.
    """
    return max(_LONG // _MICROSECOND, _INTERVALS * booked.every // _MICROSECOND, 3 * max(gaps))


class Gone:
    """Knows which shapes tell of runs.  Grows as shapes appear."""

    def __init__(self) -> None:
        self._checks: dict[int, str] = {}
        self._known = 0

    def judge(
        self,
        judgement: Judgement,
        points: Points,
        shapes: Sequence[Shape],
        host_of: Callable[[int], KnownHost | None],
        effective: Callable[[str, KnownHost], BookedRule | None],
    ) -> None:
        """Count the runs that missed the component of an alert, and end it after enough."""
        self._learn(shapes)
        rows = {
            alert_id: judgement.row(alert_id) or row for alert_id, row in judgement.held.items()
        }
        live = {i: row for i, row in rows.items() if row.alert.state is not AlertState.OK}
        if not live or not len(points.at):
            return
        runs = self._runs(points, {host for host, _, _ in live})
        seen = _Seen(points, shapes)
        for alert_id, row in live.items():
            host = host_of(row.host_number)
            booked = None if host is None or host.revoked else effective(row.rule, host)
            if host is None or booked is None or booked.metric is None:
                continue
            missed = self._missed(row, booked, runs, seen)
            if missed is row.alert.missed:
                continue
            counted = replace(row, alert=replace(row.alert, missed=missed))
            if missed is not None and _is_enough(missed, booked, row):
                judgement.end(counted, host, booked, BECAUSE)
            else:
                judgement.changed[alert_id] = counted

    def _learn(self, shapes: Sequence[Shape]) -> None:
        for number, shape in enumerate(shapes[self._known :], start=self._known):
            if shape.metric == CHECK_FAILED.name:
                self._checks[number] = dict(shape.labels).get("check", "")
        self._known = len(shapes)

    def _runs(self, points: Points, hosts: set[int]) -> RunsOf:
        """Return when the checks of some hosts went well, by host and check, oldest first."""
        tells = np.zeros(self._known, np.bool_)
        tells[list(self._checks)] = True
        wanted = np.zeros(max(int(points.host.max()), *hosts) + 1, np.bool_)
        wanted[list(hosts)] = True
        rows = np.flatnonzero(tells[points.shape])
        # Of what fails nothing is known; so nothing of it can be missed.
        rows = rows[(points.value[rows] == 0.0) & wanted[points.host[rows]]]
        found: RunsOf = {}
        columns = (points.host[rows], points.shape[rows], points.at[rows])
        for host, shape, at in zip(*(column.tolist() for column in columns), strict=True):
            found.setdefault((host, self._checks[shape]), []).append(at)
            found.setdefault((host, COLLECTOR), []).append(at)
        for moments in found.values():
            moments.sort()
        return found

    def _missed(
        self, row: AlertRow, booked: BookedRule, runs: RunsOf, seen: "_Seen"
    ) -> Missed | None:
        """Return what was missed of a component by now; the very same when that is nothing new."""
        alert = row.alert
        moments = runs.get((row.host_number, booked.check))
        if not moments or moments[-1] <= alert.seen_until:
            return alert.missed
        missed = alert.missed
        if missed is not None and missed.last <= alert.seen_until:
            missed = None
        spacing = patience(booked, alert.gaps) // _NOTED
        for at in moments:
            if at <= alert.seen_until or (missed is not None and at - missed.last < spacing):
                continue
            there = seen.components(row.host_number, at, booked)
            if row.component in there:
                missed = None
            elif there:
                missed = Missed(1, at, at) if missed is None else missed.again(at)
        return missed


def _is_enough(missed: Missed, booked: BookedRule, row: AlertRow) -> bool:
    return missed.runs >= _RUNS and missed.last - missed.first >= patience(booked, row.alert.gaps)


class _Seen:
    """What the runs of one stretch of points told of, looked up for the few that matter."""

    def __init__(self, points: Points, shapes: Sequence[Shape]) -> None:
        self._points = points
        self._shapes = shapes
        self._rows: dict[int, NDArray[np.intp]] = {}

    def components(self, host: int, at: int, booked: BookedRule) -> set[str]:
        """Return the components a rule could be about that a run at `at` told of."""
        return set(self._told(host, at, booked))

    def _told(self, host: int, at: int, booked: BookedRule) -> Iterator[str]:
        rows = self._rows.get(host)
        if rows is None:
            rows = self._rows[host] = np.flatnonzero(self._points.host == host)
        of_run: Iterable[int] = self._points.shape[rows[self._points.at[rows] == at]].tolist()
        for number in of_run:
            shape = self._shapes[number]
            if shape.metric in booked.metrics:
                yield booked.component.name(dict(shape.labels))
