"""When work is done: business hours in a place's own time, and sums of them.

A calendar is what it says, nothing else: its version is a hash of its content, so that a ticket
can keep the very calendar it was opened under.  Around the clock is no calendar, never
00:00 to 23:59, which would lose a minute at every midnight.
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo

DAY_MINUTES = 24 * 60

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST_YEAR = 9990


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From one wall-clock minute of a day up to, not including, another: 0 to 1440."""

    start: int
    end: int

    def __post_init__(self) -> None:
        """Raise ValueError unless it is a stretch of one day."""
        if not 0 <= self.start < self.end <= DAY_MINUTES:
            raise ValueError(f"{self} does not begin before it ends within one day")

    def __str__(self) -> str:
        return f"{_minute(self.start)}-{_minute(self.end)}"


Spans = tuple[Span, ...]


class NeverOpen(ValueError):
    """A calendar without an open minute in any week: no time would ever be up."""


@dataclass(frozen=True, eq=False)
class Calendar:
    """Opening hours of a week (Monday first) in `zone`, and the dates that differ.

    `days` are the dates with other hours than their weekday's: none for a holiday.  Raises
    NeverOpen, ValueError for hours that overlap, ZoneInfoNotFoundError for an unknown zone.
    """

    zone: str
    week: tuple[Spans, ...]
    days: Mapping[date, Spans] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what could not be reckoned with."""
        if len(self.week) != 7:
            raise ValueError("a week has seven days, Monday first")
        for spans in (*self.week, *self.days.values()):
            _check(spans)
        if not any(self.week):
            raise NeverOpen("the calendar is open on no weekday; for around the clock name none")
        ZoneInfo(self.zone)

    @cached_property
    def version(self) -> str:
        """The hash of all it says: equal for calendars that reckon alike."""
        return hashlib.sha256(json.dumps(self.written(), sort_keys=True).encode()).hexdigest()

    def written(self) -> dict[str, object]:
        """Return it as JSON, to be kept and read again by `read_calendar`."""
        return {
            "zone": self.zone,
            "week": [[str(span) for span in spans] for spans in self.week],
            "days": {
                day.isoformat(): [str(span) for span in spans]
                for day, spans in sorted(self.days.items())
            },
        }

    # -- reckoning -------------------------------------------------------------------------------

    def is_open(self, at: datetime) -> bool:
        """Say whether `at` lies in an opening."""
        since = at.astimezone(UTC)
        return business_between(self, since, since + _MICROSECOND) > timedelta(0)

    @cached_property
    def _tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @cached_property
    def _years(self) -> dict[int, "_Year"]:
        return {}

    def _year(self, year: int) -> "_Year":
        """Return the openings of a local year, reckoned once."""
        known = self._years.get(year)
        if known is None:
            known = self._years[year] = self._reckon(year)
        return known

    def _year_of(self, at: int) -> int:
        return (_EPOCH + timedelta(microseconds=at)).astimezone(self._tz).year

    def _reckon(self, year: int) -> "_Year":
        starts: list[int] = []
        ends: list[int] = []
        day = date(year, 1, 1)
        while day.year == year:
            for span in self.days.get(day, self.week[day.weekday()]):
                start = _instant(self._tz, day, span.start)
                end = _instant(self._tz, day, span.end)
                if start < end:  # else the clocks were put forward over all of it
                    starts.append(start)
                    ends.append(end)
            day += timedelta(days=1)
        lengths = (end - start for start, end in zip(starts, ends, strict=True))
        return _Year(starts, ends, [0, *accumulate(lengths)])


@dataclass(frozen=True, slots=True)
class _Year:
    """The openings of one year in microseconds since 1970, and the sums of those before each."""

    starts: Sequence[int]
    ends: Sequence[int]
    sums: Sequence[int]

    @property
    def total(self) -> int:
        return self.sums[-1]

    def before(self, at: int) -> int:
        """Return how much of the year's openings lies before `at`."""
        index = bisect_right(self.starts, at) - 1
        if index < 0:
            return 0
        return self.sums[index] + min(at, self.ends[index]) - self.starts[index]

    def reached(self, amount: int) -> int:
        """Return the first moment before which `amount`, above 0, of the openings lies."""
        index = bisect_right(self.sums, amount - 1) - 1
        return self.starts[index] + amount - self.sums[index]


