"""Counting set at a time comes to what counting one by one does, however the points are cut."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.collector.rules.test_growth import BAD, ERRORS, HOUR, booked

from forewarn_collector.rules.book import Declared, RuleBook
from forewarn_collector.rules.counters import Counter, count
from forewarn_collector.rules.tally import Remembered, Tally
from forewarn_collector.samples import Points, Shape

BOOK = RuleBook([Declared(booked())])
SHAPES = [
    Shape(metric.name, (("tape", tape),)) for metric in (BAD, ERRORS) for tape in ("a", "b")
] + [Shape("tape_length_metres", (("tape", "a"),))]

Row = tuple[int, int, int, float]
"""Host, shape, hour and value."""

ROWS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.integers(0, len(SHAPES) - 1),
        st.integers(0, 30),
        st.sampled_from([0.0, 1.0, 4.0, 9.0, 100.0]),
    ),
    max_size=40,
    unique_by=lambda row: row[:3],
)


def points(rows: Sequence[Row]) -> Points:
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    at = np.array(columns[2], np.int64) * HOUR
    return Points(
        host=np.array(columns[0], np.int64),
        shape=np.array(columns[1], np.int64),
        at=at,
        value=np.array(columns[3], np.float64),
        received=at,
        through=len(rows),
    )


Held = dict[tuple[int, str, str], Counter]


def tally() -> Tally:
    made = Tally(BOOK)
    made.learn(SHAPES)
    return made


def counted(rounds: Sequence[Sequence[Row]], *, restarts: bool = False) -> Held:
    """Return what is on disk after some rounds."""
    mine, held = tally(), Held()
    for rows in rounds:
        found = mine.take(points(rows), [])
        held |= {(one.host, one.component, one.metric): one.counter for one in mine.changes(found)}
        mine.keep(found)
        if restarts:
            mine = Tally(BOOK)
            mine.load(Remembered(*key, counter) for key, counter in held.items())
            mine.learn(SHAPES)
    return held


def one_by_one(rows: Sequence[Row]) -> Held:
    """Return the same by the pure count; the date is that of the last change."""
    held, seen = Held(), Held()
    for host, shape, hour, value in rows:
        if shape == len(SHAPES) - 1:
            continue
        metric, labels = SHAPES[shape].metric, dict(SHAPES[shape].labels)
        key = (host, f"tape:{labels['tape']}", metric)
        before = seen.get(key)
        after = seen[key] = count(before, hour * HOUR, value)
        if before is None or after.value != before.value:
            held[key] = after
    return held


def without_dates(held: Held) -> dict[tuple[int, str, str], tuple[float, object]]:
    """A round dates a change by its last reading, which may be later than the change."""
    return {key: (counter.value, counter.rises) for key, counter in held.items()}


@given(ROWS)
def test_counting_sets_is_counting_one_by_one(rows: list[Row]) -> None:
    assert counted([[row] for row in rows]) == one_by_one(rows)


@given(ROWS, st.lists(st.integers(0, 40), max_size=5))
def test_how_points_are_cut_into_rounds_changes_nothing(rows: list[Row], cuts: list[int]) -> None:
    """Points in order of event time, as a host sends them."""
    rows = sorted(rows, key=lambda row: row[2])
    edges = [0, *sorted(cuts), len(rows)]
    rounds = [rows[low:high] for low, high in pairwise(edges)]
    whole = without_dates(counted([rows]))
    assert without_dates(counted(rounds)) == whole
    assert without_dates(counted(rounds, restarts=True)) == whole


def test_late_points_alone_count_nothing() -> None:
    mine = tally()
    mine.keep(mine.take(points([(1, 0, 5, 3.0)]), []))
    found = mine.take(points([(1, 0, 4, 0.0), (1, 0, 5, 9.0)]), [])
    assert found.moments == {}
    assert list(mine.changes(found)) == []


def test_only_components_that_rose_or_are_in_trouble_are_looked_at() -> None:
    mine = tally()
    mine.keep(mine.take(points([(1, 0, 0, 3.0), (2, 0, 0, 3.0), (3, 0, 0, 3.0)]), []))
    found = mine.take(
        points([(1, 0, 1, 3.0), (2, 0, 1, 4.0), (3, 0, 1, 2.0), (1, 4, 1, 9.0)]), [(1, "tape:a")]
    )
    assert set(found.moments) == {(1, "tape:a"), (2, "tape:a")}
    moment = found.moments[2, "tape:a"][0]
    assert moment.counters == {BAD.name: Counter(4.0, HOUR, ((HOUR, 1.0),))}
    written = {one.host for one in mine.changes(found)}
    assert written == {2, 3}, "what stood still is not written"


def test_of_two_series_of_one_component_the_larger_counts() -> None:
    shapes = [Shape(BAD.name, (("path", path), ("tape", "a"))) for path in ("left", "right")]
    mine = Tally(BOOK)
    mine.learn(shapes)
    for hour in range(3):
        found = mine.take(points([(1, 0, hour, 2.0), (1, 1, hour, 7.0)]), [])
        assert found.moments == {}, "two values side by side are no growth"
        mine.keep(found)


def test_what_was_not_kept_is_counted_again() -> None:
    mine = tally()
    mine.keep(mine.take(points([(1, 0, 0, 3.0)]), []))
    again = [mine.take(points([(1, 0, 1, 5.0)]), []).moments for _ in range(2)]
    assert again[0] == again[1] != {}
