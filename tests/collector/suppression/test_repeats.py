"""Windows by local time: which days, what daylight saving does, and that asking late changes
nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forewarn_collector.selector import Selector
from forewarn_collector.suppression.repeats import BadRepeat, Repeat, parse_repeat
from forewarn_collector.suppression.windows import Scope, Window

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour of daylight saving
    "Asia/Kathmandu",
    "America/Santiago",  # changes at midnight
    "Pacific/Apia",  # left out a whole day in 2011
)
DAYS = st.sampled_from(
    ["daily", "weekly mon", "weekly sat,sun", "monthly 1,15,31", "monthly last", "monthly 2nd tue"]
)
MOMENTS = st.integers(0, 20 * 366 * 24 * 60).map(
    lambda minutes: datetime(2011, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)
REPEATS = st.builds(
    lambda days, minute, lasts, zone: parse_repeat(
        days, f"{minute // 60:02}:{minute % 60:02}", timedelta(minutes=lasts), zone
    ),
    DAYS,
    st.integers(0, 1439),
    st.integers(1, 7 * 1440),
    st.sampled_from(ZONES),
)


def starts(days: str, after: str, before: str, at: str = "02:30", zone: str = "UTC") -> list[str]:
    repeat = parse_repeat(days, at, timedelta(hours=1), zone)
    span = (datetime.fromisoformat(f"{text}T00:00:00+00:00") for text in (after, before))
    return [f"{start:%Y-%m-%d %H:%M}" for start in repeat.starts(*span)]


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ("weekly sat,sun", ["01", "07", "08", "14", "15", "21", "22", "28", "29"]),
        ("monthly 1,15", ["01", "15"]),
        ("monthly last", ["30"]),
        ("monthly 31", []),
        ("monthly 2nd tue", ["10"]),
        ("monthly 2nd tue+4", ["14"]),
        ("monthly last mon", ["30"]),
    ],
)
def test_days_are_those_of_the_calendar(days: str, expected: list[str]) -> None:
    found = starts(days, "2026-11-01", "2026-12-01")
    assert [one[8:10] for one in found] == expected


def test_days_after_a_weekday_reach_into_the_next_month() -> None:
    """The last Friday of October 2026 is the 30th; four days later it is the 3rd of November."""
    assert starts("monthly last fri+4", "2026-11-01", "2026-12-01") == [
        "2026-11-03 02:30",
        # and the one of November, the 27th, is the 1st of December
    ]


def test_a_start_that_daylight_saving_skips_is_taken_with_the_offset_before_it() -> None:
    """There is no 02:30 on 29 March 2026 in Berlin: 02:30 CET is 01:30 UTC, 03:30 on clocks."""
    found = starts("daily", "2026-03-28", "2026-03-31", zone="Europe/Berlin")
    assert found == ["2026-03-28 01:30", "2026-03-29 01:30", "2026-03-30 00:30"]


def test_a_start_that_comes_twice_is_taken_the_first_time() -> None:
    found = starts("daily", "2026-10-24", "2026-10-27", zone="Europe/Berlin")
    assert found == ["2026-10-24 00:30", "2026-10-25 00:30", "2026-10-26 01:30"]


def test_a_window_over_the_change_lasts_as_long_as_it_says() -> None:
    """Elapsed time: a patch night is no shorter because clocks jump."""
    night = window(parse_repeat("daily", "00:30", timedelta(hours=4), "Europe/Berlin"))
    spans = night.between(moment("2026-03-28T22:00"), moment("2026-03-29T12:00"))
    assert [one.end - one.start for one in spans] == [timedelta(hours=4)]


@given(REPEATS, MOMENTS)
def test_each_start_is_on_a_picked_day_at_the_local_time_or_where_none_was(
    repeat: Repeat, after: datetime
) -> None:
    found = list(repeat.starts(after, after + timedelta(days=70)))
    assert found == sorted(set(found))
    for start in found:
        local = start.astimezone(repeat.zone)
        if local.time().replace(tzinfo=None) != repeat.at:
            naive = datetime.combine(local.date(), repeat.at)
            jumps = [naive.replace(tzinfo=repeat.zone, fold=fold).utcoffset() for fold in (0, 1)]
            skipped = [
                (naive - timedelta(days=back)).replace(tzinfo=repeat.zone) for back in (0, 1)
            ]
            assert jumps[0] != jumps[1] or skipped[0].utcoffset() != skipped[1].utcoffset()
        else:
            assert repeat.picks(local.date())


@given(REPEATS, MOMENTS)
@settings(max_examples=60)
def test_what_holds_at_a_moment_is_what_a_search_over_all_days_finds(
    repeat: Repeat, now: datetime
) -> None:
    nights = window(repeat)
    day = now.astimezone(repeat.zone).date() - timedelta(days=10)
    every = [
        repeat.start_on(day + timedelta(days=n))
        for n in range(13)
        if repeat.picks(day + timedelta(days=n))
    ]
    length = repeat.lasts + nights.settle
    expected = [start for start in every if start <= now < start + length]
    found = nights.at(now)
    assert (None if found is None else found.start) == max(expected, default=None)
    coming = nights.next(now)
    assert coming is None or coming.start > now
    inside = [start for start in every if start > now]
    if inside:
        assert coming is not None
        assert coming.start == inside[0]


@given(REPEATS, MOMENTS)
def test_what_is_written_is_read_back_the_same(repeat: Repeat, after: datetime) -> None:
    again = parse_repeat(repeat.days, f"{repeat.at:%H:%M}", repeat.lasts, repeat.zone.key)
    assert again.days == repeat.days
    assert again.next_start(after) == repeat.next_start(after)


@given(st.text(max_size=40), st.text(max_size=8), st.text(max_size=20))
def test_any_other_text_is_refused_with_what_would_do(days: str, at: str, zone: str) -> None:
    for texts in ((days, "02:00", "UTC"), ("daily", at, "UTC"), ("daily", "02:00", zone)):
        try:
            repeat = parse_repeat(texts[0], texts[1], timedelta(hours=1), texts[2])
        except BadRepeat as bad:
            assert "write" in str(bad)
        else:
            assert repeat.next_start(moment("2026-01-01T00:00")) is not None or "monthly" in days


def test_the_ends_of_the_calendar_are_no_trouble() -> None:
    repeat = parse_repeat("daily", "23:59", timedelta(hours=1), "Pacific/Kiritimati")
    assert repeat.picks(date(2026, 1, 1))
    assert list(repeat.starts(moment("1970-01-01T00:00"), moment("1970-01-09T00:00")))
    assert repeat.next_start(moment("2199-12-31T00:00")) is not None


def window(repeat: Repeat) -> Window:
    return Window(
        id="w",
        scope=Scope(None, Selector()),
        reason="",
        starts=moment("2001-01-01T00:00"),
        ends=None,
        repeat=repeat,
    )


def moment(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}:00+00:00")
