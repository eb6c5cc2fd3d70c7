"""Run a test of rules: make its readings arrive as it says, judge them, compare what came."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from forewarn_checks.base import Absence
from forewarn_checks.base.durations import write_duration
from forewarn_collector.dating import microseconds
from forewarn_collector.grouping import count_tickets
from forewarn_collector.replay import Replay, Replayed
from forewarn_collector.rule_tests import START, Case, Expectation
from forewarn_collector.rules.notation import parse_series
from forewarn_collector.rules.own import AHEAD, BEHIND, CLOCK_ERROR
from forewarn_collector.samples import Points, Shape
from forewarn_collector.selector import parse
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.suppression.holds import Holds
from forewarn_collector.suppression.windows import Scope, Silence, Window

_MICROSECOND = timedelta(microseconds=1)
_START = microseconds(START)
_SECOND = 1_000_000
_MINUTE = 60 * _SECOND


@dataclass(frozen=True, slots=True)
class Failure:
    """An expectation that was not met: where it stands, and what came instead."""

    file: str
    line: int
    test: str
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.test}: {self.rule}: {self.text}"


@dataclass(frozen=True, slots=True)
class _Arrival:
    """One reading on its way."""

    received: int
    at: int
    host: int
    shape: int
    value: float


def run(case: Case) -> list[Failure]:
    """Return what of a test does not hold; nothing when all does."""
    replay = play(case)
    found = [
        Failure(
            str(case.file.path),
            case.file.line("tests", case.index, "expect", place),
            case.test.name,
            expected.rule,
            text,
        )
        for place, expected in enumerate(case.test.expect)
        for text in _unmet(expected, replay.episodes)
    ]
    count, wanted = count_tickets(replay.episodes), case.test.tickets
    if wanted is not None and count != wanted:
        came = "; ".join(map(_written, replay.episodes)) or "nothing opened"
        line = case.file.line("tests", case.index, "tickets")
        rules = ", ".join(dict.fromkeys(one.rule for one in case.test.expect))
        text = f"makes {count} tickets, not {wanted}: {came}"
        found.append(Failure(str(case.file.path), line, case.test.name, rules, text))
    return found


def play(case: Case) -> Replay:
    """Judge the readings of a test in the order they arrive."""
    names = list(dict.fromkeys(series.host for series in case.test.series))
    hosts = {number: _host(number, name, case) for number, name in enumerate(names, start=1)}
    shapes: list[Shape] = []
    readings = list(_arrivals(case, names, shapes))
    readings += _clocks(case, names, shapes, readings)
    arrivals = sorted(readings, key=lambda one: (one.received, one.at))
    replay = Replay(case.book, hosts, shapes, since=_START, holds=_holds(case))
    restarts = sorted(
        (_START + event.at // _MICROSECOND, _START + (event.at + event.for_) // _MICROSECOND)
        for event in case.test.events
        if event.do == "restart"
    )
    for now, group in _moments(case, arrivals, restarts):
        while restarts and restarts[0][1] <= now:
            replay.away(*restarts.pop(0))
        if group:
            replay.receive(_points(group, now), now)
        replay.listen(now)
    return replay


def _holds(case: Case) -> Holds:
    """Return the windows and silences of a test."""
    windows, silences = [], []
    for number, event in enumerate(case.test.events):
        name = "" if event.host is None else f'host:"{event.host}"'
        scope, begins = Scope(None, parse(name)), START + event.at
        ends, why = begins + event.for_, case.test.name
        if event.do == "maintenance":
            window = Window(id=str(number), scope=scope, reason=why, starts=begins, ends=ends)
            windows.append(window)
        elif event.do == "silence":
            silences.append(
                Silence(
                    id=str(number),
                    scope=scope,
                    reason=why,
                    starts=begins,
                    expires=ends,
                    rule=event.rule,
                )
            )
    return Holds(windows, silences)


def _arrivals(case: Case, names: list[str], shapes: list[Shape]) -> Iterator[_Arrival]:
    every = case.test.every // _MICROSECOND
    booked = [form for name in case.book.names() for form in case.book.variants(name)]
    known = {name: metric.labels for form in booked for name, metric in form.metrics.items()}
    for series in case.test.series:
        # As on the wire: a series carries every label of its metric.
        labels = dict.fromkeys(known.get(series.metric, ()), "") | dict(series.labels)
        shape = Shape(series.metric, tuple(sorted(labels.items())))
        if shape not in shapes:
            shapes.append(shape)
        number = shapes.index(shape)
        for turn, value in enumerate(parse_series(series.values)):
            received = _received(case, series.host, turn * every)
            if value is not None and received is not None:
                yield _Arrival(
                    _START + received,
                    _START + turn * every,
                    names.index(series.host) + 1,
                    number,
                    value,
                )


def _clocks(
    case: Case, names: list[str], shapes: list[Shape], readings: Sequence[_Arrival]
) -> Iterator[_Arrival]:
    """Yield what the collector finds of each host's clock: how far `skew` turned it."""
    metric = CLOCK_ERROR.name
    judged = {name for one in case.book.rules() for name in (one.metric and one.metric.name,)}
    if metric not in judged or any(one.metric == metric for one in case.test.series):
        return
    for host, received in sorted({(one.host, one.received) for one in readings}):
        off = sum(
            event.by // _MICROSECOND
            for event in case.test.events
            if event.do == "skew"
            and event.host in (None, names[host - 1])
            and _START + event.at // _MICROSECOND
            <= received
            < _START + (event.at + event.for_) // _MICROSECOND
        )
        shape = Shape(metric, (("direction", AHEAD if off > 0 else BEHIND),))
        if shape not in shapes:
            shapes.append(shape)
        yield _Arrival(received, received, host, shapes.index(shape), abs(off) / _SECOND)