def business_between(calendar: Calendar | None, since: datetime, until: datetime) -> timedelta:
    """Return how much business time lies between two moments; None is around the clock.

    Nothing when `until` is not after `since`.
    """
    first, last = _microseconds(since), _microseconds(until)
    if last <= first:
        return timedelta(0)
    if calendar is None:
        return timedelta(microseconds=last - first)
    year, end_year = calendar._year_of(first), calendar._year_of(last)
    amount = -calendar._year(year).before(first)
    for whole in range(year, end_year):
        amount += calendar._year(whole).total
    return timedelta(microseconds=amount + calendar._year(end_year).before(last))


def add_business(calendar: Calendar | None, at: datetime, span: timedelta) -> datetime:
    """Return the earliest moment with `span` of business time between it and `at`.

    Raises ValueError for a negative span and OverflowError for one beyond all years.
    """
    if span < timedelta(0):
        raise ValueError("business time is only reckoned forwards")
    begin = _microseconds(at)
    if calendar is None or not span:
        return at.astimezone(UTC) + span
    year = calendar._year_of(begin)
    amount = span // _MICROSECOND + calendar._year(year).before(begin)
    while amount > calendar._year(year).total:
        amount -= calendar._year(year).total
        year += 1
        if year > _LAST_YEAR:
            raise OverflowError(f"{span} of business time is longer than time goes")
    return _EPOCH + timedelta(microseconds=calendar._year(year).reached(amount))


def read_spans(texts: Sequence[str]) -> Spans:
    """Return the spans of ``["08:00-12:00", "13:00-17:00"]``, sorted.  Raises ValueError."""
    spans = tuple(sorted(_span(text) for text in texts))
    _check(spans)
    return spans


def read_calendar(written: Mapping[str, object]) -> Calendar:
    """Return what `Calendar.written` wrote."""
    week, days = written["week"], written["days"]
    if not isinstance(week, list) or not isinstance(days, dict):
        raise ValueError("this is no calendar")
    return Calendar(
        zone=str(written["zone"]),
        week=tuple(read_spans(texts) for texts in week),
        days={date.fromisoformat(day): read_spans(texts) for day, texts in days.items()},
    )


def holidays_of(place: str, years: range) -> Mapping[date, str]:
    """Return the public holidays of ``"DE"`` or ``"DE-BE"`` with their names.

    Raises ValueError for a place nobody knows the holidays of.
    """
    import holidays  # only where somebody asks: it takes an eighth of a second

    country, _, subdivision = place.partition("-")
    try:
        found = holidays.country_holidays(country, subdiv=subdivision or None, years=years)
    except NotImplementedError as unknown:
        raise ValueError(f"{place!r} is no place with known holidays: {unknown}") from None
    return dict(sorted(found.items()))


# -- moments -------------------------------------------------------------------------------------


def _instant(zone: ZoneInfo, day: date, minute: int) -> int:
    """Return when a wall clock first shows this minute of `day`, or the next one it shows.

    The first of two when clocks are put back; where they are put forward over it, the moment they
    are.  So later minutes never come earlier, and openings neither overlap nor leave gaps.
    """
    wall = datetime.combine(day, time()) + timedelta(minutes=minute)
    at = wall.replace(tzinfo=zone)
    instant = at.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != wall:
        # An hour that is left out: both readings lie on the far sides of the change.
        instant = _change(zone, at.replace(fold=1).astimezone(UTC), instant)
    return _microseconds(instant)


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the second at which the zone's offset changes between two moments of UTC."""
    old = before.astimezone(zone).utcoffset()
    low, high = before, after
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == old:
            low = middle
        else:
            high = middle
    return high


def _microseconds(at: datetime) -> int:
    # Never a difference of two moments of one zone: Python takes that of their wall clocks.
    return (at - _EPOCH) // _MICROSECOND


# -- texts ---------------------------------------------------------------------------------------


def _span(text: str) -> Span:
    start, dash, end = text.partition("-")
    try:
        if not dash:
            raise ValueError
        return Span(_minutes(start), _minutes(end))
    except ValueError:
        raise ValueError(
            f'{text!r} is no stretch of a day; write "08:00-12:30", at most up to 24:00'
        ) from None


def _minutes(text: str) -> int:
    hour, colon, minute = text.strip().partition(":")
    if not colon or not (hour.isdecimal() and minute.isdecimal()) or len(minute) != 2:
        raise ValueError(text)
    if int(minute) > 59:
        raise ValueError(text)
    return int(hour) * 60 + int(minute)


def _minute(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _check(spans: Spans) -> None:
    for one, following in pairwise(spans):
        if following.start < one.end:
            raise ValueError(f"{one} and {following} overlap, or are not in order")
