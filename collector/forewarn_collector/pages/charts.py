"""Draw readings over time as a small SVG: pure, without script, coloured by classes of the page.

A gap in the readings is a gap in the drawing: nothing is known there, which is not zero.  The
light band behind a line runs from the lowest to the highest reading of each step.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from markupsafe import Markup

from forewarn_checks.base import Severity, Unit
from forewarn_collector.pages.axes import Axis, time_axis, value_axis
from forewarn_collector.text import plain
from forewarn_collector.units import write_value

MOST_LINES = 8
"""Lines of one drawing; there are as many colours."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 10.0, 10.0, 22.0
_ROW = 26.0
_LONGEST_LABEL = 8  # characters beside a strip; the description has the whole name
_FARTHEST_MARK = 2.0  # a mark beyond so many times the highest reading would flatten the line


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height of a drawing; text is as large as on the page when it is shown so wide."""

    width: float
    height: float


SMALL, WIDE = Size(400, 150), Size(720, 220)


class Kind(StrEnum):
    """How a metric is drawn."""

    LINE = "line"
    BAR = "bar"  # a share of a whole: always from 0 to 100 %
    STATE = "state"  # 0 or 1: one strip a series


@dataclass(frozen=True, slots=True)
class Line:
    """One series.  `at` are unix seconds, growing; `low` and `high` the extremes of each step."""

    name: str
    at: Sequence[float]
    value: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True, slots=True)
class Mark:
    """The value from which on a rule raises."""

    value: float
    severity: Severity
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One metric of one host over [since, until).

    Readings further apart than `gap` are not joined.  `bad` is the value of a state that a rule
    calls wrong, None when no rule does.  `shaded` spans are drawn behind, e.g. an episode.
    """

    title: str
    unit: Unit
    kind: Kind
    since: datetime
    until: datetime
    zone: ZoneInfo
    gap: timedelta
    lines: Sequence[Line]
    marks: Sequence[Mark] = ()
    bad: Mark | None = None
    shaded: Sequence[tuple[datetime, datetime]] = ()

    @property
    def drawn(self) -> Sequence[Line]:
        """The lines there is room for."""
        return self.lines[:MOST_LINES]

    @property
    def still(self) -> bool:
        """True when there is nothing to see: no readings, or one value without marks near it."""
        if self.kind is not Kind.LINE or self.marks:
            return not self.lines
        return all(min(line.low) == max(line.high) for line in self.lines)


