"""Drawings: what is shown, what is left out, and that nothing a host says becomes markup."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.collector.pages.fleet import HOSTILE

from forewarn_checks.base import Severity, Unit
from forewarn_collector.pages.axes import time_axis, value_axis
from forewarn_collector.pages.charts import (
    MOST_LINES,
    WIDE,
    Chart,
    Kind,
    Line,
    Mark,
    describe,
    draw,
    pieces,
)

BEGIN = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"


def line(*points: tuple[float, float], name: str = "/srv", spread: float = 0.0) -> Line:
    """A line of (minutes after the begin, value)."""
    at = [BEGIN.timestamp() + minutes * 60 for minutes, _ in points]
    value = [value for _, value in points]
    return Line(name, at, value, [one - spread for one in value], [one + spread for one in value])


def chart(*lines: Line, unit: Unit = Unit.RATIO, kind: Kind = Kind.LINE) -> Chart:
    return Chart(
        title="Used",
        unit=unit,
        kind=kind,
        since=BEGIN,
        until=BEGIN + timedelta(hours=1),
        zone=ZoneInfo("UTC"),
        gap=timedelta(minutes=12),
        lines=lines,
    )


def drawn(what: Chart) -> ElementTree.Element:
    """Return the parsed drawing: a page's parser is no stricter."""
    return ElementTree.fromstring(str(draw(what, "c")))


def paths(what: Chart, name: str) -> list[str]:
    return [
        element.get("d", "")
        for element in drawn(what).iter()
        if element.tag.endswith("path") and element.get("class", "").split()[0] == name
    ]


def test_readings_are_joined_and_a_gap_stays_a_gap() -> None:
    joined = chart(line((0, 0.1), (10, 0.2), (20, 0.3)))
    holed = chart(line((0, 0.1), (10, 0.2), (40, 0.3), (50, 0.4)))
    assert len(paths(joined, "line")) == 1
    assert len(paths(holed, "line")) == 2


def test_a_reading_alone_is_a_dot() -> None:
    found = drawn(chart(line((0, 0.1), (10, 0.2), (40, 0.3))))
    assert [e.get("r") for e in found.iter() if e.tag.endswith("circle")] == ["2"]


def test_the_band_shows_the_extremes_and_is_left_out_without_any() -> None:
    assert len(paths(chart(line((0, 0.1), (10, 0.2), spread=0.05)), "band")) == 1
    assert paths(chart(line((0, 0.1), (10, 0.2))), "band") == []


def test_no_readings_is_an_empty_frame_that_says_so() -> None:
    empty = chart()
    assert paths(empty, "line") == []
    assert describe(empty) == "No readings in this span."


def test_a_bar_always_runs_from_nothing_to_all() -> None:
    found = drawn(chart(line((0, 0.4), (10, 0.41)), kind=Kind.BAR))
    texts = [element.text for element in found.iter() if element.get("class") == "tick end"]
    assert texts == ["0 %", "25 %", "50 %", "75 %", "100 %"]


def test_marks_are_drawn_where_they_matter() -> None:
    near = Mark(0.9, Severity.WARNING, "warning from 90 %")
    far = Mark(500.0, Severity.CRITICAL, "critical from 500")
    bar = replace(chart(line((0, 0.4), (10, 0.5)), kind=Kind.BAR), marks=(near,))
    counted = replace(chart(line((0, 3), (10, 4)), unit=Unit.COUNT), marks=(far,))
    assert len(paths(bar, "mark")) == 1
    assert paths(counted, "mark") == []
    assert "critical from 500" in describe(counted)


def test_a_state_is_a_strip_coloured_by_what_the_rule_calls_wrong() -> None:
    strip = line((0, 1), (10, 1), (20, 0), (30, 0))
    wrong = replace(
        chart(strip, kind=Kind.STATE, unit=Unit.COUNT),
        bad=Mark(0.0, Severity.HIGH, "high while so"),
    )
    classes = [element.get("class") for element in drawn(wrong).iter(f"{SVG}rect")]
    classes += [element.get("class") for element in drawn(wrong).iter("rect")]
    assert classes == ["state-good", "state-bad high"]
    assert describe(wrong) == "/srv: no at the end."


def test_the_drawing_tells_its_story_in_words() -> None:
    told = describe(chart(line((0, 0.1), (10, 0.25), spread=0.05)))
    assert told == "/srv: 25 % at the end, from 5 % to 30 %."


