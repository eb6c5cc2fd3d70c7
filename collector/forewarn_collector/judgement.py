"""Lead readings and silences through the step of every rule, and collect what comes of it.

Nothing here reads a clock or writes: the engine commits what is collected, or forgets it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from forewarn_checks.base import Absence, State, Threshold
from forewarn_collector.rules.book import BookedRule, RuleBook
from forewarn_collector.rules.kind import OK, Alert, AlertState, Data, Due, Observation, Verdict
from forewarn_collector.rules.kinds import kind_of
from forewarn_collector.rules.prefilter import Picked, Prefilter
from forewarn_collector.rules.step import Event, EventKind, advance
from forewarn_collector.rules.tally import Remembered
from forewarn_collector.rules.together import is_judged
from forewarn_collector.samples import Points
from forewarn_collector.state.alerts import AlertRow
from forewarn_collector.state.episodes import alert_key
from forewarn_collector.state.hosts import KnownHost

AlertId = tuple[int, str, str]
"""Host number, component, rule."""


@dataclass(frozen=True, slots=True)
class Happening:
    """An event, with the alert as it was right after it.

    `booked` is None when the alert ends because its rule is gone; `because` says why it ends when
    no reading ended it.
    """

    row: AlertRow
    host: KnownHost
    booked: BookedRule | None
    event: Event
    because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One forecast of one component, to be kept and later scored.

    `due` is None when it gave no date; `reached` is since when the level is reached, None if it is
    not; `over` says that nothing is forecast any more, and nothing is open.
    """

    host: KnownHost
    component: str
    rule: str
    at: int
    value: float
    due: Due | None
    reached: int | None
    over: bool


@dataclass(slots=True)
class Judgement:
    """What one pass finds.  `held` is what was known before it and stays as it is."""

    held: Mapping[AlertId, AlertRow]
    now: int
    changed: dict[AlertId, AlertRow] = field(default_factory=dict)
    happenings: list[Happening] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)
    counted: list[Remembered] = field(default_factory=list)
    inherited: list[Remembered] = field(default_factory=list)

    def row(self, alert_id: AlertId) -> AlertRow | None:
        """Return an alert as it is by now."""
        return self.changed.get(alert_id) or self.held.get(alert_id)

    def observe(
        self,
        host: KnownHost,
        booked: BookedRule,
        component: str,
        moments: Sequence[Sequence[tuple[Observation, Mapping[str, str]]]],
    ) -> None:
        """Lead readings of one component through one rule, oldest first.

        Each moment holds the readings of one event time: as a rule one, but more when a
        component has several series that the rule's `where` does not tell apart.
        """
        alert_id = (host.number, component, booked.name)
        row = self.row(alert_id)
        alert = OK if row is None else row.alert
        for readings in moments:
            if readings[0][0].at <= alert.seen_until:
                continue
            observation, labels, verdict = _worst(readings, booked, alert)
            moved, events = advance(alert, observation, verdict, booked, self.now)
            if moved is alert:
                continue
            row = self._row(row, host, booked, component, labels, moved)
            alert = moved
            self.changed[alert_id] = row
            self.happenings.extend(Happening(row, host, booked, event) for event in events)

    def end(self, row: AlertRow, host: KnownHost, booked: BookedRule | None, because: str) -> None:
        """End an alert that no reading can end any more; `booked` is None when its rule is gone."""
        alert = row.alert
        over = replace(alert, state=AlertState.OK, told=None, since=self.now, flapping=False)
        ended = replace(row, alert=over)
        if alert.told is not None:
            closed = Event(EventKind.CLOSED, self.now, alert.told, alert.value)
            self.happenings.append(Happening(ended, host, booked, closed, because))
        self.changed[row.host_number, row.component, row.rule] = ended

    def stale(self, row: AlertRow) -> None:
        """Mark an alert whose readings stopped coming: it stays what it is."""
        marked = replace(row, alert=replace(row.alert, data=Data.STALE))
        self.changed[row.host_number, row.component, row.rule] = marked

    def _row(
        self,
        row: AlertRow | None,
        host: KnownHost,
        booked: BookedRule,
        component: str,
        labels: Mapping[str, str],
        alert: Alert,
    ) -> AlertRow:
        if row is not None and row.alert.state is not AlertState.OK:
            return replace(row, alert=alert)
        if row is not None:
            # A device may have another letter by now; a new life begins with what is true today.
            return replace(row, alert=alert, labels=tuple(sorted(labels.items())))
        return AlertRow(
            key=alert_key(host.client_id, host.id, component, booked.name),
            client_id=host.client_id,
            host_id=host.id,
            host_number=host.number,
            component=component,
            rule=booked.name,
            labels=tuple(sorted(labels.items())),
            episode_id=None,
            alert=alert,
        )


