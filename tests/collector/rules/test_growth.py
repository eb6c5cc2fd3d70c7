"""Counters that grow: what is remembered of them, and when that raises an alert."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_checks.base import Component, Growth, Increase, Metric, Severity, Unit
from forewarn_collector.rules import growth
from forewarn_collector.rules.book import BookedRule
from forewarn_collector.rules.counters import KEPT, MOST_RISES, Counter, count
from forewarn_collector.rules.kind import OK, AlertState, Grown, Observation
from forewarn_collector.rules.step import LATE, Event, EventKind, step

MICROSECOND = timedelta(microseconds=1)
HOUR = timedelta(hours=1) // MICROSECOND
DAY = 24 * HOUR
MONTH = 30 * DAY

BAD = Metric("tape_bad_blocks", Unit.COUNT, "Blocks lost.", ("tape",))
ERRORS = Metric("tape_read_errors", Unit.COUNT, "Errors.", ("tape",))
RULE = Growth(
    name="TapeWearing",
    severity=Severity.HIGH,
    any_of=(
        Increase(metric=BAD, by=8),
        Increase(metric=ERRORS, by=2, and_=Increase(metric=BAD, by=1)),
    ),
    window=timedelta(days=30),
    title="{tape} on {host} wears: {value}",
    advice="Copy {tape}.",
)


def booked(rule: Growth = RULE) -> BookedRule:
    """Return a rule as a check of tapes books it."""
    return BookedRule(
        rule=rule,
        check="tape",
        component=Component("tape", ("tape",)),
        every=timedelta(hours=1),
        metrics={metric.name: metric for metric in (BAD, ERRORS)},
    )


def play(
    days: Sequence[tuple[float, dict[Metric, float]]],
    rule: Growth = RULE,
    late: int = 0,
) -> tuple[list[AlertState], list[Event]]:
    """Read counters on some days; return the state after each and everything told."""
    counters: dict[str, Counter] = {}
    alert, states = OK, list[AlertState]()
    told: list[Event] = []
    for day, values in days:
        at = round(day * DAY)
        for metric, value in values.items():
            counters[metric.name] = count(counters.get(metric.name), at, value)
        seen = Observation(at, 0.0, counters=dict(counters))
        alert, events = step(alert, seen, booked(rule), at + late)
        states.append(alert.state)
        told += events
    return states, told


CALM, FIRE = AlertState.OK, AlertState.FIRING


@pytest.mark.parametrize(
    ("fact", "days", "states"),
    [
        ("damage that was there before is a baseline", [(0, 500), (1, 500)], [CALM, CALM]),
        ("by its mark is enough", [(0, 500), (1, 507), (2, 508)], [CALM, CALM, FIRE]),
        ("what grew in steps is summed", [(0, 0), (9, 3), (18, 6), (27, 9)], [CALM] * 3 + [FIRE]),
        ("what is older than the window counts no more", [(0, 0), (1, 4), (31, 8)], [CALM] * 3),
        (
            "it clears when the growth leaves the window",
            [(0, 0), (1, 8), (31, 8)],
            [CALM, FIRE, CALM],
        ),
        ("and not a moment before", [(0, 0), (1, 8), (30.99, 8)], [CALM, FIRE, FIRE]),
        ("a drop is a new baseline", [(0, 900), (1, 0), (2, 7)], [CALM] * 3),
        ("after a drop it counts from there", [(0, 900), (1, 0), (2, 8)], [CALM, CALM, FIRE]),
        (
            "what grew before a drop still counts",
            [(0, 0), (1, 4), (2, 0), (3, 4)],
            [CALM] * 3 + [FIRE],
        ),
    ],
)
def test_growth_of_one_counter(
    fact: str, days: Sequence[tuple[float, float]], states: Sequence[AlertState]
) -> None:
    assert play([(day, {BAD: value}) for day, value in days])[0] == list(states), fact


def test_two_counters_at_once_are_enough_where_one_is_not() -> None:
    alone = [(0, {BAD: 0.0, ERRORS: 0.0}), (1, {BAD: 0.0, ERRORS: 9.0})]
    assert play(alone)[0] == [CALM, CALM]
    assert play([*alone, (2, {BAD: 1.0, ERRORS: 9.0})])[0] == [CALM, CALM, FIRE]


BURST = replace(
    RULE,
    any_of=(Increase(metric=BAD, by=8, within=timedelta(days=3)), Increase(metric=ERRORS, by=2)),
)


def test_a_burst_raises_where_the_same_growth_over_weeks_does_not() -> None:
    slowly = [(day, {BAD: float(day)}) for day in range(25)]
    assert set(play(slowly, BURST)[0]) == {CALM}
    at_once = [(0, {BAD: 0.0}), (1, {BAD: 5.0}), (3, {BAD: 9.0})]
    assert play(at_once, BURST)[0][-1] is FIRE


def test_a_burst_counts_for_the_whole_window_once_it_raised() -> None:
    days = [(0.0, {BAD: 0.0}), *((float(day), {BAD: 9.0}) for day in range(1, 40))]
    states, told = play(days, BURST)
    assert [one.kind for one in told] == [EventKind.OPENED, EventKind.CLOSED]
    assert states.index(CALM, 1) == 31


def test_the_alert_says_which_counters_grew_and_since_when() -> None:
    counters = {BAD.name: count(count(count(None, 0, 8), DAY, 300), 9 * DAY, 310)}
    verdict = growth.judge(RULE, Observation(10 * DAY, 0.0, counters=counters), OK)
    assert verdict.holds
    assert verdict.value == 302
    assert verdict.grown == (Grown(BAD.name, 302, 310, DAY),)


def test_without_counters_nothing_can_be_told() -> None:
    assert growth.judge(RULE, Observation(0, 5.0), OK).holds is None
    assert growth.judge(RULE, Observation(0, 5.0, counters={}), OK).holds is False


def test_growth_that_is_known_too_late_opens_nothing_before_a_timely_reading() -> None:
    assert play([(0, {BAD: 0}), (1, {BAD: 99})], late=LATE + 1)[1] == []
    told = play([(0, {BAD: 0}), (1, {BAD: 99})], late=LATE)[1]
    assert [event.kind for event in told] == [EventKind.OPENED]


READINGS = st.lists(
    st.tuples(st.integers(-2, 40), st.sampled_from([0, 1, 2, 5, 9, 50, 400])), max_size=80
)
"""Hours to the reading before, some of them back in time, and the value then."""


def dated(readings: Sequence[tuple[int, int]]) -> list[tuple[int, float]]:
    at, found = 0, []
    for hours, value in readings:
        at += hours * HOUR
        found.append((at, float(value)))
    return found


@given(READINGS)
def test_growth_is_the_sum_of_what_rose(readings: list[tuple[int, int]]) -> None:
    """Late readings aside, whatever the order of rises and drops."""
    counter, newest, expected = None, None, 0.0
    for at, value in dated(readings):
        counter = count(counter, at, value)
        if newest is None or at > newest[0]:
            expected += max(value - newest[1], 0) if newest else 0
            newest = at, value
    if counter is not None and newest is not None:
        assert (counter.at, counter.value) == newest
        if newest[0] < KEPT // MICROSECOND:
            assert counter.growth(KEPT // MICROSECOND, newest[0])[0] == expected


@given(READINGS)
def test_memory_is_bounded_and_forgets_nothing_early(readings: list[tuple[int, int]]) -> None:
    counter, rises, newest = None, list[tuple[int, float]](), None
    for at, value in dated(readings):
        counter = count(counter, at, value)
        assert len(counter.rises) <= MOST_RISES
        if newest is None or at > newest[0]:
            if newest is not None and value > newest[1]:
                rises.append((at, value - newest[1]))
            newest = at, value
            exact = sum(by for when, by in rises if when > at - MONTH)
            assert counter.growth(MONTH, at)[0] >= exact
            if len(rises) <= MOST_RISES:
                assert counter.growth(MONTH, at)[0] == exact


@given(READINGS, st.integers(0, 3))
def test_a_higher_mark_never_adds_episodes(readings: list[tuple[int, int]], more: int) -> None:
    """A rule that asks for more fires only where the one that asks for less does."""
    days = [(at / DAY, {BAD: value}) for at, value in dated(readings)]
    stricter = replace(RULE, any_of=(Increase(metric=BAD, by=8 + 40 * more),))
    lenient = replace(RULE, any_of=(Increase(metric=BAD, by=8),))
    for strict, loose in zip(play(days, stricter)[0], play(days, lenient)[0], strict=True):
        assert strict is CALM or loose is FIRE


@given(READINGS)
def test_open_and_close_alternate(readings: list[tuple[int, int]]) -> None:
    told = play([(at / DAY, {BAD: value}) for at, value in dated(readings)])[1]
    kinds = [event.kind for event in told]
    assert kinds == [EventKind.OPENED, EventKind.CLOSED] * (len(kinds) // 2) + (
        [EventKind.OPENED] if len(kinds) % 2 else []
    )


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (replace(RULE, window=timedelta(minutes=1)), "window"),
        (replace(RULE, window=KEPT * 2), "window"),
        (replace(RULE, any_of=()), "any_of"),
        (replace(RULE, any_of=(Increase(metric=BAD, by=0),)), "any_of.0.by"),
        (
            replace(
                RULE,
                any_of=(
                    Increase(
                        metric=BAD,
                        by=1,
                        and_=Increase(metric=BAD, by=1, and_=Increase(metric=BAD, by=1)),
                    ),
                ),
            ),
            "any_of.0.and",
        ),
        (
            replace(RULE, any_of=(Increase(metric=BAD, by=1, within=timedelta(days=31)),)),
            "any_of.0.within",
        ),
    ],
)
def test_what_cannot_be_meant_is_named(rule: Growth, field: str) -> None:
    assert field in [problem.field for problem in growth.problems(rule)]


def test_a_rule_says_in_words_when_it_raises() -> None:
    assert list(growth.problems(RULE)) == []
    assert growth.KIND.explain(RULE) == (
        "high when within 30d tape_bad_blocks grew by 8, or tape_read_errors grew by 2 and "
        "tape_bad_blocks by 1"
    )
    assert list(growth.problems(BURST)) == []
    assert "grew by 8 in 3d, or" in growth.KIND.explain(BURST)