def test_more_lines_than_colours_are_left_out() -> None:
    many = chart(*(line((0, n / 10), (10, n / 10), name=str(n)) for n in range(12)))
    assert len(paths(many, "line")) == MOST_LINES


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", list(Kind))
def test_what_a_host_says_is_text_in_a_drawing(text: str, kind: Kind) -> None:
    hostile = replace(chart(line((0, 1), (10, 1), name=text), kind=kind), title=text)
    found = drawn(hostile)
    names = {element.tag.rpartition("}")[2] for element in found.iter()}
    assert names <= {"svg", "title", "desc", "path", "rect", "circle", "text"}
    attributes = {name for element in found.iter() for name in element.attrib}
    assert not {name for name in attributes if name.startswith("on") or name == "style"}
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x1b]", str(draw(hostile, "c")))


def test_what_never_changed_is_still_unless_a_rule_watches_it() -> None:
    flat = chart(line((0, 8), (10, 8)), unit=Unit.BYTES)
    assert flat.still
    assert not replace(flat, marks=(Mark(9, Severity.HIGH, "x"),)).still
    assert not chart(line((0, 8), (10, 9)), unit=Unit.BYTES).still
    assert chart().still


def test_a_wide_drawing_has_more_of_a_grid() -> None:
    shown = chart(line((0, 0.1), (50, 0.2)))
    assert str(draw(shown, "c", WIDE)).count("middle") > str(draw(shown, "c")).count("middle")


# -- axes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "low", "high", "texts"),
    [
        (Unit.BYTES, 3 * 2**30, 7 * 2**30, ["0 B", "2.0 GiB", "4.0 GiB", "6.0 GiB", "8.0 GiB"]),
        (
            Unit.BYTES,
            6 * 2**30,
            7.8 * 2**30,
            ["6.0 GiB", "6.5 GiB", "7.0 GiB", "7.5 GiB", "8.0 GiB"],
        ),
        (Unit.CELSIUS, 31, 38, ["30 °C", "32 °C", "34 °C", "36 °C", "38 °C"]),
        (Unit.COUNT, 0, 3, ["0", "1", "2", "3"]),
        (Unit.RATIO, 0.0, 0.001, ["0 %", "0.025 %", "0.05 %", "0.075 %", "0.1 %"]),
        (Unit.SECONDS, 0, 3 * 86400, ["0 s", "1 d", "2 d", "3 d"]),
    ],
)
def test_values_stand_at_round_places(
    unit: Unit, low: float, high: float, texts: list[str]
) -> None:
    assert [text for _, text in value_axis(unit, low, high).ticks] == texts


@given(
    st.sampled_from(list(Unit)),
    st.floats(-1e15, 1e15),
    st.floats(0, 1e15),
)
def test_an_axis_holds_what_it_is_for(unit: Unit, low: float, more: float) -> None:
    axis = value_axis(unit, low, low + more)
    slack = (axis.high - axis.low) * 1e-6
    assert axis.low - slack <= low
    assert low + more <= axis.high + slack
    assert axis.low < axis.high
    values = [value for value, _ in axis.ticks]
    assert values == sorted(set(values))
    assert 2 <= len(values) <= 14


@given(
    st.datetimes(BEGIN.replace(year=1971, tzinfo=None), BEGIN.replace(year=2190, tzinfo=None)),
    st.timedeltas(timedelta(minutes=1), timedelta(days=1800)),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]),
)
def test_times_stand_inside_the_span_in_order(since: datetime, span: timedelta, zone: str) -> None:
    begin = since.replace(tzinfo=UTC)
    axis = time_axis(begin, begin + span, ZoneInfo(zone))
    places = [at for at, _ in axis.ticks]
    assert places == sorted(set(places))
    assert all(axis.low <= at <= axis.high for at in places)
    assert len(places) <= 12


def test_a_day_is_cut_at_local_hours() -> None:
    axis = time_axis(BEGIN, BEGIN + timedelta(hours=24), ZoneInfo("Europe/Berlin"))
    assert [text for _, text in axis.ticks] == ["12:00", "18:00", "Sun 22", "06:00"]


def test_pieces_of_nothing_are_none() -> None:
    assert list(pieces([], timedelta(seconds=1))) == []
