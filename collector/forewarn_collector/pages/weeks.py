"""Draw the maintenance of the next weeks: one row a window, one bar each time it happens."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from markupsafe import Markup

from forewarn_collector.text import plain

DAYS = 28
MOST_ROWS = 20

_WIDTH, _LEFT, _ROW, _TOP = 960, 200, 26, 24
_NARROWEST = 3.0  # an hour in four weeks is not a pixel wide
_LONGEST = 30
_FITS = 3  # days between two dates that do not run into each other


@dataclass(frozen=True, slots=True)
class Row:
    """One window: what it is called, and when it happens as (start, end)."""

    name: str
    spans: Sequence[tuple[datetime, datetime]]


def draw_weeks(rows: Sequence[Row], now: datetime, zone: ZoneInfo) -> Markup:
    """Return the drawing, from today's midnight in `zone` on; the table says the same in words."""
    local = now.astimezone(zone)
    since = datetime(local.year, local.month, local.day, tzinfo=zone).astimezone(UTC)
    shown = rows[:MOST_ROWS]
    height = _TOP + _ROW * max(len(shown), 1) + 4
    parts = [_days(since, zone, height)]
    for number, row in enumerate(shown):
        y = _TOP + number * _ROW
        parts.append(
            Markup('<text class="tick" x="0" y="{}">{}</text>').format(
                y + 17, plain(row.name, _LONGEST)
            )
        )
        parts += [_bar(since, start, end, y, zone) for start, end in row.spans]
    parts.append(_mark(since, now, height))
    label = f"Maintenance of the next {DAYS} days, {len(rows)} windows"
    return Markup(
        '<svg class="chart weeks" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(_WIDTH, height, label, Markup("").join(parts))


def _days(since: datetime, zone: ZoneInfo, height: int) -> Markup:
    """Return weekends as bands and Mondays as lines with their date, today, too, if it fits."""
    bands, lines = [], []
    monday = next(n for n in range(7) if _local(since, n, zone).weekday() == 0)
    for day in range(DAYS):
        local = _local(since, day, zone)
        x = _x(since, since + timedelta(days=day))
        if local.weekday() >= 5:
            width = (_WIDTH - _LEFT) / DAYS
            bands.append(
                Markup('<rect class="rest" x="{:.1f}" y="0" width="{:.1f}" height="{}"/>').format(
                    x, width, height
                )
            )
        if local.weekday() == 0 or (day == 0 and monday >= _FITS):
            lines.append(Markup('<path class="grid" d="M{:.1f} 0V{}"/>').format(x, height))
            lines.append(
                Markup('<text class="tick" x="{:.1f}" y="12">{}</text>').format(
                    x + 3, f"{local:%a} {local.day} {local:%b}"
                )
            )
    return Markup("").join(bands + lines)


def _local(since: datetime, day: int, zone: ZoneInfo) -> datetime:
    """Return noon of a day: one may have 23 or 25 hours."""
    return (since + timedelta(days=day, hours=12)).astimezone(zone)


def _bar(since: datetime, start: datetime, end: datetime, y: int, zone: ZoneInfo) -> Markup:
    left = max(_x(since, start), _LEFT)
    right = min(max(_x(since, end), left + _NARROWEST), _WIDTH)
    first, last = start.astimezone(zone), end.astimezone(zone)
    told = f"{first:%a} {first.day} {first:%b, %H:%M} to {last:%a %H:%M %Z}"
    return Markup(
        '<rect class="span" x="{:.1f}" y="{}" width="{:.1f}" height="{}" rx="2">'
        "<title>{}</title></rect>"
    ).format(left, y + 4, max(right - left, _NARROWEST), _ROW - 9, told)


def _mark(since: datetime, now: datetime, height: int) -> Markup:
    return Markup('<path class="now" d="M{:.1f} {}V{}"/>').format(_x(since, now), _TOP - 6, height)


def _x(since: datetime, at: datetime) -> float:
    share = (at - since) / timedelta(days=DAYS)
    return _LEFT + share * (_WIDTH - _LEFT)
