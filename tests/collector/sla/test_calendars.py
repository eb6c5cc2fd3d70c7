"""Business time: what a shop that opens by its own clock would count."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.collector.sla.made import calendars, moments

from forewarn_collector.sla.calendars import (
    Calendar,
    NeverOpen,
    add_business,
    business_between,
    holidays_of,
    read_calendar,
    read_spans,
)

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = Calendar("Europe/Berlin", (read_spans(["08:00-12:00", "13:00-17:00"]),) * 5 + ((), ()))
ALL_DAY = Calendar("Europe/Berlin", (read_spans(["00:00-24:00"]),) * 7)


def berlin(*fields: int, fold: int = 0) -> datetime:
    return datetime(*fields, tzinfo=BERLIN, fold=fold)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("because", "calendar", "since", "until", "hours"),
    [
        ("lunch is not work", OFFICE, berlin(2026, 6, 1, 11), berlin(2026, 6, 1, 14), 2),
        ("nobody works at night", OFFICE, berlin(2026, 6, 1, 17), berlin(2026, 6, 2, 8), 0),
        ("a week has forty hours", OFFICE, berlin(2026, 6, 1), berlin(2026, 6, 8), 40),
        ("and a whole year its own", OFFICE, berlin(2025, 1, 1), berlin(2026, 1, 1), 261 * 8),
        ("until before since is nothing", OFFICE, berlin(2026, 6, 2), berlin(2026, 6, 1), 0),
        ("a day in March has 23 hours", ALL_DAY, berlin(2026, 3, 29), berlin(2026, 3, 30), 23),
        ("a day in October has 25", ALL_DAY, berlin(2026, 10, 25), berlin(2026, 10, 26), 25),
        ("around the clock is no calendar", None, berlin(2026, 3, 29), berlin(2026, 3, 30), 23),
    ],
)
def test_business_time_between(
    because: str, calendar: Calendar | None, since: datetime, until: datetime, hours: float
) -> None:
    assert business_between(calendar, since, until) == timedelta(hours=hours), because


def test_eight_hours_from_friday_afternoon_end_on_monday_over_a_change_of_clocks() -> None:
    due = add_business(OFFICE, berlin(2026, 10, 23, 16), timedelta(hours=8))
    assert due == berlin(2026, 10, 26, 16)


def test_an_opening_that_the_clocks_leave_out_counts_for_nothing() -> None:
    """On 29 March 2026 there is no 02:30 in Berlin; 01:30 to 02:30 is half an hour."""
    sunday = (read_spans(["01:30-02:30", "02:40-02:50", "02:50-03:30"]),)
    calendar = Calendar("Europe/Berlin", ((),) * 6 + sunday)
    midnight = berlin(2026, 3, 29).astimezone(UTC)
    assert business_between(calendar, midnight, midnight + timedelta(hours=20)) == timedelta(
        hours=1
    )


def test_a_closing_time_that_comes_twice_is_the_first() -> None:
    calendar = Calendar("Europe/Berlin", ((),) * 6 + (read_spans(["01:00-02:30", "02:30-04:00"]),))
    day = berlin(2026, 10, 25).astimezone(UTC)
    assert business_between(calendar, day, day + timedelta(hours=20)) == timedelta(hours=4)
    assert calendar.is_open(berlin(2026, 10, 25, 2, 30, fold=1))


def test_a_date_may_have_hours_of_its_own_or_none() -> None:
    christmas = Calendar(
        OFFICE.zone,
        OFFICE.week,
        {date(2026, 12, 24): read_spans(["08:00-10:00"]), date(2026, 12, 25): ()},
    )
    since, until = berlin(2026, 12, 24), berlin(2026, 12, 28)
    assert business_between(christmas, since, until) == timedelta(hours=2)
    assert add_business(christmas, berlin(2026, 12, 24, 9), timedelta(hours=2)) == berlin(
        2026, 12, 28, 9
    )
    assert christmas.version != OFFICE.version


def test_holidays_come_by_country_and_part_of_it() -> None:
    assert date(2026, 3, 8) in holidays_of("DE-BE", range(2026, 2027))
    assert date(2026, 3, 8) not in holidays_of("DE", range(2026, 2027))
    with pytest.raises(ValueError, match="'XX' is no place"):
        holidays_of("XX", range(2026, 2027))


@pytest.mark.parametrize("text", ["8-12", "08:00", "12:00-08:00", "08:00-24:01", "08:60-09:00"])
def test_what_is_no_stretch_of_a_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no stretch of a day"):
        read_spans([text])


def test_a_calendar_that_cannot_be_reckoned_with_is_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        read_spans(["08:00-12:00", "11:00-13:00"])
    with pytest.raises(NeverOpen):
        Calendar("UTC", ((),) * 7)
    with pytest.raises(ZoneInfoNotFoundError):
        Calendar("Europe/Atlantis", OFFICE.week)


@given(calendars())
def test_what_is_written_is_read_again_under_the_same_version(calendar: Calendar) -> None:
    assert read_calendar(calendar.written()).version == calendar.version


@settings(deadline=None)
@given(calendars(), moments, st.timedeltas(timedelta(0), timedelta(days=30)))
def test_what_was_added_lies_between(calendar: Calendar, at: datetime, span: timedelta) -> None:
    due = add_business(calendar, at, span)
    assert business_between(calendar, at, due) == span
    if span:
        earlier = due - timedelta(microseconds=1)
        assert business_between(calendar, at, earlier) < span, "the earliest such moment"


@settings(deadline=None)
@given(calendars(), st.lists(moments, min_size=2, max_size=6))
def test_stretches_add_up(calendar: Calendar, at: list[datetime]) -> None:
    at.sort()
    parts = (business_between(calendar, one, other) for one, other in pairwise(at))
    assert sum(parts, timedelta(0)) == business_between(calendar, at[0], at[-1])
    assert business_between(calendar, at[0], at[-1]) <= at[-1] - at[0]
