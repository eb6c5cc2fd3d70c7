"""Replay what the store holds, or a file, in the order it was received, and count what rules do."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue, TypeAdapter, ValidationError

from forewarn_checks.base import Absence
from forewarn_collector.clock import rfc3339
from forewarn_collector.replay import Replay, Replayed
from forewarn_collector.rules.book import RuleBook
from forewarn_collector.rules.kinds import kind_of
from forewarn_collector.rules.own import CHECK_FAILED
from forewarn_collector.samples import Points, Shape
from forewarn_collector.samples.spread import Spread
from forewarn_collector.state.hosts import KnownHost

PASS = timedelta(minutes=1) // timedelta(microseconds=1)
"""Readings received within a minute are judged at once; the collector does so every 5 s."""

NOT_SIMULATED = (
    "what people did (acknowledged, silenced, repaired) and what was told to others; "
    "readings older than the retention"
)
_WEEK = timedelta(days=7) / timedelta(microseconds=1)
_REOPENS = timedelta(hours=24) // timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BadSeriesFile(Exception):
    """A file of series cannot be replayed; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is replayed: points in the order they were received, and whose they are.

    `batches` may be walked once.  `downtimes` are when the collector was away.
    """

    hosts: Mapping[int, KnownHost]
    shapes: Sequence[Shape]
    batches: Iterable[Points]
    downtimes: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a replay."""

    book: RuleBook
    episodes: Sequence[Replayed]
    hosts: int
    points: int
    began: int
    ended: int

    @property
    def host_weeks(self) -> float:
        """How many weeks of how many hosts were replayed; at least one of one."""
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


def replay(source: Source, book: RuleBook, began: int, ended: int) -> Iterator[int | Outcome]:
    """Judge it all; yield how far it is, in microseconds, and at last what came of it."""
    replay = Replay(
        book, source.hosts, source.shapes, downtimes=list(source.downtimes), since=began
    )
    listens = any(
        isinstance(form.rule, Absence) for name in book.names() for form in book.variants(name)
    )
    now, points, seen = began, 0, set[int]()
    for batch in source.batches:
        for part in _passes(batch):
            moment = int(part.received.max())
            # Silence is noticed while nothing comes, too.
            while listens and moment - now > PASS:
                now += PASS
                replay.listen(now)
            now = max(now, moment)
            replay.receive(part, now)
            replay.listen(now)
            points += len(part.at)
        seen.update(np.unique(batch.host).tolist())
        yield now
    while listens and now + PASS <= ended:
        now += PASS
        replay.listen(now)
    yield Outcome(book, replay.episodes, len(seen), points, began, max(ended, now))


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
) -> Source:
    """Return what the store received between two moments, of some metrics."""
    shapes = spread.shapes()
    chosen = [number for number, shape in enumerate(shapes) if shape.metric in metrics]
    return Source(hosts, shapes, spread.points(chosen, began, ended), downtimes)


def from_file(path: Path, book: RuleBook) -> tuple[Source, int, int]:
    """Return the series of a CSV or Parquet file, and when they begin and end.

    Columns: host, metric, labels (JSON), ts (unix seconds), value.  Each host is a server.
    Raises BadSeriesFile.
    """
    connection = duckdb.connect()
    try:
        read = connection.read_parquet if path.suffix == ".parquet" else connection.read_csv
        rows = (
            read(str(path))
            .query(
                "series",
                "SELECT host::VARCHAR AS host, metric::VARCHAR AS metric,"
                " coalesce(labels::VARCHAR, '') AS labels,"
                " (ts::DOUBLE * 1000000)::BIGINT AS moment,"
                " value::DOUBLE AS value FROM series WHERE host IS NOT NULL"
                " AND metric IS NOT NULL AND ts IS NOT NULL AND isfinite(value::DOUBLE)"
                " ORDER BY moment",
            )
            .fetchnumpy()
        )
    except duckdb.Error as wrong:
        first = str(wrong).splitlines()[0]
        raise BadSeriesFile(
            f"{path}: {first}; columns are host, metric, labels (JSON), ts (unix seconds), value"
        ) from None
    finally:
        connection.close()
    if not len(rows["moment"]):
        raise BadSeriesFile(f"{path}: holds no reading; give at least one row")
    names, host = np.unique(rows["host"].astype(str), return_inverse=True)
    shapes, shape = _shapes(path, book, rows["metric"].astype(str), rows["labels"].astype(str))
    at = rows["moment"].astype(np.int64)
    points = Points(host.astype(np.int64) + 1, shape, at, rows["value"], at, 0)
    hosts = {number: _made_up(number, name) for number, name in enumerate(names.tolist(), 1)}
    return Source(hosts, shapes, _slices(points)), int(at[0]), int(at[-1])


def _slices(points: Points, rows: int = 200_000) -> Iterator[Points]:
    for begin in range(0, len(points.at), rows):
        yield _cut(points, begin, begin + rows)


_LABELS = TypeAdapter(dict[str, str])


def _shapes(
    path: Path, book: RuleBook, metric: NDArray[np.str_], labels: NDArray[np.str_]
) -> tuple[list[Shape], NDArray[np.int64]]:
    known = {
        name: one.labels
        for rule in book.names()
        for form in book.variants(rule)
        for name, one in form.metrics.items()
    }
    pairs, number = np.unique(np.stack([metric, labels]), axis=1, return_inverse=True)
    shapes = []
    for name, text in pairs.T.tolist():
        try:
            given = _LABELS.validate_json(text or "{}")
        except ValidationError:
            raise BadSeriesFile(
                f'{path}: labels {text[:80]!r} are no JSON; write {{"mountpoint": "/"}}'
            ) from None
        whole = dict.fromkeys(known.get(name, ()), "") | given
        shapes.append(Shape(name, tuple(sorted(whole.items()))))
    return shapes, number.reshape(-1).astype(np.int64)


def _made_up(number: int, name: str) -> KnownHost:
    return KnownHost(
        number=number, id=name, client_id="", site_id="", name=name, public_key=b"", system="linux"
    )


# -- what came of it -------------------------------------------------------------------------------


def tickets(episodes: Sequence[Replayed]) -> int:
    """Return on how many tickets the episodes would have been: one a component while any lasts,

    and the same one again within a day after.
    """
    count = 0
    until: dict[tuple[int, str], float] = {}
    for one in sorted(episodes, key=lambda one: one.opened_at):
        subject = (one.host.number, one.component)
        if one.opened_at > until.get(subject, -1):
            count += 1
        ends = float("inf") if one.closed_at is None else one.closed_at + _REOPENS
        until[subject] = max(until.get(subject, -1), ends)
    return count


def summary(outcome: Outcome) -> dict[str, JsonValue]:
    """Return the figures of a replay."""
    episodes = outcome.episodes
    noisy = Counter(one.host.name for one in episodes).most_common(10)
    told = tickets(episodes)
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
        "noisiest": [{"host": name, "episodes": count} for name, count in noisy],
        "not_simulated": NOT_SIMULATED,
    }


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
                "flaps_held": one.flaps,
                "evidence": {"title": one.title, "value": one.shown},
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