def _received(case: Case, host: str, at: int) -> int | None:
    """Return when a reading arrives, None when it is never made.

    A skewed clock changes neither: a reading is dated by its age, which no clock can set.
    """
    received = at + _SECOND
    for event in case.test.events:
        begin, end = event.at // _MICROSECOND, (event.at + event.for_) // _MICROSECOND
        concerned = event.host in (None, host) and begin <= at < end
        if event.do == "gap" and concerned:
            return None
        if event.do == "late" and concerned:
            received = max(received, at + event.by // _MICROSECOND)
        # While the collector is away an agent keeps its readings, as while it is offline itself.
        if (event.do == "offline" and concerned) or (
            event.do == "restart" and begin <= received < end
        ):
            received = max(received, end + _SECOND)
    return received


def _moments(
    case: Case, arrivals: list[_Arrival], restarts: list[tuple[int, int]]
) -> Iterator[tuple[int, list[_Arrival]]]:
    """Yield each moment at which the collector judges, with what arrived since the one before."""
    end = max((one.received for one in arrivals), default=_START)
    if case.test.run_for is not None:
        end = max(end, _START + case.test.run_for // _MICROSECOND)
    step = _MINUTE if _listens(case) else 10**18
    away = list(restarts)
    place, tick = 0, _START
    while place < len(arrivals) or tick <= end:
        upcoming = arrivals[place].received if place < len(arrivals) else end + 1
        now = min(upcoming, tick)
        group = []
        while place < len(arrivals) and arrivals[place].received == now:
            group.append(arrivals[place])
            place += 1
        if now == tick:
            tick += step
        if now > end:
            break
        if not any(began <= now < ended for began, ended in away):
            yield now, group
    yield end, []


def _listens(case: Case) -> bool:
    book = case.book
    return any(isinstance(form.rule, Absence) for n in book.names() for form in book.variants(n))


def _points(group: list[_Arrival], now: int) -> Points:
    return Points(
        host=np.array([one.host for one in group], np.int64),
        shape=np.array([one.shape for one in group], np.int64),
        at=np.array([one.at for one in group], np.int64),
        value=np.array([one.value for one in group], np.float64),
        received=np.full(len(group), now, np.int64),
        through=0,
    )


def _host(number: int, name: str, case: Case) -> KnownHost:
    return KnownHost(
        number=number,
        id=f"00000000-0000-7000-8000-{number:012d}",
        client_id="acme",
        site_id="hq",
        name=name,
        public_key=b"",
        client="acme",
        site="hq",
        host_class=case.test.host_class,
        system="linux",
        enrolled_at=START,
    )


# -- what was expected ---------------------------------------------------------------------------


def _unmet(expected: Expectation, episodes: list[Replayed]) -> Iterator[str]:
    """Yield what is not as expected, in words that say what came instead."""
    found = [one for one in episodes if _is_meant(expected, one)]
    came = "; ".join(map(_written, found)) or "nothing opened"
    if expected.never:
        if found:
            yield f"must never open, but: {came}"
        return
    held = sum(one.flaps for one in found)
    if expected.flaps_held is not None and held != expected.flaps_held:
        yield f"holds {held} flaps, not {expected.flaps_held}: {came}"
    if expected.opens is not None and len(found) != expected.opens:
        yield f"opens {len(found)} times, not {expected.opens}: {came}"
        return
    if not found:
        if expected.opens is None:
            yield "must open, but nothing did; make the readings hold for longer, or never = true"
        return
    first = found[0]
    yield from _outside("opened", first.opened_at, expected.opened_between, came)
    if expected.closed_between is not None:
        yield from _outside("closed", first.closed_at, expected.closed_between, came)
    if expected.still_open is not None and expected.still_open is (first.closed_at is not None):
        yield f"must {'last' if expected.still_open else 'be over'} at the end: {came}"
    if expected.severity is not None and first.severity is not expected.severity:
        yield f"reaches {first.severity}, not {expected.severity}: {came}"
    if expected.title is not None and first.title != expected.title:
        yield f"is titled {first.title!r}, not {expected.title!r}"


def _outside(
    what: str, at: int | None, span: tuple[timedelta, timedelta] | None, came: str
) -> Iterator[str]:
    if span is None:
        return
    low, high = (_START + moment // _MICROSECOND for moment in span)
    if at is None or not low <= at <= high:
        when = "never" if at is None else f"at {_since(at)}"
        wanted = f"{write_duration(span[0])} and {write_duration(span[1])}"
        yield f"{what} {when}, not between {wanted}: {came}"


def _is_meant(expected: Expectation, episode: Replayed) -> bool:
    return (
        episode.rule == expected.rule
        and expected.host in (None, episode.host.name)
        and expected.labels.items() <= episode.labels.items()
    )


def _written(episode: Replayed) -> str:
    closed = (
        "open at the end" if episode.closed_at is None else f"closed {_since(episode.closed_at)}"
    )
    return f"{episode.severity} opened {_since(episode.opened_at)}, {closed} ({episode.title})"


def _since(at: int) -> str:
    return write_duration(timedelta(microseconds=at - _START))
