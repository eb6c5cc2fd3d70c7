"""The one step from a reading to an alert: a table of facts, then what holds for any readings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.collector.engine.line import CHECK, ROOM_FULL, TEST_FAILED, booked

from forewarn_checks.base import Condition, Severity, State, Threshold
from forewarn_collector.rules.book import BookedRule
from forewarn_collector.rules.kind import OK, Alert, AlertState, Observation
from forewarn_collector.rules.step import (
    FLAPPING_WITHIN,
    FLAPS,
    LATE,
    LONGEST_CLEAR,
    Event,
    EventKind,
    step,
)

MINUTE = 60_000_000
EVERY = CHECK.every // timedelta(microseconds=1)
GIB = 1024.0**3
SIMPLE = replace(ROOM_FULL, and_=None, levels={})


@dataclass
class Story:
    """A rule, and everything that came of its readings."""

    rule: BookedRule
    alert: Alert = OK
    events: tuple[Event, ...] = ()
    flaps: int = 0

    def read(
        self, minute: float, value: float, free: float | None = 1 * GIB, late: float = 0
    ) -> AlertState:
        at = round(minute * MINUTE)
        seen = Observation(at, value, free)
        before = self.alert.flaps
        self.alert, events = step(self.alert, seen, self.rule, at + round(late * MINUTE))
        self.flaps += max(self.alert.flaps - before, 0)
        self.events += events
        return self.alert.state

    @property
    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events]


def story(rule: Threshold | State = SIMPLE) -> Story:
    return Story(booked(rule))


CALM, WAIT = AlertState.OK, AlertState.PENDING
FIRE, CLEAR = AlertState.FIRING, AlertState.CLEARING


@pytest.mark.parametrize(
    ("fact", "readings", "states"),
    [
        ("exactly on the mark is past it", [(0, 0.90), (5, 0.90), (10, 0.90)], [WAIT, WAIT, FIRE]),
        ("just under the mark is nothing", [(0, 0.899)], [CALM]),
        (
            "a dip while pending forgets",
            [(0, 0.9), (5, 0.89), (10, 0.9), (15, 0.9)],
            [WAIT, CALM, WAIT, WAIT],
        ),
        (
            "between the marks it goes on firing",
            [(0, 0.9), (5, 0.9), (10, 0.9), (15, 0.86), (90, 0.86)],
            [WAIT, WAIT, FIRE, FIRE, FIRE],
        ),
        (
            "exactly on clear_at is clear",
            [(0, 0.9), (5, 0.9), (10, 0.9), (15, 0.85), (20, 0.85), (25, 0.85)],
            [WAIT, WAIT, FIRE, CLEAR, CLEAR, CALM],
        ),
        (
            "a rise while clearing begins the wait again",
            [(0, 0.9), (10, 0.9), (15, 0.8), (20, 0.86), (25, 0.8), (30, 0.8), (35, 0.8)],
            [WAIT, FIRE, CLEAR, FIRE, CLEAR, CLEAR, CALM],
        ),
        (
            "a gap does not count",
            [(0, 0.9), (5, 0.9), (65, 0.9), (70, 0.9)],
            [WAIT, WAIT, WAIT, FIRE],
        ),
        ("three intervals are no gap yet", [(0, 0.9), (15, 0.9)], [WAIT, FIRE]),
        (
            "a gap while clearing does not count either",
            [(0, 0.9), (10, 0.9), (15, 0.8), (90, 0.8), (95, 0.8), (100, 0.8)],
            [WAIT, FIRE, CLEAR, CLEAR, CLEAR, CALM],
        ),
        (
            "an agent that is set to read rarely is heard all the same",
            [(0, 0.9), (30, 0.9), (60, 0.9), (90, 0.9)],
            [WAIT, WAIT, WAIT, FIRE],
        ),
        ("what is not newer changes nothing", [(0, 0.9), (0, 0.1), (-5, 0.1)], [WAIT, WAIT, WAIT]),
    ],
)
def test_threshold(
    fact: str, readings: Sequence[tuple[float, float]], states: Sequence[AlertState]
) -> None:
    told = story()
    assert [told.read(minute, value) for minute, value in readings] == list(states), fact


def test_without_hold_for_one_reading_is_enough() -> None:
    told = story(TEST_FAILED)
    assert (told.read(0, 0.0), told.read(5, 1.0)) == (FIRE, CALM)
    assert told.kinds == [EventKind.OPENED, EventKind.CLOSED]


def test_a_state_may_ask_for_readings_in_a_row() -> None:
    told = story(replace(TEST_FAILED, hold_readings=3))
    states = [told.read(5 * turn, value) for turn, value in enumerate([0, 0, 1, 0, 0, 0])]
    assert states == [WAIT, WAIT, CALM, WAIT, WAIT, FIRE]


def test_both_halves_must_hold_and_either_clears() -> None:
    rule = replace(ROOM_FULL, levels={}, hold_for=timedelta(0), clear_for=timedelta(0))
    told = story(rule)
    assert told.read(0, 0.95, free=30 * GIB) is CALM
    assert told.read(5, 0.95, free=20 * GIB) is FIRE
    assert told.read(10, 0.95, free=30 * GIB) is CALM


def test_a_second_value_that_is_missing_raises_nothing_and_clears_nothing() -> None:
    rule = replace(ROOM_FULL, levels={}, hold_for=timedelta(0), clear_for=timedelta(0))
    told = story(rule)
    assert told.read(0, 0.95, free=None) is CALM
    assert told.read(5, 0.95) is FIRE
    assert told.read(10, 0.95, free=None) is FIRE
    assert told.read(15, 0.50, free=None) is CALM


def test_a_rule_that_looks_downwards() -> None:
    condition = Condition(metric=SIMPLE.metric, above=0.5)
    rule = replace(SIMPLE, above=None, below=0.1, clear_at=0.2, and_=condition)
    told = story(replace(rule, hold_for=timedelta(0), clear_for=timedelta(0)))
    assert [
        told.read(5 * turn, value, free=0.7) for turn, value in enumerate([0.1, 0.15, 0.2])
    ] == [
        FIRE,
        FIRE,
        CALM,
    ]


def test_levels_rise_at_once_and_fall_only_through_their_own_mark() -> None:
    told = story(ROOM_FULL)
    readings = [0.91, 0.91, 0.91, 0.98, 0.96, 0.951, 0.95, 0.99]
    severities = []
    for turn, value in enumerate(readings):
        told.read(5 * turn, value)
        severities.append(str(told.alert.severity) if told.alert.state is FIRE else "")
    assert severities == ["", "", "high", "critical", "critical", "critical", "high", "critical"]
    changes = [event.severity for event in told.events if event.kind is EventKind.CHANGED]
    assert changes == [Severity.CRITICAL, Severity.HIGH, Severity.CRITICAL]


def test_late_readings_move_the_state_and_open_nothing_until_one_is_in_time() -> None:
    told = story()
    for turn in range(12):
        told.read(5 * turn, 0.95, late=120)
    assert (told.alert.state, told.events) == (FIRE, ())
    told.read(65, 0.95, late=15)
    assert told.kinds == [EventKind.OPENED]


def test_a_close_passes_however_late() -> None:
    told = story()
    for turn in range(3):
        told.read(5 * turn, 0.95)
    for turn in range(3, 7):
        told.read(5 * turn, 0.5, late=600)
    assert told.kinds == [EventKind.OPENED, EventKind.CLOSED]


# -- what comes and goes -----------------------------------------------------------------------


def cycle(told: Story, minute: float, over_for: int = 10) -> float:
    """Read what raises at once, then what clears, every five minutes; return the time after."""
    told.read(minute, 0.95)
    for turn in range(over_for // 5 + 1):
        told.read(minute + 5 * (turn + 1), 0.5)
    return minute + over_for + 10


AT_ONCE = replace(SIMPLE, hold_for=timedelta(0))


def test_the_third_time_within_six_hours_it_goes_on() -> None:
    told = story(AT_ONCE)
    minute = 0.0
    for _ in range(2):
        minute = cycle(told, minute)
    assert told.kinds == [EventKind.OPENED, EventKind.CLOSED] * 2
    minute = cycle(told, minute)
    assert told.kinds[4:] == [EventKind.OPENED, EventKind.FLAPPING]
    assert (told.alert.state, told.alert.flapping) == (CLEAR, True)
    told.read(minute, 0.5)
    told.read(minute + 5, 0.5)
    assert told.kinds[6:] == [EventKind.CLOSED], "after twice its ten minutes"
    assert (told.alert.state, told.alert.flapping, told.alert.flaps) == (CALM, False, 0)


def test_each_time_more_it_must_be_over_for_twice_as_long_up_to_a_day() -> None:
    """Twenty cycles are three episodes and one note; then only a day of quiet ends it."""
    told = story(AT_ONCE)
    minute = 0.0
    for _ in range(20):
        minute = cycle(told, minute)
    assert told.kinds.count(EventKind.OPENED) == 3
    assert told.kinds.count(EventKind.FLAPPING) == 1
    assert told.flaps == told.alert.flaps == 17
    began = told.alert.since / MINUTE
    while told.alert.state is CLEAR:
        told.read(minute, 0.5)
        minute += 5
    assert told.alert.since / MINUTE - began == LONGEST_CLEAR / MINUTE
    assert told.kinds[-1] is EventKind.CLOSED


def test_what_was_quiet_for_six_hours_does_not_flap() -> None:
    told = story(AT_ONCE)
    for turn in range(8):
        cycle(told, turn * 180)
    assert told.kinds == [EventKind.OPENED, EventKind.CLOSED] * 8


def test_what_fires_steadily_again_flaps_no_more() -> None:
    told = story(AT_ONCE)
    minute = 0.0
    for _ in range(4):
        minute = cycle(told, minute)
    assert told.alert.flapping
    for turn in range(6 * 12 + 3):
        told.read(minute + 5 * turn, 0.95)
    assert (told.alert.state, told.alert.flapping) == (FIRE, False)


def test_a_rule_without_clear_for_doubles_its_interval() -> None:
    told = story(TEST_FAILED)
    for turn, value in enumerate([0, 1, 0, 1, 0, 1, 1, 1]):
        told.read(5 * turn, value)
    assert told.kinds == [
        *[EventKind.OPENED, EventKind.CLOSED] * 2,
        EventKind.OPENED,
        EventKind.FLAPPING,
        EventKind.CLOSED,
    ]


def test_what_nobody_was_told_of_is_no_cycle() -> None:
    told = story(AT_ONCE)
    for turn in range(6):
        told.read(10 * turn, 0.95, late=60)
        told.read(10 * turn + 5, 0.5, late=60)
    assert told.alert.cycles == ()


# -- whatever the readings ------------------------------------------------------------------------

readings = st.lists(
    st.tuples(
        st.integers(1, 40),  # minutes since the one before
        st.sampled_from([0.2, 0.84, 0.85, 0.86, 0.9, 0.91, 0.95, 0.97, 0.98, 1.0]),
        st.sampled_from([None, 1 * GIB, 4 * GIB, 10 * GIB, 30 * GIB]),
        st.sampled_from([0, 0, 0, 14, 16, 600]),  # how many minutes late
    ),
    max_size=60,
)
forms = st.builds(
    lambda hold, clear, levels: replace(
        ROOM_FULL,
        hold_for=timedelta(minutes=hold),
        clear_for=timedelta(minutes=clear),
        levels=ROOM_FULL.levels if levels else {},
    ),
    st.sampled_from([0, 5, 10, 60]),
    st.sampled_from([0, 5, 30]),
    st.booleans(),
)


def play(
    rule: Threshold, told: Sequence[tuple[int, float, float | None, int]]
) -> tuple[Story, list[tuple[Alert, Observation]]]:
    """Return the story, and every alert with the reading that led to it."""
    story, trace, at = Story(booked(rule)), [], 0
    for minutes, value, free, late in told:
        at += minutes
        story.read(at, value, free, late)
        trace.append((story.alert, Observation(at * MINUTE, value, free)))
    return story, trace


@given(forms, readings)
def test_open_and_close_alternate(
    rule: Threshold, told: list[tuple[int, float, float | None, int]]
) -> None:
    story, _ = play(rule, told)
    turns = [kind for kind in story.kinds if kind in (EventKind.OPENED, EventKind.CLOSED)]
    assert turns[::2] == [EventKind.OPENED] * len(turns[::2])
    assert turns[1::2] == [EventKind.CLOSED] * len(turns[1::2])


@given(forms, readings)
def test_a_severity_changes_only_within_an_episode(
    rule: Threshold, told: list[tuple[int, float, float | None, int]]
) -> None:
    severity: Severity | None = None
    for event in play(rule, told)[0].events:
        if event.kind is EventKind.CHANGED:
            assert severity is not None
            assert severity is not event.severity
        severity = None if event.kind is EventKind.CLOSED else event.severity


@given(forms, readings)
def test_nothing_fires_before_it_held_for_long_enough(
    rule: Threshold, told: list[tuple[int, float, float | None, int]]
) -> None:
    hold_for = rule.hold_for // timedelta(microseconds=1)
    fired = False
    for alert, _ in play(rule, told)[1]:
        if alert.state is FIRE and not fired:
            assert alert.since - alert.began >= hold_for
        fired = alert.stands


@given(forms, readings)
def test_late_data_alone_opens_nothing(
    rule: Threshold, told: list[tuple[int, float, float | None, int]]
) -> None:
    late = [(minutes, value, free, LATE // MINUTE + 1) for minutes, value, free, _ in told]
    assert play(rule, late)[0].events == ()


MARKS = (st.sampled_from([0.86, 0.9, 0.93]), st.sampled_from([0.95, 0.97, 0.99]))


@given(forms, readings, *MARKS)
def test_raising_a_mark_never_adds_raises_nor_time_on_a_ticket(
    rule: Threshold, told: list[tuple[int, float, float | None, int]], low: float, high: float
) -> None:
    """What a mark raises, told apart or held as a flap, every lower mark raises, too.

    Of episodes alone that only holds where nothing flapped: many cycles of a low mark are held as
    one long episode, out of which a high mark may pick a few that are hours apart.
    """
    stories, traces = zip(
        *(play(replace(rule, above=above, levels={}), told) for above in (low, high)),
        strict=True,
    )
    raises = [story.kinds.count(EventKind.OPENED) + story.flaps for story in stories]
    assert raises[1] <= raises[0]
    for (milder, _), (severer, _) in zip(*traces, strict=True):
        assert milder.told is not None or severer.told is None
        assert set(severer.cycles) <= set(milder.cycles)
    if stories[0].flaps == 0:
        counts = [story.kinds.count(EventKind.OPENED) for story in stories]
        assert counts[1] <= counts[0]


@given(forms, readings)
def test_damping_only_ever_joins_episodes(
    rule: Threshold, told: list[tuple[int, float, float | None, int]]
) -> None:
    """Every flap that is held is an episode less, and no cycle is held out of less than three."""
    story, trace = play(rule, told)
    for alert, observation in trace:
        if alert.flapping:
            recent = [at for at in alert.cycles if alert.cycles[-1] - at < FLAPPING_WITHIN]
            assert len(recent) >= FLAPS
            assert alert.told is not None
            assert alert.cycles[-1] <= observation.at
    assert story.flaps == 0 or EventKind.FLAPPING in story.kinds


@given(readings)
def test_what_cannot_be_judged_changes_no_state(
    told: list[tuple[int, float, float | None, int]],
) -> None:
    story, at = Story(booked(ROOM_FULL)), 0
    for minutes, value, free, late in told:
        at += minutes
        before = story.read(at, value, free, late)
        assert story.read(at + 0.5, 0.95, None, late) is before
