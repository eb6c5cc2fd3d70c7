"""Replay what the store holds, or a file, in the order it was received, and count what rules do."""

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from forewarn_checks.base import Absence, Forecast
from forewarn_collector.clock import rfc3339
from forewarn_collector.grouping import count_tickets
from forewarn_collector.replay import Replay, Replayed
from forewarn_collector.rules.book import RuleBook
from forewarn_collector.rules.forecast import HISTORY_DAYS
from forewarn_collector.rules.kinds import kind_of
from forewarn_collector.rules.own import CHECK_FAILED
from forewarn_collector.samples import Points, Shape
from forewarn_collector.samples.series_file import read_series
from forewarn_collector.samples.spread import Spread
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.track_record import FORETELLING, Ledger

PASS = timedelta(minutes=1) // timedelta(microseconds=1)
"""Readings received within a minute are judged at once; the collector does so every 5 s."""

NOT_SIMULATED = (
    "what people did (acknowledged, silenced, repaired), maintenance windows, and what was told to "
    "others; readings older than the retention; growth of counters before --from"
)
UNHEARD = (
    "silence (HostSilent, SiteSilent): a file of series does not say when hosts were heard; "
    "--silence takes its readings for all they sent"
)
_HOUR = timedelta(hours=1) // timedelta(microseconds=1)
_WEEK = timedelta(days=7) / timedelta(microseconds=1)
_LOOKED_BACK = timedelta(days=HISTORY_DAYS) // timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Source:
    """What is replayed: points in the order they were received, and whose they are.

    `batches` may be walked once.  `past` is what was read before: ground for forecasts, not
    judged.  `downtimes` are when the collector was away.  `hears` is False where nothing says when
    hosts were heard: then no silence is judged.
    """

    hosts: Mapping[int, KnownHost]
    shapes: Sequence[Shape]
    batches: Iterable[Points]
    past: Iterable[Points] = ()
    downtimes: Sequence[tuple[int, int]] = ()
    hears: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a replay."""

    book: RuleBook
    episodes: Sequence[Replayed]
    hosts: int
    points: int
    began: int
    ended: int
    ledger: Ledger = field(default_factory=Ledger)
    hears: bool = True

    @property
    def host_weeks(self) -> float:
        """How many weeks of how many hosts were replayed, more than none."""
        return max(self.hosts * (self.ended - self.began) / _WEEK, 1e-9)


def wanted(book: RuleBook) -> frozenset[str]:
    """Return the names of the metrics that the rules of a book look at."""
    found: set[str] = set()
    for name in book.names():
        for form in book.variants(name):
            if isinstance(form.rule, Absence):
                found.add(CHECK_FAILED.name)
                continue
            found |= {one.name for one in (form.metric, form.companion) if one is not None}
            found |= set(form.counters)
    return frozenset(found)


def looked_back(book: RuleBook) -> frozenset[str]:
    """Return the names of the metrics whose past the rules of a book look at."""
    forms = (form for name in book.names() for form in book.variants(name))
    return frozenset(
        metric.name
        for form in forms
        if isinstance(form.rule, Forecast)
        for metric in (form.metric, form.companion)
        if metric is not None
    )


def replay(source: Source, book: RuleBook, began: int, ended: int) -> Iterator[int | Outcome]:
    """Judge it all; yield how far it is, in microseconds, and at last what came of it."""
    replay = Replay(
        book,
        source.hosts,
        source.shapes,
        downtimes=list(source.downtimes),
        since=began,
        hears=source.hears,
    )
    listens = source.hears and any(
        isinstance(form.rule, Absence) for name in book.names() for form in book.variants(name)
    )
    for batch in source.past:
        replay.recall(batch)
    now, points, seen = began, 0, set[int]()
    for batch in source.batches:
        for part in _passes(batch):
            moment = int(part.received.max())
            # Silence is noticed while nothing comes, too.
            if listens:
                for waited in _waits(now, moment):
                    replay.listen(waited)
            now = max(now, moment)
            replay.receive(part, now)
            replay.listen(now)
            points += len(part.at)
        seen.update(np.unique(batch.host).tolist())
        yield now
    if listens:
        for waited in _waits(now, ended + 1):
            replay.listen(waited)
    last = max(ended, now)
    yield Outcome(
        book, replay.episodes, len(seen), points, began, last, replay.ledger, source.hears
    )


def _waits(since: int, until: int) -> Iterator[int]:
    """Yield when to listen before `until` while nothing comes: every minute for a day, then rarer.

    A moment after so long is told to a thousandth; a file may hold one reading in a century.
    """
    now = since
    while until - now > PASS:
        now += min(max(PASS, (now - since) // 1440), until - now - 1)
        yield now


def _passes(batch: Points) -> Iterator[Points]:
    """Cut points, in the order they were received, into those of one pass each."""
    turns = batch.received // PASS
    bounds = [0, *(np.flatnonzero(np.diff(turns)) + 1).tolist(), len(turns)]
    return (_cut(batch, begin, end) for begin, end in pairwise(bounds) if end > begin)


def _cut(points: Points, begin: int, end: int) -> Points:
    rows = slice(begin, end)
    return Points(
        points.host[rows],
        points.shape[rows],
        points.at[rows],
        points.value[rows],
        points.received[rows],
        0,
    )


# -- where readings come from ----------------------------------------------------------------------


def stored(
    spread: Spread,
    hosts: Mapping[int, KnownHost],
    metrics: frozenset[str],
    began: int,
    ended: int,
    downtimes: Sequence[tuple[int, int]],
    *,
    looked_back: frozenset[str] = frozenset(),
    as_received: bool = True,
) -> Source:
    """Return what the store holds of some metrics between two moments.

    In the order in which it was received, or, unless `as_received`, as if every reading had come
    when it was taken.  `looked_back` are metrics whose past is needed.
    """
    shapes = spread.shapes()

    def points(names: frozenset[str], since: int, until: int) -> Iterator[Points]:
        chosen = [number for number, shape in enumerate(shapes) if shape.metric in names]
        return spread.points(chosen, since, until, as_received=as_received)

    past = points(looked_back, began - _LOOKED_BACK, began)
    return Source(hosts, shapes, points(metrics, began, ended), past, downtimes)


def from_file(path: Path, book: RuleBook, *, hears: bool = False) -> tuple[Source, int, int]:
    """Return the series of a CSV or Parquet file, and when they begin and end.

    Each host is a server.  A file of series does not say when its hosts were heard: they may have
    sent much else, or far more often.  `hears` takes its readings for all there was.  Raises
    BadSeriesFile.
    """
    rows = read_series(path)
    names, host = np.unique(rows.host, return_inverse=True)
    known = {
        name: one.labels
        for rule in book.names()
        for form in book.variants(rule)
        for name, one in form.metrics.items()
    }
    shapes = [
        Shape(metric, tuple(sorted((dict.fromkeys(known.get(metric, ()), "") | labels).items())))
        for metric, labels in rows.kinds
    ]
    at = rows.moment
    points = Points(host.astype(np.int64) + 1, rows.kind, at, rows.value, at, 0)
    hosts = {number: _made_up(number, name) for number, name in enumerate(names.tolist(), 1)}
    return Source(hosts, shapes, _slices(points), hears=hears), int(at[0]), int(at[-1])


def _slices(points: Points, rows: int = 200_000) -> Iterator[Points]:
    for begin in range(0, len(points.at), rows):
        yield _cut(points, begin, begin + rows)


def _made_up(number: int, name: str) -> KnownHost:
    return KnownHost(
        number=number, id=name, client_id="", site_id="", name=name, public_key=b"", system="linux"
    )


# -- what came of it -------------------------------------------------------------------------------


def summary(outcome: Outcome) -> dict[str, JsonValue]:
    """Return the figures of a replay."""
    episodes = outcome.episodes
    noisy = Counter(one.host.name for one in episodes).most_common(10)
    told = count_tickets(episodes)
    return {
        "from": _written(outcome.began),
        "to": _written(outcome.ended),
        "points": outcome.points,
        "hosts": outcome.hosts,
        "episodes": len(episodes),
        "hosts_with_episodes": len({one.host.number for one in episodes}),
        "flaps_held": sum(one.flaps for one in episodes),
        "episodes_per_host_week": round(len(episodes) / outcome.host_weeks, 4),
        "tickets": told,
        "tickets_per_host_week": round(told / outcome.host_weeks, 4),
        "forecasts": forecasts(outcome),
        "noisiest": [{"host": name, "episodes": count} for name, count in noisy],
        "not_simulated": NOT_SIMULATED if outcome.hears else f"{NOT_SIMULATED}; {UNHEARD}",
    }


def forecasts(outcome: Outcome) -> dict[str, JsonValue]:
    """Return how forecasts came true, and how long before the level was reached an episode opened.

    `came_true` is the share of intervals put to the test that held, `median_lead_hours` over the
    episodes whose level was reached; None without any.
    """
    names = {
        name
        for name in outcome.book.names()
        if isinstance(outcome.book.variants(name)[0].rule, FORETELLING)
    }
    told = [one for one in outcome.episodes if one.rule in names]
    leads = []
    for one in told:
        at = outcome.ledger.reached((one.host.number, one.component, one.rule), *_span(one))
        leads += [] if at is None else [(at - one.opened_at) / _HOUR]
    score = outcome.ledger.coverage()
    return {
        "made": score.made,
        "inside": score.inside,
        "early": score.early,
        "late": score.late,
        "ended": score.ended,
        "waiting": score.waiting,
        "came_true": None if score.share is None else round(score.share, 4),
        "episodes": len(told),
        "episodes_reached": len(leads),
        "median_lead_hours": round(statistics.median(leads), 2) if leads else None,
    }


def _span(one: Replayed) -> tuple[int, float]:
    return one.opened_at, _end(one)


def by_rule(outcome: Outcome) -> dict[str, JsonValue]:
    """Return the episodes of every rule that was judged."""
    found: dict[str, JsonValue] = {}
    for name in outcome.book.names():
        rule = outcome.book.variants(name)[0].rule
        episodes: list[JsonValue] = [
            {
                "host": one.host.name,
                "labels": dict(one.labels),
                "severity": str(one.severity),
                "opened_at": _written(one.opened_at),
                "closed_at": None if one.closed_at is None else _written(one.closed_at),
                "evidence": {"title": one.title, "value": one.shown, "flaps_held": one.flaps},
            }
            for one in outcome.episodes
            if one.rule == name
        ]
        found[name] = {"kind": kind_of(rule).name, "episodes": episodes}
    return found


def missing(those: Sequence[Replayed], from_these: Sequence[Replayed]) -> list[Replayed]:
    """Return the episodes of `those` with none of `from_these` on the same thing meanwhile."""
    spans: dict[tuple[str, int, str], list[tuple[int, float]]] = {}
    for one in from_these:
        key = (one.rule, one.host.number, one.component)
        spans.setdefault(key, []).append((one.opened_at, _end(one)))
    return [
        one
        for one in those
        if not any(
            begin <= _end(one) and one.opened_at <= end
            for begin, end in spans.get((one.rule, one.host.number, one.component), ())
        )
    ]


def _end(one: Replayed) -> float:
    return float("inf") if one.closed_at is None else one.closed_at


def _written(at: int) -> str:
    return rfc3339(_EPOCH + timedelta(microseconds=at))