def draw(chart: Chart, name: str, size: Size = SMALL) -> Markup:
    """Return the SVG.  `name` is unique on the page: it ties the drawing to its description."""
    rows = len(chart.drawn) if chart.kind is Kind.STATE else 0
    height = _TOP + rows * _ROW + _BOTTOM if rows else size.height
    time = time_axis(chart.since, chart.until, chart.zone, lines=int(size.width // 100))
    frame = _Frame(time, value_range(chart), size.width, height)
    parts = [*_shades(chart, frame), *_time_grid(frame)]
    if chart.kind is Kind.STATE:
        parts += [
            part for row, line in enumerate(chart.drawn) for part in _strip(chart, frame, row, line)
        ]
    else:
        parts += _value_grid(frame)
        parts += [
            part
            for index, line in enumerate(chart.drawn)
            for part in _curve(chart, frame, index, line)
        ]
        parts += _marks(chart, frame)
    return Markup(
        '<svg class="chart" viewBox="0 0 {w:.0f} {h:.0f}" role="img"'
        ' aria-labelledby="{n}-t {n}-d"><title id="{n}-t">{title}</title>'
        '<desc id="{n}-d">{told}</desc>{parts}</svg>'
    ).format(
        w=size.width,
        h=height,
        n=name,
        title=plain(chart.title),
        told=describe(chart),
        parts=Markup("").join(parts),
    )


def describe(chart: Chart) -> str:
    """Return what the drawing shows, in words, for those who do not see it."""
    told = []
    for line in chart.drawn:
        if not line.value:
            continue
        latest = _worded(chart, line.value[-1])
        text = f"{plain(line.name) or 'value'}: {latest} at the end"
        if chart.kind is not Kind.STATE:
            lowest, highest = min(line.low), max(line.high)
            text += f", from {_worded(chart, lowest)} to {_worded(chart, highest)}"
        told.append(text)
    if not told:
        return "No readings in this span."
    told += [mark.text for mark in chart.marks]
    return "; ".join(told) + "."


def value_range(chart: Chart) -> Axis:
    """Return the upright axis: all readings, and the marks that are near enough to matter."""
    if chart.kind is Kind.STATE:
        return Axis(0.0, 1.0, ())
    low = min((min(line.low) for line in chart.drawn if line.low), default=0.0)
    high = max((max(line.high) for line in chart.drawn if line.high), default=1.0)
    if chart.kind is Kind.BAR:
        return value_axis(chart.unit, 0.0, max(1.0, high))
    near = [
        mark.value
        for mark in chart.marks
        if low / _FARTHEST_MARK <= mark.value <= max(high, low) * _FARTHEST_MARK
    ]
    return value_axis(chart.unit, min([low, *near]), max([high, *near]))


# -- parts ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Frame:
    """Turns times and values into places on the drawing."""

    time: Axis
    value: Axis
    width: float
    height: float

    def x(self, at: float) -> float:
        share = (at - self.time.low) / (self.time.high - self.time.low)
        return _LEFT + share * (self.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.value.low) / (self.value.high - self.value.low)
        return self.height - _BOTTOM - share * (self.height - _TOP - _BOTTOM)

    @property
    def floor(self) -> float:
        return self.height - _BOTTOM


def _value_grid(frame: _Frame) -> Iterator[Markup]:
    for value, text in frame.value.ticks:
        y = frame.y(value)
        yield Markup('<path class="grid" d="M{:.1f} {:.1f}H{:.1f}"/>').format(
            _LEFT, y, frame.width - _RIGHT
        )
        yield Markup('<text class="tick end" x="{:.1f}" y="{:.1f}">{}</text>').format(
            _LEFT - 5, y + 3.5, text
        )


def _time_grid(frame: _Frame) -> Iterator[Markup]:
    for at, text in frame.time.ticks:
        x = frame.x(at)
        yield Markup('<path class="grid" d="M{:.1f} {:.1f}V{:.1f}"/>').format(x, _TOP, frame.floor)
        yield Markup('<text class="tick middle" x="{:.1f}" y="{:.1f}">{}</text>').format(
            min(max(x, _LEFT), frame.width - _RIGHT - 12), frame.height - 7, text
        )


def _shades(chart: Chart, frame: _Frame) -> Iterator[Markup]:
    for since, until in chart.shaded:
        left = frame.x(max(since, chart.since).timestamp())
        right = frame.x(min(until, chart.until).timestamp())
        if right > left:
            yield Markup(
                '<rect class="shade" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>'
            ).format(left, _TOP, right - left, frame.floor - _TOP)


def _curve(chart: Chart, frame: _Frame, index: int, line: Line) -> Iterator[Markup]:
    for piece in pieces(line.at, chart.gap):
        tops = [(frame.x(line.at[n]), frame.y(line.high[n])) for n in piece]
        lows = [(frame.x(line.at[n]), frame.y(line.low[n])) for n in piece]
        middle = [(frame.x(line.at[n]), frame.y(line.value[n])) for n in piece]
        if chart.kind is Kind.BAR and len(chart.drawn) == 1:
            ends = [(middle[-1][0], frame.floor), (middle[0][0], frame.floor)]
            yield _path(f"fill s{index}", [*middle, *ends], closed=True)
        if any(abs(top[1] - low[1]) > 0.5 for top, low in zip(tops, lows, strict=True)):
            yield _path(f"band s{index}", [*tops, *reversed(lows)], closed=True)
        if len(middle) == 1:
            yield Markup('<circle class="dot s{}" cx="{:.1f}" cy="{:.1f}" r="2"/>').format(
                index, *middle[0]
            )
        else:
            yield _path(f"line s{index}", middle)


def _strip(chart: Chart, frame: _Frame, row: int, line: Line) -> Iterator[Markup]:
    top = _TOP + row * _ROW + 4
    for piece in pieces(line.at, chart.gap):
        for begin, end, value in _stretches(line, piece):
            left = frame.x(begin)
            yield Markup(
                '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>'
            ).format(_state_class(chart, value), left, top, max(frame.x(end) - left, 1.5), _ROW - 8)
    shown = plain(line.name, _LONGEST_LABEL)
    yield Markup('<text class="tick end" x="{:.1f}" y="{:.1f}">{}</text>').format(
        _LEFT - 5, top + 13, shown
    )


def _stretches(line: Line, piece: range) -> Iterator[tuple[float, float, float]]:
    """Yield (begin, end, value) of each run of equal values.

    A step in which the state was bad for a moment only counts as what it mostly was.
    """
    begin = piece[0]
    for n in piece[1:]:
        if round(line.value[n]) != round(line.value[begin]):
            yield line.at[begin], line.at[n], float(round(line.value[begin]))
            begin = n
    yield line.at[begin], line.at[piece[-1]], float(round(line.value[begin]))


def _state_class(chart: Chart, value: float) -> str:
    if chart.bad is None:
        return "state-on" if value else "state-off"
    return f"state-bad {chart.bad.severity}" if value == chart.bad.value else "state-good"


def _marks(chart: Chart, frame: _Frame) -> Iterator[Markup]:
    for mark in chart.marks:
        if frame.value.low <= mark.value <= frame.value.high:
            y = frame.y(mark.value)
            yield Markup(
                '<path class="mark {}" d="M{:.1f} {:.1f}H{:.1f}"><title>{}</title></path>'
            ).format(mark.severity, _LEFT, y, frame.width - _RIGHT, mark.text)


def _path(classes: str, points: Sequence[tuple[float, float]], *, closed: bool = False) -> Markup:
    places = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return Markup('<path class="{}" d="M{}{}"/>').format(classes, places, "Z" if closed else "")


def pieces(at: Sequence[float], gap: timedelta) -> Iterator[range]:
    """Yield stretches of indexes whose neighbours are no further apart than `gap`."""
    begin = 0
    for n in range(1, len(at)):
        if at[n] - at[n - 1] > gap.total_seconds():
            yield range(begin, n)
            begin = n
    if at:
        yield range(begin, len(at))


def _worded(chart: Chart, value: float) -> str:
    if chart.kind is Kind.STATE:
        return "yes" if round(value) else "no"
    return write_value(value, chart.unit)
