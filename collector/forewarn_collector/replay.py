"""Judge readings that were, or might be: the engine's own rounds, without a database.

What is not replayed: what people do with tickets, and what is told to others.  What windows and
silences would hold is held only where `holds` names some: a test of rules does, a backtest not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from forewarn_checks.base import Forecast, Severity
from forewarn_collector.dating import microseconds
from forewarn_collector.judgement import AlertId, Happening, Judgement
from forewarn_collector.rounds import Rounds
from forewarn_collector.rules.book import RuleBook
from forewarn_collector.rules.evidence import gather
from forewarn_collector.rules.kind import AlertState
from forewarn_collector.rules.step import Event, EventKind
from forewarn_collector.rules.tally import Remembered
from forewarn_collector.samples import Points, Shape
from forewarn_collector.samples.memory import Memory
from forewarn_collector.state.alerts import AlertRow
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.suppression.dependency import hold_of
from forewarn_collector.suppression.holding import Act, Held, Met, let_go, meet
from forewarn_collector.suppression.holds import Hold, Holds
from forewarn_collector.track_record import Ledger

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
COMING_BACK = timedelta(minutes=5) // timedelta(microseconds=1)


@dataclass(slots=True, kw_only=True)
class Replayed:
    """One episode, in microseconds of event time.  `closed_at` is None while it lasts.

    `severity` is the worst it had, `first_severity` the one it opened with; `flaps` how often it
    would have ended and begun again, were it not flapping.
    """

    rule: str
    host: KnownHost
    component: str
    labels: Mapping[str, str]
    severity: Severity
    first_severity: Severity
    opened_at: int
    title: str
    shown: str
    closed_at: int | None = None
    flaps: int = 0


@dataclass
class Replay:
    """A collector that remembers, decides and tells nobody.

    `shapes` may grow while it runs.  Hosts that are not among `hosts` are left out.  Of those
    enrolled from `since` on it is known when they should have been heard.  Unless it `hears`, no
    silence is judged.
    """

    book: RuleBook
    hosts: Mapping[int, KnownHost]
    shapes: Sequence[Shape]
    episodes: list[Replayed] = field(default_factory=list)
    heard: dict[int, int] = field(default_factory=dict)
    downtimes: list[tuple[int, int]] = field(default_factory=list)
    since: int | None = None
    hears: bool = True
    ledger: Ledger = field(default_factory=Ledger)
    holds: Holds = field(default_factory=Holds)
    _held: dict[AlertId, AlertRow] = field(default_factory=dict)
    _open: dict[AlertId, Replayed] = field(default_factory=dict)
    _told: dict[AlertId, Severity] = field(default_factory=dict)
    _back: dict[AlertId, Held] = field(default_factory=dict)
    _counters: dict[tuple[int, str, str], Remembered] = field(default_factory=dict)
    _memory: Memory = field(default_factory=Memory)
    _rounds: Rounds = field(init=False)
    _looked_at: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))

    def __post_init__(self) -> None:
        self._enrolled = {
            number: microseconds(host.enrolled_at)
            for number, host in self.hosts.items()
            if self.since is not None and host.enrolled_at is not None
            if microseconds(host.enrolled_at) >= self.since
        }
        self._rounds = Rounds(self.book, self._memory, self.hosts.get)
        booked = [form for name in self.book.names() for form in self.book.variants(name)]
        forecast = [form for form in booked if isinstance(form.rule, Forecast)]
        self._remembered = {
            metric.name
            for form in forecast
            for metric in (form.metric, form.companion)
            if metric is not None
        }

    def restart(self) -> None:
        """Begin again with what the database would hold."""
        before, self._rounds = self._rounds, Rounds(self.book, self._memory, self.hosts.get)
        self._rounds.recall(self._counters.values())
        self._rounds.follow(before)
        # Alerts that are over may be forgotten or not: what is told must not hang on it.
        self._held = {
            alert_id: row
            for alert_id, row in self._held.items()
            if row.alert.state is not AlertState.OK or row.episode_id is not None
        }

    def away(self, began: int, ended: int) -> None:
        """Note that the collector was not listening, and start again."""
        self.downtimes.append((began, ended + COMING_BACK))
        self.restart()

    def recall(self, points: Points) -> None:
        """Know what was before: ground for forecasts, and never judged."""
        if len(points.at):
            self._remember(points)

    def receive(self, points: Points, now: int) -> None:
        """Judge what arrived by `now`."""
        if not len(points.at):
            return
        self._remember(points)
        newest = np.full(int(points.host.max()) + 1, -1)
        np.maximum.at(newest, points.host, points.received)
        for host in np.flatnonzero(newest >= 0).tolist():
            self.heard[host] = max(self.heard.get(host, 0), int(newest[host]))
        judgement = self._judgement(now)
        self._rounds.judge(judgement, points, self.shapes)
        self._take(judgement)
        self._rounds.settle()

    def listen(self, now: int) -> None:
        """Judge who is silent, and what went stale."""
        judgement = self._judgement(now)
        if self.hears:
            self._rounds.listen(judgement, self.heard, self.downtimes, self._unheard())
        forgotten = self._rounds.sweep(judgement)
        self._take(judgement)
        self._let_go(judgement)
        for alert_id in forgotten:
            self._held.pop(alert_id, None)

    def _unheard(self) -> dict[int, int]:
        """Return the hosts that were enrolled and not heard yet, and when that was."""
        return {
            number: moment for number, moment in self._enrolled.items() if number not in self.heard
        }

    def _remember(self, points: Points) -> None:
        if not self._remembered:
            return
        known = len(self._looked_at)
        more = [shape.metric in self._remembered for shape in self.shapes[known:]]
        self._looked_at = np.append(self._looked_at, np.array(more, np.bool_))
        kept = np.flatnonzero(self._looked_at[points.shape])
        if len(kept):
            self._memory.take(
                points.host[kept], points.shape[kept], points.at[kept], points.value[kept]
            )

    def _take(self, judgement: Judgement) -> None:
        """Remember what the engine would write."""
        for happening in sorted(judgement.happenings, key=lambda one: one.event.at):
            self._meet(judgement, happening)
        for alert_id, row in judgement.changed.items():
            if alert_id in self._open:
                self._open[alert_id].flaps = row.alert.flaps
            opened = alert_id in self._open or row.episode_id is not None
            kept = replace(row, episode_id="replayed" if opened else None)
            if kept.alert.state is AlertState.OK and kept.episode_id is None:
                self._held.pop(alert_id, None)
            else:
                self._held[alert_id] = kept
        self.ledger.take(judgement.made)
        for counter in judgement.counted:
            self._counters[counter.host, counter.component, counter.metric] = counter

    def _judgement(self, now: int) -> Judgement:
        self.holds.turn(_EPOCH + now * _MICROSECOND)
        return Judgement(self._held, now)

    def _meet(self, judgement: Judgement, happening: Happening) -> None:
        """Tell of an event, or hold it back, as the engine would."""
        row = happening.row
        alert_id = (row.host_number, row.component, row.rule)
        hold = self._hold_of(judgement, row, happening.host)
        met = meet(happening.event, self._told.get(alert_id), self._back.get(alert_id), hold)
        self._hold_back(alert_id, met)
        self._happened(met.act, happening)

    def _let_go(self, judgement: Judgement) -> None:
        """Tell of what was held and still is so."""
        for alert_id, held in list(self._back.items()):
            row, host = judgement.row(alert_id), self.hosts.get(alert_id[0])
            if row is None or host is None:
                continue
            met = let_go(held, row.alert, self._hold_of(judgement, row, host))
            self._hold_back(alert_id, met)
            if met.act is not Act.NOTHING:
                kind = EventKind.OPENED if met.act is Act.OPEN else EventKind.CHANGED
                event = Event(kind, judgement.now, row.alert.severity, row.alert.value)
                booked = self._rounds.effective(row.rule, host)
                self._happened(met.act, Happening(row, host, booked, event))
                self._held[alert_id] = replace(row, episode_id="replayed")

    def _hold_of(self, judgement: Judgement, row: AlertRow, host: KnownHost) -> Hold | None:
        return hold_of(self.holds, judgement, row, host)

    def _hold_back(self, alert_id: AlertId, met: Met) -> None:
        if met.held is None:
            self._back.pop(alert_id, None)
        else:
            self._back[alert_id] = met.held

    def _happened(self, act: Act, happening: Happening) -> None:
        row, event = happening.row, happening.event
        alert_id = (row.host_number, row.component, row.rule)
        if act in (Act.NOTHING, Act.NOTE):
            return
        if act is Act.CLOSE:
            del self._told[alert_id]
            ended = self._open.pop(alert_id)
            ended.closed_at, ended.flaps = event.at, row.alert.flaps
            return
        self._told[alert_id] = event.severity
        if act is Act.CHANGE:
            standing = self._open[alert_id]
            standing.severity = max(standing.severity, event.severity, key=lambda one: one.rank)
            return
        title, shown = row.rule, ""
        if happening.booked is not None:
            labels = dict(row.labels)
            host = happening.host
            found = gather(happening.booked, labels, host.name, row.component, row.alert)
            title, shown = found.title, str(found.told["shown"])
        begun = Replayed(
            rule=row.rule,
            host=happening.host,
            component=row.component,
            labels=dict(row.labels),
            severity=event.severity,
            first_severity=event.severity,
            opened_at=event.at,
            title=title,
            shown=shown,
        )
        self._open[alert_id] = begun
        self.episodes.append(begun)
