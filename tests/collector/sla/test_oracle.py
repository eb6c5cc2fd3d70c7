"""Our sums of business time against Business::Hours, which Request Tracker reckons with."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from tests.collector.sla.made import ZONES, days_of, moments_of, spans

from forewarn_collector.sla.calendars import (
    DAY_MINUTES,
    Calendar,
    Spans,
    add_business,
    business_between,
)

pytestmark = pytest.mark.lab
CASES = 10_000


@dataclass
class Oracle:
    """A running Perl that is asked line by line; `worst` is in seconds a segment."""

    perl: "subprocess.Popen[str]"
    asked: int = 0
    on_changes: int = 0
    worst: float = 0.0
    exact: int = 0

    def ask(self, calendar: Calendar, since: datetime, until: datetime) -> tuple[int, int]:
        """Return business seconds and pieces between two whole seconds, the last included."""
        week = [calendar.week[6], *calendar.week[:6]]
        question = [calendar.zone, str(_seconds(since)), str(_seconds(until))]
        question += [_day(spans) for spans in week]
        holidays = ",".join(day.isoformat() for day in calendar.days)
        assert self.perl.stdin is not None
        assert self.perl.stdout is not None
        self.perl.stdin.write("\t".join(question) + f"|{holidays}\n")
        self.perl.stdin.flush()
        seconds, pieces = self.perl.stdout.readline().split()
        self.asked += 1
        return int(seconds), int(pieces)


@pytest.fixture
def oracle() -> Iterator[Oracle]:
    if shutil.which("perl") is None:
        pytest.skip("no perl on PATH; install it to compare with Business::Hours")
    there = subprocess.run(["perl", "-MBusiness::Hours", "-e", "1"], capture_output=True)
    if there.returncode:
        pytest.skip("no Business::Hours; install it: apt-get install libbusiness-hours-perl")
    script = Path(__file__).with_name("oracle.pl")
    with subprocess.Popen(
        ["perl", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as perl:
        yield Oracle(perl)
        assert perl.stdin is not None
        perl.stdin.close()


def test_equals_business_hours_within_a_second_a_segment(oracle: Oracle) -> None:
    """10,000 calendars over days with changes of clocks; both directions of the sum."""

    @settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(_questions(), st.integers(3600, 21 * 86400))
    def compare(question: tuple[Calendar, datetime], length: int) -> None:
        calendar, since = question
        until = since + timedelta(seconds=length)
        assume(not _asks_for_left_out_minutes(calendar, since, until))
        theirs, pieces = oracle.ask(calendar, since, until)
        ours = business_between(calendar, since, until).total_seconds()
        apart = abs(ours - theirs) / max(pieces, 1)
        oracle.worst = max(oracle.worst, apart)
        oracle.exact += ours == theirs
        oracle.on_changes += any(_is_odd(calendar.zone, day) for day in _days(since, until))
        assert apart <= 1, (calendar, since, until, ours, theirs)
        if ours:
            span = timedelta(seconds=ours)
            assert business_between(calendar, since, add_business(calendar, since, span)) == span

    compare()
    print(
        f"\n{oracle.asked} calendars, {oracle.on_changes} over a change of clocks: "
        f"{oracle.exact} equal to the second, at most {oracle.worst:.2f} s a segment apart"
    )
    assert oracle.asked >= CASES


@st.composite
def _questions(draw: st.DrawFn) -> tuple[Calendar, datetime]:
    """Return what Business::Hours can say: hours that end by 23:59, and whole holidays.

    Its holidays are 86,400 seconds long, so none is put on a day of 23 or 25 hours; and it reads
    walls by Time::Local, which is an hour off where clocks change by half an hour.
    """
    zone = draw(st.sampled_from([zone for zone in ZONES if zone != "Australia/Lord_Howe"]))
    week = [
        tuple(span for span in one if span.end < DAY_MINUTES)
        for one in draw(st.lists(spans(), min_size=7, max_size=7))
    ]
    assume(any(week))
    holidays = [day for day in draw(st.sets(days_of(zone), max_size=3)) if not _is_odd(zone, day)]
    return Calendar(zone, tuple(week), dict.fromkeys(holidays, ())), draw(moments_of(zone))


def _day(one: Spans) -> str:
    """Return a day as its whole stretch and the breaks in it."""
    if not one:
        return "-"
    breaks = [f"{before.end}-{after.start}" for before, after in pairwise(one)]
    return ",".join([f"{one[0].start}-{one[-1].end}", *breaks])


def _asks_for_left_out_minutes(calendar: Calendar, since: datetime, until: datetime) -> bool:
    """Say whether hours begin or end at a minute that clocks leave out.

    Business::Hours reads 02:30 of such a night as 03:30, so that it counts half an hour twice,
    and gives up over hours that then end before they begin.  It looks at whole weeks.
    """
    zone = ZoneInfo(calendar.zone)
    for day in _days(since, until, margin=8):
        if _is_odd(calendar.zone, day):
            for span in calendar.week[day.weekday()]:
                for minute in (span.start, span.end):
                    wall = datetime.combine(day, time()) + timedelta(minutes=minute)
                    instant = wall.replace(tzinfo=zone).astimezone(UTC)
                    if instant.astimezone(zone).replace(tzinfo=None) != wall:
                        return True
    return False


def _days(since: datetime, until: datetime, margin: int = 1) -> Iterator[date]:
    """Give every day that any clock may show within a stretch, and some around them."""
    day = since.date() - timedelta(days=margin)
    while day <= until.date() + timedelta(days=margin):
        yield day
        day += timedelta(days=1)


def _is_odd(zone: str, day: date) -> bool:
    """Say whether clocks change on this day."""
    begins = datetime.combine(day, time(), ZoneInfo(zone))
    ends = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone))
    return begins.astimezone(UTC) + timedelta(days=1) != ends.astimezone(UTC)


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
