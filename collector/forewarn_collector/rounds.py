"""Judge stretches of points and silences by one rule book: decides, and writes nothing.

The engine, the trials of rules and the replay of what is stored all judge through here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from forewarn_checks.base import Forecast
from forewarn_collector.counting import judge_growth, troubled
from forewarn_collector.gone import Gone
from forewarn_collector.judgement import AlertId, Judgement, judge_points, judge_silence
from forewarn_collector.outlook import Outlook, Reader, judge_outlook
from forewarn_collector.rules.book import BookedRule, RuleBook
from forewarn_collector.rules.counters import Accepted
from forewarn_collector.rules.evidence import NEVER_HEARD
from forewarn_collector.rules.kind import AlertState, Data, Observation
from forewarn_collector.rules.kinds import kind_of
from forewarn_collector.rules.prefilter import Prefilter
from forewarn_collector.rules.silence import silences
from forewarn_collector.rules.step import GAP
from forewarn_collector.rules.tally import Counted, Remembered, Tally
from forewarn_collector.rules.together import HOST_SILENT, SITE_SILENT, fell_together
from forewarn_collector.rules.watermarks import Watermarks
from forewarn_collector.samples import Newest, Points, Shape
from forewarn_collector.state.alerts import AlertRow
from forewarn_collector.state.hosts import KnownHost

REMEMBERED = timedelta(days=1)
_STALE = timedelta(minutes=10)
_MICROSECOND = timedelta(microseconds=1)
_COUNTED = timedelta(seconds=30) // _MICROSECOND


class Rounds:
    """What has to be known between two rounds, besides the alerts themselves.

    `settle` keeps what `judge` saw; without it the same points are judged again as if new.
    """

    def __init__(
        self, book: RuleBook, reader: Reader, host_of: Callable[[int], KnownHost | None]
    ) -> None:
        self.book = book
        self._host = host_of
        self._prefilter = Prefilter(book)
        self._metrics = {
            name: forms[0].metric.name
            for name in book.names()
            for forms in [book.variants(name)]
            if forms[0].metric is not None and not forms[0].counters
        }
        self._watermarks = Watermarks(self._prefilter.common)
        self._tally = Tally(book)
        self._counted: Counted | None = None
        self._gone = Gone()
        self._effective: dict[tuple[str, int], BookedRule | None] = {}
        self._seen: Points | None = None
        self._outlooks = [
            Outlook(book.variants(name), reader)
            for name in book.names()
            if isinstance(book.variants(name)[0].rule, Forecast)
        ]

    def recall(self, counters: Iterable[Remembered]) -> None:
        """Begin with the counters that were kept, before the first round."""
        self._tally.load(counters)

    def overtake(self, newest: Newest, shapes: Sequence[Shape]) -> None:
        """Begin with the newest runs that were judged: what is older comes too late."""
        self._prefilter.learn(shapes)
        self._watermarks.take(newest.host, self._prefilter.check[newest.shape], newest.at)

    def follow(self, before: "Rounds") -> None:
        """Begin with what rounds of the same book and shapes saw last."""
        self._watermarks = before._watermarks

    def accept(self, accepted: Iterable[Accepted]) -> None:
        """Count anew from what people accepted."""
        self._tally.accept(accepted)

    def end_accepted(self, judgement: Judgement, accepted: Sequence[Accepted]) -> None:
        """End the alerts that people accepted the counters of."""
        if not accepted:
            return
        latest = {(one.host, one.component): one.at for one in accepted}
        growing = {booked.name for booked in self.book.growing()}
        for row in judgement.held.values():
            at = latest.get((row.host_number, row.component))
            if at is None or row.rule not in growing or row.alert.state is AlertState.OK:
                continue
            host = self._host(row.host_number)
            booked = None if host is None else self.effective(row.rule, host)
            if host is None or booked is None or row.alert.since > at:
                continue
            # What grew since then, before we knew, is not what was accepted.
            now = self._tally.counters(row.host_number, row.component)
            seen = Observation(judgement.now, row.alert.value, counters=now)
            if not kind_of(booked.rule).judge(booked.rule, seen, row.alert).holds:
                judgement.end(row, host, booked, "somebody accepted it as it is")

    def judge(self, judgement: Judgement, points: Points, shapes: Sequence[Shape]) -> int:
        """Judge new points; return how many of them mattered."""
        self._prefilter.learn(shapes)
        fresh = self._seen = self._fresh(points)
        live = _live(judgement.held, points)
        picked = self._prefilter.pick(fresh, self._troubled(live.values()))
        judge_points(judgement, fresh, picked, self._prefilter, self._host, self.effective)
        for outlook in self._outlooks:
            foretold = [(host, component) for host, component, rule in live if rule == outlook.name]
            looks = outlook.look(fresh, shapes, foretold)
            judge_outlook(judgement, outlook, looks, self._host, self.effective)
        counted = self._count(judgement, points, shapes, live)
        self._gone.judge(judgement, live, points, shapes, self._host, self.effective)
        return len(picked.rows) + counted

    def settle(self) -> None:
        """Keep what the last `judge` saw."""
        if self._seen is not None:
            check = self._prefilter.check[self._seen.shape]
            self._watermarks.take(self._seen.host, check, self._seen.at)
            self._seen = None
        if self._counted is not None:
            self._tally.keep(self._counted)
            self._counted = None
        for outlook in self._outlooks:
            outlook.settle()

    def listen(
        self,
        judgement: Judgement,
        last_received: Mapping[int, int],
        downtimes: Sequence[tuple[int, int]],
        unheard: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        """Judge who is silent, by when each host was last heard and when we were away.

        `unheard` are those that never were, with the moment each was enrolled.
        """
        for heard, labels in ((last_received, {}), (unheard, NEVER_HEARD)):
            numbers, silent = silences(heard, downtimes, judgement.now)
            judge_silence(
                judgement,
                numbers,
                silent,
                labels,
                self.book,
                self._host,
                self.effective,
                self._with_site(judgement, numbers, silent),
            )
        # Silence only grows: a row is written when something about it changed.
        judgement.changed = {
            alert_id: row
            for alert_id, row in judgement.changed.items()
            if alert_id not in judgement.held or not _alike(judgement.held[alert_id], row)
        }

    def _with_site(
        self, judgement: Judgement, numbers: NDArray[np.int64], silent: NDArray[np.int64]
    ) -> set[int]:
        """Return the hosts that are silent with their site; what was told once stays so."""
        if SITE_SILENT not in self.book or HOST_SILENT not in self.book:
            return set()
        standing: dict[str, set[int]] = {HOST_SILENT: set(), SITE_SILENT: set()}
        for row in judgement.held.values():
            if row.rule in standing and row.alert.state is not AlertState.OK:
                standing[row.rule].add(row.host_number)
        forms = [form for name in standing for form in self.book.variants(name)]
        shortest = min(kind_of(form.rule).marks(form.rule).above for form in forms) * 1_000_000
        told = np.array(sorted(standing[HOST_SILENT] | standing[SITE_SILENT]), np.int64)
        newly = (silent >= shortest) & ~np.isin(numbers, told)
        return standing[SITE_SILENT] | fell_together(numbers, silent, newly, self._with_sites_rule)

    def _with_sites_rule(self, number: int) -> KnownHost | None:
        """Return a host that its site is judged by, None for one that is not."""
        host = self._host(number)
        judged = host is not None and not host.revoked and self.effective(SITE_SILENT, host)
        return host if judged else None

    def sweep(self, judgement: Judgement) -> list[AlertId]:
        """End alerts no rule stands for any more, mark stale ones; return those to be forgotten."""
        long_ago = judgement.now - REMEMBERED // _MICROSECOND
        forgotten = []
        for alert_id, row in judgement.held.items():
            alert = (judgement.row(alert_id) or row).alert
            if alert.state is AlertState.OK:
                if alert.since < long_ago:
                    forgotten.append(alert_id)
                continue
            host = self._host(row.host_number)
            booked = None if host is None or host.revoked else self.effective(row.rule, host)
            if host is not None and booked is None:
                judgement.end(row, host, None, "its rule no longer holds here")
            elif booked is not None and booked.metric and alert.data is Data.FRESH:
                patience = max(GAP * booked.every, _STALE) // _MICROSECOND
                if judgement.now - alert.seen_until > patience:
                    judgement.stale(row)
        return forgotten

    def effective(self, name: str, host: KnownHost) -> BookedRule | None:
        """Return a rule as it holds on a host, None where it is off or gone."""
        known = self._effective
        if (name, host.number) not in known:
            known[name, host.number] = (
                self.book.effective(name, host) if name in self.book else None
            )
        return known[name, host.number]

    def hosts_changed(self) -> None:
        """Forget which rules hold where: a host may be of another class by now."""
        self._effective.clear()

    def _count(
        self,
        judgement: Judgement,
        points: Points,
        shapes: Sequence[Shape],
        live: Mapping[AlertId, AlertRow],
    ) -> int:
        """Count what rose and judge it; return how many components that mattered to."""
        self._tally.learn(shapes)
        counted = self._counted = self._tally.take(points, troubled(live, self.book))
        judge_growth(judgement, counted, self.book, shapes, self._host, self.effective)
        judgement.counted.extend(self._tally.changes(counted))
        judgement.inherited.extend(self._tally.inherited(counted))
        return len(counted.moments)

    def _fresh(self, points: Points) -> Points:
        """Leave out points that newer ones of their check have overtaken."""
        check = self._prefilter.check[points.shape]
        fresh = self._watermarks.fresh(points.host, check, points.at)
        if fresh.all():
            return points
        return Points(
            host=points.host[fresh],
            shape=points.shape[fresh],
            at=points.at[fresh],
            value=points.value[fresh],
            received=points.received[fresh],
            through=points.through,
        )

    def _troubled(self, live: Iterable[AlertRow]) -> NDArray[np.int64]:
        """Return the keys of the components with these alerts, those of single readings."""
        metrics = self._metrics
        return self._prefilter.keys(
            (row.host_number, metrics[row.rule], row.component)
            for row in live
            if row.rule in metrics
        )


def _live(held: Mapping[AlertId, AlertRow], points: Points) -> dict[AlertId, AlertRow]:
    """Return the alerts that are not ok on the hosts some points are of."""
    there = np.zeros(int(points.host.max(initial=0)) + 1, np.bool_)
    there[points.host] = True
    hosts = set(np.flatnonzero(there).tolist())
    return {
        alert_id: row
        for alert_id, row in held.items()
        if alert_id[0] in hosts and row.alert.state is not AlertState.OK
    }


def _alike(one: AlertRow, other: AlertRow) -> bool:
    """Say whether a row would tell nothing that the one held does not."""
    a, b = one.alert, other.alert
    # How long a flapping host has been back is counted, and has to outlast a restart.
    if b.state is AlertState.CLEARING and b.seen_until - a.seen_until > _COUNTED:
        return False
    return (a.state, a.severity, a.told, a.data) == (b.state, b.severity, b.told, b.data)