def judge_points(
    judgement: Judgement,
    points: Points,
    picked: Picked,
    prefilter: Prefilter,
    host_of: Callable[[int], KnownHost | None],
    effective: Callable[[str, KnownHost], BookedRule | None],
) -> None:
    """Lead the picked points through the rules of their metrics."""
    companions = _Companions(points, picked, prefilter)
    hosts, columns = points.host[picked.rows].tolist(), _columns(points, picked)
    for begin, end in picked.spans():
        host = host_of(hosts[begin])
        if host is None or host.revoked:
            continue
        readings = columns[begin:end]
        first = readings[0][0]
        component = prefilter.component(first)
        for name in prefilter.judged(first).rules:
            booked = effective(name, host)
            if booked is not None:
                moments = _moments(host.number, readings, booked, prefilter, companions)
                judgement.observe(host, booked, component, moments)


_Reading = tuple[int, int, float, int]
"""Shape, event time, value, when it was received."""


def _columns(points: Points, picked: Picked) -> list[_Reading]:
    columns = (points.shape, points.at, points.value, points.received)
    return list(zip(*(column[picked.rows].tolist() for column in columns), strict=True))


def _moments(
    number: int,
    readings: Sequence[_Reading],
    booked: BookedRule,
    prefilter: Prefilter,
    companions: "_Companions",
) -> list[list[tuple[Observation, Mapping[str, str]]]]:
    """Return the readings a rule is about, those of one event time together."""
    moments: list[list[tuple[Observation, Mapping[str, str]]]] = []
    last = None
    for shape, at, value, received in readings:
        labels = prefilter.labels(shape)
        if not _is_about(booked, labels):
            continue
        companion = companions.value(number, shape, at, booked)
        observation = Observation(at, value, companion, received)
        if at != last:
            moments.append([])
            last = at
        moments[-1].append((observation, labels))
    return moments


_WITH_WHERE = (Threshold, State)


def _is_about(booked: BookedRule, labels: Mapping[str, str]) -> bool:
    rule = booked.rule
    if not isinstance(rule, _WITH_WHERE) or not rule.where:
        return True
    return all(labels.get(name) == value for name, value in rule.where.items())


def _worst(
    readings: Sequence[tuple[Observation, Mapping[str, str]]], booked: BookedRule, alert: Alert
) -> tuple[Observation, Mapping[str, str], Verdict]:
    judge = kind_of(booked.rule).judge
    found = [
        (observation, labels, judge(booked.rule, observation, alert))
        for observation, labels in readings
    ]
    if len(found) == 1:
        return found[0]
    return max(found, key=lambda one: (_WEIGHT[one[2].holds], one[2].severity.rank))


_WEIGHT = {True: 2, None: 1, False: 0}


class _Companions:
    """The second values of the picked points: same host, same component, same run."""

    def __init__(self, points: Points, picked: Picked, prefilter: Prefilter) -> None:
        self._prefilter = prefilter
        wanted = {
            number
            for shape in np.unique(points.shape[picked.rows]).tolist()
            for number in prefilter.companions(shape)
        }
        self._values: dict[tuple[int, int, int], float] = {}
        if not wanted:
            return
        is_wanted = np.zeros(prefilter.known, np.bool_)
        is_wanted[list(wanted)] = True
        of_picked = np.zeros(int(points.host.max()) + 1, np.bool_)
        of_picked[points.host[picked.rows]] = True
        rows = np.flatnonzero(is_wanted[points.shape] & of_picked[points.host])
        columns = (points.host, points.shape, points.at, points.value)
        for host, shape, at, value in zip(*(c[rows].tolist() for c in columns), strict=True):
            self._values[host, shape, at] = value

    def value(self, host: int, shape: int, at: int, booked: BookedRule) -> float | None:
        """Return the second value of one point; None if its run had none."""
        companion = self._prefilter.companion(shape, booked)
        return None if companion is None else self._values.get((host, companion, at))


def judge_silence(
    judgement: Judgement,
    numbers: NDArray[np.int64],
    silent: NDArray[np.int64],
    labels: Mapping[str, str],
    book: RuleBook,
    host_of: Callable[[int], KnownHost | None],
    effective: Callable[[str, KnownHost], BookedRule | None],
    with_site: Collection[int] = (),
) -> None:
    """Lead the silence of hosts (microseconds) through the rules of silence.

    `labels` say of all of them what kind of silence it is, `with_site` which are silent with their
    site.
    """
    for name in book.names():
        forms = [form for form in book.variants(name) if isinstance(form.rule, Absence)]
        if not forms:
            continue
        shortest = min(kind_of(form.rule).marks(form.rule).above for form in forms) * 1_000_000
        component = forms[0].component.name({})
        missed = [
            row.host_number
            for row in judgement.held.values()
            if row.rule == name and row.alert.state is not AlertState.OK
        ]
        mattering = (silent >= shortest) | np.isin(numbers, missed)
        for number, microseconds in zip(
            numbers[mattering].tolist(), silent[mattering].tolist(), strict=True
        ):
            host = host_of(number) if is_judged(name, number, with_site) else None
            booked = None if host is None or host.revoked else effective(name, host)
            if host is not None and booked is not None:
                observation = Observation(judgement.now, microseconds / 1_000_000)
                judgement.observe(host, booked, component, [[(observation, labels)]])
