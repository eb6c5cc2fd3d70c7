"""When something happens again: days in words, a local time, a length, and a time zone.

    daily    weekly sat,sun    monthly 1,15    monthly last    monthly 2nd tue    monthly 2nd tue+4

A start that daylight saving skips is taken with the offset from before the gap, one that happens
twice the first time, as RFC 5545 has it; the length is elapsed time, whatever clocks show.
"""

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

LONGEST = timedelta(days=7)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HINT = "write daily, weekly sat,sun, monthly 1,15, monthly last or monthly 2nd tue"

_ORDINALS = {"1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "last": -1}
_NTH = re.compile(rf"({'|'.join(_ORDINALS)}) ({'|'.join(WEEKDAYS)})(?:\+([1-9]|1[0-9]|20))?")
_AT = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_DAY = timedelta(days=1)
_LOOK_AHEAD = 400  # days: every form happens more often
_FIRST_DAY, _LAST_DAY = date(1970, 1, 2), date(2200, 1, 1)

Picks = Callable[[date], bool]


class BadRepeat(ValueError):
    """The text names no repetition; the message says what would."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Something that happens again.  `days` is the text it was read from, made canonical."""

    days: str
    at: time
    lasts: timedelta
    zone: ZoneInfo
    picks: Picks

    def start_on(self, day: date) -> datetime:
        """Return the moment it begins on a local day, whether that day is picked or not."""
        return datetime.combine(day, self.at, self.zone).astimezone(UTC)

    def starts(self, after: datetime, before: datetime) -> Iterator[datetime]:
        """Yield every start in [after, before), the earliest first."""
        day = max(after.astimezone(self.zone).date() - _DAY, _FIRST_DAY)
        end = min(before.astimezone(self.zone).date() + _DAY, _LAST_DAY)
        while day <= end:
            if self.picks(day):
                start = self.start_on(day)
                if after <= start < before:
                    yield start
            day += _DAY

    def next_start(self, after: datetime) -> datetime | None:
        """Return the first start at or after a moment, None when there is none in a year."""
        return next(self.starts(after, after + _LOOK_AHEAD * _DAY), None)


def parse_repeat(days: str, at: str, lasts: timedelta, zone: str) -> Repeat:
    """Return the repetition that these texts write.  Raises BadRepeat."""
    match = _AT.fullmatch(at.strip())
    if match is None:
        raise BadRepeat(f"at: {at[:20]!r} is no time of day; write 02:00 or 22:30")
    if not timedelta(minutes=1) <= lasts <= LONGEST:
        raise BadRepeat(f"lasts: write at least 1m and at most {LONGEST.days}d")
    if not is_zone(zone):
        raise BadRepeat(f"zone: there is no time zone {zone[:64]!r}; write e.g. Europe/Berlin")
    words, picks = _days(" ".join(days.lower().split()))
    return Repeat(words, time(int(match[1]), int(match[2])), lasts, ZoneInfo(zone), picks)


def is_zone(name: str) -> bool:
    """Say whether this machine knows a time zone of this name."""
    return name in _zones()


def _days(text: str) -> tuple[str, Picks]:
    """Return the canonical text of the days and what picks them."""
    kind, _, rest = text.partition(" ")
    if kind == "daily" and not rest:
        return "daily", _every_day
    if kind == "weekly" and rest:
        return _weekly(rest)
    if kind == "monthly" and rest:
        nth = _NTH.fullmatch(rest)
        return _nth(nth) if nth else _of_month(rest)
    raise BadRepeat(f"repeat: {text[:60]!r} names no days; {HINT}")


def _every_day(_day: date) -> bool:
    return True


def _weekly(rest: str) -> tuple[str, Picks]:
    names = [name.strip() for name in rest.split(",")]
    if not all(name in WEEKDAYS for name in names):
        raise BadRepeat(f"repeat: {rest[:60]!r} are no weekdays; write {', '.join(WEEKDAYS)}")
    wanted = frozenset(WEEKDAYS.index(name) for name in names)
    words = ",".join(WEEKDAYS[number] for number in sorted(wanted))
    return f"weekly {words}", lambda day: day.weekday() in wanted


def _of_month(rest: str) -> tuple[str, Picks]:
    """Days by number; one that a month does not have is left out, `last` is always there."""
    wanted: set[int] = set()
    for name in (one.strip() for one in rest.split(",")):
        if name == "last":
            wanted.add(-1)
        elif re.fullmatch(r"[1-9]|[12]\d|3[01]", name):
            wanted.add(int(name))
        else:
            raise BadRepeat(f"repeat: {name[:20]!r} is no day of a month; {HINT}")

    def picks(day: date) -> bool:
        return day.day in wanted or (-1 in wanted and day.day == _last_of(day))

    numbers = [str(number) for number in sorted(wanted - {-1})]
    return f"monthly {','.join([*numbers, *(['last'] if -1 in wanted else [])])}", picks


def _nth(match: re.Match[str]) -> tuple[str, Picks]:
    """The nth weekday of a month, or some days after it."""
    ordinal, weekday = _ORDINALS[match[1]], WEEKDAYS.index(match[2])
    later = timedelta(days=int(match[3] or 0))

    def picks(day: date) -> bool:
        anchor = day - later
        if anchor.weekday() != weekday:
            return False
        if ordinal == -1:
            return anchor.day + 7 > _last_of(anchor)
        return (anchor.day - 1) // 7 + 1 == ordinal

    return f"monthly {match[0]}", picks


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())  # looks through a thousand files


def _last_of(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]
