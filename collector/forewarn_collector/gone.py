"""Tell what is no longer there from what was not read, by the runs of its check that went well.

Readings that do not come resolve nothing.  But a filesystem that was unmounted, or a drive that was
taken out, would fire for ever: when its check went on reading others for long enough and never met
it, its alert ends, and says why.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np

from forewarn_collector.judgement import AlertId, Judgement
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
        self._numbers = {COLLECTOR: 0}
        self._number_of = np.empty(0, np.int64)
        """Of a shape: the number of the check whose runs it tells of, -1 for none."""

    def judge(
        self,
        judgement: Judgement,
        live: Mapping[AlertId, AlertRow],
        points: Points,
        shapes: Sequence[Shape],
        host_of: Callable[[int], KnownHost | None],
        effective: Callable[[str, KnownHost], BookedRule | None],
    ) -> None:
        """Count the runs that missed the component of an alert, and end it after enough.

        `live` are the alerts that were not ok before these points, on the hosts they are of.
        """
        self._learn(shapes)
        if not live or not len(points.at):
            return
        asked: list[tuple[AlertRow, BookedRule, KnownHost]] = []
        for alert_id, held in live.items():
            row = judgement.changed.get(alert_id, held)
            host = host_of(row.host_number)
            if host is None or host.revoked or row.alert.state is AlertState.OK:
                continue
            booked = effective(row.rule, host)
            if booked is not None and booked.metric is not None:
                asked.append((row, booked, host))
        asked = self._unmet(asked, points)
        if not asked:
            return
        hosts = {row.host_number for row, _, _ in asked}
        runs, seen = self._runs(points, hosts), _Seen(points, shapes, hosts)
        for row, booked, host in asked:
            missed = self._missed(row, booked, runs, seen)
            if missed is row.alert.missed:
                continue
            counted = replace(row, alert=replace(row.alert, missed=missed))
            if missed is not None and _is_enough(missed, booked, row):
                judgement.end(counted, host, booked, BECAUSE)
            else:
                judgement.changed[row.host_number, row.component, row.rule] = counted

    def _learn(self, shapes: Sequence[Shape]) -> None:
        known = len(self._number_of)
        numbers = []
        for number, shape in enumerate(shapes[known:], start=known):
            if shape.metric == CHECK_FAILED.name:
                check = self._checks[number] = dict(shape.labels).get("check", "")
                numbers.append(self._numbers.setdefault(check, len(self._numbers)))
            else:
                numbers.append(-1)
        self._number_of = np.append(self._number_of, np.array(numbers, np.int64))

    def _unmet(
        self, asked: list[tuple[AlertRow, BookedRule, KnownHost]], points: Points
    ) -> list[tuple[AlertRow, BookedRule, KnownHost]]:
        """Leave out whatever was met by the newest run of its check that went well.

        As a rule that is every one, so it is found out for all of them at once.
        """
        rows = np.flatnonzero((self._number_of[points.shape] >= 0) & (points.value == 0.0))
        host, at = points.host[rows], points.at[rows]
        # The collector's own rules are about whatever check there is.
        keys = np.append(host << 32 | self._number_of[points.shape[rows]], host << 32)
        order = np.lexsort((np.append(at, at), keys))
        keys, at = keys[order], np.append(at, at)[order]
        mine = np.array(
            [row.host_number << 32 | self._numbers.get(one.check, -1) for row, one, _ in asked],
            np.int64,
        )
        until = np.array([row.alert.seen_until for row, _, _ in asked], np.int64)
        last = np.searchsorted(keys, mine, "right") - 1
        there = last >= 0
        there[there] = keys[last[there]] == mine[there]
        there[there] = at[last[there]] > until[there]
        return [asked[place] for place in np.flatnonzero(there).tolist()]

    def _runs(self, points: Points, hosts: set[int]) -> RunsOf:
        """Return when the checks of some hosts went well, by host and check, oldest first."""
        wanted = np.zeros(max(int(points.host.max()), *hosts) + 1, np.bool_)
        wanted[list(hosts)] = True
        # Of what fails nothing is known; so nothing of it can be missed.
        rows = np.flatnonzero((self._number_of[points.shape] >= 0) & wanted[points.host])
        rows = rows[points.value[rows] == 0.0]
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

    def __init__(self, points: Points, shapes: Sequence[Shape], hosts: Collection[int]) -> None:
        self._points = points
        self._shapes = shapes
        wanted = np.zeros(max(int(points.host.max()), *hosts) + 1, np.bool_)
        wanted[list(hosts)] = True
        rows = np.flatnonzero(wanted[points.host])
        # Once for all of them: to search every point for each host takes seconds.
        self._rows = rows[np.argsort(points.host[rows], kind="stable")]
        self._hosts = points.host[self._rows]

    def components(self, host: int, at: int, booked: BookedRule) -> set[str]:
        """Return the components a rule could be about that a run at `at` told of."""
        return set(self._told(host, at, booked))

    def _told(self, host: int, at: int, booked: BookedRule) -> Iterator[str]:
        begin, end = np.searchsorted(self._hosts, (host, host + 1)).tolist()
        rows = self._rows[begin:end]
        of_run: Iterable[int] = self._points.shape[rows[self._points.at[rows] == at]].tolist()
        for number in of_run:
            shape = self._shapes[number]
            if shape.metric in booked.metrics:
                yield booked.component.name(dict(shape.labels))
