"""Calendars as hypothesis makes them, with moments around days on which clocks change."""

from datetime import UTC, date, datetime, time, timedelta

from hypothesis import strategies as st

from forewarn_collector.sla.calendars import Calendar, Span, Spans

ZONES = {
    "Europe/Berlin": (date(2026, 3, 29), date(2026, 10, 25)),
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1)),
    "America/Sao_Paulo": (date(2018, 2, 18), date(2018, 11, 4)),  # at midnight
    "Africa/Cairo": (date(2026, 4, 24), date(2026, 10, 30)),  # at midnight
    "Australia/Lord_Howe": (date(2026, 4, 5), date(2026, 10, 4)),  # by half an hour
    "Pacific/Auckland": (date(2026, 4, 5), date(2026, 9, 27)),
    "Asia/Kathmandu": (date(2026, 1, 1),),  # never, but a quarter of an hour off
}
"""Zones, with days on which their clocks change."""


@st.composite
def spans(draw: st.DrawFn, step: int = 1, most: int = 3) -> Spans:
    """Return up to `most` stretches of a day whose borders are multiples of `step` minutes."""
    borders = draw(
        st.lists(st.integers(0, 24 * 60 // step), unique=True, max_size=2 * most).map(sorted)
    )
    pairs = zip(borders[::2], borders[1::2], strict=False)
    return tuple(Span(start * step, end * step) for start, end in pairs)


def days_of(zone: str) -> st.SearchStrategy[date]:
    """Return days around a change of the zone's clocks."""
    return st.builds(
        lambda day, shift: day + timedelta(days=shift),
        st.sampled_from(ZONES[zone]),
        st.integers(-10, 10),
    )


def moments_of(zone: str) -> st.SearchStrategy[datetime]:
    """Return whole seconds around a change of the zone's clocks."""
    return st.builds(
        lambda day, second: datetime.combine(day, time(), UTC) + timedelta(seconds=second),
        days_of(zone),
        st.integers(0, 24 * 3600),
    )


moments = st.sampled_from(list(ZONES)).flatmap(moments_of)


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    """Return a calendar that is open at least once a week."""
    zone = draw(st.sampled_from(list(ZONES)))
    week = draw(st.lists(spans(), min_size=7, max_size=7).filter(any))
    return Calendar(
        zone=zone,
        week=tuple(week),
        days=draw(st.dictionaries(days_of(zone), spans(), max_size=3)),
    )
