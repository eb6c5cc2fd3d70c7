"""Where the lines of a chart's grid fall: round values of each unit, round hours of a zone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, floor, log
from zoneinfo import ZoneInfo

from forewarn_checks.base import Unit
from forewarn_collector.units import write_value

_SAME = 1e-9  # of a value: what differs less is one value
_NOTHING = 1e-9  # no unit of ours is told apart below this; a step of it has no logarithm


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`, with a labelled line at each of `ticks`."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]


def value_axis(unit: Unit, low: float, high: float, lines: int = 4) -> Axis:
    """Return an axis that holds [low, high], with about `lines` round steps.

    It begins at zero unless that would flatten what there is to see.
    """
    if low >= 0 and (unit in (Unit.RATIO, Unit.COUNT) or low <= 0.6 * high):
        low = 0.0
    if high - low <= max(abs(low), abs(high), _NOTHING) * _SAME:
        high = max(high, low + _least(unit, low))
    step = _round_step(unit, (high - low) / lines)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    values = [number * step for number in range(first, last + 1)]
    return Axis(values[0], values[-1], tuple(zip(values, _texts(values, unit), strict=True)))


def time_axis(since: datetime, until: datetime, zone: ZoneInfo, lines: int = 4) -> Axis:
    """Return an axis of unix seconds, with about `lines` ticks at round local times."""
    span = (until - since) / lines
    step = next(
        (one for one in _TIME_STEPS if one >= span), timedelta(days=ceil(span.days / 30) * 30)
    )
    form = next(form for limit, form in _TIME_FORMS if step < limit)
    ticks = []
    at = _round_local(since.astimezone(zone), step)
    while at <= until:
        if at >= since:
            ticks.append((at.timestamp(), _written(at, form)))
        at = _later(at, step, zone)
    return Axis(since.timestamp(), until.timestamp(), tuple(ticks))


def _texts(values: Sequence[float], unit: Unit) -> list[str]:
    """Return each value written; ratios with more digits where two would read the same."""
    texts = [write_value(value, unit) for value in values]
    if len(set(texts)) == len(texts):
        return texts
    if unit is Unit.RATIO:
        return [f"{value * 100:.3g} %" for value in values]
    return [text if text not in texts[:n] else "" for n, text in enumerate(texts)]


def _least(unit: Unit, low: float) -> float:
    """Return how much an axis shows of a value that never changes."""
    return {Unit.RATIO: 1.0, Unit.COUNT: 4.0, Unit.CELSIUS: 4.0}.get(
        unit, abs(low) * 0.5 if abs(low) > _NOTHING else 4.0
    )


def _round_step(unit: Unit, wanted: float) -> float:
    if unit is Unit.BYTES and wanted >= 1:
        # A tenth of the next unit is still written in it: 0.5 GiB, not 500 MiB.
        scale = 1024.0 ** floor(log(wanted * 10, 1024))
        return scale * _decimal_step(wanted / scale)
    if unit is Unit.SECONDS and wanted >= 60:
        for step in _SECONDS:
            if step >= wanted:
                return step
        return 86400.0 * _decimal_step(wanted / 86400)
    step = _decimal_step(wanted)
    return max(step, 1.0) if unit is Unit.COUNT and wanted > 0.3 else step


def _decimal_step(wanted: float) -> float:
    power = 10.0 ** floor(log(wanted, 10))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= wanted * 0.999)


_SECONDS = (60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21600.0, 43200.0, 86400.0)

_TIME_STEPS: Sequence[timedelta] = tuple(
    timedelta(minutes=minutes)
    for minutes in (
        *(1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720),
        *(1440, 2880, 7 * 1440, 14 * 1440, 30 * 1440),
    )
)
_TIME_FORMS = (
    (timedelta(hours=24), "%H:%M"),
    (timedelta(days=2), "%a {day}"),
    (timedelta(days=60), "{day} %b"),
    (timedelta.max, "%b %Y"),
)


def _written(at: datetime, form: str) -> str:
    if form == "%H:%M" and (at.hour, at.minute) == (0, 0):
        form = "%a {day}"
    return at.strftime(form.replace("{day}", str(at.day)))


def _round_local(at: datetime, step: timedelta) -> datetime:
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if step >= timedelta(days=1):
        return midnight
    return midnight + (at.replace(tzinfo=None) - midnight.replace(tzinfo=None)) // step * step


def _later(at: datetime, step: timedelta, zone: ZoneInfo) -> datetime:
    """Return the next local time of the grid; days stay days where clocks change."""
    if step >= timedelta(days=1):
        return (at.replace(tzinfo=None) + step).replace(tzinfo=zone)
    return datetime.fromtimestamp(at.timestamp() + step.total_seconds(), zone)
